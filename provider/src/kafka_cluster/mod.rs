//! `runnel_kafka_cluster`.

mod convert;
mod schema;

use crate::attributes::known;
use crate::daemon_client::KafkaClusters;
use crate::lifecycle::{Convert as _, Cx, Planned, Update, name_of};
use crate::report;
use crate::resource::Declaration;
use crate::session::Referable;
use runnel_api::kafka_cluster::{KafkaClusterPreview, KafkaClusterSpec};
use runnel_api::{ErrorCode, Kind, Name, Problem, Secret};
use std::collections::BTreeMap;
use tfplugin::schema::Schema;
use tfplugin::value::Value;
use tfplugin::{Action, Change, Diagnostics, Failure, Object, Path, async_trait};

/// The resource type.
#[derive(Debug)]
pub struct KafkaCluster;

/// What makes the specification; write-only values are null in a plan.
const INPUTS: [&str; 4] = [
    "bootstrap_servers",
    "encryption_in_transit",
    "client_authentication",
    "admin",
];

#[async_trait]
impl Declaration for KafkaCluster {
    type Noun = KafkaClusters;

    fn schema(&self) -> Schema {
        schema::schema()
    }

    fn validate(&self, config: &Object, diagnostics: &mut Diagnostics) {
        if !known(config, &INPUTS) {
            return;
        }
        let Ok(spec) = self.spec(config) else {
            return;
        };
        if let Some((field, message)) = spec.invalid() {
            let problem = Problem::new(ErrorCode::InvalidArgument, message).field(field);
            diagnostics.push(report::problem(&problem, config));
        }
        for (_, field) in spec.secrets_needed() {
            let (block, attribute) = field.split_once('.').unwrap_or((field, ""));
            let path = Path::attr(block).attribute(attribute);
            if config.at(&path).is_none_or(Value::is_null) {
                let problem =
                    Problem::new(ErrorCode::InvalidArgument, format!("{field} is missing"))
                        .hint("write it, from a variable that is sensitive and ephemeral")
                        .field(field);
                diagnostics.push(report::problem(&problem, config));
            }
        }
    }

    async fn plan(
        &self,
        cx: &mut Cx,
        change: &mut Change,
        identity: Planned,
    ) -> Result<(), Failure> {
        if let Planned::New { next, .. } = &identity {
            convert::set_arns(&mut change.planned, &next.arn);
        }
        match change.planned.value("admin") {
            Value::Null => change.planned.set("enforcement", "NONE"),
            admin if admin.fields().is_some() => change.planned.set("enforcement", "ACL"),
            _ => change.planned.set_unknown("enforcement"),
        }
        let (Some(name), Some(session)) = (name_of(&change.planned)?, cx.client_if_known()) else {
            return Ok(());
        };
        if known(&change.planned, &INPUTS) {
            let spec = self.spec(&change.planned)?;
            let changed = change.action != Action::NoOp;
            session.plan(&name, Referable::KafkaCluster(spec.clone()), changed);
            if changed {
                look(cx, change, &name, spec).await?;
            }
        } else {
            session.plan_open(Kind::KafkaCluster, &name);
        }
        Ok(())
    }

    fn secrets(
        &self,
        _cx: &mut Cx,
        config: &Object,
    ) -> Result<Option<BTreeMap<String, Secret>>, Failure> {
        Ok(convert::secrets(config))
    }

    /// Secrets are sent with every change: a version that was raised is one.
    fn update(
        &self,
        _cx: &mut Cx,
        state: &Object,
        plan: &Object,
        config: &Object,
    ) -> Result<Update, Failure> {
        Ok(Update {
            secrets: convert::secrets(config),
            write: self.spec(state)? != self.spec(plan)?,
        })
    }
}

/// Has the daemon look at the cluster: what is wrong with servers, certificates and logins shows at
/// plan, on the argument that is to blame.
async fn look(
    cx: &mut Cx,
    change: &Change,
    name: &Name,
    spec: KafkaClusterSpec,
) -> Result<(), Failure> {
    let (Some(secrets), Some(session)) = (convert::secrets(&change.config), cx.client_if_known())
    else {
        return Ok(());
    };
    let preview = KafkaClusterPreview {
        spec,
        secrets: Some(secrets),
    };
    let answer = session.daemon.preview_cluster(name, &preview).await;
    let answer = answer.map_err(|error| report::call(&error, &change.config))?;
    for warning in &answer.warnings {
        cx.diagnostics
            .push(report::warning(warning, &change.config));
    }
    let mut problems = answer.problems.iter();
    match problems.next() {
        Some(first) => Err(report::problem(first, &change.config).into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: &Object) -> Vec<String> {
        let mut diagnostics = Diagnostics::new();
        KafkaCluster.validate(config, &mut diagnostics);
        diagnostics.iter().map(|it| it.path.to_string()).collect()
    }

    fn cluster(encryption: &str, authentication: Value) -> Object {
        Object::new()
            .with("bootstrap_servers", "b:1")
            .with(
                "encryption_in_transit",
                Value::object([("type", encryption)]),
            )
            .with("client_authentication", authentication)
    }

    #[test]
    fn a_way_in_that_cannot_be_is_refused_at_its_attribute() {
        let scram = Value::object([("type", "SCRAM_SHA_512")]);
        let named = Value::object([("type", "SCRAM_SHA_512"), ("username", "u")]);
        let admin = Value::object([("username", "a"), ("password_wo", "p")]);
        assert_eq!(
            refused(&cluster("PLAINTEXT", scram.clone())),
            ["encryption_in_transit.type"]
        );
        assert_eq!(
            refused(&cluster("TLS", scram.clone())),
            // What is not there cannot be pointed at; the block can.
            ["client_authentication"]
        );
        assert_eq!(
            refused(&cluster("TLS", named.clone())),
            ["client_authentication"]
        );
        assert_eq!(
            refused(&cluster("TLS", named).with("admin", admin.clone()))[0],
            "admin"
        );
        assert!(refused(&cluster("TLS", scram.clone()).with("admin", admin)).is_empty());
        let bare = Value::object([("username", "a")]);
        assert_eq!(
            refused(&cluster("TLS", scram).with("admin", bare)),
            ["admin"]
        );
    }

    #[test]
    fn what_is_not_known_yet_is_let_through() {
        let config = cluster("PLAINTEXT", Value::unknown());
        assert!(refused(&config).is_empty());
        let config = cluster("TLS", Value::object([("type", "SCRAM_SHA_512")])).with(
            "admin",
            Value::object([
                ("username", Value::from("a")),
                ("password_wo", Value::unknown()),
            ]),
        );
        assert!(refused(&config).is_empty());
        assert!(convert::secrets(&config).is_none());
    }
}
