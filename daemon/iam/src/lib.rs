//! Policy documents in the JSON of AWS IAM: a strict subset, its evaluation, and what a role needs
//! to be usable.
//!
//! Everything that is not understood is refused when it is written, never skipped: an element that
//! is silently ignored would grant more, or less, than its author meant. Facts about grammar and
//! semantics are those of the IAM user guide ("IAM JSON policy reference"); the table of actions is
//! that of the service authorization reference ("Apache Kafka APIs for Amazon MSK clusters").
//!
//! [`compile`] translates the policies of a role into the ACLs of one principal on one cluster.

pub mod acl;
pub mod action;
pub mod compile;
pub mod condition;
pub mod evaluate;
pub mod glob;
pub mod names;
pub mod needs;
pub mod policy;
pub mod render;
pub mod role;
pub mod trust;

mod element;
mod equivalence;
mod grants;
mod json;

pub use acl::{Acl, CLUSTER_NAME, Operation, Pattern, Permission};
pub use action::{Action, ResourceType};
pub use compile::{Compiled, compile, expressible};
pub use condition::{ConditionKey, Context};
pub use equivalence::equivalent;
pub use evaluate::{Decision, evaluate};
pub use names::Names;
pub use needs::{Missing, Need, Needs, NeedsInput, Severity, missing, needs, report, unneeded};
pub use policy::{Effect, PolicyDocument, Statement};
pub use render::{ConditionInput, PrincipalInput, StatementInput, render};
pub use role::{RoleCheck, check_for_connector, check_role, check_trust};
pub use trust::{TrustPolicy, Why};
