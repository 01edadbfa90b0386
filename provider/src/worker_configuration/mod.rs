//! `runnel_worker_configuration`.

mod convert;
mod properties_text;
mod schema;

use crate::attributes::known;
use crate::daemon_client::WorkerConfigurations;
use crate::lifecycle::{Convert as _, Cx, Planned, name_of};
use crate::resource::Declaration;
use crate::session::Referable;
use runnel_api::worker_configuration::WorkerConfigurationSpec;
use runnel_api::{Kind, properties};
use std::collections::BTreeMap;
use tfplugin::schema::Schema;
use tfplugin::value::Value;
use tfplugin::{Action, Change, Diagnostic, Diagnostics, Failure, Object, Path, Tri, async_trait};

/// The resource type.
#[derive(Debug)]
pub struct WorkerConfiguration;

#[async_trait]
impl Declaration for WorkerConfiguration {
    type Noun = WorkerConfigurations;

    fn schema(&self) -> Schema {
        schema::schema()
    }

    fn validate(&self, config: &Object, diagnostics: &mut Diagnostics) {
        let given = |name: &str| !config.value(name).is_null();
        match (given("properties"), given("properties_file_content")) {
            (true, true) => diagnostics.error_at(
                "properties_file_content",
                "Properties are given twice",
                "Set either `properties` or `properties_file_content`, not both.",
            ),
            (false, false) => diagnostics.error(
                "Properties are missing",
                "Set `properties` or `properties_file_content`.",
            ),
            _ => {}
        }
        if let Ok(Some(properties)) = declared(config)
            && let Some(diagnostic) = refusal(&properties, config)
        {
            diagnostics.push(diagnostic);
        }
    }

    async fn plan(
        &self,
        cx: &mut Cx,
        change: &mut Change,
        identity: Planned,
    ) -> Result<(), Failure> {
        if let Planned::New { next, .. } = &identity {
            change.planned.set("arn", next.arn.as_str());
        }
        let Some(properties) = declared(&change.config)? else {
            for derived in ["properties", "properties_file_content", "ref"] {
                if change.config.value(derived).is_null() {
                    change.planned.set_unknown(derived);
                }
            }
            if let (Some(name), Some(session)) = (name_of(&change.planned)?, cx.client_if_known()) {
                session.plan_open(Kind::WorkerConfiguration, &name);
            }
            return Ok(());
        };
        set_both_forms(change, &properties);
        let Some(name) = name_of(&change.planned)? else {
            change.planned.set_unknown("ref");
            return Ok(());
        };
        if known(&change.planned, &["description"]) {
            let spec = self.spec(&change.planned)?;
            change.planned.set("ref", convert::reference(&name, &spec));
            if let Some(session) = cx.client_if_known() {
                let changed = change.action != Action::NoOp;
                session.plan(&name, Referable::WorkerConfiguration(spec), changed);
            }
        }
        Ok(())
    }
}

/// The properties that a configuration declares in either form; `None` while something of them is
/// unknown, or if there are none.
fn declared(config: &Object) -> Result<Option<BTreeMap<String, String>>, Diagnostic> {
    let text = config.get::<Tri<String>>("properties_file_content")?;
    if let Tri::Known(text) = text {
        let read = properties::parse(&text).map_err(|error| {
            Diagnostic::error("Invalid properties", format!("{error}."))
                .at("properties_file_content")
        });
        return read.map(Some);
    }
    if !config.value("properties").is_wholly_known() {
        return Ok(None);
    }
    config.get("properties")
}

/// Sets the form that the user did not choose. A text that says the same stays as it is.
fn set_both_forms(change: &mut Change, properties: &BTreeMap<String, String>) {
    if change.config.value("properties").is_null() {
        change.planned.set("properties", Value::map(properties));
    }
    if change.config.value("properties_file_content").is_null() {
        let prior = change.prior.as_ref();
        let prior = prior.and_then(|prior| prior.value("properties_file_content").as_str());
        let text = match prior {
            Some(text) if properties::parse(text).as_ref() == Ok(properties) => text.to_owned(),
            _ => properties_text::write(properties),
        };
        change.planned.set("properties_file_content", text);
    }
}

/// The first property that may not be set.
fn refusal(properties: &BTreeMap<String, String>, config: &Object) -> Option<Diagnostic> {
    let spec = WorkerConfigurationSpec {
        description: String::new(),
        properties: properties.clone(),
    };
    let (key, reason) = spec.refused()?;
    let path = Path::attr("properties").key(key);
    let path = [path, Path::attr("properties")]
        .into_iter()
        .find(|path| config.at(path).is_some_and(|value| !value.is_null()))
        .unwrap_or_else(|| Path::attr("properties_file_content"));
    Some(Diagnostic::error("Invalid worker property", format!("{reason}.")).at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "key.converter=a\nvalue.converter=b\n";

    fn paths(config: &Object) -> Vec<String> {
        let mut diagnostics = Diagnostics::new();
        WorkerConfiguration.validate(config, &mut diagnostics);
        diagnostics
            .iter()
            .map(|each| each.path.to_string())
            .collect()
    }

    #[test]
    fn exactly_one_form_is_given() {
        let map = Value::map([("key.converter", "a"), ("value.converter", "b")]);
        let one = Object::new().with("properties", map.clone());
        assert!(paths(&one).is_empty());
        assert_eq!(
            paths(&one.with("properties_file_content", TEXT)),
            ["properties_file_content"]
        );
        assert_eq!(paths(&Object::new()), [""]);
        let unknown = Object::new().with("properties", Value::unknown());
        assert!(paths(&unknown).is_empty());
    }

    #[test]
    fn a_property_that_may_not_be_set_points_at_its_key_or_its_text() {
        let pairs = [
            ("key.converter", "a"),
            ("value.converter", "b"),
            ("group.id", "x"),
        ];
        let map = Object::new().with("properties", Value::map(pairs));
        assert_eq!(paths(&map), [r#"properties["group.id"]"#]);
        let missing = Object::new().with("properties", Value::map([("a", "b")]));
        assert_eq!(paths(&missing), ["properties"]);
        let text = Object::new().with("properties_file_content", format!("{TEXT}group.id=x"));
        assert_eq!(paths(&text), ["properties_file_content"]);
    }

    #[tokio::test]
    async fn a_plan_knows_both_forms_and_the_reference() {
        let config = Object::new()
            .with("name", "w")
            .with("description", "")
            .with("properties_file_content", TEXT);
        let mut change = Change::new(Action::Create, config.clone(), None, config);
        let mut cx = Cx::new(
            None,
            tfplugin::Private::default(),
            tfplugin::CancellationToken::new(),
        );
        WorkerConfiguration
            .plan(&mut cx, &mut change, Planned::Open)
            .await
            .unwrap();
        assert_eq!(
            change.planned.value("properties"),
            &Value::map([("key.converter", "a"), ("value.converter", "b")])
        );
        assert!(
            change
                .planned
                .value("ref")
                .as_str()
                .unwrap()
                .starts_with("w@sha256:")
        );
    }
}
