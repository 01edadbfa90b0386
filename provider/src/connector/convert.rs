//! Between HCL and the wire.

use super::Connector;
use crate::daemon_client::{Connectors, ObjectOf};
use crate::lifecycle::Convert;
use runnel_api::connector::{ConnectorSpec, Delivery, Derived, DesiredState, OnDestroy};
use runnel_api::plugin::ContentRef;
use runnel_api::{Arn, Name};
use std::collections::BTreeMap;
use tfplugin::value::Value;
use tfplugin::{Diagnostic, Object, Path};

use super::{capacity, log_delivery};

/// What makes the specification, apart from `kafkaconnect_version`, which the daemon may choose.
pub(super) const INPUTS: [&str; 14] = [
    "description",
    "kafka_cluster",
    "plugins",
    "worker_configuration",
    "service_execution_role_arn",
    "config",
    "capacity",
    "log_delivery",
    "delivery",
    "desired_state",
    "on_destroy",
    "accept_position_loss",
    "allow_plaintext_secrets",
    "config_wo_version",
];

impl Convert<Connectors> for Connector {
    fn spec(&self, values: &Object) -> Result<ConnectorSpec, Diagnostic> {
        let version = values.value("kafkaconnect_version");
        Ok(ConnectorSpec {
            description: values
                .get::<Option<String>>("description")?
                .unwrap_or_default(),
            kafka_cluster: cluster(values)?,
            plugins: plugins(values)?,
            worker_configuration: worker_configuration(values)?,
            service_execution_role_arn: role(values)?,
            kafkaconnect_version: version.as_str().map(str::to_owned),
            config: values.get("config")?,
            capacity: capacity::read(values)?,
            log_delivery: log_delivery::read(values)?,
            delivery: word(values, "delivery", &DELIVERIES)?,
            desired_state: word(values, "desired_state", &DESIRED_STATES)?,
            on_destroy: word(values, "on_destroy", &ON_DESTROY)?,
            accept_position_loss: flag(values, "accept_position_loss")?,
            allow_plaintext_secrets: flag(values, "allow_plaintext_secrets")?,
            config_wo_version: values.get("config_wo_version")?,
        })
    }

    fn state(&self, object: &ObjectOf<Connectors>, carried: &Object) -> Object {
        let spec = &object.spec;
        let content = spec.worker_configuration.as_ref();
        let mut state = Object::new()
            .with("name", object.name.as_str())
            .with("description", spec.description.as_str())
            .with("kafka_cluster", spec.kafka_cluster.as_str())
            .with(
                "plugins",
                Value::set(spec.plugins.iter().map(|each| each.to_string().into())),
            )
            .with("worker_configuration", content.map(ToString::to_string))
            .with(
                "service_execution_role_arn",
                spec.service_execution_role_arn.as_str(),
            )
            .with("config", Value::map(&spec.config))
            .with("config_wo_version", spec.config_wo_version)
            .with("allow_plaintext_secrets", spec.allow_plaintext_secrets)
            .with("capacity", capacity::write(&spec.capacity))
            .with(
                "desired_state",
                spoken(&spec.desired_state, &DESIRED_STATES),
            )
            .with("on_destroy", spoken(&spec.on_destroy, &ON_DESTROY))
            .with("accept_position_loss", spec.accept_position_loss)
            .with("delivery", spoken(&spec.delivery, &DELIVERIES))
            .with(
                "log_delivery",
                log_delivery::write(spec.log_delivery.as_ref()),
            )
            .with("arn", object.arn.as_str())
            .with("version", object.generation.0)
            .with("timeouts", carried.value("timeouts").clone());
        set_derived(&mut state, &object.status.derived);
        state.set(
            "kafkaconnect_version",
            object.status.derived.kafkaconnect_version.as_str(),
        );
        state
    }
}

/// Everything that follows from specifications, but the runtime.
pub(super) fn set_derived(values: &mut Object, derived: &Derived) {
    let summary = &derived.capacity_summary;
    let summary = Value::object([
        ("mcus", summary.mcus.as_str()),
        ("memory", summary.memory.as_str()),
        ("network", summary.network.as_str()),
        ("scaling", summary.scaling.as_str()),
    ]);
    values.set("principal", derived.principal.as_str());
    values.set("effective_config", Value::map(&derived.effective_config));
    values.set("kafka_acls", Value::list(&derived.kafka_acls));
    values.set("capacity_summary", summary);
}

const DESIRED_STATES: [(&str, DesiredState); 3] = [
    ("RUNNING", DesiredState::Running),
    ("PAUSED", DesiredState::Paused),
    ("STOPPED", DesiredState::Stopped),
];

const DELIVERIES: [(&str, Delivery); 2] = [
    ("AT_LEAST_ONCE", Delivery::AtLeastOnce),
    ("EXACTLY_ONCE", Delivery::ExactlyOnce),
];

const ON_DESTROY: [(&str, OnDestroy); 2] = [
    ("DELETE_INTERNAL_TOPICS", OnDestroy::DeleteInternalTopics),
    ("KEEP_INTERNAL_TOPICS", OnDestroy::KeepInternalTopics),
];

fn word<T: Copy + Default>(
    values: &Object,
    name: &str,
    words: &[(&str, T)],
) -> Result<T, Diagnostic> {
    let Some(text) = values.get::<Option<String>>(name)? else {
        return Ok(T::default());
    };
    let found = words.iter().find(|(word, _)| *word == text);
    found
        .map(|(_, meaning)| *meaning)
        .ok_or_else(|| invalid(name, format!("There is no {text:?} here.")))
}

fn spoken<T: PartialEq>(meaning: &T, words: &[(&'static str, T)]) -> &'static str {
    words
        .iter()
        .find(|(_, each)| each == meaning)
        .map_or("", |(word, _)| word)
}

fn flag(values: &Object, name: &str) -> Result<bool, Diagnostic> {
    Ok(values.get::<Option<bool>>(name)?.unwrap_or_default())
}

fn invalid(path: impl Into<Path>, detail: String) -> Diagnostic {
    Diagnostic::error("Invalid value", detail).at(path)
}

fn cluster(values: &Object) -> Result<Name, Diagnostic> {
    let text: String = values.get("kafka_cluster")?;
    Name::parse(&text).map_err(|error| invalid("kafka_cluster", format!("{error}.")))
}

/// In the order of their names: plugins are a set.
fn plugins(values: &Object) -> Result<Vec<ContentRef>, Diagnostic> {
    let texts: Vec<String> = values.get("plugins")?;
    let mut plugins = texts
        .into_iter()
        .map(|text| {
            ContentRef::try_from(text).map_err(|error| invalid("plugins", format!("{error}.")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    plugins.sort();
    Ok(plugins)
}

fn worker_configuration(values: &Object) -> Result<Option<ContentRef>, Diagnostic> {
    let text: Option<String> = values.get("worker_configuration")?;
    let refused = |error| invalid("worker_configuration", format!("{error}."));
    text.map(|text| ContentRef::try_from(text).map_err(refused))
        .transpose()
}

fn role(values: &Object) -> Result<Arn, Diagnostic> {
    let text: String = values.get("service_execution_role_arn")?;
    Arn::parse(&text)
        .ok_or_else(|| invalid("service_execution_role_arn", format!("{text:?} is no ARN.")))
}

/// The keys and values of `config_wo`, which only a configuration has.
pub(super) fn config_wo(config: &Object) -> Result<Option<BTreeMap<String, String>>, Diagnostic> {
    config.get("config_wo")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use runnel_api::capacity::Capacity;
    use runnel_api::log_delivery::LogDelivery;

    /// A connector as a user declares it.
    pub(crate) fn declared() -> Object {
        let digest = "ab".repeat(32);
        let provisioned = Value::object([("mcu_count", 1), ("worker_count", 2)]);
        Object::new()
            .with("name", "orders")
            .with("kafka_cluster", "shop")
            .with(
                "plugins",
                Value::set([Value::from(format!("p@sha256:{digest}"))]),
            )
            .with(
                "service_execution_role_arn",
                "arn:aws:iam::000000000000:role/ecommerce",
            )
            .with(
                "config",
                Value::map([("connector.class", "io.A"), ("tasks.max", "1")]),
            )
            .with("capacity", Value::object([("provisioned", provisioned)]))
    }

    /// What the daemon answers for a specification.
    pub(crate) fn object(spec: &ConnectorSpec, generation: u64) -> ObjectOf<Connectors> {
        serde_json::from_value(serde_json::json!({
            "name": "orders", "id": "00000000-0000-0000-0000-000000000001",
            "arn": "arn:aws:kafkaconnect:us-east-1:000000000000:connector/orders/x-1",
            "generation": generation, "spec": spec,
            "status": {
                "derived": {
                    "kafkaconnect_version": "3.9", "principal": "User:ANONYMOUS",
                    "effective_config": {"tasks.max": "1"}, "kafka_acls": [], "enforcement": "NONE",
                    "capacity_summary": {"mcus": "2", "memory": "8 GiB", "network": "2 workers", "scaling": "fixed"},
                },
                "secret_keys": [], "state": "RUNNING", "health": "RUNNING",
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_specification_reads_back_from_the_state_it_makes() {
        let mut spec = Connector.spec(&declared()).unwrap();
        assert_eq!(
            spec.capacity,
            Capacity::Provisioned {
                mcu_count: 1,
                worker_count: 2
            }
        );
        assert_eq!(spec.kafkaconnect_version, None);
        let state = Connector.state(&object(&spec, 3), &Object::new());
        assert_eq!(state.get::<u64>("version"), Ok(3));
        spec.delivery = Delivery::ExactlyOnce;
        spec.log_delivery = Some(LogDelivery::default());
        let state = Connector.state(&object(&spec, 3), &state);
        // From then on the runtime is named.
        spec.kafkaconnect_version = Some("3.9".into());
        assert_eq!(Connector.spec(&state), Ok(spec));
    }

    #[test]
    fn every_refusal_points_at_its_attribute() {
        let cases: [(&str, Value); 8] = [
            ("delivery", "NEVER".into()),
            ("kafka_cluster", "a/b".into()),
            ("worker_configuration", "nonsense".into()),
            ("service_execution_role_arn", "nonsense".into()),
            ("desired_state", "ASLEEP".into()),
            ("on_destroy", "EXPLODE".into()),
            ("plugins", Value::set([Value::from("x")])),
            ("config", Value::Null),
        ];
        for (name, value) in cases {
            let refused = Connector.spec(&declared().with(name, value)).unwrap_err();
            assert_eq!(refused.path.to_string(), name);
        }
        let null = declared().with("config", Value::map([("a", Value::Null)]));
        let refused = Connector.spec(&null).unwrap_err();
        assert_eq!(refused.path.to_string(), r#"config["a"]"#);
    }
}
