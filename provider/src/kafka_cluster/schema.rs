//! Arguments and computed attributes.

use crate::attributes;
use runnel_api::kafka_cluster::{ClientAuthentication, EncryptionInTransit, KafkaClusterSpec};
use tfplugin::schema::{Attribute, Schema, Validator};
use tfplugin::value::Value;

/// The types that the two blocks know; those that this release lacks are refused by name.
pub const TYPES: [(&str, &[&str]); 2] = [
    ("encryption_in_transit", &["PLAINTEXT", "TLS"]),
    (
        "client_authentication",
        &["NONE", "SCRAM_SHA_512", "AWS_MSK_IAM"],
    ),
];

pub(super) fn schema() -> Schema {
    Schema::new(
        "A Kafka cluster that connectors read from or write to. Runnel does not run it; it connects to it.",
    )
    .attribute(attributes::name("Kafka cluster"))
    .attribute(bootstrap_servers())
    .attribute(encryption_in_transit())
    .attribute(client_authentication())
    .attribute(admin())
    .attribute(attributes::arn("Kafka cluster"))
    .attribute(prefix("topic_arn", "topics"))
    .attribute(prefix("group_arn", "consumer groups"))
    .attribute(prefix("transactional_id_arn", "transactional ids"))
    .attribute(
        Attribute::string("enforcement").computed().describe(
            "Whether the broker enforces what a connector's role allows: `ACL` or `NONE`. `NONE` in this release.",
        ),
    )
}

fn bootstrap_servers() -> Attribute {
    Attribute::string("bootstrap_servers")
        .required()
        .describe("Brokers to begin with, as `host:port` pairs separated by commas.")
        .validate(Validator::new(
            "host:port pairs separated by commas",
            |value| {
                let spec = KafkaClusterSpec {
                    bootstrap_servers: value.as_str().unwrap_or_default().to_owned(),
                    encryption_in_transit: EncryptionInTransit::Plaintext,
                    client_authentication: ClientAuthentication::None,
                    admin: None,
                };
                spec.servers()
                    .map(|_| ())
                    .map_err(|error| format!("{error}."))
            },
        ))
}

fn kind(of: &'static str, text: &str) -> Attribute {
    let allowed = TYPES
        .iter()
        .find(|(block, _)| *block == of)
        .map_or(&[][..], |(_, types)| types);
    Attribute::string("type")
        .required()
        .describe(text)
        .validate(Validator::one_of(allowed.iter().copied()))
}

fn encryption_in_transit() -> Attribute {
    Attribute::single(
        "encryption_in_transit",
        [
            kind(
                "encryption_in_transit",
                "`PLAINTEXT`, or `TLS`, which is not supported in this release yet.",
            ),
            Attribute::string("ca_certificate")
                .describe("Certificate of the authority that signs the brokers', in PEM. Not supported in this release yet."),
        ],
    )
    .default(Value::object([("type", "PLAINTEXT")]))
    .describe("How the way to the brokers is encrypted. Default: not at all.")
}

fn client_authentication() -> Attribute {
    Attribute::single(
        "client_authentication",
        [
            kind(
                "client_authentication",
                "`NONE`, or `SCRAM_SHA_512` or `AWS_MSK_IAM`, which are not supported in this release yet.",
            ),
            Attribute::string("username")
                .describe("User of the workers' login. Not supported in this release yet."),
            Attribute::string("password_wo").write_only().sensitive().describe(
                "Password of the workers' login; never stored in plan or state. Not supported in this release yet.",
            ),
            Attribute::number("password_wo_version")
                .describe("Raise it when `password_wo` changes. Not supported in this release yet."),
        ],
    )
    .default(Value::object([("type", "NONE")]))
    .describe("How workers log in. Default: not at all.")
}

fn admin() -> Attribute {
    Attribute::single(
        "admin",
        [
            Attribute::string("username").required().describe("User that may write users and ACLs."),
            Attribute::string("password_wo")
                .write_only()
                .sensitive()
                .describe("Its password; never stored in plan or state."),
            Attribute::number("password_wo_version").describe("Raise it when `password_wo` changes."),
        ],
    )
    .describe(
        "Login by which Runnel makes a principal with ACLs for each connector, so that brokers enforce its role. Not \
         supported in this release yet.",
    )
}

fn prefix(name: &str, of: &str) -> Attribute {
    Attribute::string(name).computed().use_state_for_unknown().describe(format!(
        "Prefix of the ARNs of this cluster's {of}, for policies; ends in `/` and is known at plan."
    ))
}
