//! Scaling in words that the daemon, its API and Terraform share: sizes, decisions and what they rest on.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How large a fleet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// How many workers.
    pub workers: u32,
    /// MCUs of each worker: 1, 2, 4 or 8.
    pub mcu_count: u32,
}

impl Size {
    /// MCUs of the whole fleet.
    pub const fn mcus(self) -> u32 {
        self.workers.saturating_mul(self.mcu_count)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = if self.workers == 1 {
            "worker"
        } else {
            "workers"
        };
        let mcus = if self.mcu_count == 1 { "MCU" } else { "MCUs" };
        write!(f, "{} {workers} of {} {mcus}", self.workers, self.mcu_count)
    }
}

/// Which way a fleet grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ScalingMode {
    /// Provisioned capacity, or a minimum that is the maximum.
    Fixed,
    /// More or fewer workers of one size.
    Horizontal,
    /// One worker of another size: for classes that run a single task.
    Vertical,
}

/// What a look at the load ended in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Nothing changes.
    Hold {
        /// Why not.
        reason: HoldReason,
    },
    /// The fleet gets another size.
    Scale {
        /// The new size.
        to: Size,
    },
}

/// Why a fleet keeps its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HoldReason {
    /// The capacity leaves no choice: provisioned, or minimum and maximum are equal.
    Fixed,
    /// The connector is not wanted to run, or does not.
    NotRunning,
    /// A change is under way.
    Operation,
    /// Tasks move between workers.
    Rebalance,
    /// A worker has not run long enough to be judged.
    YoungWorker,
    /// CPU time of a needed bucket is not known.
    UnknownLoad,
    /// The load lies between the thresholds, or not long enough outside them.
    WithinThresholds,
    /// The last action is too recent.
    CoolDown,
    /// It is as large as its capacity allows.
    AtMaximum,
    /// It is as small as its capacity allows.
    AtMinimum,
    /// The host has no MCU to give.
    HostFull,
    /// Fewer MCUs would have too much to do.
    Forecast,
    /// What is to be read grows.
    GrowingLag,
}

/// What a decision rests on, in figures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// CPU utilisation in percent of each 60 s bucket that was looked at, oldest first; none where
    /// it is not known.
    pub cpu_percent: Vec<Option<u32>>,
    /// The threshold that was compared with, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_percent: Option<u32>,
    /// Utilisation that the new size is expected to have, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast_percent: Option<u32>,
    /// MCUs that the host had to give; none when they are not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_mcus: Option<u32>,
    /// Records that were not read yet, at the ends of the first and last bucket, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<(u64, u64)>,
    /// All of it in one line for people.
    pub text: String,
}

/// One decision as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalingDecision {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The size that it was made for.
    pub from: Size,
    /// What it ended in.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Why.
    pub evidence: Evidence,
}

impl fmt::Display for ScalingDecision {
    /// The decision and its evidence in one line, without the time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Scale { to } => write!(f, "{} → {to}", self.from)?,
            Verdict::Hold { .. } => write!(f, "{} stays", self.from)?,
        }
        if self.evidence.text.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.evidence.text)
    }
}

/// How a connector scales just now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalingStatus {
    /// Which way.
    pub mode: ScalingMode,
    /// The size that is wanted now.
    pub size: Size,
    /// `tasks.max` that Connect was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_max: Option<u32>,
    /// CPU utilisation of the last full bucket in percent, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u32>,
    /// The last decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<ScalingDecision>,
}
