//! Capacity: its ranges, and what it means in machine terms.

use super::Findings;
use crate::scale::{Policy, TaskLimit};
use runnel_api::capacity::{Capacity, CapacitySummary, MCU_MEMORY_GIB};
use runnel_api::scaling::{ScalingMode, Size};
use runnel_api::{ErrorCode, Problem};

pub(super) fn check(capacity: &Capacity, findings: &mut Findings) {
    if let Some((field, reason)) = capacity.invalid() {
        findings.refuse(
            Problem::new(ErrorCode::InvalidArgument, reason).field(format!("capacity.{field}")),
        );
    }
}

/// The words of MSK Connect's console, for the sizes that scaling chooses from.
pub(super) fn summary(capacity: &Capacity, one_task: bool) -> CapacitySummary {
    let tasks = if one_task {
        TaskLimit::One
    } else {
        TaskLimit::Unlimited
    };
    let policy = Policy::of(capacity, tasks);
    let (low, high) = policy.bounds();
    let memory = |size: Size| size.mcus().saturating_mul(MCU_MEMORY_GIB);
    let workers = counted((low.workers, high.workers), "worker");
    let each = counted((low.mcu_count, high.mcu_count), "MCU");
    CapacitySummary {
        mcus: range((low.mcus(), high.mcus())),
        memory: format!("{} GiB", range((memory(low), memory(high)))),
        scaling: scaling(capacity, policy.mode(), &format!("{workers} of {each}")),
        network: workers,
    }
}

fn scaling(capacity: &Capacity, mode: ScalingMode, size: &str) -> String {
    let (out, back) = match capacity {
        Capacity::Provisioned { .. } => (0, 0),
        Capacity::Autoscaling {
            scale_out_cpu,
            scale_in_cpu,
            ..
        } => (*scale_out_cpu, *scale_in_cpu),
    };
    match mode {
        ScalingMode::Fixed => format!("fixed: {size}"),
        ScalingMode::Horizontal => {
            format!("{size} (horizontal): one more above {out} % CPU, one fewer below {back} %")
        }
        ScalingMode::Vertical => format!(
            "{size} (vertical): a larger one above {out} % CPU, a smaller one below {back} %, \
             because the class runs one task"
        ),
    }
}

fn range((low, high): (u32, u32)) -> String {
    if low == high {
        low.to_string()
    } else {
        format!("{low}–{high}")
    }
}

fn counted(counts: (u32, u32), noun: &str) -> String {
    let plural = if counts.1 == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", range(counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_speaks_in_ranges_only_when_there_is_one() {
        let fixed = summary(
            &Capacity::Provisioned {
                mcu_count: 2,
                worker_count: 3,
            },
            true,
        );
        assert_eq!(
            (fixed.mcus.as_str(), fixed.memory.as_str()),
            ("6", "24 GiB")
        );
        assert_eq!(fixed.network, "3 workers");
        assert_eq!(fixed.scaling, "fixed: 3 workers of 2 MCUs");
        let scaled = |mcu_count, min_worker_count, max_worker_count| Capacity::Autoscaling {
            mcu_count,
            min_worker_count,
            max_worker_count,
            scale_in_cpu: 20,
            scale_out_cpu: 80,
            max_autoscaling_task_count: None,
        };
        let wide = summary(&scaled(1, 1, 2), false);
        assert_eq!(
            (wide.mcus.as_str(), wide.memory.as_str()),
            ("1–2", "4–8 GiB")
        );
        assert_eq!(wide.network, "1–2 workers");
        assert_eq!(
            wide.scaling,
            "1–2 workers of 1 MCU (horizontal): one more above 80 % CPU, one fewer below 20 %"
        );
        for (capacity, mcus, scaling) in [
            (scaled(2, 1, 10), "2–8", "1 worker of 2–8 MCUs (vertical)"),
            (scaled(1, 1, 3), "1–2", "1 worker of 1–2 MCUs (vertical)"),
            (scaled(1, 3, 10), "4–8", "1 worker of 4–8 MCUs (vertical)"),
            (scaled(1, 5, 7), "4", "fixed: 1 worker of 4 MCUs"),
            (scaled(1, 2, 2), "2", "fixed: 1 worker of 2 MCUs"),
            (scaled(8, 2, 3), "8", "fixed: 1 worker of 8 MCUs"),
        ] {
            let summary = summary(&capacity, true);
            assert_eq!(summary.mcus, mcus);
            assert_eq!(summary.network, "1 worker");
            assert!(summary.scaling.starts_with(scaling), "{summary:?}");
        }
    }
}
