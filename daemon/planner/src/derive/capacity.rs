//! Capacity: its ranges, and what it means in machine terms.

use super::Findings;
use runnel_api::capacity::{Capacity, CapacitySummary, MCU_MEMORY_GIB};
use runnel_api::{ErrorCode, Problem};

pub(super) fn check(capacity: &Capacity, findings: &mut Findings) {
    if let Some((field, reason)) = capacity.invalid() {
        findings.refuse(
            Problem::new(ErrorCode::InvalidArgument, reason).field(format!("capacity.{field}")),
        );
        return;
    }
    if let Capacity::Autoscaling {
        min_worker_count,
        max_worker_count,
        ..
    } = capacity
        && min_worker_count < max_worker_count
    {
        findings.warn(
            "capacity.autoscaling",
            format!(
                "this release does not scale yet: the connector runs at its minimum of {}",
                counted(*min_worker_count, "worker")
            ),
            "min_worker_count is what it gets; the other arguments are checked and kept",
        );
    }
}

/// The words of MSK Connect's console. Out-of-range values give odd words, never an overflow.
pub(super) fn summary(capacity: &Capacity) -> CapacitySummary {
    let (low, high) = (capacity.workers_min(), capacity.workers_max());
    let mcu = capacity.mcu_count();
    let range = |each: u32| {
        let (low, high) = (low.saturating_mul(each), high.saturating_mul(each));
        if low == high {
            low.to_string()
        } else {
            format!("{low}–{high}")
        }
    };
    let worker = if high == 1 { "worker" } else { "workers" };
    let scaling = match capacity {
        Capacity::Provisioned { worker_count, .. } => format!(
            "fixed: {} of {}",
            counted(*worker_count, "worker"),
            counted(mcu, "MCU")
        ),
        Capacity::Autoscaling {
            scale_in_cpu,
            scale_out_cpu,
            ..
        } => format!(
            "{} {worker} of {}: more above {scale_out_cpu} % CPU, fewer below {scale_in_cpu} %; \
             not in this release, which runs {}",
            range(1),
            counted(mcu, "MCU"),
            counted(low, "worker")
        ),
    };
    CapacitySummary {
        mcus: range(mcu),
        memory: format!("{} GiB", range(mcu.saturating_mul(MCU_MEMORY_GIB))),
        network: format!("{} {worker}", range(1)),
        scaling,
    }
}

fn counted(count: u32, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_speaks_in_ranges_only_when_there_is_one() {
        let fixed = summary(&Capacity::Provisioned {
            mcu_count: 2,
            worker_count: 3,
        });
        assert_eq!(
            (fixed.mcus.as_str(), fixed.memory.as_str()),
            ("6", "24 GiB")
        );
        assert_eq!(fixed.network, "3 workers");
        assert_eq!(fixed.scaling, "fixed: 3 workers of 2 MCUs");
        let scaled = summary(&Capacity::Autoscaling {
            mcu_count: 1,
            min_worker_count: 1,
            max_worker_count: 2,
            scale_in_cpu: 20,
            scale_out_cpu: 80,
            max_autoscaling_task_count: None,
        });
        assert_eq!(
            (scaled.mcus.as_str(), scaled.memory.as_str()),
            ("1–2", "4–8 GiB")
        );
        assert_eq!(scaled.network, "1–2 workers");
        assert!(
            scaled.scaling.contains("more above 80 % CPU"),
            "{}",
            scaled.scaling
        );
    }
}
