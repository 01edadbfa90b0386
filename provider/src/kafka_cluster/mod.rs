//! `runnel_kafka_cluster`.

mod convert;
mod schema;

use crate::attributes::{known, not_yet};
use crate::daemon_client::KafkaClusters;
use crate::lifecycle::{Convert as _, Cx, Planned, name_of};
use crate::resource::Declaration;
use crate::session::Referable;
use runnel_api::Kind;
use tfplugin::schema::Schema;
use tfplugin::{Action, Change, Diagnostics, Failure, Object, Path, Tri, async_trait};

/// The resource type.
#[derive(Debug)]
pub struct KafkaCluster;

/// What makes the specification.
const INPUTS: [&str; 3] = [
    "bootstrap_servers",
    "encryption_in_transit",
    "client_authentication",
];

#[async_trait]
impl Declaration for KafkaCluster {
    type Noun = KafkaClusters;

    fn schema(&self) -> Schema {
        schema::schema()
    }

    fn validate(&self, config: &Object, diagnostics: &mut Diagnostics) {
        refuse_type(config, "encryption_in_transit", "PLAINTEXT", diagnostics);
        refuse_type(config, "client_authentication", "NONE", diagnostics);
        for (block, attribute) in [
            ("encryption_in_transit", "ca_certificate"),
            ("client_authentication", "username"),
            ("client_authentication", "password_wo"),
            ("client_authentication", "password_wo_version"),
        ] {
            let path = Path::attr(block).attribute(attribute);
            if config.at(&path).is_some_and(|value| !value.is_null()) {
                let needs =
                    "It belongs to a type that this release does not have yet. Leave it out.";
                diagnostics.push(not_yet(path, &format!("`{attribute}`"), needs));
            }
        }
        if !config.value("admin").is_null() {
            diagnostics.push(not_yet(
                "admin",
                "`admin`",
                "Roles are checked and stored, but not enforced by the broker yet (`enforcement` is NONE). Leave it out.",
            ));
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
        // Without admin credentials nothing can be enforced, and those are refused above.
        change.planned.set("enforcement", "NONE");
        let (Some(name), Some(session)) = (name_of(&change.planned)?, cx.client_if_known()) else {
            return Ok(());
        };
        if known(&change.planned, &INPUTS) {
            let spec = self.spec(&change.planned)?;
            let changed = change.action != Action::NoOp;
            session.plan(&name, Referable::KafkaCluster(spec), changed);
        } else {
            session.plan_open(Kind::KafkaCluster, &name);
        }
        Ok(())
    }
}

/// Refuses the types of a block that this release does not have.
fn refuse_type(config: &Object, block: &str, only: &str, diagnostics: &mut Diagnostics) {
    let path = Path::attr(block).attribute("type");
    let Some(value) = config.at(&path) else {
        return;
    };
    if let Tri::Known(chosen) =
        tfplugin::FromValue::from_value(value, &path).unwrap_or(Tri::<String>::Null)
        && schema::TYPES
            .iter()
            .any(|(of, types)| *of == block && types.contains(&chosen.as_str()))
        && chosen != only
    {
        let instead =
            format!("Use {only}: brokers with a plain listener without login work today.");
        diagnostics.push(not_yet(
            path,
            &format!("{block} of type {chosen}"),
            &instead,
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfplugin::value::Value;

    #[test]
    fn what_comes_later_is_refused_by_name_at_its_attribute() {
        let cases = [
            ("encryption_in_transit", "type", "TLS"),
            ("encryption_in_transit", "ca_certificate", "pem"),
            ("client_authentication", "type", "SCRAM_SHA_512"),
            ("client_authentication", "type", "AWS_MSK_IAM"),
            ("client_authentication", "username", "me"),
            ("client_authentication", "password_wo", "secret"),
        ];
        for (block, attribute, value) in cases {
            let config = Object::new().with(block, Value::object([(attribute, value)]));
            let mut diagnostics = Diagnostics::new();
            KafkaCluster.validate(&config, &mut diagnostics);
            let found: Vec<_> = diagnostics.iter().collect();
            assert_eq!(found.len(), 1, "{block}.{attribute}");
            assert_eq!(found[0].path.to_string(), format!("{block}.{attribute}"));
            assert!(
                found[0]
                    .summary
                    .contains("not supported in this release yet")
            );
        }
        let admin = Object::new().with("admin", Value::object([("username", "a")]));
        let mut diagnostics = Diagnostics::new();
        KafkaCluster.validate(&admin, &mut diagnostics);
        assert_eq!(diagnostics.iter().next().unwrap().path.to_string(), "admin");
    }

    #[test]
    fn what_works_or_is_unknown_is_let_through() {
        let config = Object::new()
            .with(
                "encryption_in_transit",
                Value::object([("type", "PLAINTEXT")]),
            )
            .with("client_authentication", Value::unknown());
        let mut diagnostics = Diagnostics::new();
        KafkaCluster.validate(&config, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
    }
}
