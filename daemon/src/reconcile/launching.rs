//! How a worker of a generation is started, and what of it may differ within a group.

use super::Inner;
use super::preparing::References;
use super::security::{client_security, login_library};
use crate::fleet::{ClassDataArchive, Jvm, LaunchRuntime, WorkerId, WorkerLaunch};
use crate::grants::{fleet_group, internal_topics};
use crate::runtime::ArchiveState;
use runnel_api::connector::{Delivery, Derived};
use runnel_api::plugin::Sha256Hex;
use runnel_api::scaling::Size;
use runnel_api::{ErrorCode, Name, Problem, worker_configuration};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What a worker's login comes to.
pub(super) struct Login {
    /// Counts its passwords and keys.
    pub version: u64,
    /// The file with certificate and key.
    pub keystore: Option<PathBuf>,
}

/// The launch of a worker of that size.
pub(super) fn launch(
    inner: &Inner,
    id: Uuid,
    name: &Name,
    references: &References,
    derived: &Derived,
    size: Size,
    login: &Login,
) -> Result<WorkerLaunch, Problem> {
    let version = &derived.kafkaconnect_version;
    let runtime = inner.parts.runtimes.get(version).ok_or_else(|| {
        Problem::new(
            ErrorCode::IncompatibleRuntime,
            format!("runtime {version} is not registered any more"),
        )
        .hint(format!(
            "Register it: runnel runtime add {version} --home DIR, then start the daemon again"
        ))
        .field("kafkaconnect_version")
    })?;
    let archive = match &runtime.archive {
        ArchiveState::Made(archive) => Some(ClassDataArchive {
            path: archive.path.clone(),
            size: archive.size,
            sha256: archive.sha256.clone(),
        }),
        ArchiveState::None { .. } => None,
    };
    let mut plugin_dirs = Vec::new();
    for content in &references.spec.plugins {
        plugin_dirs.push(inner.parts.plugins.plugin_path(&content.sha256));
    }
    let properties = references.worker_configuration.as_ref().map_or_else(
        || {
            worker_configuration::DEFAULT
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        },
        |configuration| configuration.properties.clone(),
    );
    let library = inner.parts.aws_msk_iam_auth.as_deref();
    let library = login_library(&references.cluster.spec, library).map_err(|it| *it)?;
    let mut launch = WorkerLaunch {
        connector_id: id,
        connector: name.to_string(),
        worker: WorkerId::fresh(),
        digest: String::new(),
        bootstrap_servers: references.cluster.spec.bootstrap_servers.clone(),
        group_id: fleet_group(name, id),
        topics: internal_topics(name, id),
        worker_properties: properties,
        client_security: client_security(&references.cluster.spec, login.keystore.as_deref()),
        runtime: LaunchRuntime {
            name: runtime.name.clone(),
            libs: runtime.libs.clone(),
            kafka_version: runtime.kafka_version.clone(),
            archive,
        },
        java: runtime.java.path.clone(),
        plugin_dirs,
        mcu_count: size.mcu_count,
        mcu_memory_mib: inner.parts.capacity.mcu_memory_mib,
        jvm: inner
            .parts
            .capacity
            .jvm
            .unwrap_or_else(|| Jvm::for_size(size.mcu_count)),
        stop_deadline_ms: inner.timing.stop_deadline_ms,
        exactly_once: references.spec.delivery == Delivery::ExactlyOnce,
        login_version: login.version,
        extra_jars: library.into_iter().map(Path::to_owned).collect(),
    };
    launch.digest = launch_digest(&launch);
    Ok(launch)
}

/// Everything of a launch but the worker's id and the archive, which changes how fast a worker
/// starts, not what it does: a new one replaces nobody.
///
/// Computed anew also for launches of an older daemon, so that a field it did not know yet counts
/// with its default.
pub(super) fn launch_digest(launch: &WorkerLaunch) -> String {
    digest_without(launch, &["worker", "digest"])
}

/// What the workers of one group must have in common: all but their size, how long they may take to
/// stop, their password, and the user's worker configuration.
pub(super) fn group_digest(launch: &WorkerLaunch) -> String {
    let own = [
        "worker",
        "digest",
        "worker_properties",
        "mcu_count",
        "mcu_memory_mib",
        "stop_deadline_ms",
        "jvm",
        "login_version",
    ];
    digest_without(launch, &own)
}

fn digest_without(launch: &WorkerLaunch, fields: &[&str]) -> String {
    let mut launch = launch.clone();
    launch.runtime.archive = None;
    let mut value = serde_json::to_value(launch).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        for field in fields {
            object.remove(*field);
        }
    }
    Sha256Hex::of_bytes(value.to_string().as_bytes()).to_string()
}
