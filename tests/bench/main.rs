//! The figures of the whole, on the release build: `make bench`.
//!
//! Times are wall-clock on whatever machine this runs on; what is compared is measured in one run.

use anyhow::{Context as _, Result, ensure};
use e2e::hcl::Seed;
use e2e::process::{self, binary, wait_for};
use e2e::world::World;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_mins(1);
const ROUNDS: usize = 11;

fn main() -> Result<()> {
    let mut world = World::set_up()?;
    println!("build: {}", process::profile());
    world.run("bench", |world| {
        handshake()?;
        plans(world)?;
        daemon_memory(world, "idle")?;
        create(world, "3.9")?;
        create(world, "4.3")
    })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let begun = Instant::now();
    let value = work()?;
    Ok((begun.elapsed(), value))
}

/// From exec to the handshake line, without a client certificate, so without TLS on either side.
fn handshake() -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let mut child = Command::new(binary("terraform-provider-runnel"))
            .env(
                "TF_PLUGIN_MAGIC_COOKIE",
                "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
            )
            .env("PLUGIN_PROTOCOL_VERSIONS", "6")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("standard output")?).read_line(&mut line)?;
        times.push(begun.elapsed());
        child.kill()?;
        child.wait()?;
        ensure!(line.starts_with("1|6|unix|"), "no handshake: {line}");
    }
    println!(
        "handshake, exec to line: {:.1} ms",
        median(times).as_secs_f64() * 1e3
    );
    Ok(())
}

/// One resource against nothing, in the same run.
fn plans(world: &World) -> Result<()> {
    let empty = world.terraform("bench-empty", "output \"nothing\" {\n  value = 1\n}\n")?;
    let one = world.terraform(
        "bench-one",
        "resource \"runnel_role\" \"this\" {\n  name = \"bench\"\n}\n",
    )?;
    one.apply()?.expect(0)?;
    empty.apply()?.expect(0)?;
    let (mut of_empty, mut of_one) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_empty.push(timed(|| empty.plan()?.expect(0).map(drop))?.0);
        of_one.push(timed(|| one.plan()?.expect(0).map(drop))?.0);
    }
    let (empty_plan, one_plan) = (median(of_empty), median(of_one));
    println!(
        "plan: nothing {:.0} ms, one resource {:.0} ms, ratio {:.2}",
        empty_plan.as_secs_f64() * 1e3,
        one_plan.as_secs_f64() * 1e3,
        one_plan.as_secs_f64() / empty_plan.as_secs_f64()
    );
    one.destroy()?.expect(0)?;
    Ok(())
}

fn resident_mib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("VmRSS")?;
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .context("a number")?
        .parse()?;
    Ok(kib / 1024)
}

fn daemon_memory(world: &World, when: &str) -> Result<()> {
    let pid = world.daemon.pid().context("the daemon runs")?;
    println!("daemon, {when}: {} MiB resident", resident_mib(pid)?);
    Ok(())
}

/// Apply to first event, split; then the silence of an update.
fn create(world: &World, runtime: &str) -> Result<()> {
    let name = format!("bench{}", runtime.replace('.', ""));
    world.rig.mariadb(&format!(
        "CREATE DATABASE {name}; CREATE TABLE {name}.t (id INT PRIMARY KEY); INSERT INTO {name}.t VALUES (0)"
    ))?;
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?.to_owned();
    let version = format!("  kafkaconnect_version = \"{runtime}\"\n");
    let plugin = world.place("RIG_PLUGIN_MYSQL")?.to_owned();
    let old = [];
    let new = [
        ("topic.prefix", name.as_str()),
        ("schema.history.internal.kafka.topic", "history.bench"),
    ];
    let configuration = |databases: &str| -> Result<String> {
        let seed = Seed {
            lines: if runtime == "3.9" { "" } else { &version },
            config: if runtime == "3.9" { &old } else { &new },
            ..Seed::new(&name, databases, &password)
        };
        let hcl = seed.hcl(world)?;
        Ok(if runtime == "3.9" {
            hcl
        } else {
            modern(&hcl, world.place("RIG_PLUGIN_SEED_ZIP")?, &plugin)
        })
    };
    let terraform = world.terraform(&name, &configuration(&name)?)?;
    let topic = format!("{name}.{name}.t");
    let begun = Instant::now();
    let mut apply = terraform.spawn(&["apply", "-auto-approve", "-input=false"])?;
    wait_for("the connector to be accepted", LIMIT, || {
        Ok(world
            .daemon
            .get(&format!("/api/v1/connectors/{name}"))
            .is_ok())
    })?;
    let accepted = begun.elapsed();
    wait_for("a ready worker", LIMIT, || {
        let object = world.daemon.get(&format!("/api/v1/connectors/{name}"))?;
        Ok(object["status"]["workers"][0]["state"] == "READY")
    })?;
    let ready = begun.elapsed();
    world.records(&topic, 1, LIMIT)?;
    let first = begun.elapsed();
    ensure!(apply.wait()?.success(), "apply failed");
    let applied = begun.elapsed();
    println!(
        "runtime {runtime}: apply to accepted {:.2} s, worker ready {:.2} s, first event {:.2} s, apply ends {:.2} s",
        accepted.as_secs_f64(),
        ready.as_secs_f64(),
        first.as_secs_f64(),
        applied.as_secs_f64()
    );
    let pid = world.daemon.worker_pids(&name)?[0];
    println!(
        "runtime {runtime}: worker {} MiB resident",
        resident_mib(pid)?
    );
    silence(world, &name, &topic, || {
        terraform.write(&configuration(&format!("{name},other"))?)?;
        terraform.apply()?.expect(0).map(drop)
    })?;
    daemon_memory(world, "with a connector")?;
    terraform.destroy()?.expect(0)?;
    world.rig.mariadb(&format!("DROP DATABASE {name}"))?;
    Ok(())
}

/// The seed's configuration for Debezium 3.5.
fn modern(hcl: &str, old_plugin: &str, new_plugin: &str) -> String {
    hcl.lines()
        .filter(|line| {
            !line.contains("\"database.server.name\"")
                && !line.contains("\"database.history.kafka.topic\"")
        })
        .map(|line| line.replace(old_plugin, new_plugin) + "\n")
        .collect()
}

/// The longest time between two events while `change` runs under a steady trickle of inserts.
fn silence(
    world: &World,
    name: &str,
    topic: &str,
    change: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let stop = std::sync::atomic::AtomicBool::new(false);
    let rows = std::thread::scope(|scope| -> Result<u32> {
        let writer = scope.spawn(|| -> Result<u32> {
            let mut id = 0;
            while !stop.load(std::sync::atomic::Ordering::Acquire) {
                id += 1;
                world
                    .rig
                    .mariadb(&format!("INSERT INTO {name}.t VALUES ({id})"))?;
            }
            Ok(id)
        });
        let result = change();
        stop.store(true, std::sync::atomic::Ordering::Release);
        let rows = writer
            .join()
            .map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        result.map(|()| rows)
    })?;
    let text = world.daemon.runnel(&[
        "tail",
        topic,
        "--bootstrap-servers",
        world.rig.bootstrap()?,
        "--until",
        &format!("id={rows}}}"),
        "--timeout",
        "60s",
        "--format",
        "json",
    ])?;
    let mut stamps = Vec::new();
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line)?;
        stamps.push(record["timestamp"].as_i64().unwrap_or_default());
    }
    let gap = stamps
        .windows(2)
        .skip(1)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap_or_default();
    println!(
        "update: {rows} rows in, {} events out, longest silence {gap} ms",
        stamps.len()
    );
    Ok(())
}
