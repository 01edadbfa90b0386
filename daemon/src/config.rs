//! Settings: the only reader of environment variables and of `runnel.toml`.
//!
//! Every key has a default that makes a working daemon for one user on one machine, so that the
//! file may be missing. What is wrong in it is said with file, key and what to write instead.

mod logs;
mod scaling;

use crate::fleet::Jvm;
use scaling::ScalingEntry;

pub use logs::{CloudWatchLogs, LogDelivery, LogPlaces, Logs};

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
    /// What workers' JVMs are tuned for; none means: by their use.
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
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CapacityEntry {
    mcu_memory_mib: Option<u32>,
    starts_at_once: Option<u32>,
    mcus: Option<u32>,
    jvm: Option<Jvm>,
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
        if !listen.ip().is_loopback() && !file.allow_insecure_remote {
            return Err(ConfigError::Invalid {
                origin,
                key: "listen".to_owned(),
                wrong: format!("is {listen}, which others can reach, and there is no TLS"),
                advice: "listen on a loopback address, or set allow_insecure_remote = true if \
                         something else protects the connection",
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
            capacity: capacity(path, &file.capacity)?,
            scaling: scaling::read(path, &file.scaling)?,
            logs: logs::logs(path, &file.logs)?,
            log_delivery: logs::log_delivery(path, file.log_delivery)?,
            metrics: Metrics {
                authenticated: file.metrics.authenticated.unwrap_or(true),
            },
        })
    }

    /// Which places a connector's `log_delivery` may name.
    pub fn log_places(&self) -> LogPlaces {
        LogPlaces {
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

fn capacity(path: &Path, entry: &CapacityEntry) -> Result<Capacity, ConfigError> {
    let mcu_memory_mib = entry.mcu_memory_mib.unwrap_or(MCU_MEMORY_MIB_DEFAULT);
    if mcu_memory_mib < MCU_MEMORY_MIB_MIN {
        return Err(ConfigError::Invalid {
            origin: path.display().to_string(),
            key: "capacity.mcu_memory_mib".to_owned(),
            wrong: format!("is {mcu_memory_mib}"),
            advice: "write at least 256: a worker does not start in less",
        });
    }
    let starts_at_once = entry.starts_at_once.unwrap_or_else(cpus);
    if starts_at_once == 0 {
        return Err(ConfigError::Invalid {
            origin: path.display().to_string(),
            key: "capacity.starts_at_once".to_owned(),
            wrong: "is 0, so that no worker could ever start".to_owned(),
            advice: "write at least 1, or leave it out: one for each CPU",
        });
    }
    if entry.mcus == Some(0) {
        return Err(ConfigError::Invalid {
            origin: path.display().to_string(),
            key: "capacity.mcus".to_owned(),
            wrong: "is 0, so that no connector could run".to_owned(),
            advice: "write how many MCUs workers may have together, or leave it out for no limit",
        });
    }
    Ok(Capacity {
        mcu_memory_mib,
        starts_at_once,
        mcus: entry.mcus,
        jvm: entry.jvm,
    })
}

/// A starting worker keeps one CPU busy for 2–4 s (measured).
fn cpus() -> u32 {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cpus).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let environment = Environment {
            home: Some("/home/me".into()),
            ..Environment::default()
        };
        let path = Path::new("/etc/x/runnel.toml");
        Config::parse(text, path, &environment, &Overrides::default())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_gives_a_working_daemon() {
        let config = parse("").unwrap();
        assert_eq!(config.listen, LISTEN_DEFAULT);
        assert_eq!(config.data_dir, Path::new("/home/me/.local/state/runnel"));
        assert_eq!(config.java, Path::new("java"));
        assert_eq!(config.timing.settle, SETTLE_DEFAULT);
        assert_eq!(config.capacity.mcu_memory_mib, MCU_MEMORY_MIB_DEFAULT);
        assert_eq!(config.capacity.mcus, None);
        assert!(config.metrics.authenticated);
    }

    #[test]
    fn every_key_is_read() {
        let config = parse(
            r#"
            listen = "[::1]:0"
            data_dir = "state"
            java = "/opt/jdk/bin/java"
            [runtimes."3.9"]
            home = "/opt/kafka-3.9.2"
            [timing]
            settle_ms = 1
            operation_timeout_ms = 2
            reconcile_ms = 3
            stop_deadline_ms = 4
            kafka_timeout_ms = 5
            probe_ms = 6
            silent_worker_ms = 7
            [capacity]
            mcu_memory_mib = 512
            mcus = 6
            jvm = "small"
            [metrics]
            authenticated = false
            "#,
        )
        .unwrap();
        assert_eq!(config.listen.to_string(), "[::1]:0");
        assert_eq!(config.data_dir, Path::new("/etc/x/state"));
        assert_eq!(config.java, Path::new("/opt/jdk/bin/java"));
        assert_eq!(config.runtimes["3.9"], Path::new("/opt/kafka-3.9.2"));
        assert_eq!(config.timing.kafka_timeout, Duration::from_millis(5));
        assert_eq!(config.timing.probe, Duration::from_millis(6));
        assert_eq!(config.timing.silent_worker, Duration::from_millis(7));
        assert_eq!(config.capacity.mcu_memory_mib, 512);
        assert_eq!(config.capacity.mcus, Some(6));
        assert_eq!(config.capacity.jvm, Some(Jvm::Small));
        assert!(!config.metrics.authenticated);
    }

    #[test]
    fn errors_name_file_and_key_and_say_what_to_do() {
        for (text, parts) in [
            ("listne = 1", vec!["runnel.toml", "listne", "listen"]),
            (
                "listen = \"x\"",
                vec!["runnel.toml", "listen", "127.0.0.1:8083"],
            ),
            ("listen = 7", vec!["runnel.toml", "listen", "string"]),
            (
                "timing.settle_ms = 0",
                vec!["timing.settle_ms", "milliseconds"],
            ),
            ("timing.settle_ms = 180000", vec!["operation_timeout_ms"]),
            ("capacity.mcu_memory_mib = 1", vec!["mcu_memory_mib", "256"]),
            ("capacity.mcus = 0", vec!["capacity.mcus", "no limit"]),
            ("[runtimes.\"3.9\"]", vec!["home"]),
        ] {
            let error = parse(text).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{text}: {error}");
            }
        }
    }

    #[test]
    fn an_address_others_can_reach_must_be_wanted() {
        let error = parse("listen = \"0.0.0.0:8083\"").unwrap_err();
        assert!(error.contains("allow_insecure_remote = true"), "{error}");
        let config = parse("listen = \"0.0.0.0:8083\"\nallow_insecure_remote = true").unwrap();
        assert_eq!(config.listen.port(), 8083);
    }

    #[test]
    fn root_and_users_have_different_folders() {
        let mut environment = Environment {
            home: Some("/root".into()),
            is_root: true,
            ..Environment::default()
        };
        assert_eq!(environment.data_dir(), Path::new("/var/lib/runnel"));
        environment.state_home = Some("/s".into());
        assert_eq!(environment.data_dir(), Path::new("/s/runnel"));
        environment.java_home = Some("/j".into());
        assert_eq!(environment.java(), Path::new("/j/bin/java"));
    }

    #[test]
    fn a_named_file_must_be_there_the_default_one_need_not() {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment {
            config_home: Some(folder.path().into()),
            ..Environment::default()
        };
        assert!(Config::load(&environment, &Overrides::default()).is_ok());
        let overrides = Overrides {
            config: Some(folder.path().join("missing.toml")),
            ..Overrides::default()
        };
        let refused = Config::load(&environment, &overrides);
        assert!(matches!(refused, Err(ConfigError::Unreadable { .. })));
    }
}
