//! A look at one connector: its processes from disk and `/proc`, its status from a ready worker.

use super::Inner;
use super::goal::{Situation, chain, digest};
use super::launching::{group_digest, launch_digest};
use super::memory::Memory;
use crate::fleet::connect_rest::RunState;
use crate::fleet::{ConnectClient, SeenWorker, WorkerState as FleetState, trace_root_line};
use crate::sampling::ConnectorSample;
use crate::store::now_ms;
use runnel_api::connector::{TaskStatus, WorkerStatus};
use runnel_planner::{Connect, ConnectState, Exit, Host, Seen, Task, Worker, WorkerState};
use std::collections::BTreeSet;

/// Time between two questions for a connector's topics.
const TOPICS_PERIOD_MS: u64 = 10_000;

/// Builds what the planner may read. What could not be learned is left unknown; without the list
/// of workers there is nothing to plan from.
pub(super) async fn look(inner: &Inner, situation: &Situation, memory: &Memory) -> Option<Seen> {
    let listed = list(inner, situation, memory).await?;
    let mut workers = Vec::new();
    let mut client = None;
    for seen in &listed {
        let ready = match (&seen.state, inner.parts.fleet.client(seen)) {
            (FleetState::Listening { .. }, Ok(Some(candidate))) => {
                let healthy = candidate.health().await == Ok(true);
                if healthy && client.is_none() && seen.stopping_since_ms.is_none() {
                    client = Some(candidate);
                }
                healthy
            }
            _ => false,
        };
        workers.push(worker(seen, ready));
    }
    let live: BTreeSet<String> = listed
        .iter()
        .filter(|seen| !seen.state.is_dead())
        .filter_map(SeenWorker::connect_worker_id)
        .collect();
    let connect = match &client {
        Some(client) => ask(client, situation, &live, memory).await,
        None => Connect::Unknown,
    };
    let log_error = log_error(inner, situation, &connect).await;
    let sample = inner.parts.samples.of(situation.id);
    memory.with(|facts| {
        facts.workers = listed
            .iter()
            .zip(&workers)
            .map(|(seen, worker)| told(seen, worker, sample.as_ref()))
            .collect();
        if client.is_none() {
            facts.tasks.clear();
        }
        Some(Seen {
            kafka: facts.kafka.clone(),
            workers,
            connect,
            preflight: facts.preflight.clone(),
            log_error,
            load: Vec::new(),
            host: Host::default(),
        })
    })
}

/// A client for a worker of the connector that answers.
pub(super) async fn client(
    inner: &Inner,
    situation: &Situation,
    memory: &Memory,
) -> Option<ConnectClient> {
    for seen in list(inner, situation, memory).await? {
        if seen.stopping_since_ms.is_some() {
            continue;
        }
        if let Ok(Some(client)) = inner.parts.fleet.client(&seen)
            && client.health().await == Ok(true)
        {
            return Some(client);
        }
    }
    None
}

/// The connector's workers, dead ones included; none when they cannot all be told. A worker that
/// cannot be read may live, so nothing may be decided then: a second one would be started.
pub(super) async fn list(
    inner: &Inner,
    situation: &Situation,
    memory: &Memory,
) -> Option<Vec<SeenWorker>> {
    let fleet = inner.parts.fleet.clone();
    let id = situation.id;
    let listing = match tokio::task::spawn_blocking(move || fleet.list_of(id)).await {
        Ok(Ok(listing)) => listing,
        Ok(Err(error)) => {
            memory.complain(&format!("cannot list workers: {}", chain(&error)));
            return None;
        }
        Err(error) => {
            memory.complain(&format!("cannot list workers: {error}"));
            return None;
        }
    };
    if let Some(unreadable) = listing.unreadable.first() {
        memory.complain(&format!(
            "worker {} of {} cannot be read and may live, so nothing is done: {}",
            unreadable.worker, situation.name, unreadable.reason
        ));
        return None;
    }
    Some(listing.workers)
}

fn worker(seen: &SeenWorker, ready: bool) -> Worker {
    let state = match &seen.state {
        FleetState::Listening { .. } if ready => WorkerState::Ready,
        // Dead, but its shim is about to write how: the next look knows more.
        FleetState::Starting | FleetState::Listening { .. } | FleetState::Ending => {
            WorkerState::Starting
        }
        FleetState::Exited(exit) => WorkerState::Dead(Exit {
            how: match (exit.code, exit.signal) {
                (Some(code), _) => format!("exit status {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => "unknown".to_owned(),
            },
            last_error: if exit.out_of_memory {
                Some("out of memory".to_owned())
            } else {
                exit.last_error.clone()
            },
        }),
        FleetState::Lost => WorkerState::Dead(Exit {
            how: "killed with its shim, or the host restarted".to_owned(),
            last_error: seen.note.clone(),
        }),
    };
    Worker {
        id: seen.worker.to_string(),
        launch_digest: launch_digest(&seen.launch),
        group_digest: group_digest(&seen.launch),
        started_ms: seen.started_ms,
        stopping_since_ms: seen.stopping_since_ms,
        state,
    }
}

fn told(seen: &SeenWorker, worker: &Worker, sample: Option<&ConnectorSample>) -> WorkerStatus {
    let sample = sample.and_then(|sample| sample.workers.get(&seen.worker));
    let state = match (&worker.state, seen.stopping_since_ms) {
        (WorkerState::Dead(_), _) => "DEAD",
        (_, Some(_)) => "STOPPING",
        (WorkerState::Starting, None) => "STARTING",
        (WorkerState::Ready, None) => "READY",
    };
    WorkerStatus {
        id: worker.id.clone(),
        pid: seen.pid.filter(|_| !seen.state.is_dead()),
        worker_id: seen.connect_worker_id(),
        state: state.to_owned(),
        started_ms: seen.started_ms,
        mcu_count: Some(seen.launch.mcu_count),
        cpu_percent: sample.and_then(|it| it.cpu_percent),
        rss_mib: sample
            .and_then(|it| it.usage)
            .map(|usage| usage.rss_bytes >> 20),
    }
}

async fn ask(
    client: &ConnectClient,
    situation: &Situation,
    live: &BTreeSet<String>,
    memory: &Memory,
) -> Connect {
    let name = situation.name.as_str();
    let config = match client.get_config(name).await {
        Ok(config) => config,
        Err(error) if error.is_not_found() => {
            memory.with(|facts| {
                facts.answered_ms = Some(now_ms());
                facts.tasks.clear();
            });
            return Connect::Absent;
        }
        Err(error) => {
            memory.complain(&format!(
                "{name}: a worker does not tell the configuration: {error}"
            ));
            return Connect::Unknown;
        }
    };
    // Right after a create there is a configuration and no status yet.
    let status = match client.status(name).await {
        Ok(status) => status,
        Err(error) if error.is_not_found() => {
            return Connect::Present {
                state: ConnectState::Unsettled,
                config_digest: digest(&config),
                tasks: Vec::new(),
                reason: None,
            };
        }
        Err(error) => {
            memory.complain(&format!(
                "{name}: a worker does not tell the status: {error}"
            ));
            return Connect::Unknown;
        }
    };
    topics(client, name, memory).await;
    let tasks: Vec<Task> = status
        .tasks
        .iter()
        .map(|task| Task {
            id: task.id,
            state: state(&task.state),
            on_live_worker: live.contains(&task.worker_id),
            reason: task.trace.as_deref().map(trace_root_line),
        })
        .collect();
    memory.with(|facts| {
        facts.answered_ms = Some(now_ms());
        facts.tasks = status
            .tasks
            .iter()
            .zip(&tasks)
            .map(|(task, seen)| TaskStatus {
                id: task.id,
                state: task.state.to_string(),
                worker_id: task.worker_id.clone(),
                reason: seen.reason.clone(),
            })
            .collect();
    });
    let connector = match state(&status.state) {
        // A status that a dead worker left behind proves nothing.
        ConnectState::Running if !live.contains(&status.worker_id) => ConnectState::Unsettled,
        state => state,
    };
    Connect::Present {
        state: connector,
        config_digest: digest(&config),
        tasks,
        reason: status.trace.as_deref().map(trace_root_line),
    }
}

/// The topics that Connect has seen the connector use (KIP-558). They change rarely and serve
/// readers only, so they are asked for now and then.
async fn topics(client: &ConnectClient, name: &str, memory: &Memory) {
    let due = memory.with(|facts| now_ms().saturating_sub(facts.topics_ms) > TOPICS_PERIOD_MS);
    if !due {
        return;
    }
    if let Ok(mut topics) = client.topics(name).await {
        topics.sort_unstable();
        memory.with(|facts| {
            facts.topics = topics;
            facts.topics_ms = now_ms();
        });
    }
}

fn state(state: &RunState) -> ConnectState {
    match state {
        RunState::Running => ConnectState::Running,
        RunState::Paused => ConnectState::Paused,
        RunState::Stopped => ConnectState::Stopped,
        RunState::Failed => ConnectState::Failed,
        _ => ConnectState::Unsettled,
    }
}

/// Only a running connector without tasks needs the log to tell why.
async fn log_error(inner: &Inner, situation: &Situation, connect: &Connect) -> Option<String> {
    let Connect::Present {
        state: ConnectState::Running,
        tasks,
        ..
    } = connect
    else {
        return None;
    };
    let since_ms = situation.progress.resumed_ms.filter(|_| tasks.is_empty())?;
    let fleet = inner.parts.fleet.clone();
    let id = situation.id;
    let found = tokio::task::spawn_blocking(move || fleet.last_error_since(id, since_ms)).await;
    found.ok()?.ok()?
}
