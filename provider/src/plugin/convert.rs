//! Between HCL and the wire.

use super::{Plugin, planned_digest};
use crate::daemon_client::{ObjectOf, Plugins};
use crate::lifecycle::Convert;
use runnel_api::Name;
use runnel_api::plugin::{
    ContentRef, PluginClass, PluginSpec, PluginStatus, RuntimeFit, Sha256Hex,
};
use tfplugin::value::Value;
use tfplugin::{Diagnostic, Object};

impl Convert<Plugins> for Plugin {
    fn spec(&self, values: &Object) -> Result<PluginSpec, Diagnostic> {
        Ok(PluginSpec {
            description: values
                .get::<Option<String>>("description")?
                .unwrap_or_default(),
            sha256: planned_digest(values)?,
            source: values.get("source")?,
        })
    }

    fn state(&self, object: &ObjectOf<Plugins>, carried: &Object) -> Object {
        let mut state = Object::new()
            .with("name", object.name.as_str())
            .with("description", object.spec.description.as_str())
            .with("arn", object.arn.as_str())
            .with("timeouts", carried.value("timeouts").clone());
        match &object.spec.source {
            Some(source) => state.set("source", source.as_str()),
            None => state.set("source", carried.value("source").clone()),
        }
        set_found(
            &mut state,
            &object.name,
            &object.spec.sha256,
            &object.status,
        );
        state
    }
}

/// Everything that follows from the bytes.
pub(super) fn set_found(
    values: &mut Object,
    name: &Name,
    sha256: &Sha256Hex,
    found: &PluginStatus,
) {
    let content = ContentRef {
        name: name.clone(),
        sha256: sha256.clone(),
    };
    let compatible = found.runtimes.iter().filter(|fit| fit.is_compatible());
    values.set("sha256", sha256.as_str());
    values.set("ref", content.to_string());
    values.set("size", found.size);
    values.set("classes", Value::list(found.classes.iter().map(class)));
    values.set(
        "runtimes",
        Value::list(compatible.map(|fit: &RuntimeFit| fit.runtime.as_str())),
    );
}

fn class(found: &PluginClass) -> Value {
    // The kind's name on the wire is its name here.
    let kind = serde_json::to_value(found.kind).unwrap_or_default();
    Value::object([
        ("class", Value::from(found.class.as_str())),
        ("type", Value::from(kind.as_str().unwrap_or_default())),
        ("version", Value::from(found.version.as_str())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_shows_what_was_found_in_it() {
        let sha256 = Sha256Hex::of_bytes(b"abc");
        let object: ObjectOf<Plugins> = serde_json::from_value(serde_json::json!({
            "name": "p", "id": "00000000-0000-0000-0000-000000000001", "arn": "arn:aws:kafkaconnect:r:a:p",
            "generation": 1, "spec": {"sha256": sha256, "source": "a.zip"},
            "status": {
                "size": 3,
                "classes": [{"class": "io.A", "type": "header_converter", "version": "1"}],
                "runtimes": [{"runtime": "3.9"}, {"runtime": "4.3", "missing": ["poll(J)"]}],
            },
        }))
        .unwrap();
        let state = Plugin.state(&object, &Object::new());
        assert_eq!(
            state.value("ref").as_str(),
            Some(format!("p@sha256:{sha256}").as_str())
        );
        assert_eq!(state.value("runtimes"), &Value::list(["3.9"]));
        let class = state.get::<Vec<Object>>("classes").unwrap().remove(0);
        assert_eq!(class.value("type").as_str(), Some("header_converter"));
        assert_eq!(Plugin.spec(&state), Ok(object.spec));
    }

    #[test]
    fn a_digest_that_is_none_points_at_its_attribute() {
        let values = Object::new().with("sha256", "xyz");
        assert_eq!(Plugin.spec(&values).unwrap_err().path.to_string(), "sha256");
    }
}
