//! Judging a connector that has its configuration: does it run, did it settle, what failed?

use crate::connector::{Stage, Step};
use crate::plan::{Action, Which};
use crate::world::{Connect, ConnectState, Seen, Target, Task};
use runnel_api::connector::{DesiredState, Health};
use runnel_api::{ErrorCode, Problem};

/// Tells health, settles or fails an attempt, restarts what failed when nothing else is open.
pub(crate) fn judge(step: &mut Step<'_>, _which: Which, target: &Target) -> Stage {
    let Connect::Present {
        state,
        tasks,
        reason,
        ..
    } = &step.seen.connect
    else {
        return step.wait("a worker to tell the connector's status");
    };
    if target.desired_state != DesiredState::Running {
        if tasks.iter().any(|task| task.state == ConnectState::Running) {
            return step.wait("the connector's tasks to rest");
        }
        step.health = Health::Idle;
        return good(step);
    }
    if let Some(problem) = failure(step, *state, tasks, reason.as_deref()) {
        return failed(step, problem);
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
    good(step)
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

fn failure(
    step: &Step<'_>,
    state: ConnectState,
    tasks: &[Task],
    reason: Option<&str>,
) -> Option<Problem> {
    let look = "Look at its log: runnel logs NAME";
    if state == ConnectState::Failed {
        let message = reason.unwrap_or("the connector gives no reason").to_owned();
        return Some(Problem::new(ErrorCode::ConnectorFailed, message).hint(look));
    }
    let failed = tasks
        .iter()
        .find(|task| task.state == ConnectState::Failed && task.on_live_worker);
    if let Some(task) = failed {
        let why = task.reason.as_deref().unwrap_or("no reason given");
        let message = format!("task {} failed: {why}", task.id);
        return Some(Problem::new(ErrorCode::ConnectorFailed, message).hint(look));
    }
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

fn failed(step: &mut Step<'_>, problem: Problem) -> Stage {
    if step.goal.operation.is_some() {
        step.fail(problem);
        return Stage::Holds;
    }
    step.progress.good_since_ms = None;
    step.health = Health::Failed;
    let back_off = &mut step.progress.task_back_off;
    if back_off.allows(step.now_ms) {
        back_off.fail(step.now_ms);
        step.reason = Some(problem.message);
        step.actions.push(Action::RestartFailed);
        step.waiting_on = Some("failed tasks to start again".to_owned());
    } else {
        let seconds = back_off
            .not_before_ms
            .saturating_sub(step.now_ms)
            .div_ceil(1000);
        step.reason = Some(format!("{}; next restart in {seconds} s", problem.message));
        step.calm = true;
    }
    Stage::Holds
}

fn good(step: &mut Step<'_>) -> Stage {
    let since_ms = *step.progress.good_since_ms.get_or_insert(step.now_ms);
    let lasted_ms = step.now_ms.saturating_sub(since_ms);
    if lasted_ms >= step.timing.settle_ms {
        step.settled();
        step.calm = true;
    } else {
        step.waiting_on = Some(format!(
            "tasks to run for {} s without a failure",
            step.timing.settle_ms.div_ceil(1000)
        ));
    }
    Stage::Holds
}
