//! Real load on MariaDB, MySQL or PostgreSQL, of which every change can be recognised.
//!
//! Seven tables. To be captured are `NAME_reg` (registers, each change counts its version up) and `NAME_log` (every
//! transaction appends one row, without a gap for each writer), and if one likes `NAME_bank` with `NAME_vault` (accounts,
//! between which transfers go) and `NAME_list` (lists, to which elements are appended). `NAME_side` carries a register's version over a delete and
//! `NAME_cursor` says how far each writer is, which need not be captured.
//!
//! A writer that loses its connection at a COMMIT connects again and asks `NAME_cursor`, locking its row: while the lost
//! transaction still runs in the server, the answer waits. Then it knows, and goes on without a hole.

mod finals;
mod ledgers;
mod run;
mod session;

pub use session::{Db, Password, SessionError};

use crate::history::{Finals, History, HistoryError, Outcome, Recorder};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What to write, where.
#[derive(Debug, Clone)]
pub struct WriterConfig {
    /// Which database.
    pub db: Db,
    /// `mysql://user@host:port/database` or `postgres://user@host:port/database`.
    pub url: String,
    /// The user's password.
    pub password: Option<Password>,
    /// Name of the workload, the first part of its tables' names: letters, digits, `_`.
    pub table: String,
    /// Registers.
    pub keys: u32,
    /// Transactions a second, all writers together; 0 is as fast as they can.
    pub rate: u32,
    /// Connections that write side by side.
    pub writers: u32,
    /// What decides which rows are written.
    pub seed: u64,
    /// The history's file. One that exists is gone on with.
    pub history: PathBuf,
}

/// The writers could not begin or not end.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The database.
    #[error("{doing}")]
    Session {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: SessionError,
    },
    /// The history.
    #[error("the history cannot be kept")]
    History(#[from] HistoryError),
    /// A configuration that makes no sense.
    #[error("{0}")]
    Config(&'static str),
    /// No thread for the writers.
    #[error("the writers' threads do not start")]
    Threads(#[source] std::io::Error),
}

/// Counts, to be watched while the writers run.
#[derive(Debug, Default)]
pub struct Progress {
    /// Transactions that were committed.
    pub committed: AtomicU64,
    /// Transactions that failed or were rolled back.
    pub failed: AtomicU64,
    /// Transactions whose COMMIT had no answer, whether it was found out later or not.
    pub unknown: AtomicU64,
    /// Connections made again.
    pub reconnects: AtomicU64,
}

/// What all writers of a load share.
struct Shared {
    config: WriterConfig,
    progress: Arc<Progress>,
    /// The file, and the first error that it had: then all stop, since what is not recorded cannot be checked.
    recorder: Mutex<(Recorder, Option<HistoryError>)>,
    stop: CancellationToken,
}

impl Shared {
    fn record(&self, line: impl FnOnce(&mut Recorder) -> Result<(), HistoryError>) -> bool {
        let mut guard = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        let (recorder, failure) = &mut *guard;
        match line(recorder) {
            Ok(()) => true,
            Err(error) => {
                failure.get_or_insert(error);
                self.stop.cancel();
                false
            }
        }
    }
}

/// Starts writers.
#[derive(Debug)]
pub struct Writer;

/// Writers at work. Dropped, they stop without a last look at the database.
pub struct WriterHandle {
    shared: Arc<Shared>,
    /// Given away by [`WriterHandle::stop`].
    runtime: Option<tokio::runtime::Runtime>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// How long [`WriterHandle::stop`] waits for transactions to end and for the database to answer.
const STOP_LIMIT: Duration = Duration::from_mins(1);

impl Writer {
    /// Makes the tables where they are missing, and starts to write. Returns when the tables are there.
    pub fn start(config: WriterConfig) -> Result<WriterHandle, WriteError> {
        check(&config)?;
        let (recorder, earlier) = Recorder::open(&config.history, &config.table)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("checker-writer")
            .enable_all()
            .build()
            .map_err(WriteError::Threads)?;
        let shared = Arc::new(Shared {
            config,
            progress: Arc::new(Progress::default()),
            recorder: Mutex::new((recorder, None)),
            stop: CancellationToken::new(),
        });
        runtime.block_on(run::set_up(&shared.config, earlier.attempts.is_empty()))?;
        let unknown = |writer| {
            let attempts = earlier.attempts.iter();
            let attempts = attempts.filter(move |it| it.writer == writer);
            attempts
                .filter(|it| it.outcome == Outcome::Unknown)
                .cloned()
                .collect()
        };
        let last = |writer| {
            let attempts = earlier.attempts.iter().filter(|it| it.writer == writer);
            attempts.map(|it| it.wseq).max().unwrap_or(0)
        };
        let tasks = (0..shared.config.writers)
            .map(|writer| {
                let work =
                    run::Work::new(Arc::clone(&shared), writer, last(writer), unknown(writer));
                runtime.spawn(work.run())
            })
            .collect();
        Ok(WriterHandle {
            shared,
            runtime: Some(runtime),
            tasks,
        })
    }
}

fn check(config: &WriterConfig) -> Result<(), WriteError> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if config.table.is_empty() || config.table.len() > 40 || !config.table.chars().all(is_word) {
        return Err(WriteError::Config(
            "a table's name is of 1 to 40 letters, digits and `_`",
        ));
    }
    if !(1..=1_000_000).contains(&config.keys) {
        return Err(WriteError::Config("keys are 1 to 1000000"));
    }
    if !(1..=64).contains(&config.writers) {
        return Err(WriteError::Config("writers are 1 to 64"));
    }
    Ok(())
}

impl WriterHandle {
    /// Counts of what was done so far.
    pub fn progress(&self) -> &Progress {
        &self.shared.progress
    }

    /// Transactions committed so far.
    pub fn committed(&self) -> u64 {
        self.shared.progress.committed.load(Ordering::Relaxed)
    }

    /// Lets each writer end its transaction, asks the database what it holds, and gives the whole history. Waits up to
    /// a minute for a database that is away; the history then has `unknown` outcomes and no final state.
    pub fn stop(mut self) -> Result<History, WriteError> {
        self.shared.stop.cancel();
        let tasks = std::mem::take(&mut self.tasks);
        if let Some(runtime) = self.runtime.take() {
            let end = async {
                for task in tasks {
                    // A panic of a writer would be a bug of this file; its last attempt stays unknown.
                    drop(task.await);
                }
                finals::finals(&self.shared.config).await
            };
            // The timer belongs to the runtime, so it is made inside.
            let finals = runtime.block_on(async { tokio::time::timeout(STOP_LIMIT, end).await });
            runtime.shutdown_timeout(Duration::from_secs(1));
            if let Ok(finals) = finals {
                self.shared.record(|recorder| recorder.finals(&finals));
            }
        }
        let failure = {
            let mut guard = self.shared.recorder.lock();
            let guard = guard.as_mut().map(|it| it.1.take());
            guard.ok().flatten()
        };
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(History::read(&self.shared.config.history)?),
        }
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

/// The wait between attempts to connect: from 50 ms, doubled, to 1 s.
struct BackOff(Duration);

impl BackOff {
    fn new() -> Self {
        Self(Duration::from_millis(50))
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(1));
    }
}
