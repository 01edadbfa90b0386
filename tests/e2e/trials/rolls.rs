//! Another worker configuration for a fleet that works.

use super::flow::{Growth, Numbers};
use super::scaling::make_topic;
use anyhow::{Result, ensure};
use checker::verdict::Mode;
use checker::{History, ReadConfig, verify_topics};
use e2e::daemon::Daemon;
use e2e::hcl;
use e2e::process::wait_for;
use e2e::terraform::Output;
use e2e::world::World;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_mins(2);
const NAME: &str = "round";
const LOAD: &str = "round-load";
const COPY: &str = "src.round-load";
const PARTITIONS: i32 = 6;
const QUICK: &str = "
[timing]
settle_ms = 1500
reconcile_ms = 500
[capacity]
mcu_memory_mib = 640
";

/// Two workers of a mirror (`MirrorMaker` 2) get another worker configuration under load: they are
/// replaced one by one. Then one that does not start, and one with which no task starts: both are
/// rolled back. Never is there no worker, and nothing is lost.
pub fn worker_configuration(world: &mut World) -> Result<()> {
    let daemon = world.other_daemon(NAME, QUICK)?;
    make_topic(world, LOAD, PARTITIONS)?;
    let terraform = world.terraform_on(&daemon, NAME, &mirror(world, &[])?)?;
    terraform.apply()?.expect(0)?;
    let numbers = Numbers {
        bootstrap: world.rig.bootstrap()?.to_owned(),
        topic: LOAD.to_owned(),
        partitions: PARTITIONS,
        rate: 200,
        value: |number| format!("{number:020}"),
    }
    .start();
    wait_for("copies", LIMIT, || {
        let growth = Growth::of(world.rig.bootstrap()?, &[(COPY, PARTITIONS)]);
        Ok(growth.is_ok_and(|mut it| it.look().is_ok_and(|count| count > 400)))
    })?;
    let change = |what: &str, properties: &[(&str, &str)]| -> Result<(Watched, Output)> {
        terraform.write(&mirror(world, properties)?)?;
        let (watched, output) = watch(world, &daemon, || terraform.apply())?;
        println!("{what}: {watched:?}");
        ensure!(watched.fewest >= 1, "{what}: no worker ran: {watched:?}");
        Ok((watched, output))
    };

    let first = workers(&daemon)?;
    let (watched, applied) = change("another interval", &[("offset.flush.interval.ms", "2000")])?;
    applied.expect(0)?;
    let second = workers(&daemon)?;
    ensure!(first.is_disjoint(&second), "{first:?}, then {second:?}");
    ensure!(watched.most == 3, "more than one at a time: {watched:?}");
    terraform.plan()?.expect(0)?;

    let (_, refused) = change("no start", &[("offset.flush.interval.ms", "soon")])?;
    let refused = refused.expect(1)?;
    println!("{}", error_of(&refused));
    refused.says("The worker does not start")?;
    refused.says("offset.flush.interval.ms")?;
    refused.says("restored and runs again")?;
    ensure!(workers(&daemon)? == second, "the workers were touched");
    await_health(&daemon)?;

    let (_, refused) = change("no task", &[("producer.compression.type", "lzma")])?;
    let refused = refused.expect(1)?;
    println!("{}", error_of(&refused));
    refused.says("compression.type")?;
    refused.says("restored and runs again")?;
    await_health(&daemon)?;

    let sent = numbers.stop()?;
    judge(world, sent)?;
    terraform.write(&mirror(world, &[("offset.flush.interval.ms", "2000")])?)?;
    terraform.apply()?.expect(0)?;
    terraform.plan()?.expect(0)?;
    terraform.destroy()?.expect(0)?;
    Ok(())
}

/// What terraform says from its error on.
fn error_of(output: &Output) -> &str {
    let at = output.text.find("Error: ").unwrap_or_default();
    &output.text[at..]
}

/// What was seen all along a change.
#[derive(Debug)]
struct Watched {
    /// Workers that answered, at the worst moment.
    fewest: usize,
    /// Workers that lived, at the fullest moment.
    most: usize,
    /// Seconds that the change took.
    took_s: f64,
    /// Seconds without a new copy, at the longest.
    silence_s: f64,
    looks: usize,
}

/// Looks at the fleet every 100 ms while something is done.
fn watch<T: Send>(
    world: &World,
    daemon: &Daemon,
    change: impl FnOnce() -> Result<T> + Send,
) -> Result<(Watched, T)> {
    let over = AtomicBool::new(false);
    let begun = Instant::now();
    let mut growth = Growth::of(world.rig.bootstrap()?, &[(COPY, PARTITIONS)])?;
    let mut watched = Watched {
        fewest: usize::MAX,
        most: 0,
        took_s: 0.0,
        silence_s: 0.0,
        looks: 0,
    };
    let done = std::thread::scope(|scope| -> Result<T> {
        let change = scope.spawn(|| {
            let done = change();
            over.store(true, Ordering::Release);
            done
        });
        while !over.load(Ordering::Acquire) {
            let (ready, alive) = count(daemon)?;
            watched.fewest = watched.fewest.min(ready);
            watched.most = watched.most.max(alive);
            watched.looks += 1;
            growth.look()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        change
            .join()
            .map_err(|_| anyhow::anyhow!("the change panicked"))?
    })?;
    watched.took_s = begun.elapsed().as_secs_f64();
    // What was silent at the end must come to its end.
    let records = growth.look()?;
    wait_for("new copies", LIMIT, || Ok(growth.look()? > records))?;
    watched.silence_s = growth.longest_silence().as_secs_f64();
    Ok((watched, done))
}

/// Workers that answer and are not told to stop, and all that live.
fn count(daemon: &Daemon) -> Result<(usize, usize)> {
    let object = daemon.get(&format!("/api/v1/connectors/{NAME}"))?;
    let workers = object["status"]["workers"].as_array().cloned();
    let alive: Vec<_> = workers
        .unwrap_or_default()
        .into_iter()
        .filter(|worker| {
            let pid = worker["pid"].as_u64();
            pid.is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists())
        })
        .collect();
    let ready = alive.iter().filter(|it| it["state"] == "READY").count();
    Ok((ready, alive.len()))
}

fn workers(daemon: &Daemon) -> Result<BTreeSet<u32>> {
    let pids: BTreeSet<u32> = daemon.worker_pids(NAME)?.into_iter().collect();
    ensure!(pids.len() == 2, "{pids:?}");
    Ok(pids)
}

fn await_health(daemon: &Daemon) -> Result<()> {
    wait_for("health RUNNING", LIMIT, || {
        let object = daemon.get(&format!("/api/v1/connectors/{NAME}"))?;
        Ok(object["status"]["health"] == "RUNNING")
    })
}

fn judge(world: &World, sent: u64) -> Result<()> {
    let mode = Mode::Mirror {
        source: LOAD.to_owned(),
        copy: COPY.to_owned(),
        exactly_once: false,
    };
    let config = ReadConfig {
        format: checker::envelope::Format::Opaque,
        ..ReadConfig::new(world.rig.bootstrap()?, NAME, &[LOAD, COPY])
    };
    let verdict = verify_topics(&History::default(), &config, &mode)?;
    println!("{sent} records were written:\n{verdict}");
    ensure!(verdict.passed, "{verdict}");
    Ok(())
}

fn mirror(world: &World, properties: &[(&str, &str)]) -> Result<String> {
    let bootstrap = world.rig.bootstrap()?;
    let bytes = "org.apache.kafka.connect.converters.ByteArrayConverter";
    let mut all = vec![("key.converter", bytes), ("value.converter", bytes)];
    all.extend(properties);
    let config = hcl::map(
        "config",
        &[
            (
                "connector.class",
                "org.apache.kafka.connect.mirror.MirrorSourceConnector",
            ),
            ("tasks.max", "4"),
            ("topics", LOAD),
            ("source.cluster.alias", "src"),
            ("target.cluster.alias", "dst"),
            ("source.cluster.bootstrap.servers", bootstrap),
            ("target.cluster.bootstrap.servers", bootstrap),
            ("replication.factor", "1"),
            ("emit.offset-syncs.enabled", "false"),
            ("sync.topic.configs.enabled", "false"),
            ("sync.topic.acls.enabled", "false"),
        ],
    );
    Ok(format!(
        r#"{cluster}{plugin}
resource "runnel_role" "this" {{
  name = "{NAME}"
}}

resource "runnel_worker_configuration" "this" {{
  name = "{NAME}"
{properties}}}

resource "runnel_connector" "this" {{
  name                       = "{NAME}"
  kafka_cluster              = runnel_kafka_cluster.this.name
  plugins                    = [runnel_plugin.this.ref]
  worker_configuration       = runnel_worker_configuration.this.ref
  service_execution_role_arn = runnel_role.this.arn
  capacity                   = {{ provisioned = {{ mcu_count = 1, worker_count = 2 }} }}
{config}}}
"#,
        cluster = hcl::cluster(NAME, bootstrap),
        plugin = hcl::plugin(NAME, world.place("RIG_PLUGIN_JDBC")?),
        properties = hcl::map("properties", &all),
    ))
}
