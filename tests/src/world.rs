//! What the trials share: servers, daemon, provider mirror, archives.

use crate::daemon::{Daemon, Manner};
use crate::process::{profile, repository, run, tail};
use crate::rig::{self, Rig};
use crate::terraform::{self, Terraform};
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// One trial.
pub type TrialFn = fn(&mut World) -> Result<()>;

/// Everything, in the order in which it is dropped: daemon and workers before the servers.
pub struct World {
    /// The daemon.
    pub daemon: Daemon,
    /// The servers.
    pub rig: Rig,
    places: BTreeMap<String, String>,
    cli_config: PathBuf,
    folder: TempDir,
}

impl World {
    /// Builds, downloads, starts everything in the usual way.
    pub fn set_up() -> Result<Self> {
        Self::build()?;
        Self::set_up_as(&[], &Manner::default(), |_| Ok(()))
    }

    /// Builds daemon and provider.
    pub fn build() -> Result<()> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.current_dir(repository()).args(["build", "-q"]);
        build.args(["-p", "runnel", "-p", "terraform-provider-runnel"]);
        if profile() == "release" {
            build.arg("--release");
        }
        run(&mut build).map(drop)
    }

    /// As [`World::set_up`], with a choice of servers, another daemon, and something to do with the
    /// daemon's folder before there is anything in it. What is needed has been built.
    pub fn set_up_as(
        parts: &[&str],
        manner: &Manner,
        prepare: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let places = rig::fetch()?;
        let folder = tempfile::Builder::new().prefix("runnel-e2e-").tempdir()?;
        // Database servers run under users of their own and must get in.
        std::fs::set_permissions(
            folder.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )?;
        let cli_config = terraform::mirror(folder.path())?;
        let rig = Rig::up(&folder.path().join("rig"), parts)?;
        let home = |key: &str| {
            places
                .get(key)
                .map(String::as_str)
                .with_context(|| format!("fetch prints no {key}"))
        };
        let runtimes = [
            ("3.9", home("RIG_RUNTIME_3_9")?),
            ("4.3", home("RIG_RUNTIME_4_3")?),
        ];
        let home = folder.path().join("daemon");
        std::fs::create_dir_all(&home)?;
        prepare(&home)?;
        let daemon = Daemon::start_as(&home, &runtimes, manner)?;
        Ok(Self {
            daemon,
            rig,
            places,
            cli_config,
            folder,
        })
    }

    /// Runs a trial; a failure carries the end of the daemon's log.
    pub fn run(&mut self, name: &str, trial: TrialFn) -> Result<()> {
        let result = trial(self).with_context(|| format!("{name} failed"));
        result.map_err(|error| {
            let log = tail(&self.daemon.log_path(), 30);
            error.context(format!("the daemon's log ends with:\n{log}\n"))
        })
    }

    /// A place that `tests/rig/fetch` prints.
    pub fn place(&self, key: &str) -> Result<&str> {
        self.places
            .get(key)
            .map(String::as_str)
            .with_context(|| format!("fetch prints no {key}"))
    }

    /// A folder for a trial.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A Terraform configuration for a trial.
    pub fn terraform(&self, name: &str, main: &str) -> Result<Terraform> {
        Terraform::new(&self.scratch(name), &self.cli_config, &self.daemon, main)
    }

    /// A daemon of a trial's own, on the same servers, with further lines of `runnel.toml`.
    pub fn other_daemon(&self, name: &str, more: &str) -> Result<Daemon> {
        let runtimes = [("4.3", self.place("RIG_RUNTIME_4_3")?)];
        Daemon::start_with(&self.scratch(&format!("daemon-{name}")), &runtimes, more)
    }

    /// As [`World::other_daemon`], with both runtimes and in another manner.
    pub fn other_daemon_as(&self, name: &str, manner: &Manner) -> Result<Daemon> {
        let runtimes = [
            ("3.9", self.place("RIG_RUNTIME_3_9")?),
            ("4.3", self.place("RIG_RUNTIME_4_3")?),
        ];
        Daemon::start_as(&self.scratch(&format!("daemon-{name}")), &runtimes, manner)
    }

    /// A Terraform configuration for a trial on another daemon.
    pub fn terraform_on(&self, daemon: &Daemon, name: &str, main: &str) -> Result<Terraform> {
        Terraform::new(&self.scratch(name), &self.cli_config, daemon, main)
    }

    /// An example of the repository, in a copy of all examples (modules are found beside it).
    pub fn example(&self, name: &str) -> Result<Terraform> {
        let copy = self.scratch(&format!("examples-of-{name}"));
        run(Command::new("cp")
            .arg("-R")
            .arg(repository().join("examples"))
            .arg(&copy))?;
        Terraform::existing(&copy.join(name), &self.cli_config, &self.daemon)
    }

    /// Records of a topic as text lines, `count` of them or an error after the limit.
    pub fn records(&self, topic: &str, count: usize, limit: Duration) -> Result<Vec<String>> {
        let text = self.daemon.runnel(&[
            "tail",
            topic,
            "--bootstrap-servers",
            self.rig.bootstrap()?,
            "--count",
            &count.to_string(),
            "--timeout",
            &format!("{}s", limit.as_secs()),
        ])?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.len() < count {
            bail!("{topic} has {} records, not {count}", lines.len());
        }
        Ok(lines)
    }

    /// Waits until a record of the topic holds `part`, and gives all records up to it.
    pub fn record_with(&self, topic: &str, part: &str, limit: Duration) -> Result<String> {
        self.daemon.runnel(&[
            "tail",
            topic,
            "--bootstrap-servers",
            self.rig.bootstrap()?,
            "--until",
            part,
            "--timeout",
            &format!("{}s", limit.as_secs()),
        ])
    }
}

/// Where `needle` stands below `folder`, in any file.
pub fn grep(folder: &Path, needle: &str) -> Result<Vec<PathBuf>> {
    let mut hits = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() && !path.is_symlink() {
            for entry in std::fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        } else if path.is_file() {
            let bytes = std::fs::read(&path)?;
            if bytes
                .windows(needle.len())
                .any(|window| window == needle.as_bytes())
            {
                hits.push(path);
            }
        }
    }
    Ok(hits)
}
