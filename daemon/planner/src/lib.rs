//! The planner: `plan(&World) -> Plan`. No I/O, no clock, no randomness, and it cannot fail.
//!
//! A [`World`] is what is wanted, what is seen and what was done so far; a [`Plan`] is the next
//! actions of each connector, the status to tell, and when to look again at the latest. The
//! executor obeys: it has no `if` about policy. Every pass plans from the whole view, so the path
//! after a crash is the path of every day.

pub mod admission;
mod back_off;
mod change;
mod connector;
pub mod derive;
mod failure;
mod plan;
mod principal;
mod resize;
pub mod scale;
mod steady;
mod teardown;
mod workers;
mod world;

pub use back_off::BackOff;
pub use failure::{FailureKind, Retry, classify};
pub use plan::{Action, ConnectorPlan, Ending, Plan, Which};
pub use principal::Principal;
pub use world::{
    Away, Connect, ConnectState, Exit, Goal, Halt, Host, Kafka, Life, OpenOperation, Preflight,
    Progress, Reach, Reading, RestartedTask, RollBack, Seen, Target, Task, Timing, View, Worker,
    WorkerState, World,
};

/// Decides the next step of every connector.
///
/// The same world gives the same plan. One connector's plan does not depend on another's.
pub fn plan(world: &World) -> Plan {
    Plan {
        connectors: world
            .connectors
            .iter()
            .map(|(name, view)| {
                (
                    name.clone(),
                    connector::next(name, view, world.now_ms, &world.timing),
                )
            })
            .collect(),
    }
}
