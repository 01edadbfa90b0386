//! The loop: look at a connector, let the planner decide, do it, tell it.
//!
//! ```text
//! wake / period / a worker died ──► observe ──► plan ──► store progress ──► execute ──► tell
//!                                      ▲                                                  │
//!                                      └──────────── at once, when something was done ────┘
//! ```
//!
//! A wake-up says nothing: every pass looks at everything of its connector. Each connector is
//! tended by a task of its own, one pass at a time, so a slow worker of one holds up no other.

mod aim;
mod execute;
mod goal;
mod granting;
mod launching;
mod ledger;
mod leftovers;
mod memory;
mod observe;
mod position;
mod preparing;
mod probe;
mod probe_users;
mod scaling;
mod security;
mod silence;
mod stop;

pub(crate) use security::login_library;

use crate::config::{Capacity as ConfiguredCapacity, Timing as ConfiguredTiming};
use crate::fleet::Fleet;
use crate::http::seams::LiveStatus;
use crate::metrics::Metrics;
use crate::plugin::PluginFiles;
use crate::runtime::RuntimeRegistry;
use crate::sampling::{Lags, Samples};
use crate::store::{Advance, Store, StoreError, now_ms};
use goal::Situation;
use ledger::{Ledger, Limits};
use memory::Memory;
use probe::KafkaProbes;
use runnel_api::connector::ConnectorSpec;
use runnel_api::scaling::Size;
use runnel_api::{Name, OperationId};
use runnel_planner::{Action, ConnectorPlan, Host, Seen, Timing, View, World, plan};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// Pause after a pass that could not see enough to decide anything.
const DOUBT_PAUSE_MS: u64 = 1_000;

/// What the reconciler works with.
pub struct Parts {
    /// What is wanted.
    pub store: Store,
    /// Worker processes.
    pub fleet: Fleet,
    /// Unpacked plugins.
    pub plugins: PluginFiles,
    /// Registered runtimes.
    pub runtimes: RuntimeRegistry,
    /// What the host gives to workers.
    pub capacity: ConfiguredCapacity,
    /// Waits and periods.
    pub timing: ConfiguredTiming,
    /// Times of autoscaling.
    pub scaling: runnel_planner::scale::Timing,
    /// What workers use.
    pub samples: Samples,
    /// The lags of sinks.
    pub lags: Lags,
    /// Counts what happens.
    pub metrics: Metrics,
    /// The library by which workers log in by `AWS_MSK_IAM`.
    pub aws_msk_iam_auth: Option<PathBuf>,
}

/// The reconciler. Clones share everything.
#[derive(Clone)]
pub struct Reconciler {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    timing: Timing,
    wake: Notify,
    probes: KafkaProbes,
    /// What is known of each connector besides what is stored; lost at a restart, and looked up
    /// again then.
    memories: Mutex<BTreeMap<Name, Arc<Memory>>>,
    /// What connectors take of the host.
    ledger: Ledger,
}

/// A connector that a task is tending, or when to look at it next.
enum Turn {
    /// A pass is under way.
    Busy {
        /// Somebody woke the loop meanwhile.
        again: bool,
    },
    /// The next pass is due then, milliseconds since the Unix epoch.
    Due(u64),
}

/// How a pass ended.
struct Done {
    name: Name,
    look_again_ms: u64,
}

impl Reconciler {
    /// Makes a reconciler; [`Reconciler::run`] starts it.
    pub fn new(parts: Parts) -> Self {
        let timing = Timing {
            scaling: parts.scaling,
            ..planner_timing(&parts.timing)
        };
        let ledger = Ledger::new(Limits {
            starts: Some(parts.capacity.starts_at_once),
            mcus: parts.capacity.mcus,
        });
        Self {
            inner: Arc::new(Inner {
                parts,
                timing,
                wake: Notify::new(),
                probes: KafkaProbes::default(),
                memories: Mutex::default(),
                ledger,
            }),
        }
    }

    /// Something changed; look at everything soon.
    pub fn wake(&self) {
        self.inner.wake.notify_one();
    }

    /// What is seen of a connector.
    pub fn live(&self, name: &Name) -> Option<LiveStatus> {
        self.lock_memories()
            .get(name)
            .and_then(|memory| memory.live())
    }

    fn lock_memories(&self) -> std::sync::MutexGuard<'_, BTreeMap<Name, Arc<Memory>>> {
        self.inner
            .memories
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self, name: &Name) -> Arc<Memory> {
        self.lock_memories()
            .entry(name.clone())
            .or_default()
            .clone()
    }

    /// Runs until `end`. Passes under way are finished first; workers go on.
    pub async fn run(&self, end: CancellationToken) {
        let mut turns: BTreeMap<Name, Turn> = BTreeMap::new();
        let (done, mut finished) = mpsc::channel::<Done>(64);
        let mut fleet_changes = self.inner.parts.fleet.changes();
        let mut leftovers_due_ms = now_ms();
        let inner = self.inner.clone();
        tokio::spawn(end.clone().run_until_cancelled_owned(async move {
            probe_users::sweep_now_and_then(&inner).await;
        }));
        while !end.is_cancelled() {
            if now_ms() >= leftovers_due_ms {
                leftovers_due_ms = now_ms() + leftovers::PERIOD_MS;
                self.spawn_leftovers();
            }
            self.begin_passes(&mut turns, &done).await;
            let due_ms = next_due_ms(&turns).min(leftovers_due_ms);
            let pause = Duration::from_millis(due_ms.saturating_sub(now_ms()).max(1));
            tokio::select! {
                () = end.cancelled() => break,
                () = self.inner.wake.notified() => look_soon(&mut turns),
                () = self.inner.probes.changed() => look_soon(&mut turns),
                Ok(()) = fleet_changes.changed() => look_soon(&mut turns),
                Some(pass) = finished.recv() => finish(&mut turns, pass),
                () = tokio::time::sleep(pause) => {}
            }
        }
        while turns.values().any(|turn| matches!(turn, Turn::Busy { .. })) {
            let Some(pass) = finished.recv().await else {
                break;
            };
            finish(&mut turns, pass);
        }
    }

    /// Starts a pass for every connector that is due.
    async fn begin_passes(&self, turns: &mut BTreeMap<Name, Turn>, done: &mpsc::Sender<Done>) {
        let names = match self.names().await {
            Ok(names) => names,
            Err(error) => {
                tracing::error!(%error, "cannot list connectors");
                tokio::time::sleep(Duration::from_secs(1)).await;
                return;
            }
        };
        turns.retain(|name, turn| names.contains(name) || matches!(turn, Turn::Busy { .. }));
        self.lock_memories()
            .retain(|name, _| names.contains(name) || turns.contains_key(name));
        self.inner.ledger.retain(|name| names.contains(name));
        for name in names {
            let turn = turns.entry(name.clone()).or_insert(Turn::Due(0));
            if !matches!(turn, Turn::Due(at) if *at <= now_ms()) {
                continue;
            }
            *turn = Turn::Busy { again: false };
            let this = self.clone();
            let done = done.clone();
            tokio::spawn(async move {
                let look_again_ms = this.tend(&name).await;
                // The receiver goes only when the loop has ended.
                let _ = done
                    .send(Done {
                        name,
                        look_again_ms,
                    })
                    .await;
            });
        }
    }

    async fn names(&self) -> Result<BTreeSet<Name>, StoreError> {
        self.inner
            .parts
            .store
            .run(|store| {
                let all = store.list::<ConnectorSpec>(None, usize::MAX >> 2)?;
                Ok(all.into_iter().map(|stored| stored.object.name).collect())
            })
            .await
    }

    /// One pass over one connector; answers when to look again.
    async fn tend(&self, name: &Name) -> u64 {
        let memory = self.memory(name);
        let began = Instant::now();
        let passed = self.pass(name, &memory).await;
        self.inner.parts.metrics.passed(began.elapsed());
        match passed {
            Ok(Some(look_again_ms)) => look_again_ms,
            Ok(None) => u64::MAX,
            Err(error) => {
                memory.complain(&format!("{error:#}"));
                now_ms() + DOUBT_PAUSE_MS
            }
        }
    }

    async fn pass(&self, name: &Name, memory: &Memory) -> anyhow::Result<Option<u64>> {
        let Some(situation) = goal::situation(&self.inner, name, memory).await? else {
            return Ok(None);
        };
        let Some(mut seen) = observe::look(&self.inner, &situation, memory).await else {
            return Ok(Some(now_ms() + DOUBT_PAUSE_MS));
        };
        seen.load = scaling::look(&self.inner, &situation, memory, now_ms());
        let Some(decided) = self.decide(&situation, &seen) else {
            return Ok(None);
        };
        self.tell(
            name,
            situation.goal.operation.map(|open| open.id),
            &decided,
            memory,
        )
        .await?;
        let target = situation.goal.wanted.as_ref().ok();
        scaling::keep(&self.inner, name, &decided, target, &seen.load, memory).await?;
        if decided.progress != situation.progress {
            let (name, progress) = (name.clone(), decided.progress.clone());
            self.inner
                .parts
                .store
                .run(move |store| store.set_progress(&name, &progress))
                .await?;
        }
        if decided.actions.is_empty() {
            return Ok(Some(decided.look_again_ms));
        }
        let done = execute::all(&self.inner, &situation, &decided, memory).await;
        match done {
            Ok(()) if acts_twice(&decided.actions) => Ok(Some(decided.look_again_ms)),
            Ok(()) => Ok(Some(now_ms())),
            Err(error) => {
                memory.complain(&format!("{error:#}"));
                Ok(Some(decided.look_again_ms))
            }
        }
    }

    fn decide(&self, situation: &Situation, seen: &Seen) -> Option<ConnectorPlan> {
        let now_ms = now_ms();
        let name = &situation.name;
        let view = |seen: Seen| View {
            goal: situation.goal.clone(),
            seen,
            progress: situation.progress.clone(),
        };
        let choose = |host: Host| {
            let world = World {
                now_ms,
                timing: self.inner.timing.clone(),
                connectors: BTreeMap::from([(
                    name.clone(),
                    view(Seen {
                        host,
                        ..seen.clone()
                    }),
                )]),
            };
            plan(&world).connectors.remove(name)
        };
        self.inner
            .ledger
            .book(name, seen, now_ms, choose, |decided| {
                let size = decided.progress.size.map_or(0, Size::mcus);
                size.max(situation.mcus)
            })
    }

    /// Status in memory for the API, what the operation waits for in the store, changes in the log.
    async fn tell(
        &self,
        name: &Name,
        operation: Option<OperationId>,
        decided: &ConnectorPlan,
        memory: &Memory,
    ) -> Result<(), StoreError> {
        if let Some(line) = memory.tell(decided) {
            tracing::info!(connector = %name, "{line}");
            let name = name.clone();
            self.inner
                .parts
                .store
                .run(move |store| store.add_transition(&name, &line))
                .await?;
        }
        if let (Some(id), Some(what)) = (operation, decided.waiting_on.clone()) {
            let advance = Advance::waiting(what);
            self.inner
                .parts
                .store
                .run(move |store| store.update_operation(id, advance))
                .await?;
        }
        Ok(())
    }

    fn spawn_leftovers(&self) {
        let inner = self.inner.clone();
        tokio::spawn(async move { leftovers::remove(&inner).await });
    }

    /// Stops every worker of every connector, within the stop deadline; for `runnel stop --all`.
    /// The loop must have ended.
    pub async fn stop_workers(&self) {
        stop::all(&self.inner).await;
    }
}

/// Actions whose effect shows only after a while: looking at once would only repeat them.
fn acts_twice(actions: &[Action]) -> bool {
    actions.iter().any(|action| {
        matches!(
            action,
            Action::StopWorker(_)
                | Action::KillWorker(_)
                | Action::Resume
                | Action::Pause
                | Action::StopConnector
                | Action::StartWorker(_)
                | Action::RestartFailed
                | Action::RestartTask(_)
        )
    })
}

fn next_due_ms(turns: &BTreeMap<Name, Turn>) -> u64 {
    turns
        .values()
        .filter_map(|turn| match turn {
            Turn::Busy { .. } => None,
            Turn::Due(at_ms) => Some(*at_ms),
        })
        .min()
        .unwrap_or(u64::MAX)
}

fn look_soon(turns: &mut BTreeMap<Name, Turn>) {
    for turn in turns.values_mut() {
        match turn {
            Turn::Busy { again } => *again = true,
            Turn::Due(at_ms) => *at_ms = 0,
        }
    }
}

fn finish(turns: &mut BTreeMap<Name, Turn>, pass: Done) {
    let again = matches!(turns.get(&pass.name), Some(Turn::Busy { again: true }));
    let due_ms = if again { 0 } else { pass.look_again_ms };
    turns.insert(pass.name, Turn::Due(due_ms));
}

fn planner_timing(configured: &ConfiguredTiming) -> Timing {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Timing {
        settle_ms: ms(configured.settle),
        operation_ms: ms(configured.operation_timeout),
        stop_deadline_ms: ms(configured.stop_deadline),
        calm_look_ms: ms(configured.reconcile),
        probe_ms: ms(configured.probe),
        silent_worker_ms: ms(configured.silent_worker),
        progress_ms: ms(configured.progress),
        ..Timing::default()
    }
}
