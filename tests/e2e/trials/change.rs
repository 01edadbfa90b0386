//! Changes of a running connector.

use anyhow::{Result, ensure};
use e2e::hcl::{Debezium, Seed};
use e2e::process::run;
use e2e::world::World;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

/// A wider include list is a change in place; the new table's events arrive and nothing is read twice.
pub fn in_place(world: &mut World) -> Result<()> {
    world.rig.mariadb(
        "CREATE DATABASE north; CREATE TABLE north.t (id INT PRIMARY KEY); INSERT INTO north.t VALUES (1), (2); \
         CREATE DATABASE south; CREATE TABLE south.t (id INT PRIMARY KEY)",
    )?;
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?.to_owned();
    let terraform =
        world.terraform("wider", &Seed::new("wider", "north", &password).hcl(world)?)?;
    terraform.apply()?.expect(0)?;
    world.records("wider.north.t", 2, LIMIT)?;
    let pids = world.daemon.worker_pids("wider")?;
    terraform.write(&Seed::new("wider", "north,south", &password).hcl(world)?)?;
    terraform
        .plan()?
        .expect(2)?
        .says("0 to add, 1 to change, 0 to destroy")?;
    terraform.apply()?.expect(0)?;
    terraform.plan()?.expect(0)?;
    ensure!(
        world.daemon.worker_pids("wider")? == pids,
        "the worker was replaced for a change of configuration"
    );
    world.rig.mariadb("INSERT INTO north.t VALUES (3); CREATE TABLE south.u (id INT PRIMARY KEY); INSERT INTO south.u VALUES (7)")?;
    world.record_with("wider.south.u", "id=7", LIMIT)?;
    let north = world.records("wider.north.t", 3, LIMIT)?;
    let all = world.daemon.runnel(&[
        "tail",
        "wider.north.t",
        "--bootstrap-servers",
        world.rig.bootstrap()?,
        "--until",
        "id=3",
        "--timeout",
        "10s",
    ])?;
    ensure!(all.lines().count() == 3, "old rows were read again: {all}");
    ensure!(north[2].contains("id=3"), "{north:?}");
    terraform.destroy()?.expect(0)?;
    world
        .rig
        .mariadb("DROP DATABASE north; DROP DATABASE south")?;
    Ok(())
}

/// Two tasks are one too many for Debezium MySQL: the apply fails, the old generation emits again.
pub fn rolled_back(world: &mut World) -> Result<()> {
    world
        .rig
        .mariadb("CREATE DATABASE twice; CREATE TABLE twice.t (id INT PRIMARY KEY)")?;
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?.to_owned();
    let good = Seed::new("twice", "twice", &password).hcl(world)?;
    let terraform = world.terraform("twice", &good)?;
    terraform.apply()?.expect(0)?;
    let config = [("tasks.max", "2")];
    terraform.write(
        &Seed {
            config: &config,
            ..Seed::new("twice", "twice", &password)
        }
        .hcl(world)?,
    )?;
    let failed = terraform.apply()?.expect(1)?;
    println!("tasks.max = 2:\n{}", failed.text);
    failed.says("nly a single connector task")?;
    failed.says("Generation 1 was restored and runs again")?;
    world.rig.mariadb("INSERT INTO twice.t VALUES (1)")?;
    world.record_with("twice.twice.t", "id=1", LIMIT)?;
    // The file still asks for two tasks, so the plan still shows the change.
    terraform.plan()?.expect(2)?.says("1 to change")?;
    terraform.write(&good)?;
    terraform.plan()?.expect(0)?;
    terraform.destroy()?.expect(0)?;
    world.rig.mariadb("DROP DATABASE twice")?;
    Ok(())
}

/// The seed's Debezium 1.6.1 runs on runtime 3.9 without being told, and so survives a restart.
pub fn restart(world: &mut World) -> Result<()> {
    world.rig.mariadb("CREATE DATABASE again; CREATE TABLE again.t (id INT PRIMARY KEY); INSERT INTO again.t VALUES (1)")?;
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?.to_owned();
    let terraform =
        world.terraform("again", &Seed::new("again", "again", &password).hcl(world)?)?;
    terraform.apply()?.expect(0)?;
    let object = world.daemon.get("/api/v1/connectors/again")?;
    ensure!(
        object["status"]["derived"]["kafkaconnect_version"] == "3.9",
        "{object}"
    );
    let before = world.daemon.worker_pids("again")?;
    world.daemon.runnel(&["restart", "again"])?;
    let logs = world.daemon.runnel(&["logs", "again", "--tail", "2000"])?;
    ensure!(
        logs.contains("Kafka Connect worker initialized") || logs.contains("Kafka Connect started"),
        "the logs do not tell of a start: {logs}"
    );
    ensure!(
        world.daemon.worker_pids("again")? != before,
        "the worker is the same process"
    );
    world.rig.mariadb("INSERT INTO again.t VALUES (2)")?;
    world.record_with("again.again.t", "id=2", LIMIT)?;
    terraform.plan()?.expect(0)?;
    terraform.destroy()?.expect(0)?;
    world.rig.mariadb("DROP DATABASE again")?;
    Ok(())
}

/// Debezium 3.5 is changed for an archive that holds the class's name and not what it needs: the apply fails, the old
/// plugin runs again by itself and events go on.
pub fn broken_plugin(world: &mut World) -> Result<()> {
    world
        .rig
        .mariadb("CREATE DATABASE whole; CREATE TABLE whole.t (id INT PRIMARY KEY)")?;
    let good = world.place("RIG_PLUGIN_MARIADB")?.to_owned();
    let broken = world.scratch("debezium-broken.tar.gz");
    without_jar(Path::new(&good), &broken, "mariadb-java-client")?;
    let broken = broken.display().to_string();
    let main = |archive: &str| Debezium::new("whole", "whole", archive).hcl(world);
    let terraform = world.terraform("whole", &main(&good)?)?;
    terraform.apply()?.expect(0)?;
    world.rig.mariadb("INSERT INTO whole.t VALUES (1)")?;
    world.record_with("whole.whole.t", "id=1", LIMIT)?;
    terraform.write(&main(&broken)?)?;
    let failed = terraform.apply()?.expect(1)?;
    println!("a broken archive:\n{}", failed.text);
    failed.says("restored and runs again")?;
    world.rig.mariadb("INSERT INTO whole.t VALUES (2)")?;
    world.record_with("whole.whole.t", "id=2", LIMIT)?;
    terraform.write(&main(&good)?)?;
    terraform.apply()?.expect(0)?;
    terraform.plan()?.expect(0)?;
    terraform.destroy()?.expect(0)?;
    world.rig.mariadb("DROP DATABASE whole")?;
    Ok(())
}

/// An archive like another one, without the jars whose names begin so.
fn without_jar(from: &Path, to: &Path, left_out: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    run(Command::new("tar")
        .arg("-xzf")
        .arg(from)
        .arg("-C")
        .arg(folder.path()))?;
    run(Command::new("find").arg(folder.path()).args([
        "-name",
        &format!("{left_out}*.jar"),
        "-delete",
    ]))?;
    run(Command::new("tar")
        .arg("-czf")
        .arg(to)
        .arg("-C")
        .arg(folder.path())
        .arg("."))?;
    Ok(())
}
