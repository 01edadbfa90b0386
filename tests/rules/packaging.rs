//! What is packaged: systemd takes the unit, and workers survive it.

use crate::root;
use anyhow::{Context as _, Result, ensure};
use std::process::Command;

const UNIT: &str = "packaging/systemd/runnel.service";

/// Lines without which an update of the daemon would end workers, or they would be unlimited.
const NEEDED: &[&str] = &[
    "KillMode=process",
    "Delegate=yes",
    "OOMPolicy=continue",
    "Restart=always",
    "StateDirectory=runnel",
    "UMask=0077",
];

/// Lines that workers would not survive, with the reason.
const FATAL: &[(&str, &str)] = &[
    ("MemoryDenyWriteExecute=yes", "a JVM compiles"),
    ("PrivateTmp=yes", "it is removed under running workers"),
    ("ProtectControlGroups=yes", "workers get no groups"),
    ("KillMode=control-group", "workers end with the daemon"),
];

#[test]
fn workers_outlive_the_unit() -> Result<()> {
    let unit = std::fs::read_to_string(root().join(UNIT))?;
    let lines: Vec<&str> = unit.lines().collect();
    for needed in NEEDED {
        ensure!(lines.contains(needed), "{UNIT} has no line {needed}");
    }
    for (fatal, why) in FATAL {
        ensure!(!lines.contains(fatal), "{UNIT} has {fatal}: {why}");
    }
    Ok(())
}

#[test]
fn systemd_takes_the_unit() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("runnel.service");
    // The check wants the program to be there; which one does not matter.
    let unit = std::fs::read_to_string(root().join(UNIT))?;
    std::fs::write(&file, unit.replace("/usr/local/bin/runnel", "/bin/true"))?;
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&file)
        .output();
    let Ok(verified) = verified else {
        println!("SKIPPED: systemd-analyze is not installed; nobody has read {UNIT}");
        return Ok(());
    };
    let said = String::from_utf8(verified.stderr).context("its words are UTF-8")?;
    // Releases before 254 do not know it, and go on without.
    let wrong: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("runnel.service") && !line.contains("'DelegateSubgroup'"))
        .collect();
    ensure!(wrong.is_empty(), "{wrong:#?}");
    ensure!(verified.status.success(), "{said}");
    Ok(())
}
