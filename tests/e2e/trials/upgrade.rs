//! The daemon's program is replaced while connectors run.

use anyhow::{Context as _, Result, ensure};
use e2e::daemon::{Daemon, Manner};
use e2e::hcl::Seed;
use e2e::process::{binary, signal, wait_for};
use e2e::world::World;
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_mins(1);
const NAME: &str = "grown";

/// A newer build takes the place of the old one: the daemon that still runs goes on healing, the
/// next one adopts worker and shim as they are, plans nothing, and heals as well.
pub fn newer_build(world: &mut World) -> Result<()> {
    world
        .rig
        .mariadb("CREATE DATABASE grown; CREATE TABLE grown.t (id INT PRIMARY KEY)")?;
    let folder = world.scratch("upgrade-bin");
    fs::create_dir_all(&folder)?;
    let program = folder.join("runnel");
    fs::copy(binary("runnel"), &program)?;
    let manner = Manner {
        program: program.clone(),
        ..Manner::default()
    };
    let mut daemon = world.other_daemon_as("upgrade", &manner)?;
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?.to_owned();
    let main = Seed::new(NAME, NAME, &password).hcl(world)?;
    let terraform = world.terraform_on(&daemon, "upgrade", &main)?;
    terraform.apply()?.expect(0)?;

    replace(&program)?;
    let first = worker(&daemon)?;
    signal(first, Signal::KILL)?;
    await_worker_other_than(&daemon, first)?;

    replace(&program)?;
    let (before, shim) = (worker(&daemon)?, parent_of(worker(&daemon)?)?);
    daemon.end()?;
    world.rig.mariadb("INSERT INTO grown.t VALUES (1)")?;
    daemon.spawn()?;
    await_health(&daemon)?;
    ensure!(worker(&daemon)? == before, "another worker");
    ensure!(parent_of(before)? == shim, "another shim");
    let exe = fs::read_link(format!("/proc/{shim}/exe"))?;
    ensure!(
        exe.to_string_lossy().ends_with(" (deleted)"),
        "the shim does not run from the file that was replaced: {}",
        exe.display()
    );
    terraform.plan()?.expect(0)?;
    world.record_with("grown.grown.t", "id=1", LIMIT)?;

    signal(before, Signal::KILL)?;
    await_worker_other_than(&daemon, before)?;
    world.rig.mariadb("INSERT INTO grown.t VALUES (2)")?;
    world.record_with("grown.grown.t", "id=2", LIMIT)?;
    terraform.plan()?.expect(0)?;
    terraform.destroy()?.expect(0)?;
    daemon.stop_all()?;
    world.rig.mariadb("DROP DATABASE grown").map(drop)
}

/// Puts a build that differs in its bytes and in nothing else in a program's place, as a package
/// manager does: written beside it, then renamed.
fn replace(program: &Path) -> Result<()> {
    let newer = program.with_extension("new");
    fs::copy(program, &newer)?;
    // What follows the last section of an ELF file is not loaded.
    let mut file = fs::OpenOptions::new().append(true).open(&newer)?;
    std::io::Write::write_all(&mut file, b"a newer build")?;
    drop(file);
    Ok(fs::rename(&newer, program)?)
}

fn worker(daemon: &Daemon) -> Result<u32> {
    let pids = daemon.worker_pids(NAME)?;
    ensure!(pids.len() == 1, "{pids:?}");
    Ok(pids[0])
}

fn parent_of(pid: u32) -> Result<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    Ok(line.context("PPid")?.trim().parse()?)
}

fn await_health(daemon: &Daemon) -> Result<()> {
    wait_for("the connector to run", LIMIT, || {
        let object = daemon.get(&format!("/api/v1/connectors/{NAME}"))?;
        Ok(object["status"]["health"] == "RUNNING")
    })
}

fn await_worker_other_than(daemon: &Daemon, old: u32) -> Result<()> {
    wait_for("another worker that runs", LIMIT, || {
        let object = daemon.get(&format!("/api/v1/connectors/{NAME}"))?;
        let pids = daemon.worker_pids(NAME)?;
        Ok(object["status"]["health"] == "RUNNING" && pids.len() == 1 && pids[0] != old)
    })
}
