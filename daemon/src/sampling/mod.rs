//! Samples: what each worker uses, looked at in a steady rhythm, for scaling, status and metrics.
//!
//! One task lists the workers and reads their usage; everybody else reads the latest [`Sample`] from
//! memory. A look that fails publishes nothing, so a reader sees by [`Sample::at_ms`] that what it
//! has is old; a worker that cannot be read is there without usage.

mod lags;
mod meter;

pub use lags::{LagWatch, Lags};
use meter::{Meter, Urgency};

use crate::fleet::{Fleet, SeenWorker, Usage, WorkerId};
use crate::store::{Store, StoreError, now_ms};
use runnel_api::connector::ConnectorSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Time between two samples, unless it is configured.
pub const SAMPLE_DEFAULT: Duration = Duration::from_secs(10);
/// Samples between two writes of the meter while nothing happens that could not be counted again:
/// 30 s by default.
const KEEP_SAMPLES: u32 = 3;
/// Two looks that lie further apart than so many periods tell nothing about the time between them.
const GAP_PERIODS: u32 = 2;

/// What one look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When it began, milliseconds since the Unix epoch; 0 before the first look.
    pub at_ms: u64,
    /// Every connector that has workers, living or dead.
    pub connectors: BTreeMap<Uuid, ConnectorSample>,
    /// CPU time in nanoseconds of all workers that a connector has had since this daemon began to
    /// look. Never falls.
    pub cpu_ns: BTreeMap<Uuid, u64>,
    /// MCUs times milliseconds that each connector has cost since it was made, as far as it is kept:
    /// it never falls, whatever dies, and is up to 30 s behind.
    pub mcu_ms: BTreeMap<Uuid, u64>,
}

/// One connector's workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorSample {
    /// Whether these are all; false when a worker's folder cannot be read.
    pub is_complete: bool,
    /// The living ones.
    pub workers: BTreeMap<WorkerId, WorkerSample>,
}

impl Default for ConnectorSample {
    fn default() -> Self {
        Self {
            is_complete: true,
            workers: BTreeMap::new(),
        }
    }
}

/// One living worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerSample {
    /// When it was looked at, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Its size.
    pub mcu_count: u32,
    /// When it was started, milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// What it has used; none when that cannot be told.
    pub usage: Option<Usage>,
    /// CPU time in percent of its MCUs since the sample before; none for the first one and after a gap.
    pub cpu_percent: Option<u32>,
}

/// The latest sample, for any number of readers.
#[derive(Clone, Debug)]
pub struct Samples {
    latest: watch::Receiver<Arc<Sample>>,
}

impl Samples {
    /// The latest sample.
    pub fn latest(&self) -> Arc<Sample> {
        self.latest.borrow().clone()
    }

    /// What the latest sample holds of a connector; none when it has no workers.
    pub fn of(&self, connector: Uuid) -> Option<ConnectorSample> {
        self.latest.borrow().connectors.get(&connector).cloned()
    }

    /// Waits for the next sample; false when there will be none.
    pub async fn changed(&mut self) -> bool {
        self.latest.changed().await.is_ok()
    }
}

/// Takes the samples.
pub struct Sampler {
    fleet: Fleet,
    store: Store,
    period: Duration,
    load: Load,
    meter: Meter,
    /// When the meter was written last.
    kept: Option<Instant>,
    publish: watch::Sender<Arc<Sample>>,
}

impl Sampler {
    /// Reads back what was counted; looks for the first time with [`Sampler::look`] or
    /// [`Sampler::run`].
    pub fn new(
        fleet: Fleet,
        store: Store,
        period: Duration,
    ) -> Result<(Self, Samples), StoreError> {
        let meter: Meter = store.meter()?.unwrap_or_default();
        let first = Sample {
            mcu_ms: meter.totals(),
            ..Sample::default()
        };
        let (publish, latest) = watch::channel(Arc::new(first));
        let sampler = Self {
            fleet,
            store,
            period,
            load: Load::default(),
            meter,
            kept: None,
            publish,
        };
        Ok((sampler, Samples { latest }))
    }

    /// Looks until `end`, and keeps what was counted.
    pub async fn run(mut self, end: CancellationToken) {
        let mut rhythm = tokio::time::interval(self.period);
        // After a suspend there is one sample, not one for each that was missed.
        rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = end.cancelled() => break,
                _ = rhythm.tick() => self.look().await,
            }
        }
        self.kept = None;
        self.look().await;
    }

    /// One look. Done once before workers are tended, it counts those that ended while no daemon
    /// watched: afterwards they are buried.
    pub async fn look(&mut self) {
        let at_ms = now_ms();
        let (fleet, store) = (self.fleet.clone(), self.store.clone());
        let found = tokio::task::spawn_blocking(move || Found::of(&fleet, &store)).await;
        let found = match found {
            Ok(Ok(found)) => found,
            Ok(Err(reason)) => return tracing::warn!(reason, "workers cannot be sampled"),
            Err(error) => return tracing::warn!(%error, "workers cannot be sampled"),
        };
        let urgency = self.meter.count(&found, now_ms());
        let keep_period = self.period.saturating_mul(KEEP_SAMPLES);
        let is_due = self.kept.is_none_or(|at| at.elapsed() >= keep_period);
        let is_kept = (is_due || urgency == Urgency::Now) && self.keep().await;
        let gap = self.period.saturating_mul(GAP_PERIODS);
        let connectors = self.load.advance(&found, gap);
        let cpu_ns = self.load.cpu_ns.clone();
        self.publish.send_modify(|latest| {
            // What is told was written before, so that it never falls.
            let mcu_ms = if is_kept {
                self.meter.totals()
            } else {
                latest.mcu_ms.clone()
            };
            *latest = Arc::new(Sample {
                at_ms,
                connectors,
                cpu_ns,
                mcu_ms,
            });
        });
    }

    async fn keep(&mut self) -> bool {
        let meter = self.meter.clone();
        match self.store.run(move |store| store.set_meter(&meter)).await {
            Ok(()) => {
                self.kept = Some(Instant::now());
                true
            }
            Err(error) => {
                tracing::warn!(%error, "MCU time cannot be kept; it is counted on and written later");
                false
            }
        }
    }
}

/// A worker with what it uses.
struct Looked {
    seen: SeenWorker,
    at: Instant,
    at_ms: u64,
    usage: Option<Usage>,
}

/// Everything that one look read.
struct Found {
    workers: Vec<Looked>,
    /// Connectors with a worker whose folder cannot be read.
    hidden: BTreeSet<Uuid>,
    /// All connectors that there are.
    connectors: BTreeSet<Uuid>,
}

impl Found {
    fn of(fleet: &Fleet, store: &Store) -> Result<Self, String> {
        let listing = fleet.list().map_err(|error| error.to_string())?;
        let connectors = store
            .list::<ConnectorSpec>(None, usize::MAX >> 2)
            .map_err(|error| error.to_string())?;
        let look = |seen: SeenWorker| Looked {
            usage: fleet.usage(&seen),
            at: Instant::now(),
            at_ms: now_ms(),
            seen,
        };
        Ok(Self {
            workers: listing.workers.into_iter().map(look).collect(),
            hidden: listing
                .unreadable
                .iter()
                .map(|it| it.connector_id)
                .collect(),
            connectors: connectors.iter().map(|it| it.object.id).collect(),
        })
    }
}

/// CPU time from one look to the next.
#[derive(Debug, Default)]
struct Load {
    /// The look before: when by the clock that nobody sets, and CPU time, by worker.
    before: BTreeMap<WorkerId, (Instant, u64)>,
    cpu_ns: BTreeMap<Uuid, u64>,
    /// False until the first look: the CPU time of the workers that it finds is an earlier daemon's.
    has_looked: bool,
}

impl Load {
    fn advance(&mut self, found: &Found, gap: Duration) -> BTreeMap<Uuid, ConnectorSample> {
        let mut samples: BTreeMap<Uuid, ConnectorSample> = BTreeMap::new();
        for id in &found.hidden {
            samples.entry(*id).or_default().is_complete = false;
        }
        let mut before = BTreeMap::new();
        for looked in &found.workers {
            let id = looked.seen.connector_id;
            let sample = samples.entry(id).or_default();
            if looked.seen.state.is_dead() {
                continue;
            }
            let worker = looked.seen.worker.clone();
            let last = self.before.remove(&worker);
            let cpu_percent = self.spend(looked, last, gap);
            let known = looked.usage.map(|usage| (looked.at, usage.cpu_ns)).or(last);
            before.extend(known.map(|known| (worker.clone(), known)));
            let worker_sample = WorkerSample {
                at_ms: looked.at_ms,
                mcu_count: looked.seen.launch.mcu_count,
                started_ms: looked.seen.started_ms,
                usage: looked.usage,
                cpu_percent,
            };
            sample.workers.insert(worker, worker_sample);
        }
        // A folder that cannot be read this time may be readable the next.
        if !found.hidden.is_empty() {
            before.extend(std::mem::take(&mut self.before));
        }
        self.before = before;
        self.has_looked = true;
        self.cpu_ns.retain(|id, _| found.connectors.contains(id));
        samples
    }

    /// Counts a worker's CPU time since the look before; gives its share of its MCUs in percent.
    fn spend(
        &mut self,
        looked: &Looked,
        last: Option<(Instant, u64)>,
        gap: Duration,
    ) -> Option<u32> {
        let total = self.cpu_ns.entry(looked.seen.connector_id).or_default();
        let now = looked.usage?.cpu_ns;
        let Some((last_at, last_ns)) = last else {
            if self.has_looked {
                *total = total.saturating_add(now);
            }
            return None;
        };
        // A count that falls is not this worker's any more.
        let spent = now.checked_sub(last_ns)?;
        *total = total.saturating_add(spent);
        let elapsed = looked.at.saturating_duration_since(last_at);
        let had = elapsed.as_nanos() * u128::from(looked.seen.launch.mcu_count);
        if elapsed > gap || had == 0 {
            return None;
        }
        u32::try_from((u128::from(spent) * 100 + had / 2) / had).ok()
    }
}

#[cfg(test)]
mod tests;
