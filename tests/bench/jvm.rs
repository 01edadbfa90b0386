//! What a worker's JVM is tuned for, and what that costs: C1 with the serial collector against C2 with G1, on one MCU
//! and on two: `make bench-jvm`.
//!
//! Each case is a daemon with a worker of its own that takes a snapshot of the same table and then the same rows from
//! the log. All cases run one after the other in one run; ratios of one run mean something, seconds belong to the machine.

use anyhow::{Context as _, Result, ensure};
use e2e::daemon::Daemon;
use e2e::hcl;
use e2e::process::{run, wait_for};
use e2e::world::World;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use std::process::Command;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_mins(5);
/// Rows of the snapshot, and rows that are written afterwards.
const ROWS: i64 = 200_000;
/// Transactions that are written at the end; the last of them are measured, when both compilers have done their work.
const HOT_TRANSACTIONS: i64 = 3;
/// Rows of one transaction that is written: as large as the table at that moment, so this many at first.
const FIRST_ROWS: i64 = 1_000;

/// One case.
struct Case {
    mcus: u32,
    jvm: &'static str,
}

const CASES: &[Case] = &[
    Case {
        mcus: 1,
        jvm: "small",
    },
    Case {
        mcus: 1,
        jvm: "throughput",
    },
    Case {
        mcus: 2,
        jvm: "small",
    },
    Case {
        mcus: 2,
        jvm: "throughput",
    },
];

/// What was measured of one case.
#[derive(Default)]
struct Figures {
    ready_s: f64,
    first_event_s: f64,
    snapshot: Phase,
    streaming: Phase,
    hot: Phase,
    rss_mib: u64,
}

/// One stretch of work.
#[derive(Default)]
struct Phase {
    rows_per_s: f64,
    cpu_us_per_row: f64,
}

fn main() -> Result<()> {
    let mut world = World::set_up()?;
    world.run("bench", |world| {
        let mut rows = Vec::new();
        for case in CASES {
            let figures = measure(world, case)?;
            println!("{}", row(case, &figures));
            rows.push((case, figures));
        }
        print_table(&rows);
        Ok(())
    })
}

fn row(case: &Case, it: &Figures) -> String {
    format!(
        "| {} | {} | {:.1} s | {:.1} s | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {} MiB |",
        case.mcus,
        case.jvm,
        it.ready_s,
        it.first_event_s,
        it.snapshot.rows_per_s,
        it.snapshot.cpu_us_per_row,
        it.streaming.rows_per_s,
        it.streaming.cpu_us_per_row,
        it.hot.rows_per_s,
        it.hot.cpu_us_per_row,
        it.rss_mib
    )
}

fn print_table(rows: &[(&Case, Figures)]) {
    println!(
        "| MCUs | JVM | REST up | first event | snapshot rows/s | µs CPU/row | streamed rows/s | µs CPU/row | hot rows/s | µs CPU/row | resident |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for (case, figures) in rows {
        println!("{}", row(case, figures));
    }
    for pair in rows.chunks(2) {
        let [(small, a), (_, b)] = pair else { continue };
        println!(
            "{} MCU, throughput to small: REST up {:.2}, snapshot rows/s {:.2}, CPU/row {:.2}, streamed rows/s {:.2}, CPU/row {:.2}, hot rows/s {:.2}, CPU/row {:.2}, resident {:.2}",
            small.mcus,
            b.ready_s / a.ready_s,
            b.snapshot.rows_per_s / a.snapshot.rows_per_s,
            b.snapshot.cpu_us_per_row / a.snapshot.cpu_us_per_row,
            b.streaming.rows_per_s / a.streaming.rows_per_s,
            b.streaming.cpu_us_per_row / a.streaming.cpu_us_per_row,
            b.hot.rows_per_s / a.hot.rows_per_s,
            b.hot.cpu_us_per_row / a.hot.cpu_us_per_row,
            f64::from(u32::try_from(b.rss_mib).unwrap_or(0))
                / f64::from(u32::try_from(a.rss_mib).unwrap_or(1))
        );
    }
}

/// Fills a table, starts a connector on it, and looks at its worker until everything has come, twice.
fn measure(world: &World, case: &Case) -> Result<Figures> {
    let name = format!("jvm{}{}", case.mcus, case.jvm);
    world.rig.mariadb(&format!(
        "CREATE DATABASE {name}; USE {name}; CREATE TABLE {name}.t (id INT PRIMARY KEY AUTO_INCREMENT, label VARCHAR(80), price DECIMAL(10,2), at DATETIME);
         INSERT INTO {name}.t (label, price, at) SELECT CONCAT('row number ', seq, ' of the snapshot with some text'), seq / 7, NOW() FROM seq_1_to_{ROWS}"
    ))?;
    let settings = format!(
        "[capacity]\njvm = \"{}\"\n[timing]\nreconcile_ms = 250\n",
        case.jvm
    );
    let mut daemon = world.other_daemon(&name, &settings)?;
    let terraform = world.terraform_on(&daemon, &name, &configuration(world, &name, case.mcus)?)?;
    let mut apply = terraform.spawn(&["apply", "-auto-approve", "-input=false"])?;
    let worker = started(&daemon, &name)?;
    let topic = format!("{name}.{name}.t");
    let end = Ends::of(world, &topic)?;
    let mut figures = Figures {
        ready_s: worker.ready_s,
        ..Figures::default()
    };
    end.reach(1)?;
    figures.first_event_s = worker.since.elapsed().as_secs_f64();
    figures.snapshot = phase(&worker, &end, ROWS)?;
    ensure!(apply.wait()?.success(), "apply failed");
    world.rig.mariadb(&format!(
        "INSERT INTO {name}.t (label, price, at) SELECT label, price, at FROM {name}.t LIMIT {FIRST_ROWS}"
    ))?;
    end.reach(ROWS + FIRST_ROWS)?;
    let write = || {
        world.rig.mariadb(&format!(
            "INSERT INTO {name}.t (label, price, at) SELECT label, price, at FROM {name}.t LIMIT {ROWS}"
        ))
    };
    write()?;
    end.reach(ROWS + FIRST_ROWS + 1)?;
    figures.streaming = phase(&worker, &end, 2 * ROWS + FIRST_ROWS)?;
    for _ in 0..HOT_TRANSACTIONS {
        write()?;
    }
    end.reach(3 * ROWS + FIRST_ROWS)?;
    let all = (2 + HOT_TRANSACTIONS) * ROWS + FIRST_ROWS;
    figures.hot = phase(&worker, &end, all)?;
    figures.rss_mib = resident_mib(worker.pid)?;
    terraform.destroy()?.expect(0)?;
    daemon.stop_all()?;
    world.rig.mariadb(&format!("DROP DATABASE {name}"))?;
    Ok(figures)
}

/// A worker of which REST is up.
struct Worker {
    pid: u32,
    /// When the process was started.
    since: Instant,
    ready_s: f64,
    ticks_per_s: f64,
}

fn started(daemon: &Daemon, name: &str) -> Result<Worker> {
    let path = format!("/api/v1/connectors/{name}");
    let mut found = None;
    wait_for("a ready worker", LIMIT, || {
        let Ok(object) = daemon.get(&path) else {
            return Ok(false);
        };
        let worker = &object["status"]["workers"][0];
        found = worker["started_ms"].as_u64().zip(worker["pid"].as_u64());
        Ok(worker["state"] == "READY")
    })?;
    let (started_ms, pid) = found.context("a worker")?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let age = now.saturating_sub(Duration::from_millis(started_ms));
    let ticks: f64 = run(Command::new("getconf").arg("CLK_TCK"))?
        .trim()
        .parse()?;
    Ok(Worker {
        pid: u32::try_from(pid)?,
        since: Instant::now()
            .checked_sub(age)
            .context("the machine's age")?,
        ready_s: age.as_secs_f64(),
        ticks_per_s: ticks,
    })
}

impl Worker {
    /// CPU time of the process, all threads, in seconds.
    fn cpu_s(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let (_, fields) = stat.rsplit_once(") ").context("a stat line")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks: u32 = fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
        Ok(f64::from(ticks) / self.ticks_per_s)
    }
}

/// Work from this moment until a topic has so many records.
fn phase(worker: &Worker, end: &Ends, records: i64) -> Result<Phase> {
    let (begun, cpu, from) = (Instant::now(), worker.cpu_s()?, end.now());
    end.reach(records)?;
    let rows = f64::from(i32::try_from(records - from)?);
    Ok(Phase {
        rows_per_s: rows / begun.elapsed().as_secs_f64(),
        cpu_us_per_row: (worker.cpu_s()? - cpu) * 1e6 / rows,
    })
}

/// Where a topic of one partition ends.
struct Ends {
    consumer: BaseConsumer,
    topic: String,
}

impl Ends {
    fn of(world: &World, topic: &str) -> Result<Self> {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", world.rig.bootstrap()?)
            .create()?;
        Ok(Self {
            consumer,
            topic: topic.to_owned(),
        })
    }

    /// 0 while there is no such topic.
    fn now(&self) -> i64 {
        let limit = Duration::from_secs(5);
        let marks = self.consumer.fetch_watermarks(&self.topic, 0, limit);
        marks.map_or(0, |(_, end)| end)
    }

    fn reach(&self, records: i64) -> Result<()> {
        let what = format!("{records} records in {}", self.topic);
        wait_for(&what, LIMIT, || Ok(self.now() >= records))
    }
}

fn resident_mib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.context("VmRSS")?.parse::<u64>()? / 1024)
}

fn configuration(world: &World, name: &str, mcus: u32) -> Result<String> {
    let capacity = format!("{{ provisioned = {{ mcu_count = {mcus}, worker_count = 1 }} }}");
    hcl::Debezium {
        capacity: &capacity,
        ..hcl::Debezium::new(name, name, world.place("RIG_PLUGIN_MARIADB")?)
    }
    .hcl(world)
}
