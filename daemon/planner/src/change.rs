//! Bringing a configuration in: preflight, stop, record, put, resume.
//!
//! Only stop–put–resume lets a status prove the new generation; after a plain PUT the state never
//! leaves RUNNING (measured: 0.9 s for the whole).

use crate::connector::{Stage, Step};
use crate::plan::{Action, Which};
use crate::workers;
use crate::world::{Connect, ConnectState, Target};
use runnel_api::connector::DesiredState;

/// What comes before workers are touched: where they can tell, another configuration is tried;
/// where all of them have to go at once, the connector stops and its position is read.
pub(crate) fn set_down(step: &mut Step<'_>, which: Which, target: &Target) -> Stage {
    if !workers::any_ready(step) {
        return Stage::Passes;
    }
    let stage = if workers::group_differs(step, target) {
        stop_and_record(step, which)
    } else if holds_other_config(step, target) {
        preflight(step, which, target)
    } else {
        None
    };
    stage.unwrap_or(Stage::Passes)
}

fn holds_other_config(step: &Step<'_>, target: &Target) -> bool {
    matches!(&step.seen.connect, Connect::Present { config_digest, .. } if *config_digest != target.config_digest)
}

/// Makes Connect hold the target's configuration.
pub(crate) fn configure(step: &mut Step<'_>, which: Which, target: &Target) -> Stage {
    match &step.seen.connect {
        Connect::Unknown => step.wait("a worker to tell the connector's status"),
        Connect::Absent => {
            if let Some(stage) = preflight(step, which, target) {
                return stage;
            }
            step.touch();
            step.act(Action::CreateStopped(which), "the connector to be created")
        }
        Connect::Present { config_digest, .. } if *config_digest != target.config_digest => {
            put(step, which, target)
        }
        Connect::Present { .. } if restore_is_due(step, which) => restore(step, which),
        Connect::Present { .. } => Stage::Passes,
    }
}

fn put(step: &mut Step<'_>, which: Which, target: &Target) -> Stage {
    if let Some(stage) = preflight(step, which, target) {
        return stage;
    }
    if let Some(stage) = stop_and_record(step, which) {
        return stage;
    }
    if restore_is_due(step, which) {
        return restore(step, which);
    }
    step.touch();
    step.act(Action::PutConfig(which), "the configuration to be put")
}

/// Nothing is touched before a worker has tried the configuration on the source. What is restored
/// was tried before.
fn preflight(step: &mut Step<'_>, which: Which, target: &Target) -> Option<Stage> {
    if which == Which::Settled {
        return None;
    }
    let known = step
        .seen
        .preflight
        .as_ref()
        .filter(|preflight| preflight.config_digest == target.config_digest)
        // What an earlier try found may have been mended since.
        .filter(|preflight| match step.goal.operation {
            Some(open) => preflight.operation == Some(open.id),
            None => true,
        });
    match known.map(|preflight| preflight.problem.clone()) {
        None => {
            step.actions.push(Action::Preflight(which));
            // A running connector goes on while the new configuration is tried.
            step.waiting_on = Some("the source to answer the preflight".to_owned());
            Some(Stage::Holds)
        }
        Some(Some(problem)) if step.goal.operation.is_some() => {
            step.fail(problem);
            Some(Stage::Holds)
        }
        Some(_) => None,
    }
}

/// Stops the connector, then reads its offsets once for each attempt.
fn stop_and_record(step: &mut Step<'_>, which: Which) -> Option<Stage> {
    let Connect::Present { state, tasks, .. } = &step.seen.connect else {
        return match step.seen.connect {
            Connect::Unknown => Some(step.wait("a worker to tell the connector's status")),
            _ => None,
        };
    };
    if *state != ConnectState::Stopped {
        step.touch();
        return Some(step.act(Action::StopConnector, "the connector to stop"));
    }
    if !tasks.is_empty() {
        return Some(step.wait("the connector's tasks to end"));
    }
    let record = which == Which::Wanted
        && step.progress.settled.is_some()
        && !step.progress.offsets_recorded;
    record.then(|| step.act(Action::RecordOffsets, "the connector's offsets"))
}

fn restore_is_due(step: &Step<'_>, which: Which) -> bool {
    which == Which::Settled
        && step.progress.offsets_before.is_some()
        && !step.progress.offsets_restored
}

fn restore(step: &mut Step<'_>, which: Which) -> Stage {
    if let Some(stage) = stop_and_record(step, which) {
        return stage;
    }
    step.progress.offsets_restored = true;
    step.act(
        Action::RestoreOffsets,
        "the recorded offsets to be restored",
    )
}

/// Runs, pauses or stops the connector as wanted.
pub(crate) fn desired_state(step: &mut Step<'_>, which: Which, target: &Target) -> Stage {
    let Connect::Present { state, .. } = &step.seen.connect else {
        return step.wait("a worker to tell the connector's status");
    };
    match (target.desired_state, state) {
        (DesiredState::Running, ConnectState::Stopped | ConnectState::Paused) => {
            if step.goal.operation.is_some()
                && let Some(stage) = preflight(step, which, target)
            {
                return stage;
            }
            step.progress.resumed_ms = Some(step.now_ms);
            step.act(Action::Resume, "the connector to run")
        }
        (DesiredState::Paused, ConnectState::Paused)
        | (DesiredState::Stopped, ConnectState::Stopped)
        | (DesiredState::Running, _) => Stage::Passes,
        (DesiredState::Paused, _) => {
            step.touch();
            step.act(Action::Pause, "the connector to pause")
        }
        (DesiredState::Stopped, _) => {
            step.touch();
            step.act(Action::StopConnector, "the connector to stop")
        }
    }
}
