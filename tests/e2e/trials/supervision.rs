//! What goes wrong around a connector is said, and mended where the daemon can.

use anyhow::{Context as _, Result, ensure};
use e2e::hcl::Seed;
use e2e::process::{run, wait_for};
use e2e::terraform::Terraform;
use e2e::world::World;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_mins(1);
/// A lost connection to the binlog is tried again so often; Debezium's default is a minute.
const KEEP_ALIVE: (&str, &str) = ("connect.keep.alive.interval.ms", "1000");

/// A connector on a table of its own, `NAME_.t`.
struct Ground {
    name: &'static str,
    terraform: Terraform,
    written: u32,
}

impl Ground {
    fn set_up(world: &mut World, name: &'static str, config: &[(&str, &str)]) -> Result<Self> {
        world.rig.mariadb(&format!(
            "CREATE DATABASE {name}_; CREATE TABLE {name}_.t (id INT PRIMARY KEY)"
        ))?;
        let password = world.rig.fact("RIG_MARIADB_PASSWORD")?.to_owned();
        let database = format!("{name}_");
        let hcl = Seed {
            config,
            ..Seed::new(name, &database, &password)
        }
        .hcl(world)?;
        let terraform = world.terraform(name, &hcl)?;
        terraform.apply()?.expect(0)?;
        let mut ground = Self {
            name,
            terraform,
            written: 0,
        };
        ground.write(world)?;
        ground.read_all(world)?;
        Ok(ground)
    }

    /// One more row.
    fn write(&mut self, world: &World) -> Result<()> {
        let (name, id) = (self.name, self.written);
        world
            .rig
            .mariadb(&format!("INSERT INTO {name}_.t VALUES ({id})"))?;
        self.written += 1;
        Ok(())
    }

    /// Waits for the last row, and looks whether all those before it have come.
    fn read_all(&self, world: &World) -> Result<()> {
        let name = self.name;
        let last = format!("id={}}}", self.written - 1);
        let text = world.record_with(&format!("{name}.{name}_.t"), &last, LIMIT)?;
        let ids: BTreeSet<u32> = text
            .split("id=")
            .filter_map(|part| part.split('}').next()?.parse().ok())
            .collect();
        let lost: Vec<u32> = (0..self.written).filter(|id| !ids.contains(id)).collect();
        ensure!(lost.is_empty(), "rows are lost: {lost:?}");
        Ok(())
    }

    fn status(&self, world: &World) -> Result<serde_json::Value> {
        let object = world
            .daemon
            .get(&format!("/api/v1/connectors/{}", self.name))?;
        Ok(object["status"].clone())
    }

    fn health_is(&self, world: &World, health: &str) -> Result<bool> {
        Ok(self.status(world)?["health"] == health)
    }

    /// Waits for a health that is not RUNNING and tells so in its reason; gives the time it took.
    fn await_trouble(&self, world: &World, parts: &[&str]) -> Result<Duration> {
        let begun = Instant::now();
        wait_for(&format!("health to tell {parts:?}"), LIMIT, || {
            let status = self.status(world)?;
            let reason = status["reason"].as_str().unwrap_or_default();
            Ok(status["health"] != "RUNNING" && parts.iter().any(|part| reason.contains(part)))
        })?;
        let status = self.status(world)?;
        println!(
            "{}: {} {} after {:.1} s: {}",
            self.name,
            status["state"],
            status["health"],
            begun.elapsed().as_secs_f64(),
            status["reason"]
        );
        Ok(begun.elapsed())
    }

    fn tear_down(self, world: &World) -> Result<()> {
        self.terraform.plan()?.expect(0)?;
        self.terraform.destroy()?.expect(0)?;
        world
            .rig
            .mariadb(&format!("DROP DATABASE {}_", self.name))?;
        Ok(())
    }
}

/// A database that stops is said although its task goes on saying RUNNING; events go on after it.
pub fn source_away(world: &mut World) -> Result<()> {
    let mut ground = Ground::set_up(world, "dry", &[KEEP_ALIVE])?;
    let pids = world.daemon.worker_pids("dry")?;
    world.rig.stop("mariadb")?;
    let told = ground.await_trouble(world, &["refused", "Communications link", "not answer"]);
    world.rig.start("mariadb")?;
    told?;
    wait_for("the source to be back", LIMIT, || {
        ground.health_is(world, "RUNNING")
    })?;
    ground.write(world)?;
    ground.read_all(world)?;
    ensure!(world.daemon.worker_pids("dry")? == pids, "another worker");
    ground.tear_down(world)
}

/// Kafka goes for a while: it is said within 15 s, nobody is killed for it, and nothing is lost.
pub fn kafka_away_for_a_while(world: &mut World) -> Result<()> {
    let mut ground = Ground::set_up(world, "calm", &[KEEP_ALIVE])?;
    let pids = world.daemon.worker_pids("calm")?;
    let away = seconds_from("E2E_KAFKA_AWAY_SECONDS", 20)?;
    let begun = Instant::now();
    world.rig.stop("broker")?;
    let told = (|| {
        let told = ground.await_trouble(world, &["the Kafka cluster"])?;
        ensure!(told < Duration::from_secs(15), "told after {told:?}");
        while begun.elapsed() < away {
            ground.write(world)?;
            ensure!(world.daemon.worker_pids("calm")? == pids, "another worker");
            ensure!(ground.health_is(world, "DEGRADED")?);
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    })();
    world.rig.start("broker")?;
    told?;
    let begun = Instant::now();
    wait_for("the connector to run again", LIMIT, || {
        ground.health_is(world, "RUNNING")
    })?;
    println!(
        "calm: RUNNING {:.1} s after Kafka",
        begun.elapsed().as_secs_f64()
    );
    ground.write(world)?;
    ground.read_all(world)?;
    ensure!(world.daemon.worker_pids("calm")? == pids, "another worker");
    ground.tear_down(world)
}

/// A length of time that is short unless somebody wants to see the long one.
pub fn seconds_from(variable: &str, usual: u64) -> Result<Duration> {
    let text = std::env::var(variable).ok();
    let seconds = text.map_or(Ok(usual), |text| text.parse())?;
    Ok(Duration::from_secs(seconds))
}

/// A worker that is stopped by a signal and never goes on is killed and replaced; nothing is lost.
pub fn frozen_worker(world: &mut World) -> Result<()> {
    let mut ground = Ground::set_up(world, "frozen", &[])?;
    let pids = world.daemon.worker_pids("frozen")?;
    let pid = pids.first().context("a worker")?.to_string();
    run(Command::new("kill").args(["-STOP", &pid]))?;
    ground.write(world)?;
    ground.await_trouble(world, &["has not answered"])?;
    let begun = Instant::now();
    wait_for("another worker that runs", LIMIT, || {
        let now = world.daemon.worker_pids("frozen")?;
        Ok(now.len() == 1 && now != pids && ground.health_is(world, "RUNNING")?)
    })?;
    println!(
        "frozen: replaced after {:.1} s more",
        begun.elapsed().as_secs_f64()
    );
    ensure!(
        !std::path::Path::new(&format!("/proc/{pid}")).exists(),
        "the frozen worker {pid} is still there"
    );
    ground.write(world)?;
    ground.read_all(world)?;
    ground.tear_down(world)
}

/// A password that is changed behind a running connector is said, makes no storm, and a restart of
/// its task mends it once the password is right again.
pub fn password_changed_behind(world: &mut World) -> Result<()> {
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?.to_owned();
    world.rig.mariadb(&format!(
        "CREATE USER 'leaver'@'%' IDENTIFIED BY '{password}'; \
         GRANT SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT, LOCK TABLES ON *.* TO 'leaver'@'%'"
    ))?;
    let mut ground = Ground::set_up(world, "leaver", &[KEEP_ALIVE, ("database.user", "leaver")])?;
    let pids = world.daemon.worker_pids("leaver")?;
    world
        .rig
        .mariadb("ALTER USER 'leaver'@'%' IDENTIFIED BY 'another'; KILL USER 'leaver'@'%'")?;
    ground.await_trouble(world, &["ccess denied"])?;
    std::thread::sleep(Duration::from_secs(8));
    let log = std::fs::read_to_string(world.daemon.log_path())?;
    let restarts = log
        .lines()
        .filter(|line| line.contains("leaver") && line.contains("restart what failed"))
        .count();
    ensure!(restarts <= 1, "{restarts} restarts in a few seconds");
    ensure!(
        world.daemon.worker_pids("leaver")? == pids,
        "another worker"
    );
    world.rig.mariadb(&format!(
        "ALTER USER 'leaver'@'%' IDENTIFIED BY '{password}'"
    ))?;
    let told = world.daemon.runnel(&["restart", "leaver", "--task", "0"])?;
    ensure!(told.contains("task 0 of leaver was restarted"), "{told}");
    wait_for("the connector to run again", LIMIT, || {
        ground.health_is(world, "RUNNING")
    })?;
    ground.write(world)?;
    ground.read_all(world)?;
    ensure!(
        world.daemon.worker_pids("leaver")? == pids,
        "another worker"
    );
    world.rig.mariadb("DROP USER 'leaver'@'%'")?;
    ground.terraform.destroy()?.expect(0)?;
    world.rig.mariadb("DROP DATABASE leaver_")?;
    Ok(())
}

/// A restart is about one task, or about one worker, and says at once what is not there.
pub fn restart_of_a_part(world: &mut World) -> Result<()> {
    let mut ground = Ground::set_up(world, "part", &[])?;
    let pids = world.daemon.worker_pids("part")?;
    let told = world.daemon.runnel(&["restart", "part", "--task", "0"])?;
    ensure!(told.contains("task 0 of part was restarted"), "{told}");
    ensure!(world.daemon.worker_pids("part")? == pids, "another worker");
    ground.write(world)?;
    ground.read_all(world)?;
    let worker = ground.status(world)?["workers"][0]["id"]
        .as_str()
        .context("a worker's id")?
        .to_owned();
    world
        .daemon
        .runnel(&["restart", "part", "--worker", &worker])?;
    let now = world.daemon.worker_pids("part")?;
    ensure!(now.len() == 1 && now != pids, "{pids:?}, now {now:?}");
    for (arguments, part) in [
        (["restart", "part", "--task", "9"], "no task 9"),
        (["restart", "part", "--worker", &worker], "no live worker"),
    ] {
        let error = world.daemon.runnel(&arguments).err().context("a refusal")?;
        ensure!(format!("{error:#}").contains(part), "{error:#}");
    }
    ground.write(world)?;
    ground.read_all(world)?;
    ground.tear_down(world)
}
