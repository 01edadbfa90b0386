//! Judging a connector that has its configuration: does it run, did it settle, what failed, and is
//! it tried again? And what its surroundings say: its Kafka cluster, its source, its workers.

use crate::back_off::RESET_MS;
use crate::connector::{Stage, Step};
use crate::failure::{FailureKind, Retry, classify};
use crate::plan::{Action, Which};
use crate::workers;
use crate::world::{
    Connect, ConnectState, Preflight, Reach, RestartedTask, Seen, Target, Task, WorkerState,
};
use runnel_api::connector::{ConnectorState, DesiredState, Health};
use runnel_api::{ErrorCode, OperationKind, Problem, RestartScope};

/// Looks in a row that must find a worker unwell before it is said or acted upon: one lost answer
/// is nothing on a busy machine.
const LOOKS_MIN: u32 = 3;
/// How long it must last besides: looks may follow each other closely.
const UNWELL_MIN_MS: u64 = 3_000;
/// How long a task that was told to restart may still show its old failure. Connect's status comes
/// back through a topic.
const RESTART_GRACE_MS: u64 = 3_000;
/// While the source does not answer it is asked that many times as often.
const PROBE_HASTE: u64 = 4;

/// What changed around the connector since the last pass: who is back is tried at once, who is
/// silent for too long is killed, and buried and replaced like any dead worker.
pub(crate) fn watch(step: &mut Step<'_>, target: &Target) {
    let seen = step.seen;
    match seen.kafka_reach {
        Reach::No { .. } => step.progress.away.kafka = true,
        Reach::Yes if step.progress.away.kafka => {
            step.progress.away.kafka = false;
            step.progress.worker_back_off.clear();
            step.progress.task_back_off.clear();
        }
        Reach::Yes | Reach::Unknown => {}
    }
    let source = own_preflight(seen, target).map(|preflight| preflight.problem.is_some());
    if source == Some(false) && step.progress.away.source {
        step.progress.task_back_off.clear();
    }
    step.progress.away.source = source.unwrap_or(step.progress.away.source);
    // While the cluster is away no worker is in its group, and none would be better.
    if seen.kafka_reach != Reach::Yes {
        return;
    }
    for worker in &seen.workers {
        let WorkerState::Unwell {
            since_ms,
            looks,
            answers,
            works,
        } = worker.state
        else {
            continue;
        };
        let silent_ms = step.timing.silent_worker_ms;
        let bound_ms = if answers || works {
            step.timing.worker_start_ms.max(silent_ms)
        } else {
            silent_ms
        };
        let is_over = step.now_ms.saturating_sub(since_ms) >= bound_ms;
        let stopping = step.progress.stopping.contains_key(&worker.id);
        if looks >= LOOKS_MIN && is_over && !stopping {
            step.actions.push(Action::KillWorker(worker.id.clone()));
        }
    }
}

/// What the surroundings add to a health that was decided: the cluster first, since it explains
/// the rest, then workers that do not answer.
pub(crate) fn outlook(step: &mut Step<'_>) {
    let unwell = |state: &WorkerState| matches!(state, WorkerState::Unwell { .. });
    // How long it lasts is known from looks that follow each other closely.
    step.calm &= !step.seen.workers.iter().any(|worker| unwell(&worker.state));
    if step.health == Health::Idle || step.given_up() {
        return;
    }
    let seen = step.seen;
    if let Reach::No { since_ms, problem } = &seen.kafka_reach {
        step.health = Health::Degraded;
        step.reason = Some(format!("{} since {}", problem.message, clock(*since_ms)));
        return;
    }
    let unwell = seen.workers.iter().find_map(|worker| match worker.state {
        WorkerState::Unwell {
            since_ms,
            looks,
            answers,
            ..
        } if looks >= LOOKS_MIN && step.now_ms.saturating_sub(since_ms) >= UNWELL_MIN_MS => {
            Some((worker, since_ms, answers))
        }
        _ => None,
    });
    let Some((worker, since_ms, answers)) = unwell else {
        return;
    };
    let what = if answers {
        "has not been in its group"
    } else {
        "has not answered"
    };
    let anyone = seen.workers.iter().any(|w| w.state == WorkerState::Ready);
    step.health = if anyone {
        Health::Degraded
    } else {
        Health::Unknown
    };
    step.reason = Some(format!(
        "worker {} {what} since {}",
        worker.id,
        clock(since_ms)
    ));
}

/// Tells health, settles or fails an attempt, restarts what failed when nothing else is open.
pub(crate) fn judge(step: &mut Step<'_>, _which: Which, target: &Target) -> Stage {
    let Connect::Present { state, tasks, .. } = &step.seen.connect else {
        return step.wait("a worker to tell the connector's status");
    };
    // What its tasks say is about the launch before: measured, a roll-back from workers whose tasks
    // had failed failed over the last of them.
    if step.goal.operation.is_some() && workers::any_stopping(step) {
        return step.wait("an old worker to stop");
    }
    if let Some(stage) = restart_task(step, tasks) {
        return stage;
    }
    if target.desired_state != DesiredState::Running {
        if tasks.iter().any(|task| task.state == ConnectState::Running) {
            return step.wait("the connector's tasks to rest");
        }
        step.health = Health::Idle;
        return good(step);
    }
    if let Some((problem, kind)) = failure(step) {
        return failed(step, target, problem, kind);
    }
    if *state != ConnectState::Running {
        return step.wait("the connector to run");
    }
    if tasks.is_empty() {
        return step.wait("the connector's tasks to start");
    }
    let running = tasks.iter().filter(|task| runs(task)).count();
    if running < tasks.len() {
        step.health = Health::Degraded;
        return step.wait(format!(
            "{} of {} tasks to run",
            tasks.len() - running,
            tasks.len()
        ));
    }
    if step.health != Health::Degraded {
        step.health = Health::Running;
    }
    let source = probe(step, target);
    let trouble = source.or_else(|| stuck(step));
    if let Some(trouble) = trouble {
        step.health = Health::Degraded;
        step.reason = Some(trouble);
    }
    good(step)
}

/// Sends the restart of one task, once for each operation.
fn restart_task(step: &mut Step<'_>, tasks: &[Task]) -> Option<Stage> {
    let open = step
        .goal
        .operation
        .filter(|open| open.kind == OperationKind::Restart)?;
    let RestartScope::Task(id) = step.goal.restart else {
        return None;
    };
    match step.progress.restarted_task {
        Some(told) if told.operation == open.id => {
            let fresh = step.now_ms.saturating_sub(told.at_ms) < RESTART_GRACE_MS;
            let failed = tasks
                .iter()
                .any(|task| task.id == id && task.state == ConnectState::Failed);
            (fresh && failed).then(|| step.wait(format!("task {id} to run")))
        }
        _ if tasks.iter().any(|task| task.id == id) => {
            step.progress.restarted_task = Some(RestartedTask {
                operation: open.id,
                at_ms: step.now_ms,
            });
            Some(step.act(Action::RestartTask(id), format!("task {id} to restart")))
        }
        _ => {
            let message = format!("the connector has no task {id}");
            step.fail(Problem::new(ErrorCode::NotFound, message));
            Some(Stage::Holds)
        }
    }
}

/// The last answer of the validation, if it is about this configuration.
fn own_preflight<'s>(seen: &'s Seen, target: &Target) -> Option<&'s Preflight> {
    seen.preflight
        .as_ref()
        .filter(|preflight| preflight.config_digest == target.config_digest)
}

/// Asks for another validation when the last one is old, and tells what it found. A task stays
/// RUNNING when its database is away (measured); only this tells.
fn probe(step: &mut Step<'_>, target: &Target) -> Option<String> {
    if step.goal.operation.is_some() {
        return None;
    }
    let known = own_preflight(step.seen, target);
    let problem = known.and_then(|preflight| preflight.problem.as_ref());
    // A login that is refused is not tried more often: some systems lock it out.
    let hasty = problem.is_some_and(|it| classify([it.message.as_str()]).retry() != Retry::Slow);
    let period_ms = if hasty {
        step.timing.probe_ms / PROBE_HASTE
    } else {
        step.timing.probe_ms
    };
    // A clock that was set back must not keep the old answer for good.
    let fresh = known.is_some_and(|preflight| step.now_ms.abs_diff(preflight.at_ms) < period_ms);
    // Away from its cluster a worker validates nothing.
    if !fresh && !matches!(step.seen.kafka_reach, Reach::No { .. }) {
        step.actions.push(Action::Preflight(Which::Wanted));
    }
    problem.map(|problem| problem.message.clone())
}

/// A sink that reads nothing although records wait.
fn stuck(step: &Step<'_>) -> Option<String> {
    let reading = step.seen.reading?;
    let still_ms = step.now_ms.saturating_sub(reading.moved_ms);
    (reading.waiting > 0 && still_ms >= step.timing.progress_ms).then(|| {
        format!(
            "no record was read since {} although {} wait",
            clock(reading.moved_ms),
            reading.waiting
        )
    })
}

/// Health at first sight, for passes that end before [`judge`].
pub(crate) fn glance(seen: &Seen) -> Health {
    match &seen.connect {
        Connect::Present {
            state: ConnectState::Running,
            tasks,
            ..
        } if !tasks.is_empty() && tasks.iter().all(runs) => Health::Running,
        _ => Health::Unknown,
    }
}

fn runs(task: &Task) -> bool {
    task.state == ConnectState::Running && task.on_live_worker
}

/// What failed, and of which kind it is. Of several failed tasks one that may be tried again goes
/// first, so that another one does not keep it down.
fn failure(step: &Step<'_>) -> Option<(Problem, FailureKind)> {
    let Connect::Present {
        state,
        tasks,
        reason,
        causes,
        ..
    } = &step.seen.connect
    else {
        return None;
    };
    let look = format!("Look at its log: runnel logs {}", step.name);
    if *state == ConnectState::Failed {
        let message = reason.as_deref().unwrap_or("the connector gives no reason");
        let kind = classify(heads(causes, reason.as_deref()));
        return Some((
            Problem::new(ErrorCode::ConnectorFailed, message).hint(look),
            kind,
        ));
    }
    let mut failed: Vec<(&Task, FailureKind)> = tasks
        .iter()
        .filter(|task| task.state == ConnectState::Failed && task.on_live_worker)
        .map(|task| (task, classify(heads(&task.causes, task.reason.as_deref()))))
        .collect();
    failed.sort_by_key(|(task, kind)| (kind.retry() == Retry::Never, task.id));
    if let Some((task, kind)) = failed.first() {
        let why = task.reason.as_deref().unwrap_or("no reason given");
        let message = format!("task {} failed: {why}", task.id);
        return Some((
            Problem::new(ErrorCode::ConnectorFailed, message).hint(look),
            *kind,
        ));
    }
    let problem = no_task(step, *state, tasks, &look)?;
    Some((problem, FailureKind::Unknown))
}

fn heads<'a>(causes: &'a [String], reason: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    causes.iter().map(String::as_str).chain(reason)
}

fn no_task(step: &Step<'_>, state: ConnectState, tasks: &[Task], look: &str) -> Option<Problem> {
    if state != ConnectState::Running || !tasks.is_empty() {
        return None;
    }
    // RUNNING with no task is a failure that Connect does not report; only its log tells why.
    let waited_ms = step
        .progress
        .resumed_ms
        .map(|at| step.now_ms.saturating_sub(at))?;
    match &step.seen.log_error {
        Some(error) if waited_ms > step.timing.no_task_ms / 4 => Some(
            Problem::new(
                ErrorCode::ConnectorFailed,
                format!("the connector started no task: {}", root_cause(error)),
            )
            .detail(format!("Connect itself says RUNNING. Its log: {error}"))
            .hint(look),
        ),
        _ if waited_ms > step.timing.no_task_ms => Some(
            Problem::new(
                ErrorCode::ConnectorFailed,
                "the connector says RUNNING, but has started no task",
            )
            .hint(look),
        ),
        _ => None,
    }
}

/// What a log line says after its last `caused by:`, or all of it.
fn root_cause(line: &str) -> &str {
    line.rsplit_once("caused by: ")
        .map_or(line, |(_, cause)| cause)
}

fn failed(step: &mut Step<'_>, target: &Target, problem: Problem, kind: FailureKind) -> Stage {
    if step.goal.operation.is_some() {
        step.fail(problem);
        return Stage::Holds;
    }
    step.progress.good_since_ms = None;
    let others_run =
        matches!(&step.seen.connect, Connect::Present { tasks, .. } if tasks.iter().any(runs));
    step.health = if others_run {
        Health::Degraded
    } else {
        Health::Failed
    };
    let advice = kind.advice();
    let back_off = &mut step.progress.task_back_off;
    match kind.retry() {
        Retry::Never => {
            let health = step.health;
            stopped(step, kind, &problem.message);
            step.health = health;
            return Stage::Holds;
        }
        // The first sight of it begins the long pause.
        Retry::Slow if back_off.failures == 0 => back_off.fail_slowly(step.now_ms),
        Retry::Slow | Retry::Capped => {}
    }
    if kind.retry() == Retry::Capped {
        // The source is asked meanwhile: when it is back, nothing waits any longer.
        probe(step, target);
    }
    let away = matches!(step.seen.kafka_reach, Reach::No { .. });
    let back_off = &mut step.progress.task_back_off;
    if back_off.allows(step.now_ms) && !away {
        if kind.retry() == Retry::Slow {
            back_off.fail_slowly(step.now_ms);
        } else {
            back_off.fail(step.now_ms, step.name.as_str());
        }
        step.reason = Some(problem.message);
        step.actions.push(Action::RestartFailed);
        step.waiting_on = Some("failed tasks to start again".to_owned());
        return Stage::Holds;
    }
    let at = clock(back_off.not_before_ms);
    if kind.retry() == Retry::Slow {
        step.state(ConnectorState::Failed);
        step.reason = Some(format!("{}; {advice}; next try at {at}", problem.message));
    } else {
        step.reason = Some(format!("{}; next restart at {at}", problem.message));
    }
    step.calm = true;
    Stage::Holds
}

/// It stays as it is until somebody changes something.
pub(crate) fn stopped(step: &mut Step<'_>, kind: FailureKind, reason: &str) -> Stage {
    step.state(ConnectorState::Failed);
    step.health = Health::Failed;
    step.reason = Some(format!(
        "{reason}; it is not tried again: {}",
        kind.advice()
    ));
    step.progress.good_since_ms = None;
    step.calm = true;
    Stage::Holds
}

/// A moment for people: the time of day, in UTC. A duration would be another text at each look.
pub(crate) fn clock(ms: u64) -> String {
    let seconds = ms / 1000 % 86_400;
    format!(
        "{:02}:{:02}:{:02} UTC",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

fn good(step: &mut Step<'_>) -> Stage {
    let since_ms = *step.progress.good_since_ms.get_or_insert(step.now_ms);
    let lasted_ms = step.now_ms.saturating_sub(since_ms);
    if lasted_ms >= RESET_MS {
        step.progress.worker_back_off.clear();
        step.progress.task_back_off.clear();
        step.progress.halt = None;
    }
    let unsafe_ms = first_position_ms(step);
    if lasted_ms >= step.timing.settle_ms.saturating_add(unsafe_ms) {
        let workers = step.seen.workers.iter();
        let ready = workers.filter(|worker| worker.state == WorkerState::Ready);
        step.progress
            .ran_well
            .extend(ready.map(|worker| worker.id.clone()));
        step.settled();
        step.calm = true;
    } else if lasted_ms >= step.timing.settle_ms {
        step.waiting_on = Some("the source to store its first position".to_owned());
    } else {
        step.waiting_on = Some(format!(
            "tasks to run for {} s without a failure",
            step.timing.settle_ms.div_ceil(1000)
        ));
    }
    Stage::Holds
}

/// How much longer than the settle time a create may wait for the source's first position.
fn first_position_ms(step: &Step<'_>) -> u64 {
    let creates = step
        .goal
        .operation
        .is_some_and(|open| open.kind == OperationKind::Create);
    if creates && step.seen.position_stored == Some(false) {
        step.timing.first_position_ms
    } else {
        0
    }
}
