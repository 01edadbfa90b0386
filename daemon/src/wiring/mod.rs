//! `runnel daemon`: puts the parts together, runs until it is told to end.

mod contents;
mod derive;

use crate::config::Config;
use crate::fleet::Fleet;
use crate::http::{self, Live, LiveStatus, Stop, Wake};
use crate::plugin::{Limits, PluginFiles};
use crate::reconcile::{Parts, Reconciler};
use crate::runtime::RuntimeRegistry;
use crate::store::{Store, now_ms};
use anyhow::Context as _;
use contents::Contents;
use derive::Derive;
use runnel_api::server::RuntimeInfo;
use runnel_api::{Name, Problem};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Time between sweeps of plugin contents that nobody refers to.
const SWEEP_PERIOD: Duration = Duration::from_secs(300);

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

struct Waker(Reconciler);

impl Wake for Waker {
    fn wake(&self) {
        self.0.wake();
    }
}

impl Live for Waker {
    fn status(&self, connector: &Name) -> Option<LiveStatus> {
        self.0.live(connector)
    }
}

/// What the API tells of the machine.
struct Machine {
    runtimes: Vec<RuntimeInfo>,
    isolation: String,
}

impl http::Host for Machine {
    fn runtimes(&self) -> Vec<RuntimeInfo> {
        self.runtimes.clone()
    }

    fn isolation(&self) -> String {
        self.isolation.clone()
    }
}

/// Runs the daemon until SIGTERM, SIGINT or `POST /api/v1/shutdown`. Workers go on, unless that
/// request says otherwise.
pub async fn daemon(config: Config) -> anyhow::Result<()> {
    let store = Store::open(&config.data_dir)?;
    let registry = registry(&config);
    let infos: Vec<RuntimeInfo> = registry
        .runtimes
        .iter()
        .map(|runtime| RuntimeInfo {
            name: runtime.name.clone(),
            kafka_version: runtime.kafka_version.clone(),
        })
        .collect();
    let shim = std::env::current_exe().context("find this program's own file")?;
    let fleet = Fleet::new(config.data_dir.join("fleets"), shim)?;
    let plugins = PluginFiles::open(config.data_dir.join("plugins"), Limits::default())?;
    let contents = Arc::new(Contents::open(plugins.clone(), store.clone(), &registry, &config.data_dir).await);
    let ending = Ending {
        token: CancellationToken::new(),
        stop_workers: Arc::default(),
    };
    let machine = Machine {
        runtimes: infos.clone(),
        isolation: fleet.isolation().level().to_string(),
    };
    let reconciler = Reconciler::new(Parts {
        store: store.clone(),
        fleet: fleet.clone(),
        plugins,
        runtimes: registry,
        mcu_memory_mib: config.capacity.mcu_memory_mib,
        timing: config.timing,
    });
    let waker = Arc::new(Waker(reconciler.clone()));
    let parts = http::Parts {
        store: store.clone(),
        wake: waker.clone(),
        live: waker,
        deriver: Arc::new(Derive { runtimes: infos }),
        contents: contents.clone(),
        roles: Arc::new(check_role),
        host: Arc::new(machine),
        stop: Arc::new(ending.clone()),
        logs: Arc::new(fleet),
    };
    serve(&config, parts, &reconciler, contents, &ending).await?;
    if ending.stop_workers.load(Ordering::Acquire) {
        reconciler.stop_workers().await;
    }
    Ok(())
}

async fn serve(
    config: &Config,
    parts: http::Parts,
    reconciler: &Reconciler,
    contents: Arc<Contents>,
    ending: &Ending,
) -> anyhow::Result<()> {
    let server = http::bind(config, parts).await?;
    tracing::info!(address = %server.address(), data_dir = %config.data_dir.display(), "runnel daemon is ready");
    let loop_ = tokio::spawn({
        let (reconciler, token) = (reconciler.clone(), ending.token.clone());
        async move { reconciler.run(token).await }
    });
    let sweeper = tokio::spawn(sweep(contents, ending.token.clone()));
    tokio::spawn(end_at_signal(ending.token.clone()));
    let served = server.run(ending.token.clone()).await;
    ending.token.cancel();
    loop_.await.context("the reconcile loop ended badly")?;
    sweeper.await.context("the sweeper ended badly")?;
    Ok(served?)
}

async fn end_at_signal(token: CancellationToken) {
    let (Ok(mut term), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be heard; end the daemon by `runnel stop --all` or SIGKILL");
        return;
    };
    tokio::select! {
        _ = term.recv() => tracing::info!("SIGTERM: ending, workers go on"),
        _ = interrupt.recv() => tracing::info!("SIGINT: ending, workers go on"),
        () = token.cancelled() => {}
    }
    token.cancel();
}

async fn sweep(contents: Arc<Contents>, end: CancellationToken) {
    while !end.is_cancelled() {
        contents.sweep(now_ms()).await;
        tokio::select! {
            () = tokio::time::sleep(SWEEP_PERIOD) => {}
            () = end.cancelled() => {}
        }
    }
}

fn registry(config: &Config) -> RuntimeRegistry {
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
