//! `runnel daemon`: puts the parts together, runs until it is told to end.

mod contents;
mod derive;
mod figures;

use crate::commands::Check;
use crate::config::{self, Config, Environment};
use crate::failpoint;
use crate::fleet::{Fleet, Redactor};
use crate::http::seams::{Host, Live, LiveStatus, Stop, Wake};
use crate::http::{self, Api};
use crate::log_delivery::{self, Deliveries};
use crate::logs::retention::Keep;
use crate::logs::{WorkerLog, WorkerLogs};
use crate::metrics::Metrics;
use crate::plugin::{Limits, PluginFiles};
use crate::reconcile::{Parts, Reconciler};
use crate::runtime::{
    self, AddRuntime, ArchiveChecks, ArchiveState, JavaSearch, Runtime, RuntimeRegistry,
};
use crate::sampling::{LagWatch, Sampler};
use crate::store::{Store, now_ms};
use anyhow::Context as _;
use contents::Contents;
use derive::Derive;
use figures::{Ended, Gather};
use runnel_api::connector::ConnectorSpec;
use runnel_api::server::{LogPlaces, RuntimeInfo};
use runnel_api::{Name, Problem};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Time between sweeps of plugin contents that nobody refers to.
const SWEEP_PERIOD: Duration = Duration::from_mins(5);
/// Least time between two questions for a sink's lag: Connect's sinks commit once a minute.
const LAG_PERIOD_MIN: Duration = Duration::from_secs(5);

/// Time between sweeps of logs.
const LOG_SWEEP_PERIOD: Duration = Duration::from_mins(1);

/// How the daemon is asked to end.
#[derive(Clone)]
struct Ending {
    token: CancellationToken,
    stop_workers: Arc<AtomicBool>,
}

impl Stop for Ending {
    fn stop(&self, stop_workers: bool) {
        self.stop_workers.store(stop_workers, Ordering::Release);
        self.token.cancel();
    }
}

struct Waker {
    reconciler: Reconciler,
    deliveries: Deliveries,
}

impl Wake for Waker {
    fn wake(&self) {
        self.reconciler.wake();
    }
}

impl Live for Waker {
    fn status(&self, connector: &Name) -> Option<LiveStatus> {
        let mut live = self.reconciler.live(connector)?;
        // A delivery that does not get through is told; the connector is as well as before.
        if let Some(warning) = self.deliveries.warning(connector) {
            live.reason = Some(match live.reason {
                Some(reason) => format!("{reason}; {warning}"),
                None => warning,
            });
        }
        Some(live)
    }
}

/// What the API tells of the machine.
struct Machine {
    runtimes: Vec<RuntimeInfo>,
    isolation: String,
    mcus: Option<u32>,
    log_places: LogPlaces,
}

impl Host for Machine {
    fn runtimes(&self) -> Vec<RuntimeInfo> {
        self.runtimes.clone()
    }

    fn isolation(&self) -> String {
        self.isolation.clone()
    }

    fn mcus(&self) -> Option<u32> {
        self.mcus
    }

    fn log_places(&self) -> LogPlaces {
        self.log_places
    }
}

/// Where worker logs are, by connector.
struct Logs {
    fleet: Fleet,
    store: Store,
}

impl WorkerLogs for Logs {
    fn of(&self, connector: &Name) -> Vec<WorkerLog> {
        let found = self.store.get::<ConnectorSpec>(connector);
        let files = match found {
            Ok(Some(stored)) => self.fleet.log_paths(stored.object.id),
            _ => self.fleet.kept_logs(connector.as_str()),
        };
        let mut logs: Vec<WorkerLog> = Vec::new();
        for log in files.iter().filter_map(|file| worker_log(file)) {
            if logs.iter().all(|known| known.worker != log.worker) {
                logs.push(log);
            }
        }
        logs
    }

    fn redactor(&self, connector: &Name) -> Redactor {
        match self.store.get::<ConnectorSpec>(connector) {
            Ok(Some(stored)) => self.fleet.redactor(stored.object.id),
            // Its secrets went with it.
            _ => Redactor::default(),
        }
    }
}

/// `…/workers/ID/worker.log` of a live worker, `…/logs/ID.log` of a dead one. An older part
/// (`….log.1`) tells of its log, which is away for a moment when it is rotated.
fn worker_log(file: &Path) -> Option<WorkerLog> {
    let name = file.file_name()?.to_str()?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let name = match name.rsplit_once('.') {
        Some((log, number)) if is_number(number) => log,
        _ => name,
    };
    let stem = name.strip_suffix(".log")?;
    let worker = if stem == "worker" {
        file.parent()?.file_name()?.to_str()?
    } else {
        stem
    };
    Some(WorkerLog {
        worker: worker.to_owned(),
        file: file.with_file_name(name),
        is_live: stem == "worker",
    })
}

/// Runs the daemon until SIGTERM, SIGINT or `POST /api/v1/shutdown`. Workers go on, unless that
/// request says otherwise.
pub async fn daemon(config: Config, environment: &Environment) -> anyhow::Result<()> {
    failpoint::watch(&config.data_dir);
    let store = Store::open(&config.data_dir)?;
    store.keep_audit(config.audit_records);
    let registry = registry(&config, environment).await;
    let infos = runtime_infos(&registry);
    let shim = std::env::current_exe().context("find this program's own file")?;
    let fleet = Fleet::new(config.data_dir.join("fleets"), shim)?;
    fleet.set_worker_log_bytes(config.logs.worker_bytes);
    fleet.set_worker_access(config.workers.clone());
    let plugins = PluginFiles::open(config.data_dir.join("plugins"), Limits::default())?;
    let contents =
        Arc::new(Contents::open(plugins.clone(), store.clone(), &registry, &config.data_dir).await);
    let ending = Ending {
        token: CancellationToken::new(),
        stop_workers: Arc::default(),
    };
    let machine = Machine {
        runtimes: infos.clone(),
        isolation: fleet.isolation().level().as_str().to_owned(),
        mcus: config.capacity.mcus,
        log_places: config.log_places(),
    };
    let period = Duration::from_millis(config.scaling.sample_ms);
    let (mut sampler, samples) = Sampler::new(fleet.clone(), store.clone(), period)?;
    sampler.look().await;
    let (lag_watch, lags) = LagWatch::new(store.clone(), period.max(LAG_PERIOD_MIN));
    let metrics = Metrics::new().context("make the metrics")?;
    let reconciler = Reconciler::new(Parts {
        store: store.clone(),
        fleet: fleet.clone(),
        plugins,
        runtimes: registry,
        capacity: config.capacity,
        timing: config.timing,
        scaling: config.scaling,
        samples: samples.clone(),
        lags: lags.clone(),
        metrics: metrics.clone(),
        aws_msk_iam_auth: config.aws_msk_iam_auth.clone(),
    });
    let deliveries = Deliveries::default();
    let waker = Arc::new(Waker {
        reconciler: reconciler.clone(),
        deliveries: deliveries.clone(),
    });
    let logs = Arc::new(Logs {
        fleet: fleet.clone(),
        store: store.clone(),
    });
    let started_ms = now_ms();
    let figures = Gather {
        store: store.clone(),
        reconciler: reconciler.clone(),
        samples,
        lags,
        deliveries: deliveries.clone(),
        metrics: metrics.clone(),
        runtimes: infos.len(),
        started_ms,
        ended: Mutex::new(Ended::since(started_ms)),
    };
    let api = Api::new(http::Parts {
        store: store.clone(),
        wake: waker.clone(),
        live: waker,
        deriver: Arc::new(Derive {
            runtimes: infos,
            aws_msk_iam_auth: config.aws_msk_iam_auth.clone(),
        }),
        contents,
        role_check: Arc::new(check_role),
        host: Arc::new(machine),
        stop: Arc::new(ending.clone()),
        logs: logs.clone(),
        metrics,
        figures: Arc::new(figures),
        open_metrics: !config.metrics.authenticated,
        hosts: (config.listen.ip().is_loopback()).then(|| config.http.hosts.clone()),
        limits: http::Limits::default(),
    });
    let sweeping = tokio::spawn(sweep_logs(fleet, config.logs, ending.token.clone()));
    let sampling = tokio::spawn(sampler.run(ending.token.clone()));
    let parts = delivery_parts(&config, store, logs, deliveries);
    let delivering = tokio::spawn(log_delivery::run(parts, ending.token.clone()));
    let asking = tokio::spawn(lag_watch.run(ending.token.clone()));
    serve(&config, api, &reconciler, &ending).await?;
    sampling.await.context("the sampler ended badly")?;
    sweeping.await.context("the sweeper of logs ended badly")?;
    delivering.await.context("log delivery ended badly")?;
    asking.await.context("the watch over lags ended badly")?;
    if ending.stop_workers.load(Ordering::Acquire) {
        reconciler.stop_workers().await;
    }
    tracing::info!("runnel daemon has ended");
    Ok(())
}

/// Registered runtimes, oldest first.
fn runtime_infos(registry: &RuntimeRegistry) -> Vec<RuntimeInfo> {
    let runtimes = registry.runtimes.iter();
    runtimes
        .map(|runtime| RuntimeInfo {
            name: runtime.name.clone(),
            kafka_version: runtime.kafka_version.clone(),
        })
        .collect()
}

async fn serve(
    config: &Config,
    api: Arc<Api>,
    reconciler: &Reconciler,
    ending: &Ending,
) -> anyhow::Result<()> {
    let tls = config.tls.clone().map(http::Tls::open).transpose()?;
    let bound = http::bind(config.listen, &config.address_file())
        .await
        .with_context(|| format!("cannot listen at {}", config.listen))?;
    tracing::info!(address = %bound.address, data_dir = %config.data_dir.display(), "runnel daemon is ready");
    let reconciling = tokio::spawn({
        let (reconciler, token) = (reconciler.clone(), ending.token.clone());
        async move { reconciler.run(token).await }
    });
    let sweeping = tokio::spawn(sweep(api.clone(), ending.token.clone()));
    tokio::spawn(end_at_signal(ending.token.clone()));
    http::serve(bound.listener, tls, api, ending.token.cancelled()).await;
    ending.token.cancel();
    reconciling
        .await
        .context("the reconcile loop ended badly")?;
    sweeping.await.context("the sweeper ended badly")?;
    Ok(())
}

async fn end_at_signal(token: CancellationToken) {
    let (Ok(mut term), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!(
            "signals cannot be heard; end the daemon by `runnel stop --all` or SIGKILL"
        );
        return;
    };
    tokio::select! {
        _ = term.recv() => tracing::info!("SIGTERM: ending, workers go on"),
        _ = interrupt.recv() => tracing::info!("SIGINT: ending, workers go on"),
        () = token.cancelled() => {}
    }
    token.cancel();
}

async fn sweep(api: Arc<Api>, end: CancellationToken) {
    while !end.is_cancelled() {
        if let Err(error) = api.sweep(now_ms()).await {
            tracing::error!(%error, "plugin contents that nobody needs stay");
        }
        tokio::select! {
            () = tokio::time::sleep(SWEEP_PERIOD) => {}
            () = end.cancelled() => {}
        }
    }
}

fn delivery_parts(
    config: &Config,
    store: Store,
    logs: Arc<Logs>,
    deliveries: Deliveries,
) -> log_delivery::Parts {
    log_delivery::Parts {
        store,
        logs,
        settings: config.log_delivery.clone(),
        keep: keep(&config.logs),
        worker_bytes: config.logs.worker_bytes,
        data_dir: config.data_dir.clone(),
        kafka_timeout: config.timing.kafka_timeout,
        deliveries,
    }
}

fn keep(logs: &config::Logs) -> Keep {
    Keep {
        bytes: logs.connector_bytes,
        age: logs.keep,
    }
}

/// Removes logs that are too old or too many, now and every minute.
async fn sweep_logs(fleet: Fleet, logs: config::Logs, end: CancellationToken) {
    let keep = keep(&logs);
    while !end.is_cancelled() {
        let fleet = fleet.clone();
        let sweep = move || fleet.sweep_logs(&keep, SystemTime::now());
        if let Err(error) = tokio::task::spawn_blocking(sweep).await {
            tracing::error!(%error, "old logs stay");
        }
        tokio::select! {
            () = tokio::time::sleep(LOG_SWEEP_PERIOD) => {}
            () = end.cancelled() => {}
        }
    }
}

/// The registered runtimes; those that the configuration names are registered first, which takes
/// a few seconds the first time.
async fn registry(config: &Config, environment: &Environment) -> RuntimeRegistry {
    for (name, home) in &config.runtimes {
        let request = AddRuntime {
            name: name.clone(),
            home: home.clone(),
            java: java_search(config, environment),
            data_dir: config.data_dir.clone(),
        };
        if let Err(problem) = runtime::add(&request).await {
            let detail = problem.detail.as_deref().unwrap_or_default();
            tracing::error!(runtime = name, %problem, detail, "a runtime of the configuration is left out");
        }
    }
    let registry = RuntimeRegistry::load(&config.data_dir);
    for fault in &registry.faults {
        tracing::error!(%fault, "a runtime is left out");
    }
    if registry.runtimes.is_empty() {
        tracing::warn!("no runtime is registered; run: runnel runtime add 4.3 --home DIR");
    }
    registry
}

fn check_role(role: &runnel_api::role::RoleSpec) -> Result<(), Problem> {
    let check = runnel_iam::check_role(role);
    check.problems.into_iter().next().map_or(Ok(()), Err)
}

/// Where Java is looked for: the configured program, which is `JAVA_HOME`'s by default.
pub fn java_search(config: &Config, environment: &Environment) -> JavaSearch {
    JavaSearch {
        explicit: environment.find(&config.java),
        java_home: environment.java_home.clone(),
        path: environment.path(),
    }
}

/// What `runnel doctor` says of a runtime.
pub fn runtime_check(runtime: &Runtime) -> Check {
    let found = format!(
        "Kafka {} at {}",
        runtime.kafka_version,
        runtime.home.display()
    );
    let again = format!(
        "runnel runtime add {} --home {}",
        runtime.name,
        runtime.home.display()
    );
    if !runtime.libs.is_dir() {
        return Check::fail(&runtime.name, format!("{found}: its jars are gone"), again);
    }
    match (
        &runtime.archive,
        runtime.verified_archive(&ArchiveChecks::default()),
    ) {
        (_, Err(fault)) => Check::warn(&runtime.name, format!("{found}; {fault}"), again),
        (ArchiveState::None { reason }, Ok(_)) => Check::warn(
            &runtime.name,
            format!("{found}; without class-data archive: {reason}"),
            again,
        ),
        (ArchiveState::Made(_), Ok(_)) => Check::ok(&runtime.name, found),
    }
}
