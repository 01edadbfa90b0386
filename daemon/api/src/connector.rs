//! Connectors: a configuration that is run under a role, on a cluster, with plugins and a capacity.

use crate::arn::Arn;
use crate::capacity::{Capacity, CapacitySummary};
use crate::error::{Problem, Warning};
use crate::kafka_cluster::{Enforcement, KafkaClusterSpec};
use crate::log_delivery::LogDelivery;
use crate::name::Name;
use crate::object::{Generation, Object};
use crate::operation::OperationId;
use crate::plugin::{ContentRef, PluginSpec};
use crate::role::RoleSpec;
use crate::scaling::ScalingStatus;
use crate::worker_configuration::WorkerConfigurationSpec;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What a user declares. Secret values of the configuration travel in [`crate::Put::secrets`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorSpec {
    /// Free text, up to 1024 characters.
    #[serde(default)]
    pub description: String,
    /// Name of the Kafka cluster.
    pub kafka_cluster: Name,
    /// References of plugins, at least one.
    pub plugins: Vec<ContentRef>,
    /// Reference of a worker configuration; none means MSK Connect's default.
    #[serde(default)]
    pub worker_configuration: Option<ContentRef>,
    /// ARN of the role.
    pub service_execution_role_arn: Arn,
    /// A runtime's name; none means: the newest that fits the plugins, and then the same for good.
    #[serde(default)]
    pub kafkaconnect_version: Option<String>,
    /// The connector's configuration without secrets.
    pub config: BTreeMap<String, String>,
    /// How many workers of which size.
    pub capacity: Capacity,
    /// Where its workers' logs are delivered besides the daemon's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_delivery: Option<LogDelivery>,
    /// What is promised of each change of the source.
    #[serde(default, skip_serializing_if = "Delivery::is_default")]
    pub delivery: Delivery,
    /// Whether it runs.
    #[serde(default)]
    pub desired_state: DesiredState,
    /// What happens to the position at delete.
    #[serde(default)]
    pub on_destroy: OnDestroy,
    /// Accepts a change that loses the position.
    #[serde(default)]
    pub accept_position_loss: bool,
    /// Lets secret keys stand in `config`.
    #[serde(default)]
    pub allow_plaintext_secrets: bool,
    /// The number by which the user says that the secrets beside the specification are new ones.
    /// Kept so that an import can give it back; it means nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_wo_version: Option<i64>,
}

/// What is promised of each change of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Delivery {
    /// Each is in Kafka; after a fault some are there more than once.
    #[default]
    AtLeastOnce,
    /// Each is there once for who reads committed records only: records and offsets are written in
    /// one transaction (KIP-618). Source connectors whose class supports it.
    ExactlyOnce,
}

impl Delivery {
    /// True for [`Delivery::AtLeastOnce`], which specifications of older releases do not name.
    pub const fn is_default(&self) -> bool {
        matches!(self, Self::AtLeastOnce)
    }
}

/// Whether a connector runs, as Kafka Connect names the states (KIP-875).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DesiredState {
    /// Tasks run.
    #[default]
    Running,
    /// Tasks exist and wait.
    Paused,
    /// No tasks; position kept.
    Stopped,
}

/// What happens to the position when the connector is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OnDestroy {
    /// Internal topics, and with them the position, go with the connector.
    #[default]
    DeleteInternalTopics,
    /// Internal topics stay on the cluster.
    KeepInternalTopics,
}

/// Where a connector is in its life. The reconciler alone moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConnectorState {
    /// The first generation has not settled yet.
    Creating,
    /// The wanted generation runs.
    Running,
    /// A newer generation is on its way in.
    Updating,
    /// Workers are started anew on request.
    Restarting,
    /// Paused as wanted.
    Paused,
    /// Stopped as wanted.
    Stopped,
    /// It does not run and will not without a change.
    Failed,
    /// A delete is under way.
    Deleting,
}

/// How the running connector does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Health {
    /// All tasks run, on live workers.
    Running,
    /// It runs, but not as it should; the reason says how.
    Degraded,
    /// It does not run.
    Failed,
    /// Nobody could be asked lately.
    Unknown,
    /// Paused or stopped as wanted: there is nothing to judge.
    Idle,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// Its number, from 0.
    pub id: u32,
    /// As Connect says: `RUNNING`, `FAILED`, `UNASSIGNED`, `PAUSED`, `RESTARTING`.
    pub state: String,
    /// `host:port` of its worker.
    pub worker_id: String,
    /// Root line of its trace when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One worker process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// The daemon's id of this process; one process, one id.
    pub id: String,
    /// Its process id.
    #[serde(default)]
    pub pid: Option<u32>,
    /// `host:port` by which Connect knows it, once it listens.
    #[serde(default)]
    pub worker_id: Option<String>,
    /// `STARTING`, `READY`, `STOPPING`, `DEAD` or `UNKNOWN`.
    pub state: String,
    /// When it was started, milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// Its size in MCUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcu_count: Option<u32>,
    /// CPU time in percent of its MCUs between the last two samples, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u32>,
    /// Resident memory in MiB, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rss_mib: Option<u64>,
}

/// What follows from specifications alone; known at plan, never changed by what runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derived {
    /// The runtime.
    pub kafkaconnect_version: String,
    /// The Kafka principal of the connector (`User:…`), `User:ANONYMOUS` on a cluster without login.
    pub principal: String,
    /// The configuration as the worker gets it, secrets as `***`.
    pub effective_config: BTreeMap<String, String>,
    /// ACLs in readable form; empty where roles are not enforced.
    pub kafka_acls: Vec<String>,
    /// Whether the role is enforced.
    pub enforcement: Enforcement,
    /// Capacity in machine terms.
    pub capacity_summary: CapacitySummary,
}

/// What the daemon adds to a connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorStatus {
    /// What follows from the specifications.
    pub derived: Derived,
    /// Keys whose values are sealed (`config_wo`).
    pub secret_keys: BTreeSet<String>,
    /// Where it is in its life.
    pub state: ConnectorState,
    /// How it does.
    pub health: Health,
    /// Why, in one line, when state or health need a reason.
    #[serde(default)]
    pub reason: Option<String>,
    /// The generation that was last seen to run for the settle time.
    #[serde(default)]
    pub settled_generation: Option<Generation>,
    /// The last operation.
    #[serde(default)]
    pub operation: Option<OperationId>,
    /// Tasks as Connect says.
    #[serde(default)]
    pub tasks: Vec<TaskStatus>,
    /// Worker processes.
    #[serde(default)]
    pub workers: Vec<WorkerStatus>,
    /// Topics that the connector has used, by Connect's topic tracking (KIP-558).
    #[serde(default)]
    pub topics: Vec<String>,
    /// Milliseconds since the last successful look at the worker; absent before the first.
    #[serde(default)]
    pub observed_age_ms: Option<u64>,
    /// How it scales just now; absent before the first look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,
    /// Records that a sink has still to read, over all its partitions; absent for sources and
    /// where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
}

/// The user that an admin makes on the broker for the connector of this name and id. Two daemons, or
/// two lives of one name, never share a user.
pub fn user_of(name: &Name, id: Uuid) -> String {
    let id = id.simple().to_string();
    format!("runnel-{name}-{}", &id[..12])
}

/// A connector.
pub type Connector = Object<ConnectorSpec, ConnectorStatus>;

/// Body of `POST /api/v1/connectors/{name}/preview`: what would come of this specification?
///
/// `assumed` holds specifications that are planned but not applied yet; they take precedence over
/// what is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preview {
    /// The specification.
    pub spec: ConnectorSpec,
    /// Keys that `config_wo` holds; their values are not needed. Absent means: those that are
    /// sealed stay.
    #[serde(default)]
    pub secret_keys: Option<BTreeSet<String>>,
    /// Planned objects.
    #[serde(default)]
    pub assumed: Assumed,
    /// True when an existing connector of this name goes first, so that nothing of it is kept.
    #[serde(default)]
    pub replacing: bool,
}

/// Objects that are planned in the same run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumed {
    /// By name.
    #[serde(default)]
    pub kafka_clusters: BTreeMap<Name, KafkaClusterSpec>,
    /// By name; their content is staged.
    #[serde(default)]
    pub plugins: BTreeMap<Name, PluginSpec>,
    /// By name.
    #[serde(default)]
    pub worker_configurations: BTreeMap<Name, WorkerConfigurationSpec>,
    /// By name.
    #[serde(default)]
    pub roles: BTreeMap<Name, RoleSpec>,
    /// Capacities of other connectors that are planned in the same run, by name: the host must have
    /// room for all of them.
    #[serde(default)]
    pub capacities: BTreeMap<Name, Capacity>,
    /// Connectors that the same run destroys: they hold no capacity any more.
    #[serde(default)]
    pub destroyed: BTreeSet<Name>,
}

/// The answer to a preview. `derived` is absent when there are problems.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Previewed {
    /// What follows from the specifications.
    #[serde(default)]
    pub derived: Option<Derived>,
    /// What would be refused.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// Remarks.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}
