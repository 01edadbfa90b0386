//! What the daemon says about itself.

use serde::{Deserialize, Serialize};
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
}

/// One registered runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeInfo {
    /// The name, as `kafkaconnect_version` takes it.
    pub name: String,
    /// The release of its `connect-runtime` jar.
    pub kafka_version: String,
}
