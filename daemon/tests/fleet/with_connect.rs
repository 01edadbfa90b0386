//! Real Kafka Connect workers on a real broker.

use crate::ground::{Broker, Ground, PATIENCE, kill_9, launch};
use anyhow::{Context, Result, bail};
use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use runnel::fleet::connect_rest::{ConnectStatus, RestError, RunState};
use runnel::fleet::{ConnectClient, SeenWorker, WorkerId, WorkerLaunch, WorkerState};
use runnel_api::Secret;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

pub const SOURCE: &str = "org.apache.kafka.connect.file.FileStreamSourceConnector";
/// A value that needs every kind of escape; it is used as a file's name, so Connect must read it exactly. Blanks at
/// its ends would test nothing: Kafka trims every string of a configuration, passwords too.
const AWKWARD: &str = "=lead #!:\\t \u{e9}\u{1f600}\n${x}  end";

async fn ready(client: &ConnectClient) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while client.health().await != Ok(true) {
        if Instant::now() > end {
            bail!("never ready: {:?}", client.health().await);
        }
        // Health can only be asked for.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

pub async fn await_status(
    client: &ConnectClient,
    name: &str,
    wanted: impl Fn(&Result<ConnectStatus, RestError>) -> bool,
) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let status = client.status(name).await;
        if wanted(&status) {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("{status:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn listens(seen: &SeenWorker) -> bool {
    matches!(seen.state, WorkerState::Listening { .. })
}

pub fn exited(seen: &SeenWorker) -> bool {
    matches!(seen.state, WorkerState::Exited(_))
}

/// Starts a worker and waits until it is ready; prints what that took.
pub async fn up(ground: &Ground, launch: &WorkerLaunch) -> Result<ConnectClient> {
    let begun = Instant::now();
    ground.fleet().start(launch)?;
    let returned = begun.elapsed();
    let seen = ground.await_worker(launch, listens).await?;
    let listening = begun.elapsed();
    let client = ground.fleet().client(&seen)?.context("it listens")?;
    ready(&client).await?;
    println!(
        "runtime {}, {} MCU, isolation {}: start() {returned:?}, listens after {listening:?}, ready after {:?}",
        launch.runtime.name,
        launch.mcu_count,
        ground.fleet().isolation().level().as_str(),
        begun.elapsed()
    );
    Ok(client)
}

pub async fn first_record(bootstrap: &str, topic: &str) -> Result<String> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", format!("reader-of-{topic}"))
        .set("auto.offset.reset", "earliest")
        .set("topic.metadata.refresh.interval.ms", "200")
        .create()?;
    consumer.subscribe(&[topic])?;
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, consumer.recv())
            .await
            .context("no record in time")?
        {
            Ok(message) => {
                let payload = message.payload().context("a value")?;
                return Ok(String::from_utf8(payload.to_vec())?);
            }
            // The topic is made by the first record.
            Err(rdkafka::error::KafkaError::MessageConsumption(_)) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Nothing secret may be seen by others on the machine.
fn assert_not_in_proc(pid: u32, secrets: &[&str]) -> Result<()> {
    for file in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{pid}/{file}"))?;
        let text = String::from_utf8_lossy(&bytes);
        for secret in secrets {
            assert!(!text.contains(secret), "{file} holds a secret");
        }
        if file == "environ" {
            let mut names: Vec<&str> = text
                .split('\0')
                .filter_map(|entry| entry.split_once('='))
                .map(|(name, _)| name)
                .collect();
            names.sort_unstable();
            assert_eq!(names, ["LANG", "PATH", "TZ"]);
        }
    }
    Ok(())
}

fn rest_password(ground: &Ground, launch: &WorkerLaunch) -> Result<String> {
    let path = ground.run_dir(launch).join("../../rest.properties");
    let text = fs::read_to_string(path)?;
    let (_, password) = text.trim().split_once('=').context("user=password")?;
    Ok(password.to_owned())
}

async fn assert_login_is_needed(port: u16) -> Result<()> {
    // There is no `/admin` for anyone.
    for (path, status) in [
        ("", 401),
        ("health", 401),
        ("connectors", 401),
        ("admin/loggers", 404),
    ] {
        let client = runnel::http_client::plain().build()?;
        let answer = client
            .get(format!("http://127.0.0.1:{port}/{path}"))
            .send()
            .await?;
        assert_eq!(answer.status().as_u16(), status, "/{path}");
    }
    Ok(())
}

fn has_stopped(status: &Result<ConnectStatus, RestError>) -> bool {
    status
        .as_ref()
        .is_ok_and(|status| status.state == RunState::Stopped && status.tasks.is_empty())
}

/// The whole life of a connector, from STOPPED to its end, with secrets by reference.
async fn a_connector_lives(
    ground: &Ground,
    broker: &Broker,
    launch: &WorkerLaunch,
    client: &ConnectClient,
) -> Result<()> {
    let name = launch.connector.as_str();
    fs::write(ground.run_dir(launch).join(AWKWARD), "first line\n")?;
    let secrets = BTreeMap::from([
        ("file".to_owned(), Secret::new(AWKWARD)),
        ("odd key}".to_owned(), Secret::new("another-secret")),
    ]);
    let references = ground
        .fleet()
        .write_secrets(launch.connector_id, &secrets)?;
    let topic = format!("{name}-lines");
    let mut config = BTreeMap::from([
        ("connector.class".to_owned(), SOURCE.to_owned()),
        ("tasks.max".to_owned(), "1".to_owned()),
        ("topic".to_owned(), topic.clone()),
        ("file".to_owned(), references["file"].clone()),
    ]);
    assert!(client.validate(SOURCE, &config).await?.is_empty());
    client.create_stopped(name, &config).await?;
    assert!(matches!(
        client.create_stopped(name, &config).await,
        Err(RestError::Status { code: 409, .. })
    ));
    assert_eq!(client.connectors().await?, [name]);
    await_status(client, name, has_stopped).await?;
    let kept = client.get_config(name).await?;
    assert_eq!(kept["file"], references["file"]);

    client.resume(name).await?;
    assert_eq!(first_record(&broker.bootstrap, &topic).await?, "first line");
    await_status(client, name, |status| {
        status.as_ref().is_ok_and(|status| {
            status.tasks.len() == 1
                && status.tasks[0].state == RunState::Running
                && status.tasks[0].worker_id == client.worker_id()
        })
    })
    .await?;
    assert_eq!(client.topics(name).await?, [topic.as_str()]);
    client.restart(name, true, false).await?;
    client.restart_task(name, 0).await?;
    client.pause(name).await?;
    await_status(client, name, |status| {
        status
            .as_ref()
            .is_ok_and(|status| status.state == RunState::Paused)
    })
    .await?;

    client.stop(name).await?;
    await_status(client, name, has_stopped).await?;
    let offsets = client.offsets(name).await?;
    assert_eq!(offsets["offsets"][0]["partition"]["filename"], AWKWARD);
    client.alter_offsets(name, &offsets).await?;
    // Another file name under the same key: the old secret file stays, the reference is another.
    let renewed = BTreeMap::from([("file".to_owned(), Secret::new("another-name"))]);
    let renewed = ground
        .fleet()
        .write_secrets(launch.connector_id, &renewed)?;
    assert_ne!(renewed["file"], references["file"]);
    config.insert("file".into(), renewed["file"].clone());
    client.put_config(name, &config).await?;
    assert_eq!(client.get_config(name).await?["file"], renewed["file"]);

    config.insert("tasks.max".into(), "none".into());
    let found = client.validate(SOURCE, &config).await?;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].key, "tasks.max");
    client.delete(name).await?;
    client.delete(name).await?;
    assert!(client.connectors().await?.is_empty());
    // The status goes later than the connector.
    await_status(client, name, |status| {
        status.as_ref().is_err_and(RestError::is_not_found)
    })
    .await
}

async fn a_worker_serves_and_stops(runtime: &str, kafka_version: &str) -> Result<()> {
    let broker = Broker::shared()?;
    let ground = Ground::new()?;
    let runtime = broker.runtime(runtime, kafka_version)?;
    let launch = launch(runtime, &broker.bootstrap, Path::new("/usr/bin/java"));
    broker.make_topics(&launch).await?;
    ground.fleet().prepare(launch.connector_id)?;
    let client = up(&ground, &launch).await?;
    assert!(!client.cluster_id().await?.is_empty());
    if let Err(e) = a_connector_lives(&ground, &broker, &launch, &client).await {
        let log = fs::read_to_string(ground.run_dir(&launch).join("worker.log"))?;
        return Err(e.context(log));
    }

    let seen = ground.see(&launch)?;
    assert_login_is_needed(seen.port.context("port")?).await?;
    let password = rest_password(&ground, &launch)?;
    assert_not_in_proc(
        seen.pid.context("pid")?,
        &[&password, "another-secret", "lead #!"],
    )?;
    let member = seen.member_id.context("a member id")?;
    assert!(
        member.starts_with(&format!("connect-{}", client.worker_id())),
        "{member}"
    );

    ground.fleet().stop(launch.connector_id, &launch.worker)?;
    let seen = ground.await_worker(&launch, exited).await?;
    let WorkerState::Exited(exit) = seen.state else {
        unreachable!()
    };
    assert_eq!(exit.code, Some(143), "{exit:?}");
    assert_eq!(client.connectors().await, Err(RestError::NotSent));
    let log = fs::read_to_string(&ground.fleet().log_paths(launch.connector_id)[0])?;
    assert!(!log.contains(&password) && !log.contains("another-secret"));
    Ok(())
}

#[tokio::test]
async fn a_worker_of_runtime_3_9_serves_a_connector_s_whole_life() -> Result<()> {
    a_worker_serves_and_stops("3.9", "3.9.2").await
}

#[tokio::test]
async fn a_worker_of_runtime_4_3_serves_a_connector_s_whole_life() -> Result<()> {
    a_worker_serves_and_stops("4.3", "4.3.1").await
}

#[tokio::test]
async fn a_java_worker_dies_with_its_shim_and_outlives_its_daemon() -> Result<()> {
    let broker = Broker::shared()?;
    let mut ground = Ground::new()?;
    let runtime = broker.runtime("4.3", "4.3.1")?;
    let mut launch = launch(runtime, &broker.bootstrap, Path::new("/usr/bin/java"));
    broker.make_topics(&launch).await?;
    ground.fleet().prepare(launch.connector_id)?;
    up(&ground, &launch).await?;
    let pid = ground.see(&launch)?.pid;

    ground.restart_daemon()?;
    let seen = ground.see(&launch)?;
    assert_eq!(seen.pid, pid);
    let client = ground.fleet().client(&seen)?.context("it listens")?;
    assert_eq!(client.health().await, Ok(true));
    kill_9(pid.context("pid")?)?;
    let seen = ground.await_worker(&launch, exited).await?;
    assert!(matches!(seen.state, WorkerState::Exited(exit) if exit.signal == Some(9)));

    // The next one, in the same group; now its shim is killed.
    launch.worker = WorkerId::fresh();
    ground.fleet().start(&launch)?;
    let seen = ground.await_worker(&launch, listens).await?;
    let shim: runnel::fleet::process::ProcessId =
        runnel::fleet::run_dir::read_json(&ground.run_dir(&launch).join("shim.json"))?
            .context("shim.json")?;
    kill_9(shim.pid)?;
    ground
        .await_worker(&launch, |seen| seen.state == WorkerState::Lost)
        .await?;
    let client = ground.fleet().client(&seen)?.context("it listened")?;
    assert_eq!(client.health().await, Err(RestError::NotSent));
    Ok(())
}

#[tokio::test]
async fn a_worker_that_cannot_start_says_why() -> Result<()> {
    let broker = Broker::shared()?;
    let ground = Ground::new()?;
    let runtime = broker.runtime("3.9", "3.9.2")?;
    let mut launch = launch(runtime, &broker.bootstrap, Path::new("/usr/bin/java"));
    launch
        .worker_properties
        .insert("value.converter".into(), "no.such.Converter".into());
    ground.fleet().prepare(launch.connector_id)?;
    ground.fleet().start(&launch)?;
    let seen = ground.await_worker(&launch, exited).await?;
    let WorkerState::Exited(exit) = seen.state else {
        unreachable!()
    };
    assert!(exit.code.is_some_and(|code| code != 0));
    let error = exit.last_error.context("an error")?;
    assert!(error.contains("no.such.Converter"), "{error}");
    Ok(())
}

/// A line of a file goes through memory as a whole: one that is larger than the heap ends the JVM.
#[tokio::test]
async fn a_worker_whose_heap_is_full_is_out_of_memory() -> Result<()> {
    let broker = Broker::shared()?;
    let ground = Ground::new()?;
    let runtime = broker.runtime("4.3", "4.3.1")?;
    let mut launch = launch(runtime, &broker.bootstrap, Path::new("/usr/bin/java"));
    launch.mcu_memory_mib = 384;
    broker.make_topics(&launch).await?;
    ground.fleet().prepare(launch.connector_id)?;
    let client = up(&ground, &launch).await?;
    // A place that the worker may read.
    let file = ground.run_dir(&launch).join("one-line");
    fs::File::create(&file)?.set_len(400 << 20)?;
    let name = launch.connector.as_str();
    let config = BTreeMap::from([
        ("connector.class".to_owned(), SOURCE.to_owned()),
        ("tasks.max".to_owned(), "1".to_owned()),
        ("topic".to_owned(), format!("{name}-lines")),
        ("file".to_owned(), file.display().to_string()),
    ]);
    client.create_stopped(name, &config).await?;
    client.resume(name).await?;
    let seen = ground.await_worker(&launch, exited).await?;
    let WorkerState::Exited(exit) = seen.state else {
        unreachable!()
    };
    assert_eq!(exit.code, Some(3), "{exit:?}");
    assert!(exit.out_of_memory, "{exit:?}");
    let error = exit.last_error.context("an error")?;
    assert!(
        error.contains("java.lang.OutOfMemoryError: Java heap space"),
        "{error}"
    );
    Ok(())
}
