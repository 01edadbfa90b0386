//! CPU time of a fleet's workers, in buckets that are known or say why they are not.

use super::Timing;
use runnel_api::scaling::Size;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Most buckets that are kept, whatever the configuration asks for: a day of minutes.
const BUCKETS_MAX: u32 = 1_440;
const NS_PER_MS: u128 = 1_000_000;

/// What was read of a fleet at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When it was read.
    pub at_ms: u64,
    /// Every worker whose CPU time could be read, by its id (unique for each process).
    pub workers: BTreeMap<String, WorkerUsage>,
    /// Records that were not read yet, where that is known.
    pub lag: Option<u64>,
}

/// What was read of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerUsage {
    /// CPU time since its start in nanoseconds.
    pub cpu_ns: u64,
    /// Its MCUs.
    pub mcu_count: u32,
}

/// The utilisation of one aligned stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its begin, a multiple of [`Timing::bucket_ms`].
    pub start_ms: u64,
    /// How busy the fleet was.
    pub load: Load,
    /// Records that were not read yet at its end, where that is known.
    pub lag: Option<u64>,
}

impl Bucket {
    /// Utilisation in percent, if it is known.
    pub const fn cpu_percent(&self) -> Option<u32> {
        match self.load {
            Load::Percent(percent) => Some(percent),
            Load::Unknown(_) => None,
        }
    }
}

/// How busy a fleet was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// 100 · Σ CPU time / Σ (MCUs · time), rounded to whole percent. It is above 100 where nothing
    /// holds a worker to its MCUs.
    Percent(u32),
    /// It cannot be told.
    Unknown(Doubt),
}

/// Why a load cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Samples are too far apart, or missing.
    Gap,
    /// A worker appeared or disappeared.
    Membership,
    /// Not as many workers as wanted were read, or not of that size.
    OtherSize,
    /// A CPU counter went back.
    CounterReset,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gap => "samples are missing",
            Self::Membership => "a worker came or went",
            Self::OtherSize => "the fleet did not have its size",
            Self::CounterReset => "a CPU counter went back",
        })
    }
}

/// Makes buckets of samples.
///
/// A bucket is known only if samples at most [`Timing::gap_ms`] apart cover all of it, and all of
/// them show the same workers, as many and as large as the wanted size says, with counters that
/// never go back. There is no exception for a worker that was started or stopped on purpose:
/// while one comes or goes, tasks move and a JVM starts, and the CPU time of that minute says
/// nothing of the load. CPU time between two samples counts evenly for the time between them.
///
/// Another size begins a new window: what was measured before says nothing of the new size. So
/// does a clock that goes back. Memory is bounded by the longer of the two windows that
/// [`Timing`] asks for, at most 1,440 buckets.
#[derive(Clone, Debug)]
pub struct Meter {
    bucket_ms: u64,
    gap_ms: u64,
    keep: u32,
    window: Option<Window>,
}

/// Samples of one size.
#[derive(Clone, Debug)]
struct Window {
    size: Size,
    since_ms: u64,
    last: Sample,
    /// Without holes, oldest first; the last one may not be over yet.
    tallies: VecDeque<Tally>,
}

/// A bucket in the making.
#[derive(Clone, Debug)]
struct Tally {
    start_ms: u64,
    cpu_ns: u128,
    capacity_ns: u128,
    covered_ms: u64,
    doubt: Option<Doubt>,
    lag: Option<u64>,
}

impl Meter {
    /// A meter without a sample.
    pub fn new(timing: &Timing) -> Self {
        let longest = timing.scale_out_buckets.max(timing.scale_in_buckets);
        Self {
            bucket_ms: timing.bucket_ms.max(1),
            gap_ms: timing.gap_ms,
            keep: longest.clamp(1, BUCKETS_MAX),
            window: None,
        }
    }

    /// Takes a sample of a fleet whose wanted size is `size`. A second one of the same moment is
    /// ignored.
    pub fn record(&mut self, size: Size, sample: Sample) {
        let at = sample.at_ms;
        let Some(window) = self
            .window
            .as_mut()
            .filter(|it| it.size == size && it.last.at_ms <= at)
        else {
            self.window = Some(Window {
                size,
                since_ms: at,
                last: sample,
                tallies: VecDeque::new(),
            });
            return;
        };
        if window.last.at_ms < at {
            window.add(&sample, self.bucket_ms, self.gap_ms, self.keep);
            window.last = sample;
        }
    }

    /// The buckets of the present size that are over, oldest first and without holes: at most as
    /// many as the longest window needs. A bucket is over when a sample after its end is there, or
    /// when that sample is overdue, which makes it unknown.
    pub fn buckets(&self, now_ms: u64) -> Vec<Bucket> {
        let Some(window) = &self.window else {
            return Vec::new();
        };
        let last_ms = window.last.at_ms;
        let overdue = now_ms.saturating_sub(last_ms) > self.gap_ms;
        let seen_to = if overdue { now_ms } else { last_ms };
        let end = seen_to / self.bucket_ms;
        let begin = window
            .since_ms
            .div_ceil(self.bucket_ms)
            .max(end.saturating_sub(u64::from(self.keep)));
        (begin..end)
            .map(|number| window.bucket(number.saturating_mul(self.bucket_ms), self.bucket_ms))
            .collect()
    }
}

impl Window {
    /// Counts the time from the last sample to this one, which is later.
    fn add(&mut self, sample: &Sample, bucket_ms: u64, gap_ms: u64, keep: u32) {
        let (from, to) = (self.last.at_ms, sample.at_ms);
        let doubt = self.doubt(sample, gap_ms);
        let mut cpu_ns = 0_u128;
        let mut mcus = 0_u128;
        for (id, usage) in &sample.workers {
            let before = self.last.workers.get(id).map_or(0, |it| it.cpu_ns);
            cpu_ns += u128::from(usage.cpu_ns.saturating_sub(before));
            mcus += u128::from(usage.mcu_count);
        }
        let newest = (to - 1) / bucket_ms;
        let oldest = (from / bucket_ms).max(newest.saturating_sub(u64::from(keep)));
        for number in oldest..=newest {
            let start_ms = number.saturating_mul(bucket_ms);
            let tally = self.tally(start_ms, bucket_ms, keep);
            let inside = to.min(start_ms.saturating_add(bucket_ms)) - from.max(start_ms);
            tally.covered_ms += inside;
            let share = cpu_ns.saturating_mul(u128::from(inside)) / u128::from(to - from);
            let capacity = mcus.saturating_mul(u128::from(inside) * NS_PER_MS);
            tally.cpu_ns = tally.cpu_ns.saturating_add(share);
            tally.capacity_ns = tally.capacity_ns.saturating_add(capacity);
            tally.doubt = tally.doubt.or(doubt);
            if number == newest {
                tally.lag = sample.lag;
            }
        }
    }

    /// What makes the time from the last sample to this one unknown.
    fn doubt(&self, sample: &Sample, gap_ms: u64) -> Option<Doubt> {
        let (before, after) = (&self.last.workers, &sample.workers);
        let sized = |it: &WorkerUsage| it.mcu_count == self.size.mcu_count;
        let as_wanted = |workers: &BTreeMap<String, WorkerUsage>| {
            u32::try_from(workers.len()) == Ok(self.size.workers) && workers.values().all(sized)
        };
        if sample.at_ms - self.last.at_ms > gap_ms {
            Some(Doubt::Gap)
        } else if !before.keys().eq(after.keys()) {
            Some(Doubt::Membership)
        } else if !as_wanted(before) || !as_wanted(after) {
            Some(Doubt::OtherSize)
        } else if before
            .values()
            .zip(after.values())
            .any(|(before, after)| after.cpu_ns < before.cpu_ns)
        {
            Some(Doubt::CounterReset)
        } else {
            None
        }
    }

    /// The tally that begins there; it is the last one or a later one.
    fn tally(&mut self, start_ms: u64, bucket_ms: u64, keep: u32) -> &mut Tally {
        let known = self
            .tallies
            .iter()
            .rposition(|tally| tally.start_ms == start_ms);
        let index = known.unwrap_or_else(|| {
            let next = self
                .tallies
                .back()
                .map(|it| it.start_ms.saturating_add(bucket_ms));
            if next != Some(start_ms) {
                // After a gap longer than the window nothing before it counts.
                self.tallies.clear();
            }
            self.tallies.push_back(Tally::new(start_ms));
            while self.tallies.len() > keep as usize + 1 {
                self.tallies.pop_front();
            }
            self.tallies.len() - 1
        });
        &mut self.tallies[index]
    }

    fn bucket(&self, start_ms: u64, bucket_ms: u64) -> Bucket {
        let tally = self.tallies.iter().find(|it| it.start_ms == start_ms);
        let (load, lag) = match tally {
            None => (Load::Unknown(Doubt::Gap), None),
            Some(tally) => (tally.load(bucket_ms), tally.lag),
        };
        Bucket {
            start_ms,
            load,
            lag,
        }
    }
}

impl Tally {
    const fn new(start_ms: u64) -> Self {
        Self {
            start_ms,
            cpu_ns: 0,
            capacity_ns: 0,
            covered_ms: 0,
            doubt: None,
            lag: None,
        }
    }

    fn load(&self, bucket_ms: u64) -> Load {
        if let Some(doubt) = self.doubt {
            return Load::Unknown(doubt);
        }
        if self.covered_ms < bucket_ms || self.capacity_ns == 0 {
            return Load::Unknown(Doubt::Gap);
        }
        let hundred = self.cpu_ns.saturating_mul(100);
        let percent = hundred.saturating_add(self.capacity_ns / 2) / self.capacity_ns;
        Load::Percent(u32::try_from(percent).unwrap_or(u32::MAX))
    }
}
