//! Larger, smaller or neither.

use super::wording::{self, Found};
use super::{Bucket, Doubt, Load, Policy, Timing};
use runnel_api::scaling::{Evidence, HoldReason, ScalingMode, Size, Verdict};

/// What a decision needs to know of a fleet besides its load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetFacts {
    /// The size that is wanted now.
    pub size: Size,
    /// Whether the connector is wanted to run and does.
    pub running: bool,
    /// Whether a change is under way: an operation, a roll-back, or an earlier action.
    pub operation_open: bool,
    /// Whether tasks move between workers.
    pub rebalancing: bool,
    /// When the youngest worker was started.
    pub youngest_worker_started_ms: Option<u64>,
    /// When its size was changed last by a decision.
    pub last_action_ms: Option<u64>,
}

/// Decides whether a fleet gets larger or smaller by one step, and says why.
///
/// A step is one worker, or one rung of 1, 2, 4 and 8 MCUs. The conditions for holding come
/// first, in the order of [`HoldReason`]. Then it gets larger if the newest
/// [`Timing::scale_out_buckets`] are all above the scale-out threshold, and smaller if the newest
/// [`Timing::scale_in_buckets`] are all below the scale-in threshold, the busiest of them would
/// stay below [`Timing::forecast_percent`] of the scale-out threshold on fewer MCUs, and what is
/// to be read has not grown from the end of the first of them to the end of the last. A bucket is
/// needed unless another one rules the step out already; a needed one that is unknown holds. A
/// moment in the future (the clock went back) counts as now.
///
/// More workers than tasks that the class can use would have nothing to do, so that many workers
/// are the maximum too.
///
/// `free_mcus` is what the host can give besides what it gave already, none if it is not limited.
/// A step needs the net increase only: one worker's MCUs, or the difference of two rungs. A
/// bigger worker runs beside the smaller one for some seconds; admission counts wanted sizes, not
/// those seconds.
pub fn decide(
    policy: &Policy,
    timing: &Timing,
    buckets: &[Bucket],
    fleet: &FleetFacts,
    free_mcus: Option<u32>,
    now_ms: u64,
) -> (Verdict, Evidence) {
    let mut case = Case {
        policy,
        timing,
        fleet,
        size: policy.clamp(fleet.size),
        buckets: newest(buckets, timing, now_ms),
        now_ms,
        evidence: Evidence {
            free_mcus,
            ..Evidence::default()
        },
    };
    let verdict = match case.not_now() {
        Some(reason) => Verdict::Hold { reason },
        None => case.by_load(),
    };
    (verdict, case.evidence)
}

/// The newest buckets without a hole, none if they are too old to say anything.
fn newest<'a>(buckets: &'a [Bucket], timing: &Timing, now_ms: u64) -> &'a [Bucket] {
    let Some(last) = buckets.last() else {
        return &[];
    };
    let end_ms = last.start_ms.saturating_add(timing.bucket_ms);
    let oldest_ms = timing.bucket_ms.saturating_add(timing.gap_ms);
    if now_ms.saturating_sub(end_ms) > oldest_ms {
        return &[];
    }
    let mut first = buckets.len() - 1;
    while first > 0 {
        let end_ms = buckets[first - 1].start_ms.saturating_add(timing.bucket_ms);
        if end_ms != buckets[first].start_ms {
            break;
        }
        first -= 1;
    }
    &buckets[first..]
}

/// Whether the newest buckets all lie beyond a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// All of them.
    Yes,
    /// One does not.
    No,
    /// All that there are, and more are needed.
    NotYet,
    /// All that are known, and one is not.
    Unknown(Doubt),
}

fn reach(window: &[Bucket], needed: usize, beyond: impl Fn(u32) -> bool) -> Reach {
    let known = || window.iter().filter_map(Bucket::cpu_percent);
    if known().any(|percent| !beyond(percent)) {
        return Reach::No;
    }
    let doubt = window.iter().rev().find_map(|bucket| match bucket.load {
        Load::Unknown(doubt) => Some(doubt),
        Load::Percent(_) => None,
    });
    match doubt {
        Some(doubt) => Reach::Unknown(doubt),
        None if window.len() < needed => Reach::NotYet,
        None => Reach::Yes,
    }
}

/// One decision in the making.
struct Case<'a> {
    policy: &'a Policy,
    timing: &'a Timing,
    fleet: &'a FleetFacts,
    size: Size,
    buckets: &'a [Bucket],
    now_ms: u64,
    evidence: Evidence,
}

impl<'a> Case<'a> {
    /// Why the load does not matter now.
    fn not_now(&mut self) -> Option<HoldReason> {
        let fleet = self.fleet;
        let age_ms = fleet
            .youngest_worker_started_ms
            .map_or(u64::MAX, |started| self.now_ms.saturating_sub(started));
        let reason = if self.policy.mode() == ScalingMode::Fixed {
            HoldReason::Fixed
        } else if !fleet.running {
            HoldReason::NotRunning
        } else if fleet.operation_open {
            HoldReason::Operation
        } else if fleet.rebalancing {
            HoldReason::Rebalance
        } else if age_ms < self.timing.young_worker_ms {
            HoldReason::YoungWorker
        } else {
            return None;
        };
        let window = self.window(self.timing.scale_out_buckets);
        self.figures(window, None);
        self.evidence.text =
            wording::not_now(reason, self.size, age_ms, self.timing.young_worker_ms);
        Some(reason)
    }

    fn by_load(&mut self) -> Verdict {
        let (low, high) = self.policy.thresholds();
        let out_window = self.window(self.timing.scale_out_buckets);
        let in_window = self.window(self.timing.scale_in_buckets);
        let needed = |count: u32| count.max(1) as usize;
        let out_needed = needed(self.timing.scale_out_buckets);
        let in_needed = needed(self.timing.scale_in_buckets);
        let out = reach(out_window, out_needed, |percent| percent > high);
        let within = reach(in_window, in_needed, |percent| percent < low);
        let above = |reach| Found::new(out_window, true, high, out_needed, reach);
        let below = |reach| Found::new(in_window, false, low, in_needed, reach);
        match (out, within) {
            (Reach::Yes, _) => self.larger(out_window, &above(out)),
            (_, Reach::Yes) => self.smaller(in_window, &below(within)),
            _ if self.buckets.is_empty() => self.hold(HoldReason::UnknownLoad, &above(out), ""),
            (Reach::Unknown(_), _) if self.policy.larger(self.size).is_some() => {
                self.hold(HoldReason::UnknownLoad, &above(out), "")
            }
            (_, Reach::Unknown(_)) if self.policy.smaller(self.size).is_some() => {
                self.hold(HoldReason::UnknownLoad, &below(within), "")
            }
            (_, Reach::NotYet | Reach::Unknown(_)) => {
                self.hold(HoldReason::WithinThresholds, &below(within), "")
            }
            _ => self.hold(HoldReason::WithinThresholds, &above(out), ""),
        }
    }

    /// The load asks for more.
    fn larger(&mut self, window: &[Bucket], found: &Found<'_>) -> Verdict {
        let usable = self.policy.tasks_usable().unwrap_or(u32::MAX);
        let idle = self.policy.mode() == ScalingMode::Horizontal && self.size.workers >= usable;
        let Some(to) = self.policy.larger(self.size).filter(|_| !idle) else {
            let why = wording::maximum(self.size, idle.then_some(usable));
            return self.hold(HoldReason::AtMaximum, found, &why);
        };
        self.evidence.forecast_percent = forecast(window, self.size, to);
        let wait_ms = self.timing.scale_out_cool_down_ms;
        if let Some(age_ms) = self.too_recent(wait_ms) {
            return self.hold(
                HoldReason::CoolDown,
                found,
                &wording::cool_down(age_ms, wait_ms),
            );
        }
        let more = to.mcus().saturating_sub(self.size.mcus());
        if let Some(free) = self.evidence.free_mcus.filter(|free| *free < more) {
            return self.hold(HoldReason::HostFull, found, &wording::host_full(more, free));
        }
        self.scale(to, found, &wording::step(self.size, to))
    }

    /// The load asks for less.
    fn smaller(&mut self, window: &[Bucket], found: &Found<'_>) -> Verdict {
        let Some(to) = self.policy.smaller(self.size) else {
            let why = wording::minimum(self.size);
            return self.hold(HoldReason::AtMinimum, found, &why);
        };
        let forecast = forecast(window, self.size, to).unwrap_or(u32::MAX);
        self.evidence.forecast_percent = Some(forecast);
        self.evidence.lag = lag(window);
        let wait_ms = self.timing.scale_in_cool_down_ms;
        if let Some(age_ms) = self.too_recent(wait_ms) {
            return self.hold(
                HoldReason::CoolDown,
                found,
                &wording::cool_down(age_ms, wait_ms),
            );
        }
        if let Some((before, after)) = self.evidence.lag.filter(|(before, after)| after > before) {
            let why = wording::growing_lag(before, after);
            return self.hold(HoldReason::GrowingLag, found, &why);
        }
        let (_, high) = self.policy.thresholds();
        let share = self.timing.forecast_percent;
        let fits = u64::from(forecast) * 100 < u64::from(share) * u64::from(high);
        let why = wording::forecast(to, forecast, share, high, fits);
        if !fits {
            return self.hold(HoldReason::Forecast, found, &why);
        }
        let step = wording::step(self.size, to);
        self.scale(to, found, &format!("{why}; {step}"))
    }

    /// The time since the last action if it is shorter than that.
    fn too_recent(&self, wait_ms: u64) -> Option<u64> {
        let age_ms = self.now_ms.saturating_sub(self.fleet.last_action_ms?);
        (age_ms < wait_ms).then_some(age_ms)
    }

    /// The newest buckets, that many if they are there.
    fn window(&self, count: u32) -> &'a [Bucket] {
        let from = self.buckets.len().saturating_sub(count.max(1) as usize);
        &self.buckets[from..]
    }

    fn figures(&mut self, window: &[Bucket], threshold: Option<u32>) {
        self.evidence.cpu_percent = window.iter().map(Bucket::cpu_percent).collect();
        self.evidence.threshold_percent = threshold;
    }

    fn hold(&mut self, reason: HoldReason, found: &Found<'_>, why: &str) -> Verdict {
        self.say(found, why);
        Verdict::Hold { reason }
    }

    fn scale(&mut self, to: Size, found: &Found<'_>, why: &str) -> Verdict {
        self.say(found, why);
        Verdict::Scale { to }
    }

    fn say(&mut self, found: &Found<'_>, why: &str) {
        self.figures(found.window, Some(found.threshold));
        self.evidence.text = found.text(why);
    }
}

/// Utilisation of the busiest known bucket on another number of MCUs, rounded up.
fn forecast(window: &[Bucket], from: Size, to: Size) -> Option<u32> {
    let busiest = window.iter().filter_map(Bucket::cpu_percent).max()?;
    let work = u64::from(busiest).saturating_mul(u64::from(from.mcus()));
    let percent = work.div_ceil(u64::from(to.mcus().max(1)));
    Some(u32::try_from(percent).unwrap_or(u32::MAX))
}

/// The first and the last lag that are known, if two are.
fn lag(window: &[Bucket]) -> Option<(u64, u64)> {
    let mut known = window.iter().filter_map(|bucket| bucket.lag);
    let first = known.next()?;
    Some((first, known.next_back()?))
}
