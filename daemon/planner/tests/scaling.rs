//! The scaling decision in a closed loop: what it decides changes what it measures.

#[path = "../examples/scaling/chart.rs"]
mod chart;
#[path = "../examples/scaling/curves.rs"]
mod curves;
#[path = "../examples/scaling/page.rs"]
mod page;
#[path = "../examples/scaling/simulation.rs"]
mod simulation;

use proptest::prelude::*;
use runnel_api::capacity::Capacity;
use runnel_planner::scale::{Policy, TaskLimit};
use simulation::{Outcome, Scene, play};
use std::path::Path;

#[test]
fn the_page_and_its_charts_are_what_the_simulator_makes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scaling");
    for (name, text) in page::files() {
        let file = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(
            file == text,
            "docs/scaling/{name} is out of date; run: \
             cargo run -p runnel-planner --example scaling -- docs/scaling"
        );
    }
}

/// Twelve hours of one load, in thousandths of an MCU.
fn constant(capacity: Capacity, tasks: TaskLimit, start: Option<u32>, demand: u64) -> Outcome {
    let policy = Policy::of(&capacity, tasks);
    let (least, most) = policy.bounds();
    let start = start.map(|share| {
        let mut size = least;
        if tasks == TaskLimit::One {
            size.mcu_count += (most.mcu_count - least.mcu_count) * share / 100;
        } else {
            size.workers += (most.workers - least.workers) * share / 100;
        }
        policy.clamp(size)
    });
    play(&Scene {
        capacity,
        tasks,
        start,
        minutes: 720,
        demand: |_, scale| scale,
        scale: demand,
    })
}

fn autoscaled(mcu_count: u32, workers: (u32, u32), thresholds: (u32, u32)) -> Capacity {
    Capacity::Autoscaling {
        mcu_count,
        min_worker_count: workers.0,
        max_worker_count: workers.1,
        scale_in_cpu: thresholds.0,
        scale_out_cpu: thresholds.1,
        max_autoscaling_task_count: None,
    }
}

#[test]
fn a_load_of_its_own_size_is_left_alone() {
    let capacity = || autoscaled(1, (1, 5), (20, 80));
    for demand in [0, 100, 500, 800] {
        let outcome = constant(capacity(), TaskLimit::Unlimited, None, demand);
        assert!(outcome.actions.is_empty(), "{demand}");
    }
    let outcome = constant(capacity(), TaskLimit::Unlimited, None, 810);
    assert_eq!(outcome.actions.len(), 1);
}

#[test]
fn a_load_that_ends_brings_the_fleet_back_to_its_minimum() {
    for (tasks, largest) in [(TaskLimit::Unlimited, 5), (TaskLimit::One, 4)] {
        let outcome = constant(autoscaled(1, (1, 5), (20, 80)), tasks, Some(100), 20);
        assert_eq!(outcome.start.mcus(), largest);
        assert_eq!(outcome.actions.last().map(|it| it.to.mcus()), Some(1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    /// Up while work that waited is done, down at most after that, and then still for good.
    #[test]
    fn a_constant_load_is_never_answered_with_up_and_down_and_up(
        mcu_count in prop::sample::select(vec![1_u32, 2, 4]),
        workers in (1..=6_u32, 0..=5_u32),
        thresholds in (1..=99_u32, 1..=99_u32),
        is_single in any::<bool>(),
        start in prop::option::of(0..=100_u32),
        demand in 0..=12_000_u64,
    ) {
        let high = thresholds.0.max(thresholds.1) + 1;
        let low = thresholds.0.min(thresholds.1);
        let capacity = autoscaled(mcu_count, (workers.0, workers.0 + workers.1), (low, high));
        let tasks = if is_single { TaskLimit::One } else { TaskLimit::Unlimited };
        let (least, most) = Policy::of(&capacity, tasks).bounds();
        let outcome = constant(capacity, tasks, start, demand);
        let ways: Vec<bool> = outcome.actions.iter().map(|it| it.to.mcus() > it.from.mcus()).collect();
        prop_assert!(ways.is_sorted_by(|a, b| a >= b), "{ways:?}");
        for action in &outcome.actions {
            prop_assert!(least <= action.to && action.to <= most);
            prop_assert!(action.second < 8 * 3_600, "still at work after {} s", action.second);
        }
    }
}
