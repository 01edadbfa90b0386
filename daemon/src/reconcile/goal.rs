//! What is wanted of one connector, made into what workers and Connect are given.

use super::Inner;
use super::launching::{group_digest, launch};
use super::leftovers::Remains;
use super::memory::Memory;
use crate::fleet::{InternalTopics, WorkerLaunch};
use crate::store::{Store, StoreError, Stored};
use runnel_api::connector::{ConnectorSpec, Derived, OnDestroy};
use runnel_api::kafka_cluster::KafkaClusterSpec;
use runnel_api::plugin::{ContentRef, PluginStatus, Sha256Hex};
use runnel_api::server::RuntimeInfo;
use runnel_api::worker_configuration::WorkerConfigurationSpec;
use runnel_api::{ErrorCode, Generation, Kind, Name, Operation, Problem};
use runnel_planner::derive::{Current, DeriveInput, derive, placeholder};
use runnel_planner::scale::{Policy, TaskLimit};
use runnel_planner::{Goal, Life, OpenOperation, Progress, Target, Which};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The key that autoscaling replaces.
const TASKS_MAX: &str = "tasks.max";

/// A connector with everything that a pass needs of the store.
pub(super) struct Situation {
    pub name: Name,
    pub id: Uuid,
    pub goal: Goal,
    pub progress: Progress,
    pub secret_keys: BTreeSet<String>,
    pub remains: Remains,
    /// MCUs that it holds of the host.
    pub mcus: u32,
    wanted: Option<Prepared>,
    settled: Option<Prepared>,
}

/// One generation, ready to be brought in.
#[derive(Clone)]
pub(super) struct Prepared {
    pub target: Target,
    /// The configuration for Connect, secrets as `${file:…}` references.
    pub config: BTreeMap<String, String>,
    /// The launch of a worker, but for its id.
    pub launch: WorkerLaunch,
}

impl Situation {
    /// The generation that an action is about.
    pub(super) fn prepared(&self, which: Which) -> Option<&Prepared> {
        match which {
            Which::Wanted => self.wanted.as_ref(),
            Which::Settled => self.settled.as_ref(),
        }
    }

    /// References to the secret file of the wanted generation.
    pub(super) fn wanted_references(&self) -> Vec<String> {
        let wanted = self.wanted.iter();
        wanted
            .flat_map(|prepared| prepared.config.values().cloned())
            .collect()
    }

    /// Every reference to a secret file that is still needed.
    pub(super) fn references(&self) -> Vec<String> {
        let kept = [&self.wanted, &self.settled];
        kept.into_iter()
            .flatten()
            .flat_map(|prepared| prepared.config.values().cloned())
            .collect()
    }
}

/// What the store holds of a connector, read in one go.
struct Row {
    stored: Stored<ConnectorSpec>,
    operation: Option<Operation>,
    progress: Progress,
    cluster: Option<KafkaClusterSpec>,
}

/// Reads a connector and prepares its wanted and its settled generation; none when it is gone.
pub(super) async fn situation(
    inner: &Inner,
    name: &Name,
    memory: &Memory,
) -> Result<Option<Situation>, StoreError> {
    let wanted_name = name.clone();
    let Some(row) = inner
        .parts
        .store
        .run(move |store| read(store, &wanted_name))
        .await?
    else {
        return Ok(None);
    };
    let object = &row.stored.object;
    let wanted = if object.deleting {
        Err(Problem::new(
            ErrorCode::NotFound,
            "the connector is being deleted",
        ))
    } else {
        prepare(inner, &row, object.generation).await?
    };
    let settled_generation = row
        .progress
        .settled
        .filter(|it| *it != object.generation && !object.deleting);
    let settled = match settled_generation {
        Some(generation) => prepare(inner, &row, generation).await?.ok(),
        None => None,
    };
    let refused = memory.with(|facts| facts.refused_launch.clone());
    let target = match (&wanted, refused) {
        (Ok(prepared), Some((digest, problem))) if prepared.target.launch_digest == digest => {
            Err(problem)
        }
        (Ok(prepared), _) => Ok(prepared.target.clone()),
        (Err(problem), _) => Err(problem.clone()),
    };
    let operation = row.operation.as_ref().map(|operation| OpenOperation {
        id: operation.id,
        kind: operation.kind,
        accepted_ms: operation.created_ms,
    });
    let goal = Goal {
        life: life(object.deleting, object.spec.on_destroy),
        generation: object.generation,
        wanted: target,
        settled: settled.as_ref().map(|prepared| prepared.target.clone()),
        operation,
        restart: row
            .operation
            .as_ref()
            .and_then(|operation| operation.restart.clone())
            .unwrap_or_default(),
    };
    Ok(Some(Situation {
        name: name.clone(),
        id: object.id,
        goal,
        secret_keys: row.stored.secret_keys.clone(),
        remains: remains(&row),
        mcus: {
            let capacity = &object.spec.capacity;
            capacity.workers_min().saturating_mul(capacity.mcu_count())
        },
        progress: row.progress,
        wanted: wanted.ok(),
        settled,
    }))
}

fn read(store: &Store, name: &Name) -> Result<Option<Row>, StoreError> {
    let Some(stored) = store.get::<ConnectorSpec>(name)? else {
        return Ok(None);
    };
    let operation = match stored.operation {
        Some(id) => store
            .operation(id)?
            .filter(|operation| !operation.outcome.is_final()),
        None => None,
    };
    let progress = store.get_progress(name)?.unwrap_or_default();
    let cluster = store.get::<KafkaClusterSpec>(&stored.object.spec.kafka_cluster)?;
    let cluster = cluster.map(|cluster| cluster.object.spec);
    Ok(Some(Row {
        stored,
        operation,
        progress,
        cluster,
    }))
}

fn life(deleting: bool, on_destroy: OnDestroy) -> Life {
    match (deleting, on_destroy) {
        (false, _) => Life::Wanted,
        (true, OnDestroy::DeleteInternalTopics) => Life::DeleteAll,
        (true, OnDestroy::KeepInternalTopics) => Life::DeleteKeepingTopics,
    }
}

/// Names of the internal topics: `__runnel_<offsets|configs|status>_<name>_<id>`.
pub(super) fn topics(name: &Name, id: Uuid) -> InternalTopics {
    let topic = |what: &str| format!("__runnel_{what}_{name}_{id}");
    InternalTopics {
        offsets: topic("offsets"),
        configs: topic("configs"),
        status: topic("status"),
    }
}

/// The Connect group of a connector's fleet.
pub(super) fn group(name: &Name, id: Uuid) -> String {
    format!("runnel-{name}-{id}")
}

fn remains(row: &Row) -> Remains {
    let object = &row.stored.object;
    let topics = topics(&object.name, object.id);
    Remains {
        connector: object.name.to_string(),
        cluster: row.cluster.clone().unwrap_or_else(|| KafkaClusterSpec {
            bootstrap_servers: String::new(),
            encryption_in_transit: runnel_api::kafka_cluster::EncryptionInTransit::default(),
            client_authentication: runnel_api::kafka_cluster::ClientAuthentication::default(),
            admin: None,
        }),
        topics: vec![topics.offsets, topics.configs, topics.status],
        // A sink reads in the group `connect-NAME` (Kafka Connect's default), which holds its position.
        groups: vec![
            group(&object.name, object.id),
            format!("connect-{}", object.name),
        ],
    }
}

/// What a generation refers to.
pub(super) struct References {
    pub spec: ConnectorSpec,
    pub derived: Derived,
    pub cluster: KafkaClusterSpec,
    pub plugins: Vec<(ContentRef, PluginStatus)>,
    pub worker_configuration: Option<WorkerConfigurationSpec>,
    pub secrets: BTreeMap<String, runnel_api::Secret>,
}

async fn prepare(
    inner: &Inner,
    row: &Row,
    generation: Generation,
) -> Result<Result<Prepared, Problem>, StoreError> {
    let name = row.stored.object.name.clone();
    let references = inner
        .parts
        .store
        .run(move |store| resolve(store, &name, generation))
        .await?;
    let references = match references {
        Ok(references) => references,
        Err(problem) => return Ok(Err(problem)),
    };
    let secret_keys = references.secrets.keys().cloned().collect();
    let object = &row.stored.object;
    let derivation = derive(&DeriveInput {
        name: &object.name,
        spec: &references.spec,
        secret_keys: &secret_keys,
        kafka_cluster: &references.cluster,
        plugins: &references.plugins,
        worker_configuration: references.worker_configuration.as_ref(),
        // The role was checked when the specification was accepted, and enforces nothing yet.
        role_problems: &[],
        runtimes: &runtime_infos(inner),
        current: Some(Current {
            spec: &references.spec,
            kafkaconnect_version: &references.derived.kafkaconnect_version,
        }),
    });
    let Some(derived) = derivation.derived else {
        let first = derivation.problems.into_iter().next();
        return Ok(Err(first.unwrap_or_else(|| {
            Problem::new(ErrorCode::Internal, "the configuration cannot be derived")
        })));
    };
    let fleet = inner.parts.fleet.clone();
    let (id, secrets) = (object.id, references.secrets.clone());
    let written = tokio::task::spawn_blocking(move || {
        fleet.prepare(id)?;
        fleet.write_secrets(id, &secrets)
    });
    let file_references = match written.await {
        Ok(Ok(file_references)) => file_references,
        Ok(Err(error)) => {
            return Ok(Err(internal(
                "the worker's files cannot be written",
                &error,
            )));
        }
        Err(error) => {
            return Ok(Err(internal(
                "the worker's files cannot be written",
                &error,
            )));
        }
    };
    let tasks = if derivation.runs_one_task {
        TaskLimit::One
    } else {
        // A task of a sink without a partition of its own would have nothing to do.
        let partitions = row.progress.partitions;
        partitions.map_or(TaskLimit::Unlimited, TaskLimit::AtMost)
    };
    let policy = Policy::of(&references.spec.capacity, tasks);
    let size = policy.clamp(row.progress.size.unwrap_or(policy.initial()));
    let mut config = with_references(derivation.worker_config, &file_references);
    if let Some(tasks_max) = policy.tasks_max(size) {
        config.insert(TASKS_MAX.to_owned(), tasks_max.to_string());
    }
    Ok(
        launch(inner, object.id, &object.name, &references, &derived, size).map(|launch| {
            Prepared {
                target: Target {
                    generation,
                    config_digest: digest(&config),
                    launch_digest: launch.digest.clone(),
                    group_digest: group_digest(&launch),
                    size,
                    policy,
                    desired_state: references.spec.desired_state,
                },
                config,
                launch,
            }
        }),
    )
}

/// Registered runtimes as the API and the planner know them, oldest first.
pub(super) fn runtime_infos(inner: &Inner) -> Vec<RuntimeInfo> {
    inner
        .parts
        .runtimes
        .runtimes
        .iter()
        .map(|runtime| RuntimeInfo {
            name: runtime.name.clone(),
            kafka_version: runtime.kafka_version.clone(),
        })
        .collect()
}

fn resolve(
    store: &Store,
    name: &Name,
    generation: Generation,
) -> Result<Result<References, Problem>, StoreError> {
    let Some(recalled) = store.spec_of::<ConnectorSpec>(name, generation)? else {
        let message = format!("generation {generation} of {name} is not kept any more");
        return Ok(Err(Problem::new(ErrorCode::NotFound, message)));
    };
    let spec = recalled.spec;
    let Some(cluster) = store.get::<KafkaClusterSpec>(&spec.kafka_cluster)? else {
        return Ok(Err(missing("kafka_cluster", spec.kafka_cluster.as_str())));
    };
    let mut plugins = Vec::new();
    for content in &spec.plugins {
        match store.content(&content.sha256)? {
            Some(found) => plugins.push((content.clone(), found)),
            None => return Ok(Err(missing("plugins", &content.to_string()))),
        }
    }
    let worker_configuration = match &spec.worker_configuration {
        None => None,
        Some(content) => match store.content_of::<WorkerConfigurationSpec>(content)? {
            Some(found) => Some(found),
            None => return Ok(Err(missing("worker_configuration", &content.to_string()))),
        },
    };
    let secrets = store.unseal(Kind::Connector, name, generation)?;
    Ok(Ok(References {
        spec,
        derived: recalled.computed,
        cluster: cluster.object.spec,
        plugins,
        worker_configuration,
        secrets,
    }))
}

fn missing(field: &str, what: &str) -> Problem {
    Problem::new(
        ErrorCode::MissingReference,
        format!("{what} does not exist any more"),
    )
    .field(field)
}

fn internal(message: &str, error: &dyn std::error::Error) -> Problem {
    Problem::new(ErrorCode::Internal, message).detail(chain(error))
}

/// An error with its sources.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// Puts `${file:…}` references where the placeholders stand, also inside longer values.
fn with_references(
    config: BTreeMap<String, String>,
    file_references: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut config = config;
    for value in config.values_mut() {
        for (key, reference) in file_references {
            let placeholder = placeholder(key);
            if value.contains(&placeholder) {
                *value = value.replace(&placeholder, reference);
            }
        }
    }
    config
}

/// Digest of a configuration, to compare with what Connect holds.
pub(super) fn digest(config: &BTreeMap<String, String>) -> String {
    let text = serde_json::to_string(config).unwrap_or_default();
    Sha256Hex::of_bytes(text.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_inside_values_too() {
        let config = BTreeMap::from([
            ("a".to_owned(), "${secret:p}".to_owned()),
            (
                "b".to_owned(),
                "user=x;pass=${secret:p};${topic}".to_owned(),
            ),
        ]);
        let references = BTreeMap::from([("p".to_owned(), "${file:/s:p}".to_owned())]);
        let replaced = with_references(config, &references);
        assert_eq!(replaced["a"], "${file:/s:p}");
        assert_eq!(replaced["b"], "user=x;pass=${file:/s:p};${topic}");
    }

    #[test]
    fn internal_topics_fit_into_kafkas_limit_for_any_name() {
        let name = Name::parse(&"n".repeat(runnel_api::name::NAME_LENGTH_MAX)).unwrap();
        assert!(topics(&name, Uuid::max()).configs.len() <= 249);
    }
}
