//! Arguments and computed attributes.

use crate::attributes;
use tfplugin::schema::{Attribute, Schema, Validator};
use tfplugin::value::Type;

pub(super) fn schema() -> Schema {
    Schema::new(
        "A plugin: an archive of Kafka Connect connectors, converters and transforms. Its content never changes: another \
         archive has another `ref`. Plan reads the file, so what is in it is known before anything is applied.",
    )
    .attribute(attributes::name("plugin"))
    .attribute(attributes::description())
    .attribute(
        Attribute::string("source")
            .required()
            .validate(Validator::length(1..=4096))
            .describe(
                "Path of a ZIP, a tar.gz or a single JAR, relative to the directory in which Terraform runs. `https://` and \
                 `s3://` are not supported in this release yet.",
            ),
    )
    .attribute(sha256())
    .attribute(
        Attribute::string("ref")
            .computed()
            .describe("Reference for a connector's `plugins`: `NAME@sha256:…`."),
    )
    .attribute(Attribute::number("size").computed().describe("Size of the archive in bytes."))
    .attribute(classes())
    .attribute(
        Attribute::list("runtimes", Type::String).computed().describe(
            "Runtimes (releases of Kafka Connect) on which all of the plugin's classes link, as `kafkaconnect_version` of a \
             connector takes them; oldest first.",
        ),
    )
    .attribute(attributes::arn("plugin"))
}

fn sha256() -> Attribute {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    Attribute::string("sha256")
        .optional_computed()
        .describe(
            "SHA-256 of the archive. When set, an archive with another one is refused at plan.",
        )
        .validate(Validator::new(
            "64 hexadecimal digits in lower case",
            move |value| match value.as_str() {
                Some(text) if text.len() != 64 || !text.chars().all(hex) => Err(format!(
                    "{text:?} is no SHA-256; write 64 hexadecimal digits in lower case."
                )),
                _ => Ok(()),
            },
        ))
}

fn classes() -> Attribute {
    Attribute::nested_list(
        "classes",
        [
            Attribute::string("class").computed().describe("Java name of the class."),
            Attribute::string("type").computed().describe(
                "What it is for: `source`, `sink`, `converter`, `header_converter`, `transformation`, `predicate` and so on.",
            ),
            Attribute::string("version")
                .computed()
                .describe("Its version; `undefined` where the archive does not say."),
        ],
    )
    .computed()
    .describe("What Kafka Connect can load from the archive.")
}
