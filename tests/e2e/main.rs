//! From outside: real terraform, real daemon, real Kafka and Kafka Connect, real databases.
//!
//! One rig and one daemon serve all trials, one after the other: the machine has two cores, and
//! some trials stop the broker or kill the daemon. Each trial uses names and tables of its own and
//! leaves nothing behind. A few need neither and start what they need themselves. `cargo test -p e2e -- NAME` runs the trials whose name holds NAME.

mod trials;

use e2e::world::World;
use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let world: Arc<Mutex<Option<World>>> = Arc::default();
    let alone = trials::ALONE.iter().map(|(name, trial)| {
        Trial::test(*name, || {
            trial().map_err(|error| format!("{error:#}").into())
        })
    });
    let shared = trials::ALL.iter().map(|(name, trial)| {
        let world = world.clone();
        Trial::test(*name, move || {
            let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
            if world.is_none() {
                *world = Some(World::set_up().map_err(|error| format!("{error:#}"))?);
            }
            let world = world.as_mut().ok_or("no world")?;
            world
                .run(name, *trial)
                .map_err(|error| format!("{error:#}").into())
        })
    });
    let trials = alone.chain(shared).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(world.lock().unwrap_or_else(PoisonError::into_inner).take());
    conclusion.exit_code()
}
