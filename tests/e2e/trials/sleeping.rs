//! A daemon that is stopped by a signal for a while, under load.

use super::flow::Growth;
use super::scaling::make_topic;
use super::sinks;
use super::supervision::seconds_from;
use anyhow::{Context as _, Result, ensure};
use checker::verdict::{Mode, Rows};
use checker::writer::{Db, Password, Writer, WriterConfig, WriterHandle};
use checker::{ReadConfig, verify_topics};
use e2e::daemon::Daemon;
use e2e::deeds::is_deed;
use e2e::hcl;
use e2e::process::{signal, wait_for};
use e2e::world::World;
use rustix::process::Signal;
use std::path::Path;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_mins(2);
const SOURCE: &str = "asleep";
const SINK: &str = "drain";
/// Every patience is shorter than the sleep.
const QUICK: &str = "
[timing]
settle_ms = 1500
reconcile_ms = 500
probe_ms = 5000
silent_worker_ms = 8000
progress_ms = 8000
kafka_timeout_ms = 5000
[scaling]
sample_ms = 500
[capacity]
mcu_memory_mib = 640
";
/// Counters of what would be held against workers.
const HELD_AGAINST: &[&str] = &[
    "runnel_worker_restarts_total",
    "runnel_task_restarts_total",
    "runnel_scaling_decisions_total",
    "runnel_operations_total",
];
/// So long is looked for late consequences: several periods of everything that looks, the longest of
/// which is that of lags.
const AFTERWARDS: Duration = Duration::from_secs(15);

/// The daemon gets SIGSTOP, for 20 s or what `E2E_FROZEN_SECONDS` says, while a source and a sink
/// work: they go on, and when it wakes up it does nothing at all.
pub fn frozen_daemon(world: &mut World) -> Result<()> {
    let frozen = seconds_from("E2E_FROZEN_SECONDS", 20)?;
    let daemon = world.other_daemon(SOURCE, QUICK)?;
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?;
    world.rig.mariadb(&format!(
        "CREATE DATABASE {SOURCE}; CREATE USER {SOURCE}_writer IDENTIFIED BY '{password}'; \
         GRANT ALL ON {SOURCE}.* TO {SOURCE}_writer"
    ))?;
    make_topic(world, SINK, 1)?;
    let source = world.terraform_on(&daemon, SOURCE, &capture(world)?)?;
    source.apply()?.expect(0)?;
    let sink = world.terraform_on(&daemon, SINK, &sinks::jdbc(world, SINK)?)?;
    sink.apply()?.expect(0)?;
    let writers = writers(world)?;
    let numbers = sinks::numbers(world, SINK, 40)?.start();
    let appended = format!("{SOURCE}.{SOURCE}.load_log");
    wait_for("events and rows", LIMIT, || {
        let events = Growth::of(world.rig.bootstrap()?, &[(&appended, 1)]);
        Ok(events.is_ok() && sinks::rows(world, SINK)? > 0)
    })?;
    for name in [SOURCE, SINK] {
        wait_for("health RUNNING", LIMIT, || runs(&daemon, name))?;
    }

    let pids = pids(&daemon)?;
    let counted = counters(&daemon)?;
    let mut growth = Growth::of(world.rig.bootstrap()?, &[(&appended, 1)])?;
    let (events, rows) = (growth.look()?, sinks::rows(world, SINK)?);
    let before = log(&daemon)?.len();
    sleep(&daemon, frozen, || {
        growth.look()?;
        for pid in &pids {
            ensure!(Path::new(&format!("/proc/{pid}")).exists(), "{pid} is gone");
        }
        Ok(())
    })?;
    let silence = growth.longest_silence();
    let (events, rows) = (growth.look()? - events, sinks::rows(world, SINK)? - rows);
    ensure!(events > 0 && rows > 0, "{events} events, {rows} rows");
    let (told, done) = afterwards(&daemon, before)?;
    println!(
        "frozen for {} s: {events} events and {rows} rows meanwhile, never longer than {:.1} s \
         without one; told afterwards: {told:?}",
        frozen.as_secs(),
        silence.as_secs_f64(),
    );
    ensure!(
        done.is_empty(),
        "the daemon did something: {}",
        done.join("\n")
    );
    ensure!(
        !told.iter().any(|it| !it.starts_with("Running/Running")),
        "told for the time that it slept: {told:#?}"
    );
    ensure!(self::pids(&daemon)? == pids, "other workers than {pids:?}");
    ensure!(
        counters(&daemon)? == counted,
        "counted: {counted:#?}, now {:#?}",
        counters(&daemon)?
    );

    judge(world, writers)?;
    let sent = i64::try_from(numbers.stop()?)?;
    wait_for("all rows", LIMIT, || Ok(sinks::rows(world, SINK)? == sent))?;
    println!("{sent} records for the sink, 0 lost");
    source.plan()?.expect(0)?;
    sink.plan()?.expect(0)?;
    source.destroy()?.expect(0)?;
    sink.destroy()?.expect(0)?;
    sinks::drop_table(world, SINK)?;
    world.rig.mariadb(&format!(
        "DROP DATABASE {SOURCE}; DROP USER {SOURCE}_writer"
    ))?;
    Ok(())
}

/// Wakes the daemon up, however the trial ends: nobody could stop it otherwise.
struct Frozen(u32);

impl Frozen {
    fn begin(daemon: &Daemon) -> Result<Self> {
        let pid = daemon.pid().context("the daemon runs")?;
        signal(pid, Signal::STOP)?;
        Ok(Self(pid))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Err(error) = signal(self.0, Signal::CONT) {
            eprintln!("{error:#}");
        }
    }
}

/// Looks at the world while the daemon does not; when this returns, it answers again.
fn sleep(daemon: &Daemon, length: Duration, mut look: impl FnMut() -> Result<()>) -> Result<()> {
    let frozen = Frozen::begin(daemon)?;
    let until = Instant::now() + length;
    while Instant::now() < until {
        look()?;
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(frozen);
    // A connection that was kept open for so long may be closed at its first use.
    wait_for("the daemon to answer", LIMIT, || {
        Ok(daemon.get("/api/v1/connectors").is_ok())
    })
}

/// What the daemon has told since, and what it has done.
fn afterwards(daemon: &Daemon, from: usize) -> Result<(Vec<String>, Vec<String>)> {
    let until = Instant::now() + AFTERWARDS;
    while Instant::now() < until {
        for name in [SOURCE, SINK] {
            let status = daemon.get(&format!("/api/v1/connectors/{name}"))?["status"].clone();
            ensure!(status["state"] == "RUNNING", "{status}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let log = log(daemon)?;
    let lines = log.get(from..).context("a log that only grows")?.lines();
    let done = lines.clone().filter(|line| is_deed(line));
    let told = lines.filter_map(|line| {
        let line = line.split_once("Running/").or(line.split_once("Failed/"))?;
        Some(format!("Running/{}", line.1))
    });
    Ok((told.collect(), done.map(str::to_owned).collect()))
}

fn log(daemon: &Daemon) -> Result<String> {
    Ok(std::fs::read_to_string(daemon.log_path())?)
}

fn pids(daemon: &Daemon) -> Result<Vec<u32>> {
    let mut pids = daemon.worker_pids(SOURCE)?;
    pids.extend(daemon.worker_pids(SINK)?);
    ensure!(pids.len() == 2, "{pids:?}");
    Ok(pids)
}

fn runs(daemon: &Daemon, name: &str) -> Result<bool> {
    let object = daemon.get(&format!("/api/v1/connectors/{name}"))?;
    Ok(object["status"]["health"] == "RUNNING")
}

fn counters(daemon: &Daemon) -> Result<Vec<String>> {
    let text = daemon.get_text("/metrics")?;
    let counted = text
        .lines()
        .filter(|line| HELD_AGAINST.iter().any(|name| line.starts_with(name)));
    Ok(counted.map(str::to_owned).collect())
}

fn writers(world: &World) -> Result<WriterHandle> {
    let rig = &world.rig;
    Ok(Writer::start(WriterConfig {
        db: Db::Mariadb,
        url: format!(
            "mysql://{SOURCE}_writer@{}:{}/{SOURCE}",
            rig.fact("RIG_MARIADB_HOST")?,
            rig.fact("RIG_MARIADB_PORT")?
        ),
        password: Some(Password::new(rig.fact("RIG_MARIADB_PASSWORD")?)),
        table: "load".to_owned(),
        keys: 50,
        rate: 40,
        writers: 2,
        seed: 11,
        history: world.scratch("asleep.jsonl"),
    })?)
}

fn judge(world: &World, writers: WriterHandle) -> Result<()> {
    let history = writers.stop()?;
    let topics = ["reg", "log"].map(|it| format!("{SOURCE}.{SOURCE}.load_{it}"));
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let config = ReadConfig::new(world.rig.bootstrap()?, "load", &names);
    let mode = Mode::Rows(Rows::of_topics("load", &topics));
    let verdict = verify_topics(&history, &config, &mode)?;
    println!("{verdict}");
    ensure!(verdict.passed, "{verdict}");
    Ok(())
}

fn capture(world: &World) -> Result<String> {
    let archive = world.place("RIG_PLUGIN_MARIADB")?;
    hcl::Debezium {
        config: &hcl::PLAIN_JSON,
        ..hcl::Debezium::new(SOURCE, SOURCE, archive)
    }
    .hcl(world)
}
