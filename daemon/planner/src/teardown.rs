//! Taking a connector away: workers first, then what it left on the cluster, then the record.

use crate::connector::Step;
use crate::plan::{Action, Ending};
use crate::principal::{self, Principal};
use crate::workers;
use crate::world::{Kafka, Life, OpenOperation, WorkerState};
use runnel_api::connector::{ConnectorState, Health};
use runnel_api::{OperationKind, Outcome};

/// Decides the next step of a delete, or of undoing a create that failed.
pub(crate) fn next(step: &mut Step<'_>) {
    step.state(ConnectorState::Deleting);
    step.health = Health::Idle;
    step.reason = step
        .progress
        .undo
        .as_ref()
        .map(|problem| problem.message.clone());
    workers::bury(step);
    workers::pursue_stops(step);
    let alive: Vec<String> = workers::alive(step)
        .map(|worker| worker.id.clone())
        .collect();
    if !alive.is_empty() {
        for id in alive {
            workers::stop(step, id);
        }
        step.wait("workers to stop");
        return;
    }
    let dead = step
        .seen
        .workers
        .iter()
        .any(|w| matches!(w.state, WorkerState::Dead(_)));
    if dead {
        step.wait("dead workers to be buried");
        return;
    }
    let bare_since_ms = *step.progress.bare_since_ms.get_or_insert(step.now_ms);
    let waited_ms = step.now_ms.saturating_sub(bare_since_ms);
    let revoke = principal::remains(step);
    let trouble = matches!(step.seen.principal, Principal::Trouble { .. });
    if revoke && trouble && waited_ms > step.timing.kafka_patience_ms {
        step.actions.push(Action::LeaveTopicsForLater);
        return vanish(step);
    }
    if revoke {
        step.act(
            Action::Revoke,
            "user and ACLs to be removed from the Kafka cluster",
        );
        return;
    }
    match (step.goal.life, &step.seen.kafka) {
        (Life::DeleteKeepingTopics, _) | (_, Kafka::TopicsGone) => {}
        (_, Kafka::Trouble { .. }) if waited_ms > step.timing.kafka_patience_ms => {
            step.actions.push(Action::LeaveTopicsForLater);
        }
        _ => {
            step.act(
                Action::DeleteTopics,
                "internal topics to be deleted from the Kafka cluster",
            );
            return;
        }
    }
    vanish(step);
}

fn vanish(step: &mut Step<'_>) {
    let ending = step.goal.operation.map(|operation| ending(step, operation));
    step.actions.push(Action::Vanish(ending));
}

fn ending(step: &Step<'_>, operation: OpenOperation) -> Ending {
    let undone = step
        .progress
        .undo
        .clone()
        .filter(|_| operation.kind != OperationKind::Delete);
    Ending {
        operation: operation.id,
        outcome: if undone.is_some() {
            Outcome::Failed
        } else {
            Outcome::Succeeded
        },
        problem: undone,
    }
}
