//! Capacity that follows real load.

use anyhow::{Context as _, Result, bail, ensure};
use checker::reader::{ReadConfig, verify_topics};
use checker::verdict::{Mode, Rows};
use checker::writer::{Db, Password, Writer, WriterConfig, WriterHandle};
use e2e::daemon::Daemon;
use e2e::hcl;
use e2e::process::wait_for;
use e2e::world::World;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Seconds in the place of minutes: a decision needs 4 s of load, not three minutes.
const QUICK: &str = "
[timing]
settle_ms = 1500
reconcile_ms = 500
[scaling]
sample_ms = 500
bucket_ms = 3000
gap_ms = 2500
young_worker_ms = 6000
scale_out_buckets = 2
scale_out_cool_down_ms = 4000
scale_in_buckets = 4
scale_in_cool_down_ms = 6000
[capacity]
mcu_memory_mib = 640
";
const PARTITIONS: i32 = 6;
const LIMIT: Duration = Duration::from_mins(3);

/// A mirror (`MirrorMaker` 2) copies a topic: under load it gets three workers, afterwards it gives two back.
pub fn horizontal(world: &mut World) -> Result<()> {
    let daemon = world.other_daemon("wide", QUICK)?;
    make_topic(world, "wide-load", PARTITIONS)?;
    let main = mirror(world)?;
    let terraform = world.terraform_on(&daemon, "wide", &main)?;
    terraform.apply()?.expect(0)?;
    let stop = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| -> Result<u64> {
        let bootstrap = world.rig.bootstrap()?;
        let writer = scope.spawn(|| load(bootstrap, "wide-load", &stop));
        let grown = wait_for("three workers", LIMIT, || {
            Ok(size(&daemon, "wide")? == (3, 1))
        });
        stop.store(true, Ordering::Release);
        let sent = writer
            .join()
            .map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        grown.map(|()| sent)
    })?;
    wait_for("one worker again", LIMIT, || {
        Ok(size(&daemon, "wide")? == (1, 1) && daemon.worker_pids("wide")?.len() == 1)
    })?;
    let decisions = daemon.runnel(&["status", "wide", "--decisions"])?;
    println!("{decisions}");
    for step in [
        "1 -> 2 workers",
        "2 -> 3 workers",
        "3 -> 2 workers",
        "2 -> 1 worker",
    ] {
        ensure!(decisions.contains(step), "no step {step}: {decisions}");
    }
    let original = contents(world.rig.bootstrap()?, "wide-load")?;
    let copy = contents(world.rig.bootstrap()?, "src.wide-load")?;
    let (mut lost, mut twice) = (0, 0);
    for (partition, numbers) in &original {
        let copied = copy.get(partition).cloned().unwrap_or_default();
        let unique: std::collections::BTreeSet<u64> = copied.iter().copied().collect();
        twice += copied.len() - unique.len();
        lost += numbers
            .iter()
            .filter(|number| !unique.contains(number))
            .count();
    }
    println!("{sent} records were written, {lost} lost, {twice} copied twice");
    ensure!(lost == 0, "{lost} records are lost");
    terraform.plan()?.expect(0)?;
    terraform.destroy()?.expect(0)?;
    Ok(())
}

/// Debezium MariaDB runs one task: under load its worker gets a second MCU, afterwards it gives it back, and the checker
/// finds every change of the source.
pub fn vertical(world: &mut World) -> Result<()> {
    let daemon = world.other_daemon("tall", QUICK)?;
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?;
    world.rig.mariadb(&format!(
        "CREATE DATABASE tall; CREATE USER tall_writer IDENTIFIED BY '{password}'; GRANT ALL ON tall.* TO tall_writer"
    ))?;
    let terraform = world.terraform_on(&daemon, "tall", &capture(world)?)?;
    terraform.apply()?.expect(0)?;
    let up = Load::start(world, "up", 20)?;
    let heavy = Load::start(world, "heavy", 0)?;
    wait_for("a worker of two MCUs", LIMIT, || {
        rests_at(&daemon, "tall", (1, 2))
    })?;
    up.verdict(world, "1 -> 2 MCUs")?;
    heavy.verdict(world, "all of the load")?;
    let down = Load::start(world, "down", 20)?;
    wait_for("a worker of one MCU again", LIMIT, || {
        rests_at(&daemon, "tall", (1, 1))
    })?;
    down.verdict(world, "2 -> 1 MCU")?;
    println!("{}", daemon.runnel(&["status", "tall", "--decisions"])?);
    terraform.plan()?.expect(0)?;
    terraform.destroy()?.expect(0)?;
    world
        .rig
        .mariadb("DROP DATABASE tall; DROP USER tall_writer")?;
    Ok(())
}

/// Whether the fleet has that size, and has had the time to become it.
fn rests_at(daemon: &Daemon, connector: &str, wanted: (u64, u64)) -> Result<bool> {
    let object = daemon.get(&format!("/api/v1/connectors/{connector}"))?;
    let workers = object["status"]["workers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let sized = workers.iter().all(|worker| worker["mcu_count"] == wanted.1);
    let healthy = object["status"]["health"] == "RUNNING";
    Ok(size(daemon, connector)? == wanted && workers.len() as u64 == wanted.0 && sized && healthy)
}

/// Writers with a history, whose every change is to be found in Kafka.
struct Load {
    name: &'static str,
    handle: WriterHandle,
}

impl Load {
    fn start(world: &World, name: &'static str, rate: u32) -> Result<Self> {
        let rig = &world.rig;
        let url = format!(
            "mysql://tall_writer@{}:{}/tall",
            rig.fact("RIG_MARIADB_HOST")?,
            rig.fact("RIG_MARIADB_PORT")?
        );
        let handle = Writer::start(WriterConfig {
            db: Db::Mariadb,
            url,
            password: Some(Password::new(rig.fact("RIG_MARIADB_PASSWORD")?)),
            table: name.to_owned(),
            keys: 50,
            rate,
            writers: 2,
            seed: 7,
            history: world.scratch(&format!("tall-{name}.jsonl")),
        })?;
        Ok(Self { name, handle })
    }

    fn verdict(self, world: &World, what: &str) -> Result<()> {
        let history = self.handle.stop()?;
        let topics = [
            format!("tall.tall.{}_reg", self.name),
            format!("tall.tall.{}_log", self.name),
        ];
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let config = ReadConfig::new(world.rig.bootstrap()?, self.name, &topics);
        let mode = Mode::Rows(Rows::of_topics(self.name, &topics));
        let verdict = verify_topics(&history, &config, &mode)?;
        println!("{what}:\n{verdict}");
        ensure!(verdict.passed, "{what}: {verdict}");
        Ok(())
    }
}

fn capture(world: &World) -> Result<String> {
    let capacity = "{
    autoscaling = {
      mcu_count        = 1
      min_worker_count = 1
      max_worker_count = 2
      scale_in_policy  = { cpu_utilization_percentage = 9 }
      scale_out_policy = { cpu_utilization_percentage = 18 }
    }
  }";
    let archive = world.place("RIG_PLUGIN_MARIADB")?;
    hcl::Debezium {
        config: &hcl::PLAIN_JSON,
        capacity,
        ..hcl::Debezium::new("tall", "tall", archive)
    }
    .hcl(world)
}

/// Workers and MCUs that are wanted now.
fn size(daemon: &Daemon, connector: &str) -> Result<(u64, u64)> {
    let object = daemon.get(&format!("/api/v1/connectors/{connector}"))?;
    let size = &object["status"]["scaling"]["size"];
    Ok((
        size["workers"].as_u64().unwrap_or_default(),
        size["mcu_count"].as_u64().unwrap_or_default(),
    ))
}

/// Makes a topic.
pub fn make_topic(world: &World, topic: &str, partitions: i32) -> Result<()> {
    let partitions = partitions.to_string();
    world
        .rig
        .kafka(&[
            "topics",
            "--create",
            "--topic",
            topic,
            "--partitions",
            &partitions,
        ])
        .map(drop)
}

/// Writes numbered records as fast as the broker takes them, until told to stop.
fn load(bootstrap: &str, topic: &str, stop: &AtomicBool) -> Result<u64> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .create()?;
    let mut number = 0_u64;
    let begun = Instant::now();
    while !stop.load(Ordering::Acquire) {
        ensure!(begun.elapsed() < LIMIT + LIMIT, "the load went on too long");
        let value = format!("{number:020}{}", "x".repeat(180));
        let partition = i32::try_from(number % u64::from(PARTITIONS.unsigned_abs()))?;
        let record = BaseRecord::<(), str>::to(topic)
            .payload(&value)
            .partition(partition);
        match producer.send(record) {
            Ok(()) => number += 1,
            Err((error, _))
                if error.rdkafka_error_code()
                    == Some(rdkafka::types::RDKafkaErrorCode::QueueFull) =>
            {
                producer.poll(Duration::from_millis(20));
            }
            Err((error, _)) => return Err(error.into()),
        }
        // Half of the machine is for those who copy.
        if number.is_multiple_of(500) {
            producer.poll(Duration::from_millis(12));
        }
    }
    producer.flush(Duration::from_secs(30))?;
    Ok(number)
}

/// Numbers of all records, by partition, in their order.
fn contents(bootstrap: &str, topic: &str) -> Result<BTreeMap<i32, Vec<u64>>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "e2e-contents")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut assignment = TopicPartitionList::new();
    let mut open = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let (low, high) = consumer.fetch_watermarks(topic, partition, Duration::from_secs(10))?;
        assignment.add_partition_offset(topic, partition, rdkafka::Offset::Beginning)?;
        if high > low {
            open.insert(partition, high);
        }
    }
    consumer.assign(&assignment)?;
    let mut numbers: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
    while !open.is_empty() {
        let Some(message) = consumer.poll(Duration::from_secs(20)) else {
            bail!("{topic} does not come to its end: {open:?}");
        };
        let message = message?;
        let text = std::str::from_utf8(message.payload().context("a value")?)?;
        let number = text.get(..20).context("a number")?.parse()?;
        numbers.entry(message.partition()).or_default().push(number);
        if open
            .get(&message.partition())
            .is_some_and(|high| message.offset() + 1 >= *high)
        {
            open.remove(&message.partition());
        }
    }
    Ok(numbers)
}

fn mirror(world: &World) -> Result<String> {
    let bootstrap = world.rig.bootstrap()?;
    let bytes = "org.apache.kafka.connect.converters.ByteArrayConverter";
    let config = hcl::map(
        "config",
        &[
            (
                "connector.class",
                "org.apache.kafka.connect.mirror.MirrorSourceConnector",
            ),
            ("topics", "wide-load"),
            ("source.cluster.alias", "src"),
            ("target.cluster.alias", "dst"),
            ("source.cluster.bootstrap.servers", bootstrap),
            ("target.cluster.bootstrap.servers", bootstrap),
            ("replication.factor", "1"),
            ("emit.offset-syncs.enabled", "false"),
            ("sync.topic.configs.enabled", "false"),
            ("sync.topic.acls.enabled", "false"),
            ("key.converter", bytes),
            ("value.converter", bytes),
        ],
    );
    Ok(format!(
        r#"{cluster}{plugin}
resource "runnel_role" "this" {{
  name = "wide"
}}

resource "runnel_connector" "this" {{
  name                       = "wide"
  kafka_cluster              = runnel_kafka_cluster.this.name
  plugins                    = [runnel_plugin.this.ref]
  service_execution_role_arn = runnel_role.this.arn
  capacity = {{
    autoscaling = {{
      mcu_count        = 1
      min_worker_count = 1
      max_worker_count = 3
      scale_in_policy  = {{ cpu_utilization_percentage = 5 }}
      scale_out_policy = {{ cpu_utilization_percentage = 10 }}
    }}
  }}
{config}}}
"#,
        cluster = hcl::cluster("wide", bootstrap),
        plugin = hcl::plugin("wide", world.place("RIG_PLUGIN_JDBC")?),
    ))
}
