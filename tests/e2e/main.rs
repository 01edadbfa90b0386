//! From outside: real terraform, real daemon, real Kafka and Kafka Connect, real databases.
//!
//! One rig and one daemon serve all trials, one after the other: the machine has two cores, and
//! some trials stop the broker or kill the daemon. Each trial uses names and tables of its own and
//! leaves nothing behind. `cargo test -p e2e -- NAME` runs the trials whose name holds NAME.

mod daemon;
mod hcl;
mod rig;
mod terraform;
mod trials;
mod world;

use anyhow::{Context as _, Result, bail};
use libtest_mimic::{Arguments, Trial};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use world::World;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let world: Arc<Mutex<Option<World>>> = Arc::default();
    let trials = trials::ALL
        .iter()
        .map(|(name, trial)| {
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
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(world.lock().unwrap_or_else(PoisonError::into_inner).take());
    conclusion.exit_code()
}

/// The repository's root.
pub fn repository() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// A binary of the workspace; `World::set_up` has built it.
pub fn binary(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository().join("target"), PathBuf::from);
    target.join("debug").join(name)
}

/// Runs a command to its end: exit code (-1 after a signal), standard output and error together.
pub fn run_any(command: &mut Command) -> Result<(i32, String)> {
    let output = command
        .output()
        .with_context(|| format!("start {}", command.get_program().display()))?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok((output.status.code().unwrap_or(-1), text))
}

/// Runs a command that must succeed and gives its standard output.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}:\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Asks every 50 ms until the answer is yes, or fails after `limit`.
pub fn wait_for(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + limit;
    while !ask()? {
        if Instant::now() > until {
            bail!("waited {} s for {what}", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The last lines of a file.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
