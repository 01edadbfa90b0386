use super::testing::{NOW, autoscaled, buckets, size};
use super::*;
use proptest::prelude::*;
use runnel_api::capacity::{Capacity, WORKERS_MAX};
use runnel_api::scaling::Verdict;

fn any_capacity() -> impl Strategy<Value = Capacity> {
    let odd = prop_oneof![3 => 1..=WORKERS_MAX, 1 => any::<u32>()];
    let mcu = prop_oneof![4 => prop::sample::select(vec![1_u32, 2, 4, 8]), 1 => any::<u32>()];
    let percent = || prop_oneof![4 => 1..=100_u32, 1 => any::<u32>()];
    let shape = (any::<bool>(), mcu, odd.clone(), odd);
    let rest = (percent(), percent(), prop::option::of(any::<u32>()));
    (shape, rest).prop_map(|((is_fixed, mcu_count, min, max), (low, high, cap))| {
        if is_fixed {
            Capacity::Provisioned {
                mcu_count,
                worker_count: min,
            }
        } else {
            Capacity::Autoscaling {
                mcu_count,
                min_worker_count: min,
                max_worker_count: max,
                scale_in_cpu: low,
                scale_out_cpu: high,
                max_autoscaling_task_count: cap,
            }
        }
    })
}

fn any_tasks() -> impl Strategy<Value = TaskLimit> {
    prop_oneof![
        Just(TaskLimit::One),
        Just(TaskLimit::Unlimited),
        any::<u32>().prop_map(TaskLimit::AtMost),
    ]
}

/// Runs of loads, so that windows that agree are not rare.
fn any_loads() -> impl Strategy<Value = Vec<Load>> {
    let load = prop_oneof![
        4 => prop_oneof![0..=30_u32, 70..=120_u32].prop_map(Load::Percent),
        1 => Just(Load::Unknown(Doubt::Gap)),
        1 => any::<u32>().prop_map(Load::Percent),
    ];
    prop::collection::vec((load, 1..20_usize), 0..4).prop_map(|runs| {
        let runs = runs.into_iter();
        runs.flat_map(|(load, count)| vec![load; count]).collect()
    })
}

fn any_fleet() -> impl Strategy<Value = FleetFacts> {
    let number = || prop_oneof![4 => 1..=10_u32, 1 => any::<u32>()];
    let moment = || prop::option::of(prop_oneof![4 => NOW - 4_000_000..=NOW, 1 => any::<u64>()]);
    let flag = |weight| prop::bool::weighted(weight);
    let facts = (flag(0.9), flag(0.1), flag(0.1));
    ((number(), number()), facts, moment(), moment()).prop_map(|(of, facts, young, action)| {
        FleetFacts {
            size: size(of.0, of.1),
            running: facts.0,
            operation_open: facts.1,
            rebalancing: facts.2,
            youngest_worker_started_ms: young,
            last_action_ms: action,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn it_answers_everything_the_same_way_twice_and_stays_within_bounds(
        capacity in any_capacity(),
        tasks in any_tasks(),
        loads in any_loads(),
        fleet in any_fleet(),
        free in prop::option::of(0..20_u32),
    ) {
        let policy = Policy::of(&capacity, tasks);
        let (least, most) = policy.bounds();
        let timing = Timing::default();
        let buckets = buckets(&loads);
        let answer = decide(&policy, &timing, &buckets, &fleet, free, NOW);
        prop_assert_eq!(&answer, &decide(&policy, &timing, &buckets, &fleet, free, NOW));
        prop_assert!(!answer.1.text.is_empty());
        prop_assert!(answer.1.cpu_percent.len() <= 15);
        let from = policy.clamp(fleet.size);
        prop_assert_eq!(policy.clamp(from), from);
        if let Verdict::Scale { to } = answer.0 {
            prop_assert!(least.mcus() <= to.mcus() && to.mcus() <= most.mcus());
            prop_assert_eq!(policy.clamp(to), to);
            prop_assert!(to != from);
            prop_assert!(fleet.running && !fleet.operation_open && !fleet.rebalancing);
            if to.mcus() > from.mcus() {
                prop_assert!(free.is_none_or(|free| free >= to.mcus() - from.mcus()));
            }
        }
        for it in [least, from, most] {
            prop_assert!(policy.tasks_max(it).is_none_or(|count| count >= 1));
        }
    }

    #[test]
    fn odd_timings_are_answered_too(
        loads in any_loads(),
        fleet in any_fleet(),
        moments in prop::collection::vec(any::<u64>(), 6),
        counts in prop::collection::vec(any::<u32>(), 3),
    ) {
        let timing = Timing {
            sample_ms: moments[0],
            bucket_ms: moments[1],
            gap_ms: moments[2],
            young_worker_ms: moments[3],
            scale_out_buckets: counts[0],
            scale_out_cool_down_ms: moments[4],
            scale_in_buckets: counts[1],
            scale_in_cool_down_ms: moments[5],
            forecast_percent: counts[2],
        };
        let policy = Policy::of(&autoscaled(1, 1, 10, 20, 80), TaskLimit::Unlimited);
        let (verdict, _) = decide(&policy, &timing, &buckets(&loads), &fleet, None, NOW);
        let inside = match verdict {
            Verdict::Scale { to } => policy.clamp(to) == to,
            Verdict::Hold { .. } => true,
        };
        prop_assert!(inside);
    }
}
