//! What a worker may open, held by the kernel: Landlock (landlock(7)) for files, signals and tracing, and no
//! capabilities where the daemon is root.
//!
//! The list is made when a worker is started and stands in its `order.json`; the process that becomes the worker
//! binds itself to it before it is Java. The kernel knows only what is allowed, so nothing can be taken out of a
//! folder again: folders are named only where everything in them may be seen.

use super::launch::{LaunchPaths, WorkerLaunch};
use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The newest version of Landlock whose rules were tried with workers; an older kernel does what it can.
const TRIED: ABI = ABI::V7;

/// The dynamic linker with its libraries, and where other builders of systems have them.
const PROGRAMS: [&str; 7] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/gnu/store",
];

/// What Java and the C library read everywhere: names, times, certificates of authorities, the kernel's figures.
/// Of other processes `/proc` shows what `ps` does: Landlock lets nobody trace, or read the memory and environment of,
/// a process outside of its own confinement.
const SYSTEM: [&str; 28] = [
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/pki/ca-trust",
    "/etc/pki/java",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
    "/proc",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm",
    "/usr/share/ca-certificates",
    "/usr/share/zoneinfo",
];

/// Devices that hold nothing.
const DEVICES: [&str; 5] = [
    "/dev/full",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
];

/// Files of a Java home that distributions keep elsewhere and link to.
const LINKED_BY_JAVA: [&str; 6] = [
    "conf/net.properties",
    "conf/management/management.properties",
    "conf/security/java.security",
    "lib/jvm.cfg",
    "lib/security/cacerts",
    "lib/security/default.policy",
];

/// What the operator says of all workers (`[workers]` in `runnel.toml`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerAccess {
    /// False: workers may open whatever the daemon's user can.
    pub confined: bool,
    /// Files and folders that they may read besides.
    pub readable: Vec<PathBuf>,
    /// Folders in which they may also write.
    pub writable: Vec<PathBuf>,
}

impl Default for WorkerAccess {
    fn default() -> Self {
        Self {
            confined: true,
            readable: Vec::new(),
            writable: Vec::new(),
        }
    }
}

/// What one worker may open; part of its order. Paths that are not there are left out by who enters it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Below these it may read and run.
    pub run: Vec<PathBuf>,
    /// Below these it may read.
    pub read: Vec<PathBuf>,
    /// Below these it may read and write.
    pub write: Vec<PathBuf>,
}

/// How far a process was confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confined {
    /// By all rules that we know.
    Fully,
    /// By those that this kernel knows.
    Partly,
    /// Not at all: the kernel has no Landlock, or it is switched off.
    No,
}

impl Confinement {
    /// What a launch needs; none when Java is a script, whose interpreter and next program are not known.
    pub(super) fn of(
        launch: &WorkerLaunch,
        paths: &LaunchPaths,
        jars: &[PathBuf],
        access: &WorkerAccess,
    ) -> Option<Self> {
        if is_script(&launch.java) {
            return None;
        }
        let mut run: BTreeSet<PathBuf> = PROGRAMS.iter().map(PathBuf::from).collect();
        let mut read: BTreeSet<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        let (home, linked) = java_home(&launch.java);
        run.extend(home);
        read.extend(linked);
        read.extend(names());
        read.insert(launch.runtime.libs.clone());
        // A runtime may be a folder of links into Maven's.
        read.extend(jars.iter().filter(|jar| jar.is_symlink()).cloned());
        read.extend(
            launch
                .runtime
                .archive
                .as_ref()
                .map(|archive| archive.path.clone()),
        );
        read.extend(launch.plugin_dirs.iter().cloned());
        read.extend(launch.extra_jars.iter().cloned());
        read.insert(paths.secrets.clone());
        read.insert(paths.jaas.clone());
        read.insert(paths.jaas.with_file_name("rest.properties"));
        read.insert(paths.run.clone());
        read.extend(access.readable.iter().cloned());
        let mut write: BTreeSet<PathBuf> = DEVICES.iter().map(PathBuf::from).collect();
        write.insert(paths.run.join("tmp"));
        write.extend(access.writable.iter().cloned());
        let list = |set: BTreeSet<PathBuf>| set.into_iter().collect();
        Some(Self {
            run: list(run),
            read: list(read),
            write: list(write),
        })
    }

    /// Confines this process and all that it becomes or starts. For good.
    pub(super) fn enter(&self) -> io::Result<Confined> {
        self.restrict().map_err(io::Error::other)
    }

    fn restrict(&self) -> Result<Confined, RulesetError> {
        let all = AccessFs::from_all(TRIED);
        let run = AccessFs::from_read(TRIED);
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let write = all & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock);
        let status = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)?
            // No signal to a process outside, no abstract socket of one (since Linux 6.12).
            .scope(Scope::from_all(TRIED))?
            .create()?
            .add_rules(path_beneath_rules(&self.run, run))?
            .add_rules(path_beneath_rules(&self.read, read))?
            .add_rules(path_beneath_rules(&self.write, write))?
            .restrict_self()?;
        Ok(match status.ruleset {
            RulesetStatus::FullyEnforced => Confined::Fully,
            RulesetStatus::PartiallyEnforced => Confined::Partly,
            RulesetStatus::NotEnforced => Confined::No,
        })
    }
}

/// The kernel's version of Landlock, or why there is none. The kernel is asked by a thread that confines itself, so
/// that a kernel that says yes and then refuses is found too; the thread ends with the answer.
pub fn landlock() -> Result<i32, String> {
    let asked = std::thread::spawn(|| {
        Ruleset::default()
            .handle_access(AccessFs::MakeBlock)?
            .create()?
            .restrict_self()
    });
    match asked.join() {
        Ok(Ok(status)) => match status.landlock {
            LandlockStatus::Available {
                effective_abi,
                kernel_abi,
            } => Ok(kernel_abi.unwrap_or(effective_abi as i32)),
            LandlockStatus::NotEnabled => {
                Err("the kernel has it, and `lsm=` at boot does not name it".to_owned())
            }
            LandlockStatus::NotImplemented => {
                Err("the kernel is older than 5.13 or built without it".to_owned())
            }
        },
        Ok(Err(error)) => Err(format!("the kernel refuses it: {error}")),
        Err(_) => Err("the kernel could not be asked".to_owned()),
    }
}

/// Gives all capabilities up, for this process and all that it becomes: a worker of root is then an ordinary owner of
/// root's files. Without root there is nothing to give up.
pub(super) fn give_up_capabilities() -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    for bit in 0..u64::BITS {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)) {
            // Beyond the last one that the kernel knows; or, in a container, no right to do so: then what the
            // container gave is what the worker has.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::PERM) => break,
            result => result?,
        }
    }
    let none = CapabilitySet::empty();
    set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )?;
    Ok(())
}

/// The files by which names are found may be replaced under a running worker, which a rule for a file does not
/// survive: where they are links out of `/etc`, their folder is named. In `/etc` itself that would show root's secrets to root's
/// worker; another user sees there what everybody sees.
fn names() -> Vec<PathBuf> {
    if !rustix::process::geteuid().is_root() {
        return vec![PathBuf::from("/etc")];
    }
    ["/etc/resolv.conf", "/etc/hosts"]
        .iter()
        .filter_map(|file| fs::canonicalize(file).ok()?.parent().map(Path::to_owned))
        .filter(|folder| folder != Path::new("/etc") && folder != Path::new("/"))
        .collect()
}

/// Java's home, and the folders that files of it are links into.
fn java_home(java: &Path) -> (Option<PathBuf>, BTreeSet<PathBuf>) {
    let Some(home) = fs::canonicalize(java)
        .ok()
        .and_then(|java| java.parent()?.parent().map(Path::to_owned))
        // `/usr/bin/java` that is no link, say: the whole of `/usr` is not Java.
        .filter(|home| home.join("lib").is_dir() && home.components().count() > 2)
    else {
        return (fs::canonicalize(java).ok(), BTreeSet::new());
    };
    let linked = LINKED_BY_JAVA.iter().filter_map(|file| {
        let real = fs::canonicalize(home.join(file)).ok()?;
        let folder = real.parent()?;
        (!folder.starts_with(&home) && folder.components().count() > 2).then(|| folder.to_owned())
    });
    let linked = linked.collect();
    (Some(home), linked)
}

/// Whether a file is run by an interpreter (execve(2)).
pub fn is_script(program: &Path) -> bool {
    let mut head = [0; 2];
    File::open(program)
        .and_then(|mut file| file.read_exact(&mut head))
        .is_ok_and(|()| head == *b"#!")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_folder_of_linked_files_of_java_is_found_and_a_stray_program_opens_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(dir.path()).unwrap();
        for folder in ["jdk/bin", "jdk/lib/security", "certificates", "tools"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        fs::write(dir.join("jdk/bin/java"), "\x7fELF").unwrap();
        fs::write(dir.join("certificates/all"), "").unwrap();
        symlink(
            dir.join("certificates/all"),
            dir.join("jdk/lib/security/cacerts"),
        )
        .unwrap();
        symlink(dir.join("jdk/bin/java"), dir.join("tools/java")).unwrap();
        let (home, linked) = java_home(&dir.join("tools/java"));
        assert_eq!(home, Some(dir.join("jdk")));
        assert_eq!(linked, BTreeSet::from([dir.join("certificates")]));
        // No `lib` beside its folder: the program alone.
        fs::create_dir(dir.join("tools/bin")).unwrap();
        fs::write(dir.join("tools/bin/java"), "").unwrap();
        let (alone, linked) = java_home(&dir.join("tools/bin/java"));
        assert_eq!(alone, Some(dir.join("tools/bin/java")));
        assert!(linked.is_empty());
        assert_eq!(java_home(&dir.join("missing")).0, None);
    }

    #[test]
    fn a_script_is_told_from_a_program() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("java");
        for (content, script) in [
            ("#!/bin/sh\n", true),
            ("\x7fELF", false),
            ("#", false),
            ("", false),
        ] {
            fs::write(&file, content).unwrap();
            assert_eq!(is_script(&file), script, "{content:?}");
        }
        assert!(!is_script(&dir.path().join("missing")));
    }

    #[test]
    fn a_confined_thread_reads_what_it_was_given_and_nothing_else() {
        if landlock().is_err() {
            eprintln!("SKIPPED: no Landlock");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["run", "read", "write", "none"] {
            fs::create_dir(at(folder)).unwrap();
            fs::write(at(folder).join("file"), "x").unwrap();
        }
        let confinement = Confinement {
            run: vec![at("run"), at("missing")],
            read: vec![at("read")],
            write: vec![at("write")],
        };
        // It holds for the thread alone, which ends.
        let seen = std::thread::spawn(move || {
            let confined = confinement.enter().unwrap();
            ["run", "read", "write", "none"].map(|folder| {
                let read = fs::read(dir.path().join(folder).join("file")).is_ok();
                let write = fs::write(dir.path().join(folder).join("new"), "x").is_ok();
                (confined, read, write)
            })
        });
        let seen = seen.join().unwrap();
        assert!(seen.iter().all(|(confined, ..)| *confined != Confined::No));
        let may = seen.map(|(_, read, write)| (read, write));
        assert_eq!(
            may,
            [(true, false), (true, false), (true, true), (false, false)]
        );
    }
}
