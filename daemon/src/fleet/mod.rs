//! The workers of all connectors: the only place that starts or signals processes.
//!
//! What is true stands on disk and in `/proc`, never in this process's memory. So a daemon that starts anew knows the
//! same as the one before, by the same code. The calls block for file work, [`Fleet::start`] also for reading the
//! class-data archive (50 MB) and [`Fleet::kill`] for a death: call them off the async threads.
//!
//! Files of a connector, below `ROOT/CONNECTOR_ID` (mode 0700):
//! `secrets/` with properties files for `${file:…}`; `rest.properties` and `jaas.conf` for the fleet's REST login;
//! `name.key`; `workers/WORKER_ID/`, see [`run_dir`]; `logs/` of dead workers.

mod confinement;
pub mod connect_rest;
mod ending;
mod hardening;
pub mod isolation;
mod kept_logs;
pub mod launch;
mod log_configuration;
mod login;
mod logs;
pub mod process;
mod properties_file;
pub mod run_dir;
mod runtime_files;
pub mod secrets;
pub mod seen;
pub mod shim;
mod trace;
pub mod usage;
mod watch;
mod worker_properties;

pub use confinement::{WorkerAccess, is_script, landlock};
pub use connect_rest::{ConnectClient, RestError};
pub use isolation::{Isolation, IsolationLevel};
pub use launch::{
    ClassDataArchive, InternalTopics, Jvm, LaunchError, LaunchRuntime, WorkerId, WorkerLaunch,
    heap_mib, memory_mib,
};
pub use run_dir::ExitInfo;
pub use secrets::{Redactor, file_of_reference};
pub use seen::{Listing, SeenWorker, Unreadable, WorkerState};
pub use trace::{trace_heads, trace_root_line};
pub use usage::Usage;

use confinement::Confinement;
use ending::{end, never_started, remove_unfinished, remove_whole, signal};
use launch::{LaunchPaths, plain};
pub use login::KafkaLogin;
pub use login::hex;
use login::{REST_USER, jaas, random_hex, rest_credentials, rest_password};
use process::{Presence, ProcessId};
use run_dir::{
    EXIT, LAUNCH, LOG, ORDER, SHIM, SHIM_ERRORS, STOP, ShimOrder, Started, StopAsked, WORKER,
    create_private_dir, now_ms, read_json, sync_dir, write_atomic, write_json,
};
use runnel_api::Secret;
use runtime_files::{is_sound, jars};
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch as channel;
use uuid::Uuid;
use watch::Watcher;

/// How long SIGKILL may take to be seen to work. A process in uninterruptible sleep takes longer; then it is not
/// proven dead, and the call says so.
const DEATH_LIMIT: Duration = Duration::from_secs(2);
/// How long the shim of a killed worker may take to write down the end before it is killed too.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// What went wrong with a fleet's files or processes.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A file or process call failed.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The launch makes no process.
    #[error("the worker cannot be started")]
    Launch(#[from] LaunchError),
    /// This worker was started before; ids are for one process.
    #[error("worker {0} was started before")]
    StartedBefore(WorkerId),
    /// No such worker, or not any more.
    #[error("there is no worker {0}")]
    NoSuchWorker(WorkerId),
    /// It starts just now and has not said yet who it is: try again.
    #[error("worker {0} has only just been started")]
    TooEarly(WorkerId),
    /// Its death is not proven.
    #[error("worker {0} is not proven dead")]
    NotProvenDead(WorkerId),
    /// The connector still has workers.
    #[error("connector {0} still has workers")]
    HasWorkers(Uuid),
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FleetError {
    let path = path.to_owned();
    move |source| FleetError::Io {
        doing,
        path,
        source,
    }
}

/// The daemon's handle on all worker processes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fleet {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    shim: PathBuf,
    isolation: Isolation,
    watcher: Watcher,
    http: reqwest::Client,
    /// Bytes of a worker's log, once it was said.
    log_bytes: OnceLock<u64>,
    /// What workers may open, once it was said.
    access: OnceLock<WorkerAccess>,
}

impl Fleet {
    /// Works below `root` (absolute, made if missing); workers are started through `shim_binary` (`runnel` itself).
    pub fn new(root: PathBuf, shim_binary: PathBuf) -> Result<Self, FleetError> {
        Self::with_isolation(root, shim_binary, Isolation::detect())
    }

    /// As [`Fleet::new`], with a choice of limits.
    pub fn with_isolation(
        root: PathBuf,
        shim_binary: PathBuf,
        isolation: Isolation,
    ) -> Result<Self, FleetError> {
        plain(&root)?;
        create_private_dir(&root).map_err(failed("make", &root))?;
        remove_unfinished(&root);
        let watcher = Watcher::start(&root).map_err(failed("watch", &root))?;
        let http = connect_rest::http_client()
            .map_err(|e| failed("make an HTTP client for", &root)(io::Error::other(e)))?;
        let inner = Inner {
            root,
            shim: shim_binary,
            isolation,
            watcher,
            http,
            log_bytes: OnceLock::new(),
            access: OnceLock::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// How strictly workers keep to their MCUs.
    pub fn isolation(&self) -> &Isolation {
        &self.inner.isolation
    }

    /// Counts changes: a worker died, began to listen, joined its group, or something that only looks like it.
    /// `changed().await` on the receiver wakes at once.
    pub fn changes(&self) -> channel::Receiver<u64> {
        self.inner.watcher.changes()
    }

    /// The folder of a connector.
    fn home(&self, connector_id: Uuid) -> PathBuf {
        self.inner.root.join(connector_id.to_string())
    }

    fn run(&self, connector_id: Uuid, worker: &WorkerId) -> PathBuf {
        self.home(connector_id)
            .join("workers")
            .join(worker.as_str())
    }

    /// Makes the connector's private folder and its REST login. Does nothing when they are there.
    pub fn prepare(&self, connector_id: Uuid) -> Result<(), FleetError> {
        let home = self.home(connector_id);
        for dir in ["secrets", "workers", "logs"] {
            let dir = home.join(dir);
            create_private_dir(&dir).map_err(failed("make", &dir))?;
        }
        for (name, content) in [
            ("name.key", random_hex as fn() -> io::Result<String>),
            ("rest.properties", rest_credentials),
        ] {
            let path = home.join(name);
            if !path.exists() {
                content()
                    .and_then(|text| write_atomic(&path, text.as_bytes()))
                    .map_err(failed("write", &path))?;
            }
        }
        let path = home.join("jaas.conf");
        if !path.exists() {
            self.write_login(connector_id, &KafkaLogin::default())?;
        }
        Ok(())
    }

    /// Writes who the workers are for the broker; those that run keep what they have read. Answers
    /// the file with certificate and key, where there is one.
    pub fn write_login(
        &self,
        connector_id: Uuid,
        login: &KafkaLogin,
    ) -> Result<Option<PathBuf>, FleetError> {
        let home = self.home(connector_id);
        let text = jaas(plain(&home.join("rest.properties"))?, login);
        write_private(&home.join("jaas.conf"), text.as_bytes())?;
        let Some((chain, key)) = &login.certificate else {
            return Ok(None);
        };
        let path = home.join("secrets").join("client.pem");
        let text = zeroize::Zeroizing::new(format!("{}\n{}\n", key.expose().trim(), chain.trim()));
        write_private(&path, text.as_bytes())?;
        Ok(Some(path))
    }

    /// Writes secrets into the connector's folder (see [`Fleet::prepare`]); gives for each key the `${file:…}`
    /// reference. The same secrets give the same references.
    pub fn write_secrets(
        &self,
        connector_id: Uuid,
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<BTreeMap<String, String>, FleetError> {
        let home = self.home(connector_id);
        let key_path = home.join("name.key");
        let key = fs::read(&key_path).map_err(failed("read", &key_path))?;
        let dir = home.join("secrets");
        secrets::write(&dir, &key, secrets).map_err(failed("write secrets into", &dir))
    }

    /// Removes secret files that no reference in `keep` names.
    pub fn prune_secrets<'a>(
        &self,
        connector_id: Uuid,
        keep: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), FleetError> {
        let keep: BTreeSet<PathBuf> = keep.into_iter().filter_map(file_of_reference).collect();
        let dir = self.home(connector_id).join("secrets");
        secrets::prune(&dir, &keep).map_err(failed("remove secrets from", &dir))
    }

    /// What must not stand in a text about this connector.
    pub fn redactor(&self, connector_id: Uuid) -> Redactor {
        Redactor::of_folder(&self.home(connector_id).join("secrets")).unwrap_or_default()
    }

    /// Starts a worker; its folder is complete before the shim runs, and the shim goes on without this daemon.
    pub fn start(&self, launch: &WorkerLaunch) -> Result<(), FleetError> {
        let home = self.home(launch.connector_id);
        let run = self.run(launch.connector_id, &launch.worker);
        if run.exists() {
            return Err(FleetError::StartedBefore(launch.worker.clone()));
        }
        let libs = &launch.runtime.libs;
        let jars = jars(libs).map_err(failed("read", libs))?;
        let archive = launch.runtime.archive.as_ref().filter(|archive| {
            is_sound(archive).unwrap_or_else(|e| {
                tracing::warn!(path = %archive.path.display(), error = %e, "cannot read the class-data archive");
                false
            })
        });
        let paths = LaunchPaths {
            run: run.clone(),
            secrets: home.join("secrets"),
            jaas: home.join("jaas.conf"),
        };
        let archive = archive.map(|archive| archive.path.as_path());
        let rendered = launch::render(launch, &paths, &jars, archive)?;
        let order = ShimOrder {
            argv: rendered.argv,
            environment: rendered.environment,
            stop_deadline_ms: launch.stop_deadline_ms,
            cgroups: self.make_groups(launch),
            log_bytes: self.inner.log_bytes.get().copied(),
            confinement: self.confinement(launch, &paths, &jars),
            secrets: paths.secrets,
        };
        write_run_dir(&run, launch, &order, &rendered.files).map_err(failed("write", &run))?;
        self.spawn_shim(&run).map_err(|e| {
            // Nothing was started, so nothing is lost with the folder.
            let _ = fs::remove_dir_all(&run);
            self.inner.isolation.remove(&launch.worker);
            failed("start", &self.inner.shim)(e)
        })
    }

    /// Workers that are started from now on may open this. The first call counts; without one they are confined, and
    /// nothing is open to them besides what each needs.
    pub fn set_worker_access(&self, access: WorkerAccess) {
        let _ = self.inner.access.set(access);
    }

    fn confinement(
        &self,
        launch: &WorkerLaunch,
        paths: &LaunchPaths,
        jars: &[PathBuf],
    ) -> Option<Confinement> {
        let access = self.inner.access.get().cloned().unwrap_or_default();
        if !access.confined {
            return None;
        }
        let confinement = Confinement::of(launch, paths, jars, &access);
        if confinement.is_none() {
            tracing::warn!(
                java = %launch.java.display(),
                "java is a script, so that what it needs is not known: the worker is not confined"
            );
        }
        confinement
    }

    fn make_groups(&self, launch: &WorkerLaunch) -> Vec<PathBuf> {
        let isolation = &self.inner.isolation;
        isolation
            .prepare(&launch.worker, launch.mcu_count, launch.mcu_memory_mib)
            .unwrap_or_else(|e| {
                tracing::warn!(worker = %launch.worker, error = %e, "the worker runs without control groups");
                isolation.remove(&launch.worker);
                Vec::new()
            })
    }

    fn spawn_shim(&self, run: &Path) -> io::Result<()> {
        let errors = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(run.join(SHIM_ERRORS))?;
        let child = Command::new(&self.inner.shim)
            .arg("shim")
            .arg(run)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()?;
        self.inner.watcher.adopt(child);
        Ok(())
    }

    /// Everything that is on disk, judged by `/proc`.
    pub fn list(&self) -> Result<Listing, FleetError> {
        Ok(listing(self.run_dirs()?))
    }

    /// As [`Fleet::list`], for one connector.
    pub fn list_of(&self, connector_id: Uuid) -> Result<Listing, FleetError> {
        let home = self.home(connector_id);
        Ok(listing(
            watch::run_dirs_of(&home).map_err(failed("read", &home))?,
        ))
    }

    /// A client for a worker that listens.
    pub fn client(&self, seen: &SeenWorker) -> Result<Option<ConnectClient>, FleetError> {
        let Some(port) = seen.port else {
            return Ok(None);
        };
        let path = self.home(seen.connector_id).join("rest.properties");
        let password = rest_password(&path).map_err(failed("read", &path))?;
        Ok(Some(ConnectClient::new(
            self.inner.http.clone(),
            port,
            REST_USER,
            password,
            self.redactor(seen.connector_id),
        )))
    }

    /// Asks a worker to stop; its shim kills it after the stop deadline. `Ok` also when it is dead.
    pub fn stop(&self, connector_id: Uuid, worker: &WorkerId) -> Result<(), FleetError> {
        let run = self.existing(connector_id, worker)?;
        let (shim, started) = read_ids(&run)?;
        let Some(shim) = shim else {
            return if run.join(EXIT).exists() {
                Ok(())
            } else {
                Err(FleetError::TooEarly(worker.clone()))
            };
        };
        let handle = shim.open().map_err(failed("signal", &run))?;
        let signal = match handle {
            Some(handle) => handle.signal(Signal::TERM),
            // Nobody would end it after the deadline; and without a shim it must not go on.
            None => signal(started.as_ref(), Signal::KILL),
        };
        signal.map_err(failed("signal", &run))?;
        // Noted when it is done, so that a note is never of a stop that nobody heard of.
        let asked = run.join(STOP);
        if !asked.exists() {
            let stop = StopAsked { since_ms: now_ms() };
            write_json(&asked, &stop).map_err(failed("write", &asked))?;
        }
        Ok(())
    }

    /// Kills a worker and, if need be, its shim. `Ok` is a proof of death. Takes up to 5 s.
    pub fn kill(&self, connector_id: Uuid, worker: &WorkerId) -> Result<(), FleetError> {
        let run = self.existing(connector_id, worker)?;
        let (shim, started) = read_ids(&run)?;
        let Some(shim) = shim else {
            return never_started(&run, worker);
        };
        let ended = |id: &ProcessId, limit| end(id, limit).map_err(failed("kill", &run));
        if let Some(started) = &started
            && !ended(&started.worker, DEATH_LIMIT)?
        {
            return Err(FleetError::NotProvenDead(worker.clone()));
        }
        if started.is_some() {
            // It writes down how the worker ended, and goes.
            if let Some(handle) = shim.open().map_err(failed("look at", &run))? {
                let _ = handle.await_death(FAREWELL_LIMIT);
            }
        }
        if !ended(&shim, DEATH_LIMIT)? {
            return Err(FleetError::NotProvenDead(worker.clone()));
        }
        // Between the first look and the shim's death it may have written its worker's name.
        match read_ids(&run)?.1 {
            Some(started) if !ended(&started.worker, DEATH_LIMIT)? => {
                Err(FleetError::NotProvenDead(worker.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Removes what is left of a dead worker; its log goes to the logs of the connector.
    pub fn forget(&self, connector_id: Uuid, worker: &WorkerId) -> Result<(), FleetError> {
        let run = self.existing(connector_id, worker)?;
        let (shim, started) = read_ids(&run)?;
        match shim {
            None => never_started(&run, worker)?,
            Some(shim) => {
                let alive = |id: &ProcessId| id.presence() != Presence::Dead;
                let worker_alive = started.is_some_and(|started| alive(&started.worker));
                if worker_alive || (alive(&shim) && !run.join(EXIT).exists()) {
                    return Err(FleetError::NotProvenDead(worker.clone()));
                }
            }
        }
        let buried = self.home(connector_id).join("logs");
        create_private_dir(&buried).map_err(failed("make", &buried))?;
        logs::bury(&run.join(LOG), &buried, worker.as_str()).map_err(failed("move", &run))?;
        remove_whole(&run).map_err(failed("remove", &run))?;
        self.inner.isolation.remove(worker);
        Ok(())
    }

    /// Removes all files of a connector without workers. With `keep_logs` (the connector's name) its logs go to
    /// `logs/NAME-ID/` beside the root.
    pub fn remove_connector(
        &self,
        connector_id: Uuid,
        keep_logs: Option<&str>,
    ) -> Result<(), FleetError> {
        let home = self.home(connector_id);
        if !home.exists() {
            return Ok(());
        }
        if self.run_dirs()?.iter().any(|run| run.starts_with(&home)) {
            return Err(FleetError::HasWorkers(connector_id));
        }
        let logs = home.join("logs");
        if let Some(name) = keep_logs
            && logs.exists()
        {
            let all = self.inner.root.parent().unwrap_or(&self.inner.root);
            let all = all.join("logs");
            create_private_dir(&all).map_err(failed("make", &all))?;
            let to = all.join(format!("{name}-{connector_id}"));
            // An earlier attempt may have moved some already.
            create_private_dir(&to).map_err(failed("make", &to))?;
            for log in logs::in_time_order(&logs, []) {
                fs::rename(&log, to.join(file_name(&log))).map_err(failed("move", &log))?;
            }
            kept_logs::prune(&all);
        }
        remove_whole(&home).map_err(failed("remove", &home))
    }

    /// The connector's log files, the one written last at the end.
    pub fn log_paths(&self, connector_id: Uuid) -> Vec<PathBuf> {
        logs::in_time_order(
            &self.home(connector_id).join("logs"),
            self.current_logs(connector_id),
        )
    }

    /// The last error that a worker of the connector logged since a moment (milliseconds since the Unix epoch).
    pub fn last_error_since(
        &self,
        connector_id: Uuid,
        since_ms: u64,
    ) -> Result<Option<String>, FleetError> {
        let since = i64::try_from(since_ms)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
            .map(|at| at.strftime("%Y-%m-%dT%H:%M:%S.%3f").to_string())
            .unwrap_or_default();
        let mut last = None;
        for log in self.current_logs(connector_id) {
            let found = logs::last_error_since(&log, &since).map_err(failed("read", &log))?;
            // Lines begin with their time.
            last = last.max(found);
        }
        Ok(last)
    }

    fn current_logs(&self, connector_id: Uuid) -> Vec<PathBuf> {
        let home = self.home(connector_id);
        let runs = self.run_dirs().unwrap_or_default();
        runs.into_iter()
            .filter(|run| run.starts_with(&home))
            .map(|run| run.join(LOG))
            .collect()
    }

    fn run_dirs(&self) -> Result<BTreeSet<PathBuf>, FleetError> {
        let root = &self.inner.root;
        watch::run_dirs(root).map_err(failed("read", root))
    }

    fn existing(&self, connector_id: Uuid, worker: &WorkerId) -> Result<PathBuf, FleetError> {
        let run = self.run(connector_id, worker);
        if run.exists() {
            Ok(run)
        } else {
            Err(FleetError::NoSuchWorker(worker.clone()))
        }
    }
}

fn listing(runs: BTreeSet<PathBuf>) -> Listing {
    let mut listing = Listing::default();
    for run in runs {
        let Some(connector_id) = connector_of(&run) else {
            continue;
        };
        match seen::look(connector_id, &run) {
            Ok(worker) => listing.workers.push(worker),
            // Forgotten in this moment.
            Err(_) if !run.exists() => {}
            Err(e) => listing.unreadable.push(Unreadable {
                connector_id,
                worker: file_name(&run),
                reason: e.to_string(),
            }),
        }
    }
    listing
        .workers
        .sort_by_key(|worker| (worker.connector_id, worker.started_ms));
    listing
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// `ROOT/CONNECTOR_ID/workers/WORKER_ID` → the connector's id.
fn connector_of(run: &Path) -> Option<Uuid> {
    let home = run.parent()?.parent()?;
    home.file_name()?.to_str()?.parse().ok()
}

fn read_ids(run: &Path) -> Result<(Option<ProcessId>, Option<Started>), FleetError> {
    let shim = read_json(&run.join(SHIM)).map_err(failed("read", run))?;
    let started = read_json(&run.join(WORKER)).map_err(failed("read", run))?;
    Ok((shim, started))
}

/// Made aside and renamed: a run dir is whole or not there.
fn write_run_dir(
    run: &Path,
    launch: &WorkerLaunch,
    order: &ShimOrder,
    files: &[(&'static str, String)],
) -> io::Result<()> {
    let aside = run.with_file_name(format!(".new-{}", file_name(run)));
    create_private_dir(&aside.join("tmp"))?;
    for (name, text) in files {
        write_atomic(&aside.join(name), text.as_bytes())?;
    }
    write_json(&aside.join(ORDER), order)?;
    write_json(&aside.join(LAUNCH), launch)?;
    fs::rename(&aside, run)?;
    run.parent().map_or(Ok(()), sync_dir)
}

/// Writes a private file unless it holds the same already.
fn write_private(path: &Path, content: &[u8]) -> Result<(), FleetError> {
    if fs::read(path).is_ok_and(|known| known == content) {
        return Ok(());
    }
    write_atomic(path, content).map_err(failed("write", path))
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
