//! Capacity of a connector in MSK Connect's terms: MCUs and workers.

use serde::{Deserialize, Serialize};

/// Memory of one MCU in GiB; its CPU is one core (MSK Connect developer guide, "Capacity").
pub const MCU_MEMORY_GIB: u32 = 4;
/// Sizes of a worker in MCUs.
pub const MCU_COUNTS: [u32; 4] = [1, 2, 4, 8];
/// Most workers of one connector.
pub const WORKERS_MAX: u32 = 10;
/// Default of `scale_in_policy.cpu_utilization_percentage`.
pub const SCALE_IN_DEFAULT: u32 = 20;
/// Default of `scale_out_policy.cpu_utilization_percentage`.
pub const SCALE_OUT_DEFAULT: u32 = 80;

/// Exactly one of the two ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Capacity {
    /// A fixed number of workers.
    Provisioned {
        /// MCUs of each worker: 1, 2, 4 or 8.
        mcu_count: u32,
        /// 1 to 10.
        worker_count: u32,
    },
    /// Between a minimum and a maximum.
    Autoscaling {
        /// MCUs of each worker: 1, 2, 4 or 8.
        mcu_count: u32,
        /// 1 to 10.
        min_worker_count: u32,
        /// `min_worker_count` to 10.
        max_worker_count: u32,
        /// Below this CPU utilization in percent a worker is taken away.
        scale_in_cpu: u32,
        /// Above this CPU utilization in percent a worker is added.
        scale_out_cpu: u32,
        /// Most tasks when scaling; at least `max_worker_count`.
        #[serde(default)]
        max_autoscaling_task_count: Option<u32>,
    },
}

impl Capacity {
    /// MCUs of one worker.
    pub const fn mcu_count(&self) -> u32 {
        match self {
            Self::Provisioned { mcu_count, .. } | Self::Autoscaling { mcu_count, .. } => *mcu_count,
        }
    }

    /// Workers to run at least: all of them when provisioned.
    pub const fn workers_min(&self) -> u32 {
        match self {
            Self::Provisioned { worker_count, .. } => *worker_count,
            Self::Autoscaling {
                min_worker_count, ..
            } => *min_worker_count,
        }
    }

    /// Workers to run at most.
    pub const fn workers_max(&self) -> u32 {
        match self {
            Self::Provisioned { worker_count, .. } => *worker_count,
            Self::Autoscaling {
                max_worker_count, ..
            } => *max_worker_count,
        }
    }

    /// MCUs that the host must have for it: those of its fewest workers. More are lent while there
    /// are any.
    pub const fn mcus_min(&self) -> u32 {
        self.workers_min().saturating_mul(self.mcu_count())
    }

    /// The first value out of range: attribute below `capacity`, and what is wrong.
    pub fn invalid(&self) -> Option<(&'static str, String)> {
        let mcu = |value: u32, field: &'static str| {
            (!MCU_COUNTS.contains(&value)).then(|| {
                (
                    field,
                    format!("a worker has 1, 2, 4 or 8 MCUs, not {value}"),
                )
            })
        };
        let workers = |value: u32, field: &'static str| {
            (!(1..=WORKERS_MAX).contains(&value)).then(|| {
                (
                    field,
                    format!("a connector has 1 to {WORKERS_MAX} workers, not {value}"),
                )
            })
        };
        let percent = |value: u32, field: &'static str| {
            (!(1..=100).contains(&value)).then(|| {
                (
                    field,
                    format!("a CPU utilization is 1 to 100 percent, not {value}"),
                )
            })
        };
        match self {
            Self::Provisioned { mcu_count, worker_count } => mcu(*mcu_count, "provisioned.mcu_count")
                .or_else(|| workers(*worker_count, "provisioned.worker_count")),
            Self::Autoscaling {
                mcu_count,
                min_worker_count,
                max_worker_count,
                scale_in_cpu,
                scale_out_cpu,
                max_autoscaling_task_count,
            } => mcu(*mcu_count, "autoscaling.mcu_count")
                .or_else(|| workers(*min_worker_count, "autoscaling.min_worker_count"))
                .or_else(|| workers(*max_worker_count, "autoscaling.max_worker_count"))
                .or_else(|| {
                    (min_worker_count > max_worker_count).then(|| {
                        let text = format!("min_worker_count ({min_worker_count}) is above max_worker_count ({max_worker_count})");
                        ("autoscaling.min_worker_count", text)
                    })
                })
                .or_else(|| percent(*scale_in_cpu, "autoscaling.scale_in_policy.cpu_utilization_percentage"))
                .or_else(|| percent(*scale_out_cpu, "autoscaling.scale_out_policy.cpu_utilization_percentage"))
                .or_else(|| {
                    (scale_in_cpu >= scale_out_cpu).then(|| {
                        let text = format!("the scale-in threshold ({scale_in_cpu}) must be below the scale-out threshold ({scale_out_cpu})");
                        ("autoscaling.scale_in_policy.cpu_utilization_percentage", text)
                    })
                })
                .or_else(|| {
                    max_autoscaling_task_count.filter(|max| max < max_worker_count).map(|max| {
                        let text = format!("max_autoscaling_task_count ({max}) must be at least max_worker_count ({max_worker_count})");
                        ("autoscaling.max_autoscaling_task_count", text)
                    })
                }),
        }
    }
}

/// The summary that MSK Connect's console shows: what capacity means in machine terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacitySummary {
    /// MCUs as `2` or `1–2`.
    pub mcus: String,
    /// Memory as `8 GiB` or `4–8 GiB`.
    pub memory: String,
    /// The workers as `2 workers` or `1–2 workers`.
    pub network: String,
    /// How it scales, in words.
    pub scaling: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn autoscaling(min: u32, max: u32, low: u32, high: u32, tasks: Option<u32>) -> Capacity {
        Capacity::Autoscaling {
            mcu_count: 1,
            min_worker_count: min,
            max_worker_count: max,
            scale_in_cpu: low,
            scale_out_cpu: high,
            max_autoscaling_task_count: tasks,
        }
    }

    #[test]
    fn ranges_are_those_of_msk_connect() {
        let provisioned = |mcu_count, worker_count| Capacity::Provisioned {
            mcu_count,
            worker_count,
        };
        assert_eq!(provisioned(8, 10).invalid(), None);
        assert_eq!(
            provisioned(3, 1).invalid().unwrap().0,
            "provisioned.mcu_count"
        );
        assert_eq!(
            provisioned(1, 11).invalid().unwrap().0,
            "provisioned.worker_count"
        );
        assert_eq!(
            provisioned(1, 0).invalid().unwrap().0,
            "provisioned.worker_count"
        );
        assert_eq!(autoscaling(1, 2, 20, 80, Some(2)).invalid(), None);
        for (bad, field) in [
            (autoscaling(3, 2, 20, 80, None), "min_worker_count"),
            (autoscaling(1, 2, 80, 80, None), "scale_in_policy"),
            (autoscaling(1, 2, 0, 80, None), "scale_in_policy"),
            (autoscaling(1, 2, 20, 101, None), "scale_out_policy"),
            (
                autoscaling(1, 3, 20, 80, Some(2)),
                "max_autoscaling_task_count",
            ),
        ] {
            assert!(bad.invalid().unwrap().0.contains(field), "{bad:?}");
        }
    }
}
