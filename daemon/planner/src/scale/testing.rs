//! Cases for the tests of the decision.

use super::{Bucket, FleetFacts, Load, Policy, TaskLimit, Timing, decide};
use runnel_api::capacity::Capacity;
use runnel_api::scaling::{Evidence, HoldReason, Size, Verdict};

/// Noon or so; a multiple of a minute.
pub(super) const NOW: u64 = 1_763_812_800_000;

pub(super) fn autoscaled(mcu_count: u32, min: u32, max: u32, low: u32, high: u32) -> Capacity {
    Capacity::Autoscaling {
        mcu_count,
        min_worker_count: min,
        max_worker_count: max,
        scale_in_cpu: low,
        scale_out_cpu: high,
        max_autoscaling_task_count: None,
    }
}

pub(super) const fn size(workers: u32, mcu_count: u32) -> Size {
    Size { workers, mcu_count }
}

/// Buckets that end now.
pub(super) fn buckets(loads: &[Load]) -> Vec<Bucket> {
    let count = loads.len() as u64;
    let start = |index: usize| NOW - (count - index as u64) * 60_000;
    let bucket = |(index, load): (usize, &Load)| Bucket {
        start_ms: start(index),
        load: *load,
        lag: None,
    };
    loads.iter().enumerate().map(bucket).collect()
}

pub(super) fn percents(percents: &[u32]) -> Vec<Bucket> {
    buckets(
        &percents
            .iter()
            .map(|it| Load::Percent(*it))
            .collect::<Vec<_>>(),
    )
}

pub(super) fn steady(percent: u32, count: usize) -> Vec<Bucket> {
    percents(&vec![percent; count])
}

/// Everything that a decision reads; each case changes what it is about.
pub(super) struct Case {
    pub(super) capacity: Capacity,
    pub(super) tasks: TaskLimit,
    pub(super) timing: Timing,
    pub(super) buckets: Vec<Bucket>,
    pub(super) fleet: FleetFacts,
    pub(super) free_mcus: Option<u32>,
}

impl Case {
    /// Two of one to five workers of one MCU, all quiet for an hour.
    pub(super) fn of(buckets: Vec<Bucket>) -> Self {
        Self {
            capacity: autoscaled(1, 1, 5, 20, 80),
            tasks: TaskLimit::Unlimited,
            timing: Timing::default(),
            buckets,
            fleet: FleetFacts {
                size: size(2, 1),
                running: true,
                operation_open: false,
                rebalancing: false,
                youngest_worker_started_ms: Some(NOW - 3_600_000),
                last_action_ms: Some(NOW - 3_600_000),
            },
            free_mcus: None,
        }
    }

    pub(super) fn busy() -> Self {
        Self::of(percents(&[91, 88, 93]))
    }

    pub(super) fn idle() -> Self {
        Self::of(steady(10, 15))
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(super) fn decide(&self) -> (Verdict, Evidence) {
        let policy = Policy::of(&self.capacity, self.tasks);
        decide(
            &policy,
            &self.timing,
            &self.buckets,
            &self.fleet,
            self.free_mcus,
            NOW,
        )
    }
}

#[track_caller]
pub(super) fn holds(case: &Case, reason: HoldReason) -> Evidence {
    let (verdict, evidence) = case.decide();
    assert_eq!(verdict, Verdict::Hold { reason }, "{}", evidence.text);
    evidence
}

#[track_caller]
pub(super) fn scales(case: &Case, to: Size) -> Evidence {
    let (verdict, evidence) = case.decide();
    assert_eq!(verdict, Verdict::Scale { to }, "{}", evidence.text);
    evidence
}
