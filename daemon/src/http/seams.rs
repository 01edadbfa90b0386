//! What the API needs from the rest of the daemon, as small traits; the wiring implements them.

use crate::metrics::Snapshot;
use crate::store::StoreError;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use runnel_api::arn::Incarnation;
use runnel_api::connector::{
    ConnectorSpec, ConnectorState, Derived, Health, Previewed, TaskStatus, WorkerStatus,
};
use runnel_api::kafka_cluster::KafkaClusterSpec;
use runnel_api::object::Generation;
use runnel_api::plugin::{ContentRef, PluginStatus, Sha256Hex, StagedContent};
use runnel_api::role::RoleSpec;
use runnel_api::scaling::ScalingStatus;
use runnel_api::server::{LogPlaces, RuntimeInfo};
use runnel_api::worker_configuration::WorkerConfigurationSpec;
use runnel_api::{Name, Problem};
use std::collections::BTreeSet;

/// Wakes the reconciler. A wake-up says nothing: everything is looked at.
pub trait Wake: Send + Sync {
    /// Something was accepted.
    fn wake(&self);
}

/// A neighbour of a connector, stored or only planned.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbour<Spec> {
    /// Its name.
    pub name: Name,
    /// Its identity; that of the next life when it is only planned.
    pub identity: Incarnation,
    /// What is wanted of it.
    pub spec: Spec,
}

/// A plugin of a connector with what was found in its content.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivePlugin {
    /// The reference in the connector's specification.
    pub reference: ContentRef,
    /// What is in it.
    pub found: PluginStatus,
}

/// The connector as it is, when the specification changes one that exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// Its specification.
    pub spec: ConnectorSpec,
    /// What was derived from it.
    pub derived: Derived,
    /// Keys whose values are sealed.
    pub secret_keys: BTreeSet<String>,
    /// Its generation.
    pub generation: Generation,
}

/// Everything that a connector's derived part follows from, references resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct DeriveRequest {
    /// The connector's name.
    pub name: Name,
    /// Its identity: the current one, or that of the next life.
    pub identity: Incarnation,
    /// What is wanted.
    pub spec: ConnectorSpec,
    /// Keys whose values are or will be sealed.
    pub secret_keys: BTreeSet<String>,
    /// Where it connects.
    pub kafka_cluster: Neighbour<KafkaClusterSpec>,
    /// In the order of `spec.plugins`.
    pub plugins: Vec<DerivePlugin>,
    /// None means the default.
    pub worker_configuration: Option<WorkerConfigurationSpec>,
    /// What it may do.
    pub role: Neighbour<RoleSpec>,
    /// The connector that exists; none for a new one and when it is replaced.
    pub current: Option<Current>,
}

/// Derives a connector's computed part: pure, the same for the same request.
pub trait Deriver: Send + Sync {
    /// What follows from the specifications, or why they are refused.
    fn derive(&self, request: DeriveRequest) -> Previewed;
}

/// Bytes as they arrive.
pub type ByteStream = BoxStream<'static, std::io::Result<bytes::Bytes>>;

/// The content folder of plugins.
pub trait PluginContents: Send + Sync {
    /// Reads a stream to its end, checks and unpacks it, and keeps it under its digest. Nothing
    /// stays of what is refused; the same content twice is kept once.
    fn receive(
        &self,
        stream: ByteStream,
        promised: Option<Sha256Hex>,
    ) -> BoxFuture<'_, Result<StagedContent, Problem>>;

    /// What is in content that is kept, judged against the runtimes of this moment.
    fn found(&self, sha256: Sha256Hex) -> BoxFuture<'_, Option<PluginStatus>>;

    /// Removes content that nobody needs.
    fn remove(&self, sha256: Sha256Hex) -> BoxFuture<'_, Result<(), Problem>>;
}

/// The part of a connector's status that is observed; held in memory by the reconciler.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveStatus {
    /// Where it is in its life.
    pub state: ConnectorState,
    /// How it does.
    pub health: Health,
    /// Why.
    pub reason: Option<String>,
    /// The generation that settled last.
    pub settled_generation: Option<Generation>,
    /// Its tasks.
    pub tasks: Vec<TaskStatus>,
    /// Its workers.
    pub workers: Vec<WorkerStatus>,
    /// Topics that it has used.
    pub topics: Vec<String>,
    /// Milliseconds since the last successful look.
    pub observed_age_ms: Option<u64>,
    /// How it scales.
    pub scaling: Option<ScalingStatus>,
    /// Records that a sink has still to read.
    pub lag: Option<u64>,
}

/// Answers what is observed.
pub trait Live: Send + Sync {
    /// None before the reconciler has looked for the first time.
    fn status(&self, connector: &Name) -> Option<LiveStatus>;
}

/// Checks a role's documents.
pub trait RoleCheck: Send + Sync {
    /// The first thing that is wrong, with its field.
    fn check(&self, role: &RoleSpec) -> Result<(), Problem>;
}

impl<F: Fn(&RoleSpec) -> Result<(), Problem> + Send + Sync> RoleCheck for F {
    fn check(&self, role: &RoleSpec) -> Result<(), Problem> {
        self(role)
    }
}

/// What the machine has.
pub trait Host: Send + Sync {
    /// Registered runtimes, oldest first.
    fn runtimes(&self) -> Vec<RuntimeInfo>;
    /// `ENFORCED`, `PARTIAL` or `NONE`.
    fn isolation(&self) -> String;
    /// MCUs that it has for workers; none when they are not limited.
    fn mcus(&self) -> Option<u32>;
    /// Where logs can be delivered to, besides Kafka topics.
    fn log_places(&self) -> LogPlaces;
}

/// Gathers the figures of this moment for the metrics.
pub trait Figures: Send + Sync {
    /// How everything stands.
    fn snapshot(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>>;
}

/// Ends the daemon.
pub trait Stop: Send + Sync {
    /// Asks for the end and returns at once. Without `stop_workers` they go on and are adopted by
    /// the next daemon.
    fn stop(&self, stop_workers: bool);
}
