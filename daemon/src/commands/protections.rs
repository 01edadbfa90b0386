//! What `runnel doctor` says of what keeps a worker, and with it a plugin that nobody has read, from its host. Each
//! line begins with `on`, `off` or `not available`.

use super::{Check, Verdict};
use crate::config::{Config, Environment};
use crate::fleet::{WorkerAccess, is_script, landlock};

/// All protections of workers on this machine.
pub fn protections(config: &Config, environment: &Environment) -> Vec<Check> {
    let script = environment
        .find(&config.java)
        .is_some_and(|java| is_script(&java));
    let mut checks = vec![
        files(landlock(), &config.workers, script),
        own_user(environment.is_root),
    ];
    if environment.is_root {
        checks.push(on("capabilities", "a worker of root gives all of them up"));
        checks.extend(names(environment.is_root, &config.workers));
    }
    checks.extend([
        on("new rights", "no_new_privs: no program gives a worker more rights than it has"),
        on("core dumps", "a worker leaves none, whatever the host does with them"),
        on("temp folder", "each worker has its own, for its user only"),
        on("attach", "no debugger or agent is let into a worker's JVM (DisableAttachMechanism), no JMX"),
        on("logins", "only SCRAM, PLAIN, OAUTHBEARER and AWS_MSK_IAM from 4.3 on; JNDI, LDAP and others that ask servers or read files are forbidden before"),
        on("providers", "only files, and only the connector's own secrets"),
        on("overrides", "client settings that connectors may override: tuning alone from 4.2 on, none before"),
    ]);
    checks
}

fn on(name: &str, found: &str) -> Check {
    Check::ok(name, format!("on: {found}"))
}

fn files(landlock: Result<i32, String>, access: &WorkerAccess, script: bool) -> Check {
    const NAME: &str = "files";
    let open = access.readable.len() + access.writable.len();
    match (landlock, access.confined, script) {
        (Err(why), _, _) => Check::warn(
            NAME,
            format!("not available: no Landlock, {why}; a worker opens whatever its user can"),
            "run a kernel of 5.13 or later with landlock in `lsm=`",
        ),
        (Ok(_), false, _) => Check::warn(
            NAME,
            "off: workers.confined is false; a worker opens whatever its user can",
            "list what connectors need in workers.readable_paths and workers.writable_paths instead",
        ),
        (Ok(_), true, true) => Check::warn(
            NAME,
            "off: java is a script, so that what it needs is not known",
            "set `java` in runnel.toml to the program itself, such as /usr/lib/jvm/…/bin/java",
        ),
        (Ok(abi), true, false) => {
            let rest = if abi < 6 {
                "; signals need version 6 (Linux 6.12)"
            } else {
                ""
            };
            let found = format!("Landlock version {abi}, {open} paths more are open{rest}");
            on(NAME, &found)
        }
    }
}

/// Workers run as the daemon's user. Giving each connector a user of its own needs files that belong to it and a
/// daemon that is root; neither is there.
fn own_user(is_root: bool) -> Check {
    const NAME: &str = "own user";
    if is_root {
        return Check::warn(
            NAME,
            "not available: workers run as root, as the daemon does",
            "run the daemon as a user of its own, as packaging/systemd does",
        );
    }
    let found = "not available: workers run as the daemon's user; its files are kept from them by Landlock alone";
    Check {
        name: NAME.to_owned(),
        verdict: Verdict::Ok,
        found: found.to_owned(),
        advice: None,
    }
}

/// A rule for a file does not outlive the file: see `fleet::confinement`.
fn names(is_root: bool, access: &WorkerAccess) -> Option<Check> {
    let plain = std::fs::symlink_metadata("/etc/resolv.conf").is_ok_and(|file| file.is_file());
    let open = access
        .readable
        .iter()
        .any(|path| path == std::path::Path::new("/etc"));
    (is_root && plain && access.confined && !open).then(|| {
        Check::warn(
            "host names",
            "a worker of root sees /etc/resolv.conf as it was at its start; if another file takes its place, it finds no names",
            "run the daemon as a user of its own; or list /etc in workers.readable_paths, secrets of root included",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_landlock_is_said_with_what_to_do() {
        let open = WorkerAccess {
            confined: false,
            ..WorkerAccess::default()
        };
        let closed = WorkerAccess::default();
        for (landlock, access, script, begin, verdict) in [
            (
                Ok(7),
                &closed,
                false,
                "on: Landlock version 7, 0 paths",
                Verdict::Ok,
            ),
            (
                Ok(4),
                &closed,
                false,
                "on: Landlock version 4, 0 paths more are open; signals",
                Verdict::Ok,
            ),
            (Ok(7), &closed, true, "off: java is a script", Verdict::Warn),
            (Ok(7), &open, false, "off: workers.confined", Verdict::Warn),
            (
                Err("old".to_owned()),
                &closed,
                false,
                "not available: no Landlock, old",
                Verdict::Warn,
            ),
        ] {
            let check = files(landlock, access, script);
            assert!(check.found.starts_with(begin), "{check:?}");
            assert_eq!(check.verdict, verdict, "{check:?}");
            assert_eq!(check.advice.is_some(), verdict != Verdict::Ok);
        }
        assert_eq!(own_user(true).verdict, Verdict::Warn);
        assert_eq!(own_user(false).verdict, Verdict::Ok);
        let all = WorkerAccess {
            readable: vec!["/etc".into()],
            ..WorkerAccess::default()
        };
        assert_eq!(names(true, &all), None);
        assert_eq!(names(true, &open), None);
    }
}
