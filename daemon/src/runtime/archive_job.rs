//! Makes a class-data archive: one `ConnectStandalone` against the stub broker, started to load its
//! classes, asked to validate a configuration, and ended by SIGTERM.
//!
//! The design lets only `fleet/` start and signal processes. This is the one exception: a tool run
//! of a few seconds with a bound, which nothing else waits for or adopts.

use super::archive::hex;
use super::home::{Home, Logging};
use super::java::Java;
use super::stub_broker::StubBroker;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};

/// The whole run; 6 to 9 s on two cores.
const JOB_MAX: Duration = Duration::from_mins(1);
/// One REST call; the first takes 0.3 s.
const CALL_MAX: Duration = Duration::from_secs(15);
/// Log lines that are kept to explain a failure, and the longest line.
const TAIL_LINES: usize = 15;
const LINE_MAX: u64 = 8 << 10;
/// The longest list of connector classes that is read, in bytes.
const CLASSES_MAX: usize = 1 << 20;
/// What a real archive has at least; an empty worker's has 40 MB.
const ARCHIVE_LEAST: u64 = 1 << 20;
/// The REST interface's user for this run.
const USER: &str = "runnel";

/// Why there is no archive. Workers start without one, only slower.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobFault {
    #[error("a file of the archive run could not be written: {0}")]
    File(io::Error),
    #[error("Java could not be started: {0}")]
    Start(io::Error),
    #[error("the worker ended before its REST interface was up; its last lines: {0}")]
    Ended(String),
    #[error("the worker's REST interface failed: {0}")]
    Rest(String),
    #[error("the archive run was not over within {} s; its last lines: {tail}", JOB_MAX.as_secs())]
    TimedOut { tail: String },
    #[error("Java wrote no archive; its last lines: {0}")]
    NoArchive(String),
}

/// The last lines of the worker's output.
#[derive(Debug, Default)]
struct Tail(VecDeque<String>);

impl Tail {
    fn push(&mut self, line: &str) {
        if self.0.len() == TAIL_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    fn text(&self) -> String {
        let lines: Vec<&str> = self.0.iter().map(String::as_str).collect();
        if lines.is_empty() {
            "none".to_owned()
        } else {
            lines.join("\n")
        }
    }
}

/// Writes the archive to `folder/archive.jsa` and gives its path. `folder` is private, and the
/// caller removes it.
pub(super) async fn make(
    home: &Home,
    jars: &[PathBuf],
    java: &Java,
    folder: &Path,
) -> Result<PathBuf, JobFault> {
    let stub = StubBroker::start().await.map_err(JobFault::File)?;
    let password = random_hex().map_err(JobFault::File)?;
    write_files(home, &stub, folder, &password).map_err(JobFault::File)?;
    let archive = folder.join("archive.jsa");
    let (mut child, output) = spawn(home, jars, java, folder, &archive).map_err(JobFault::Start)?;
    let mut tail = Tail::default();
    let ended = tokio::time::timeout(JOB_MAX, run(&mut child, output, &password, &mut tail)).await;
    // Does nothing to a process that has ended.
    let _ = child.start_kill();
    let _ = child.wait().await;
    ended.map_err(|_| JobFault::TimedOut { tail: tail.text() })??;
    let is_whole =
        std::fs::metadata(&archive).is_ok_and(|metadata| metadata.len() >= ARCHIVE_LEAST);
    if is_whole {
        Ok(archive)
    } else {
        Err(JobFault::NoArchive(tail.text()))
    }
}

/// From the start to the end of the process. Java writes the archive at its end.
async fn run(
    child: &mut Child,
    output: Receiver,
    password: &str,
    tail: &mut Tail,
) -> Result<(), JobFault> {
    let mut lines = BufReader::new(output);
    let mut address = None;
    loop {
        let Some(line) = read_line(&mut lines, tail).await else {
            return Err(JobFault::Ended(tail.text()));
        };
        address = address.or_else(|| advertised(&line));
        // Both 3.9 and 4.x say this when REST takes requests.
        if let (Some(address), true) = (&address, line.contains("REST resources initialized")) {
            exercise(address, password)
                .await
                .map_err(|error| JobFault::Rest(error.to_string()))?;
            break;
        }
    }
    if let Some(pid) = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
    {
        // Not yet waited for, so the id still names our child.
        let _ = kill_process(pid, Signal::TERM);
    }
    while read_line(&mut lines, tail).await.is_some() {}
    let _ = child.wait().await;
    Ok(())
}

/// A line of output without its end; `None` at the end of the stream. A longer line is cut.
async fn read_line<R: AsyncRead + Unpin>(
    lines: &mut BufReader<R>,
    tail: &mut Tail,
) -> Option<String> {
    let mut bytes = Vec::new();
    let read = lines
        .take(LINE_MAX)
        .read_until(b'\n', &mut bytes)
        .await
        .ok()?;
    if read == 0 {
        return None;
    }
    let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
    tail.push(&line);
    Some(line)
}

/// The address in the line `… Advertised URI: http://127.0.0.1:43211/ …`.
fn advertised(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("Advertised URI: ")?;
    let address = rest.split_whitespace().next()?;
    address
        .starts_with("http://127.0.0.1:")
        .then(|| address.trim_end_matches('/').to_owned())
}

/// Loads what a worker's first calls load: lists the connectors and validates one of them.
async fn exercise(address: &str, password: &str) -> Result<(), reqwest::Error> {
    let client = crate::http_client::plain()
        .no_proxy()
        .timeout(CALL_MAX)
        .build()?;
    let plugins = format!("{address}/connector-plugins");
    let answer = client
        .get(&plugins)
        .basic_auth(USER, Some(password))
        .send()
        .await?
        .error_for_status()?;
    let Some(class) = first_connector(&answer.bytes().await?) else {
        return Ok(());
    };
    let body =
        serde_json::json!({ "name": "archive", "connector.class": class, "topic": "archive" });
    // Right or wrong: the classes are loaded by then.
    let answer = client
        .put(format!("{plugins}/{class}/config/validate"))
        .basic_auth(USER, Some(password))
        .json(&body)
        .send()
        .await?;
    answer.bytes().await.map(drop)
}

fn first_connector(body: &[u8]) -> Option<String> {
    let body = body.get(..CLASSES_MAX.min(body.len()))?;
    let classes: Vec<serde_json::Value> = serde_json::from_slice(body).ok()?;
    let class = classes.first()?.get("class")?.as_str()?;
    let is_name = class
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$'));
    is_name.then(|| class.to_owned())
}

/// The process, and its output and errors in one stream.
fn spawn(
    home: &Home,
    jars: &[PathBuf],
    java: &Java,
    folder: &Path,
    archive: &Path,
) -> io::Result<(Child, Receiver)> {
    let (reader, writer) = io::pipe()?;
    let mut command = std::process::Command::new(&java.path);
    command
        .args([
            "-Xms64m",
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
        ])
        .arg(format!("-XX:ArchiveClassesAtExit={}", archive.display()));
    worker_arguments(&mut command, home, jars, folder);
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    // The command holds the writing ends and is dropped here, so the stream ends with the process.
    let child = Command::from(command).kill_on_drop(true).spawn()?;
    Ok((child, Receiver::from_owned_fd(reader.into())?))
}

/// What comes after the JVM's own options, and an empty environment: Java reads options and a class
/// path from there.
fn worker_arguments(
    command: &mut std::process::Command,
    home: &Home,
    jars: &[PathBuf],
    folder: &Path,
) {
    let logging = folder.join("logging.properties");
    command
        .arg(match home.logging {
            Logging::Log4j2 => format!("-Dlog4j2.configurationFile={}", logging.display()),
            Logging::Reload4j => format!("-Dlog4j.configuration=file:{}", logging.display()),
        })
        .arg(format!(
            "-Djava.security.auth.login.config={}",
            folder.join("jaas.conf").display()
        ))
        .arg("-cp")
        .arg(joined(jars))
        .arg("org.apache.kafka.connect.cli.ConnectStandalone")
        .arg(folder.join("worker.properties"))
        .env_clear()
        .current_dir(folder);
}

/// A class path as Java takes it.
fn joined(jars: &[PathBuf]) -> String {
    let names: Vec<String> = jars.iter().map(|jar| jar.display().to_string()).collect();
    names.join(":")
}

fn write_files(home: &Home, stub: &StubBroker, folder: &Path, password: &str) -> io::Result<()> {
    std::fs::create_dir(folder.join("plugins"))?;
    let shown = folder.display();
    let worker = format!(
        "bootstrap.servers={}\n\
         key.converter=org.apache.kafka.connect.storage.StringConverter\n\
         value.converter=org.apache.kafka.connect.storage.StringConverter\n\
         offset.storage.file.filename={shown}/offsets\n\
         plugin.path={shown}/plugins\n\
         plugin.discovery=service_load\n\
         listeners=http://127.0.0.1:0\n\
         rest.extension.classes=org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension\n",
        stub.address(),
    );
    let jaas = format!(
        "KafkaConnect {{\n  org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required \
         file=\"{shown}/users.properties\";\n}};\n"
    );
    let logging = match home.logging {
        Logging::Log4j2 => {
            "status=warn\nappender.out.type=Console\nappender.out.name=OUT\nappender.out.layout.type=PatternLayout\n\
             appender.out.layout.pattern=%p %m (%c)%n\nrootLogger.level=info\nrootLogger.appenderRef.out.ref=OUT\n"
        }
        Logging::Reload4j => {
            "log4j.rootLogger=INFO, OUT\nlog4j.appender.OUT=org.apache.log4j.ConsoleAppender\n\
             log4j.appender.OUT.layout=org.apache.log4j.PatternLayout\n\
             log4j.appender.OUT.layout.ConversionPattern=%p %m (%c)%n\n"
        }
    };
    for (name, text) in [
        ("worker.properties", worker.as_str()),
        ("jaas.conf", &jaas),
        ("users.properties", &format!("{USER}: {password}\n")),
        ("logging.properties", logging),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn random_hex() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex(&bytes))
}

/// The same worker for tests, with other options of the JVM.
#[cfg(test)]
pub(super) mod tests_support {
    use super::*;

    pub(in crate::runtime) fn write(home: &Home, stub: &StubBroker, folder: &Path) {
        write_files(home, stub, folder, "secret").unwrap();
    }

    pub(in crate::runtime) fn arguments<'a>(
        command: &'a mut std::process::Command,
        home: &Home,
        jars: &[PathBuf],
        folder: &Path,
    ) -> &'a mut std::process::Command {
        worker_arguments(command, home, jars, folder);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_port_is_read_from_the_log() {
        let line = "INFO Advertised URI: http://127.0.0.1:43211/ (org.apache.kafka.connect.runtime.rest.RestServer)";
        assert_eq!(advertised(line).as_deref(), Some("http://127.0.0.1:43211"));
        assert_eq!(
            advertised("INFO Advertised URI: http://example.org:1/"),
            None
        );
        assert_eq!(advertised("INFO Kafka version: 4.3.1"), None);
    }

    #[test]
    fn only_a_class_name_goes_into_a_path() {
        assert_eq!(
            first_connector(br#"[{"class":"a.B$C","type":"source"}]"#).as_deref(),
            Some("a.B$C")
        );
        for odd in [
            &br#"[{"class":"../x"}]"#[..],
            b"[]",
            b"{}",
            b"no",
            br#"[{"class":1}]"#,
        ] {
            assert_eq!(first_connector(odd), None);
        }
    }
}
