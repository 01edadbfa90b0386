//! What is known of one connector besides what is stored: ages quickly, lost at a restart.

use super::scaling::Load;
use super::silence::Silence;
use crate::http::seams::LiveStatus;
use crate::store::now_ms;
use runnel_api::connector::{ConnectorState, Health, TaskStatus, WorkerStatus};
use runnel_api::error::Warning;
use runnel_api::{Generation, Problem};
use runnel_planner::{Action, ConnectorPlan, Kafka, Preflight, Principal, Reading};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How often the same complaint is repeated in the log.
const COMPLAINT_PERIOD_MS: u64 = 60_000;

/// Memory of one connector; one task writes, the API reads.
#[derive(Default)]
pub(super) struct Memory {
    facts: Mutex<Facts>,
}

#[derive(Default)]
pub(super) struct Facts {
    /// Its cluster and its internal topics there.
    pub kafka: Kafka,
    /// Its user and ACLs there.
    pub principal: Principal,
    /// The last preflight.
    pub preflight: Option<Preflight>,
    /// Looks at its live workers, by id.
    pub silences: BTreeMap<String, Silence>,
    /// What a sink has still to read, and since when it has read nothing.
    pub reading: Option<Reading>,
    /// Whether a source that is being created has stored a position.
    pub position_stored: Option<bool>,
    /// Why workers of a launch cannot even be started, with the launch's digest.
    pub refused_launch: Option<(String, Problem)>,
    /// Remarks for the operation that is open.
    pub warnings: Vec<Warning>,
    /// What is told of it.
    pub told: Option<(ConnectorState, Health, Option<String>)>,
    pub tasks: Vec<TaskStatus>,
    pub workers: Vec<WorkerStatus>,
    pub topics: Vec<String>,
    /// When the topics were asked for last.
    pub topics_ms: u64,
    pub answered_ms: Option<u64>,
    pub settled: Option<Generation>,
    /// How busy its workers are.
    pub load: Load,
    /// Records that a sink has still to read.
    pub lag: Option<u64>,
    complaint: Option<(String, u64)>,
}

impl Memory {
    /// Runs with the facts; never across an await.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Facts) -> T) -> T {
        work(&mut self.facts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the API tells; none before the first plan.
    pub(super) fn live(&self) -> Option<LiveStatus> {
        self.with(|facts| {
            let (state, health, reason) = facts.told.clone()?;
            Some(LiveStatus {
                state,
                health,
                reason,
                settled_generation: facts.settled,
                tasks: facts.tasks.clone(),
                workers: facts.workers.clone(),
                topics: facts.topics.clone(),
                observed_age_ms: facts.answered_ms.map(|at| now_ms().saturating_sub(at)),
                scaling: facts.load.told.clone(),
                lag: facts.lag,
            })
        })
    }

    /// Takes the planner's word over; answers a line for the log when something changed.
    pub(super) fn tell(&self, decided: &ConnectorPlan) -> Option<String> {
        let told = (decided.state, decided.health, decided.reason.clone());
        let actions: Vec<String> = decided.actions.iter().map(ToString::to_string).collect();
        let same = self.with(|facts| {
            let same = facts.told.as_ref() == Some(&told);
            facts.told = Some(told);
            facts.settled = decided.progress.settled;
            same
        });
        // The regular look at the source is no news.
        let quiet = |action: &Action| matches!(action, Action::Preflight(_));
        if same && decided.actions.iter().all(quiet) {
            return None;
        }
        let mut line = format!("{:?}/{:?}", decided.state, decided.health);
        if let Some(reason) = &decided.reason {
            line.push_str(": ");
            line.push_str(reason);
        }
        if !actions.is_empty() {
            line.push_str(" -> ");
            line.push_str(&actions.join("; "));
        }
        Some(line)
    }

    /// Logs what went wrong in a pass, the same thing once a minute.
    pub(super) fn complain(&self, what: &str) {
        let repeat = self.with(|facts| {
            let known = facts.complaint.as_ref().is_some_and(|(text, at)| {
                text == what && now_ms().saturating_sub(*at) < COMPLAINT_PERIOD_MS
            });
            if !known {
                facts.complaint = Some((what.to_owned(), now_ms()));
            }
            known
        });
        if !repeat {
            tracing::warn!("{what}");
        }
    }

    /// Notes a failed attempt on the cluster.
    pub(super) fn kafka_failed(&self, problem: Problem) {
        self.with(|facts| {
            let since_ms = match &facts.kafka {
                Kafka::Trouble { since_ms, .. } => *since_ms,
                _ => now_ms(),
            };
            facts.kafka = Kafka::Trouble { problem, since_ms };
        });
    }
}
