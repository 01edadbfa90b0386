//! Between HCL and the wire.

use super::{WorkerConfiguration, properties_text};
use crate::daemon_client::{ObjectOf, WorkerConfigurations};
use crate::lifecycle::Convert;
use runnel_api::plugin::ContentRef;
use runnel_api::worker_configuration::WorkerConfigurationSpec;
use runnel_api::{Name, properties};
use tfplugin::value::Value;
use tfplugin::{Diagnostic, Object};

impl Convert<WorkerConfigurations> for WorkerConfiguration {
    fn spec(&self, values: &Object) -> Result<WorkerConfigurationSpec, Diagnostic> {
        Ok(WorkerConfigurationSpec {
            description: values
                .get::<Option<String>>("description")?
                .unwrap_or_default(),
            properties: values.get("properties")?,
        })
    }

    fn state(&self, object: &ObjectOf<WorkerConfigurations>, carried: &Object) -> Object {
        let spec = &object.spec;
        let text = carried.value("properties_file_content").as_str();
        let text = text
            .filter(|text| properties::parse(text).as_ref() == Ok(&spec.properties))
            .map_or_else(|| properties_text::write(&spec.properties), str::to_owned);
        Object::new()
            .with("name", object.name.as_str())
            .with("description", spec.description.as_str())
            .with("properties", Value::map(&spec.properties))
            .with("properties_file_content", text)
            .with("ref", reference(&object.name, spec))
            .with("arn", object.arn.as_str())
            .with("timeouts", carried.value("timeouts").clone())
    }
}

/// The value of `ref`.
pub(super) fn reference(name: &Name, spec: &WorkerConfigurationSpec) -> String {
    let content = ContentRef {
        name: name.clone(),
        sha256: spec.sha256(),
    };
    content.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_the_user_stays_while_it_says_the_same() {
        let values = Object::new().with("properties", Value::map([("a", "1"), ("b", "2")]));
        let spec = WorkerConfiguration.spec(&values).unwrap();
        let object: ObjectOf<WorkerConfigurations> = serde_json::from_value(serde_json::json!({
            "name": "w", "id": "00000000-0000-0000-0000-000000000001", "arn": "arn:aws:kafkaconnect:r:a:w",
            "generation": 1, "spec": spec, "status": {"sha256": spec.sha256()},
        }))
        .unwrap();
        let text = |carried: &Object| {
            let state = WorkerConfiguration.state(&object, carried);
            state
                .value("properties_file_content")
                .as_str()
                .map(str::to_owned)
        };
        let same = Object::new().with("properties_file_content", "# mine\nb: 2\na: 1");
        assert_eq!(text(&same).as_deref(), Some("# mine\nb: 2\na: 1"));
        let other = Object::new().with("properties_file_content", "b: 3");
        assert_eq!(text(&other).as_deref(), Some("a=1\nb=2\n"));
        assert_eq!(text(&Object::new()).as_deref(), Some("a=1\nb=2\n"));
    }
}
