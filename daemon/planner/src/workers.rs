//! Worker processes: bury the dead, replace the outdated, start the missing, wait for the ready.

use crate::connector::{Stage, Step};
use crate::plan::{Action, Which};
use crate::world::{Kafka, Target, Worker, WorkerState};
use runnel_api::connector::Health;
use runnel_api::{ErrorCode, OperationKind, Problem};

/// A worker that ends within this time of its start failed to start.
const SHORT_LIFE_MS: u64 = 60_000;
/// How many failed starts an operation bears before it fails.
const STARTS_MAX: u32 = 2;
/// What a worker may take beyond its stop deadline before it is killed from outside; its shim
/// should have done so.
const KILL_GRACE_MS: u64 = 5_000;

/// Buries dead workers, and counts as one failure what died young and unasked since the last look.
pub(crate) fn bury(step: &mut Step<'_>) {
    let mut died_young = false;
    for worker in &step.seen.workers {
        let WorkerState::Dead(exit) = &worker.state else {
            continue;
        };
        step.actions.push(Action::BuryWorker(worker.id.clone()));
        let asked = step.progress.stopping.remove(&worker.id).is_some();
        if asked || worker.stopping_since_ms.is_some() {
            continue;
        }
        step.progress.good_since_ms = None;
        let cause = exit.last_error.as_deref().unwrap_or("its log says no more");
        step.reason = Some(format!("worker {} died ({}): {cause}", worker.id, exit.how));
        died_young |= step.now_ms.saturating_sub(worker.started_ms) < SHORT_LIFE_MS;
    }
    if died_young {
        step.progress.worker_back_off.fail(step.now_ms);
    }
    let known: Vec<&String> = step.seen.workers.iter().map(|w| &w.id).collect();
    step.progress.stopping.retain(|id, _| known.contains(&id));
}

/// Internal topics come before the first worker. Later they are known to be there.
pub(crate) fn topics(step: &mut Step<'_>, _which: Which, _target: &Target) -> Stage {
    if step.progress.settled.is_some() || step.seen.kafka == Kafka::TopicsMade {
        return Stage::Passes;
    }
    if let Kafka::Trouble { problem, since_ms } = &step.seen.kafka {
        let creating = step
            .goal
            .operation
            .is_some_and(|open| open.kind == OperationKind::Create);
        if creating && step.now_ms.saturating_sub(*since_ms) > step.timing.kafka_patience_ms {
            step.fail(problem.clone());
            return Stage::Holds;
        }
    }
    step.act(Action::MakeTopics, "internal topics on the Kafka cluster")
}

/// Workers that are started with something else than wanted, or before a restart was asked, go.
pub(crate) fn replace(step: &mut Step<'_>, _which: Which, target: &Target) -> Stage {
    kill_overdue(step);
    let outdated: Vec<&Worker> = alive(step)
        .filter(|worker| !is_current(step, target, worker))
        .collect();
    if outdated.is_empty() {
        return Stage::Passes;
    }
    let other_launch = outdated
        .iter()
        .any(|w| w.launch_digest != target.launch_digest);
    // Workers of one group must be able to run the same classes, so a changed launch replaces all
    // at once; the same launch is replaced one by one.
    let count = if other_launch { outdated.len() } else { 1 };
    let ids: Vec<String> = outdated.iter().map(|w| w.id.clone()).collect();
    let stopping = ids.iter().any(|id| step.progress.stopping.contains_key(id));
    if !other_launch && stopping {
        return step.wait("an old worker to stop");
    }
    if !other_launch && lacks_partner(step, target, ids.len()) {
        return Stage::Passes;
    }
    step.touch();
    for id in ids.into_iter().take(count) {
        stop(step, id);
    }
    step.wait("old workers to stop")
}

/// In a roll of several workers, the ones replaced so far must be ready before the next one goes.
fn lacks_partner(step: &Step<'_>, target: &Target, outdated: usize) -> bool {
    let replaced = (target.workers as usize).saturating_sub(outdated);
    let ready = current(step, target)
        .filter(|w| w.state == WorkerState::Ready)
        .count();
    ready < replaced
}

/// Starts what is missing and stops what is too much.
pub(crate) fn fill(step: &mut Step<'_>, which: Which, target: &Target) -> Stage {
    let wanted = target.workers as usize;
    let present = alive(step)
        .filter(|w| !step.progress.stopping.contains_key(&w.id))
        .count();
    if present > wanted {
        let mut ids: Vec<(u64, String)> = current(step, target)
            .map(|w| (w.started_ms, w.id.clone()))
            .collect();
        ids.sort_unstable();
        for (_, id) in ids.into_iter().skip(wanted) {
            stop(step, id);
        }
        return Stage::Passes;
    }
    if present == wanted {
        return Stage::Passes;
    }
    let back_off = &step.progress.worker_back_off;
    if step.goal.operation.is_some() && back_off.failures >= STARTS_MAX {
        let why = step
            .reason
            .clone()
            .unwrap_or_else(|| "workers do not stay alive".to_owned());
        step.fail(
            Problem::new(ErrorCode::WorkerFailed, "the worker does not start")
                .detail(why)
                .hint("Look at its log: runnel logs NAME"),
        );
        return Stage::Holds;
    }
    if !back_off.allows(step.now_ms) {
        let seconds = back_off
            .not_before_ms
            .saturating_sub(step.now_ms)
            .div_ceil(1000);
        step.health = Health::Failed;
        let died = step
            .reason
            .take()
            .unwrap_or_else(|| "workers do not stay alive".to_owned());
        step.reason = Some(format!("{died}; next start in {seconds} s"));
        step.waiting_on = Some("the pause before the next start of a worker".to_owned());
        return Stage::Holds;
    }
    for _ in present..wanted {
        step.actions.push(Action::StartWorker(which));
    }
    step.health = match (present, step.goal.operation) {
        (_, Some(_)) => Health::Unknown,
        (0, None) => Health::Failed,
        (_, None) => Health::Degraded,
    };
    step.wait("workers to start")
}

/// At least one worker must answer before anything can be asked; in an operation all of them.
pub(crate) fn ready(step: &mut Step<'_>, _which: Which, target: &Target) -> Stage {
    let slow: Vec<String> = current(step, target)
        .filter(|w| w.state == WorkerState::Starting)
        .filter(|w| step.now_ms.saturating_sub(w.started_ms) > step.timing.worker_start_ms)
        .map(|w| w.id.clone())
        .collect();
    for id in slow {
        step.actions.push(Action::KillWorker(id));
    }
    let ready = current(step, target)
        .filter(|w| w.state == WorkerState::Ready)
        .count();
    let all = ready >= target.workers as usize;
    if all || (ready > 0 && step.goal.operation.is_none()) {
        if !all {
            step.health = Health::Degraded;
            step.reason
                .get_or_insert_with(|| format!("{ready} of {} workers are ready", target.workers));
        }
        return Stage::Passes;
    }
    step.health = Health::Unknown;
    step.wait(format!(
        "{} of {} workers to be ready",
        target.workers as usize - ready,
        target.workers
    ))
}

/// Tells a worker to stop, once.
pub(crate) fn stop(step: &mut Step<'_>, id: String) {
    if !step.progress.stopping.contains_key(&id) {
        step.progress.stopping.insert(id.clone(), step.now_ms);
        step.actions.push(Action::StopWorker(id));
    }
}

/// Kills what was told to stop and did not, although its shim should have seen to it.
pub(crate) fn kill_overdue(step: &mut Step<'_>) {
    let limit_ms = step.timing.stop_deadline_ms + KILL_GRACE_MS;
    let overdue: Vec<String> = alive(step)
        .filter_map(|worker| step.progress.stopping.get_key_value(&worker.id))
        .filter(|(_, since_ms)| step.now_ms.saturating_sub(**since_ms) > limit_ms)
        .map(|(id, _)| id.clone())
        .collect();
    step.actions
        .extend(overdue.into_iter().map(Action::KillWorker));
}

/// Workers that are not proven dead.
pub(crate) fn alive<'a>(step: &Step<'a>) -> impl Iterator<Item = &'a Worker> + use<'a> {
    step.seen
        .workers
        .iter()
        .filter(|w| !matches!(w.state, WorkerState::Dead(_)))
}

fn is_current(step: &Step<'_>, target: &Target, worker: &Worker) -> bool {
    let fresh = step
        .progress
        .replace_started_before_ms
        .is_none_or(|at| worker.started_ms >= at);
    fresh && worker.launch_digest == target.launch_digest
}

fn current<'s>(
    step: &'s Step<'_>,
    target: &'s Target,
) -> impl Iterator<Item = &'s Worker> + use<'s> {
    step.seen
        .workers
        .iter()
        .filter(|w| !matches!(w.state, WorkerState::Dead(_)))
        .filter(|w| is_current(step, target, w) && !step.progress.stopping.contains_key(&w.id))
}

/// True when a live worker was started with something else than `target` asks.
pub(crate) fn launch_differs(step: &Step<'_>, target: &Target) -> bool {
    alive(step).any(|worker| worker.launch_digest != target.launch_digest)
}

/// True when some worker can be asked.
pub(crate) fn any_ready(step: &Step<'_>) -> bool {
    alive(step).any(|worker| worker.state == WorkerState::Ready)
}
