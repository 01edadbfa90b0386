//! Who a process is, for good, and how its death is proven.
//!
//! A pid alone is reused by the kernel. The triple of pid, start time and boot is not: nothing is signalled that
//! does not match all three, and a signal goes through a pidfd, which cannot change its process.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// One process of one boot of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process id.
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`: clock ticks since boot (proc(5)).
    pub start_ticks: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

/// Whether a process is there. Moved by nobody: each look answers anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It runs.
    Alive,
    /// It does not run and never will again. A zombie without threads is dead: it does nothing any more.
    Dead,
    /// The look itself failed; treat as alive wherever a second copy would do harm.
    Unknown,
}

/// The id of this boot.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// State letter and start time out of the text of `/proc/PID/stat`.
fn parse_stat(text: &str) -> Option<(char, u64)> {
    // The command name stands in parentheses and may hold anything, parentheses too.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let start = fields.nth(18)?.parse().ok()?;
    Some((state, start))
}

impl ProcessId {
    /// Names the process that has this pid now.
    pub fn of(pid: u32) -> io::Result<Self> {
        let (_, start_ticks) = parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "unreadable /proc stat line"))?;
        Ok(Self {
            pid,
            start_ticks,
            boot_id: boot_id()?,
        })
    }

    /// Looks whether it is there.
    pub fn presence(&self) -> Presence {
        match boot_id() {
            Ok(boot) if boot != self.boot_id => return Presence::Dead,
            Ok(_) => {}
            Err(_) => return Presence::Unknown,
        }
        let text = match fs::read_to_string(format!("/proc/{}/stat", self.pid)) {
            Ok(text) => text,
            // Reading the entry of a process that goes away in between gives ESRCH.
            Err(e)
                if e.kind() == ErrorKind::NotFound
                    || e.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
            {
                return Presence::Dead;
            }
            Err(_) => return Presence::Unknown,
        };
        match parse_stat(&text) {
            Some((_, start)) if start != self.start_ticks => Presence::Dead,
            Some(('Z' | 'X' | 'x', _)) => self.presence_of_zombie(),
            Some(_) => Presence::Alive,
            None => Presence::Unknown,
        }
    }

    /// The state is that of the first thread alone. Of a killed JVM it is a zombie some milliseconds before the
    /// other threads are gone and their sockets closed (seen in a test); a pidfd tells when all are.
    fn presence_of_zombie(&self) -> Presence {
        match self.pidfd() {
            Ok(None) => Presence::Dead,
            Ok(Some(handle)) => match handle.await_death(Duration::ZERO) {
                Ok(true) => Presence::Dead,
                Ok(false) => Presence::Alive,
                Err(_) => Presence::Unknown,
            },
            Err(_) => Presence::Unknown,
        }
    }

    /// A pidfd on whoever has this pid; none when nobody has.
    fn pidfd(&self) -> io::Result<Option<ProcessHandle>> {
        let raw = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let Some(pid) = raw else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Ok(Some(ProcessHandle(fd))),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// A handle on exactly this process; none when it is dead.
    pub fn open(&self) -> io::Result<Option<ProcessHandle>> {
        let Some(handle) = self.pidfd()? else {
            return Ok(None);
        };
        // Checked after opening: from here on the handle cannot mean another process.
        match self.presence() {
            Presence::Alive => Ok(Some(handle)),
            Presence::Dead => Ok(None),
            Presence::Unknown => Err(io::Error::other("the process cannot be looked at")),
        }
    }
}

/// A pidfd.
#[derive(Debug)]
pub struct ProcessHandle(OwnedFd);

impl ProcessHandle {
    /// Sends a signal; `Ok` also when the process is dead already.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.0, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Waits for its death up to `limit`; true is a proof.
    pub fn await_death(&self, limit: Duration) -> io::Result<bool> {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(0) if left.is_zero() => return Ok(false),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl AsFd for ProcessHandle {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A duration as `poll` takes it, at most a day.
pub fn timespec(duration: Duration) -> Timespec {
    let bounded = duration.min(Duration::from_hours(24));
    Timespec {
        tv_sec: i64::try_from(bounded.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(bounded.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_hide_the_start_time() {
        let line = "42 (a) b) (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2";
        assert_eq!(parse_stat(line), Some(('S', 987_654)));
        assert_eq!(parse_stat("42 (x) S 1"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn this_process_is_alive_and_its_namesake_with_another_start_is_dead() {
        let me = ProcessId::of(std::process::id()).unwrap();
        assert_eq!(me.presence(), Presence::Alive);
        assert!(me.open().unwrap().is_some());
        let other = ProcessId {
            start_ticks: me.start_ticks + 1,
            ..me.clone()
        };
        assert_eq!(other.presence(), Presence::Dead);
        assert!(other.open().unwrap().is_none());
        let before = ProcessId {
            boot_id: "another".into(),
            ..me
        };
        assert_eq!(before.presence(), Presence::Dead);
    }

    #[test]
    fn a_killed_child_is_proven_dead_before_and_after_it_is_reaped() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        let handle = id.open().unwrap().unwrap();
        assert!(!handle.await_death(Duration::ZERO).unwrap());
        handle.signal(Signal::KILL).unwrap();
        assert!(handle.await_death(Duration::from_secs(10)).unwrap());
        assert_eq!(id.presence(), Presence::Dead);
        child.wait().unwrap();
        assert_eq!(id.presence(), Presence::Dead);
        handle.signal(Signal::KILL).unwrap();
    }
}
