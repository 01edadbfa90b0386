//! Another size for a connector that runs and has nothing else to do: asking [`scale::decide`],
//! taking its word over, and going back when the new size does not come to life.

use crate::connector::Step;
use crate::scale::{self, FleetFacts};
use crate::world::{Connect, ConnectState, Target};
use runnel_api::connector::{DesiredState, Health};
use runnel_api::scaling::{Evidence, ScalingDecision, ScalingMode, Size, Verdict};

/// Keeps the wanted size in the progress, within what the capacity of this generation allows.
pub(crate) fn normalise(step: &mut Step<'_>, target: &Target) {
    let read = step.seen.partitions.filter(|count| *count > 0);
    step.progress.partitions = read.or(step.progress.partitions);
    if target.policy.mode() == ScalingMode::Fixed {
        step.progress.size = None;
        step.progress.size_before = None;
    } else {
        step.progress.size = Some(target.size);
    }
}

/// Decides on the size and takes the decision over; the next pass makes it so.
pub(crate) fn consider(step: &mut Step<'_>, target: &Target) {
    if target.policy.mode() == ScalingMode::Fixed {
        return;
    }
    let facts = facts(step, target);
    let (verdict, evidence) = scale::decide(
        &target.policy,
        &step.timing.scaling,
        &step.seen.load,
        &facts,
        step.seen.host.free_mcus,
        step.now_ms,
    );
    if let Verdict::Scale { to } = &verdict {
        step.progress.size_before = Some(target.size);
        change(step, *to);
    }
    note(step, target.size, verdict, evidence);
}

fn facts(step: &Step<'_>, target: &Target) -> FleetFacts {
    let running = step.health == Health::Running && target.desired_state == DesiredState::Running;
    let moving = match &step.seen.connect {
        Connect::Present { tasks, .. } => tasks
            .iter()
            .any(|task| task.state == ConnectState::Unsettled || !task.on_live_worker),
        _ => false,
    };
    FleetFacts {
        size: target.size,
        running,
        operation_open: step.goal.operation.is_some()
            || step.progress.roll_back.is_some()
            || !step.calm
            || !step.actions.is_empty(),
        rebalancing: moving,
        youngest_worker_started_ms: step.seen.workers.iter().map(|it| it.started_ms).max(),
        last_action_ms: step.progress.scaled_ms,
    }
}

/// Goes back to the size before when workers of the new one do not stay alive. True when it did.
pub(crate) fn give_up(step: &mut Step<'_>, target: &Target) -> bool {
    if step.goal.operation.is_some() {
        return false;
    }
    let Some(before) = step.progress.size_before.take() else {
        return false;
    };
    let why = step
        .reason
        .clone()
        .unwrap_or_else(|| "workers do not stay alive".to_owned());
    let evidence = Evidence {
        text: format!("workers of the new size do not start ({why}); back to {before}"),
        ..Evidence::default()
    };
    step.progress.worker_back_off.clear();
    change(step, before);
    note(step, target.size, Verdict::Scale { to: before }, evidence);
    true
}

fn change(step: &mut Step<'_>, to: Size) {
    step.progress.size = Some(to);
    step.progress.scaled_ms = Some(step.now_ms);
    step.progress.good_since_ms = None;
    step.calm = false;
    step.waiting_on = Some(format!("the fleet to become {to}"));
}

fn note(step: &mut Step<'_>, from: Size, verdict: Verdict, evidence: Evidence) {
    step.decision = Some(ScalingDecision {
        at_ms: step.now_ms,
        from,
        verdict,
        evidence,
    });
}
