//! What stands in `worker.properties`: defaults, what the user wants, and what is Runnel's to set.

use super::launch::{LaunchError, LaunchPaths, WorkerLaunch, plain, release};
use std::collections::BTreeMap;

/// Client settings that a connector may override: tuning only. Nothing that names credentials, servers, groups,
/// classes or files is among them.
const OVERRIDABLE: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "batch.size",
    "buffer.memory",
    "check.crcs",
    "client.rack",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "connections.max.idle.ms",
    "delivery.timeout.ms",
    "enable.idempotence",
    "fetch.max.bytes",
    "fetch.max.wait.ms",
    "fetch.min.bytes",
    "heartbeat.interval.ms",
    "isolation.level",
    "linger.ms",
    "max.block.ms",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "max.poll.records",
    "max.request.size",
    "metadata.max.age.ms",
    "metadata.max.idle.ms",
    "partitioner.adaptive.partitioning.enable",
    "partitioner.availability.timeout.ms",
    "partitioner.ignore.keys",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "send.buffer.bytes",
    "session.timeout.ms",
    "transaction.timeout.ms",
];

/// Which client settings a connector's `producer.override.`, `consumer.override.` and `admin.override.` keys may
/// name on this Kafka release.
///
/// The policy `Allowlist` exists from 4.2 on. Before, the choice is `All`, `Principal`, which allows exactly the
/// credential keys, or `None`; `None` is the one that lets no connector take another login. A fleet serves one
/// connector, so the same tuning stands in its worker configuration as `producer.linger.ms` and the like.
pub fn overridable(kafka_version: &str) -> Result<&'static [&'static str], LaunchError> {
    Ok(if release(kafka_version)? >= (4, 2) {
        OVERRIDABLE
    } else {
        &[]
    })
}

/// Whether a worker property is Runnel's to set. A user's value for it is left out.
pub fn is_managed(key: &str) -> bool {
    const PREFIXES: &[&str] = &[
        "access.control.",
        "admin.listeners",
        "client.",
        "config.providers",
        "config.storage.",
        "connector.client.config.override.",
        "inter.worker.",
        "listeners",
        "offset.storage.",
        "plugin.",
        "rest.",
        "sasl.",
        "security.",
        "ssl.",
        "status.storage.",
    ];
    const KEYS: &[&str] = &[
        "bootstrap.servers",
        "exactly.once.source.support",
        "group.id",
        "heartbeat.interval.ms",
        "metric.reporters",
        "response.http.headers.config",
        "scheduled.rebalance.max.delay.ms",
        "session.timeout.ms",
    ];
    const CLIENT: &[&str] = &["bootstrap.servers", "client.id", "group.id"];
    const CLIENT_PREFIXES: &[&str] = &["sasl.", "security.", "ssl."];
    let of_client = CLIENTS
        .iter()
        .find_map(|client| key.strip_prefix(client))
        .is_some_and(|rest| CLIENT.contains(&rest) || starts_with_any(rest, CLIENT_PREFIXES));
    // Those below a converter's prefix too.
    let gives_providers = key.contains(".config.providers");
    of_client || gives_providers || KEYS.contains(&key) || starts_with_any(key, PREFIXES)
}

fn starts_with_any(key: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| key.starts_with(prefix))
}

const CLIENTS: [&str; 3] = ["producer.", "consumer.", "admin."];

/// The worker's properties.
pub fn worker_properties(
    launch: &WorkerLaunch,
    paths: &LaunchPaths,
) -> Result<BTreeMap<String, String>, LaunchError> {
    let mut properties: BTreeMap<String, String> = defaults();
    properties.extend(
        launch
            .worker_properties
            .iter()
            .filter(|(key, _)| !is_managed(key))
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    for (key, value) in &launch.client_security {
        properties.insert(key.clone(), value.clone());
        for client in CLIENTS {
            properties.insert(format!("{client}{key}"), value.clone());
        }
    }
    properties.extend(managed(launch, paths)?);
    Ok(properties)
}

/// What a user's worker configuration may change.
fn defaults() -> BTreeMap<String, String> {
    let converter = "org.apache.kafka.connect.storage.StringConverter";
    [
        ("key.converter", converter),
        ("value.converter", converter),
        // The rows since the last flush come again after a crash; Connect's own default is 60 s.
        ("offset.flush.interval.ms", "5000"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

fn managed(
    launch: &WorkerLaunch,
    paths: &LaunchPaths,
) -> Result<BTreeMap<String, String>, LaunchError> {
    let mut set: BTreeMap<String, String> = [
        ("bootstrap.servers", launch.bootstrap_servers.as_str()),
        ("group.id", &launch.group_id),
        ("offset.storage.topic", &launch.topics.offsets),
        ("config.storage.topic", &launch.topics.configs),
        ("status.storage.topic", &launch.topics.status),
        // The topics are there before the worker; -1 is the broker's default, should one have been deleted.
        ("offset.storage.replication.factor", "-1"),
        ("config.storage.replication.factor", "-1"),
        ("status.storage.replication.factor", "-1"),
        // Port 0: two workers never share an address, so a worker_id names one process.
        ("listeners", "http://127.0.0.1:0"),
        // Empty: no `/admin` at all.
        ("admin.listeners", ""),
        (
            "rest.extension.classes",
            "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension",
        ),
        ("plugin.discovery", "service_load"),
        // A worker that left is gone at once; waiting for it to come back is for fleets without a supervisor.
        ("scheduled.rebalance.max.delay.ms", "0"),
        // The least that a broker allows by default (`group.min.session.timeout.ms`).
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "2000"),
        ("config.providers", "file"),
        (
            "config.providers.file.class",
            "org.apache.kafka.common.config.provider.FileConfigProvider",
        ),
        (
            "config.providers.file.param.allowed.paths",
            plain(&paths.secrets)?,
        ),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    if !launch.plugin_dirs.is_empty() {
        let dirs: Vec<&str> = launch
            .plugin_dirs
            .iter()
            .map(|dir| plain(dir))
            .collect::<Result<_, _>>()?;
        set.insert("plugin.path".into(), dirs.join(","));
    }
    if launch.exactly_once {
        set.insert("exactly.once.source.support".into(), "enabled".into());
    }
    let allowed = overridable(&launch.runtime.kafka_version)?;
    let policy = if allowed.is_empty() {
        "None"
    } else {
        set.insert(
            "connector.client.config.override.allowlist".into(),
            allowed.join(","),
        );
        "Allowlist"
    };
    set.insert(
        "connector.client.config.override.policy".into(),
        policy.into(),
    );
    Ok(set)
}
