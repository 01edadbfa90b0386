//! The decision: an explicit deny wins, else any allow, else no (IAM user guide, "Policy evaluation
//! logic").

use crate::action::Action;
use crate::condition::Context;
use crate::policy::{Effect, PolicyDocument, Statement, label};

/// What the policies say about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The named statement allows it and none denies it.
    Allowed {
        /// Index of the policy.
        policy: usize,
        /// Index and Sid of the statement.
        statement: String,
    },
    /// The named statement denies it.
    Denied {
        /// Index of the policy.
        policy: usize,
        /// Index and Sid of the statement.
        statement: String,
    },
    /// No statement speaks about it.
    NotAllowed,
}

impl Decision {
    /// True for [`Decision::Allowed`] alone.
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

/// Decides a request. `resource` is a full ARN without wildcards.
pub fn evaluate(
    policies: &[PolicyDocument],
    action: Action,
    resource: &str,
    context: &Context,
) -> Decision {
    let mut allowed = Decision::NotAllowed;
    for (policy, document) in policies.iter().enumerate() {
        for (index, statement) in document.statements.iter().enumerate() {
            if !applies(statement, action, resource, context) {
                continue;
            }
            let statement_label = label(index, statement.sid.as_deref());
            match statement.effect {
                Effect::Deny => {
                    return Decision::Denied {
                        policy,
                        statement: statement_label,
                    };
                }
                Effect::Allow if !allowed.is_allowed() => {
                    allowed = Decision::Allowed {
                        policy,
                        statement: statement_label,
                    };
                }
                Effect::Allow => {}
            }
        }
    }
    allowed
}

fn applies(statement: &Statement, action: Action, resource: &str, context: &Context) -> bool {
    statement.selects_action(action)
        && statement
            .resources
            .selects(|pattern| pattern.matches(resource))
        && statement
            .conditions
            .iter()
            .all(|condition| condition.holds(context))
}
