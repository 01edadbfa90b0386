//! Delivers workers' logs to the places that connectors name: files, a Kafka topic, a log group of
//! CloudWatch Logs.
//!
//! A deliverer for each connector and place reads the log *files* and never a worker's pipe: a place
//! that is slow or away holds up nobody. What is promised: each record that is within the limit and
//! still on disk when the place is there again is delivered at least once; after a death of the
//! daemon, or an answer that was lost, the last batch may come again. Deliveries follow the
//! specification alone; they are no part of what a worker is started with, so a change of them
//! touches none.

mod cloudwatch;
mod deliverer;
mod file;
mod kafka;
mod limit;
mod place;
mod source;
mod status;

pub use status::{Deliveries, DeliveryCounters, DeliveryState, LogDeliveryStatus};

use crate::config::{CloudWatchLogs, LogDelivery as Settings};
use crate::kafka::Access;
use crate::logs::retention::Keep;
use crate::logs::{WorkerLog, WorkerLogs};
use crate::store::{Store, StoreError, Stored};
use cloudwatch::CloudWatchPlace;
use deliverer::{Deliverer, Ending};
use file::{FilePlace, folder_of};
use kafka::{KafkaPlace, Topic};
use limit::Limit;
use place::Place;
use runnel_api::connector::ConnectorSpec;
use runnel_api::kafka_cluster::KafkaClusterSpec;
use runnel_api::{Kind, Name};
use source::{positions_file, positions_folder};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often specifications and the list of log files are looked at without a cause.
const LOOK: Duration = Duration::from_secs(2);
/// Between two looks that the store's changes cause.
const LOOK_SOONEST: Duration = Duration::from_millis(200);

/// Which kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlaceKind {
    /// Files.
    File,
    /// A Kafka topic.
    Kafka,
    /// A log group of CloudWatch Logs.
    CloudWatchLogs,
}

impl PlaceKind {
    /// As it stands in a specification.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Kafka => "kafka",
            Self::CloudWatchLogs => "cloudwatch_logs",
        }
    }
}

impl fmt::Display for PlaceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What deliveries work with.
pub struct Parts {
    /// What is wanted.
    pub store: Store,
    /// Where the logs are.
    pub logs: Arc<dyn WorkerLogs>,
    /// Places and limits.
    pub settings: Settings,
    /// What is kept of delivered files.
    pub keep: Keep,
    /// Bytes of one worker's delivered files.
    pub worker_bytes: u64,
    /// The daemon's folder: positions are below it.
    pub data_dir: PathBuf,
    /// For a call to Kafka.
    pub kafka_timeout: Duration,
    /// Where to tell how it goes.
    pub deliveries: Deliveries,
}

/// A connector's delivery to one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    connector: Uuid,
    name: Name,
    place: PlaceKind,
}

/// Where it goes. Equal targets need no change.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    File(PathBuf),
    Kafka(Topic),
    CloudWatchLogs(CloudWatchLogs, String),
    /// This daemon cannot deliver there.
    Impossible(String),
}

/// What is wanted now, from the specifications alone.
fn wanted(
    connectors: &[Stored<ConnectorSpec>],
    clusters: &BTreeMap<Name, Result<Access, String>>,
    settings: &Settings,
) -> BTreeMap<Key, Target> {
    let mut wanted = BTreeMap::new();
    for stored in connectors {
        let object = &stored.object;
        let Some(delivery) = &object.spec.log_delivery else {
            continue;
        };
        let mut want = |place, target| {
            let key = Key {
                connector: object.id,
                name: object.name.clone(),
                place,
            };
            wanted.insert(key, target);
        };
        let places = &delivery.worker_log_delivery;
        if let Some(file) = places.file.as_ref().filter(|file| file.enabled) {
            let directory = settings.directory.as_deref();
            want(
                PlaceKind::File,
                match directory.map(|it| folder_of(it, &file.prefix, object.name.as_str())) {
                    Some(Some(folder)) => Target::File(folder),
                    Some(None) => Target::Impossible(format!(
                        "the prefix {:?} leads out of the folder",
                        file.prefix
                    )),
                    None => Target::Impossible(not_configured("directory")),
                },
            );
        }
        if let Some(kafka) = places.kafka.as_ref().filter(|kafka| kafka.enabled) {
            want(
                PlaceKind::Kafka,
                topic(clusters, &object.spec, &kafka.topic),
            );
        }
        let cloudwatch = places.cloudwatch_logs.as_ref();
        if let Some(cloudwatch) = cloudwatch.filter(|it| it.enabled) {
            want(
                PlaceKind::CloudWatchLogs,
                match &settings.cloudwatch_logs {
                    Some(server) => {
                        Target::CloudWatchLogs(server.clone(), cloudwatch.log_group.clone())
                    }
                    None => Target::Impossible(not_configured("cloudwatch_logs")),
                },
            );
        }
    }
    wanted
}

fn not_configured(key: &str) -> String {
    format!("the daemon's configuration has no [log_delivery] {key}")
}

fn topic(
    clusters: &BTreeMap<Name, Result<Access, String>>,
    spec: &ConnectorSpec,
    topic: &str,
) -> Target {
    match clusters.get(&spec.kafka_cluster) {
        Some(Ok(access)) => Target::Kafka(Topic {
            access: access.clone(),
            name: topic.to_owned(),
        }),
        Some(Err(wrong)) => Target::Impossible(wrong.clone()),
        None => Target::Impossible(format!("there is no Kafka cluster {}", spec.kafka_cluster)),
    }
}

/// A deliverer that runs, or a target for which there is none.
struct Running {
    target: Target,
    end: watch::Sender<Ending>,
    logs: watch::Sender<Arc<Vec<WorkerLog>>>,
    task: Option<JoinHandle<()>>,
}

impl Running {
    fn has_ended(&self) -> bool {
        self.task.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// Starts, changes and ends deliverers as the specifications say, until `end`.
pub async fn run(parts: Parts, end: CancellationToken) {
    let parts = Arc::new(parts);
    let mut running: BTreeMap<Key, Running> = BTreeMap::new();
    let mut changes = parts.store.changes();
    while !end.is_cancelled() {
        changes.mark_unchanged();
        match look(&parts).await {
            Ok(seen) => follow(&parts, seen, &mut running),
            Err(error) => tracing::error!(%error, "log deliveries stay as they are"),
        }
        tokio::select! {
            () = end.cancelled() => break,
            () = tokio::time::sleep(LOOK) => {}
            Ok(()) = changes.changed() => tokio::time::sleep(LOOK_SOONEST).await,
        }
    }
    for running in running.values() {
        running.end.send_replace(Ending::Now);
    }
    for task in running.into_values().filter_map(|it| it.task) {
        // Each ends within the deliverer's grace.
        let _ = task.await;
    }
}

/// What a look gives.
struct Seen {
    /// Ids of all connectors.
    connectors: BTreeSet<Uuid>,
    wanted: BTreeMap<Key, Target>,
    /// By connector, of those that deliver.
    logs: BTreeMap<Uuid, Arc<Vec<WorkerLog>>>,
}

/// The daemon's own way into each cluster.
fn accesses(
    store: &Store,
    clusters: Vec<Stored<KafkaClusterSpec>>,
) -> Result<BTreeMap<Name, Result<Access, String>>, StoreError> {
    let mut accesses = BTreeMap::new();
    for Stored { object, .. } in clusters {
        let secrets = store.unseal(Kind::KafkaCluster, &object.name, object.generation)?;
        let servers = object.spec.servers();
        let access = servers.map(|_| Access::of(&object.spec, &secrets));
        accesses.insert(object.name, access);
    }
    Ok(accesses)
}

async fn look(parts: &Arc<Parts>) -> Result<Seen, StoreError> {
    let looking = parts.clone();
    let settings = parts.settings.clone();
    parts
        .store
        .run(move |store| {
            let connectors = store.list::<ConnectorSpec>(None, usize::MAX >> 2)?;
            let ids = connectors.iter().map(|it| it.object.id).collect();
            let clusters = if connectors
                .iter()
                .any(|it| it.object.spec.log_delivery.is_some())
            {
                store.list::<KafkaClusterSpec>(None, usize::MAX >> 2)?
            } else {
                Vec::new()
            };
            let clusters = accesses(store, clusters)?;
            let wanted = wanted(&connectors, &clusters, &settings);
            let mut logs = BTreeMap::new();
            for key in wanted.keys() {
                logs.entry(key.connector)
                    .or_insert_with(|| Arc::new(looking.logs.of(&key.name)));
            }
            Ok(Seen {
                connectors: ids,
                wanted,
                logs,
            })
        })
        .await
}

/// Makes what runs be what is wanted.
fn follow(parts: &Arc<Parts>, seen: Seen, running: &mut BTreeMap<Key, Running>) {
    let mut ended = Vec::new();
    for (key, it) in &*running {
        let is_wanted = seen.wanted.get(key) == Some(&it.target);
        if is_wanted && (it.task.is_none() || !it.has_ended()) {
            continue;
        }
        if it.has_ended() {
            ended.push(key.clone());
        } else if seen.connectors.contains(&key.connector) {
            it.end.send_replace(Ending::Now);
        } else {
            // The connector is gone: its last words are still delivered.
            it.end.send_if_modified(|ending| {
                let is_new = *ending == Ending::No;
                if is_new {
                    *ending = Ending::WhenRead;
                }
                is_new
            });
        }
    }
    for key in ended {
        running.remove(&key);
        if !seen.wanted.contains_key(&key) {
            parts.deliveries.remove(&key.name, key.place);
        }
    }
    for (key, target) in seen.wanted {
        let logs = seen.logs.get(&key.connector).cloned().unwrap_or_default();
        if let Some(it) = running.get(&key) {
            it.logs.send_replace(logs);
        } else {
            let started = start(parts, &key, target, logs);
            running.insert(key, started);
        }
    }
    for (key, it) in &*running {
        if !seen.connectors.contains(&key.connector) {
            // By name: the logs of a connector that is gone.
            it.logs.send_replace(Arc::new(parts.logs.of(&key.name)));
        }
    }
    forget_positions(parts, &seen.connectors, running);
}

fn start(parts: &Arc<Parts>, key: &Key, target: Target, logs: Arc<Vec<WorkerLog>>) -> Running {
    let (end, ending) = watch::channel(Ending::No);
    let (sender, receiver) = watch::channel(logs);
    let place = match &target {
        Target::File(folder) => Some(Place::File(FilePlace::new(
            folder.clone(),
            parts.worker_bytes,
            parts.keep,
        ))),
        Target::Kafka(topic) => Some(Place::Kafka(Box::new(KafkaPlace::new(
            key.name.to_string(),
            topic.clone(),
            parts.kafka_timeout,
        )))),
        Target::CloudWatchLogs(server, group) => Some(Place::CloudWatchLogs(Box::new(
            CloudWatchPlace::new(server.clone(), group.clone(), key.name.to_string()),
        ))),
        Target::Impossible(reason) => {
            parts.deliveries.update(&key.name, key.place, |status| {
                status.state = DeliveryState::Stopped {
                    reason: reason.clone(),
                };
            });
            None
        }
    };
    let task = place.map(|place| {
        tracing::info!(connector = %key.name, place = %key.place, "log delivery begins");
        let settings = &parts.settings;
        let deliverer = Deliverer {
            connector: key.name.clone(),
            kind: key.place,
            place,
            limit: Limit::new(settings.records_per_second, settings.bytes_per_second),
            positions: positions_file(&parts.data_dir, key.connector, key.place),
            worker_logs: parts.logs.clone(),
            deliveries: parts.deliveries.clone(),
            logs: receiver,
            ending,
        };
        tokio::spawn(deliverer.run())
    });
    Running {
        target,
        end,
        logs: sender,
        task,
    }
}

/// Positions of connectors that are gone, and of which nothing is delivered any more.
fn forget_positions(parts: &Parts, connectors: &BTreeSet<Uuid>, running: &BTreeMap<Key, Running>) {
    let entries = std::fs::read_dir(positions_folder(&parts.data_dir));
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<Uuid>().ok()) else {
            continue;
        };
        if connectors.contains(&id) || running.keys().any(|key| key.connector == id) {
            continue;
        }
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(folder = %entry.path().display(), %error, "old positions stay");
        }
    }
}

#[cfg(test)]
mod tests;
