//! `make chaos`: faults at random under load, and death between each two steps.
//!
//! Everything is seeded and bounded. It takes minutes and a machine of its own, so a plain
//! `cargo test` runs none of it: without one of the words below this program says so and ends.

mod faults;
mod figures;
mod leaks;
mod load;
mod rounds;
mod stage;
mod steps;

use anyhow::{Context as _, Result, bail};
use faults::Fault;
use rounds::Order;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

const USAGE: &str = "chaos: nothing asked for, so nothing is done. Try: make chaos N=20 SEED=1, or: make chaos-steps";

/// Said by this program to itself: it runs in a mount namespace of its own.
const OWN_MOUNTS: &str = "--own-mounts";

/// What was typed.
enum Asked {
    Nothing,
    Rounds(Order),
    Steps { only: Vec<String> },
}

/// `rounds N SEED [report] [FAULT…]`, `promises N SEED [report]`, `steps [PART-OF-A-POINT…]`.
fn asked(words: &[String]) -> Result<Asked> {
    let may_mount = words.iter().any(|word| word == OWN_MOUNTS);
    let words: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| *word != OWN_MOUNTS)
        .collect();
    match words[..] {
        [word @ ("rounds" | "promises"), rounds, seed, ref rest @ ..] => {
            let both_promises = word == "promises";
            let mut order = Order {
                rounds: rounds.parse().context("N is a number of rounds")?,
                seed: seed.parse().context("SEED is a number")?,
                only: if both_promises {
                    vec![Fault::KillWorker]
                } else {
                    Vec::new()
                },
                both_promises,
                report: false,
                may_mount,
            };
            for word in rest {
                match *word {
                    "report" => order.report = true,
                    name => order.only.push(fault(name)?),
                }
            }
            Ok(Asked::Rounds(order))
        }
        ["rounds" | "promises", ..] => bail!("rounds N SEED [report] [FAULT…]"),
        ["steps", ref rest @ ..] => Ok(Asked::Steps {
            only: rest.iter().map(|word| (*word).to_owned()).collect(),
        }),
        _ => Ok(Asked::Nothing),
    }
}

fn fault(name: &str) -> Result<Fault> {
    let found = Fault::ALL.into_iter().find(|it| format!("{it:?}") == name);
    found.with_context(|| format!("no fault is named {name}; there are: {:?}", Fault::ALL))
}

fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match asked(&words)? {
        Asked::Nothing => {
            println!("{USAGE}");
            Ok(())
        }
        Asked::Rounds(order) if !order.may_mount && can_mount() => with_own_mounts(&words),
        Asked::Rounds(order) => {
            e2e::world::World::build()?;
            rounds::run_all(&order)
        }
        Asked::Steps { only } => {
            e2e::world::World::build()?;
            steps::walk(&only)
        }
    }
}

/// Whether `unshare` gives us a mount namespace.
fn can_mount() -> bool {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "true"]);
    rustix::process::geteuid().is_root()
        && command.output().is_ok_and(|output| output.status.success())
}

/// Becomes this program in a mount namespace of its own: what it mounts nobody else sees, and it is
/// gone with the last process, however that ends.
fn with_own_mounts(words: &[String]) -> Result<()> {
    let error = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(std::env::current_exe()?)
        .args(words)
        .arg(OWN_MOUNTS)
        .exec();
    Err(error).context("start again by unshare")
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}
