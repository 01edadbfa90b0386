//! The real servers: brokers, MariaDB, PostgreSQL, by `tests/rig/rig`.

use crate::process::{repository, run};
use crate::secured::Secured;
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Servers in a folder of their own; stopped when dropped.
pub struct Rig {
    folder: PathBuf,
    facts: BTreeMap<String, String>,
}

pub(crate) fn script() -> PathBuf {
    repository().join("tests/rig/rig")
}

impl Rig {
    /// Starts servers: `broker`, `mariadb`, `postgres`, all of them if none is named; `secured` is a second broker.
    pub fn up(folder: &Path, parts: &[&str]) -> Result<Self> {
        let flags = parts.iter().map(|part| format!("--{part}"));
        run(Command::new(script()).arg("up").arg(folder).args(flags))?;
        let mut rig = Self {
            folder: folder.to_owned(),
            facts: BTreeMap::new(),
        };
        rig.read_facts()?;
        Ok(rig)
    }

    /// Starts one more part.
    pub fn add(&mut self, part: &str) -> Result<()> {
        let flag = format!("--{part}");
        run(Command::new(script()).arg("up").arg(&self.folder).arg(flag))?;
        self.read_facts()
    }

    fn read_facts(&mut self) -> Result<()> {
        let text = run(Command::new(script()).arg("env").arg(&self.folder))?;
        self.facts = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.trim_matches('\'').replace('\\', "")))
            .collect();
        Ok(())
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The secured broker, which must have been started by `up` or `add`.
    pub fn secured(&self) -> Result<Secured> {
        Secured::of(self)
    }

    /// A fact that `rig env` prints.
    pub fn fact(&self, key: &str) -> Result<&str> {
        self.facts
            .get(key)
            .map(String::as_str)
            .with_context(|| format!("rig env does not print {key}"))
    }

    /// Bootstrap servers of the broker.
    pub fn bootstrap(&self) -> Result<&str> {
        self.fact("RIG_BOOTSTRAP")
    }

    /// Stops a server; its data stays.
    pub fn stop(&self, part: &str) -> Result<()> {
        run(Command::new(script())
            .arg("stop")
            .arg(&self.folder)
            .arg(part))
        .map(drop)
    }

    /// Starts a server again.
    pub fn start(&self, part: &str) -> Result<()> {
        run(Command::new(script())
            .arg("start")
            .arg(&self.folder)
            .arg(part))
        .map(drop)
    }

    /// SIGKILL; its data stays.
    pub fn kill(&self, part: &str) -> Result<()> {
        run(Command::new(script())
            .arg("kill")
            .arg(&self.folder)
            .arg(part))
        .map(drop)
    }

    /// Process id of a server that runs.
    pub fn pid(&self, part: &str) -> Result<u32> {
        let text = run(Command::new(script()).arg("env").arg(&self.folder))?;
        let key = format!("RIG_{}_PID=", part.to_uppercase());
        let pid = text.lines().find_map(|line| line.strip_prefix(&key));
        Ok(pid
            .with_context(|| format!("{part} does not run"))?
            .parse()?)
    }

    /// Runs SQL in MariaDB as root and gives what it prints.
    pub fn mariadb(&self, sql: &str) -> Result<String> {
        run(Command::new(script())
            .arg("mariadb")
            .arg(&self.folder)
            .args(["-N", "-B", "-e", sql]))
    }

    /// Runs SQL in a database of PostgreSQL as superuser and gives what it prints.
    pub fn psql_in(&self, database: &str, sql: &str) -> Result<String> {
        run(Command::new(script())
            .arg("psql")
            .arg(&self.folder)
            .args(["-At", "-d", database, "-c", sql]))
    }

    /// Runs one of Kafka's own tools and gives what it prints.
    pub fn kafka(&self, arguments: &[&str]) -> Result<String> {
        run(Command::new(script())
            .arg("kafka")
            .arg(&self.folder)
            .args(arguments))
    }

    /// Names of the topics on the broker.
    pub fn topics(&self) -> Result<Vec<String>> {
        let text = run(Command::new(script())
            .arg("kafka")
            .arg(&self.folder)
            .args(["topics", "--list"]))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new(script()).arg("down").arg(&self.folder)) {
            eprintln!("the rig did not go down: {error:#}");
        }
    }
}

/// Downloads what is missing and gives the places that `fetch` prints.
pub fn fetch() -> Result<BTreeMap<String, String>> {
    let text = run(&mut Command::new(repository().join("tests/rig/fetch")))?;
    let places: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.trim_matches('\'').to_owned()))
        .collect();
    if places.is_empty() {
        bail!("tests/rig/fetch printed no places: {text}");
    }
    Ok(places)
}
