//! The examples that pages show: files under `examples/`, where the tests find them too.

/// The provider's block.
pub const PROVIDER: &str = include_str!("../../../examples/provider/provider.tf");

const RESOURCES: [(&str, &str); 5] = [
    (
        "runnel_kafka_cluster",
        include_str!("../../../examples/resources/runnel_kafka_cluster/resource.tf"),
    ),
    (
        "runnel_plugin",
        include_str!("../../../examples/resources/runnel_plugin/resource.tf"),
    ),
    (
        "runnel_worker_configuration",
        include_str!("../../../examples/resources/runnel_worker_configuration/resource.tf"),
    ),
    (
        "runnel_role",
        include_str!("../../../examples/resources/runnel_role/resource.tf"),
    ),
    (
        "runnel_connector",
        include_str!("../../../examples/resources/runnel_connector/resource.tf"),
    ),
];

const DATA_SOURCES: [(&str, &str); 2] = [
    (
        "runnel_connector",
        include_str!("../../../examples/data-sources/runnel_connector/data-source.tf"),
    ),
    (
        "runnel_policy_document",
        include_str!("../../../examples/data-sources/runnel_policy_document/data-source.tf"),
    ),
];

const FUNCTIONS: [(&str, &str); 1] = [(
    "properties_decode",
    include_str!("../../../examples/functions/properties_decode/function.tf"),
)];

/// The example of a resource type.
pub fn resource(name: &str) -> Option<&'static str> {
    find(&RESOURCES, name)
}

/// The example of a data source.
pub fn data_source(name: &str) -> Option<&'static str> {
    find(&DATA_SOURCES, name)
}

/// The example of a function.
pub fn function(name: &str) -> Option<&'static str> {
    find(&FUNCTIONS, name)
}

fn find(examples: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    let found = examples.iter().find(|(of, _)| *of == name);
    found.map(|(_, text)| *text)
}
