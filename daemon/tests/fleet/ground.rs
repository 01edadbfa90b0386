//! What the tests stand on: a broker, launches, waiting.

use anyhow::{Context, Result, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use runnel::fleet::{
    Fleet, InternalTopics, Isolation, Jvm, LaunchRuntime, SeenWorker, WorkerId, WorkerLaunch,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

/// Longest any wait of these tests may take; far above what is normal, because the machine is shared.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A broker for the tests that run at the same time; stopped by the last one.
pub struct Broker {
    dir: TempDir,
    pub bootstrap: String,
    places: BTreeMap<String, String>,
}

fn rig(arguments: &[&str]) -> Result<String> {
    let rig = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/rig/rig");
    let output = Command::new(&rig)
        .args(arguments)
        .output()
        .with_context(|| rig.display().to_string())?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "rig {arguments:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

impl Broker {
    pub fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(broker) = shared.upgrade() {
            return Ok(broker);
        }
        let dir = tempfile::tempdir()?;
        let path = dir.path().to_str().context("path")?.to_owned();
        rig(&["up", &path, "--broker"])?;
        let places: BTreeMap<String, String> = rig(&["env", &path])?
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let bootstrap = places.get("RIG_BOOTSTRAP").context("bootstrap")?.clone();
        let broker = Arc::new(Self {
            dir,
            bootstrap,
            places,
        });
        *shared = Arc::downgrade(&broker);
        Ok(broker)
    }

    pub fn runtime(&self, name: &str, kafka_version: &str) -> Result<LaunchRuntime> {
        let key = format!("RIG_RUNTIME_{}", name.replace('.', "_"));
        let home = self.places.get(&key).with_context(|| key.clone())?;
        Ok(LaunchRuntime {
            name: name.into(),
            libs: Path::new(home).join("libs"),
            kafka_version: kafka_version.into(),
            archive: None,
        })
    }

    /// Makes the internal topics of a launch, as the daemon does before it starts a worker.
    pub async fn make_topics(&self, launch: &WorkerLaunch) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()?;
        let topic = |name, partitions| {
            NewTopic::new(name, partitions, TopicReplication::Fixed(1))
                .set("cleanup.policy", "compact")
        };
        let topics = [
            topic(&launch.topics.offsets, 2),
            topic(&launch.topics.configs, 1),
            topic(&launch.topics.status, 1),
        ];
        for result in admin.create_topics(&topics, &AdminOptions::new()).await? {
            if let Err((topic, code)) = result {
                bail!("{topic}: {code}");
            }
        }
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(path) = self.dir.path().to_str()
            && let Err(e) = rig(&["down", path])
        {
            eprintln!("the broker is still there: {e:#}");
        }
    }
}

/// A fleet in a folder of its own. On drop every worker it has is killed, whatever the test came to.
pub struct Ground {
    dir: TempDir,
    fleet: Option<Fleet>,
}

impl Ground {
    pub fn new() -> Result<Self> {
        let mut ground = Self {
            dir: tempfile::tempdir()?,
            fleet: None,
        };
        ground.restart_daemon()?;
        Ok(ground)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn fleet(&self) -> &Fleet {
        self.fleet.as_ref().expect("set by new")
    }

    /// Forgets all that the daemon's memory knew.
    pub fn restart_daemon(&mut self) -> Result<()> {
        self.fleet = None;
        self.fleet = Some(Fleet::with_isolation(
            self.dir.path().join("fleet"),
            env!("CARGO_BIN_EXE_runnel").into(),
            Isolation::detect(),
        )?);
        Ok(())
    }

    pub fn run_dir(&self, launch: &WorkerLaunch) -> PathBuf {
        self.dir
            .path()
            .join("fleet")
            .join(launch.connector_id.to_string())
            .join("workers")
            .join(launch.worker.as_str())
    }

    /// Waits until the worker is as wanted, woken by the fleet's own notice.
    pub async fn await_worker(
        &self,
        launch: &WorkerLaunch,
        mut wanted: impl FnMut(&SeenWorker) -> bool,
    ) -> Result<SeenWorker> {
        let mut changes = self.fleet().changes();
        let end = Instant::now() + PATIENCE;
        loop {
            changes.borrow_and_update();
            let seen = self.see(launch)?;
            if wanted(&seen) {
                return Ok(seen);
            }
            let left = end.saturating_duration_since(Instant::now());
            if tokio::time::timeout(left, changes.changed()).await.is_err() {
                let log = std::fs::read_to_string(self.run_dir(launch).join("worker.log"));
                bail!(
                    "not as wanted in time: {seen:?}\n{}",
                    log.unwrap_or_default()
                );
            }
        }
    }

    pub fn see(&self, launch: &WorkerLaunch) -> Result<SeenWorker> {
        let listing = self.fleet().list()?;
        ensure!(listing.unreadable.is_empty(), "{:?}", listing.unreadable);
        listing
            .workers
            .into_iter()
            .find(|seen| seen.worker == launch.worker)
            .context("the worker is not listed")
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let Some(fleet) = &self.fleet else { return };
        for seen in fleet.list().unwrap_or_default().workers {
            if let Err(e) = fleet.kill(seen.connector_id, &seen.worker) {
                eprintln!("{}: {e}", seen.worker);
            }
            // Its control groups go with it.
            let _ = fleet.forget(seen.connector_id, &seen.worker);
        }
    }
}

/// A launch with nothing in it that a test would have to know.
pub fn launch(runtime: LaunchRuntime, bootstrap: &str, java: &Path) -> WorkerLaunch {
    let connector_id = Uuid::new_v4();
    let short = &connector_id.to_string()[..8];
    WorkerLaunch {
        connector_id,
        connector: format!("test-{short}"),
        worker: WorkerId::fresh(),
        digest: "digest".into(),
        bootstrap_servers: bootstrap.into(),
        group_id: format!("__runnel_{short}"),
        topics: InternalTopics {
            offsets: format!("__runnel_offsets_{short}"),
            configs: format!("__runnel_configs_{short}"),
            status: format!("__runnel_status_{short}"),
        },
        worker_properties: BTreeMap::new(),
        client_security: BTreeMap::new(),
        runtime,
        java: java.to_owned(),
        plugin_dirs: Vec::new(),
        mcu_count: 1,
        mcu_memory_mib: 768,
        jvm: Jvm::Small,
        stop_deadline_ms: 20_000,
        exactly_once: false,
        login_version: 0,
        extra_jars: Vec::new(),
    }
}

/// SIGKILL by pid, as an operator or the kernel would.
pub fn kill_9(pid: u32) -> Result<()> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .context("pid")?;
    Ok(rustix::process::kill_process(
        pid,
        rustix::process::Signal::KILL,
    )?)
}
