use super::testing::{Case, NOW, autoscaled, buckets, holds, percents, scales, size, steady};
use super::{Bucket, Doubt, Load, TaskLimit};
use runnel_api::capacity::Capacity;
use runnel_api::scaling::HoldReason;

#[test]
fn three_buckets_above_the_threshold_add_one_worker() {
    let evidence = scales(&Case::busy(), size(3, 1));
    assert_eq!(evidence.cpu_percent, [Some(91), Some(88), Some(93)]);
    assert_eq!(evidence.threshold_percent, Some(80));
    assert_eq!(
        evidence.text,
        "CPU 91, 88, 93 % in the last 3 buckets, all above 80 %; 2 -> 3 workers of 1 MCU"
    );
}

#[test]
fn the_scale_out_threshold_itself_is_not_above_it() {
    for (percent, is_above) in [(79, false), (80, false), (81, true)] {
        let case = Case::of(steady(percent, 3));
        if is_above {
            scales(&case, size(3, 1));
        } else {
            holds(&case, HoldReason::WithinThresholds);
        }
    }
}

#[test]
fn the_scale_in_threshold_itself_is_not_below_it() {
    for (percent, is_below) in [(19, true), (20, false), (21, false)] {
        let case = Case::of(steady(percent, 15));
        if is_below {
            scales(&case, size(1, 1));
        } else {
            holds(&case, HoldReason::WithinThresholds);
        }
    }
}

#[test]
fn every_needed_bucket_must_be_above() {
    for loads in [[91, 79, 93], [80, 93, 93], [93, 93, 80]] {
        let evidence = holds(&Case::of(percents(&loads)), HoldReason::WithinThresholds);
        assert!(
            evidence.text.contains("not all above 80 %"),
            "{}",
            evidence.text
        );
    }
    // An older one does not matter.
    scales(&Case::of(percents(&[10, 91, 88, 93])), size(3, 1));
}

#[test]
fn too_few_buckets_wait_for_more() {
    let evidence = holds(&Case::of(percents(&[91, 88])), HoldReason::WithinThresholds);
    assert_eq!(
        evidence.text,
        "CPU 91, 88 % in the last 2 buckets, all above 80 %; 3 are needed"
    );
    let evidence = holds(&Case::of(steady(10, 14)), HoldReason::WithinThresholds);
    assert_eq!(
        evidence.text,
        "CPU 10 % in the last 14 buckets, all below 20 %; 15 are needed"
    );
    let evidence = holds(&Case::of(Vec::new()), HoldReason::UnknownLoad);
    assert_eq!(evidence.text, "no full bucket of CPU time yet");
}

#[test]
fn every_one_of_fifteen_buckets_must_be_below() {
    for at in [0, 7, 14] {
        let mut loads = [10; 15];
        loads[at] = 20;
        holds(&Case::of(percents(&loads)), HoldReason::WithinThresholds);
    }
}

#[test]
fn a_needed_bucket_that_is_unknown_holds() {
    let doubt = Load::Unknown(Doubt::Gap);
    for at in 0..3 {
        let mut loads = [Load::Percent(91); 3];
        loads[at] = doubt;
        holds(&Case::of(buckets(&loads)), HoldReason::UnknownLoad);
    }
    for at in 0..15 {
        let mut loads = [Load::Percent(10); 15];
        loads[at] = doubt;
        holds(&Case::of(buckets(&loads)), HoldReason::UnknownLoad);
    }
    let evidence = holds(
        &Case::of(buckets(&[Load::Unknown(Doubt::CounterReset)])),
        HoldReason::UnknownLoad,
    );
    assert_eq!(
        evidence.text,
        "CPU unknown in the last bucket; unknown, because a CPU counter went back"
    );
    // Not needed: too old, or another bucket rules the step out.
    let percent = Load::Percent;
    scales(
        &Case::of(buckets(&[doubt, percent(91), percent(88), percent(93)])),
        size(3, 1),
    );
    holds(
        &Case::of(buckets(&[doubt, percent(50), percent(93)])),
        HoldReason::WithinThresholds,
    );
}

#[test]
fn a_hole_between_buckets_ends_the_window() {
    let mut holed = steady(91, 4);
    holed.remove(1);
    holds(&Case::of(holed), HoldReason::WithinThresholds);
    let mut holed = steady(10, 16);
    holed.remove(1);
    holds(&Case::of(holed), HoldReason::WithinThresholds);
}

#[test]
fn old_buckets_say_nothing() {
    let mut old = steady(91, 3);
    for bucket in &mut old {
        bucket.start_ms -= 80_000;
    }
    scales(&Case::of(old.clone()), size(3, 1));
    for bucket in &mut old {
        bucket.start_ms -= 1;
    }
    holds(&Case::of(old), HoldReason::UnknownLoad);
}

#[test]
fn both_cool_downs_end_on_time() {
    for (ago_ms, is_over) in [(0, false), (179_999, false), (180_000, true)] {
        let case = Case::busy().with(|it| it.fleet.last_action_ms = Some(NOW - ago_ms));
        if is_over {
            scales(&case, size(3, 1));
        } else {
            holds(&case, HoldReason::CoolDown);
        }
    }
    for (ago_ms, is_over) in [(180_000, false), (899_999, false), (900_000, true)] {
        let case = Case::idle().with(|it| it.fleet.last_action_ms = Some(NOW - ago_ms));
        if is_over {
            scales(&case, size(1, 1));
        } else {
            holds(&case, HoldReason::CoolDown);
        }
    }
    let never = |it: &mut Case| it.fleet.last_action_ms = None;
    scales(&Case::busy().with(never), size(3, 1));
    scales(&Case::idle().with(never), size(1, 1));
    let in_the_future = |it: &mut Case| it.fleet.last_action_ms = Some(NOW + 60_000);
    let evidence = holds(&Case::busy().with(in_the_future), HoldReason::CoolDown);
    assert!(
        evidence
            .text
            .contains("0 s ago, the next may come after 3 min"),
        "{}",
        evidence.text
    );
}

#[test]
fn one_size_only_is_fixed() {
    let provisioned = Capacity::Provisioned {
        mcu_count: 1,
        worker_count: 2,
    };
    for capacity in [provisioned, autoscaled(1, 2, 2, 20, 80)] {
        for case in [Case::busy(), Case::idle()] {
            let case = case.with(|it| it.capacity = capacity.clone());
            let evidence = holds(&case, HoldReason::Fixed);
            assert_eq!(
                evidence.text,
                "the capacity allows one size only: 2 workers of 1 MCU"
            );
        }
    }
}

#[test]
fn the_bounds_end_it() {
    let most = |it: &mut Case| it.fleet.size = size(5, 1);
    let evidence = holds(&Case::busy().with(most), HoldReason::AtMaximum);
    assert!(
        evidence.text.ends_with("5 workers of 1 MCU is the maximum"),
        "{}",
        evidence.text
    );
    let least = |it: &mut Case| it.fleet.size = size(1, 1);
    holds(&Case::idle().with(least), HoldReason::AtMinimum);
    // Where no step is left that way, the buckets for it are not needed.
    let loads = buckets(&[Load::Unknown(Doubt::Gap), Load::Percent(91)]);
    holds(&Case::of(loads.clone()), HoldReason::UnknownLoad);
    holds(&Case::of(loads).with(most), HoldReason::WithinThresholds);
    let mut loads = [Load::Percent(10); 15];
    loads[3] = Load::Unknown(Doubt::Gap);
    holds(
        &Case::of(buckets(&loads)).with(least),
        HoldReason::WithinThresholds,
    );
}

#[test]
fn a_worker_for_each_usable_task_is_the_maximum() {
    let two = |it: &mut Case| it.tasks = TaskLimit::AtMost(2);
    let evidence = holds(&Case::busy().with(two), HoldReason::AtMaximum);
    assert!(
        evidence.text.contains("each of the 2 tasks"),
        "{}",
        evidence.text
    );
    scales(
        &Case::busy().with(|it| it.tasks = TaskLimit::AtMost(3)),
        size(3, 1),
    );
}

#[test]
fn a_full_host_gives_nothing_and_takes_back() {
    let evidence = holds(
        &Case::busy().with(|it| it.free_mcus = Some(0)),
        HoldReason::HostFull,
    );
    assert_eq!(evidence.free_mcus, Some(0));
    assert!(
        evidence
            .text
            .ends_with("1 MCU more are needed and the host has 0"),
        "{}",
        evidence.text
    );
    scales(&Case::busy().with(|it| it.free_mcus = Some(1)), size(3, 1));
    scales(&Case::idle().with(|it| it.free_mcus = Some(0)), size(1, 1));
    let large = |free| {
        Case::busy().with(|it| {
            it.capacity = autoscaled(4, 1, 5, 20, 80);
            it.fleet.size = size(2, 4);
            it.free_mcus = Some(free);
        })
    };
    holds(&large(3), HoldReason::HostFull);
    scales(&large(4), size(3, 4));
}

#[test]
fn a_load_that_flaps_between_the_extremes_changes_nothing() {
    for phase in [0, 1] {
        let loads: Vec<u32> = (0..30)
            .map(|it| if it % 2 == phase { 95 } else { 5 })
            .collect();
        holds(&Case::of(percents(&loads)), HoldReason::WithinThresholds);
    }
}

#[test]
fn what_is_under_way_comes_first() {
    type Change = fn(&mut Case);
    let table: [(Change, HoldReason); 4] = [
        (|it| it.fleet.running = false, HoldReason::NotRunning),
        (|it| it.fleet.operation_open = true, HoldReason::Operation),
        (|it| it.fleet.rebalancing = true, HoldReason::Rebalance),
        (
            |it| it.fleet.youngest_worker_started_ms = Some(NOW - 119_999),
            HoldReason::YoungWorker,
        ),
    ];
    for (change, reason) in table {
        holds(&Case::busy().with(change), reason);
        let evidence = holds(&Case::idle().with(change), reason);
        assert_eq!(
            evidence.cpu_percent.len(),
            3,
            "figures are told all the same"
        );
    }
    let old_enough = |it: &mut Case| it.fleet.youngest_worker_started_ms = Some(NOW - 120_000);
    scales(&Case::busy().with(old_enough), size(3, 1));
    let in_the_future = |it: &mut Case| it.fleet.youngest_worker_started_ms = Some(NOW + 5);
    holds(&Case::busy().with(in_the_future), HoldReason::YoungWorker);
}

#[test]
fn fewer_workers_must_have_room_to_spare() {
    // Two workers at 29 % are one at 58 %, at 30 % one at 60 %: the limit is 75 % of 80 %.
    for (percent, fits) in [(29, true), (30, false), (31, false)] {
        let case =
            Case::of(steady(percent, 15)).with(|it| it.capacity = autoscaled(1, 1, 5, 40, 80));
        if fits {
            let evidence = scales(&case, size(1, 1));
            assert_eq!(evidence.forecast_percent, Some(58));
            assert_eq!(
                evidence.text,
                "CPU 29 % in the last 15 buckets, all below 40 %; \
                 1 worker of 1 MCU would have up to 58 %, below 60 %; 2 -> 1 worker of 1 MCU"
            );
        } else {
            let evidence = holds(&case, HoldReason::Forecast);
            assert_eq!(evidence.forecast_percent, Some(percent * 2));
        }
    }
    // Three at 27 % are two at 40.5 %: told as 41.
    let three = Case::of(steady(27, 15)).with(|it| {
        it.capacity = autoscaled(1, 1, 5, 40, 80);
        it.fleet.size = size(3, 1);
    });
    assert_eq!(scales(&three, size(2, 1)).forecast_percent, Some(41));
    // The busiest bucket counts, not the mean.
    let mut loads = [5; 15];
    loads[4] = 31;
    let case = Case::of(percents(&loads)).with(|it| it.capacity = autoscaled(1, 1, 5, 40, 80));
    holds(&case, HoldReason::Forecast);
}

#[test]
fn a_growing_lag_vetoes_fewer_workers_only() {
    let lags = |first: Option<u64>, last: Option<u64>| {
        Case::idle().with(|it| {
            it.buckets[0].lag = first;
            it.buckets[14].lag = last;
        })
    };
    let evidence = holds(&lags(Some(10), Some(11)), HoldReason::GrowingLag);
    assert_eq!(evidence.lag, Some((10, 11)));
    assert!(
        evidence.text.contains("grew from 10 to 11 records"),
        "{}",
        evidence.text
    );
    for (first, last) in [
        (Some(10), Some(10)),
        (Some(10), Some(0)),
        (None, Some(10)),
        (Some(10), None),
        (None, None),
    ] {
        scales(&lags(first, last), size(1, 1));
    }
    let growing = |it: &mut Case| it.buckets[2].lag = Some(1_000);
    scales(&Case::busy().with(growing), size(3, 1));
}

#[test]
fn a_single_task_gets_a_worker_of_the_next_size() {
    let single = |now: u32, buckets: Vec<Bucket>| {
        Case::of(buckets).with(|it| {
            it.capacity = autoscaled(1, 1, 8, 20, 80);
            it.tasks = TaskLimit::One;
            it.fleet.size = size(1, now);
        })
    };
    for (now, next) in [(1, 2), (2, 4), (4, 8)] {
        let evidence = scales(&single(now, steady(95, 3)), size(1, next));
        assert!(
            evidence
                .text
                .ends_with(&format!("1 worker of {now} -> {next} MCUs")),
            "{}",
            evidence.text
        );
        scales(&single(next, steady(10, 15)), size(1, now));
    }
    holds(&single(8, steady(95, 3)), HoldReason::AtMaximum);
    holds(&single(1, steady(10, 15)), HoldReason::AtMinimum);
    // The net increase is needed, and no more.
    holds(
        &single(4, steady(95, 3)).with(|it| it.free_mcus = Some(3)),
        HoldReason::HostFull,
    );
    scales(
        &single(4, steady(95, 3)).with(|it| it.free_mcus = Some(4)),
        size(1, 8),
    );
    // Half the MCUs have twice the load.
    let wide = |percent| {
        single(4, steady(percent, 15)).with(|it| it.capacity = autoscaled(1, 1, 8, 40, 80))
    };
    scales(&wide(29), size(1, 2));
    holds(&wide(30), HoldReason::Forecast);
}
