//! `kill -9` of everything in turn.

use anyhow::{Context as _, Result, ensure};
use e2e::hcl::Seed;
use e2e::process::{run, wait_for};
use e2e::world::World;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_mins(1);

/// A worker dies under a load of inserts; silence and duplicates are printed, no row is lost.
pub fn worker(world: &mut World) -> Result<()> {
    world
        .rig
        .mariadb("CREATE DATABASE load_; CREATE TABLE load_.t (id INT PRIMARY KEY)")?;
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?.to_owned();
    let terraform = world.terraform("load", &Seed::new("load", "load_", &password).hcl(world)?)?;
    terraform.apply()?.expect(0)?;
    let before = world.daemon.worker_pids("load")?;
    let worker_id = |world: &World| -> Result<String> {
        let object = world.daemon.get("/api/v1/connectors/load")?;
        Ok(object["status"]["tasks"][0]["worker_id"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    };
    let old_worker = worker_id(world)?;
    let stop = AtomicBool::new(false);
    let rows = std::thread::scope(|scope| -> Result<u32> {
        let rig = &world.rig;
        let stop = &stop;
        let writer = scope.spawn(move || -> Result<u32> {
            let mut id = 0;
            while !stop.load(Ordering::Acquire) {
                let values: Vec<String> = (id..id + 20).map(|id| format!("({id})")).collect();
                rig.mariadb(&format!("INSERT INTO load_.t VALUES {}", values.join(",")))?;
                id += 20;
            }
            Ok(id)
        });
        let result = (|| {
            world.record_with("load.load_.t", "id=200", LIMIT)?;
            run(Command::new("kill")
                .arg("-9")
                .args(before.iter().map(u32::to_string)))?;
            wait_for("a task on a new worker", LIMIT, || {
                let now = worker_id(world)?;
                Ok(!now.is_empty() && now != old_worker)
            })
        })();
        stop.store(true, Ordering::Release);
        let rows = writer
            .join()
            .map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        result.map(|()| rows)
    })?;
    ensure!(worker_id(world)? != old_worker, "the worker_id is the same");
    let text = world.daemon.runnel(&[
        "tail",
        "load.load_.t",
        "--bootstrap-servers",
        world.rig.bootstrap()?,
        "--until",
        &format!("id={}}}", rows - 1),
        "--timeout",
        "60s",
        "--format",
        "json",
    ])?;
    let mut copies: BTreeMap<u32, u32> = BTreeMap::new();
    let mut stamps = Vec::new();
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line)?;
        let value = record["value"].as_str().unwrap_or_default();
        let id = value
            .split("id=")
            .nth(1)
            .and_then(|rest| rest.split('}').next())
            .context("an id")?;
        *copies.entry(id.parse()?).or_default() += 1;
        stamps.push(record["timestamp"].as_i64().unwrap_or_default());
    }
    let silence = stamps
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap_or_default();
    let duplicates: u32 = copies.values().map(|count| count - 1).sum();
    println!(
        "kill -9 of a worker: {rows} rows, {duplicates} duplicates, longest silence {silence} ms"
    );
    let lost: Vec<u32> = (0..rows).filter(|id| !copies.contains_key(id)).collect();
    ensure!(lost.is_empty(), "{} rows are lost: {lost:?}", lost.len());
    terraform.plan()?.expect(0)?;
    terraform.destroy()?.expect(0)?;
    world.rig.mariadb("DROP DATABASE load_")?;
    Ok(())
}

/// The daemon dies; events go on arriving; the next daemon adopts the same process.
pub fn daemon(world: &mut World) -> Result<()> {
    world
        .rig
        .mariadb("CREATE DATABASE orphan; CREATE TABLE orphan.t (id INT PRIMARY KEY)")?;
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?.to_owned();
    let terraform = world.terraform(
        "orphan",
        &Seed::new("orphan", "orphan", &password).hcl(world)?,
    )?;
    terraform.apply()?.expect(0)?;
    let before = world.daemon.worker_pids("orphan")?;
    ensure!(before.len() == 1, "{before:?}");
    world.daemon.kill()?;
    world.rig.mariadb("INSERT INTO orphan.t VALUES (1)")?;
    world.record_with("orphan.orphan.t", "id=1", LIMIT)?;
    world.daemon.spawn()?;
    wait_for("the daemon to see its worker", LIMIT, || {
        let object = world.daemon.get("/api/v1/connectors/orphan")?;
        Ok(object["status"]["health"] == "RUNNING")
    })?;
    ensure!(
        world.daemon.worker_pids("orphan")? == before,
        "another worker process"
    );
    terraform.plan()?.expect(0)?;
    terraform.destroy()?.expect(0)?;
    world.rig.mariadb("DROP DATABASE orphan")?;
    Ok(())
}

/// Terraform and its provider die in the middle of an apply; what exists is to be imported.
pub fn terraform(world: &mut World) -> Result<()> {
    world
        .rig
        .mariadb("CREATE DATABASE cut; CREATE TABLE cut.t (id INT PRIMARY KEY)")?;
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?.to_owned();
    let terraform = world.terraform("cut", &Seed::new("cut", "cut", &password).hcl(world)?)?;
    let mut apply = terraform.spawn(&["apply", "-auto-approve", "-input=false"])?;
    wait_for("the connector to be accepted", LIMIT, || {
        Ok(world.daemon.get("/api/v1/connectors/cut").is_ok())
    })?;
    let children = run(Command::new("pgrep").args(["-P", &apply.id().to_string()]))?;
    run(Command::new("kill")
        .arg("-9")
        .arg(apply.id().to_string())
        .args(children.split_whitespace()))?;
    apply.wait()?;
    let lock = terraform.folder().join(".terraform.tfstate.lock.info");
    if lock.exists() {
        std::fs::remove_file(&lock)?;
    }
    let refused = terraform.plan()?.expect(1)?;
    refused.says("exists already")?;
    refused.says("import")?;
    let known = terraform.addresses()?;
    for address in [
        "runnel_kafka_cluster.this",
        "runnel_plugin.this",
        "runnel_role.this",
        "runnel_connector.this",
    ] {
        if !known.iter().any(|it| it == address) {
            terraform.run(&["import", address, "cut"])?.expect(0)?;
        }
    }
    wait_for("the create to settle", LIMIT, || {
        let object = world.daemon.get("/api/v1/connectors/cut")?;
        Ok(object["status"]["state"] == "RUNNING")
    })?;
    terraform.plan()?.expect(0)?;
    ensure!(world.daemon.worker_pids("cut")?.len() == 1);
    let listed = world.daemon.get("/api/v1/connectors")?;
    ensure!(
        listed["items"].as_array().map(Vec::len) == Some(1),
        "{listed}"
    );
    terraform.destroy()?.expect(0)?;
    world.rig.mariadb("DROP DATABASE cut")?;
    Ok(())
}

/// Kafka is away during a destroy: it ends in time with a warning; the topics go later.
pub fn kafka_away(world: &mut World) -> Result<()> {
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?.to_owned();
    let terraform = world.terraform("away", &Seed::new("away", "away", &password).hcl(world)?)?;
    terraform.apply()?.expect(0)?;
    let pids = world.daemon.worker_pids("away")?;
    let internal = |world: &World| -> Result<Vec<String>> {
        Ok(world
            .rig
            .topics()?
            .into_iter()
            .filter(|topic| topic.starts_with("__runnel_") && topic.contains("_away_"))
            .collect())
    };
    ensure!(internal(world)?.len() == 3, "{:?}", internal(world)?);
    world.rig.stop("broker")?;
    let begun = Instant::now();
    let destroyed = terraform.destroy();
    let seconds = begun.elapsed().as_secs_f64();
    world.rig.start("broker")?;
    let destroyed = destroyed?.expect(0)?;
    println!("destroy without Kafka took {seconds:.1} s");
    ensure!(seconds < 60.0, "it took {seconds:.1} s");
    destroyed.says("Warning")?;
    for pid in pids {
        ensure!(
            !std::path::Path::new(&format!("/proc/{pid}")).exists(),
            "worker {pid} is left"
        );
    }
    wait_for("the internal topics to go", LIMIT, || {
        Ok(internal(world)?.is_empty())
    })
}
