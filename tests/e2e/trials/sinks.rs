//! A sink that stands still although its task says RUNNING.

use super::flow::Numbers;
use super::scaling::make_topic;
use anyhow::{Context as _, Result, ensure};
use e2e::daemon::Daemon;
use e2e::hcl;
use e2e::process::wait_for;
use e2e::world::World;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_mins(2);
const NAME: &str = "stuck";
/// A minute of standing still in the place of ten seconds.
const QUICK: &str = "
[timing]
settle_ms = 1500
reconcile_ms = 500
probe_ms = 5000
progress_ms = 10000
[capacity]
mcu_memory_mib = 640
";

/// A table that somebody else has locked: health says that nothing is read although records wait,
/// nothing is killed for it, and all goes on by itself once the lock is gone.
pub fn stands_still(world: &mut World) -> Result<()> {
    let daemon = world.other_daemon(NAME, QUICK)?;
    make_topic(world, NAME, 1)?;
    let terraform = world.terraform_on(&daemon, NAME, &jdbc(world, NAME)?)?;
    terraform.apply()?.expect(0)?;
    let numbers = numbers(world, NAME, 20)?.start();
    wait_for("the first rows", LIMIT, || Ok(rows(world, NAME)? > 0))?;
    let pids = daemon.worker_pids(NAME)?;

    let before = numbers.sent();
    std::thread::scope(|scope| -> Result<()> {
        let lock = scope.spawn(|| lock(world, NAME));
        let told = told_while_locked(world, &daemon);
        let unlocked = unlock(world);
        let session = lock.join();
        session
            .map_err(|_| anyhow::anyhow!("the session panicked"))?
            .err()
            .context("the session was not ended")?;
        unlocked?;
        told
    })?;
    let begun = Instant::now();
    wait_for("health RUNNING", LIMIT, || {
        Ok(health(&daemon)?.0 == "RUNNING")
    })?;
    println!(
        "RUNNING again {:.1} s after the lock",
        begun.elapsed().as_secs_f64()
    );
    let sent = numbers.stop()?;
    wait_for("all rows", LIMIT, || {
        Ok(u64::try_from(rows(world, NAME)?)? == sent)
    })?;
    println!(
        "{sent} records were written, {} of them since the lock; 0 lost",
        sent - before
    );
    ensure!(daemon.worker_pids(NAME)? == pids, "another worker");
    let restarts = daemon.get_text("/metrics")?;
    let restarted = restarts
        .lines()
        .find(|line| line.starts_with("runnel_task_restarts_total{") && !line.ends_with(" 0"));
    ensure!(restarted.is_none(), "{restarted:?}");
    terraform.plan()?.expect(0)?;
    terraform.destroy()?.expect(0)?;
    drop_table(world, NAME)
}

/// Waits until the trouble is told, and looks at how it is told.
fn told_while_locked(world: &World, daemon: &Daemon) -> Result<()> {
    let database = world.rig.fact("RIG_POSTGRES_DATABASE")?;
    wait_for("the lock", LIMIT, || {
        let held = format!(
            "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted \
             AND relation = '{NAME}_t'::regclass"
        );
        Ok(world.rig.psql_in(database, &held)?.trim() == "1")
    })?;
    let begun = Instant::now();
    wait_for("health DEGRADED", LIMIT, || {
        let (health, reason) = health(daemon)?;
        Ok(health == "DEGRADED" && reason.contains("no record was read since"))
    })?;
    let (health, reason) = health(daemon)?;
    println!(
        "{health} after {:.1} s of the lock: {reason}",
        begun.elapsed().as_secs_f64()
    );
    let told = daemon.runnel(&["status", NAME])?;
    ensure!(told.contains("no record was read since"), "{told}");
    let object = daemon.get(&format!("/api/v1/connectors/{NAME}"))?;
    let task = &object["status"]["tasks"][0];
    ensure!(
        task["state"] == "RUNNING",
        "the task tells it by itself: {task}"
    );
    ensure!(object["status"]["state"] == "RUNNING", "{object}");
    Ok(())
}

fn health(daemon: &Daemon) -> Result<(String, String)> {
    let object = daemon.get(&format!("/api/v1/connectors/{NAME}"))?;
    let text = |key: &str| {
        object["status"][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    Ok((text("health"), text("reason")))
}

/// Holds the table until the session is ended from outside, which is an error.
fn lock(world: &World, name: &str) -> Result<String> {
    let database = world.rig.fact("RIG_POSTGRES_DATABASE")?;
    world.rig.psql_in(
        database,
        &format!("BEGIN; LOCK TABLE {name}_t IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(300)"),
    )
}

fn unlock(world: &World) -> Result<()> {
    let database = world.rig.fact("RIG_POSTGRES_DATABASE")?;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";
    world.rig.psql_in(database, end).map(drop)
}

/// Numbered records for [`jdbc`].
pub fn numbers(world: &World, name: &str, rate: u64) -> Result<Numbers> {
    Ok(Numbers {
        bootstrap: world.rig.bootstrap()?.to_owned(),
        topic: name.to_owned(),
        partitions: 1,
        rate,
        value: |number| {
            format!(
                r#"{{"schema":{{"type":"struct","name":"row","optional":false,"fields":[{{"field":"id","type":"int64","optional":false}}]}},"payload":{{"id":{number}}}}}"#
            )
        },
    })
}

/// How many different numbers have come to the table of [`jdbc`].
pub fn rows(world: &World, name: &str) -> Result<i64> {
    let database = world.rig.fact("RIG_POSTGRES_DATABASE")?;
    let known = format!("SELECT to_regclass('{name}_t') IS NOT NULL");
    if world.rig.psql_in(database, &known)?.trim() != "t" {
        return Ok(0);
    }
    let count = format!("SELECT count(*) FROM {name}_t");
    Ok(world.rig.psql_in(database, &count)?.trim().parse()?)
}

/// Takes the table of [`jdbc`] away.
pub fn drop_table(world: &World, name: &str) -> Result<()> {
    let database = world.rig.fact("RIG_POSTGRES_DATABASE")?;
    let drop = format!("DROP TABLE {name}_t");
    world.rig.psql_in(database, &drop).map(std::mem::drop)
}

/// A JDBC sink from the topic `NAME` into the table `NAME_t`.
pub fn jdbc(world: &World, name: &str) -> Result<String> {
    let rig = &world.rig;
    let url = format!(
        "jdbc:postgresql://{}:{}/{}",
        rig.fact("RIG_POSTGRES_HOST")?,
        rig.fact("RIG_POSTGRES_PORT")?,
        rig.fact("RIG_POSTGRES_DATABASE")?
    );
    let json = "org.apache.kafka.connect.json.JsonConverter";
    let table = format!("{name}_t");
    let config = [
        (
            "connector.class",
            "io.debezium.connector.jdbc.JdbcSinkConnector",
        ),
        ("tasks.max", "1"),
        ("topics", name),
        ("connection.url", &url),
        ("connection.username", rig.fact("RIG_POSTGRES_USER")?),
        ("insert.mode", "upsert"),
        ("primary.key.mode", "record_value"),
        ("primary.key.fields", "id"),
        ("schema.evolution", "basic"),
        ("collection.name.format", &table),
        ("key.converter", json),
        ("value.converter", json),
    ];
    let connector = hcl::Connector {
        secret_key: "connection.password",
        secret: rig.fact("RIG_POSTGRES_PASSWORD")?,
        ..hcl::Connector::new(name, &config)
    };
    Ok(connector.with_all(rig.bootstrap()?, world.place("RIG_PLUGIN_JDBC")?))
}
