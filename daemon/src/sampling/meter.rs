//! MCU time: what a bill would count.
//!
//! A worker costs its MCUs from its start to its end, whether a daemon watches or not. So the meter
//! remembers up to which moment each worker has been counted, and what is missing since then is added
//! at the next look, also by the next daemon. What cannot be known, the end of a worker that died
//! together with its shim, is not counted.

use super::{Found, Looked};
use crate::fleet::{SeenWorker, WorkerId, WorkerState};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The meter of all connectors. Its times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meter {
    connectors: BTreeMap<Uuid, Account>,
}

/// One connector's account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Account {
    /// MCUs times milliseconds.
    mcu_ms: u64,
    /// Up to when each worker is counted. A worker stays until its folder is gone.
    counted_ms: BTreeMap<WorkerId, u64>,
}

/// Whether what was just counted should be kept soon. Moved by [`Meter::count`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Losing it costs nothing: the same workers can be counted again.
    CanWait,
    /// A worker has ended or is gone, so that nobody could count it again.
    Now,
}

impl Meter {
    /// Counts what the workers cost up to `now_ms`, and forgets connectors that are no more.
    pub(super) fn count(&mut self, found: &Found, now_ms: u64) -> Urgency {
        let mut urgency = Urgency::CanWait;
        let mut listed: BTreeSet<&WorkerId> = BTreeSet::new();
        for Looked { seen, .. } in &found.workers {
            listed.insert(&seen.worker);
            let account = self.connectors.entry(seen.connector_id).or_default();
            let spent = account.count(seen, now_ms);
            if seen.state.is_dead() && spent > 0 {
                urgency = Urgency::Now;
            }
        }
        for (id, account) in &mut self.connectors {
            // What is known of a worker whose folder cannot be read stays.
            if found.hidden.contains(id) {
                continue;
            }
            let before = account.counted_ms.len();
            account
                .counted_ms
                .retain(|worker, _| listed.contains(worker));
            if account.counted_ms.len() < before {
                urgency = Urgency::Now;
            }
        }
        self.connectors
            .retain(|id, _| found.connectors.contains(id));
        urgency
    }

    /// MCUs times milliseconds of each connector.
    pub(super) fn totals(&self) -> BTreeMap<Uuid, u64> {
        self.connectors
            .iter()
            .map(|(id, account)| (*id, account.mcu_ms))
            .collect()
    }
}

impl Account {
    /// Counts one worker; gives what was added.
    fn count(&mut self, seen: &SeenWorker, now_ms: u64) -> u64 {
        // A worker id is for one process, and a process has one size.
        let from_ms = self.counted_ms.get(&seen.worker).copied();
        let from_ms = from_ms.unwrap_or(seen.started_ms);
        let to_ms = match &seen.state {
            WorkerState::Starting | WorkerState::Listening { .. } | WorkerState::Ending => now_ms,
            WorkerState::Exited(exit) => exit.ended_ms,
            WorkerState::Lost => from_ms,
        };
        // A clock that was set back counts nothing twice.
        let to_ms = to_ms.max(from_ms);
        let spent = (to_ms - from_ms).saturating_mul(u64::from(seen.launch.mcu_count));
        self.mcu_ms = self.mcu_ms.saturating_add(spent);
        self.counted_ms.insert(seen.worker.clone(), to_ms);
        spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::ExitInfo;
    use crate::sampling::tests::{found, worker};
    use proptest::prelude::*;

    const A: Uuid = Uuid::from_u128(1);

    fn exited(ended_ms: u64) -> WorkerState {
        WorkerState::Exited(ExitInfo {
            code: Some(0),
            signal: None,
            out_of_memory: false,
            stop_requested: false,
            deadline_passed: false,
            ended_ms,
            last_error: None,
        })
    }

    const UP: WorkerState = WorkerState::Listening { port: 1 };

    #[test]
    fn a_worker_costs_its_mcus_from_its_start_to_its_end() {
        let mut meter = Meter::default();
        let up = [worker(A, "w-1", 1_000, 2, UP)];
        assert_eq!(meter.count(&found(&up), 4_000), Urgency::CanWait);
        assert_eq!(meter.totals()[&A], 6_000);
        assert_eq!(meter.count(&found(&up), 4_000), Urgency::CanWait);
        assert_eq!(meter.totals()[&A], 6_000);
        let dead = [worker(A, "w-1", 1_000, 2, exited(5_000))];
        assert_eq!(meter.count(&found(&dead), 9_000), Urgency::Now);
        assert_eq!(meter.totals()[&A], 8_000);
        assert_eq!(meter.count(&found(&dead), 19_000), Urgency::CanWait);
        assert_eq!(meter.count(&found(&[]), 20_000), Urgency::Now);
        assert_eq!(meter.totals()[&A], 8_000);
    }

    #[test]
    fn the_next_daemon_counts_the_time_without_one_once() {
        let mut before = Meter::default();
        let up = [worker(A, "w-1", 1_000, 1, UP)];
        before.count(&found(&up), 2_000);
        let kept = serde_json::to_string(&before).unwrap();
        // Counted, and not kept when the daemon was killed.
        before.count(&found(&up), 3_000);
        let mut after: Meter = serde_json::from_str(&kept).unwrap();
        after.count(&found(&up), 9_000);
        assert_eq!(after.totals()[&A], 8_000);
    }

    #[test]
    fn what_is_not_known_is_not_counted_and_not_forgotten() {
        let mut meter = Meter::default();
        meter.count(&found(&[worker(A, "w-1", 1_000, 1, UP)]), 2_000);
        let lost = [worker(A, "w-1", 1_000, 1, WorkerState::Lost)];
        meter.count(&found(&lost), 9_000);
        assert_eq!(meter.totals()[&A], 1_000);
        // A clock set back.
        meter.count(&found(&[worker(A, "w-1", 1_000, 1, UP)]), 500);
        assert_eq!(meter.totals()[&A], 1_000);
        let mut hidden = found(&[]);
        hidden.hidden.insert(A);
        meter.count(&hidden, 10_000);
        meter.count(&found(&[worker(A, "w-1", 1_000, 1, UP)]), 11_000);
        assert_eq!(meter.totals()[&A], 10_000);
        let mut gone = found(&[]);
        gone.connectors.clear();
        meter.count(&gone, 12_000);
        assert_eq!(meter, Meter::default());
    }

    proptest! {
        #[test]
        fn a_total_never_falls(looks in proptest::collection::vec((0_u64..50, 0_u8..4, 1_u32..9), 1..30)) {
            let mut meter = Meter::default();
            let mut last = 0;
            for (now_ms, state, mcus) in looks {
                let state = match state {
                    0 => WorkerState::Starting,
                    1 => WorkerState::Lost,
                    2 => exited(now_ms / 2),
                    _ => UP,
                };
                meter.count(&found(&[worker(A, "w-1", 10, mcus, state)]), now_ms);
                let total = meter.totals()[&A];
                prop_assert!(total >= last);
                last = total;
            }
        }
    }
}
