//! How workers are ended and their files removed: by proof, and whole.

use super::launch::WorkerId;
use super::process::ProcessId;
use super::run_dir::{EXIT, ExitInfo, LOCK, SHIM, Started, now_ms, write_json};
use super::{FleetError, failed, file_name};
use rustix::process::Signal;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Signals the worker if it lives.
pub fn signal(started: Option<&Started>, signal: Signal) -> io::Result<()> {
    match started.map(|started| started.worker.open()).transpose()? {
        Some(Some(handle)) => handle.signal(signal),
        Some(None) | None => Ok(()),
    }
}

/// SIGKILL, and a proof within a limit.
pub fn end(id: &ProcessId, limit: Duration) -> io::Result<bool> {
    match id.open()? {
        None => Ok(true),
        Some(handle) => {
            handle.signal(Signal::KILL)?;
            handle.await_death(limit)
        }
    }
}

/// Proves that a shim which wrote nothing is not there and never will be: its lock is taken, and an exit is left that
/// a shim which comes late finds.
pub fn never_started(run: &Path, worker: &WorkerId) -> Result<(), FleetError> {
    let path = run.join(LOCK);
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed("open", &path))?;
    let taken = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive);
    if taken.is_err() || run.join(SHIM).exists() {
        return Err(FleetError::TooEarly(worker.clone()));
    }
    let exit = ExitInfo {
        code: None,
        signal: None,
        out_of_memory: false,
        stop_requested: true,
        deadline_passed: false,
        ended_ms: now_ms(),
        last_error: Some("the worker was given up before it was started".into()),
    };
    let path = run.join(EXIT);
    if path.exists() {
        return Ok(());
    }
    write_json(&path, &exit).map_err(failed("write", &path))
}

/// Renamed first, so that half of it is never seen.
pub fn remove_whole(dir: &Path) -> io::Result<()> {
    let aside = dir.with_file_name(format!(".gone-{}", file_name(dir)));
    fs::rename(dir, &aside)?;
    fs::remove_dir_all(&aside)
}

/// Removes what an earlier daemon began to make or to remove. Nothing runs in a folder with a dot.
pub fn remove_unfinished(root: &Path) {
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    let homes: Vec<_> = entries(root).collect();
    let runs: Vec<_> = homes
        .iter()
        .flat_map(|home| entries(&home.path().join("workers")))
        .collect();
    for entry in homes.into_iter().chain(runs) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(".gone-") || name.starts_with(".new-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
