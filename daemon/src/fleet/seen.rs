//! What is known of a worker: judged from files and processes, the same for a worker of this daemon's life and for one
//! that an earlier daemon started.

use super::launch::{WorkerId, WorkerLaunch};
use super::process::{Presence, ProcessId};
use super::run_dir::{
    EXIT, ExitInfo, LAUNCH, LISTENING, LOCK, Listening, SHIM, SHIM_ERRORS, STOP, Started,
    StopAsked, WORKER, now_ms, read_json,
};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::UNIX_EPOCH;
use uuid::Uuid;

/// How long a shim may take from its start to its first file before its lock decides whether it exists at all.
const FIRST_SIGN_MS: u64 = 10_000;
/// Characters of the shim's own complaint.
const NOTE_LIMIT: usize = 500;

/// How a worker process is. Moved by the process itself, through what its shim writes down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// It is on its way: no port yet.
    Starting,
    /// Its REST interface is bound. Ready is more: `GET /health`.
    Listening {
        /// On 127.0.0.1.
        port: u16,
    },
    /// It is dead; its shim is about to write down how it ended. A wake-up follows.
    Ending,
    /// Dead, and how is known.
    Exited(ExitInfo),
    /// Dead together with its shim, by a kill or a reboot: how is not known.
    Lost,
}

impl WorkerState {
    /// Whether the worker's death is proven.
    pub const fn is_dead(&self) -> bool {
        matches!(self, Self::Ending | Self::Exited(_) | Self::Lost)
    }
}

/// One worker process, living or dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenWorker {
    /// Its connector.
    pub connector_id: Uuid,
    /// Its name.
    pub worker: WorkerId,
    /// What it was started with.
    pub launch: WorkerLaunch,
    /// How it is.
    pub state: WorkerState,
    /// Its process id, once known; also of a dead one.
    pub pid: Option<u32>,
    /// When it was started, milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// When it was first told to stop.
    pub stopping_since_ms: Option<u64>,
    /// Its latest member id in the Connect group; for `LeaveGroup` once it is dead.
    pub member_id: Option<String>,
    /// Its REST port, also of a dead one. `127.0.0.1:PORT` is its Connect `worker_id`.
    pub port: Option<u16>,
    /// What the shim itself complained of.
    pub note: Option<String>,
}

impl SeenWorker {
    /// As Connect's status names it: `127.0.0.1:PORT`.
    pub fn connect_worker_id(&self) -> Option<String> {
        self.port.map(|port| format!("127.0.0.1:{port}"))
    }
}

/// A run dir that cannot be read. Its worker may live: start no other for the connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its connector.
    pub connector_id: Uuid,
    /// The folder's name.
    pub worker: String,
    /// What is wrong.
    pub reason: String,
}

/// All workers on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Those that can be read, by connector, then by start.
    pub workers: Vec<SeenWorker>,
    /// The others.
    pub unreadable: Vec<Unreadable>,
}

/// What one look at a run dir found.
#[derive(Clone, Debug)]
struct Facts {
    exit: Option<ExitInfo>,
    /// None: it never wrote who it is.
    shim: Option<Presence>,
    /// None: the worker never came to be, or only for a moment.
    worker: Option<Presence>,
    port: Option<u16>,
    age_ms: u64,
    /// Whether somebody holds the shim's lock; asked only when it decides.
    locked: bool,
}

/// The state that the facts prove. In doubt a worker lives.
fn judge(facts: &Facts) -> WorkerState {
    let alive = || match facts.port {
        Some(port) => WorkerState::Listening { port },
        None => WorkerState::Starting,
    };
    if let Some(exit) = &facts.exit {
        return WorkerState::Exited(exit.clone());
    }
    match (facts.worker, facts.shim) {
        (Some(Presence::Alive | Presence::Unknown), _)
        | (None, Some(Presence::Alive | Presence::Unknown)) => alive(),
        (Some(Presence::Dead), Some(Presence::Alive | Presence::Unknown)) => WorkerState::Ending,
        (Some(Presence::Dead) | None, Some(Presence::Dead)) | (Some(Presence::Dead), None) => {
            WorkerState::Lost
        }
        (None, None) if facts.locked || facts.age_ms < FIRST_SIGN_MS => alive(),
        (None, None) => WorkerState::Lost,
    }
}

/// Reads one run dir.
pub fn look(connector_id: Uuid, run: &Path) -> io::Result<SeenWorker> {
    let launch: WorkerLaunch = read_json(&run.join(LAUNCH))?
        .ok_or_else(|| io::Error::new(ErrorKind::NotFound, "launch.json is missing"))?;
    let made_ms = fs::metadata(run.join(LAUNCH))?
        .modified()?
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    let age_ms = now_ms().saturating_sub(made_ms);
    // Processes first, exit last: who was alive a moment ago and has an exit now is dead, never the other way round.
    let shim: Option<ProcessId> = read_json(&run.join(SHIM))?;
    let started: Option<Started> = read_json(&run.join(WORKER))?;
    let shim_presence = shim.as_ref().map(ProcessId::presence);
    let worker_presence = started.as_ref().map(|s| s.worker.presence());
    let listening: Option<Listening> = read_json(&run.join(LISTENING))?;
    let undecided = shim.is_none() && started.is_none() && age_ms >= FIRST_SIGN_MS;
    let facts = Facts {
        shim: shim_presence,
        worker: worker_presence,
        port: listening.as_ref().map(|l| l.port),
        age_ms,
        locked: undecided && is_locked(&run.join(LOCK)),
        exit: read_json(&run.join(EXIT))?,
    };
    let stop: Option<StopAsked> = read_json(&run.join(STOP))?;
    Ok(SeenWorker {
        connector_id,
        worker: launch.worker.clone(),
        state: judge(&facts),
        pid: started.as_ref().map(|s| s.worker.pid),
        started_ms: started.as_ref().map_or(made_ms, |s| s.started_ms),
        stopping_since_ms: stop.map(|stop| stop.since_ms),
        member_id: listening.as_ref().and_then(|l| l.member_id.clone()),
        port: listening.map(|l| l.port),
        note: note(run),
        launch,
    })
}

/// Whether a shim holds the lock; also true when that cannot be told.
pub fn is_locked(path: &Path) -> bool {
    match File::open(path) {
        // Released when the file is closed; a shim that starts this moment tries again.
        Ok(file) => flock(&file, FlockOperation::NonBlockingLockExclusive).is_err(),
        Err(e) => e.kind() != ErrorKind::NotFound,
    }
}

fn note(run: &Path) -> Option<String> {
    let text = fs::read_to_string(run.join(SHIM_ERRORS)).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text[..text.floor_char_boundary(NOTE_LIMIT)].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Presence::{Alive, Dead, Unknown};

    fn state(
        shim: Option<Presence>,
        worker: Option<Presence>,
        age_ms: u64,
        locked: bool,
    ) -> WorkerState {
        judge(&Facts {
            exit: None,
            shim,
            worker,
            port: Some(7),
            age_ms,
            locked,
        })
    }

    #[test]
    fn the_facts_prove_the_state() {
        let up = WorkerState::Listening { port: 7 };
        let table = [
            (Some(Alive), Some(Alive), up.clone()),
            (Some(Alive), Some(Unknown), up.clone()),
            (Some(Unknown), Some(Alive), up.clone()),
            // The shim was killed and the kernel has not killed the worker yet.
            (Some(Dead), Some(Alive), up.clone()),
            (Some(Dead), Some(Unknown), up.clone()),
            (Some(Alive), Some(Dead), WorkerState::Ending),
            (Some(Unknown), Some(Dead), WorkerState::Ending),
            (Some(Dead), Some(Dead), WorkerState::Lost),
            (Some(Alive), None, up),
            // Killed between its two files: a worker without worker.json dies with its shim.
            (Some(Dead), None, WorkerState::Lost),
        ];
        for (shim, worker, expected) in table {
            assert_eq!(
                state(shim, worker, 99_999, false),
                expected,
                "{shim:?} {worker:?}"
            );
        }
    }

    #[test]
    fn a_shim_that_has_not_written_yet_is_believed_for_a_while_and_by_its_lock() {
        assert!(!state(None, None, 0, false).is_dead());
        assert!(!state(None, None, 60_000, true).is_dead());
        assert!(state(None, None, 60_000, false).is_dead());
    }

    #[test]
    fn an_exit_on_disk_decides() {
        let exit = ExitInfo {
            code: Some(143),
            signal: None,
            out_of_memory: false,
            stop_requested: true,
            deadline_passed: false,
            ended_ms: 1,
            last_error: None,
        };
        let facts = Facts {
            exit: Some(exit.clone()),
            shim: Some(Alive),
            worker: Some(Alive),
            port: None,
            age_ms: 0,
            locked: true,
        };
        assert_eq!(judge(&facts), WorkerState::Exited(exit));
    }
}
