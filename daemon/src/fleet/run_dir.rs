//! The folder of one worker process: what stands in it, and how it is written.
//!
//! `launch.json`, `order.json` and `stop.json` are the daemon's, the first two before the shim starts; `shim.json`, `worker.json`,
//! `listening.json` and `exit.json` are the shim's. Each is written aside, synced and renamed: a reader sees the old
//! text, the new one, or none.

use super::confinement::Confinement;
use super::process::ProcessId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the daemon wanted: a [`super::WorkerLaunch`].
pub const LAUNCH: &str = "launch.json";
/// What the shim has to do: a [`ShimOrder`].
pub const ORDER: &str = "order.json";
/// Locked by the shim as long as it lives.
pub const LOCK: &str = "worker.lock";
/// The shim's own [`ProcessId`].
pub const SHIM: &str = "shim.json";
/// A [`Started`].
pub const WORKER: &str = "worker.json";
/// A [`Listening`].
pub const LISTENING: &str = "listening.json";
/// An [`ExitInfo`].
pub const EXIT: &str = "exit.json";
/// When the daemon first asked for a stop: a [`StopAsked`].
pub const STOP: &str = "stop.json";
/// The worker's output; older parts have `.1` to `.4` at the end.
pub const LOG: &str = "worker.log";
/// What the shim itself had to say, normally nothing.
pub const SHIM_ERRORS: &str = "shim.err";

/// A file of a run dir that is larger than this was not written by us.
const FILE_LIMIT: u64 = 4 << 20;

/// What the shim has to do. It holds no secret, only where secrets are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimOrder {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The whole environment of the worker.
    pub environment: Vec<(String, String)>,
    /// Milliseconds between SIGTERM and SIGKILL.
    pub stop_deadline_ms: u64,
    /// `cgroup.procs` files to which the worker writes itself before it starts.
    pub cgroups: Vec<PathBuf>,
    /// Folder of properties files whose values must not stand in the log.
    pub secrets: PathBuf,
    /// Bytes of the worker's log with its older parts; none in orders of older releases, which
    /// means 50 MiB.
    #[serde(default)]
    pub log_bytes: Option<u64>,
    /// What the worker may open; none: whatever its user can, as in orders of older releases.
    #[serde(default)]
    pub confinement: Option<Confinement>,
}

/// The worker runs: who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The worker.
    pub worker: ProcessId,
    /// Its shim.
    pub shim: ProcessId,
    /// Milliseconds since the Unix epoch.
    pub started_ms: u64,
}

/// The worker's REST interface is bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// Port on 127.0.0.1.
    pub port: u16,
    /// Its member id in the Connect group, the latest; absent before the first join.
    pub member_id: Option<String>,
    /// When the port was seen, milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// A stop was asked for. The daemon's, so that it is known after a restart of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopAsked {
    /// Milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitInfo {
    /// Exit code, when it exited by itself (143 is Java's answer to SIGTERM, 3 to an `OutOfMemoryError`).
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// The JVM said that it ended for want of memory, or the kernel killed it for that.
    pub out_of_memory: bool,
    /// The shim was asked to stop it.
    pub stop_requested: bool,
    /// The stop deadline passed and the shim killed it.
    pub deadline_passed: bool,
    /// Milliseconds since the Unix epoch.
    pub ended_ms: u64,
    /// The last error line of the log, with the cause that followed it; secrets replaced.
    pub last_error: Option<String>,
}

/// Now, in milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Makes a folder and those above it, mode 0700 for the new ones.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Writes a file aside with mode 0600, syncs it and renames it into place.
pub fn write_atomic(path: &Path, content: &[u8]) -> io::Result<()> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "no file name in the path",
        ));
    };
    let aside = dir.join(format!(".{}.new", name.to_string_lossy()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    sync_dir(dir)
}

/// Makes renames inside a folder durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Writes a value as JSON, see [`write_atomic`].
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    write_atomic(path, &serde_json::to_vec_pretty(value)?)
}

/// Reads a JSON file; none when there is none.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    if length > FILE_LIMIT {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "the file is too large",
        ));
    }
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_private_whole_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LISTENING);
        let listening = Listening {
            port: 1,
            member_id: None,
            since_ms: 2,
        };
        assert_eq!(read_json::<Listening>(&path).unwrap(), None);
        write_json(&path, &listening).unwrap();
        write_json(&path, &listening).unwrap();
        assert_eq!(read_json::<Listening>(&path).unwrap(), Some(listening));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::write(&path, "{").unwrap();
        assert!(read_json::<Listening>(&path).is_err());
    }
}
