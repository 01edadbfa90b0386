//! Worker configurations: Connect worker properties, addressed by their content.

use crate::object::Object;
use crate::plugin::Sha256Hex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// MSK Connect's default worker configuration: string converters for key and value.
pub const DEFAULT: [(&str, &str); 2] = [
    (
        "key.converter",
        "org.apache.kafka.connect.storage.StringConverter",
    ),
    (
        "value.converter",
        "org.apache.kafka.connect.storage.StringConverter",
    ),
];

/// What a user declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerConfigurationSpec {
    /// Free text, up to 1024 characters.
    #[serde(default)]
    pub description: String,
    /// Worker properties. `key.converter` and `value.converter` must be among them.
    pub properties: BTreeMap<String, String>,
}

impl WorkerConfigurationSpec {
    /// The digest that `ref` holds: SHA-256 of the sorted `key=value` pairs, each length-prefixed,
    /// so that neither order nor comments of a properties file matter.
    pub fn sha256(&self) -> Sha256Hex {
        let mut bytes = Vec::new();
        for text in self.properties.iter().flat_map(|(key, value)| [key, value]) {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        Sha256Hex::of_bytes(&bytes)
    }

    /// The first property that may not be set, with the reason, by MSK Connect's rules
    /// (developer guide, "Supported worker configuration properties").
    pub fn refused(&self) -> Option<(&str, String)> {
        for required in ["key.converter", "value.converter"] {
            if !self.properties.contains_key(required) {
                return Some((required, format!("the property {required} is required")));
            }
        }
        self.properties.iter().find_map(|(key, value)| {
            refusal(key)
                .or_else(|| names_a_provider(value).then_some(REFERENCE))
                .map(|reason| (key.as_str(), format!("the property {key} {reason}")))
        })
    }
}

/// Prefixes that belong to the service.
const REFUSED_PREFIXES: [&str; 17] = [
    "access.control.",
    "admin.",
    "client.",
    "connect.",
    "inter.worker.",
    "internal.",
    "listeners.https.",
    "metrics.",
    "rest.",
    "sasl.",
    "security.",
    "socket.",
    "ssl.",
    "topic.tracking.",
    "worker.",
    "config.providers.",
    "plugin.",
];

/// Keys that belong to the service.
const REFUSED_KEYS: [&str; 22] = [
    "bootstrap.servers",
    "config.providers",
    "config.storage.topic",
    "connections.max.idle.ms",
    "connector.client.config.override.policy",
    "exactly.once.source.support",
    "group.id",
    "header.converter.type",
    "listeners",
    "metric.reporters",
    "offset.storage.topic",
    "plugin.path",
    "receive.buffer.bytes",
    "response.http.headers.config",
    "scheduled.rebalance.max.delay.ms",
    "send.buffer.bytes",
    "session.timeout.ms",
    "status.storage.topic",
    "offset.storage.replication.factor",
    "config.storage.replication.factor",
    "status.storage.replication.factor",
    "topic.creation.enable",
];

/// `producer.` keys that MSK Connect allows.
const PRODUCER_KEYS: [&str; 16] = [
    "acks",
    "batch.size",
    "buffer.memory",
    "compression.type",
    "enable.idempotence",
    "key.serializer",
    "linger.ms",
    "max.request.size",
    "metadata.max.age.ms",
    "metadata.max.idle.ms",
    "partitioner.class",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.ms",
    "value.serializer",
];

/// `consumer.` keys that MSK Connect allows.
const CONSUMER_KEYS: [&str; 19] = [
    "allow.auto.create.topics",
    "auto.offset.reset",
    "check.crcs",
    "fetch.max.bytes",
    "fetch.max.wait.ms",
    "fetch.min.bytes",
    "heartbeat.interval.ms",
    "key.deserializer",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "max.poll.records",
    "metadata.max.age.ms",
    "partition.assignment.strategy",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.ms",
    "session.timeout.ms",
    "value.deserializer",
];

/// Why a value with a reference is refused.
const REFERENCE: &str =
    "refers to a config provider; a worker has none but that for a connector's own secret files";

/// Whether a value has a reference to a config provider (KIP-297): `${provider:key}` or
/// `${provider:path:key}`. The worker would resolve it, or what a converter makes of its settings.
fn names_a_provider(value: &str) -> bool {
    value.split("${").skip(1).any(|rest| {
        rest.split_once('}')
            .is_some_and(|(inside, _)| inside.contains(':'))
    })
}

/// Whether a property gives a worker, or something in it, config providers: a converter that reads
/// its settings as Kafka does takes them below its own prefix too.
fn gives_providers(key: &str) -> bool {
    const NAME: &str = "config.providers";
    let ends = std::iter::once(0).chain(key.match_indices('.').map(|(at, _)| at + 1));
    ends.into_iter().any(|at| {
        let rest = key[at..].strip_prefix(NAME);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn refusal(key: &str) -> Option<&'static str> {
    if let Some(rest) = key.strip_prefix("producer.") {
        return (!PRODUCER_KEYS.contains(&rest))
            .then_some("is not among the producer settings that may be set");
    }
    if let Some(rest) = key.strip_prefix("consumer.") {
        return (!CONSUMER_KEYS.contains(&rest))
            .then_some("is not among the consumer settings that may be set");
    }
    let owned = REFUSED_KEYS.contains(&key)
        || gives_providers(key)
        || REFUSED_PREFIXES
            .iter()
            .any(|prefix| key.starts_with(prefix));
    owned.then_some("is set by Runnel itself")
}

/// What the daemon adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerConfigurationStatus {
    /// Digest of the properties.
    pub sha256: Sha256Hex,
}

/// A worker configuration.
pub type WorkerConfiguration = Object<WorkerConfigurationSpec, WorkerConfigurationStatus>;

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(pairs: &[(&str, &str)]) -> WorkerConfigurationSpec {
        let all = DEFAULT.iter().chain(pairs);
        WorkerConfigurationSpec {
            description: String::new(),
            properties: all.map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        }
    }

    #[test]
    fn what_the_service_owns_may_not_be_set() {
        assert_eq!(spec(&[]).refused(), None);
        assert_eq!(spec(&[("offset.flush.interval.ms", "1")]).refused(), None);
        assert_eq!(spec(&[("producer.linger.ms", "5")]).refused(), None);
        for key in [
            "group.id",
            "ssl.keystore.location",
            "producer.bootstrap.servers",
            "consumer.group.id",
        ] {
            assert_eq!(spec(&[(key, "x")]).refused().map(|r| r.0), Some(key));
        }
        let without = WorkerConfigurationSpec {
            description: String::new(),
            properties: BTreeMap::new(),
        };
        assert_eq!(without.refused().map(|r| r.0), Some("key.converter"));
    }

    #[test]
    fn config_providers_are_refused_by_key_and_by_value() {
        for (key, value) in [
            ("config.providers", "env"),
            ("config.providers.env.class", "x.EnvVarConfigProvider"),
            ("key.converter.config.providers", "env"),
            ("key.converter.config.providers.env.class", "x"),
            ("producer.config.providers", "env"),
            ("value.converter.schemas.cache.size", "${env:HOME}"),
            ("key.converter.x", "${dir:/etc:passwd}"),
            ("offset.flush.interval.ms", "1${file:/etc/passwd:root}"),
            ("producer.acks", "${}${sys:user.name}"),
        ] {
            let spec = spec(&[(key, value)]);
            let (field, reason) = spec.refused().unwrap_or_else(|| panic!("{key} = {value}"));
            assert_eq!(field, key);
            assert!(!reason.contains(value) || value.len() < 4, "{reason}");
        }
        for (key, value) in [
            ("key.converter.x", "${topic}"),
            ("key.converter.x", "${a"),
            ("key.converter.my.config.providers2", "x"),
        ] {
            assert_eq!(spec(&[(key, value)]).refused(), None, "{key}");
        }
    }

    #[test]
    fn the_digest_depends_on_content_alone() {
        assert_eq!(spec(&[("a", "b")]).sha256(), spec(&[("a", "b")]).sha256());
        assert_ne!(spec(&[("a", "b")]).sha256(), spec(&[("a", "c")]).sha256());
        assert_ne!(spec(&[("ab", "")]).sha256(), spec(&[("a", "b")]).sha256());
    }
}
