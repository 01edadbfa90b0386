//! The lag of every sink, asked of its Kafka cluster beside the samples, so that a cluster that is
//! away holds up nothing.

use crate::clusters::DeclaredCluster;
use crate::kafka::{Access, KafkaAdmin, KafkaError, Lag, Subscription, sink_group};
use crate::store::{Store, StoreError, Stored};
use futures_util::StreamExt as _;
use futures_util::stream;
use runnel_api::Name;
use runnel_api::connector::ConnectorSpec;
use runnel_api::plugin::ClassKind;
use runnel_planner::derive::BUILT_INS;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Clusters that are asked at one time.
const AT_ONCE: usize = 4;
/// For all questions about one sink.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// A lag that is older than so many periods, and a minute, says nothing of this moment.
const STALE_PERIODS: u32 = 3;
const STALE_MIN: Duration = Duration::from_mins(1);

/// The latest lags, for any number of readers.
#[derive(Clone, Debug)]
pub struct Lags {
    latest: watch::Receiver<Arc<Known>>,
    stale: Duration,
}

/// When each sink's lag was found, and how large it was.
type Known = BTreeMap<Name, (Instant, Lag)>;

impl Lags {
    /// The lag of a sink; none for sources, and while it is not known.
    pub fn of(&self, connector: &Name) -> Option<Lag> {
        let latest = self.latest.borrow();
        let (at, lag) = latest.get(connector)?;
        (at.elapsed() < self.stale).then_some(*lag)
    }
}

/// Asks for lags.
pub struct LagWatch {
    store: Store,
    period: Duration,
    publish: watch::Sender<Arc<Known>>,
}

/// A sink, and whom to ask about it.
struct Sink {
    name: Name,
    access: Access,
    group: String,
    subscription: Subscription,
}

impl LagWatch {
    /// Asks every `period` once [`LagWatch::run`].
    pub fn new(store: Store, period: Duration) -> (Self, Lags) {
        let (publish, latest) = watch::channel(Arc::default());
        let watch = Self {
            store,
            period,
            publish,
        };
        let stale = STALE_MIN.max(period.saturating_mul(STALE_PERIODS));
        (watch, Lags { latest, stale })
    }

    /// Asks until `end`.
    pub async fn run(self, end: CancellationToken) {
        let mut rhythm = tokio::time::interval(self.period);
        rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                _ = rhythm.tick() => {}
            }
            tokio::select! {
                () = end.cancelled() => return,
                () = self.look() => {}
            }
        }
    }

    async fn look(&self) {
        let sinks = match self.store.run(sinks).await {
            Ok(sinks) => sinks,
            Err(error) => return tracing::warn!(%error, "sinks cannot be listed"),
        };
        let before = self.publish.borrow().clone();
        let found: Known = stream::iter(sinks)
            .map(|sink| async move {
                let answer = tokio::time::timeout(ANSWER_LIMIT, ask(&sink)).await;
                (sink.name, answer)
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(|(name, answer)| {
                let known = match answer {
                    Ok(Ok(lag)) => Some((Instant::now(), lag)),
                    Ok(Err(error)) => {
                        tracing::debug!(connector = %name, %error, "the lag is not known");
                        before.get(&name).copied()
                    }
                    Err(_) => before.get(&name).copied(),
                };
                std::future::ready(known.map(|known| (name, known)))
            })
            .collect()
            .await;
        self.publish.send_replace(Arc::new(found));
    }
}

async fn ask(sink: &Sink) -> Result<Lag, KafkaError> {
    let mut admin = KafkaAdmin::connect(&sink.access, ANSWER_LIMIT).await?;
    admin.lag(&sink.group, &sink.subscription).await
}

fn sinks(store: &Store) -> Result<Vec<Sink>, StoreError> {
    let mut found = Vec::new();
    for stored in store.list::<ConnectorSpec>(None, usize::MAX >> 2)? {
        let object = &stored.object;
        let config = &object.status.effective_config;
        if object.deleting || !is_sink(store, &stored)? {
            continue;
        }
        let Some(subscription) = Subscription::of_sink(config) else {
            continue;
        };
        let Some(cluster) = DeclaredCluster::read(store, &object.spec.kafka_cluster)? else {
            continue;
        };
        found.push(Sink {
            name: object.name.clone(),
            access: cluster.access(),
            group: sink_group(object.name.as_str(), config),
            subscription,
        });
    }
    Ok(found)
}

/// Whether the connector's class is a sink, by what was found in its plugins and what Kafka brings
/// itself. Classes may be given by their last word (`FileStreamSinkConnector`, `FileStreamSink`).
fn is_sink(store: &Store, stored: &Stored<ConnectorSpec>) -> Result<bool, StoreError> {
    let config = &stored.object.status.effective_config;
    let Some(wanted) = config.get("connector.class") else {
        return Ok(false);
    };
    let is_wanted = |class: &str| {
        let last = class.rsplit('.').next().unwrap_or(class);
        class == wanted || last == wanted || last.strip_suffix("Connector") == Some(wanted)
    };
    for content in &stored.object.spec.plugins {
        let classes = store.content(&content.sha256)?.map(|found| found.classes);
        let classes = classes.unwrap_or_default();
        if let Some(class) = classes.iter().find(|it| is_wanted(&it.class)) {
            return Ok(class.kind == ClassKind::Sink);
        }
    }
    let mut built_ins = BUILT_INS.iter();
    Ok(built_ins.any(|it| it.kind == ClassKind::Sink && is_wanted(it.class)))
}
