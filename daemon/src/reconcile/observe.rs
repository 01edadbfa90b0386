//! A look at one connector: its processes from disk and `/proc`, its status from a ready worker.

use super::Inner;
use super::goal::{Situation, chain, digest};
use super::launching::{group_digest, launch_digest};
use super::memory::Memory;
use super::position;
use super::silence::Silence;
use crate::fleet::connect_rest::RunState;
use crate::fleet::{
    ConnectClient, ExitInfo, SeenWorker, WorkerLaunch, WorkerState as FleetState, heap_mib,
    memory_mib, trace_heads, trace_root_line,
};
use crate::sampling::ConnectorSample;
use crate::store::now_ms;
use runnel_api::connector::{TaskStatus, WorkerStatus};
use runnel_planner::{
    Connect, ConnectState, Exit, Host, Reach, Reading, Seen, Task, Worker, WorkerState,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Time between two questions for a connector's topics.
const TOPICS_PERIOD_MS: u64 = 10_000;

/// How long a worker may take to say that it is well. A look must end soon, also at a frozen one;
/// one that is under load takes a second.
const HEALTH_LIMIT: Duration = Duration::from_secs(3);
/// For so long only that is asked; then, besides, whether it says anything at all.
const SIGN_AFTER: Duration = Duration::from_millis(1_500);
/// How long the configuration and status may take together, asked of a worker that has just said that
/// it is well. On a machine that is out of breath they take seconds.
const ASK_LIMIT: Duration = Duration::from_secs(6);
/// Looks at a running connector may lie further apart than three periods by so much, for what a look
/// and the actions after it take.
const READING_SLACK_MS: u64 = 10_000;
/// A worker that has a member id and is so old has been ready, also when an earlier daemon saw it.
const SURELY_READY_MS: u64 = 60_000;

/// What a worker says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// Nobody asked: it does not listen.
    None,
    /// It is in its group.
    Well,
    /// It answers, and is not in its group.
    Outside,
    /// Nothing.
    Silent,
}

/// Builds what the planner may read. What could not be learned is left unknown; without the list
/// of workers there is nothing to plan from.
pub(super) async fn look(inner: &Inner, situation: &Situation, memory: &Memory) -> Option<Seen> {
    let listed = list(inner, situation, memory).await?;
    let began_ms = now_ms();
    let heard = hear(inner, &listed).await;
    let client = heard
        .iter()
        .zip(&listed)
        .find(|((word, _), seen)| *word == Word::Well && seen.stopping_since_ms.is_none())
        .and_then(|((_, client), _)| client.clone());
    let words: Vec<Word> = heard.into_iter().map(|(word, _)| word).collect();
    let cpu = cpu_of_unwell(inner, &listed, &words).await;
    let workers =
        memory.with(|facts| workers(&listed, &words, &cpu, &mut facts.silences, began_ms));
    let live: BTreeSet<String> = listed
        .iter()
        .filter(|seen| !seen.state.is_dead())
        .filter_map(SeenWorker::connect_worker_id)
        .collect();
    let connect = match &client {
        Some(client) => {
            let asked = ask(client, situation, &live, memory);
            let answer = tokio::time::timeout(ASK_LIMIT, asked).await;
            answer.unwrap_or(Connect::Unknown)
        }
        None => Connect::Unknown,
    };
    let log_error = log_error(inner, situation, &connect).await;
    let sample = inner.parts.samples.of(situation.id);
    let cluster = &situation.remains.cluster;
    let kafka_reach = match cluster.servers() {
        Ok(_) => {
            let access = situation.access.clone();
            inner.probes.reach(&cluster.bootstrap_servers, access)
        }
        Err(_) => Reach::Unknown,
    };
    memory.with(|facts| {
        let lag = inner.parts.lags.of(&situation.name);
        facts.lag = lag.map(|lag| lag.total);
        let gap_ms = inner.timing.calm_look_ms.saturating_mul(3) + READING_SLACK_MS;
        facts.reading = lag.map(|lag| {
            let (committed, waiting) = (lag.committed_total, lag.total);
            Reading::note(facts.reading, committed, waiting, now_ms(), gap_ms)
        });
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
            partitions: lag.map(|lag| lag.partitions),
            host: Host::default(),
            kafka_reach,
            reading: facts.reading,
            principal: facts.principal.clone(),
            position_stored: facts.position_stored,
        })
    })
}

/// Asks all workers at once, so that one that is frozen costs its own time only.
async fn hear(inner: &Inner, listed: &[SeenWorker]) -> Vec<(Word, Option<ConnectClient>)> {
    let asking = listed.iter().map(|seen| async {
        let (FleetState::Listening { .. }, Ok(Some(client))) =
            (&seen.state, inner.parts.fleet.client(seen))
        else {
            return (Word::None, None);
        };
        (word(&client).await, Some(client))
    });
    futures_util::future::join_all(asking).await
}

async fn word(client: &ConnectClient) -> Word {
    let patient = client.clone().within(HEALTH_LIMIT);
    let mut health = std::pin::pin!(patient.health());
    let early = tokio::time::timeout(SIGN_AFTER, &mut health).await;
    let (well, answers) = match early {
        Ok(Err(_)) => (early, client.clone().within(SIGN_AFTER).answers().await),
        Ok(answer) => (Ok(answer), true),
        Err(_) => {
            let hasty = client.clone().within(SIGN_AFTER);
            let (late, answers) = tokio::join!(health, hasty.answers());
            (Ok(late), answers)
        }
    };
    match well {
        Ok(Ok(true)) => Word::Well,
        Ok(Ok(false)) => Word::Outside,
        _ if answers => Word::Outside,
        _ => Word::Silent,
    }
}

/// CPU time of the workers that are not well, in nanoseconds.
async fn cpu_of_unwell(
    inner: &Inner,
    listed: &[SeenWorker],
    words: &[Word],
) -> BTreeMap<String, u64> {
    let unwell: Vec<SeenWorker> = listed
        .iter()
        .zip(words)
        .filter(|(_, word)| matches!(word, Word::Outside | Word::Silent))
        .map(|(seen, _)| seen.clone())
        .collect();
    if unwell.is_empty() {
        return BTreeMap::new();
    }
    let fleet = inner.parts.fleet.clone();
    let read = move || {
        let used = |seen: &SeenWorker| Some((seen.worker.to_string(), fleet.usage(seen)?.cpu_ns));
        unwell.iter().filter_map(used).collect()
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_default()
}

fn workers(
    listed: &[SeenWorker],
    words: &[Word],
    cpu: &BTreeMap<String, u64>,
    silences: &mut BTreeMap<String, Silence>,
    now_ms: u64,
) -> Vec<Worker> {
    silences.retain(|id, _| listed.iter().any(|seen| seen.worker.as_str() == id));
    let each = listed.iter().zip(words).map(|(seen, word)| {
        let silence = silences.entry(seen.worker.to_string()).or_default();
        if seen.member_id.is_some() && now_ms.saturating_sub(seen.started_ms) > SURELY_READY_MS {
            silence.ready_once = true;
        }
        let living = match word {
            Word::Well => {
                silence.well();
                WorkerState::Ready
            }
            Word::Outside | Word::Silent
                if silence.ready_once && seen.stopping_since_ms.is_none() =>
            {
                let unwell = silence.unwell(now_ms, cpu.get(seen.worker.as_str()).copied());
                WorkerState::Unwell {
                    since_ms: unwell.since_ms,
                    looks: unwell.looks,
                    answers: *word == Word::Outside,
                    works: unwell.works,
                }
            }
            Word::None | Word::Outside | Word::Silent => WorkerState::Starting,
        };
        worker(seen, living)
    });
    each.collect()
}

/// A client for a worker of the connector that answers.
pub(super) async fn client(
    inner: &Inner,
    situation: &Situation,
    memory: &Memory,
) -> Option<ConnectClient> {
    let mut listed = list(inner, situation, memory).await?;
    listed.retain(|seen| seen.stopping_since_ms.is_none());
    let heard = hear(inner, &listed).await;
    heard
        .into_iter()
        .find(|(word, _)| *word == Word::Well)
        .and_then(|(_, client)| client)
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

fn worker(seen: &SeenWorker, living: WorkerState) -> Worker {
    let state = match &seen.state {
        FleetState::Listening { .. } => living,
        // Dead, but its shim is about to write how: the next look knows more.
        FleetState::Starting | FleetState::Ending => WorkerState::Starting,
        FleetState::Exited(exit) => WorkerState::Dead(Exit {
            how: match (exit.code, exit.signal) {
                (Some(code), _) => format!("exit status {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => "unknown".to_owned(),
            },
            last_error: if exit.out_of_memory {
                Some(memory_end(exit, &seen.launch))
            } else {
                exit.last_error.clone()
            },
            out_of_memory: exit.out_of_memory,
        }),
        FleetState::Lost => WorkerState::Dead(Exit {
            how: "killed with its shim, or the host restarted".to_owned(),
            last_error: seen.note.clone(),
            out_of_memory: false,
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

/// Whose memory was not enough, with the figures, and what to do.
fn memory_end(exit: &ExitInfo, launch: &WorkerLaunch) -> String {
    let heap = heap_mib(launch.mcu_count, launch.mcu_memory_mib);
    let limit = memory_mib(launch.mcu_count, launch.mcu_memory_mib);
    let said = exit
        .last_error
        .as_deref()
        .and_then(|error| error.split_once("java.lang.OutOfMemoryError: "))
        .map(|(_, what)| what);
    let what = match (exit.signal, said) {
        (None, Some(what)) => format!("{what}; the heap is {heap} MiB of {limit} MiB"),
        (None, None) => format!("the heap is {heap} MiB of {limit} MiB"),
        (Some(_), _) => format!("killed at the limit of {limit} MiB, of which the heap is {heap}"),
    };
    format!("out of memory ({what}); a larger capacity gives it more")
}

fn told(seen: &SeenWorker, worker: &Worker, sample: Option<&ConnectorSample>) -> WorkerStatus {
    let sample = sample.and_then(|sample| sample.workers.get(&seen.worker));
    let state = match (&worker.state, seen.stopping_since_ms) {
        (WorkerState::Dead(_), _) => "DEAD",
        (_, Some(_)) => "STOPPING",
        (WorkerState::Starting, None) => "STARTING",
        (WorkerState::Ready, None) => "READY",
        (WorkerState::Unwell { .. }, None) => "UNKNOWN",
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
                causes: Vec::new(),
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
    position::note(client, situation, &status, memory).await;
    let tasks: Vec<Task> = status
        .tasks
        .iter()
        .map(|task| Task {
            id: task.id,
            state: state(&task.state),
            on_live_worker: live.contains(&task.worker_id),
            reason: task.trace.as_deref().map(trace_root_line),
            causes: task.trace.as_deref().map(trace_heads).unwrap_or_default(),
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
        causes: status.trace.as_deref().map(trace_heads).unwrap_or_default(),
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
