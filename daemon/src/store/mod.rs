//! What was wanted, each operation, and sealed secrets: one `SQLite` file in the data folder. This is
//! the only module with SQL.
//!
//! Stored is what people asked for and what became of each request. What was *observed* is not
//! stored: it lives in memory with its age, and a restart looks again.
//!
//! [`Store`] is a cheap handle. Its methods block (a durable write takes about 4 ms on a common
//! disk); from async code go through [`Store::run`]. There is one writing connection, so writes are
//! in one order, and each public method that writes is one transaction.

mod audit;
mod contents;
mod decisions;
mod declared;
mod generations;
mod keys;
mod meter;
mod objects;
mod operations;
mod principals;
mod private;
mod progress;
mod put;
mod rotation;
#[cfg(test)]
mod rotation_tests;
mod rows;
mod schema;
mod seal;
#[cfg(test)]
mod secrecy_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tokens;

pub use audit::{AUDIT_KEPT_DEFAULT, AuditFilter};
pub use decisions::DECISIONS_KEPT;
pub use declared::{Declared, Reference};
pub use generations::Recalled;
pub use keys::ROOT_TOKEN_FILE;
pub use keys::SEALING_KEY_FILE;
pub use objects::{DeleteOutcome, Stored};
pub use operations::Advance;
pub use principals::Principal;
pub use progress::{Leftover, Transition};
pub use put::{Precondition, PutOutcome, PutRequest};
pub use tokens::{Holder, Login};

use runnel_api::{ErrorCode, Problem};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

/// The database's file in the data folder.
pub const DATABASE_FILE: &str = "runnel.db";

/// How many store calls of async code may wait at once; more would only queue in another place.
const CALLS_MAX: usize = 64;

/// How long one connection waits for another one's lock. There is one writer, so this is only ever
/// a checkpoint or somebody's `sqlite3`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Durability and safety settings (reliability notes, A4). `synchronous = FULL`, because NORMAL may
/// lose acknowledged commits at power loss; `secure_delete`, because freed pages held ciphertext.
const PRAGMAS: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA wal_autocheckpoint = 1000;
PRAGMA mmap_size = 0;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA secure_delete = ON;
";

/// Why the store did not do it. Nothing is ever half done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What was asked is not possible as things stand; the caller's fault, in words for people.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// Another daemon has the lock.
    #[error("another daemon works in {}; stop it, or choose another data_dir", .0.display())]
    Locked(PathBuf),
    /// The folder holds other things than a daemon's and others can look into it.
    #[error("{} is open to others and not empty; choose a data_dir of the daemon's own", .0.display())]
    ForeignFolder(PathBuf),
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A secret file is open to others.
    #[error("{0} can be read by others (mode {mode:04o}); run: chmod 600 {0}", path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The sealing key is not the one that sealed what is stored.
    #[error(
        "{} is missing or is not the key that sealed this database; put the right file back from a backup",
        .0.display()
    )]
    WrongKey(PathBuf),
    /// The linked `SQLite` has known faults.
    #[error("SQLite {0} is too old, 3.51.3 is the oldest that is safe")]
    OldSqlite(String),
    /// A newer release wrote the file.
    #[error(
        "the database has schema {found}, this release knows up to {known}; start the newer release"
    )]
    NewerSchema {
        /// The file's version.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// Something stored does not read back.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// `SQLite` refused or failed.
    #[error("the database failed")]
    Sql(#[source] rusqlite::Error),
    /// Sealing or opening a secret failed.
    #[error("a secret cannot be sealed or opened: {0}")]
    Secret(String),
    /// An earlier write failed in a way after which the file cannot be trusted until a restart.
    #[error(
        "the store is closed after an I/O failure; look at the log and the disk, then start the daemon again"
    )]
    Closed,
}

impl StoreError {
    pub(crate) fn refused(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }

    /// The error for a client: what was refused in full, anything else without inner details.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Refused(problem) => (**problem).clone(),
            Self::Closed => Problem::new(ErrorCode::Unavailable, "the daemon's store is closed")
                .detail(self.to_string()),
            Self::Sql(rusqlite::Error::SqliteFailure(error, _))
                if error.code == rusqlite::ErrorCode::DiskFull =>
            {
                Problem::new(
                    ErrorCode::Unavailable,
                    "the disk with the daemon's data is full",
                )
                .hint("nothing was changed; free some space and try again")
            }
            _ => Problem::new(ErrorCode::Internal, "the daemon's store failed")
                .hint("the daemon's log has the cause"),
        }
    }

    /// True when the file itself is in doubt: after a failed write or sync, trying again may
    /// report success for data that is gone.
    fn closes(&self) -> bool {
        use rusqlite::ErrorCode as Code;
        match self {
            Self::Sql(rusqlite::Error::SqliteFailure(error, _)) => matches!(
                error.code,
                Code::SystemIoFailure | Code::DatabaseCorrupt | Code::NotADatabase
            ),
            Self::Damaged(_) => true,
            _ => false,
        }
    }
}

struct Inner {
    data_dir: PathBuf,
    daemon: Uuid,
    /// Changes with a rotation, which holds both connections meanwhile: take it inside of a
    /// transaction, and it is the one that fits the rows.
    sealer: RwLock<Arc<seal::Sealer>>,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    tokens: RwLock<Vec<Holder>>,
    /// Records of the audit log that are kept.
    audit_kept: AtomicU64,
    calls: Semaphore,
    /// Bumped after each commit; who waits for an operation looks again.
    changes: watch::Sender<u64>,
    closed: AtomicBool,
    /// Held for as long as the store is open.
    _lock: std::fs::File,
}

/// The handle. Clones share the connections; the folder's lock goes with the last one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("data_dir", &self.inner.data_dir)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens or makes the store: folder (0700), lock, sealing key and root token (0600), database
    /// (checked, migrated).
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        schema::check_sqlite()?;
        private::folder(data_dir)?;
        let lock = private::lock(data_dir)?;
        let database = data_dir.join(DATABASE_FILE);
        private::touch(&database)?;
        let mut writer = connect(&database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        writer.execute_batch(PRAGMAS).map_err(StoreError::Sql)?;
        quick_check(&writer)?;
        schema::migrate(&mut writer)?;
        let sealer = keys::sealer(&writer, data_dir)?;
        let daemon = keys::daemon(&mut writer)?;
        keys::root_token(&mut writer, data_dir)?;
        let tokens = tokens::load(&writer)?;
        let reader = connect(&database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let (changes, _) = watch::channel(0);
        Ok(Self {
            inner: Arc::new(Inner {
                data_dir: data_dir.to_owned(),
                daemon,
                sealer: RwLock::new(Arc::new(sealer)),
                writer: Mutex::new(writer),
                reader: Mutex::new(reader),
                tokens: RwLock::new(tokens),
                audit_kept: AtomicU64::new(AUDIT_KEPT_DEFAULT),
                calls: Semaphore::new(CALLS_MAX),
                changes,
                closed: AtomicBool::new(false),
                _lock: lock,
            }),
        })
    }

    /// The identity from which ids derive; made once for each database.
    pub fn daemon(&self) -> Uuid {
        self.inner.daemon
    }

    /// The folder that was opened.
    pub fn data_dir(&self) -> &Path {
        &self.inner.data_dir
    }

    /// Runs blocking work of this store on a thread for that. At most 64 calls wait at once; more
    /// callers queue before they take a thread.
    pub async fn run<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    {
        let _turn = self
            .inner
            .calls
            .acquire()
            .await
            .map_err(|_| StoreError::Closed)?;
        let store = self.clone();
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(StoreError::Closed),
        }
    }

    /// Changes with each commit. Take the receiver before you read, so that nothing is missed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// True after a failure that leaves the file in doubt; the daemon should end.
    pub fn is_closed(&self) -> bool {
        self.inner.closed.load(Ordering::Acquire)
    }

    /// One read transaction.
    fn read<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.inside(&self.inner.reader, TransactionBehavior::Deferred, work)
    }

    /// One write transaction. Whatever error comes out, nothing was written.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let result = self.inside(&self.inner.writer, TransactionBehavior::Immediate, work)?;
        self.inner.changes.send_modify(|count| *count += 1);
        Ok(result)
    }

    fn inside<T>(
        &self,
        connection: &Mutex<Connection>,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // A panic in another call rolled its transaction back; the connection is sound.
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        self.on(&mut connection, behavior, work)
    }

    /// A transaction on a connection that the caller holds.
    fn on<T>(
        &self,
        connection: &mut Connection,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.is_closed() {
            return Err(StoreError::Closed);
        }
        let result = connection
            .transaction_with_behavior(behavior)
            .map_err(StoreError::Sql)
            .and_then(|transaction| {
                let result = work(&transaction)?;
                transaction.commit().map_err(StoreError::Sql)?;
                Ok(result)
            });
        if let Err(error) = &result
            && error.closes()
        {
            self.close(error);
        }
        result
    }

    /// Does nothing any more: after this error the file is in doubt.
    fn close(&self, error: &StoreError) {
        tracing::error!(error = %error, source = ?std::error::Error::source(error), "the store closes");
        self.inner.closed.store(true, Ordering::Release);
        self.inner.changes.send_modify(|count| *count += 1);
    }

    /// Seals and opens what the connection that is held shows.
    fn sealer(&self) -> Arc<seal::Sealer> {
        let sealer = self.inner.sealer.read();
        sealer.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether a daemon works in this folder just now.
pub fn is_in_use(data_dir: &Path) -> bool {
    private::is_locked(data_dir)
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(path, flags).map_err(StoreError::Sql)?;
    connection
        .busy_timeout(BUSY_TIMEOUT)
        .map_err(StoreError::Sql)?;
    Ok(connection)
}

fn quick_check(connection: &Connection) -> Result<(), StoreError> {
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(StoreError::Sql)?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(StoreError::Damaged(verdict))
    }
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
