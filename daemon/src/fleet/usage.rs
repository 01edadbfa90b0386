//! What a worker uses: CPU time and memory, as the kernel counts them.
//!
//! CPU time comes from the worker's control group where the kernel counts it there (`cpu.stat` of version 2,
//! `cpuacct.usage` of version 1 where `cpu` and `cpuacct` are mounted together), else from `/proc/PID/stat`. A worker
//! has one of the two for its whole life, so its figures never jump from one to the other. Both hold threads that have
//! ended. Resident memory is always the process's own: a group's also has the page cache of files it has read.

use super::Fleet;
use super::isolation::Accounts;
use super::process::{Presence, ProcessId};
use super::run_dir::{Started, WORKER, read_json};
use super::seen::SeenWorker;
use std::fs;
use std::path::{Path, PathBuf};

/// What a worker has used since its start, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// CPU time since its start, user and system, all threads, in nanoseconds. Never falls for one worker id.
    pub cpu_ns: u64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Processes of its group that the kernel killed for want of memory; none where the kernel does not count.
    pub oom_kills: Option<u64>,
}

impl Fleet {
    /// What a living worker uses; none when it is dead or cannot be looked at, which is not the same as nothing.
    pub fn usage(&self, seen: &SeenWorker) -> Option<Usage> {
        if seen.state.is_dead() {
            return None;
        }
        let run = self.run(seen.connector_id, &seen.worker);
        let started: Started = read_json(&run.join(WORKER)).ok()??;
        of_process(
            &started.worker,
            &self.isolation().accounts(&seen.worker),
            Clock::of_kernel(),
        )
    }
}

/// Units of the kernel's figures.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// Clock ticks of a second (`AT_CLKTCK`, 100 on Linux).
    ticks: u64,
    /// Bytes of a page (`AT_PAGESZ`).
    page: u64,
}

impl Clock {
    fn of_kernel() -> Self {
        Self {
            ticks: rustix::param::clock_ticks_per_second().max(1),
            page: rustix::param::page_size() as u64,
        }
    }
}

/// What this process itself uses; none when `/proc` cannot be read.
pub fn of_self() -> Option<Usage> {
    let id = ProcessId::of(std::process::id()).ok()?;
    of_process(&id, &Accounts::default(), Clock::of_kernel())
}

fn of_process(id: &ProcessId, accounts: &Accounts, clock: Clock) -> Option<Usage> {
    let proc = Path::new("/proc").join(id.pid.to_string());
    let read = |file: &str| fs::read_to_string(proc.join(file)).ok();
    let member = |group: &Option<PathBuf>| group.clone().filter(|group| holds(group, id.pid));
    let memory = member(&accounts.memory);
    let cpu = member(&accounts.cpu).map_or(Counted::Elsewhere, |group| cpu_of_group(&group));
    let usage = Usage {
        cpu_ns: match cpu {
            Counted::Here(nanoseconds) => nanoseconds?,
            Counted::Elsewhere => cpu_of_stat(&read("stat")?, clock.ticks)?,
        },
        rss_bytes: rss_of_statm(&read("statm")?, clock.page)?,
        oom_kills: memory.and_then(|group| oom_kills_of_group(&group)),
    };
    // Asked last: whatever was read above was then the worker's, not that of a later process with its pid.
    (id.presence() == Presence::Alive).then_some(usage)
}

/// Whether a process is in a group; a worker that could not be put into its group must not be judged by it.
fn holds(group: &Path, pid: u32) -> bool {
    let pid = pid.to_string();
    fs::read_to_string(group.join("cgroup.procs"))
        .is_ok_and(|text| text.lines().any(|line| line == pid))
}

/// Where the kernel counts a worker's CPU time. A property of the host; nobody moves it.
enum Counted {
    /// In the group; nanoseconds, none when they cannot be read, which is doubt and no reason to count elsewhere.
    Here(Option<u64>),
    /// The group only limits.
    Elsewhere,
}

fn cpu_of_group(group: &Path) -> Counted {
    let file = |name: &str| {
        let path = group.join(name);
        path.exists()
            .then(|| fs::read_to_string(path).unwrap_or_default())
    };
    if let Some(text) = file("cpuacct.usage") {
        return Counted::Here(text.trim().parse().ok());
    }
    // Version 1 has a `cpu.stat` too, without this key.
    match file("cpu.stat").and_then(|text| value(&text, "usage_usec")) {
        Some(microseconds) => Counted::Here(microseconds.checked_mul(1_000)),
        None => Counted::Elsewhere,
    }
}

fn oom_kills_of_group(group: &Path) -> Option<u64> {
    ["memory.events", "memory.oom_control"]
        .iter()
        .find_map(|name| value(&fs::read_to_string(group.join(name)).ok()?, "oom_kill"))
}

/// The number beside a key in a file of lines `key number`.
fn value(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?
        .trim()
        .parse()
        .ok()
}

/// Fields 14 and 15 of `/proc/PID/stat`, `utime` and `stime` of all threads, in clock ticks (proc(5)).
fn cpu_of_stat(text: &str, ticks: u64) -> Option<u64> {
    // The command's name may hold anything, so fields are counted behind its last parenthesis: field 3 is the first.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let nanoseconds = u128::from(user.checked_add(system)?) * 1_000_000_000 / u128::from(ticks);
    u64::try_from(nanoseconds).ok()
}

/// Field 2 of `/proc/PID/statm`, resident pages (proc(5)).
fn rss_of_statm(text: &str, page: u64) -> Option<u64> {
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(page)
}

#[cfg(test)]
#[path = "usage_tests.rs"]
mod tests;
