//! `runnel shim RUN_DIR`: the small parent of one worker.
//!
//! One thread, no async runtime. It outlives the daemon; the worker does not outlive it. It reads the worker's output
//! into the log, tells on disk what the worker is doing, and passes SIGTERM on.
//!
//! The worker is made in two steps, because without `unsafe` nothing can run between fork and exec: the shim starts
//! itself a second time (`--exec`), and that process binds its life to the shim's, limits itself and becomes Java.

pub mod exec;
pub mod log;
pub mod sense;

use super::process::{ProcessHandle, ProcessId, timespec};
use super::run_dir::{
    self, EXIT, ExitInfo, LISTENING, LOCK, LOG, Listening, ORDER, SHIM, ShimOrder, Started, WORKER,
    now_ms, read_json, write_json,
};
use super::secrets::Redactor;
use crate::failpoint::{self, Moment};
use log::{Lines, RotatingLog, presentable};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, OFlags, fcntl_setfl, flock};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process_group, set_child_subreaper, setsid};
use sense::{LastWords, News};
use signal_hook::consts::SIGTERM;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// How long the shim waits for a lock that a look of the daemon holds for a moment.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// How long the output is read on after the worker's death; a grandchild may hold the pipe.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);
/// How long the exit is tried to be written when the disk is full.
const EXIT_WRITE_LIMIT: Duration = Duration::from_secs(10);
/// A worker that joins again and again must not make the shim write a file each time.
const NEWS_PAUSE: Duration = Duration::from_millis(200);

/// The subcommand. `args` are those after `shim`.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let result = match args.as_slice() {
        [flag, run, parent] if flag == "--exec" => exec::become_worker(Path::new(run), parent),
        [run] => run_shim(Path::new(run)),
        _ => Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it is started by the daemon, as `runnel shim RUN_DIR`",
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // To `shim.err`, or into the worker's log when this is the second step.
            eprintln!("runnel shim: {e}");
            ExitCode::from(127)
        }
    }
}

fn run_shim(run: &Path) -> io::Result<()> {
    watch_failpoints(run);
    // EPERM: leader already, when a person starts it from a shell.
    let _ = setsid();
    set_child_subreaper(Some(rustix::process::getpid()))?;
    std::env::set_current_dir("/")?;
    let (signals, signal_writer) = UnixStream::pair()?;
    signals.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGTERM, signal_writer)?;
    let _lock = lock(&run.join(LOCK))?;
    if run.join(EXIT).exists() || run.join(SHIM).exists() {
        return Err(io::Error::other("this worker has been started before"));
    }
    let order: ShimOrder = read_json(&run.join(ORDER))?
        .ok_or_else(|| io::Error::new(ErrorKind::NotFound, "order.json is missing"))?;
    let me = ProcessId::of(std::process::id())?;
    failpoint::reach(Moment::Before, "shim-name-itself");
    write_json(&run.join(SHIM), &me)?;
    failpoint::reach(Moment::Before, "shim-spawn");
    let (child, output) = spawn(run)?;
    failpoint::reach(Moment::Before, "shim-name-worker");
    // From here on every way out takes the worker with it: it is bound to this process.
    let worker = ProcessId::of(child.id())?;
    let handle = worker
        .open()?
        .ok_or_else(|| io::Error::other("the worker was gone at once"));
    let started = Started {
        worker,
        shim: me,
        started_ms: now_ms(),
    };
    write_json(&run.join(WORKER), &started)?;
    failpoint::reach(Moment::After, "shim-name-worker");
    Keeper {
        run: run.to_owned(),
        log: RotatingLog::open(run.join(LOG), order.log_bytes),
        lines: Lines::default(),
        redaction: Redaction::new(order.secrets.clone()),
        words: LastWords::default(),
        listening: None,
        unsaved: None,
        deadline: Duration::from_millis(order.stop_deadline_ms),
        stop: Stop::NotAsked,
        cgroups: order.cgroups,
    }
    .keep(child, handle.ok().as_ref(), output, signals)
}

/// The run dir is `DATA_DIR/fleets/CONNECTOR_ID/workers/WORKER_ID`.
fn watch_failpoints(run: &Path) {
    if let Some(data_dir) = run.ancestors().nth(4) {
        failpoint::watch(data_dir);
    }
}

/// Held until the shim ends, however it ends.
fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let end = Instant::now() + LOCK_WAIT;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(io::Error::other("another shim keeps this worker"));
            }
            Err(e) => return Err(e.into()),
        }
    }
}

fn spawn(run: &Path) -> io::Result<(Child, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfl(&read, OFlags::NONBLOCK)?;
    let child = Command::new("/proc/self/exe")
        .arg0("runnel")
        .args(["shim", "--exec"])
        .arg(run)
        .arg(std::process::id().to_string())
        .env_clear()
        .current_dir(run)
        // A group of its own: what the worker leaves behind can be ended with one signal.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(write.try_clone()?)
        .stderr(write)
        .spawn()?;
    Ok((child, read))
}

/// Where a stop stands. Moved by SIGTERM to the shim, then by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    NotAsked,
    /// The worker got SIGTERM; at this moment it gets SIGKILL.
    Until(Instant),
    /// It got SIGKILL.
    Killed,
}

/// The secrets to replace, read again when their folder changes.
struct Redaction {
    folder: PathBuf,
    seen: Option<SystemTime>,
    redactor: Redactor,
}

impl Redaction {
    fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            seen: None,
            redactor: Redactor::default(),
        }
    }

    /// One `stat` for each piece of output. A secret file is in place before the worker is told of it, so it is known
    /// here before the worker can print it. After a failed reading the old secrets stay.
    fn refresh(&mut self) {
        let modified = std::fs::metadata(&self.folder).and_then(|folder| folder.modified());
        let Ok(modified) = modified else { return };
        if self.seen != Some(modified)
            && let Ok(redactor) = Redactor::of_folder(&self.folder)
        {
            self.redactor = redactor;
            self.seen = Some(modified);
        }
    }
}

struct Keeper {
    run: PathBuf,
    log: RotatingLog,
    lines: Lines,
    redaction: Redaction,
    words: LastWords,
    listening: Option<Listening>,
    /// When news that are not on disk yet came.
    unsaved: Option<Instant>,
    deadline: Duration,
    stop: Stop,
    cgroups: Vec<PathBuf>,
}

impl Keeper {
    fn keep(
        mut self,
        mut child: Child,
        handle: Option<&ProcessHandle>,
        output: OwnedFd,
        mut signals: UnixStream,
    ) -> io::Result<()> {
        let mut output = File::from(output);
        let mut open = true;
        if let Some(handle) = handle {
            loop {
                let limit = self.next_wake();
                let mut fds = vec![
                    PollFd::new(handle, PollFlags::IN),
                    PollFd::new(&signals, PollFlags::IN),
                ];
                if open {
                    fds.push(PollFd::new(&output, PollFlags::IN));
                }
                match poll(&mut fds, limit.map(timespec).as_ref()) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(e) => return Err(e.into()),
                }
                let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
                if ready.get(2) == Some(&true) {
                    open = self.read_some(&mut output);
                }
                if ready[1] && drain_signals(&mut signals) {
                    self.ask_to_stop(handle)?;
                }
                self.save_news();
                self.enforce_deadline(handle)?;
                if ready[0] {
                    break;
                }
            }
        }
        // The worker is dead but not reaped, so its process group's number is still its own.
        failpoint::reach(Moment::Before, "shim-reap");
        end_group(&child);
        let status = child.wait()?;
        self.drain(&mut output, open);
        let info = ExitInfo {
            code: status.code(),
            signal: status.signal(),
            out_of_memory: self.words.out_of_memory || killed_for_memory(&self.cgroups),
            stop_requested: self.stop != Stop::NotAsked,
            deadline_passed: self.stop == Stop::Killed,
            ended_ms: now_ms(),
            last_error: self.words.last_error(),
        };
        failpoint::reach(Moment::Before, "shim-write-exit");
        write_exit(&self.run.join(EXIT), &info)?;
        failpoint::reach(Moment::After, "shim-write-exit");
        Ok(())
    }

    fn next_wake(&self) -> Option<Duration> {
        let until_kill = match self.stop {
            Stop::Until(at) => Some(at),
            Stop::NotAsked | Stop::Killed => None,
        };
        let until_save = self.unsaved.map(|since| since + NEWS_PAUSE);
        [until_kill, until_save]
            .into_iter()
            .flatten()
            .min()
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn ask_to_stop(&mut self, worker: &ProcessHandle) -> io::Result<()> {
        if self.stop == Stop::NotAsked {
            self.stop = Stop::Until(Instant::now() + self.deadline);
            worker.signal(Signal::TERM)?;
        }
        Ok(())
    }

    fn enforce_deadline(&mut self, worker: &ProcessHandle) -> io::Result<()> {
        if let Stop::Until(at) = self.stop
            && Instant::now() >= at
        {
            self.stop = Stop::Killed;
            self.log
                .write_line("WARN runnel shim: the worker did not stop in time and is killed");
            worker.signal(Signal::KILL)?;
        }
        Ok(())
    }

    /// Reads what is there, at most one buffer; false at the end of the output.
    fn read_some(&mut self, output: &mut File) -> bool {
        let mut buffer = [0; 16 << 10];
        let count = match output.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(e) => return matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        self.redaction.refresh();
        let beyond = self.redaction.redactor.longest();
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(&buffer[..count], beyond, |line| self.take_line(line));
        self.lines = lines;
        true
    }

    fn take_line(&mut self, line: &[u8]) {
        if let Some(news) = sense::news(&String::from_utf8_lossy(line)) {
            self.take_news(news);
        }
        let shown = presentable(line, &self.redaction.redactor);
        self.words.hear(&shown);
        self.log.write_line(&shown);
    }

    fn take_news(&mut self, news: News) {
        match (&mut self.listening, news) {
            // The first counts: later ones could be a connector's doing.
            (Some(_), News::Port(_)) | (None, News::Member(_)) => {}
            (None, News::Port(port)) => {
                self.listening = Some(Listening {
                    port,
                    member_id: None,
                    since_ms: now_ms(),
                });
                self.write_listening();
            }
            (Some(listening), News::Member(member)) => {
                if listening.member_id.as_ref() != Some(&member) {
                    let first = listening.member_id.is_none();
                    listening.member_id = Some(member);
                    if first {
                        self.write_listening();
                    } else {
                        self.unsaved.get_or_insert_with(Instant::now);
                    }
                }
            }
        }
    }

    fn save_news(&mut self) {
        if self
            .unsaved
            .is_some_and(|since| since.elapsed() >= NEWS_PAUSE)
        {
            self.write_listening();
        }
    }

    /// When it cannot be written (disk full), it is tried again with the next news or pause.
    fn write_listening(&mut self) {
        let Some(listening) = &self.listening else {
            return;
        };
        self.unsaved = match write_json(&self.run.join(LISTENING), listening) {
            Ok(()) => None,
            Err(_) => Some(Instant::now()),
        };
    }

    fn drain(&mut self, output: &mut File, mut open: bool) {
        let end = Instant::now() + DRAIN_LIMIT;
        while open && Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(&*output, PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(0) => break,
                Ok(_) => open = self.read_some(output),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
        }
        let mut lines = std::mem::take(&mut self.lines);
        lines.flush(|line| self.take_line(line));
    }
}

/// True when a signal has come.
fn drain_signals(signals: &mut UnixStream) -> bool {
    let mut buffer = [0; 64];
    let mut any = false;
    while let Ok(count) = signals.read(&mut buffer) {
        if count == 0 {
            break;
        }
        any = true;
    }
    any
}

/// Whether the kernel has killed in one of the worker's own control groups for want of memory: it
/// counts that in `memory.events` (version 2) and `memory.oom_control` (version 1, Linux 4.13).
fn killed_for_memory(procs: &[PathBuf]) -> bool {
    procs
        .iter()
        .filter_map(|procs| procs.parent())
        .any(|group| {
            ["memory.events", "memory.oom_control"]
                .iter()
                .filter_map(|file| std::fs::read_to_string(group.join(file)).ok())
                .any(|text| counts_a_kill(&text))
        })
}

fn counts_a_kill(text: &str) -> bool {
    text.lines()
        .filter_map(|line| line.strip_prefix("oom_kill "))
        .any(|count| count.trim() != "0")
}

fn end_group(child: &Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // ESRCH is the ordinary answer: nobody is left.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn write_exit(path: &Path, info: &ExitInfo) -> io::Result<()> {
    let end = Instant::now() + EXIT_WRITE_LIMIT;
    loop {
        match run_dir::write_json(path, info) {
            // The folder itself is gone: nobody is interested any more.
            Err(e) if e.kind() != ErrorKind::NotFound && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(200));
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_for_memory_is_read_from_both_versions() {
        let v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n";
        let v2 = "low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\noom_group_kill 0\n";
        assert!(counts_a_kill(v1) && counts_a_kill(v2));
        assert!(!counts_a_kill(
            "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"
        ));
        assert!(!killed_for_memory(&[PathBuf::from(
            "/nowhere/cgroup.procs"
        )]));
    }
}
