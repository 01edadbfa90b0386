//! The output of the planner: actions with their order, the status to tell, when to look again.

use crate::world::Progress;
use runnel_api::connector::{ConnectorState, Health};
use runnel_api::scaling::ScalingDecision;
use runnel_api::{Generation, Name, OperationId, Outcome, Problem};
use std::collections::BTreeMap;
use std::fmt;

/// What to do next, for each connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// By name.
    pub connectors: BTreeMap<Name, ConnectorPlan>,
}

/// What to do next for one connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorPlan {
    /// In this order; the executor stops at the first that fails, and the next pass looks anew.
    pub actions: Vec<Action>,
    /// What was done so far, to be stored before the actions run.
    pub progress: Progress,
    /// The state to tell.
    pub state: ConnectorState,
    /// The health to tell.
    pub health: Health,
    /// Why, in one line.
    pub reason: Option<String>,
    /// What the open operation waits for.
    pub waiting_on: Option<String>,
    /// What was decided on the size, when it is not fixed.
    pub decision: Option<ScalingDecision>,
    /// When to look again at the latest, milliseconds since the Unix epoch.
    pub look_again_ms: u64,
}

/// Which generation an action is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The wanted one.
    Wanted,
    /// The one that settled last.
    Settled,
}

/// How an operation ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Which operation.
    pub operation: OperationId,
    /// How.
    pub outcome: Outcome,
    /// Why, when it did not succeed.
    pub problem: Option<Problem>,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.outcome)?;
        let Some(problem) = &self.problem else {
            return Ok(());
        };
        write!(f, ": {}", problem.message)
    }
}

/// One thing to do. Each is safe to do twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the internal topics.
    MakeTopics,
    /// Make the connector's user and ACLs what the role says; remove what is too much.
    Grant(Which),
    /// Remove the connector's user and ACLs.
    Revoke,
    /// Start one worker.
    StartWorker(Which),
    /// Tell a worker to stop; its shim kills it after the deadline.
    StopWorker(String),
    /// Kill a worker and its shim.
    KillWorker(String),
    /// Send `LeaveGroup` for a dead worker, keep its log, forget it.
    BuryWorker(String),
    /// Ask a ready worker to validate the configuration, which reaches out to the source.
    Preflight(Which),
    /// Create the connector in Connect, stopped.
    CreateStopped(Which),
    /// Stop the connector: no tasks, position kept.
    StopConnector,
    /// Read the offsets of the stopped connector into the progress.
    RecordOffsets,
    /// Put the recorded offsets back.
    RestoreOffsets,
    /// Put the configuration of the stopped connector.
    PutConfig(Which),
    /// Let it run.
    Resume,
    /// Let it pause.
    Pause,
    /// Restart the connector and its failed tasks.
    RestartFailed,
    /// Restart one task.
    RestartTask(u32),
    /// Delete the internal topics and groups.
    DeleteTopics,
    /// Note that the internal topics are still to be deleted, and go on without.
    LeaveTopicsForLater,
    /// Make the settled specification the wanted one again, and end the operation with it.
    RollBack {
        /// The settled generation.
        to: Generation,
        /// How the operation ends.
        ending: Ending,
    },
    /// End an operation.
    Conclude(Ending),
    /// Remove files and the connector itself from the store, and end its operation with it: a
    /// client that sees the end must not find the connector any more.
    Vanish(Option<Ending>),
}

impl Action {
    /// Every [`Action::kind`].
    pub const KINDS: [&'static str; 22] = [
        "make-topics",
        "grant",
        "revoke",
        "start-worker",
        "stop-worker",
        "kill-worker",
        "bury-worker",
        "preflight",
        "create-stopped",
        "stop-connector",
        "record-offsets",
        "restore-offsets",
        "put-config",
        "resume",
        "pause",
        "restart-failed",
        "restart-task",
        "delete-topics",
        "leave-topics-for-later",
        "roll-back",
        "conclude",
        "vanish",
    ];

    /// What is done, without to whom: the name of a step.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::MakeTopics => "make-topics",
            Self::Grant(_) => "grant",
            Self::Revoke => "revoke",
            Self::StartWorker(_) => "start-worker",
            Self::StopWorker(_) => "stop-worker",
            Self::KillWorker(_) => "kill-worker",
            Self::BuryWorker(_) => "bury-worker",
            Self::Preflight(_) => "preflight",
            Self::CreateStopped(_) => "create-stopped",
            Self::StopConnector => "stop-connector",
            Self::RecordOffsets => "record-offsets",
            Self::RestoreOffsets => "restore-offsets",
            Self::PutConfig(_) => "put-config",
            Self::Resume => "resume",
            Self::Pause => "pause",
            Self::RestartFailed => "restart-failed",
            Self::RestartTask(_) => "restart-task",
            Self::DeleteTopics => "delete-topics",
            Self::LeaveTopicsForLater => "leave-topics-for-later",
            Self::RollBack { .. } => "roll-back",
            Self::Conclude(_) => "conclude",
            Self::Vanish(_) => "vanish",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = |which: &Which| match which {
            Which::Wanted => "wanted",
            Which::Settled => "settled",
        };
        match self {
            Self::MakeTopics => f.write_str("make topics"),
            Self::Grant(w) => write!(f, "grant ({})", which(w)),
            Self::Revoke => f.write_str("revoke"),
            Self::StartWorker(w) => write!(f, "start worker ({})", which(w)),
            Self::StopWorker(id) => write!(f, "stop worker {id}"),
            Self::KillWorker(id) => write!(f, "kill worker {id}"),
            Self::BuryWorker(id) => write!(f, "bury worker {id}"),
            Self::Preflight(w) => write!(f, "preflight ({})", which(w)),
            Self::CreateStopped(w) => write!(f, "create stopped ({})", which(w)),
            Self::StopConnector => f.write_str("stop connector"),
            Self::RecordOffsets => f.write_str("record offsets"),
            Self::RestoreOffsets => f.write_str("restore offsets"),
            Self::PutConfig(w) => write!(f, "put config ({})", which(w)),
            Self::Resume => f.write_str("resume"),
            Self::Pause => f.write_str("pause"),
            Self::RestartFailed => f.write_str("restart what failed"),
            Self::RestartTask(id) => write!(f, "restart task {id}"),
            Self::DeleteTopics => f.write_str("delete topics"),
            Self::LeaveTopicsForLater => f.write_str("leave topics for later"),
            Self::RollBack { to, ending } => {
                write!(
                    f,
                    "roll the specification back to generation {to}, {ending}"
                )
            }
            Self::Conclude(ending) => write!(f, "conclude {ending}"),
            Self::Vanish(None) => f.write_str("vanish"),
            Self::Vanish(Some(ending)) => write!(f, "vanish, {ending}"),
        }
    }
}
