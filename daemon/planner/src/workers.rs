//! Worker processes: bury the dead, replace the outdated, start the missing, wait for the ready.

use crate::connector::{Stage, Step};
use crate::failure::{Retry, classify};
use crate::plan::{Action, Which};
use crate::world::{Exit, Halt, Kafka, Reach, Target, Worker, WorkerState};
use crate::{resize, steady};
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
///
/// A worker that had run well is no failed start, however young: whoever kills one every minute
/// must not make the next one wait, and an operation must not fail for it.
pub(crate) fn bury(step: &mut Step<'_>) {
    let mut died_young = false;
    for worker in &step.seen.workers {
        let WorkerState::Dead(exit) = &worker.state else {
            continue;
        };
        step.actions.push(Action::BuryWorker(worker.id.clone()));
        let asked = step.progress.stopping.remove(&worker.id).is_some();
        let ran_well = step.progress.ran_well.contains(&worker.id);
        if asked || worker.stopping_since_ms.is_some() {
            continue;
        }
        step.progress.good_since_ms = None;
        let cause = exit.last_error.as_deref().unwrap_or("its log says no more");
        let reason = format!("worker {} died ({}): {cause}", worker.id, exit.how);
        let young = step.now_ms.saturating_sub(worker.started_ms) < SHORT_LIFE_MS;
        // A worker that runs out of memory every few minutes is a loop too.
        died_young |= young && !ran_well || exit.out_of_memory;
        if young {
            step.progress.halt = halt(exit, &reason);
        }
        step.reason = Some(reason);
    }
    if died_young {
        step.progress
            .worker_back_off
            .fail(step.now_ms, step.name.as_str());
    }
    let known: Vec<&String> = step.seen.workers.iter().map(|w| &w.id).collect();
    step.progress.stopping.retain(|id, _| known.contains(&id));
    step.progress.ran_well.retain(|id| known.contains(&id));
}

/// What keeps a worker from being started again. Only a worker that ended by itself tells why by
/// its last error: one that was killed may have written it hours ago.
fn halt(exit: &Exit, reason: &str) -> Option<Halt> {
    let by_itself = exit.how.starts_with("exit status") && !exit.out_of_memory;
    let kind = classify(exit.last_error.as_deref().filter(|_| by_itself));
    (kind.retry() == Retry::Never).then(|| Halt {
        kind,
        reason: reason.to_owned(),
    })
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

/// Workers that were started with something else than wanted, or before a restart was asked, go.
pub(crate) fn replace(step: &mut Step<'_>, which: Which, target: &Target) -> Stage {
    pursue_stops(step);
    let outdated: Vec<&Worker> = alive(step)
        .filter(|worker| !is_current(step, target, worker))
        .collect();
    let foreign = outdated
        .iter()
        .any(|worker| worker.group_digest != target.group_digest);
    let mut staying: Vec<(u64, String)> = outdated
        .iter()
        .filter(|worker| !step.progress.stopping.contains_key(&worker.id))
        .map(|worker| (worker.started_ms, worker.id.clone()))
        .collect();
    staying.sort_unstable();
    if foreign {
        // Workers of one group must be able to run the same classes.
        step.touch();
        for (_, id) in staying {
            stop(step, id);
        }
        return step.wait("old workers to stop");
    }
    match staying.into_iter().next() {
        Some((_, oldest)) => roll(step, which, target, oldest),
        None => Stage::Passes,
    }
}

/// Replaces workers one by one, each new one before an old one goes: the group is never without,
/// and a new one that does not start harms nobody (measured for a lone worker: 4.8 s of silence,
/// nothing lost, nothing twice; stopping first takes 7.8 s).
fn roll(step: &mut Step<'_>, which: Which, target: &Target, oldest: String) -> Stage {
    kill_slow(step, target);
    if any_stopping(step) {
        return step.wait("an old worker to stop");
    }
    let (mut new, mut starting) = (0, 0);
    for worker in current(step, target) {
        new += 1;
        starting += usize::from(worker.state != WorkerState::Ready);
    }
    if starting > 0 {
        return step.wait("a new worker to be ready");
    }
    let wanted = target.size.workers as usize;
    let all = alive(step).count();
    if new == 0 || (new < wanted && all <= wanted) {
        step.touch();
        return start(step, which, target, 1);
    }
    step.touch();
    stop(step, oldest);
    step.wait("an old worker to stop")
}

/// Starts what is missing and stops what is too much.
pub(crate) fn fill(step: &mut Step<'_>, which: Which, target: &Target) -> Stage {
    let wanted = target.size.workers as usize;
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
    start(step, which, target, wanted - present)
}

/// Starts workers unless those before did not stay alive, or the host is busy starting others.
fn start(step: &mut Step<'_>, which: Which, target: &Target, missing: usize) -> Stage {
    let serving = any_ready(step);
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
    if let Reach::No { .. } = step.seen.kafka_reach {
        // A worker that is started now would only give up after a minute.
        return step.wait("the Kafka cluster to answer");
    }
    if serving && back_off.failures >= STARTS_MAX && resize::give_up(step, target) {
        return Stage::Holds;
    }
    if step.progress.worker_back_off.failures >= STARTS_MAX
        && let Some(halt) = step.progress.halt.clone()
    {
        steady::stopped(step, halt.kind, &halt.reason);
        if serving {
            step.health = Health::Degraded;
        }
        return Stage::Holds;
    }
    if !step.progress.worker_back_off.allows(step.now_ms) {
        return back_off_wait(step, serving);
    }
    let slots = step.seen.host.start_slots;
    let granted = slots.map_or(missing, |slots| missing.min(slots as usize));
    for _ in 0..granted {
        step.actions.push(Action::StartWorker(which));
    }
    let growing = step.progress.size_before.is_some();
    step.health = match (serving, step.goal.operation) {
        (true, Some(_)) => step.health,
        (true, None) if growing => step.health,
        (true, None) => Health::Degraded,
        (false, Some(_)) => Health::Unknown,
        (false, None) => Health::Failed,
    };
    if granted < missing && step.progress.settled.is_none() {
        step.progress.queued_ms = Some(step.now_ms);
    }
    if granted == 0 {
        step.patient = true;
        return step.wait("workers of other connectors to start first");
    }
    step.wait("workers to start")
}

fn back_off_wait(step: &mut Step<'_>, serving: bool) -> Stage {
    let back_off = &step.progress.worker_back_off;
    let at = steady::clock(back_off.not_before_ms);
    step.health = if serving {
        Health::Degraded
    } else {
        Health::Failed
    };
    let died = step
        .reason
        .take()
        .unwrap_or_else(|| "workers do not stay alive".to_owned());
    step.reason = Some(format!("{died}; next start at {at}"));
    step.waiting_on = Some("the pause before the next start of a worker".to_owned());
    Stage::Holds
}

/// At least one worker must answer before anything can be asked; in an operation all of them.
pub(crate) fn ready(step: &mut Step<'_>, _which: Which, target: &Target) -> Stage {
    kill_slow(step, target);
    let ready = current(step, target)
        .filter(|w| w.state == WorkerState::Ready)
        .count();
    let all = ready >= target.size.workers as usize;
    if all || (ready > 0 && step.goal.operation.is_none()) {
        if !all {
            step.health = Health::Degraded;
            step.reason.get_or_insert_with(|| {
                format!("{ready} of {} workers are ready", target.size.workers)
            });
        }
        return Stage::Passes;
    }
    step.health = Health::Unknown;
    step.wait(format!(
        "{} of {} workers to be ready",
        target.size.workers as usize - ready,
        target.size.workers
    ))
}

/// Kills workers that take too long to be ready; they are replaced.
fn kill_slow(step: &mut Step<'_>, target: &Target) {
    let slow: Vec<String> = current(step, target)
        .filter(|w| w.state == WorkerState::Starting)
        .filter(|_| !matches!(step.seen.kafka_reach, Reach::No { .. }))
        .filter(|w| step.now_ms.saturating_sub(w.started_ms) > step.timing.worker_start_ms)
        .map(|w| w.id.clone())
        .collect();
    for id in slow {
        step.actions.push(Action::KillWorker(id));
    }
}

/// Tells a worker to stop, once.
pub(crate) fn stop(step: &mut Step<'_>, id: String) {
    if !step.progress.stopping.contains_key(&id) {
        step.progress.stopping.insert(id.clone(), step.now_ms);
        step.actions.push(Action::StopWorker(id));
    }
}

/// Tells again who was not told after all, because the daemon died between deciding it and doing
/// it; kills what was told to stop and did not, although its shim should have seen to it.
pub(crate) fn pursue_stops(step: &mut Step<'_>) {
    let untold: Vec<String> = alive(step)
        .filter(|worker| worker.stopping_since_ms.is_none())
        .filter(|worker| step.progress.stopping.contains_key(&worker.id))
        .map(|worker| worker.id.clone())
        .collect();
    step.actions
        .extend(untold.into_iter().map(Action::StopWorker));
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
    let named = step.progress.replace_worker.as_ref() == Some(&worker.id);
    fresh && !named && worker.launch_digest == target.launch_digest
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

/// True when a live worker cannot serve in one group with those that `target` asks for.
pub(crate) fn group_differs(step: &Step<'_>, target: &Target) -> bool {
    alive(step).any(|worker| worker.group_digest != target.group_digest)
}

/// True when some worker can be asked.
pub(crate) fn any_ready(step: &Step<'_>) -> bool {
    alive(step).any(|worker| worker.state == WorkerState::Ready)
}

/// True when a worker that was told to stop is not proven dead.
pub(crate) fn any_stopping(step: &Step<'_>) -> bool {
    alive(step).any(|worker| step.progress.stopping.contains_key(&worker.id))
}
