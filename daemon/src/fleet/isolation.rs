//! Limits of a worker by control groups: v2 where a subtree is delegated to us, v1 where its folders can be written.
//!
//! The worker writes itself into its groups before it becomes Java, so no moment of its life is unlimited.

use super::launch::{WorkerId, memory_mib};
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Folder under which the workers' groups are made.
const PARENT: &str = "runnel";
/// Scheduling period, microseconds; the kernel's default.
const PERIOD_US: u64 = 100_000;
/// Processes and threads of one MCU. A Debezium worker has about 80.
const PIDS_PER_MCU: u64 = 2048;

/// How long a group may stay busy after its worker's death.
const REMOVE_LIMIT: Duration = Duration::from_millis(500);

/// How strictly a worker keeps to its MCUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    /// CPU and memory are limited by the kernel.
    Enforced,
    /// One of the two is.
    Partial,
    /// Only the JVM's own flags limit it.
    None,
}

impl IsolationLevel {
    /// As the API says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforced => "ENFORCED",
            Self::Partial => "PARTIAL",
            Self::None => "NONE",
        }
    }
}

impl fmt::Display for IsolationLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What can be limited on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    groups: Groups,
    /// Why it is not enforced, or by what it is; one sentence.
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Groups {
    V2 {
        base: PathBuf,
    },
    V1 {
        cpu: Option<PathBuf>,
        memory: Option<PathBuf>,
    },
    None,
}

/// See [`Isolation::accounts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Accounts {
    pub(super) cpu: Option<PathBuf>,
    pub(super) memory: Option<PathBuf>,
}

/// One file of a control group: name, value, whether it must be written.
type Setting = (&'static str, String, bool);

/// One line of `/proc/self/mountinfo` that matters: mount point, type, super options.
type Mount<'a> = (&'a str, &'a str, &'a str);

fn mounts(mountinfo: &str) -> impl Iterator<Item = Mount<'_>> {
    mountinfo.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let point = left.split(' ').nth(4)?;
        let mut right = right.split(' ');
        let kind = right.next()?;
        let options = right.nth(1).unwrap_or_default();
        Some((point, kind, options))
    })
}

/// Our own group below the mount of a v1 controller.
fn v1_base(controller: &str, mountinfo: &str, own: &str) -> Option<PathBuf> {
    let (point, _, _) = mounts(mountinfo).find(|(_, kind, options)| {
        *kind == "cgroup" && options.split(',').any(|option| option == controller)
    })?;
    let path = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let controllers = parts.nth(1)?;
        controllers
            .split(',')
            .any(|name| name == controller)
            .then(|| parts.next())
            .flatten()
    })?;
    Some(Path::new(point).join(path.trim_start_matches('/')))
}

/// The folder that holds our own v2 group: processes may live only in leaves, so the workers' groups stand beside
/// ours (systemd: `Delegate=yes` with `DelegateSubgroup=`).
fn v2_base(mountinfo: &str, own: &str) -> Option<PathBuf> {
    let (point, _, _) = mounts(mountinfo).find(|(_, kind, _)| *kind == "cgroup2")?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Path::new(point).join(path).parent().map(Path::to_owned)
}

/// Whether a v2 group hands CPU and memory on to groups below it.
fn hands_on(subtree_control: &str) -> bool {
    ["cpu", "memory"]
        .iter()
        .all(|wanted| subtree_control.split_whitespace().any(|c| c == *wanted))
}

/// Lets a group that systemd gave to us hand its controllers on: `Delegate=yes` makes them available there and leaves
/// the rest to the service. A group that was not given to us is left alone.
fn take_delegated(base: &Path) {
    if is_delegated(base) {
        // What cannot be had is seen by who reads the file afterwards.
        let _ = fs::write(base.join("cgroup.subtree_control"), "+cpu +memory +pids");
    }
}

/// The mark of systemd on groups whose management it has given away; the first can be read by everybody, since
/// release 251 (systemd's "Control Group APIs and Delegation").
fn is_delegated(base: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0_u8; 1];
        rustix::fs::getxattr(base, *name, &mut value)
            .is_ok_and(|length| length == 1 && value == *b"1")
    })
}

/// Makes the parent folder, which shows whether we may.
fn usable(base: &Path) -> Option<PathBuf> {
    let parent = base.join(PARENT);
    match fs::create_dir(&parent) {
        Ok(()) => Some(parent),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Some(parent),
        Err(_) => None,
    }
}

impl Isolation {
    /// Looks at this machine.
    pub fn detect() -> Self {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        if let Some(base) = v2_base(&mountinfo, &own)
            .inspect(|base| take_delegated(base))
            .filter(|base| {
                fs::read_to_string(base.join("cgroup.subtree_control"))
                    .is_ok_and(|text| hands_on(&text))
            })
            && let Some(base) = usable(&base)
            && fs::write(base.join("cgroup.subtree_control"), "+cpu +memory").is_ok()
        {
            return Self {
                groups: Groups::V2 { base },
                reason: "control groups version 2 limit CPU and memory".into(),
            };
        }
        let cpu = v1_base("cpu", &mountinfo, &own).and_then(|base| usable(&base));
        let memory = v1_base("memory", &mountinfo, &own).and_then(|base| usable(&base));
        Self::of_v1(cpu, memory)
    }

    /// Limits nothing; for a host whose operator wants it so.
    pub fn none() -> Self {
        Self::of_v1(None, None)
    }

    fn of_v1(cpu: Option<PathBuf>, memory: Option<PathBuf>) -> Self {
        let reason = match (&cpu, &memory) {
            (Some(_), Some(_)) => "control groups version 1 limit CPU and memory",
            (Some(_), None) => "control groups version 1 limit CPU; memory only by JVM flags",
            (None, Some(_)) => "control groups version 1 limit memory; CPU only by JVM flags",
            (None, None) => {
                "no control group can be written; JVM flags only (systemd: Delegate=yes and DelegateSubgroup=)"
            }
        };
        let groups = if cpu.is_none() && memory.is_none() {
            Groups::None
        } else {
            Groups::V1 { cpu, memory }
        };
        Self {
            groups,
            reason: reason.into(),
        }
    }

    /// How strict it is.
    pub const fn level(&self) -> IsolationLevel {
        match &self.groups {
            Groups::V2 { .. }
            | Groups::V1 {
                cpu: Some(_),
                memory: Some(_),
            } => IsolationLevel::Enforced,
            Groups::V1 { .. } => IsolationLevel::Partial,
            Groups::None => IsolationLevel::None,
        }
    }

    /// Makes the groups of a worker; gives the `cgroup.procs` files to which it must write itself.
    pub fn prepare(
        &self,
        worker: &WorkerId,
        mcu_count: u32,
        mcu_memory_mib: u32,
    ) -> io::Result<Vec<PathBuf>> {
        let mut procs = Vec::new();
        for (dir, settings) in self.settings(worker, mcu_count, mcu_memory_mib) {
            match fs::create_dir(&dir) {
                Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
            for (file, value, required) in settings {
                let written = fs::write(dir.join(file), value);
                if required {
                    written?;
                }
            }
            procs.push(dir.join("cgroup.procs"));
        }
        Ok(procs)
    }

    /// Removes the groups of a dead worker.
    pub fn remove(&self, worker: &WorkerId) {
        let end = Instant::now() + REMOVE_LIMIT;
        for (dir, _) in self.settings(worker, 1, 1) {
            // A dead process is in its group until its parent has read its end. If that takes too long an empty
            // folder stays, which limits nobody.
            while fs::remove_dir(&dir).is_err_and(|e| e.kind() == ErrorKind::ResourceBusy)
                && Instant::now() < end
            {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Folders in which the kernel may account for a worker: of CPU time and of memory. They need not exist.
    pub(super) fn accounts(&self, worker: &WorkerId) -> Accounts {
        let of = |base: &PathBuf| base.join(worker.as_str());
        match &self.groups {
            Groups::None => Accounts::default(),
            Groups::V2 { base } => Accounts {
                cpu: Some(of(base)),
                memory: Some(of(base)),
            },
            Groups::V1 { cpu, memory } => Accounts {
                cpu: cpu.as_ref().map(of),
                memory: memory.as_ref().map(of),
            },
        }
    }

    /// Folder and files of each group.
    fn settings(
        &self,
        worker: &WorkerId,
        mcu_count: u32,
        mcu_memory_mib: u32,
    ) -> Vec<(PathBuf, Vec<Setting>)> {
        let memory = (memory_mib(mcu_count, mcu_memory_mib) << 20).to_string();
        let quota = u64::from(mcu_count) * PERIOD_US;
        let pids = (u64::from(mcu_count) * PIDS_PER_MCU).to_string();
        match &self.groups {
            Groups::None => Vec::new(),
            Groups::V2 { base } => vec![(
                base.join(worker.as_str()),
                vec![
                    ("cpu.max", format!("{quota} {PERIOD_US}"), true),
                    ("memory.max", memory, true),
                    ("memory.swap.max", "0".into(), false),
                    ("memory.oom.group", "1".into(), false),
                    ("pids.max", pids, false),
                ],
            )],
            Groups::V1 { cpu, memory: group } => {
                let cpu = cpu.iter().map(|base| {
                    let files = vec![
                        ("cpu.cfs_period_us", PERIOD_US.to_string(), true),
                        ("cpu.cfs_quota_us", quota.to_string(), true),
                    ];
                    (base.join(worker.as_str()), files)
                });
                let memory = group.iter().map(|base| {
                    let files = vec![
                        ("memory.limit_in_bytes", memory.clone(), true),
                        ("memory.swappiness", "0".into(), false),
                    ];
                    (base.join(worker.as_str()), files)
                });
                cpu.chain(memory).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "\
29 26 0:25 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
30 26 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
31 26 0:27 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
";

    #[test]
    fn a_v1_group_is_our_own_below_its_controller() {
        let own = "4:memory:/a/b\n3:cpuset:/c\n2:cpu,cpuacct:/\n0::/\n";
        assert_eq!(
            v1_base("memory", V1, own),
            Some("/sys/fs/cgroup/memory/a/b".into())
        );
        assert_eq!(
            v1_base("cpu", V1, own),
            Some("/sys/fs/cgroup/cpu,cpuacct/".into())
        );
        assert_eq!(v1_base("pids", V1, own), None);
        assert_eq!(v1_base("cpu", "", own), None);
        assert_eq!(v1_base("cpu", V1, ""), None);
    }

    #[test]
    fn a_v2_worker_stands_beside_our_own_group() {
        let info = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        let own = "0::/system.slice/runnel.service/daemon\n";
        assert_eq!(
            v2_base(info, own),
            Some("/sys/fs/cgroup/system.slice/runnel.service".into())
        );
        assert!(hands_on("cpuset cpu io memory pids\n"));
        assert!(!hands_on("memory pids"));
        assert!(!hands_on("cpuset memory"));
    }

    #[test]
    fn only_a_group_that_was_given_to_us_is_told_to_hand_on() {
        let dir = tempfile::tempdir().unwrap();
        let control = dir.path().join("cgroup.subtree_control");
        take_delegated(dir.path());
        assert!(!control.exists());
        let mark = |text: &[u8]| {
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(dir.path(), "user.delegate", text, flags)
        };
        if mark(b"0").is_err() {
            eprintln!("SKIPPED: the folder for temporary files takes no attributes");
            return;
        }
        take_delegated(dir.path());
        assert!(!control.exists());
        mark(b"1").unwrap();
        take_delegated(dir.path());
        assert_eq!(fs::read_to_string(control).unwrap(), "+cpu +memory +pids");
    }

    #[test]
    fn the_level_says_what_is_limited() {
        let some = || Some(PathBuf::from("/x"));
        for (cpu, memory, level) in [
            (some(), some(), "ENFORCED"),
            (some(), None, "PARTIAL"),
            (None, some(), "PARTIAL"),
            (None, None, "NONE"),
        ] {
            assert_eq!(Isolation::of_v1(cpu, memory).level().as_str(), level);
        }
    }

    #[test]
    fn limits_follow_the_mcus() {
        let isolation = Isolation::of_v1(Some("/cpu".into()), Some("/mem".into()));
        let worker = WorkerId::parse("w-1").unwrap();
        let settings = isolation.settings(&worker, 2, 4096);
        assert_eq!(settings[0].0, PathBuf::from("/cpu/w-1"));
        assert_eq!(settings[0].1[1].1, "200000");
        assert_eq!(settings[1].1[0].1, "8589934592");
        assert!(Isolation::none().prepare(&worker, 1, 1).unwrap().is_empty());
    }
}
