//! Worker logs: chosen by people, delivered to places.

use anyhow::{Context as _, Result, ensure};
use e2e::daemon::Daemon;
use e2e::hcl;
use e2e::process::wait_for;
use e2e::world::World;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(90);
const NAME: &str = "told";
const PASSWORD: &str = "told-Pw-4kXz81";

/// A connector whose logs are read with filters, followed, and delivered to a file, a topic and a
/// log group; places come, fail and go, and its worker is the same process throughout.
pub fn read_and_delivered(world: &mut World) -> Result<()> {
    world.rig.add("moto")?;
    let moto = world.rig.fact("RIG_MOTO_ENDPOINT")?.to_owned();
    let delivered = world.scratch("told-delivered");
    let daemon = world.other_daemon("logs", &settings(world, &moto, &delivered)?)?;
    world.rig.mariadb(&format!(
        "CREATE DATABASE told_; CREATE TABLE told_.t (id INT PRIMARY KEY); \
         CREATE USER 'told'@'%' IDENTIFIED BY '{PASSWORD}'; \
         GRANT SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT, LOCK TABLES ON *.* TO 'told'@'%'"
    ))?;
    let terraform = world.terraform_on(&daemon, NAME, &connector(world)?)?;
    terraform.apply()?.expect(0)?;
    let pids = daemon.worker_pids(NAME)?;
    ensure!(pids.len() == 1, "{pids:?}");
    let log = worker_log(&daemon)?;

    filters(&daemon, &log)?;
    follows(&daemon, &log)?;

    deliver(&daemon, true)?;
    plant(&log, "planted-1")?;
    let file = Place::File(delivered.join("apart").join(NAME));
    let topic = Place::Topic(world.rig.bootstrap()?.to_owned());
    let group = Place::Group(moto);
    for place in [&file, &topic, &group] {
        place.await_text(&daemon, "planted-1")?;
        let text = place.text(&daemon)?;
        ensure!(
            text.contains("Caused by: planted-1"),
            "without its trace: {place:?}"
        );
        ensure!(text.contains("with ***"), "not redacted: {place:?}");
        ensure!(!text.contains(PASSWORD), "the password is in {place:?}");
        // What was written before the delivery was switched on is there as well.
        ensure!(
            text.contains("Kafka Connect started"),
            "no beginning: {place:?}"
        );
    }

    world.rig.stop("moto")?;
    plant(&log, "planted-2")?;
    wait_for("a warning", LIMIT, || {
        let status = daemon.runnel(&["status", NAME])?;
        Ok(status.contains("log delivery to cloudwatch_logs waits") && status.contains("RUNNING"))
    })?;
    file.await_text(&daemon, "planted-2")?;
    topic.await_text(&daemon, "planted-2")?;
    // It comes back empty, without the group.
    world.rig.start("moto")?;
    group.await_text(&daemon, "planted-2")?;
    wait_for("the end of the warning", LIMIT, || {
        Ok(!daemon.runnel(&["status", NAME])?.contains("log delivery"))
    })?;

    deliver(&daemon, false)?;
    wait_for("the end of all three", LIMIT, || {
        let told = fs::read_to_string(daemon.log_path())?;
        Ok(told.matches("log delivery ends").count() == 3)
    })?;
    plant(&log, "planted-3")?;
    let shown = daemon.runnel(&["logs", NAME, "-n", "20"])?;
    ensure!(shown.contains("planted-3"), "{shown}");
    for place in [&file, &topic, &group] {
        ensure!(!place.text(&daemon)?.contains("planted-3"), "{place:?}");
    }
    ensure!(
        daemon.worker_pids(NAME)? == pids,
        "a change of log delivery restarted the worker"
    );
    terraform.destroy()?.expect(0)?;
    world.rig.stop("moto")?;
    world
        .rig
        .mariadb("DROP USER 'told'@'%'; DROP DATABASE told_")?;
    Ok(())
}

/// Each filter alone and all together; a trace stays with its head.
fn filters(daemon: &Daemon, log: &Path) -> Result<()> {
    plant(log, "planted-0")?;
    let logs = |arguments: &[&str]| -> Result<Vec<String>> {
        let text = daemon.runnel(&[&["logs", NAME], arguments].concat())?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    wait_for("the planted record", LIMIT, || {
        Ok(logs(&["--grep", "planted-0"])?.len() == 3)
    })?;
    for arguments in [
        &["--grep", "by: planted-0$"][..],
        &["--level", "error", "--grep", "planted"],
        &[
            "--since",
            "5m",
            "--level",
            "ERROR",
            "--grep",
            "planted-[0-9]",
        ],
        &["--worker", "w-", "-n", "1", "--level", "error"],
    ] {
        let shown = logs(arguments)?;
        ensure!(
            shown.len() == 3 && shown[0].contains("ERROR") && shown[2].starts_with("Caused by"),
            "{arguments:?}: {shown:#?}"
        );
        ensure!(!shown.concat().contains(PASSWORD), "{shown:?}");
    }
    let started = logs(&["--grep", "Kafka Connect started"])?;
    ensure!(started.len() == 1, "{started:?}");
    ensure!(logs(&["--grep", "planted", "--level", "fatal"])?.is_empty());
    ensure!(logs(&["-n", "7", "--level", "info"])?.len() >= 7);
    for (arguments, part) in [
        (["--grep", "("], "no regular expression"),
        (["--level", "loud"], "no level"),
        (["--since", "soon"], "neither a duration nor a time"),
        (["--worker", "w-none"], "no log of a worker"),
    ] {
        let refused = logs(&arguments);
        let told = refused.err().context("an odd filter is taken")?.to_string();
        ensure!(told.contains(part), "{told}");
    }
    Ok(())
}

/// A child that is killed when the trial ends, however it ends.
struct Following(Child);

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is written while following comes, if it passes the filter.
fn follows(daemon: &Daemon, log: &Path) -> Result<()> {
    let arguments = ["logs", NAME, "-f", "-n", "0", "--grep", "followed"];
    let child = daemon.command(&arguments).stdout(Stdio::piped()).spawn()?;
    let mut following = Following(child);
    let out = following.0.stdout.take().context("standard output")?;
    let (lines, received) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    // The request may arrive after the first of them; one that comes later is seen for certain.
    let mut seen = Vec::new();
    for number in 0..20 {
        plant(log, &format!("other-{number}"))?;
        plant(log, &format!("followed-{number}"))?;
        while let Ok(line) = received.recv_timeout(Duration::from_secs(2)) {
            seen.push(line);
            if seen.len() >= 3 {
                break;
            }
        }
        if seen.len() >= 3 {
            break;
        }
    }
    drop(following);
    drop(received);
    reader
        .join()
        .map_err(|_| anyhow::anyhow!("the reader panicked"))?;
    ensure!(seen.len() >= 3, "nothing was followed: {seen:?}");
    ensure!(
        seen[0].contains("followed") && !seen.concat().contains("other"),
        "{seen:?}"
    );
    Ok(())
}

/// Where delivered records are looked for.
#[derive(Debug)]
enum Place {
    File(PathBuf),
    /// Bootstrap servers.
    Topic(String),
    /// The endpoint.
    Group(String),
}

impl Place {
    fn text(&self, daemon: &Daemon) -> Result<String> {
        match self {
            Self::File(folder) => {
                let mut text = String::new();
                for entry in fs::read_dir(folder).into_iter().flatten() {
                    text += &fs::read_to_string(entry?.path())?;
                }
                Ok(text)
            }
            Self::Topic(servers) => {
                let arguments = ["tail", "told-logs", "--bootstrap-servers", servers];
                let records = daemon.runnel(&[&arguments[..], &["--key"]].concat())?;
                let mut text = String::new();
                for record in records.lines() {
                    let (key, value) = record.split_once('\t').context("a key")?;
                    let value: Value = serde_json::from_str(value)?;
                    ensure!(
                        value["worker"] == key && value["connector"] == NAME,
                        "{record}"
                    );
                    text += value["message"].as_str().context("a message")?;
                    text.push('\n');
                }
                Ok(text)
            }
            Self::Group(endpoint) => events(endpoint),
        }
    }

    fn await_text(&self, daemon: &Daemon, part: &str) -> Result<()> {
        wait_for(&format!("{part} in {self:?}"), LIMIT, || {
            Ok(self.text(daemon).is_ok_and(|text| text.contains(part)))
        })
    }
}

/// All events of all streams of the group.
fn events(endpoint: &str) -> Result<String> {
    let group = json!({"logGroupName": "/runnel/told"});
    let streams = ask(endpoint, "DescribeLogStreams", &group)?;
    let mut text = String::new();
    for stream in streams["logStreams"].as_array().into_iter().flatten() {
        let name = stream["logStreamName"].as_str().context("a stream")?;
        ensure!(name.starts_with("told/w-"), "{name}");
        let mut body = json!({
            "logGroupName": "/runnel/told", "logStreamName": name, "startFromHead": true,
        });
        loop {
            let page = ask(endpoint, "GetLogEvents", &body)?;
            let events = page["events"].as_array().cloned().unwrap_or_default();
            if events.is_empty() {
                break;
            }
            for event in events {
                text += event["message"].as_str().context("a message")?;
                text.push('\n');
            }
            body["nextToken"] = page["nextForwardToken"].clone();
        }
    }
    Ok(text)
}

/// One call; moto looks at no signature, only at the service that it names.
fn ask(endpoint: &str, action: &str, body: &Value) -> Result<Value> {
    let credential = "Credential=a/20260101/us-east-1/logs/aws4_request";
    let answer = reqwest::blocking::Client::new()
        .post(endpoint)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("Logs_20140328.{action}"))
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=x"),
        )
        .body(body.to_string())
        .send()?
        .error_for_status()?;
    Ok(serde_json::from_str(&answer.text()?)?)
}

fn settings(world: &World, moto: &str, delivered: &Path) -> Result<String> {
    let secret = world.scratch("told-secret");
    fs::write(&secret, "any-secret-will-do\n")?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    Ok(format!(
        "[log_delivery]\ndirectory = \"{}\"\n[log_delivery.cloudwatch_logs]\nendpoint = \"{moto}\"\n\
         region = \"us-east-1\"\naccess_key_id = \"AKIDEXAMPLE\"\nsecret_access_key_file = \"{}\"\n",
        delivered.display(),
        secret.display(),
    ))
}

fn connector(world: &World) -> Result<String> {
    let archive = world.place("RIG_PLUGIN_MARIADB")?;
    hcl::Debezium {
        config: &[("database.user", "told")],
        password: Some(PASSWORD),
        ..hcl::Debezium::new(NAME, "told_", archive)
    }
    .hcl(world)
}

/// Puts the connector as it is, with all three places or with none.
fn deliver(daemon: &Daemon, is_on: bool) -> Result<()> {
    let path = format!("/api/v1/connectors/{NAME}");
    let mut spec = daemon.get(&path)?["spec"].clone();
    spec["log_delivery"] = json!({"worker_log_delivery": {
        "file": {"enabled": is_on, "prefix": "apart"},
        "kafka": {"enabled": is_on, "topic": "told-logs"},
        "cloudwatch_logs": {"enabled": is_on, "log_group": "/runnel/told"},
    }});
    let token = fs::read_to_string(daemon.token_file())?;
    let answer = reqwest::blocking::Client::new()
        .put(format!("{}{path}", daemon.endpoint()))
        .bearer_auth(token.trim())
        .json(&json!({"spec": spec}))
        .send()?;
    let status = answer.status();
    let text = answer.text()?;
    ensure!(status.is_success(), "{status}: {text}");
    Ok(())
}

/// The log file of the connector's only worker.
fn worker_log(daemon: &Daemon) -> Result<PathBuf> {
    let object = daemon.get(&format!("/api/v1/connectors/{NAME}"))?;
    let id = object["id"].as_str().context("an id")?;
    let worker = object["status"]["workers"][0]["id"]
        .as_str()
        .context("a worker")?;
    let workers = daemon.data().join("fleets").join(id).join("workers");
    Ok(workers.join(worker).join("worker.log"))
}

/// Writes a record with a trace into the log, as if the worker had, with a secret that the shim did
/// not replace.
fn plant(log: &Path, word: &str) -> Result<()> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
    let text = format!(
        "[{now}] ERROR {word} with {PASSWORD} (org.example.Planted)\n\
         java.lang.RuntimeException: no\nCaused by: {word}\n"
    );
    let mut file = fs::OpenOptions::new().append(true).open(log)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}
