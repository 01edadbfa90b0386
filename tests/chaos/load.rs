//! A load on the database, and one reader for each connector who sees what came of it.

use crate::stage::{RECOVERY_LIMIT, Stage};
use anyhow::{Context as _, Result, anyhow, bail};
use checker::envelope::Parser;
use checker::reader::{Isolation, Next, ReadConfig, Reader};
use checker::verdict::Rows;
use checker::writer::{Db, Password, WriterHandle};
use checker::{Checker, History, Mode, Verdict, Writer, WriterConfig};
use e2e::process::wait_for;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Name of the workload, first part of its tables' names.
pub const TABLE: &str = "load";
/// The database of the load.
pub const DATABASE: &str = "chaos";
/// Transactions a second: what two connectors, a broker and a database do beside each other on two
/// cores, with room for catching up.
const RATE: u32 = 60;
const KEYS: u32 = 200;
const WRITERS: u32 = 4;
const USER: &str = "chaos-writer";
const PASSWORD: &str = "chaos-writer-password";
/// No run is longer.
const RUN_LIMIT: Duration = Duration::from_hours(6);

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// The load and its readers.
pub struct Load {
    config: WriterConfig,
    writer: Option<WriterHandle>,
    readers: Vec<Watch>,
    markers: u64,
}

/// One connector's reader.
struct Watch {
    connector: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    end: AtomicBool,
    seen: Mutex<Seen>,
}

/// What a reader has seen so far.
struct Seen {
    checker: Checker,
    /// When records came, milliseconds since 1970, not falling.
    arrivals: Vec<i64>,
    /// The newest marker.
    marker: u64,
    failure: Option<String>,
}

/// What a fault did to one connector's events.
#[derive(Clone, Debug)]
pub struct Effect {
    /// The connector.
    pub connector: String,
    /// The judgement on everything since the beginning of the run.
    pub verdict: Verdict,
    /// The longest time without an event since the fault, milliseconds.
    pub silence_ms: i64,
    /// From the fault to the end of that silence; 0 when there was no silence of a second.
    pub recovery_ms: i64,
}

/// A silence below this is the ordinary beat of small batches.
const BEAT_MS: i64 = 1_000;

impl Load {
    /// Makes the database. Connectors can be declared then, and [`Load::resume`] makes the tables once they run: what
    /// was written before a snapshot would be seen in its last state only.
    pub fn prepare(stage: &Stage, folder: &Path, seed: u64) -> Result<Self> {
        let rig = &stage.world.rig;
        rig.mariadb(&format!(
            "CREATE DATABASE {DATABASE}; \
             CREATE TABLE {DATABASE}.marker (number BIGINT PRIMARY KEY); \
             INSERT INTO {DATABASE}.marker VALUES (0); \
             CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'; \
             GRANT ALL ON {DATABASE}.* TO '{USER}'@'127.0.0.1'"
        ))?;
        let port = rig.fact("RIG_MARIADB_PORT")?;
        let config = WriterConfig {
            db: Db::Mariadb,
            url: format!("mysql://{USER}@127.0.0.1:{port}/{DATABASE}"),
            password: Some(Password::new(PASSWORD)),
            table: TABLE.to_owned(),
            keys: KEYS,
            rate: RATE,
            writers: WRITERS,
            seed,
            history: folder.join("history.jsonl"),
        };
        Ok(Self {
            config,
            writer: None,
            readers: Vec::new(),
            markers: 0,
        })
    }

    /// Where the history is kept.
    pub fn history(&self) -> PathBuf {
        self.config.history.clone()
    }

    /// Tables whose changes a connector must capture; `table.include.list` of it.
    pub fn tables() -> String {
        format!("{DATABASE}.{TABLE}_reg,{DATABASE}.{TABLE}_log,{DATABASE}.marker")
    }

    /// Reads what a connector writes, from its first record on. With `exactly_once` it reads committed
    /// records only, and none of them may be there twice.
    pub fn watch(&mut self, stage: &Stage, connector: &str, exactly_once: bool) -> Result<()> {
        let topic = |table: &str| format!("{connector}.{DATABASE}.{table}");
        let topics = [
            topic(&format!("{TABLE}_reg")),
            topic(&format!("{TABLE}_log")),
            topic("marker"),
        ];
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let mut config = ReadConfig::new(stage.world.rig.bootstrap()?, TABLE, &names);
        config.limit = RUN_LIMIT;
        config.quiet = Duration::from_millis(200);
        config.isolation = if exactly_once {
            Isolation::ReadCommitted
        } else {
            Isolation::ReadUncommitted
        };
        // A reader that comes back late would tell of a silence that was its own.
        config
            .properties
            .push(("reconnect.backoff.max.ms".to_owned(), "300".to_owned()));
        let mode = Mode::Rows(Rows {
            exactly_once,
            ..Rows::of(TABLE)
        });
        let shared = Arc::new(Shared {
            end: AtomicBool::new(false),
            seen: Mutex::new(Seen {
                checker: Checker::new(&mode),
                arrivals: Vec::new(),
                marker: 0,
                failure: None,
            }),
        });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            if let Err(error) = read(&config, &for_thread) {
                lock(&for_thread).failure = Some(format!("{error:#}"));
            }
        });
        self.readers.push(Watch {
            connector: connector.to_owned(),
            shared,
            thread: Some(thread),
        });
        Ok(())
    }

    /// Writes, from the beginning or on from where it was.
    pub fn resume(&mut self) -> Result<()> {
        self.writer = Some(Writer::start(self.config.clone())?);
        Ok(())
    }

    /// Ends the transactions under way and gives everything that was written so far.
    pub fn pause(&mut self) -> Result<History> {
        let writer = self.writer.take().context("the load is paused")?;
        Ok(writer.stop()?)
    }

    /// True when nothing is written.
    pub const fn is_paused(&self) -> bool {
        self.writer.is_none()
    }

    /// Writes a row now and waits until every reader has it.
    pub fn await_marker(&mut self, stage: &Stage) -> Result<()> {
        self.markers += 1;
        let marker = self.markers;
        // A client that lost the answer does not know whether the row is there.
        let sql = format!("REPLACE INTO {DATABASE}.marker VALUES ({marker})");
        wait_for("the database to take a row", RECOVERY_LIMIT, || {
            Ok(stage.world.rig.mariadb(&sql).is_ok())
        })?;
        for watch in &self.readers {
            let what = format!(
                "a row written after the fault to come from {}",
                watch.connector
            );
            wait_for(&what, RECOVERY_LIMIT, || {
                let seen = lock(&watch.shared);
                if let Some(failure) = &seen.failure {
                    bail!("the reader of {} failed: {failure}", watch.connector);
                }
                Ok(seen.marker >= marker)
            })?;
        }
        Ok(())
    }

    /// What became of everything until now, and how long it was silent since `from_ms`. The load
    /// pauses meanwhile, so that what is on its way can arrive.
    pub fn judge(&mut self, from_ms: i64) -> Result<Vec<Effect>> {
        let to_ms = now_ms();
        let history = self.pause()?;
        let mut effects = Vec::new();
        for watch in &self.readers {
            // What never comes is told by the verdict.
            let _ = wait_for("all rows", Duration::from_secs(30), || {
                Ok(lock(&watch.shared).checker.outstanding(&history) == 0)
            });
            let seen = lock(&watch.shared);
            let (silence_ms, recovery_ms) = silence(&seen.arrivals, from_ms, to_ms);
            effects.push(Effect {
                connector: watch.connector.clone(),
                verdict: seen.checker.clone().finish(&history),
                silence_ms,
                recovery_ms,
            });
        }
        Ok(effects)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for watch in &mut self.readers {
            watch.shared.end.store(true, Ordering::Release);
            if let Some(thread) = watch.thread.take() {
                let _ = thread.join();
            }
        }
    }
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Seen> {
    shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(config: &ReadConfig, shared: &Shared) -> Result<()> {
    let mut reader = Reader::open(config)?;
    let parser = Parser::new(config.format, &config.table);
    while !shared.end.load(Ordering::Acquire) {
        match reader.read()? {
            Next::Record(raw) if raw.topic.ends_with(".marker") => {
                if let Some(marker) = raw.value.as_deref().and_then(marker_of) {
                    let mut seen = lock(shared);
                    seen.marker = seen.marker.max(marker);
                }
            }
            Next::Record(raw) => {
                let event = parser.event(&raw);
                let mut seen = lock(shared);
                seen.checker.observe(&event);
                seen.arrivals.push(now_ms());
            }
            Next::Quiet => {}
            Next::TimeUp => {
                return Err(anyhow!("a run ends after {} h", RUN_LIMIT.as_secs() / 3600));
            }
        }
    }
    Ok(())
}

fn marker_of(value: &str) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_str(value).ok()?;
    let value = value.get("payload").unwrap_or(&value);
    value["after"]["number"].as_u64()
}

/// The longest gap between arrivals that ends after `from_ms`, and how long after it that is.
fn silence(arrivals: &[i64], from_ms: i64, to_ms: i64) -> (i64, i64) {
    let first = arrivals.partition_point(|at| *at < from_ms);
    let before = first.checked_sub(1).map_or(from_ms, |at| arrivals[at]);
    let mut last = before;
    let mut longest = (0, from_ms);
    for at in arrivals[first..].iter().take_while(|at| **at <= to_ms) {
        if at - last > longest.0 {
            longest = (at - last, *at);
        }
        last = *at;
    }
    let (length, end) = longest;
    let recovery = if length < BEAT_MS { 0 } else { end - from_ms };
    (length, recovery)
}
