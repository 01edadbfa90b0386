//! What the host gives to all connectors together: starts at one time, and MCUs.
//!
//! Passes of different connectors run side by side. Each decides under the ledger's lock and books
//! what it takes there, so that two of them never take the same thing.

use runnel_api::Name;
use runnel_planner::{Action, ConnectorPlan, Host, Seen, WorkerState};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A worker that is not ready after this time waits for something else than a CPU (Kafka, mostly),
/// and keeps nobody from starting. The slowest start measured is 18 s.
const START_MS: u64 = 20_000;

/// Limits of the host; none means: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// Workers that may be starting at one time.
    pub starts: Option<u32>,
    /// MCUs of all fleets together.
    pub mcus: Option<u32>,
}

/// Who takes what.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    limits: Limits,
    entries: Mutex<BTreeMap<Name, Entry>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    starting: u32,
    mcus: u32,
}

impl Ledger {
    /// An empty ledger; connectors book themselves in with their first pass.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: Mutex::default(),
        }
    }

    /// Lets `decide` choose with what is left for `name`, and books what it chose. `mcus` tells the
    /// MCUs that a plan holds.
    pub(super) fn book(
        &self,
        name: &Name,
        seen: &Seen,
        now_ms: u64,
        decide: impl FnOnce(Host) -> Option<ConnectorPlan>,
        mcus: impl FnOnce(&ConnectorPlan) -> u32,
    ) -> Option<ConnectorPlan> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let others = |of: fn(&Entry) -> u32| -> u32 {
            let others = entries.iter().filter(|(other, _)| *other != name);
            others.map(|(_, entry)| of(entry)).sum()
        };
        let own = starting(seen, now_ms);
        let host = Host {
            start_slots: self
                .limits
                .starts
                .map(|limit| limit.saturating_sub(others(|it| it.starting) + own)),
            free_mcus: self.limits.mcus.map(|limit| {
                let held = entries.get(name).map_or(0, |entry| entry.mcus);
                limit.saturating_sub(others(|it| it.mcus) + held)
            }),
        };
        let decided = decide(host)?;
        let starts = decided
            .actions
            .iter()
            .filter(|action| matches!(action, Action::StartWorker(_)))
            .count();
        let entry = Entry {
            starting: own.saturating_add(u32::try_from(starts).unwrap_or(u32::MAX)),
            mcus: mcus(&decided),
        };
        entries.insert(name.clone(), entry);
        Some(decided)
    }

    /// Forgets connectors that are gone.
    pub(super) fn retain(&self, keep: impl Fn(&Name) -> bool) {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|name, _| keep(name));
    }
}

fn starting(seen: &Seen, now_ms: u64) -> u32 {
    let young = |started_ms: u64| now_ms.saturating_sub(started_ms) < START_MS;
    let count = seen
        .workers
        .iter()
        .filter(|worker| worker.state == WorkerState::Starting && young(worker.started_ms))
        .count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use runnel_api::connector::{ConnectorState, Health};
    use runnel_planner::{Progress, Which};

    fn plan_of(starts: usize) -> ConnectorPlan {
        ConnectorPlan {
            actions: vec![Action::StartWorker(Which::Wanted); starts],
            progress: Progress::default(),
            state: ConnectorState::Creating,
            health: Health::Unknown,
            reason: None,
            waiting_on: None,
            decision: None,
            look_again_ms: 0,
        }
    }

    fn ask(ledger: &Ledger, name: &str, starts: usize, mcus: u32) -> Host {
        let mut told = None;
        let name = Name::parse(name).unwrap();
        ledger.book(
            &name,
            &Seen::default(),
            0,
            |host| {
                told = Some(host);
                Some(plan_of(starts))
            },
            |_| mcus,
        );
        told.unwrap()
    }

    #[test]
    fn what_one_takes_is_not_there_for_another() {
        let ledger = Ledger::new(Limits {
            starts: Some(2),
            mcus: Some(4),
        });
        assert_eq!(
            ask(&ledger, "a", 2, 3),
            Host {
                start_slots: Some(2),
                free_mcus: Some(4)
            }
        );
        assert_eq!(
            ask(&ledger, "b", 0, 1),
            Host {
                start_slots: Some(0),
                free_mcus: Some(1)
            }
        );
        // What it holds itself is no more to be had either.
        assert_eq!(ask(&ledger, "a", 0, 2).free_mcus, Some(0));
        assert_eq!(ask(&ledger, "b", 0, 1).free_mcus, Some(1));
        ledger.retain(|name| name.as_str() == "a");
        assert_eq!(ask(&ledger, "a", 0, 2).free_mcus, Some(2));
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let ledger = Ledger::new(Limits::default());
        assert_eq!(ask(&ledger, "a", 9, 9), Host::default());
    }
}
