//! What the daemon says about itself.

use crate::name::Name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Version of the HTTP API that this crate describes; a provider refuses another one.
pub const API_VERSION: u32 = 1;

/// The answer to `GET /api/v1/info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Release of the daemon.
    pub version: String,
    /// Version of the API, [`API_VERSION`].
    pub api_version: u32,
    /// Identity of the daemon's store; ids derive from it.
    pub daemon: Uuid,
    /// Things this release can do, by name.
    pub abilities: Vec<String>,
    /// Registered runtimes, oldest first.
    pub runtimes: Vec<RuntimeInfo>,
    /// `ENFORCED`, `PARTIAL` or `NONE`: how MCU limits are held.
    pub isolation: String,
    /// Places that logs can be delivered to, besides Kafka topics.
    #[serde(default)]
    pub log_places: LogPlaces,
}

/// Places of [log delivery](crate::log_delivery) that the daemon is configured for. A Kafka topic
/// needs no configuration: it is on the connector's cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlaces {
    /// Files: `[log_delivery] directory`.
    pub file: bool,
    /// CloudWatch Logs: `[log_delivery.cloudwatch_logs]`.
    pub cloudwatch_logs: bool,
}

/// The answer to `GET /api/v1/capacity`: MCUs of the host and who holds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCapacity {
    /// MCUs that workers may have together (`[capacity] mcus`); none when they are not limited.
    #[serde(default)]
    pub mcus: Option<u32>,
    /// MCUs of the fewest workers of all connectors.
    pub held: u64,
    /// The same for each connector.
    pub connectors: BTreeMap<Name, u32>,
}

/// The answer to `POST /api/v1/sealing-key/rotate`: what is sealed with another key now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealingKeyRotation {
    /// Secrets of objects: values of `config_wo`, passwords of Kafka clusters.
    pub secrets: u64,
    /// Generations whose fingerprint was computed again.
    pub generations: u64,
    /// Passwords of connectors' users on brokers.
    pub passwords: u64,
    /// Whether the new key's file is in the old one's place. If not, both are in the data folder,
    /// and the daemon's next start does it.
    pub old_key_removed: bool,
}

/// One registered runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeInfo {
    /// The name, as `kafkaconnect_version` takes it.
    pub name: String,
    /// The release of its `connect-runtime` jar.
    pub kafka_version: String,
}
