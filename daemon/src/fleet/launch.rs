//! What a worker process is started with: pure texts made from a [`WorkerLaunch`].

use super::log_configuration::{log4j_properties, log4j2_yaml};
use super::properties_file;
use super::worker_properties::worker_properties;
pub use super::worker_properties::{is_managed, overridable};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The name of one worker process, for good; also its folder's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkerId(String);

impl WorkerId {
    /// A name that was never given before.
    pub fn fresh() -> Self {
        let (high, _) = Uuid::new_v4().as_u64_pair();
        Self(format!("w-{high:016x}"))
    }

    /// Takes 1 to 64 of `a-z`, `0-9` and `-`, not beginning with `-`.
    pub fn parse(text: &str) -> Result<Self, LaunchError> {
        let fits = (1..=64).contains(&text.len())
            && !text.starts_with('-')
            && text
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(LaunchError::WorkerId)
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WorkerId {
    type Error = LaunchError;
    fn try_from(text: String) -> Result<Self, LaunchError> {
        Self::parse(&text)
    }
}

impl From<WorkerId> for String {
    fn from(id: WorkerId) -> Self {
        id.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that decides how a worker process runs. It holds no secret: what is secret is a `${file:…}` reference.
///
/// It is kept as `launch.json` and read by later releases: new fields need a serde default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerLaunch {
    /// Id of the connector.
    pub connector_id: Uuid,
    /// Name of the connector, for people.
    pub connector: String,
    /// Name of the process.
    pub worker: WorkerId,
    /// The planner's digest of what it wanted; compared, never read.
    pub digest: String,
    /// `host:port,…`.
    pub bootstrap_servers: String,
    /// Connect group.
    pub group_id: String,
    /// Internal topics, made beforehand.
    pub topics: InternalTopics,
    /// The user's worker configuration. Keys that [`is_managed`] are left out.
    pub worker_properties: BTreeMap<String, String>,
    /// Client security (`security.protocol`, `sasl.*`, `ssl.*`), for the worker and its clients alike; empty on a
    /// plaintext cluster.
    #[serde(default)]
    pub client_security: BTreeMap<String, String>,
    /// The Kafka Connect release.
    pub runtime: LaunchRuntime,
    /// The `java` binary.
    pub java: PathBuf,
    /// Plugin folders, each with the jars of one plugin in it or below it.
    pub plugin_dirs: Vec<PathBuf>,
    /// Size in MCUs.
    pub mcu_count: u32,
    /// Memory of one MCU, MiB.
    pub mcu_memory_mib: u32,
    /// Compiler and collector. A launch of an older daemon has [`Jvm::Small`] for one MCU; for more it did not say.
    #[serde(default)]
    pub jvm: Jvm,
    /// Milliseconds between SIGTERM and SIGKILL.
    pub stop_deadline_ms: u64,
    /// Exactly-once source support (KIP-618).
    pub exactly_once: bool,
    /// Counts passwords and keys of its login: a worker that has read an old one is replaced.
    #[serde(default)]
    pub login_version: u64,
    /// Jars behind those of the runtime, where Kafka's own clients look for login modules.
    #[serde(default)]
    pub extra_jars: Vec<PathBuf>,
}

/// What a worker's JVM is tuned for; measured in `docs/figures.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jvm {
    /// Up early and little memory: the first compiler alone (C1) and the serial collector.
    #[default]
    Small,
    /// Much work for each CPU: both compilers (C2) and G1, which take memory and a CPU beside the work.
    Throughput,
}

impl Jvm {
    /// The choice by size: on one MCU the second compiler takes the CPU away from the work, also where the fleet is
    /// autoscaled (docs/decisions/0008).
    pub const fn for_size(mcu_count: u32) -> Self {
        if mcu_count >= 2 {
            Self::Throughput
        } else {
            Self::Small
        }
    }
}

/// Names of a fleet's internal topics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InternalTopics {
    /// `offset.storage.topic`.
    pub offsets: String,
    /// `config.storage.topic`.
    pub configs: String,
    /// `status.storage.topic`.
    pub status: String,
}

/// The runtime of a launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchRuntime {
    /// Its name, as `4.3`.
    pub name: String,
    /// Folder of its jars.
    pub libs: PathBuf,
    /// Kafka's version, as `4.3.1`.
    pub kafka_version: String,
    /// Class-data archive, which halves the start; without it, or when it is damaged, the worker starts all the same.
    #[serde(default)]
    pub archive: Option<ClassDataArchive>,
}

/// A class-data archive. A truncated one crashes the JVM, so size and sum are checked before each start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassDataArchive {
    /// The file.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// A launch that cannot be turned into a process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// A worker id that is no safe file name.
    #[error("a worker id has 1 to 64 of a-z, 0-9 and -, and does not begin with -")]
    WorkerId,
    /// A path that Connect's comma-separated lists, Java's class path or UTF-8 cannot hold.
    #[error(
        "the path {0} cannot be given to Java: it must be UTF-8 without , : {{ }} $ and quotation marks"
    )]
    Path(PathBuf),
    /// No jar in the runtime's folder.
    #[error("the folder {0} holds no jar")]
    NoJars(PathBuf),
    /// Too little memory for any worker.
    #[error("{0} MiB are too little for a worker; the least is {LEAST_MEMORY_MIB} MiB")]
    TooSmall(u64),
    /// A Kafka version that is not `major.minor…`.
    #[error("`{0}` is not a Kafka version")]
    KafkaVersion(String),
}

/// The least memory of a worker, MiB: a heap of 96 MiB and the 160 MiB that the JVM needs beside it.
pub const LEAST_MEMORY_MIB: u64 = 256;
/// What a JVM with Connect needs beside its heap, MiB (idle worker: 135–146 MiB resident, of them ~40 MiB heap).
const BESIDE_HEAP_MIB: u64 = 160;
/// The largest heap for each MCU, MiB; with 4 GiB for an MCU the other half serves direct buffers and page cache.
const HEAP_PER_MCU_MIB: u64 = 2048;

/// Heap (`-Xmx`) of a worker with so much memory, MiB: 60 % of it, at most 2 GiB for each MCU, and never so much
/// that less than 160 MiB stay for the rest of the JVM.
pub fn heap_mib(mcu_count: u32, mcu_memory_mib: u32) -> u64 {
    let total = memory_mib(mcu_count, mcu_memory_mib);
    (total * 6 / 10)
        .min(total.saturating_sub(BESIDE_HEAP_MIB))
        .min(HEAP_PER_MCU_MIB * u64::from(mcu_count))
        .max(LEAST_MEMORY_MIB - BESIDE_HEAP_MIB)
}

/// Memory of a worker, MiB.
pub fn memory_mib(mcu_count: u32, mcu_memory_mib: u32) -> u64 {
    u64::from(mcu_count) * u64::from(mcu_memory_mib)
}

/// Major and minor number of a Kafka version.
pub fn release(version: &str) -> Result<(u32, u32), LaunchError> {
    let mut parts = version.split('.').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(LaunchError::KafkaVersion(version.to_owned())),
    }
}

/// Where a worker's files are.
#[derive(Clone, Debug)]
pub struct LaunchPaths {
    /// The run dir.
    pub run: PathBuf,
    /// The connector's secret folder.
    pub secrets: PathBuf,
    /// The fleet's JAAS file, which points to its REST credentials.
    pub jaas: PathBuf,
}

/// A process to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// Files of the run dir, by name.
    pub files: Vec<(&'static str, String)>,
}

/// Turns a launch into texts. `jars` are the runtime's; `archive` is the class-data archive when it was found sound.
pub fn render(
    launch: &WorkerLaunch,
    paths: &LaunchPaths,
    jars: &[PathBuf],
    archive: Option<&Path>,
) -> Result<Rendered, LaunchError> {
    let memory = memory_mib(launch.mcu_count, launch.mcu_memory_mib);
    if memory < LEAST_MEMORY_MIB {
        return Err(LaunchError::TooSmall(memory));
    }
    let log4j2 = release(&launch.runtime.kafka_version)? >= (4, 0);
    let (log_file, log_text) = if log4j2 {
        ("log4j2.yaml", log4j2_yaml())
    } else {
        ("log4j.properties", log4j_properties())
    };
    let properties = properties_file::render(&worker_properties(launch, paths)?);
    let mut argv = vec![plain(&launch.java)?.to_owned()];
    argv.extend(jvm_options(launch, paths, archive)?);
    let log_path = plain(&paths.run.join(log_file))?.to_owned();
    argv.push(if log4j2 {
        format!("-Dlog4j2.configurationFile={log_path}")
    } else {
        format!("-Dlog4j.configuration=file:{log_path}")
    });
    argv.push("-cp".into());
    argv.push(class_path(&launch.runtime.libs, jars, &launch.extra_jars)?);
    argv.push("org.apache.kafka.connect.cli.ConnectDistributed".into());
    argv.push(plain(&paths.run.join("worker.properties"))?.to_owned());
    Ok(Rendered {
        argv,
        environment: environment(),
        files: vec![("worker.properties", properties), (log_file, log_text)],
    })
}

/// The worker's whole environment. UTC, because a worker's log and a connector's dates must not depend on the host.
fn environment() -> Vec<(String, String)> {
    [
        ("LANG", "C.UTF-8"),
        ("PATH", "/usr/bin:/bin"),
        ("TZ", "UTC"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// A path that means the same to Java, Kafka's comma-separated lists and `${file:path:key}`.
pub fn plain(path: &Path) -> Result<&str, LaunchError> {
    path.to_str()
        .filter(|text| !text.contains([',', ':', '{', '}', '$', '"', '\\', '\n', '\r']))
        .ok_or_else(|| LaunchError::Path(path.to_owned()))
}

/// Explicit and sorted: with a wildcard, or in another order, the class-data archive is ignored (measured).
fn class_path(libs: &Path, jars: &[PathBuf], extra: &[PathBuf]) -> Result<String, LaunchError> {
    if jars.is_empty() {
        return Err(LaunchError::NoJars(libs.to_owned()));
    }
    let mut names: Vec<&str> = jars
        .iter()
        .map(|jar| plain(jar))
        .collect::<Result<_, _>>()?;
    names.sort_unstable();
    // Behind the others: an archive fits a class path that goes on.
    for jar in extra {
        names.push(plain(jar)?);
    }
    Ok(names.join(":"))
}

fn jvm_options(
    launch: &WorkerLaunch,
    paths: &LaunchPaths,
    archive: Option<&Path>,
) -> Result<Vec<String>, LaunchError> {
    let memory = memory_mib(launch.mcu_count, launch.mcu_memory_mib);
    let heap = heap_mib(launch.mcu_count, launch.mcu_memory_mib);
    let run = plain(&paths.run)?;
    let mut options = vec![
        // The default initial heap is 1/64 of the host's memory.
        "-Xms64m".to_owned(),
        format!("-Xmx{heap}m"),
        format!("-XX:MaxRAM={}", memory << 20),
        format!("-XX:ActiveProcessorCount={}", launch.mcu_count),
        "-XX:+ExitOnOutOfMemoryError".into(),
        // Else a file per JVM in the machine's /tmp, readable for others.
        "-XX:-UsePerfData".into(),
        format!("-XX:ErrorFile={run}/tmp/hs_err.log"),
    ];
    options.extend(match launch.jvm {
        Jvm::Small => vec![
            "-XX:+UseSerialGC".to_owned(),
            "-XX:TieredStopAtLevel=1".into(),
        ],
        Jvm::Throughput => vec!["-XX:+UseG1GC".to_owned()],
    });
    if let Some(archive) = archive {
        options.push("-Xshare:auto".into());
        options.push(format!("-XX:SharedArchiveFile={}", plain(archive)?));
    }
    options.extend([
        format!("-Djava.io.tmpdir={run}/tmp"),
        "-Dfile.encoding=UTF-8".into(),
        "-Djava.awt.headless=true".into(),
        format!("-Djava.security.auth.login.config={}", plain(&paths.jaas)?),
    ]);
    options.extend(super::hardening::jvm_options(
        &launch.runtime.kafka_version,
    )?);
    Ok(options)
}

#[cfg(test)]
#[path = "launch_tests.rs"]
mod tests;
