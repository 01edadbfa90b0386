//! `runnel doctor`: looks at the machine without changing it and says what to do.

use crate::config::{Config, Environment};
use crate::store::{DATABASE_FILE, ROOT_TOKEN_FILE, SEALING_KEY_FILE, is_in_use};
use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The oldest Java that both runtimes' workers run on: Kafka 4 needs 17 (KIP-1013).
const JAVA_MINIMUM: u32 = 17;

/// Permission bits that let anyone but the owner in.
const OTHERS: u32 = 0o077;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, one or two words.
    pub name: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do, where there is something to do.
    pub advice: Option<String>,
}

impl Check {
    /// All is well.
    pub fn ok(name: &str, found: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, found.into(), None)
    }

    /// It could be better.
    pub fn warn(name: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(name, Verdict::Warn, found.into(), Some(advice.into()))
    }

    /// It does not work.
    pub fn fail(name: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(name, Verdict::Fail, found.into(), Some(advice.into()))
    }

    fn new(name: &str, verdict: Verdict, found: String, advice: Option<String>) -> Self {
        Self {
            name: name.to_owned(),
            verdict,
            found,
            advice,
        }
    }
}

/// Looks at Java, the data folder, the port and cgroups. Other rooms add their own checks.
pub fn checks(config: &Config, environment: &Environment) -> Vec<Check> {
    let mut checks = vec![java(config, environment)];
    checks.extend(folder(&config.data_dir));
    checks.push(port(config));
    checks.push(cgroups(
        Path::new("/sys/fs/cgroup"),
        own_cgroup().as_deref(),
    ));
    checks
}

/// The checks as lines, and whether nothing fails.
pub fn print(checks: &[Check]) -> (String, bool) {
    let mut text = String::new();
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        let _ = writeln!(text, "{verdict}  {:<12} {}", check.name, check.found);
        if let Some(advice) = &check.advice {
            let _ = writeln!(text, "      {:<12} {advice}", "");
        }
    }
    let fine = checks.iter().all(|check| check.verdict != Verdict::Fail);
    (text, fine)
}

fn java(config: &Config, environment: &Environment) -> Check {
    const INSTALL: &str = "install a JDK 17 or newer, and set JAVA_HOME or `java` in runnel.toml";
    let Some(program) = environment.find(&config.java) else {
        let found = format!("{} is not there", config.java.display());
        return Check::fail("java", found, INSTALL);
    };
    let real = std::fs::canonicalize(&program).unwrap_or(program);
    // Every JDK and JRE says its version in a file beside `bin`; no process needed.
    let release = real
        .parent()
        .and_then(Path::parent)
        .map(|home| home.join("release"));
    let version = release
        .and_then(|file| std::fs::read_to_string(file).ok())
        .and_then(|text| java_major(&text));
    let place = real.display();
    match version {
        Some(major) if major >= JAVA_MINIMUM => Check::ok("java", format!("{major} at {place}")),
        Some(major) => Check::fail("java", format!("{major} at {place}"), INSTALL),
        None => Check::warn(
            "java",
            format!("{place}, of unknown version"),
            "check that `java -version` says 17 or newer",
        ),
    }
}

/// The feature release in a JDK's `release` file (JEP 223): `JAVA_VERSION="17.0.12"`, or
/// `"1.8.0_402"` for Java 8.
fn java_major(release: &str) -> Option<u32> {
    let version = release
        .lines()
        .find_map(|line| line.strip_prefix("JAVA_VERSION="))?
        .trim_matches('"');
    let mut numbers = version.split(['.', '+', '-', '_']).map(str::parse::<u32>);
    match numbers.next()?.ok()? {
        1 => numbers.next()?.ok(),
        major => Some(major),
    }
}

fn folder(data_dir: &Path) -> Vec<Check> {
    let Some(mode) = mode(data_dir) else {
        let found = format!("{} is not there yet", data_dir.display());
        return vec![Check::ok(
            "data folder",
            format!("{found}; the daemon makes it"),
        )];
    };
    let mut checks = vec![private("data folder", data_dir, Some(mode), 0o700)];
    for (name, file) in [
        ("database", DATABASE_FILE),
        ("sealing key", SEALING_KEY_FILE),
        ("root token", ROOT_TOKEN_FILE),
    ] {
        let path = data_dir.join(file);
        checks.push(private(name, &path, self::mode(&path), 0o600));
    }
    checks
}

fn mode(path: &Path) -> Option<u32> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(metadata.permissions().mode() & 0o777)
}

fn private(name: &str, path: &Path, mode: Option<u32>, wanted: u32) -> Check {
    let place = path.display();
    match mode {
        None => Check::warn(
            name,
            format!("{place} is not there"),
            "the daemon makes it at its first start; if it has run before, look for a backup",
        ),
        Some(mode) if mode & OTHERS == 0 => Check::ok(name, format!("{place} (mode {mode:04o})")),
        Some(mode) => Check::fail(
            name,
            format!("{place} can be read by others (mode {mode:04o})"),
            format!("run: chmod {wanted:o} {place}"),
        ),
    }
}

fn port(config: &Config) -> Check {
    let listen = config.listen;
    if is_in_use(&config.data_dir) {
        let address = std::fs::read_to_string(config.address_file()).unwrap_or_default();
        return Check::ok("port", format!("a daemon runs at {}", address.trim()));
    }
    match TcpListener::bind(listen) {
        Ok(_) => Check::ok("port", format!("{listen} is free")),
        Err(error) => Check::fail(
            "port",
            format!("{listen} cannot be used: {error}"),
            "stop what uses it, or set `listen` in runnel.toml (port 0 takes a free one)",
        ),
    }
}

/// This process's group in the unified hierarchy: the line `0::/…` of `/proc/self/cgroup`
/// (cgroups(7)).
fn own_cgroup() -> Option<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(PathBuf::from(path))
}

fn cgroups(root: &Path, own: Option<&Path>) -> Check {
    const NAME: &str = "cgroups";
    const DELEGATE: &str = "run the daemon as a systemd unit with Delegate=yes to enforce limits";
    let writable = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    if root.join("cgroup.controllers").exists() {
        let group = own.map(|own| root.join(own));
        return match group {
            Some(group) if writable(&group) && writable(&group.join("cgroup.procs")) => {
                Check::ok(NAME, format!("version 2, delegated at {}", group.display()))
            }
            _ => Check::warn(NAME, "version 2, not delegated to this user", DELEGATE),
        };
    }
    if root.join("memory").exists() && root.join("cpu").exists() {
        return if writable(&root.join("memory")) {
            Check::ok(NAME, "version 1, writable")
        } else {
            Check::warn(NAME, "version 1, not writable for this user", DELEGATE)
        };
    }
    let found = "none: MCU limits are held by JVM options alone";
    Check::warn(NAME, found, DELEGATE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    #[test]
    fn the_java_version_is_read_as_jep_223_writes_it() {
        for (text, major) in [
            ("JAVA_VERSION=\"17.0.12\"", Some(17)),
            ("IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"1.8.0_402\"\n", Some(8)),
            ("JAVA_VERSION=\"21\"", Some(21)),
            ("JAVA_VERSION=\"25-ea\"", Some(25)),
            ("JAVA_VERSION=\"x\"", None),
            ("", None),
        ] {
            assert_eq!(java_major(text), major, "{text}");
        }
    }

    #[test]
    fn open_files_and_a_taken_port_fail_with_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        drop(crate::store::Store::open(&data).unwrap());
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(data.join(SEALING_KEY_FILE), open).unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let environment = Environment {
            config_home: Some(home.path().to_owned()),
            ..Environment::default()
        };
        let overrides = Overrides {
            listen: Some(taken.local_addr().unwrap().to_string()),
            data_dir: Some(data),
            ..Overrides::default()
        };
        let config = Config::load(&environment, &overrides).unwrap();
        let checks = checks(&config, &environment);
        let verdict = |name: &str| checks.iter().find(|check| check.name == name).unwrap();
        assert_eq!(verdict("data folder").verdict, Verdict::Ok);
        assert_eq!(verdict("root token").verdict, Verdict::Ok);
        assert_eq!(verdict("sealing key").verdict, Verdict::Fail);
        let advice = verdict("sealing key").advice.clone().unwrap();
        assert!(advice.starts_with("run: chmod 600 "));
        assert_eq!(verdict("port").verdict, Verdict::Fail);
        // No PATH, so no Java.
        assert_eq!(verdict("java").verdict, Verdict::Fail);
        let (text, fine) = print(&checks);
        assert!(!fine && text.contains("FAIL  sealing key"), "{text}");
    }

    #[test]
    fn cgroups_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let own = Some(Path::new("user/me"));
        let found = |own: Option<&Path>| cgroups(root.path(), own).found;
        assert!(found(own).starts_with("none"));
        std::fs::create_dir(root.path().join("memory")).unwrap();
        std::fs::create_dir(root.path().join("cpu")).unwrap();
        assert!(found(own).starts_with("version 1"));
        std::fs::write(root.path().join("cgroup.controllers"), "cpu").unwrap();
        assert!(found(own).contains("not delegated"));
        std::fs::create_dir_all(root.path().join("user/me")).unwrap();
        std::fs::write(root.path().join("user/me/cgroup.procs"), "").unwrap();
        assert!(found(own).contains("delegated at"));
        assert!(found(None).contains("not delegated"));
    }
}
