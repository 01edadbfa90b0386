//! The daemon as a process of its own, as people run it.

use crate::process::{binary, run, tail, wait_for};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Shorter than the defaults, so that a trial sees what is said after them.
const TIMING: &str = "[timing]\nprobe_ms = 5000\nsilent_worker_ms = 10000\n";

/// A running daemon; all its workers are stopped when it is dropped.
pub struct Daemon {
    folder: PathBuf,
    child: Option<Child>,
    port: u16,
}

impl Daemon {
    /// Writes a configuration, registers both runtimes, starts.
    pub fn start(folder: &Path, runtimes: &[(&str, &str)]) -> Result<Self> {
        Self::start_with(folder, runtimes, TIMING)
    }

    /// As [`Daemon::start`], with further lines of `runnel.toml`.
    pub fn start_with(folder: &Path, runtimes: &[(&str, &str)], more: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let port = free_port()?;
        let mut daemon = Self {
            folder: folder.to_owned(),
            child: None,
            port,
        };
        daemon.write_config(more)?;
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
        let command = Box::leak(Box::new(Command::new(binary("runnel"))));
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
        let mut command = Command::new(binary("runnel"));
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
        let token = fs::read_to_string(self.token_file())?;
        let client = reqwest::blocking::Client::new();
        let answer = client
            .get(format!("{}{path}", self.endpoint()))
            .bearer_auth(token.trim())
            .send()?;
        let status = answer.status();
        let body = answer.text()?;
        if !status.is_success() {
            bail!("GET {path}: {status}: {body}");
        }
        Ok(body)
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
