//! What must not be left over: processes, files, topics.

use crate::stage::{Stage, parent_of};
use anyhow::{Context as _, Result, ensure};
use e2e::process::wait_for;
use e2e::secured::Secured;
use e2e::standing::Standing;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A broker follows its controller that much later at most.
const FOLLOW_LIMIT: Duration = Duration::from_secs(5);

/// Fails unless each connector has one worker under one shim, nothing else of this daemon runs, and
/// its folder holds nothing but what belongs to them.
pub fn check(stage: &Stage) -> Result<()> {
    let mut homes = BTreeMap::new();
    for connector in &stage.connectors {
        let object = stage.object(connector)?;
        let id = object["id"].as_str().unwrap_or_default().to_owned();
        homes.insert(id, stage.worker_and_shim(connector)?);
    }
    let fleets = stage.world.daemon.data().join("fleets");
    processes(&fleets, &homes)?;
    files(&fleets, &homes)
}

/// Processes whose command line or working directory lies below a folder.
fn working_in(folder: &Path) -> Result<BTreeMap<u32, String>> {
    let place = folder.to_string_lossy().into_owned();
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        // Processes come and go while we look.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let cwd = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if line.contains(&place) || cwd.to_string_lossy().contains(&place) {
            found.insert(pid, line);
        }
    }
    Ok(found)
}

fn processes(fleets: &Path, homes: &BTreeMap<String, (u32, u32)>) -> Result<()> {
    let known: BTreeSet<u32> = homes.values().flat_map(|(a, b)| [*a, *b]).collect();
    let mut strangers: Vec<String> = Vec::new();
    for (pid, line) in working_in(fleets)? {
        // A child of a worker is the worker's own business, and dies with it.
        let child = parent_of(pid).is_ok_and(|parent| homes.values().any(|it| it.0 == parent));
        if !known.contains(&pid) && !child {
            strangers.push(format!(
                "{pid}: {}",
                line.chars().take(200).collect::<String>()
            ));
        }
    }
    ensure!(
        strangers.is_empty(),
        "processes that belong to no connector:\n{}",
        strangers.join("\n")
    );
    Ok(())
}

fn names(folder: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
    entries
        .map(|name: Result<_>| Ok(name?.to_string_lossy().into_owned()))
        .collect()
}

fn files(fleets: &Path, homes: &BTreeMap<String, (u32, u32)>) -> Result<()> {
    let expected: BTreeSet<String> = homes.keys().cloned().collect();
    let found = names(fleets)?;
    ensure!(
        found == expected,
        "folders of fleets {found:?}, of connectors {expected:?}"
    );
    for id in &expected {
        let home = fleets.join(id);
        let inside = names(&home)?;
        let known = [
            "jaas.conf",
            "logs",
            "name.key",
            "rest.properties",
            "secrets",
            "workers",
        ];
        ensure!(
            inside.iter().all(|name| known.contains(&name.as_str())),
            "unknown files in a fleet: {inside:?}"
        );
        for (folder, count) in [("workers", 1), ("secrets", 1)] {
            let inside = names(&home.join(folder))?;
            ensure!(inside.len() == count, "{folder} of a fleet: {inside:?}");
        }
    }
    Ok(())
}

/// Internal topics on the broker: three of each connector, and no more.
pub fn topics(stage: &Stage) -> Result<()> {
    let topics = stage.topics()?;
    let mut of: BTreeMap<&str, usize> = stage
        .connectors
        .iter()
        .map(|name| (name.as_str(), 0))
        .collect();
    let mut strangers = Vec::new();
    for topic in topics.iter().filter(|topic| topic.starts_with("__runnel_")) {
        let owner = of
            .iter_mut()
            .find(|(name, _)| topic.contains(&format!("_{name}_")));
        match owner {
            Some((_, count)) => *count += 1,
            None => strangers.push(topic),
        }
    }
    ensure!(
        strangers.is_empty(),
        "internal topics of nobody: {strangers:?}"
    );
    ensure!(
        of.values().all(|count| *count == 3),
        "internal topics: {of:?}"
    );
    Ok(())
}

/// Somebody else on the broker, whose name begins as our users' names do, and an ACL of nobody's.
pub fn strangers(secured: &Secured) -> Result<()> {
    secured.upsert_user("runnel-step", "not-one-of-ours")?;
    let acl = |principal: &str, topic: &str| {
        let words = ["acls", "--add", "--operation", "Read", "--topic", topic];
        secured.kafka(&[&words[..], &["--allow-principal", principal]].concat())
    };
    acl("User:runnel-step", "step.step.t")?;
    acl("User:somebody-else", "step.step.t").map(drop)
}

/// Exactly those users and ACLs are on the broker that were there before, and those of the
/// connectors as the API tells them. Gives how many there are.
pub fn principals(stage: &Stage) -> Result<(usize, usize)> {
    let Some(secured) = &stage.secured else {
        return Ok((0, 0));
    };
    let mut wanted = stage.before.clone();
    for connector in &stage.connectors {
        let object = stage.object(connector)?;
        let derived = &object["status"]["derived"];
        let principal = derived["principal"].as_str();
        let user = principal.and_then(|it| it.strip_prefix("User:"));
        let acls = derived["kafka_acls"].as_array().context("no ACLs")?;
        ensure!(!acls.is_empty(), "{connector} has no ACLs");
        let acls = acls.iter().filter_map(|acl| acl.as_str());
        wanted = wanted.with(user.context("no principal")?, acls);
    }
    let mut found = Standing::default();
    let settled = wait_for("users and ACLs as wanted", FOLLOW_LIMIT, || {
        found = Standing::read(secured)?;
        Ok(found == wanted)
    });
    settled.with_context(|| found.differences(&wanted).join("\n"))?;
    Ok((found.users.len(), found.acls.len()))
}

/// Control groups of workers that are not there: a version 1 hierarchy has one folder for each.
pub fn groups(stage: &Stage, gone: &BTreeSet<String>) -> Result<()> {
    let mut left: Vec<PathBuf> = Vec::new();
    let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            if gone.contains(&name) {
                left.push(entry.path());
            }
            open.push(entry.path());
        }
    }
    ensure!(
        left.is_empty(),
        "control groups of dead workers of {:?}: {left:?}",
        stage.connectors
    );
    Ok(())
}
