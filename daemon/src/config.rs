//! Settings: the only reader of environment variables and of `runnel.toml`.
//!
//! Every key has a default that makes a working daemon for one user on one machine, so that the
//! file may be missing. What is wrong in it is said with file, key and what to write instead.

mod api;
mod capacity;
mod kafka;
mod logs;
mod scaling;
mod workers;

use crate::fleet::{Jvm, WorkerAccess};
use capacity::CapacityEntry;
use scaling::ScalingEntry;

pub use api::{Http, Tls};
pub use logs::{CloudWatchLogs, LogDelivery, Logs};

use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the API listens. 8083 is the port of Kafka Connect's REST API: nothing is registered for
/// ours, and who knows Connect looks there first. Port 0 takes a free one.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8083);
/// How long a new generation's tasks must run before an operation succeeds. A wrong password or
/// a refused table shows within 1–3 s of a task's start; 5 s leaves room on a busy machine.
pub const SETTLE_DEFAULT: Duration = Duration::from_secs(5);
/// When an operation that does not settle is given up. The slowest start measured is 18 s (plugin
/// scan of a runtime without class-data archive); a first roll of several workers fits as well.
pub const OPERATION_TIMEOUT_DEFAULT: Duration = Duration::from_mins(3);
/// How often everything is looked at without being woken; health is at most this old.
pub const RECONCILE_DEFAULT: Duration = Duration::from_secs(3);
/// How long a worker may take to stop before it is killed. Connect gives its tasks 5 s
/// (`task.shutdown.graceful.timeout.ms`), then closes producers and leaves the group.
pub const STOP_DEADLINE_DEFAULT: Duration = Duration::from_secs(15);
/// When a call to Kafka is given up. One refused or lost connection and one retry fit in it.
pub const KAFKA_TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);
/// Time between two validations of a running connector. Each is a login at its source.
pub const PROBE_DEFAULT: Duration = Duration::from_mins(1);
/// How long a live worker may give no answer before it is killed and replaced. Connect's group
/// gives a silent member up after 6 s; longer stops are a machine that is out of breath.
pub const SILENT_WORKER_DEFAULT: Duration = Duration::from_secs(30);
/// How long a sink may read nothing although records wait. It commits every 5 s unless its worker
/// configuration says otherwise (`offset.flush.interval.ms`).
pub const PROGRESS_DEFAULT: Duration = Duration::from_mins(1);
/// Memory of one MCU in MiB, as MSK Connect sells it.
pub const MCU_MEMORY_MIB_DEFAULT: u32 = 4096;
/// A JVM with Connect and one connector does not start in less than this many MiB.
pub const MCU_MEMORY_MIB_MIN: u32 = 256;
/// No timing may be longer than a day: it would be a mistake in the unit.
const TIMING_MAX_MS: u64 = 86_400_000;

/// Settings of the daemon, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// The folder of everything that the daemon keeps.
    pub data_dir: PathBuf,
    /// The `java` program.
    pub java: PathBuf,
    /// Homes of runtimes that the file names, by runtime name.
    pub runtimes: BTreeMap<String, PathBuf>,
    /// Waits and periods.
    pub timing: Timing,
    /// What the machine gives.
    pub capacity: Capacity,
    /// Times of autoscaling.
    pub scaling: runnel_planner::scale::Timing,
    /// What is kept of workers' logs.
    pub logs: Logs,
    /// Where workers' logs may be delivered besides.
    pub log_delivery: LogDelivery,
    /// What is told to Prometheus.
    pub metrics: Metrics,
    /// The API's certificate; plain HTTP without it.
    pub tls: Option<Tls>,
    /// How the API is reached.
    pub http: Http,
    /// Records of the audit log that are kept.
    pub audit_records: u64,
    /// What workers may open.
    pub workers: WorkerAccess,
    /// The library by which workers log in by `AWS_MSK_IAM`, one jar; none: no such cluster.
    pub aws_msk_iam_auth: Option<PathBuf>,
}

/// Waits and periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a new generation must run before its operation succeeds.
    pub settle: Duration,
    /// When an operation is given up.
    pub operation_timeout: Duration,
    /// The period of looking at everything.
    pub reconcile: Duration,
    /// How long a worker may take to stop.
    pub stop_deadline: Duration,
    /// When a call to Kafka is given up.
    pub kafka_timeout: Duration,
    /// Time between two validations of a running connector.
    pub probe: Duration,
    /// How long a live worker may give no answer.
    pub silent_worker: Duration,
    /// How long a sink may read nothing although records wait.
    pub progress: Duration,
}

/// What the machine gives to workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Memory of one MCU in MiB.
    pub mcu_memory_mib: u32,
    /// How many workers may be starting at one time.
    pub starts_at_once: u32,
    /// MCUs of all workers together; none when they are not limited.
    pub mcus: Option<u32>,
    /// What workers' JVMs are tuned for; none means: by their size.
    pub jvm: Option<Jvm>,
}

/// What is told to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Whether `/metrics` wants a token as everything else does. Names of connectors and how they
    /// fare are no secrets, but nobody's business by default.
    pub authenticated: bool,
}

/// Why settings are refused: the file, the key, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML, or has a key that is not known or a value of another type.
    #[error("{}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, key and expectation.
        message: String,
    },
    /// A value is out of its range.
    #[error("{origin}: {key} {wrong}; {advice}")]
    Invalid {
        /// The file, or where else the value came from.
        origin: String,
        /// The key.
        key: String,
        /// What is wrong.
        wrong: String,
        /// What to do.
        advice: &'static str,
    },
}

/// The environment as far as it matters here. Tests make their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub state_home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
    /// `JAVA_HOME`.
    pub java_home: Option<PathBuf>,
    /// `RUNNEL_ENDPOINT`.
    pub endpoint: Option<String>,
    /// `RUNNEL_TOKEN`.
    pub token: Option<runnel_api::Secret>,
    /// `RUNNEL_CA_CERTIFICATE`.
    pub ca_certificate: Option<PathBuf>,
    /// `RUNNEL_CLIENT_CERTIFICATE`.
    pub client_certificate: Option<PathBuf>,
    /// `PATH`, folder by folder.
    pub search: Vec<PathBuf>,
    /// `RUNNEL_LOG`, a filter of `tracing-subscriber`.
    pub log_filter: Option<String>,
    /// True for user id 0.
    pub is_root: bool,
}

impl Environment {
    /// Reads the process's environment. Empty values count as absent.
    pub fn of_process() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        Self {
            home: path("HOME"),
            state_home: path("XDG_STATE_HOME"),
            config_home: path("XDG_CONFIG_HOME"),
            java_home: path("JAVA_HOME"),
            endpoint: text("RUNNEL_ENDPOINT"),
            token: text("RUNNEL_TOKEN").map(runnel_api::Secret::new),
            ca_certificate: path("RUNNEL_CA_CERTIFICATE"),
            client_certificate: path("RUNNEL_CLIENT_CERTIFICATE"),
            search: std::env::var_os("PATH")
                .map(|path| std::env::split_paths(&path).collect())
                .unwrap_or_default(),
            log_filter: text("RUNNEL_LOG"),
            is_root: rustix::process::geteuid().is_root(),
        }
    }

    /// `PATH`, joined again for those who search it themselves.
    pub fn path(&self) -> Option<std::ffi::OsString> {
        std::env::join_paths(&self.search).ok()
    }

    /// Where a program is: a path as it is, a bare name by `PATH`. None when there is no such file.
    pub fn find(&self, program: &Path) -> Option<PathBuf> {
        if program.components().count() > 1 {
            return program.is_file().then(|| program.to_owned());
        }
        let mut places = self.search.iter().map(|folder| folder.join(program));
        places.find(|place| place.is_file())
    }

    /// `$XDG_STATE_HOME/runnel`, by default below `~/.local/state`; `/var/lib/runnel` for root
    /// without `XDG_STATE_HOME`.
    fn data_dir(&self) -> PathBuf {
        match (&self.state_home, &self.home) {
            (Some(state), _) => state.join("runnel"),
            (None, Some(home)) if !self.is_root => home.join(".local/state/runnel"),
            (None, _) => PathBuf::from("/var/lib/runnel"),
        }
    }

    /// The file that is read when none is named: the user's, or `/etc/runnel/runnel.toml` for root.
    fn config_file(&self) -> PathBuf {
        match (&self.config_home, &self.home) {
            (Some(config), _) => config.join("runnel/runnel.toml"),
            (None, Some(home)) if !self.is_root => home.join(".config/runnel/runnel.toml"),
            (None, _) => PathBuf::from("/etc/runnel/runnel.toml"),
        }
    }

    fn java(&self) -> PathBuf {
        match &self.java_home {
            Some(home) => home.join("bin/java"),
            None => PathBuf::from("java"),
        }
    }
}

/// What the command line says; it goes before the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<String>,
    data_dir: Option<PathBuf>,
    #[serde(default)]
    allow_insecure_remote: bool,
    java: Option<PathBuf>,
    #[serde(default)]
    runtimes: BTreeMap<String, RuntimeEntry>,
    #[serde(default)]
    timing: TimingEntry,
    #[serde(default)]
    capacity: CapacityEntry,
    #[serde(default)]
    scaling: ScalingEntry,
    #[serde(default)]
    logs: logs::LogsEntry,
    #[serde(default)]
    log_delivery: logs::LogDeliveryEntry,
    #[serde(default)]
    metrics: MetricsEntry,
    tls: Option<api::TlsEntry>,
    #[serde(default)]
    http: api::HttpEntry,
    #[serde(default)]
    audit: api::AuditEntry,
    #[serde(default)]
    workers: workers::WorkersEntry,
    #[serde(default)]
    kafka: kafka::KafkaEntry,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuntimeEntry {
    home: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "the keys of the file name their unit"
)]
struct TimingEntry {
    settle_ms: Option<u64>,
    operation_timeout_ms: Option<u64>,
    reconcile_ms: Option<u64>,
    stop_deadline_ms: Option<u64>,
    kafka_timeout_ms: Option<u64>,
    probe_ms: Option<u64>,
    silent_worker_ms: Option<u64>,
    progress_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricsEntry {
    authenticated: Option<bool>,
}

impl Config {
    /// Reads the file (the one named, or the default one if it is there) and checks everything.
    pub fn load(environment: &Environment, overrides: &Overrides) -> Result<Self, ConfigError> {
        let (path, required) = match &overrides.config {
            Some(path) => (path.clone(), true),
            None => (environment.config_file(), false),
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => {
                String::new()
            }
            Err(source) => return Err(ConfigError::Unreadable { path, source }),
        };
        Self::parse(&text, &path, environment, overrides)
    }

    /// Checks a file's text; `path` is for messages, and relative paths in it are below its folder.
    pub fn parse(
        text: &str,
        path: &Path,
        environment: &Environment,
        overrides: &Overrides,
    ) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| ConfigError::Malformed {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let (listen, origin) = match (&overrides.listen, &file.listen) {
            (Some(text), _) => (Some(text), "--listen".to_owned()),
            (None, text) => (text.as_ref(), path.display().to_string()),
        };
        let listen = listen.map_or(Ok(LISTEN_DEFAULT), |text| {
            text.parse().map_err(|_| ConfigError::Invalid {
                origin: origin.clone(),
                key: "listen".to_owned(),
                wrong: format!("is {text:?}, which is no address"),
                advice: "write IP:PORT, such as \"127.0.0.1:8083\" or \"[::1]:0\"",
            })
        })?;
        if !listen.ip().is_loopback() && file.tls.is_none() && !file.allow_insecure_remote {
            return Err(ConfigError::Invalid {
                origin,
                key: "listen".to_owned(),
                wrong: format!("is {listen}, which others can reach, and there is no TLS"),
                advice: "listen on a loopback address, give the API a certificate in [tls], or set \
                         allow_insecure_remote = true if something else protects the connection",
            });
        }
        let data_dir = match (&overrides.data_dir, &file.data_dir) {
            (Some(given), _) => given.clone(),
            (None, Some(named)) => folder.join(named),
            (None, None) => environment.data_dir(),
        };
        let runtimes = file.runtimes.into_iter();
        Ok(Self {
            listen,
            data_dir: absolute(data_dir),
            java: program(folder, file.java).unwrap_or_else(|| environment.java()),
            runtimes: runtimes
                .map(|(name, entry)| (name, absolute(folder.join(entry.home))))
                .collect(),
            timing: timing(path, &file.timing)?,
            capacity: capacity::read(path, &file.capacity)?,
            scaling: scaling::read(path, &file.scaling)?,
            logs: logs::logs(path, &file.logs)?,
            log_delivery: logs::log_delivery(path, file.log_delivery)?,
            metrics: Metrics {
                authenticated: file.metrics.authenticated.unwrap_or(true),
            },
            tls: api::tls(folder, file.tls),
            http: api::http(path, file.http)?,
            audit_records: api::audit(path, &file.audit)?,
            workers: workers::read(path, file.workers)?,
            aws_msk_iam_auth: kafka::aws_msk_iam_auth(path, folder, file.kafka)?,
        })
    }

    /// Which places a connector's `log_delivery` may name.
    pub fn log_places(&self) -> runnel_api::server::LogPlaces {
        runnel_api::server::LogPlaces {
            file: self.log_delivery.directory.is_some(),
            cloudwatch_logs: self.log_delivery.cloudwatch_logs.is_some(),
        }
    }

    /// The file to which the daemon writes the address that it really listens on.
    pub fn address_file(&self) -> PathBuf {
        self.data_dir.join("address")
    }
}

/// Workers and shims have other working directories than the daemon.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// A bare name is looked up in `PATH`, anything else is a path.
fn program(folder: &Path, java: Option<PathBuf>) -> Option<PathBuf> {
    java.map(|java| {
        if java.components().count() > 1 {
            absolute(folder.join(java))
        } else {
            java
        }
    })
}

fn timing(path: &Path, entry: &TimingEntry) -> Result<Timing, ConfigError> {
    let read = |key: &str, value: Option<u64>, default: Duration| match value {
        None => Ok(default),
        Some(ms @ 1..=TIMING_MAX_MS) => Ok(Duration::from_millis(ms)),
        Some(ms) => Err(ConfigError::Invalid {
            origin: path.display().to_string(),
            key: format!("timing.{key}"),
            wrong: format!("is {ms}"),
            advice: "write milliseconds, 1 to 86400000 (one day)",
        }),
    };
    let timing = Timing {
        settle: read("settle_ms", entry.settle_ms, SETTLE_DEFAULT)?,
        operation_timeout: read(
            "operation_timeout_ms",
            entry.operation_timeout_ms,
            OPERATION_TIMEOUT_DEFAULT,
        )?,
        reconcile: read("reconcile_ms", entry.reconcile_ms, RECONCILE_DEFAULT)?,
        stop_deadline: read(
            "stop_deadline_ms",
            entry.stop_deadline_ms,
            STOP_DEADLINE_DEFAULT,
        )?,
        kafka_timeout: read(
            "kafka_timeout_ms",
            entry.kafka_timeout_ms,
            KAFKA_TIMEOUT_DEFAULT,
        )?,
        probe: read("probe_ms", entry.probe_ms, PROBE_DEFAULT)?,
        silent_worker: read(
            "silent_worker_ms",
            entry.silent_worker_ms,
            SILENT_WORKER_DEFAULT,
        )?,
        progress: read("progress_ms", entry.progress_ms, PROGRESS_DEFAULT)?,
    };
    if timing.settle >= timing.operation_timeout {
        return Err(ConfigError::Invalid {
            origin: path.display().to_string(),
            key: "timing.settle_ms".to_owned(),
            wrong: "is not below timing.operation_timeout_ms, so that no operation could succeed"
                .to_owned(),
            advice: "make the settle time shorter or the time-out longer",
        });
    }
    Ok(timing)
}

#[cfg(test)]
mod tests;
