//! The checker on a real fleet: it passes what survives a kill, and it is not to be deceived by a filter.

use anyhow::{Result, ensure};
use checker::envelope::Format;
use checker::verdict::{Mode, Rows};
use checker::writer::{Db, Password};
use checker::{History, ReadConfig, Verdict, Writer, WriterConfig, verify_topics};
use e2e::hcl::Seed;
use e2e::process::{run, wait_for};
use e2e::world::World;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_mins(1);
/// Keeps every record but tombstones.
const SIEVE: &[(&str, &str)] = &[
    ("transforms", "sieve"),
    (
        "transforms.sieve.type",
        "org.apache.kafka.connect.transforms.Filter",
    ),
    ("transforms.sieve.predicate", "grave"),
    ("predicates", "grave"),
    (
        "predicates.grave.type",
        "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
    ),
];

fn judged(world: &World, history: &History, connector: &str) -> Result<Verdict> {
    let topics = ["reg", "log"].map(|it| format!("{connector}.judged.load_{it}"));
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let config = ReadConfig {
        format: Format::StructString,
        limit: LIMIT,
        ..ReadConfig::new(world.rig.bootstrap()?, "load", &names)
    };
    let mode = Mode::Rows(Rows::of_topics("load", &topics));
    Ok(verify_topics(history, &config, &mode)?)
}

/// One connector is killed under load: nothing is lost. Another has a filter that drops tombstones: that is found,
/// and nothing else.
pub fn kill_and_filter(world: &mut World) -> Result<()> {
    let user = world.rig.fact("RIG_MARIADB_USER")?.to_owned();
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?.to_owned();
    let port = world.rig.fact("RIG_MARIADB_PORT")?.to_owned();
    world.rig.mariadb(&format!(
        "CREATE DATABASE judged; GRANT ALL ON judged.* TO '{user}'@'127.0.0.1'"
    ))?;
    let honest = world.terraform(
        "honest",
        &Seed::new("honest", "judged", &password).hcl(world)?,
    )?;
    honest.apply()?.expect(0)?;
    let writers = Writer::start(WriterConfig {
        db: Db::Mariadb,
        url: format!("mysql://{user}@127.0.0.1:{port}/judged"),
        password: Some(Password::new(password.clone())),
        table: "load".to_owned(),
        keys: 50,
        rate: 100,
        writers: 3,
        seed: 4,
        history: world.scratch("judged.history"),
    })?;
    let committed = |count: u64| {
        let wanted = writers.committed() + count;
        wait_for("the writers to commit", LIMIT, || {
            Ok(writers.committed() >= wanted)
        })
    };
    committed(100)?;
    let pids = world.daemon.worker_pids("honest")?;
    let pids = pids.iter().map(u32::to_string);
    run(Command::new("kill").arg("-9").args(pids))?;
    committed(300)?;
    let history = writers.stop()?;
    let verdict = judged(world, &history, "honest")?;
    println!("kill -9 of a worker, judged:\n{verdict}");
    ensure!(verdict.passed, "{verdict}");
    honest.destroy()?.expect(0)?;

    let mut sieve = Seed::new("sieve", "judged", &password);
    sieve.config = SIEVE;
    let sieve = world.terraform("sieve", &sieve.hcl(world)?)?;
    sieve.apply()?.expect(0)?;
    let writers = Writer::start(WriterConfig {
        db: Db::Mariadb,
        url: format!("mysql://{user}@127.0.0.1:{port}/judged"),
        password: Some(Password::new(password)),
        table: "load".to_owned(),
        keys: 50,
        rate: 0,
        writers: 3,
        seed: 5,
        history: world.scratch("judged.history"),
    })?;
    let wanted = writers.committed() + 500;
    wait_for("the writers to commit", LIMIT, || {
        Ok(writers.committed() >= wanted)
    })?;
    let history = writers.stop()?;
    let verdict = judged(world, &history, "sieve")?;
    let found: Vec<&str> = verdict
        .findings()
        .iter()
        .filter(|(_, finding)| finding.count > 0)
        .map(|(name, _)| *name)
        .collect();
    ensure!(found == ["lost"] && verdict.torn.count == 0, "{verdict}");
    ensure!(
        verdict
            .lost
            .examples
            .iter()
            .all(|it| it.contains("tombstone")),
        "{verdict}"
    );
    sieve.destroy()?.expect(0)?;
    world.rig.mariadb("DROP DATABASE judged")?;
    Ok(())
}
