use super::testing::{autoscaled, size};
use super::{Policy, TaskLimit};
use runnel_api::capacity::Capacity;
use runnel_api::scaling::ScalingMode;

#[test]
fn rungs_of_a_single_task_lie_within_its_products() {
    for (mcu, min, max, rungs, mode) in [
        (1, 1, 2, (1, 2), ScalingMode::Vertical),
        (1, 1, 10, (1, 8), ScalingMode::Vertical),
        (2, 1, 3, (2, 4), ScalingMode::Vertical),
        (1, 3, 5, (4, 4), ScalingMode::Fixed),
        (1, 1, 1, (1, 1), ScalingMode::Fixed),
        (1, 3, 3, (2, 2), ScalingMode::Fixed),
        (1, 5, 7, (4, 4), ScalingMode::Fixed),
        (8, 2, 10, (8, 8), ScalingMode::Fixed),
        (4, 1, 10, (4, 8), ScalingMode::Vertical),
    ] {
        let policy = Policy::of(&autoscaled(mcu, min, max, 20, 80), TaskLimit::One);
        let expected = (size(1, rungs.0), size(1, rungs.1));
        assert_eq!(policy.bounds(), expected, "{mcu} MCU, {min} to {max}");
        assert_eq!(policy.initial(), expected.0);
        assert_eq!(policy.mode(), mode, "{mcu} MCU, {min} to {max}");
    }
    let provisioned = Capacity::Provisioned {
        mcu_count: 2,
        worker_count: 3,
    };
    let policy = Policy::of(&provisioned, TaskLimit::One);
    assert_eq!(
        policy.initial(),
        size(3, 2),
        "provisioned workers are what was asked"
    );
    assert_eq!(policy.mode(), ScalingMode::Fixed);
}

#[test]
fn a_stored_size_is_brought_inside_a_changed_capacity() {
    let wide = Policy::of(&autoscaled(1, 2, 4, 20, 80), TaskLimit::Unlimited);
    for (before, after) in [(1, 2), (2, 2), (3, 3), (4, 4), (9, 4)] {
        assert_eq!(wide.clamp(size(before, 1)), size(after, 1));
    }
    let large = Policy::of(&autoscaled(2, 1, 4, 20, 80), TaskLimit::Unlimited);
    assert_eq!(
        large.clamp(size(3, 1)),
        size(2, 2),
        "no MCU less than before"
    );
    let single = Policy::of(&autoscaled(1, 1, 8, 20, 80), TaskLimit::One);
    assert_eq!(single.clamp(size(3, 1)), size(1, 4));
    assert_eq!(single.clamp(size(1, 2)), size(1, 2));
    assert_eq!(single.clamp(size(9, 8)), size(1, 8));
}

#[test]
fn tasks_are_those_of_msk_connect_and_no_more_than_the_class_can_use() {
    let capacity = |cap| Capacity::Autoscaling {
        mcu_count: 2,
        min_worker_count: 1,
        max_worker_count: 4,
        scale_in_cpu: 20,
        scale_out_cpu: 80,
        max_autoscaling_task_count: cap,
    };
    for (tasks, cap, workers, expected) in [
        (TaskLimit::Unlimited, None, 1, 4),
        (TaskLimit::Unlimited, None, 3, 12),
        (TaskLimit::Unlimited, Some(6), 1, 4),
        (TaskLimit::Unlimited, Some(6), 3, 6),
        (TaskLimit::AtMost(5), Some(6), 3, 5),
        (TaskLimit::AtMost(9), Some(6), 3, 6),
        (TaskLimit::AtMost(0), None, 3, 1),
        (TaskLimit::One, Some(6), 1, 1),
    ] {
        let policy = Policy::of(&capacity(cap), tasks);
        assert_eq!(
            policy.tasks_max(size(workers, 2)),
            Some(expected),
            "{tasks:?} {cap:?}"
        );
    }
    let same = Policy::of(&autoscaled(1, 2, 2, 20, 80), TaskLimit::Unlimited);
    assert_eq!(
        same.tasks_max(size(2, 1)),
        Some(4),
        "min = max is autoscaled all the same"
    );
    let provisioned = Capacity::Provisioned {
        mcu_count: 1,
        worker_count: 2,
    };
    for tasks in [TaskLimit::Unlimited, TaskLimit::One] {
        assert_eq!(Policy::of(&provisioned, tasks).tasks_max(size(2, 1)), None);
    }
}
