//! What Prometheus would be told of a connector that is killed, restarted and deleted.

use anyhow::{Context as _, Result, ensure};
use e2e::daemon::Daemon;
use e2e::hcl;
use e2e::process::{run, wait_for};
use e2e::world::World;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_mins(1);
/// Samples twice a second; MCU time is written at every third.
const QUICK: &str = "[scaling]\nsample_ms = 500\n[timing]\nsettle_ms = 1500\nreconcile_ms = 500\n";

/// A source and a sink are scraped while everything happens to them.
pub fn scrape(world: &mut World) -> Result<()> {
    world
        .rig
        .mariadb("CREATE DATABASE told; CREATE TABLE told.t (id INT PRIMARY KEY); INSERT INTO told.t VALUES (1), (2), (3)")?;
    let mut daemon = world.other_daemon("told", QUICK)?;
    refused_without_token(&daemon)?;
    let terraform = world.terraform_on(&daemon, "told", &configuration(world)?)?;
    terraform.apply()?.expect(0)?;
    for (series, expected) in [
        (
            r#"runnel_connector_state{connector="told-source",state="running"}"#,
            1.0,
        ),
        (
            r#"runnel_connector_state{connector="told-source",state="failed"}"#,
            0.0,
        ),
        (
            r#"runnel_connector_tasks{connector="told-source",state="running"}"#,
            1.0,
        ),
        (r#"runnel_connector_workers{connector="told-sink"}"#, 1.0),
        (r#"runnel_connector_mcus{connector="told-source"}"#, 1.0),
        (r#"runnel_connectors{state="running"}"#, 2.0),
        (
            r#"runnel_operations_total{kind="create",object="connector",outcome="succeeded"}"#,
            2.0,
        ),
        // The sink has committed everything that the source has written.
        (
            r#"runnel_connector_consumer_lag_records{connector="told-sink"}"#,
            0.0,
        ),
    ] {
        wait_for(series, LIMIT, || {
            Ok(value(&daemon, series)? == Some(expected))
        })?;
    }
    for series in [
        r#"runnel_connector_mcu_seconds_total{connector="told-source"}"#,
        r#"runnel_connector_cpu_seconds_total{connector="told-source"}"#,
        r#"runnel_connector_resident_memory_bytes{connector="told-source"}"#,
    ] {
        wait_for(series, LIMIT, || {
            Ok(value(&daemon, series)?.is_some_and(|it| it > 0.0))
        })?;
    }
    let lag = r#"runnel_connector_consumer_lag_records{connector="told-source"}"#;
    ensure!(value(&daemon, lag)?.is_none(), "a source has a lag");
    promtool(&daemon.get_text("/metrics")?)?;
    restarts(&daemon)?;
    never_back(&mut daemon)?;
    terraform.destroy()?.expect(0)?;
    let text = daemon.get_text("/metrics")?;
    ensure!(!text.contains("told-"), "series are left: {text}");
    world.rig.mariadb("DROP DATABASE told")?;
    Ok(())
}

fn refused_without_token(daemon: &Daemon) -> Result<()> {
    let answer = reqwest::blocking::get(format!("{}/metrics", daemon.endpoint()))?;
    ensure!(answer.status() == 401, "{}", answer.status());
    Ok(())
}

/// A worker dies, then a restart is asked for: each is counted as what it is.
fn restarts(daemon: &Daemon) -> Result<()> {
    let of = |reason: &str| {
        format!(r#"runnel_worker_restarts_total{{connector="told-source",reason="{reason}"}}"#)
    };
    let died = of("died");
    ensure!(value(daemon, &died)?.is_none(), "a worker died before");
    let pids = daemon.worker_pids("told-source")?;
    run(Command::new("kill")
        .arg("-9")
        .args(pids.iter().map(u32::to_string)))?;
    wait_for(&died, LIMIT, || Ok(value(daemon, &died)? == Some(1.0)))?;
    wait_for("tasks on the new worker", LIMIT, || {
        let object = daemon.get("/api/v1/connectors/told-source")?;
        Ok(object["status"]["health"] == "RUNNING")
    })?;
    daemon.runnel(&["restart", "told-source"])?;
    let asked = of("asked");
    wait_for(&asked, LIMIT, || Ok(value(daemon, &asked)? == Some(1.0)))?;
    ensure!(
        value(daemon, &died)? == Some(1.0),
        "a restart counts as a death"
    );
    wait_for("the restart to end", LIMIT, || {
        let object = daemon.get("/api/v1/connectors/told-source")?;
        Ok(object["status"]["state"] == "RUNNING" && object["status"]["health"] == "RUNNING")
    })
}

/// MCU time goes on over a `kill -9` of the daemon, and counts the time without one.
fn never_back(daemon: &mut Daemon) -> Result<()> {
    let series = r#"runnel_connector_mcu_seconds_total{connector="told-source"}"#;
    let before = value(daemon, series)?.context("MCU time before")?;
    let pids = daemon.worker_pids("told-source")?;
    daemon.kill()?;
    std::thread::sleep(Duration::from_secs(3));
    daemon.spawn()?;
    // The very first answer.
    let after = value(daemon, series)?.context("MCU time after")?;
    println!(
        "MCU seconds before kill -9 of the daemon {before:.3}, first answer of the next {after:.3}"
    );
    ensure!(after >= before + 3.0, "{after} after {before}");
    ensure!(
        daemon.worker_pids("told-source")? == pids || {
            wait_for("the workers to be seen again", LIMIT, || {
                Ok(daemon.worker_pids("told-source")? == pids)
            })?;
            true
        }
    );
    Ok(())
}

/// The value of one series; none when it is not told.
fn value(daemon: &Daemon, series: &str) -> Result<Option<f64>> {
    let text = daemon.get_text("/metrics")?;
    let mut values = text
        .lines()
        .filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    Ok(values.next().map(str::parse).transpose()?)
}

/// Prometheus' own check, where it is installed.
fn promtool(text: &str) -> Result<()> {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("SKIPPED: promtool is not installed (Debian: prometheus)");
        return Ok(());
    };
    child
        .stdin
        .take()
        .context("standard input")?
        .write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.is_empty(),
        "promtool: {said}"
    );
    println!("promtool check metrics has nothing to say");
    Ok(())
}

fn configuration(world: &World) -> Result<String> {
    let rig = &world.rig;
    let mut source = hcl::mariadb(world, "told")?;
    source.push(("database.include.list", "told".to_owned()));
    let source: Vec<(&str, &str)> = source.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let quick = "  worker_configuration       = runnel_worker_configuration.quick.ref";
    let source = hcl::Connector {
        label: "source",
        secret: rig.fact("RIG_MARIADB_PASSWORD")?,
        lines: quick,
        ..hcl::Connector::new("told-source", &source)
    };
    let url = format!(
        "jdbc:postgresql://{}:{}/{}",
        rig.fact("RIG_POSTGRES_HOST")?,
        rig.fact("RIG_POSTGRES_PORT")?,
        rig.fact("RIG_POSTGRES_DATABASE")?
    );
    let sink = [
        (
            "connector.class",
            "io.debezium.connector.jdbc.JdbcSinkConnector",
        ),
        ("tasks.max", "1"),
        ("topics", "told.told.t"),
        ("connection.url", &url),
        ("connection.username", rig.fact("RIG_POSTGRES_USER")?),
        ("insert.mode", "upsert"),
        ("primary.key.mode", "record_key"),
        ("primary.key.fields", "id"),
        ("schema.evolution", "basic"),
        ("collection.name.format", "told_t"),
    ];
    let after = format!("{quick}\n  depends_on = [runnel_connector.source]");
    let sink = hcl::Connector {
        label: "sink",
        plugin: "jdbc",
        secret_key: "connection.password",
        secret: rig.fact("RIG_POSTGRES_PASSWORD")?,
        lines: &after,
        ..hcl::Connector::new("told-sink", &sink)
    };
    Ok(format!(
        r#"{cluster}{plugin}{role}
resource "runnel_plugin" "jdbc" {{
  name   = "told-jdbc"
  source = "{jdbc}"
}}

resource "runnel_worker_configuration" "quick" {{
  name = "told-quick"
  properties = {{
    "key.converter"            = "org.apache.kafka.connect.json.JsonConverter"
    "value.converter"          = "org.apache.kafka.connect.json.JsonConverter"
    "offset.flush.interval.ms" = "1000"
  }}
}}
{source}{sink}"#,
        cluster = hcl::cluster("told", rig.bootstrap()?),
        plugin = hcl::plugin("told", world.place("RIG_PLUGIN_MARIADB")?),
        role = hcl::role("told"),
        jdbc = world.place("RIG_PLUGIN_JDBC")?,
        source = source.hcl(),
        sink = sink.hcl(),
    ))
}
