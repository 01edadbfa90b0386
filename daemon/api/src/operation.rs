//! Operations: one accepted change and its outcome.

use crate::error::{Problem, Warning};
use crate::name::{Kind, Name};
use crate::object::Generation;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Identifies an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub Uuid);

impl std::fmt::Display for OperationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OperationKind {
    /// The object is new.
    Create,
    /// A new generation.
    Update,
    /// The object goes.
    Delete,
    /// Workers are started anew, nothing else changes.
    Restart,
}

/// What a restart is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartScope {
    /// All workers are replaced, one after the other.
    #[default]
    All,
    /// One task is restarted in its worker.
    Task(u32),
    /// One worker is replaced.
    Worker(String),
}

/// Body of `POST /api/v1/connectors/{name}/restart`: `{}`, `{"task": 0}` or `{"worker": "ID"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestartRequest {
    /// Only this task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<u32>,
    /// Only this worker, by the daemon's id or as `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
}

/// How far it is. The HTTP layer creates it PENDING, the reconciler moves it on; every state but
/// the first two is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// Accepted, not begun.
    Pending,
    /// The reconciler works on it.
    InProgress,
    /// Done, and seen to be done.
    Succeeded,
    /// Not done; `problem` says why. A create is undone, an update is left as it failed.
    Failed,
    /// Not done; the generation that settled last runs again.
    RolledBack,
    /// A newer change took over.
    Superseded,
}

impl Outcome {
    /// True when nothing will change any more.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::InProgress)
    }
}

/// One accepted change of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// What it changes.
    pub object_kind: Kind,
    /// The name of what it changes.
    pub name: Name,
    /// What was asked.
    pub kind: OperationKind,
    /// The generation that it brings.
    pub generation: Generation,
    /// What a restart is about; absent for other kinds and when it is about all workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartScope>,
    /// How far it is.
    pub outcome: Outcome,
    /// What it waits for just now, in words; absent when final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// Remarks that did not stop it (internal topics left behind because Kafka was away …).
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// When it was accepted, milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it became final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
}
