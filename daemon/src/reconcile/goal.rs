//! What is wanted of one connector, read from the store in one go.

use super::Inner;
use super::leftovers::Remains;
use super::memory::Memory;
use super::preparing::{Prepared, prepare};
use crate::clusters::DeclaredCluster;
use crate::grants::{self, fleet_group, internal_topics};
use crate::kafka::Access;
use crate::store::{Principal, Store, StoreError, Stored};
use runnel_api::connector::{ConnectorSpec, OnDestroy, user_of};
use runnel_api::kafka_cluster::{Enforcement, KafkaClusterSpec};
use runnel_api::plugin::Sha256Hex;
use runnel_api::{ErrorCode, Name, Operation, Problem};
use runnel_planner::{Goal, Life, OpenOperation, Progress, Which};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A connector with everything that a pass needs of the store.
pub(super) struct Situation {
    pub name: Name,
    pub id: Uuid,
    pub goal: Goal,
    pub progress: Progress,
    pub secret_keys: BTreeSet<String>,
    pub remains: Remains,
    /// The daemon's own way into its cluster.
    pub access: Access,
    /// MCUs that it holds of the host.
    pub mcus: u32,
    wanted: Option<Prepared>,
    settled: Option<Prepared>,
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
pub(super) struct Row {
    pub(super) stored: Stored<ConnectorSpec>,
    operation: Option<Operation>,
    pub(super) progress: Progress,
    cluster: Option<DeclaredCluster>,
    pub(super) principal: Option<Principal>,
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
        has_principal: row.principal.is_some(),
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
        access: row
            .cluster
            .as_ref()
            .map_or_else(|| Access::plaintext(Vec::new()), DeclaredCluster::access),
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
    let cluster = DeclaredCluster::read(store, &stored.object.spec.kafka_cluster)?;
    let principal = principal(store, &stored, cluster.as_ref())?;
    Ok(Some(Row {
        stored,
        operation,
        progress,
        cluster,
        principal,
    }))
}

/// The connector's user. It is written down before anybody makes it on the broker, so that a crash
/// leaves none that nobody knows of.
fn principal(
    store: &Store,
    stored: &Stored<ConnectorSpec>,
    cluster: Option<&DeclaredCluster>,
) -> Result<Option<Principal>, StoreError> {
    let object = &stored.object;
    let known = store.principal(&object.name)?;
    let enforced = cluster.is_some_and(|it| it.spec.enforcement() == Enforcement::Acl);
    if known.is_some() || !enforced || object.deleting {
        return Ok(known);
    }
    let password =
        grants::fresh_password().map_err(|error| StoreError::Secret(error.to_string()))?;
    let username = user_of(&object.name, object.id);
    store
        .ensure_principal(&object.name, &username, &password)
        .map(Some)
}

fn life(deleting: bool, on_destroy: OnDestroy) -> Life {
    match (deleting, on_destroy) {
        (false, _) => Life::Wanted,
        (true, OnDestroy::DeleteInternalTopics) => Life::DeleteAll,
        (true, OnDestroy::KeepInternalTopics) => Life::DeleteKeepingTopics,
    }
}

fn remains(row: &Row) -> Remains {
    let object = &row.stored.object;
    let topics = internal_topics(&object.name, object.id);
    Remains {
        connector: object.name.to_string(),
        kafka_cluster: Some(object.spec.kafka_cluster.clone()),
        cluster: row
            .cluster
            .as_ref()
            .map_or_else(no_cluster, |it| it.spec.clone()),
        principal: row.principal.as_ref().map(|it| it.username.clone()),
        topics: vec![topics.offsets, topics.configs, topics.status],
        // A sink reads in the group `connect-NAME` (Kafka Connect's default), which holds its position.
        groups: vec![
            fleet_group(&object.name, object.id),
            format!("connect-{}", object.name),
        ],
    }
}

/// A cluster that is not declared any more: nobody answers.
fn no_cluster() -> KafkaClusterSpec {
    KafkaClusterSpec {
        bootstrap_servers: String::new(),
        encryption_in_transit: runnel_api::kafka_cluster::EncryptionInTransit::default(),
        client_authentication: runnel_api::kafka_cluster::ClientAuthentication::default(),
        admin: None,
    }
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

/// Digest of a configuration, to compare with what Connect holds.
pub(super) fn digest(config: &BTreeMap<String, String>) -> String {
    let text = serde_json::to_string(config).unwrap_or_default();
    Sha256Hex::of_bytes(text.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_topics_fit_into_kafkas_limit_for_any_name() {
        let name = Name::parse(&"n".repeat(runnel_api::name::NAME_LENGTH_MAX)).unwrap();
        assert!(internal_topics(&name, Uuid::max()).configs.len() <= 249);
    }
}
