//! Attributes and checks that several resource types share.

use runnel_api::Name;
use tfplugin::schema::{Attribute, Validator};
use tfplugin::{Diagnostic, Object, Path};

/// `name`, by which an object is found, imported and referred to.
pub fn name(of: &str) -> Attribute {
    Attribute::string("name")
        .required()
        .requires_replace()
        .describe(format!(
            "Name of the {of}, unique among its kind: letters, digits, `.`, `_` and `-`, up to 128 of them. A change \
             replaces the {of}."
        ))
        .validate(Validator::new(
            "letters, digits, `.`, `_` and `-`, up to 128 of them",
            |value| {
                let parsed = value.as_str().map(Name::parse).transpose();
                parsed.map(|_| ()).map_err(|error| format!("{error}."))
            },
        ))
}

/// `description`.
pub fn description() -> Attribute {
    Attribute::string("description")
        .default("")
        .validate(Validator::length(0..=1024))
        .describe("Free text, up to 1024 characters.")
}

/// `arn`.
pub fn arn(of: &str) -> Attribute {
    Attribute::string("arn")
        .computed()
        .use_state_for_unknown()
        .describe(format!("ARN of the {of}, known at plan."))
}

/// A value that will have a meaning in a later release.
pub fn not_yet(path: impl Into<Path>, what: &str, instead: &str) -> Diagnostic {
    Diagnostic::error(
        format!("{what} is not supported in this release yet"),
        instead.to_owned(),
    )
    .at(path)
}

/// Whether none of these attributes holds anything unknown.
pub fn known(values: &Object, names: &[&str]) -> bool {
    names
        .iter()
        .all(|name| values.value(name).is_wholly_known())
}
