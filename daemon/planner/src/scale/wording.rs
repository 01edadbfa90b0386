//! Evidence in one line for people.

use super::Bucket;
use super::decision::Reach;
use runnel_api::scaling::{HoldReason, Size};
use std::fmt::Write as _;

/// Up to that many figures are written out; of more, the least and the greatest.
const FIGURES_MAX: usize = 5;

/// What was found when buckets were compared with a threshold.
pub(super) struct Found<'a> {
    pub(super) window: &'a [Bucket],
    pub(super) threshold: u32,
    is_above: bool,
    needed: usize,
    reach: Reach,
}

impl<'a> Found<'a> {
    pub(super) const fn new(
        window: &'a [Bucket],
        is_above: bool,
        threshold: u32,
        needed: usize,
        reach: Reach,
    ) -> Self {
        Self {
            window,
            threshold,
            is_above,
            needed,
            reach,
        }
    }

    /// The figures, what they are beside the threshold, and what follows.
    pub(super) fn text(&self, why: &str) -> String {
        let mut text = match self.window {
            [] => "no full bucket of CPU time yet".to_owned(),
            [bucket] => format!("CPU {} in the last bucket", figures(&[*bucket])),
            many => format!("CPU {} in the last {} buckets", figures(many), many.len()),
        };
        let side = if self.is_above { "above" } else { "below" };
        let threshold = self.threshold;
        let all = if self.window.len() > 1 { "all " } else { "" };
        // Writing to a string cannot fail.
        let _ = match self.reach {
            _ if self.window.is_empty() => Ok(()),
            Reach::Yes => write!(text, ", {all}{side} {threshold} %"),
            Reach::No => write!(text, ", not {all}{side} {threshold} %"),
            Reach::NotYet => {
                let needed = self.needed;
                write!(text, ", {all}{side} {threshold} %; {needed} are needed")
            }
            Reach::Unknown(doubt) => write!(text, "; unknown, because {doubt}"),
        };
        if !why.is_empty() {
            let _ = write!(text, "; {why}");
        }
        text
    }
}

/// `91, ?, 93 %`, or `3 to 12 %` and how many are unknown.
fn figures(window: &[Bucket]) -> String {
    let known = || window.iter().filter_map(Bucket::cpu_percent);
    match (known().min(), known().max()) {
        (Some(least), Some(greatest)) if window.len() > FIGURES_MAX => {
            let unknown = window.len() - known().count();
            let range = if least == greatest {
                format!("{least} %")
            } else {
                format!("{least} to {greatest} %")
            };
            if unknown == 0 {
                range
            } else {
                format!("{range} and {unknown} times unknown")
            }
        }
        (Some(_), Some(_)) => {
            let each = window.iter().map(|bucket| {
                let percent = bucket.cpu_percent();
                percent.map_or_else(|| "?".to_owned(), |it| it.to_string())
            });
            format!("{} %", each.collect::<Vec<_>>().join(", "))
        }
        _ => "unknown".to_owned(),
    }
}

pub(super) fn not_now(reason: HoldReason, size: Size, age_ms: u64, young_ms: u64) -> String {
    match reason {
        HoldReason::Fixed => format!("the capacity allows one size only: {size}"),
        HoldReason::NotRunning => "the connector does not run".to_owned(),
        HoldReason::Operation => "a change is under way".to_owned(),
        HoldReason::Rebalance => "tasks move between workers".to_owned(),
        _ => format!(
            "the youngest worker has run for {}; the load counts after {}",
            time(age_ms),
            time(young_ms)
        ),
    }
}

/// `1 -> 2 workers of 1 MCU` or `1 worker of 1 -> 2 MCUs`.
pub(super) fn step(from: Size, to: Size) -> String {
    if from.mcu_count == to.mcu_count {
        format!("{} -> {to}", from.workers)
    } else if from.workers == to.workers {
        let worker = if to.workers == 1 { "worker" } else { "workers" };
        let mcus = if to.mcu_count == 1 { "MCU" } else { "MCUs" };
        format!(
            "{} {worker} of {} -> {} {mcus}",
            to.workers, from.mcu_count, to.mcu_count
        )
    } else {
        format!("{from} -> {to}")
    }
}

pub(super) fn maximum(size: Size, usable_tasks: Option<u32>) -> String {
    match usable_tasks {
        None => format!("{size} is the maximum"),
        Some(1) => format!("{size} has a worker for the only task that it can use"),
        Some(tasks) => format!("{size} has a worker for each of the {tasks} tasks that it can use"),
    }
}

pub(super) fn minimum(size: Size) -> String {
    format!("{size} is the minimum")
}

pub(super) fn cool_down(age_ms: u64, wait_ms: u64) -> String {
    format!(
        "the last change of size was {} ago, the next may come after {}",
        time(age_ms),
        time(wait_ms)
    )
}

pub(super) fn host_full(more: u32, free: u32) -> String {
    let mcus = if more == 1 { "MCU" } else { "MCUs" };
    format!("{more} {mcus} more are needed and the host has {free}")
}

pub(super) fn growing_lag(before: u64, after: u64) -> String {
    format!("but what is to be read grew from {before} to {after} records")
}

pub(super) fn forecast(to: Size, percent: u32, share: u32, threshold: u32, fits: bool) -> String {
    let limit = u64::from(share) * u64::from(threshold);
    let (whole, rest) = (limit / 100, limit % 100);
    let limit = match rest {
        0 => whole.to_string(),
        rest if rest % 10 == 0 => format!("{whole}.{}", rest / 10),
        rest => format!("{whole}.{rest:02}"),
    };
    let verdict = if fits { "below" } else { "not below" };
    format!("{to} would have up to {percent} %, {verdict} {limit} %")
}

/// `45 s`, or `12 min`; fractions of a second only below ten.
fn time(ms: u64) -> String {
    match ms {
        0..10_000 if !ms.is_multiple_of(1_000) => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        0..120_000 => format!("{} s", ms / 1_000),
        _ if ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}
