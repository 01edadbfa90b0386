//! The connector's principal on the broker: its user and its ACLs come before its workers and go
//! after them, and are looked at again and again in between.

use crate::connector::{Stage, Step};
use crate::plan::{Action, Which};
use crate::world::Target;
use runnel_api::Problem;

/// What we know of a connector's user and ACLs on the broker. Set by the executor after each attempt
/// to make or remove them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Principal {
    /// Nobody tried since the daemon started.
    #[default]
    Unknown,
    /// They were as wanted when looked at last, or were made so.
    Granted {
        /// [`Target::grant_digest`] of then.
        digest: String,
        /// When, milliseconds since the Unix epoch.
        at_ms: u64,
    },
    /// They are not there any more.
    Gone,
    /// The last attempts failed.
    Trouble {
        /// Why.
        problem: Problem,
        /// When the first of them failed.
        since_ms: u64,
        /// When the last of them failed.
        at_ms: u64,
    },
}

/// Time between two attempts while the broker does not take users and ACLs.
const RETRY_MS: u64 = 1_000;

/// User and ACLs are as the role says before anything runs. A connector that runs goes on while
/// they are looked at, and while the broker is away.
pub(crate) fn grant(step: &mut Step<'_>, which: Which, target: &Target) -> Stage {
    let Some(digest) = &target.grant_digest else {
        return Stage::Passes;
    };
    let runs = step.progress.settled.is_some() && step.goal.operation.is_none();
    match &step.seen.principal {
        Principal::Granted {
            digest: known,
            at_ms,
        } if known == digest => {
            if step.now_ms.saturating_sub(*at_ms) >= step.timing.grant_look_ms {
                step.actions.push(Action::Grant(which));
            }
            Stage::Passes
        }
        Principal::Trouble {
            problem,
            since_ms,
            at_ms,
        } => {
            let since_ms = (*since_ms).max(step.goal.operation.map_or(0, |open| open.accepted_ms));
            let waited_ms = step.now_ms.saturating_sub(since_ms);
            if !runs && waited_ms > step.timing.kafka_patience_ms {
                step.fail(problem.clone());
                return Stage::Holds;
            }
            if step.now_ms.saturating_sub(*at_ms) >= RETRY_MS {
                step.actions.push(Action::Grant(which));
            }
            if runs {
                return Stage::Passes;
            }
            let what = format!("users and ACLs on the Kafka cluster: {}", problem.message);
            step.wait(what)
        }
        _ if runs => {
            step.actions.push(Action::Grant(which));
            Stage::Passes
        }
        _ => step.act(Action::Grant(which), "users and ACLs on the Kafka cluster"),
    }
}

/// Whether the broker still knows the connector.
pub(crate) fn remains(step: &Step<'_>) -> bool {
    step.goal.has_principal && step.seen.principal != Principal::Gone
}
