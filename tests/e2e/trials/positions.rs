//! A source whose first position is not yet stored.

use super::flow::Growth;
use anyhow::{Context as _, Result, ensure};
use checker::verdict::{Mode, Rows};
use checker::writer::{Db, Password, Writer, WriterConfig, WriterHandle};
use checker::{ReadConfig, verify_topics};
use e2e::daemon::Daemon;
use e2e::hcl;
use e2e::process::{signal, wait_for};
use e2e::world::World;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::MetadataTopic;
use rustix::process::Signal;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_mins(2);
const NAME: &str = "fresh";
/// Partitions of an offsets topic.
const OFFSETS: i32 = 25;
const QUICK: &str = "
[timing]
settle_ms = 1500
reconcile_ms = 500
[capacity]
mcu_memory_mib = 640
";

/// A worker dies right after its connector was created, under load. A create that has succeeded has a
/// position in Kafka: without one there would be another snapshot, which holds the rows as they are
/// by then and tells nothing of what happened to them in between.
pub fn killed_after_create(world: &mut World) -> Result<()> {
    let daemon = world.other_daemon(NAME, QUICK)?;
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?;
    world.rig.mariadb(&format!(
        "CREATE DATABASE {NAME}; CREATE USER {NAME}_writer IDENTIFIED BY '{password}'; \
         GRANT ALL ON {NAME}.* TO {NAME}_writer"
    ))?;
    let writers = writers(world)?;
    let archive = world.place("RIG_PLUGIN_MARIADB")?;
    let main = hcl::Debezium {
        config: &hcl::PLAIN_JSON,
        ..hcl::Debezium::new(NAME, NAME, archive)
    }
    .hcl(world)?;
    let terraform = world.terraform_on(&daemon, NAME, &main)?;
    let begun = Instant::now();
    terraform.apply()?.expect(0)?;
    let applied = begun.elapsed();
    let stored = positions(world)?;
    kill(&daemon)?;
    println!(
        "created in {:.1} s, then killed with {stored} positions stored",
        applied.as_secs_f64()
    );
    wait_for("another worker that runs", LIMIT, || {
        let object = daemon.get(&format!("/api/v1/connectors/{NAME}"))?;
        let workers = object["status"]["workers"].as_array().map_or(0, Vec::len);
        Ok(object["status"]["health"] == "RUNNING" && workers == 1)
    })?;
    judge(world, writers)?;
    terraform.plan()?.expect(0)?;
    terraform.destroy()?.expect(0)?;
    world
        .rig
        .mariadb(&format!("DROP DATABASE {NAME}; DROP USER {NAME}_writer"))?;
    Ok(())
}

/// Records in the connector's offsets topic.
fn positions(world: &World) -> Result<i64> {
    let begin = format!("__runnel_offsets_{NAME}_");
    let bootstrap = world.rig.bootstrap()?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()?;
    let metadata = consumer.fetch_metadata(None, Duration::from_secs(10))?;
    let mut names = metadata.topics().iter().map(MetadataTopic::name);
    let topic = names.find(|name| name.starts_with(&begin));
    let topic = topic.with_context(|| format!("no topic {begin}…"))?;
    Growth::of(bootstrap, &[(topic, OFFSETS)])?.look()
}

fn kill(daemon: &Daemon) -> Result<()> {
    for pid in daemon.worker_pids(NAME)? {
        signal(pid, Signal::KILL)?;
    }
    Ok(())
}

fn writers(world: &World) -> Result<WriterHandle> {
    let rig = &world.rig;
    let writers = Writer::start(WriterConfig {
        db: Db::Mariadb,
        url: format!(
            "mysql://{NAME}_writer@{}:{}/{NAME}",
            rig.fact("RIG_MARIADB_HOST")?,
            rig.fact("RIG_MARIADB_PORT")?
        ),
        password: Some(Password::new(rig.fact("RIG_MARIADB_PASSWORD")?)),
        table: "load".to_owned(),
        keys: 50,
        rate: 60,
        writers: 2,
        seed: 12,
        history: world.scratch("fresh.jsonl"),
    })?;
    wait_for("the writers to commit", LIMIT, || {
        Ok(writers.committed() > 50)
    })?;
    Ok(writers)
}

fn judge(world: &World, writers: WriterHandle) -> Result<()> {
    let history = writers.stop()?;
    let topics = ["reg", "log"].map(|it| format!("{NAME}.{NAME}.load_{it}"));
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let config = ReadConfig::new(world.rig.bootstrap()?, "load", &names);
    let mode = Mode::Rows(Rows::of_topics("load", &topics));
    let verdict = verify_topics(&history, &config, &mode)?;
    println!("{verdict}");
    ensure!(verdict.passed, "{verdict}");
    Ok(())
}
