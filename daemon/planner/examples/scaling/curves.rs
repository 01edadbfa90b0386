//! The loads that the charts show, in thousandths of an MCU.

use crate::simulation::Scene;
use runnel_api::capacity::{Capacity, SCALE_OUT_DEFAULT};
use runnel_planner::scale::TaskLimit;

/// A load, and how the two kinds of connectors deal with it.
pub struct Curve {
    /// The chart's file name without its end.
    pub name: &'static str,
    pub title: &'static str,
    minutes: u64,
    demand: fn(u64, u64) -> u64,
}

pub const CURVES: [Curve; 4] = [
    Curve {
        name: "step",
        title: "A step: one hour of ten times the load",
        minutes: 240,
        demand: step,
    },
    Curve {
        name: "ramp",
        title: "A ramp: two hours up, two hours down",
        minutes: 360,
        demand: ramp,
    },
    Curve {
        name: "day-and-night",
        title: "Two days and nights",
        minutes: 2_880,
        demand: day_and_night,
    },
    Curve {
        name: "noise",
        title: "Noise: another load every minute, with peaks of two minutes",
        minutes: 480,
        demand: noise,
    },
];

impl Curve {
    /// One to five workers of one MCU, of a sink with eight partitions.
    pub fn horizontal(&self, scale_in_cpu: u32) -> Scene {
        self.scene(5, TaskLimit::AtMost(8), scale_in_cpu)
    }

    /// One worker of one to eight MCUs.
    pub fn vertical(&self, scale_in_cpu: u32) -> Scene {
        self.scene(8, TaskLimit::One, scale_in_cpu)
    }

    fn scene(&self, max_worker_count: u32, tasks: TaskLimit, scale_in_cpu: u32) -> Scene {
        Scene {
            capacity: Capacity::Autoscaling {
                mcu_count: 1,
                min_worker_count: 1,
                max_worker_count,
                scale_in_cpu,
                scale_out_cpu: SCALE_OUT_DEFAULT,
                max_autoscaling_task_count: None,
            },
            tasks,
            start: None,
            minutes: self.minutes,
            demand: self.demand,
            scale: 1_000,
        }
    }
}

fn step(second: u64, scale: u64) -> u64 {
    let at_peak = (30 * 60..90 * 60).contains(&second);
    if at_peak { 3 * scale } else { 3 * scale / 10 }
}

fn ramp(second: u64, scale: u64) -> u64 {
    let (least, most, half) = (scale / 5, 42 * scale / 10, 120 * 60);
    let from_peak = second.abs_diff(half + 30 * 60).min(half);
    least + (most - least) * (half - from_peak) / half
}

/// Load at each full hour, in hundredths of an MCU.
const DAY: [u64; 24] = [
    45, 30, 20, 15, 15, 25, 60, 120, 210, 290, 330, 320, 280, 300, 340, 330, 290, 240, 190, 160,
    150, 120, 90, 60,
];

fn day_and_night(second: u64, scale: u64) -> u64 {
    let at = |hour: u64| DAY[usize::try_from(hour % 24).unwrap_or(0)] * scale / 100;
    let (hour, rest) = (second / 3_600, second % 3_600);
    let mean = (at(hour) * (3_600 - rest) + at(hour + 1) * rest) / 3_600;
    // A tenth more or less every minute.
    mean * (900 + random(second / 60) % 201) / 1_000
}

fn noise(second: u64, scale: u64) -> u64 {
    let is_peak = random(1_000_000 + second / 120).is_multiple_of(25);
    if is_peak {
        3 * scale
    } else {
        (300 + random(second / 60) % 601) * scale / 1_000
    }
}

/// Numbers that look like chance, one for each counter, the same on every machine.
fn random(counter: u64) -> u64 {
    (0..4).fold(counter.wrapping_add(7_919), |bits, _| {
        let bits = (bits ^ (bits >> 31)).wrapping_mul(0x5851_f42d_4c95_7f2d);
        bits ^ (bits >> 27)
    })
}
