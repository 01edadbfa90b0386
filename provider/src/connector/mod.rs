//! `runnel_connector`.

mod capacity;
mod convert;
mod log_delivery;
mod plan;
mod schema;
mod secrets;

use crate::daemon_client::{Connectors, ObjectOf};
use crate::lifecycle::{Cx, Planned, Update, name_of};
use crate::resource::Declaration;
use runnel_api::Secret;
use runnel_api::connector::ConnectorState;
use secrets::Remembered;
use std::collections::BTreeMap;
use tfplugin::schema::Schema;
use tfplugin::{Change, Diagnostics, Failure, Object, Path, async_trait};

/// The resource type.
#[derive(Debug)]
pub struct Connector;

/// Key of private state: what is remembered of the secrets.
const SECRETS: &str = "secrets";
/// Key of private state, from plan to apply only: that the secrets are to be sent.
const SEND: &str = "send_secrets";
/// Key of private state: that the generation in the state failed before it ever settled, so that
/// the next apply tries it again.
const UNSETTLED: &str = "unsettled";
/// The key that says what a connector is.
const CLASS: &str = "connector.class";

#[async_trait]
impl Declaration for Connector {
    type Noun = Connectors;

    fn schema(&self) -> Schema {
        schema::schema()
    }

    fn validate(&self, config: &Object, diagnostics: &mut Diagnostics) {
        capacity::check(config, diagnostics);
        log_delivery::check(config, diagnostics);
        check_keys(config, diagnostics);
    }

    async fn plan(
        &self,
        cx: &mut Cx,
        change: &mut Change,
        identity: Planned,
    ) -> Result<(), Failure> {
        plan::plan(cx, change, identity).await
    }

    fn leaves(&self, cx: &Cx, prior: &Object) {
        if let (Some(session), Ok(Some(name))) = (cx.client_if_known(), name_of(prior)) {
            session.destroy(&name);
        }
    }

    fn secrets(
        &self,
        cx: &mut Cx,
        config: &Object,
    ) -> Result<Option<BTreeMap<String, Secret>>, Failure> {
        cx.private.remove(SEND);
        sealed(config)
    }

    fn update(
        &self,
        cx: &mut Cx,
        state: &Object,
        plan: &Object,
        config: &Object,
    ) -> Result<Update, Failure> {
        let flag = |cx: &Cx, key| cx.private.get::<bool>(key).unwrap_or(false);
        let (send, unsettled) = (flag(cx, SEND), flag(cx, UNSETTLED));
        cx.private.remove(SEND);
        cx.private.remove(UNSETTLED);
        let secrets = if send {
            Some(sealed(config)?.unwrap_or_default())
        } else {
            None
        };
        Ok(Update {
            secrets,
            write: plan::writes(state, plan, send, unsettled)?,
        })
    }

    fn noted(&self, cx: &mut Cx, object: &ObjectOf<Connectors>) {
        let mut remembered = cx.private.get::<Remembered>(SECRETS).unwrap_or_default();
        remembered.keys = Some(object.status.secret_keys.clone());
        cx.private.set(SECRETS, remembered);
        let status = &object.status;
        let failed = status.state == ConnectorState::Failed;
        let settled = status.settled_generation == Some(object.generation);
        cx.private.remove(UNSETTLED);
        if failed && !settled && !object.deleting {
            cx.private.set(UNSETTLED, true);
        }
    }
}

/// The values of `config_wo`, ready to be sent.
fn sealed(config: &Object) -> Result<Option<BTreeMap<String, Secret>>, Failure> {
    let values = convert::config_wo(config)?;
    Ok(values.map(|values| {
        values
            .into_iter()
            .map(|(key, value)| (key, Secret::new(value)))
            .collect()
    }))
}

/// What can be said of the keys before anything is asked of the daemon.
fn check_keys(config: &Object, diagnostics: &mut Diagnostics) {
    let Some(keys) = config.value("config").fields() else {
        return;
    };
    let secret = config.value("config_wo").fields();
    if !keys.contains_key(CLASS) {
        diagnostics.error_at(
            "config",
            format!("{CLASS} is missing"),
            "Name the connector's Java class; the attribute `classes` of its plugin lists what there is.",
        );
    }
    for key in secret.into_iter().flat_map(BTreeMap::keys) {
        if keys.contains_key(key) {
            diagnostics.error_at(
                Path::attr("config").key(key),
                format!("{key} is given twice"),
                "It stands in `config` and in `config_wo`. Keep it in `config_wo` if it is a secret.",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfplugin::value::Value;

    fn paths(config: &Object) -> Vec<String> {
        let mut diagnostics = Diagnostics::new();
        Connector.validate(config, &mut diagnostics);
        diagnostics
            .iter()
            .map(|each| each.path.to_string())
            .collect()
    }

    #[test]
    fn both_deliveries_are_taken_and_log_delivery_is_checked() {
        let good = convert::tests::declared();
        assert!(paths(&good).is_empty());
        assert!(paths(&good.clone().with("delivery", "EXACTLY_ONCE")).is_empty());
        let file = Value::object([("enabled", Value::from(true)), ("prefix", "/etc".into())]);
        let workers = Value::object([("file", file)]);
        let logs = Value::object([("worker_log_delivery", workers)]);
        assert_eq!(
            paths(&good.with("log_delivery", logs)),
            ["log_delivery.worker_log_delivery.file.prefix"]
        );
    }

    #[test]
    fn keys_are_checked_as_far_as_they_are_known() {
        let good = convert::tests::declared();
        let without = Value::map([("tasks.max", "1")]);
        assert_eq!(paths(&good.clone().with("config", without)), ["config"]);
        let twice = good
            .clone()
            .with("config_wo", Value::map([("tasks.max", "1")]));
        assert_eq!(paths(&twice), [r#"config["tasks.max"]"#]);
        assert!(paths(&good.with("config", Value::unknown())).is_empty());
    }
}
