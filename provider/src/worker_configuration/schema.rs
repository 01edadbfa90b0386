//! Arguments and computed attributes.

use crate::attributes;
use runnel_api::properties;
use tfplugin::schema::{Attribute, Schema, Validator};
use tfplugin::value::{Type, Value};

pub(super) fn schema() -> Schema {
    Schema::new(
        "Properties of Kafka Connect workers, addressed by their content. Without one, a connector's workers convert keys \
         and values with `StringConverter`, as MSK Connect's do. Exactly one of `properties` and \
         `properties_file_content` is set; the other then shows the same.",
    )
    .attribute(attributes::name("worker configuration"))
    .attribute(attributes::description())
    .attribute(
        Attribute::map("properties", Type::String).optional_computed().describe(
            "Worker properties. `key.converter` and `value.converter` must be among them; what Runnel sets itself may not.",
        ),
    )
    .attribute(
        Attribute::string("properties_file_content")
            .optional_computed()
            .equal_when(same_properties)
            .validate(Validator::new("Java properties", |value| {
                let parsed = value.as_str().map(properties::parse).transpose();
                parsed.map(|_| ()).map_err(|error| format!("{error}."))
            }))
            .describe("The same as the text of a Java properties file. Order and comments make no difference."),
    )
    .attribute(
        Attribute::string("ref")
            .computed()
            .describe("Reference for a connector's `worker_configuration`: `NAME@sha256:…`, known at plan."),
    )
    .attribute(attributes::arn("worker configuration"))
}

fn same_properties(a: &Value, b: &Value) -> bool {
    let read = |value: &Value| value.as_str().and_then(|text| properties::parse(text).ok());
    matches!((read(a), read(b)), (Some(a), Some(b)) if a == b)
}
