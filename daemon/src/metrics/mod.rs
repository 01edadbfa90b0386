//! What the daemon tells Prometheus.
//!
//! Two kinds of figures. What *happens* is counted here by those who see it: a method call each, cheap
//! and never failing. What *is* (states, sizes, lag) is not kept here at all: [`Metrics::render`] takes
//! a [`Snapshot`] of the moment, so a connector that is gone has no series left, and counted series
//! of connectors that are not in it are dropped.

pub mod families;
mod snapshot;

#[cfg(test)]
mod exposition;
#[cfg(test)]
mod tests;

pub use snapshot::{ConnectorFigures, DaemonFigures, LogFigures, Snapshot};

use families::Family;
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry,
    TextEncoder,
};
use runnel_api::scaling::Size;
use runnel_api::{Kind, Name, OperationKind, Outcome};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The media type of [`Metrics::render`]'s text.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// A pass takes 5–50 ms when nothing is done; starting a worker and asking a silent source take longer.
const PASS_BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// An update takes 10–20 s, most of it the settle time; operations are given up after 3 min by default.
const OPERATION_BUCKETS: [f64; 9] = [1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 180.0, 600.0];

/// Why a worker ended that its connector still needed, or was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerEnd {
    /// Nobody had asked it to.
    Died,
    /// A change needs workers that are started otherwise.
    Replaced,
    /// The fleet got another size.
    Scaled,
    /// Somebody asked for a restart.
    Asked,
}

impl WorkerEnd {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Died => "died",
            Self::Replaced => "replaced",
            Self::Scaled => "scaled",
            Self::Asked => "asked",
        }
    }
}

/// Which way a fleet was resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More workers.
    Out,
    /// Fewer workers.
    In,
    /// A larger worker.
    Up,
    /// A smaller worker.
    Down,
}

impl Direction {
    /// The way from one size to another; a larger worker tells more than their number.
    pub fn between(from: Size, to: Size) -> Self {
        match (to.mcu_count.cmp(&from.mcu_count), to.workers < from.workers) {
            (Ordering::Greater, _) => Self::Up,
            (Ordering::Less, _) => Self::Down,
            (Ordering::Equal, true) => Self::In,
            (Ordering::Equal, false) => Self::Out,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// Counts what happens. Clones share everything.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    worker_restarts: Counted,
    task_restarts: Counted,
    scaling_decisions: Counted,
    operations: IntCounterVec,
    operation_duration: HistogramVec,
    pass_duration: Histogram,
    http_requests: IntCounterVec,
    /// One rendering at a time: each drops series of connectors that are gone.
    rendering: Mutex<()>,
}

/// A counter of connectors, which goes with them.
struct Counted {
    counter: IntCounterVec,
    /// The label values that were used; the first is the connector's name.
    used: Mutex<BTreeSet<Vec<String>>>,
}

impl Counted {
    fn new(registry: &Registry, family: &Family) -> Result<Self, prometheus::Error> {
        Ok(Self {
            counter: counter(registry, family)?,
            used: Mutex::default(),
        })
    }

    fn add(&self, labels: &[&str], number: u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let owned: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        // Under the lock, so that no series is made behind the back of `retain`.
        self.counter.with_label_values(labels).inc_by(number);
        used.insert(owned);
    }

    fn retain(&self, connectors: &BTreeSet<&str>) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|labels| {
            let stays = connectors.contains(labels[0].as_str());
            if !stays {
                // It is there: nobody else removes series.
                let _ = self.counter.remove_label_values(labels);
            }
            stays
        });
    }
}

fn opts(family: &Family) -> Opts {
    Opts::new(family.name, family.help)
}

fn counter(registry: &Registry, family: &Family) -> Result<IntCounterVec, prometheus::Error> {
    let counter = IntCounterVec::new(opts(family), family.labels)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

impl Metrics {
    /// An empty registry.
    ///
    /// # Errors
    /// Two families of one name or a name that Prometheus does not take; not with [`families::ALL`],
    /// as a test shows.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let durations = |family: &Family, buckets: &[f64]| {
            HistogramVec::new(
                HistogramOpts::from(opts(family)).buckets(buckets.to_vec()),
                family.labels,
            )
        };
        let operation_duration = durations(&families::OPERATION_DURATION, &OPERATION_BUCKETS)?;
        registry.register(Box::new(operation_duration.clone()))?;
        let pass_duration = durations(&families::PASS_DURATION, &PASS_BUCKETS)?;
        registry.register(Box::new(pass_duration.clone()))?;
        let counted = |family| Counted::new(&registry, family);
        let inner = Inner {
            worker_restarts: counted(&families::WORKER_RESTARTS)?,
            task_restarts: counted(&families::TASK_RESTARTS)?,
            scaling_decisions: counted(&families::SCALING_DECISIONS)?,
            operations: counter(&registry, &families::OPERATIONS)?,
            operation_duration,
            pass_duration: pass_duration.with_label_values::<&str>(&[]),
            http_requests: counter(&registry, &families::HTTP_REQUESTS)?,
            registry,
            rendering: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// A worker ended and another one takes or took its place, or the fleet is smaller now.
    pub fn worker_ended(&self, connector: &Name, why: WorkerEnd) {
        let labels = [connector.as_str(), why.as_str()];
        self.inner.worker_restarts.add(&labels, 1);
    }

    /// Failed tasks were restarted.
    pub fn tasks_restarted(&self, connector: &Name, tasks: usize) {
        self.inner
            .task_restarts
            .add(&[connector.as_str()], tasks as u64);
    }

    /// A fleet is to have another size.
    pub fn scaled(&self, connector: &Name, direction: Direction) {
        let labels = [connector.as_str(), direction.as_str()];
        self.inner.scaling_decisions.add(&labels, 1);
    }

    /// An operation ended.
    pub fn operation_ended(
        &self,
        object: Kind,
        kind: OperationKind,
        outcome: Outcome,
        took: Duration,
    ) {
        let (object, kind) = (object.singular(), word(&kind));
        self.inner
            .operations
            .with_label_values(&[object, &kind, &word(&outcome)])
            .inc();
        self.inner
            .operation_duration
            .with_label_values(&[object, &kind])
            .observe(took.as_secs_f64());
    }

    /// A pass over a connector ended.
    pub fn passed(&self, took: Duration) {
        self.inner.pass_duration.observe(took.as_secs_f64());
    }

    /// A request was answered. `route` is the template, never the path.
    pub fn answered(&self, method: &str, route: &str, status: u16) {
        // Clients may send any method; those that the API has are few.
        let method = match method {
            "GET" | "HEAD" | "PUT" | "POST" | "DELETE" | "PATCH" | "OPTIONS" => method,
            _ => "other",
        };
        self.inner
            .http_requests
            .with_label_values(&[method, route, &status.to_string()])
            .inc();
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    ///
    /// # Errors
    /// Not with the families of this module, as a test shows.
    pub fn render(&self, snapshot: &Snapshot) -> Result<String, prometheus::Error> {
        let _one = self
            .inner
            .rendering
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let names: BTreeSet<&str> = snapshot
            .connectors
            .iter()
            .map(|connector| connector.name.as_str())
            .collect();
        let inner = &self.inner;
        for counted in [
            &inner.worker_restarts,
            &inner.task_restarts,
            &inner.scaling_decisions,
        ] {
            counted.retain(&names);
        }
        let mut all: Vec<MetricFamily> = inner.registry.gather();
        all.extend(snapshot.families());
        all.retain(|family| !family.get_metric().is_empty());
        all.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&all, &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// A word of the API in lower case, as labels are written.
fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text.to_lowercase(),
        _ => String::new(),
    }
}
