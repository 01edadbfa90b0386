//! The daemon as a process of its own, as people run it.

use crate::process::{binary, run, signal, tail, wait_for};
use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Shorter than the defaults, so that a trial sees what is said after them.
const TIMING: &str = "[timing]\nprobe_ms = 5000\nsilent_worker_ms = 10000\n";

/// Longer than any call of the API may take, a wait for an operation included.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// How a daemon is started where the usual way does not do.
#[derive(Clone, Debug)]
pub struct Manner {
    /// The program, shim included.
    pub program: PathBuf,
    /// Further lines of `runnel.toml`.
    pub settings: String,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            program: binary("runnel"),
            settings: TIMING.to_owned(),
        }
    }
}

/// A running daemon; all its workers are stopped when it is dropped.
pub struct Daemon {
    folder: PathBuf,
    program: PathBuf,
    child: Option<Child>,
    port: u16,
    client: reqwest::blocking::Client,
}

impl Daemon {
    /// Writes a configuration, registers both runtimes, starts.
    pub fn start(folder: &Path, runtimes: &[(&str, &str)]) -> Result<Self> {
        Self::start_as(folder, runtimes, &Manner::default())
    }

    /// As [`Daemon::start`], with further lines of `runnel.toml`.
    pub fn start_with(folder: &Path, runtimes: &[(&str, &str)], more: &str) -> Result<Self> {
        let manner = Manner {
            settings: format!("{more}\n"),
            ..Manner::default()
        };
        Self::start_as(folder, runtimes, &manner)
    }

    /// As [`Daemon::start`], in another manner.
    pub fn start_as(folder: &Path, runtimes: &[(&str, &str)], manner: &Manner) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let port = free_port()?;
        let mut daemon = Self {
            folder: folder.to_owned(),
            program: manner.program.clone(),
            child: None,
            port,
            client: reqwest::blocking::Client::builder()
                .timeout(ANSWER_LIMIT)
                .build()?,
        };
        daemon.write_config(&manner.settings)?;
        for (name, home) in runtimes {
            run(daemon.command(&["runtime", "add", name, "--home", home]))?;
        }
        daemon.spawn()?;
        Ok(daemon)
    }

    /// Writes `runnel.toml` anew, with further lines; the next start reads it.
    pub fn write_config(&self, more: &str) -> Result<()> {
        let text = format!(
            "listen = \"127.0.0.1:{}\"\ndata_dir = \"{}\"\n{more}\n",
            self.port,
            self.data().display()
        );
        Ok(fs::write(self.folder.join("runnel.toml"), text)?)
    }

    /// A `runnel` command with this daemon's configuration.
    pub fn command(&self, arguments: &[&str]) -> &mut Command {
        // Leaked on purpose: a builder that outlives the statement reads better in tests.
        let command = Box::leak(Box::new(Command::new(&self.program)));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.folder.join("runnel.toml"))
    }

    /// Runs a `runnel` command and gives what it prints.
    pub fn runnel(&self, arguments: &[&str]) -> Result<String> {
        run(self.command(arguments))
    }

    /// Starts the process and waits until it answers.
    pub fn spawn(&mut self) -> Result<()> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        let mut command = Command::new(&self.program);
        command
            .arg("daemon")
            .arg("--config")
            .arg(self.folder.join("runnel.toml"));
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.child = Some(command.spawn().context("start the daemon")?);
        let url = format!("{}/healthz", self.endpoint());
        wait_for("the daemon to answer", Duration::from_secs(20), || {
            Ok(reqwest::blocking::get(&url).is_ok_and(|answer| answer.status().is_success()))
        })
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the daemon runs")?;
        child.kill()?;
        let status = child.wait()?;
        if status.signal() != Some(9) {
            bail!("the daemon ended by itself: {status}");
        }
        Ok(())
    }

    /// SIGTERM, as a service manager ends it; workers go on.
    pub fn end(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the daemon runs")?;
        signal(child.id(), Signal::TERM)?;
        wait_for(
            "the daemon to end after SIGTERM",
            Duration::from_secs(20),
            || Ok(child.try_wait()?.is_some()),
        )
        .inspect_err(|_| {
            let _ = child.kill();
        })
    }

    /// True when it is not there, because it has ended by itself or was never started.
    pub fn has_ended(&mut self) -> Result<bool> {
        if let Some(child) = &mut self.child
            && child.try_wait()?.is_some()
        {
            self.child = None;
        }
        Ok(self.child.is_none())
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its base URL.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its folder of data.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Where the root token is.
    pub fn token_file(&self) -> PathBuf {
        self.data().join("root.token")
    }

    /// Where it logs.
    pub fn log_path(&self) -> PathBuf {
        self.folder.join("daemon.log")
    }

    /// `GET` with the root token, as JSON.
    pub fn get(&self, path: &str) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.get_text(path)?)?)
    }

    /// `GET` with the root token.
    pub fn get_text(&self, path: &str) -> Result<String> {
        let (status, body) = self.send_text(reqwest::Method::GET, path, None)?;
        if status != 200 {
            bail!("GET {path}: {status}: {body}");
        }
        Ok(body)
    }

    /// Sends a request with the root token: status and body. No answer at all is an error.
    pub fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<(u16, serde_json::Value)> {
        let (status, text) = self.send_text(method, path, body)?;
        Ok((status, serde_json::from_str(&text)?))
    }

    fn send_text(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<(u16, String)> {
        let token = fs::read_to_string(self.token_file())?;
        let url = format!("{}{path}", self.endpoint());
        let mut request = self.client.request(method, url).bearer_auth(token.trim());
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send()?;
        Ok((answer.status().as_u16(), answer.text()?))
    }

    /// Process ids of a connector's live workers.
    pub fn worker_pids(&self, connector: &str) -> Result<Vec<u32>> {
        let object = self.get(&format!("/api/v1/connectors/{connector}"))?;
        let workers = object["status"]["workers"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        Ok(workers
            .iter()
            .filter_map(|worker| worker["pid"].as_u64())
            .filter_map(|pid| u32::try_from(pid).ok())
            .collect())
    }

    /// Stops all workers and the daemon, the way people do.
    pub fn stop_all(&mut self) -> Result<()> {
        self.runnel(&["stop", "--all"])?;
        let mut child = self.child.take().context("the daemon runs")?;
        let until = Instant::now() + Duration::from_secs(40);
        while child.try_wait()?.is_none() {
            if Instant::now() > until {
                child.kill()?;
                bail!("the daemon did not end after `runnel stop --all`");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.child.is_some()
            && let Err(error) = self.stop_all()
        {
            {
                eprintln!(
                    "{error:#}\n--- daemon.log ends with\n{}",
                    tail(&self.log_path(), 40)
                );
            }
        }
    }
}

fn free_port() -> Result<u16> {
    // Below the ephemeral range, where no outgoing connection can take it in between; each process
    // begins elsewhere, so that two that start side by side do not choose the same.
    let first = u16::try_from(std::process::id() * 37 % 10_000)?;
    for port in (18_000 + first..28_000).chain(18_000..18_000 + first) {
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port")
}
