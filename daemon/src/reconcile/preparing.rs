//! One generation of a connector, made into what workers and Connect are given.

use super::Inner;
use super::goal::{Row, chain, digest};
use super::launching::{Login, group_digest, launch};
use super::security;
use crate::clusters::DeclaredCluster;
use crate::fleet::{FleetError, WorkerLaunch};
use crate::grants::{self, GrantInput, Grants};
use crate::store::{Store, StoreError};
use runnel_api::connector::{ConnectorSpec, Derived, user_of};
use runnel_api::plugin::{ContentRef, PluginStatus};
use runnel_api::role::RoleSpec;
use runnel_api::server::RuntimeInfo;
use runnel_api::worker_configuration::WorkerConfigurationSpec;
use runnel_api::{ErrorCode, Generation, Kind, Name, Problem};
use runnel_planner::Target;
use runnel_planner::derive::{CLUSTER_KEY, Current, DeriveInput, FoundClass, derive, placeholder};
use runnel_planner::scale::{Policy, TaskLimit};
use std::collections::{BTreeMap, BTreeSet};

/// The key that autoscaling replaces.
const TASKS_MAX: &str = "tasks.max";

/// One generation, ready to be brought in.
#[derive(Clone)]
pub(super) struct Prepared {
    pub target: Target,
    /// The configuration for Connect, secrets as `${file:…}` references.
    pub config: BTreeMap<String, String>,
    /// The launch of a worker, but for its id.
    pub launch: WorkerLaunch,
    /// Its user and ACLs, where roles are enforced.
    pub grants: Option<Grants>,
}

/// What a generation refers to.
pub(super) struct References {
    pub spec: ConnectorSpec,
    pub derived: Derived,
    pub cluster: DeclaredCluster,
    pub role: Option<RoleSpec>,
    pub plugins: Vec<(ContentRef, PluginStatus)>,
    pub worker_configuration: Option<WorkerConfigurationSpec>,
    pub secrets: BTreeMap<String, runnel_api::Secret>,
}

/// Derives a generation, writes its files, and says what it comes to.
pub(super) async fn prepare(
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
    let mut secret_keys: BTreeSet<String> = references.secrets.keys().cloned().collect();
    secret_keys.remove(CLUSTER_KEY);
    let object = &row.stored.object;
    let user = user_of(&object.name, object.id);
    let derivation = derive(&DeriveInput {
        name: &object.name,
        spec: &references.spec,
        secret_keys: &secret_keys,
        user: &user,
        kafka_cluster: &references.cluster.spec,
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
    let grants = match grants(
        row,
        &references,
        &derivation.worker_config,
        derivation.class.as_ref(),
    ) {
        Ok(grants) => grants,
        Err(problem) => return Ok(Err(*problem)),
    };
    let (file_references, login) = match write_files(inner, row, &references).await {
        Ok(written) => written,
        Err(problem) => return Ok(Err(problem)),
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
    Ok(launch(
        inner,
        object.id,
        &object.name,
        &references,
        &derived,
        size,
        &login,
    )
    .map(|launch| Prepared {
        target: Target {
            generation,
            config_digest: digest(&config),
            launch_digest: launch.digest.clone(),
            group_digest: group_digest(&launch),
            size,
            policy,
            desired_state: references.spec.desired_state,
            grant_digest: grants.as_ref().map(Grants::digest),
        },
        config,
        launch,
        grants,
    }))
}

/// What the role comes to on the broker, where it is enforced.
fn grants(
    row: &Row,
    references: &References,
    config: &BTreeMap<String, String>,
    class: Option<&FoundClass>,
) -> Result<Option<Grants>, Box<Problem>> {
    let (Some(principal), Some(class)) = (&row.principal, class) else {
        return Ok(None);
    };
    let object = &row.stored.object;
    let granted = grants::of(&GrantInput {
        name: &object.name,
        id: object.id,
        spec: &references.spec,
        config,
        class,
        cluster: &references.cluster.spec,
        cluster_arn: &references.cluster.arn,
        role: references.role.as_ref(),
    });
    match granted.problems.into_iter().next() {
        Some(problem) => Err(Box::new(problem)),
        None => Ok(Some(Grants {
            username: principal.username.clone(),
            version: principal.version,
            acls: granted.acls,
        })),
    }
}

/// Puts secrets and login where the workers read them.
async fn write_files(
    inner: &Inner,
    row: &Row,
    references: &References,
) -> Result<(BTreeMap<String, String>, Login), Problem> {
    let fleet = inner.parts.fleet.clone();
    let (id, secrets) = (row.stored.object.id, references.secrets.clone());
    let (login, version) = security::login(&references.cluster, row.principal.as_ref());
    let written = tokio::task::spawn_blocking(move || {
        fleet.prepare(id)?;
        let keystore = fleet.write_login(id, &login)?;
        let references = fleet.write_secrets(id, &secrets)?;
        Ok::<_, FleetError>((references, Login { version, keystore }))
    });
    let failed =
        |error: &dyn std::error::Error| internal("the worker's files cannot be written", error);
    match written.await {
        Ok(Ok(written)) => Ok(written),
        Ok(Err(error)) => Err(failed(&error)),
        Err(error) => Err(failed(&error)),
    }
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
    let Some(cluster) = DeclaredCluster::read(store, &spec.kafka_cluster)? else {
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
    let role = match spec.service_execution_role_arn.role_name() {
        Some(role) => store.get::<RoleSpec>(&role)?.map(|role| role.object.spec),
        None => None,
    };
    let mut secrets = store.unseal(Kind::Connector, name, generation)?;
    if let Some((_, key)) = cluster.client_certificate() {
        secrets.insert(CLUSTER_KEY.to_owned(), key);
    }
    Ok(Ok(References {
        spec,
        derived: recalled.computed,
        cluster,
        role,
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
}
