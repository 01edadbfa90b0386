//! Which sizes a connector may have, and which it has at the start.

use runnel_api::capacity::{
    Capacity, MCU_COUNTS, SCALE_IN_DEFAULT, SCALE_OUT_DEFAULT, WORKERS_MAX,
};
use runnel_api::scaling::{ScalingMode, Size};

/// Tasks per MCU of an autoscaled connector (MSK Connect developer guide, "maximum autoscaling
/// task count": `tasks.max` is workers × MCUs per worker × 2).
const TASKS_PER_MCU: u32 = 2;

/// How many tasks a connector's class can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskLimit {
    /// One, whatever it is given: a curated single-task class. It scales vertically.
    One,
    /// That many and no more, such as the partitions of all topics of a sink. Zero means one.
    AtMost(u32),
    /// As many as it is given, or nobody knows.
    Unlimited,
}

/// What a connector's capacity and class allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    mode: ScalingMode,
    /// Every allowed size, smallest first; never empty.
    sizes: Vec<Size>,
    scale_in: u32,
    scale_out: u32,
    tasks: TaskLimit,
    /// The most that `tasks.max` is replaced with; none if it stays as it is configured.
    tasks_replaced: Option<u32>,
}

impl Policy {
    /// Reads a capacity. Values that its check refuses are brought into range, so this is total.
    ///
    /// - Provisioned capacity, of any class: its workers, fixed.
    /// - Autoscaled: `min_worker_count` to `max_worker_count` workers of `mcu_count` MCUs.
    /// - Autoscaled and [`TaskLimit::One`]: one worker of 1, 2, 4 or 8 MCUs, from
    ///   `min_worker_count` · `mcu_count` to `max_worker_count` · `mcu_count`. Where a product is
    ///   none of these, the rungs inside count; where none is inside, the largest below the upper
    ///   product is the only one. It is never smaller than `mcu_count`.
    ///
    /// A policy with one size left is [`ScalingMode::Fixed`].
    pub fn of(capacity: &Capacity, tasks: TaskLimit) -> Self {
        let mcu_count = capacity.mcu_count().max(1);
        let (scaling, sizes) = match capacity {
            Capacity::Provisioned { worker_count, .. } => {
                let workers = (*worker_count).max(1);
                (ScalingMode::Fixed, vec![Size { workers, mcu_count }])
            }
            Capacity::Autoscaling { .. } => {
                let min = capacity.workers_min().clamp(1, WORKERS_MAX);
                let max = capacity.workers_max().clamp(min, WORKERS_MAX);
                if tasks == TaskLimit::One {
                    (ScalingMode::Vertical, rungs(min, max, mcu_count))
                } else {
                    let sizes = (min..=max).map(|workers| Size { workers, mcu_count });
                    (ScalingMode::Horizontal, sizes.collect())
                }
            }
        };
        let (scale_in, scale_out, tasks_replaced) = match capacity {
            Capacity::Provisioned { .. } => (SCALE_IN_DEFAULT, SCALE_OUT_DEFAULT, None),
            Capacity::Autoscaling {
                scale_in_cpu,
                scale_out_cpu,
                max_autoscaling_task_count,
                ..
            } => (
                *scale_in_cpu,
                *scale_out_cpu,
                Some(max_autoscaling_task_count.unwrap_or(u32::MAX)),
            ),
        };
        Self {
            mode: if sizes.len() == 1 {
                ScalingMode::Fixed
            } else {
                scaling
            },
            sizes,
            scale_in,
            scale_out,
            tasks,
            tasks_replaced,
        }
    }

    /// Which way it scales.
    pub const fn mode(&self) -> ScalingMode {
        self.mode
    }

    /// The size to begin with: the smallest.
    pub fn initial(&self) -> Size {
        self.bounds().0
    }

    /// The smallest and the largest size.
    pub fn bounds(&self) -> (Size, Size) {
        let nothing = Size {
            workers: 1,
            mcu_count: 1,
        };
        let first = self.sizes.first().copied().unwrap_or(nothing);
        (first, self.sizes.last().copied().unwrap_or(first))
    }

    /// The size to have in place of one that was right under another capacity: the smallest
    /// allowed one with at least as many MCUs, else the largest. An allowed size stays as it is.
    pub fn clamp(&self, size: Size) -> Size {
        let enough = |it: &&Size| it.mcus() >= size.mcus();
        let fitting = self.sizes.iter().find(enough);
        fitting.copied().unwrap_or(self.bounds().1)
    }

    /// The `tasks.max` that Connect is to be given at a size in place of the configured one;
    /// `None` leaves it to the configuration.
    ///
    /// As MSK Connect does (developer guide, "maximum autoscaling task count"): provisioned
    /// capacity leaves `tasks.max` as it is configured; autoscaling replaces it, at the creation
    /// and at each action, with workers × MCUs per worker × 2, at most
    /// `max_autoscaling_task_count`. Beyond MSK it is never more than the class can use, so 1 for
    /// a class of a single task. It is replaced even where the minimum is the maximum.
    pub fn tasks_max(&self, size: Size) -> Option<u32> {
        let most = self.tasks_replaced?;
        let by_size = size.mcus().saturating_mul(TASKS_PER_MCU);
        let usable = self.tasks_usable().unwrap_or(u32::MAX);
        Some(by_size.min(most).min(usable).max(1))
    }

    /// Tasks that the class can use; none if there is no end.
    pub(super) fn tasks_usable(&self) -> Option<u32> {
        match self.tasks {
            TaskLimit::One => Some(1),
            TaskLimit::AtMost(tasks) => Some(tasks.max(1)),
            TaskLimit::Unlimited => None,
        }
    }

    /// The next larger size.
    pub(super) fn larger(&self, than: Size) -> Option<Size> {
        let larger = |it: &&Size| it.mcus() > than.mcus();
        self.sizes.iter().find(larger).copied()
    }

    /// The next smaller size.
    pub(super) fn smaller(&self, than: Size) -> Option<Size> {
        let smaller = |it: &&Size| it.mcus() < than.mcus();
        self.sizes.iter().rev().find(smaller).copied()
    }

    /// Utilisation in percent below which it gets smaller, and above which it gets larger.
    pub(super) const fn thresholds(&self) -> (u32, u32) {
        (self.scale_in, self.scale_out)
    }
}

/// Sizes of the only worker of a single-task connector.
fn rungs(min: u32, max: u32, mcu_count: u32) -> Vec<Size> {
    let (low, high) = (min.saturating_mul(mcu_count), max.saturating_mul(mcu_count));
    let one = |mcu_count| Size {
        workers: 1,
        mcu_count,
    };
    let inside: Vec<Size> = MCU_COUNTS
        .into_iter()
        .filter(|rung| (low..=high).contains(rung))
        .map(one)
        .collect();
    if inside.is_empty() {
        let below = MCU_COUNTS.into_iter().rev().find(|rung| *rung <= high);
        vec![one(below.unwrap_or(MCU_COUNTS[0]))]
    } else {
        inside
    }
}
