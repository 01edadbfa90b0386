//! The tables, and how a file of an older release becomes one of this release.

use super::StoreError;
use super::rows::int;
use rusqlite::Connection;

/// The oldest `SQLite` that is free of the WAL-reset race that could corrupt a database with several
/// connections (fixed in 3.51.3).
const SQLITE_MINIMUM: i32 = 3_051_003;

/// One entry for each version of the schema, forward only. `PRAGMA user_version` counts how many
/// of them were applied. Entries that were released are never edited.
const MIGRATIONS: [&str; 6] = [
    VERSION_1,
    VERSION_2,
    RESTART_SCOPES,
    TOKEN_ROLES,
    AUDIT_LOG,
    PRINCIPALS,
];

/// Who changed what. `name` and `token` are in `json` too; they stand apart to be found by.
/// `audit_ends` has one row: the last record that was pruned, and the newest.
const AUDIT_LOG: &str = "
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at_ms  INTEGER NOT NULL,
    name   TEXT,
    token  TEXT,
    json   TEXT    NOT NULL,
    hash   BLOB    NOT NULL
) STRICT;
CREATE INDEX audit_by_name ON audit (name, number);
CREATE INDEX audit_by_token ON audit (token, number);

CREATE TABLE audit_ends (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    pruned      INTEGER NOT NULL,
    pruned_hash BLOB    NOT NULL,
    last        INTEGER NOT NULL,
    last_hash   BLOB    NOT NULL
) STRICT;
INSERT INTO audit_ends VALUES (1, 0, zeroblob(32), 0, zeroblob(32));
";

/// What each token may do. The one of earlier releases is the root token; a row that says nothing
/// may least.
const TOKEN_ROLES: &str = "
ALTER TABLE tokens ADD COLUMN role TEXT NOT NULL DEFAULT 'viewer';
ALTER TABLE tokens ADD COLUMN expires_ms INTEGER;
ALTER TABLE tokens ADD COLUMN last_used_ms INTEGER;
ALTER TABLE tokens ADD COLUMN pass_roles TEXT NOT NULL DEFAULT '[]';
UPDATE tokens SET role = 'admin' WHERE name = 'root';
";

/// What a restart is about; absent for all workers.
const RESTART_SCOPES: &str = "ALTER TABLE operations ADD COLUMN restart TEXT;";

/// Users on brokers; a row goes with its connector.
const PRINCIPALS: &str = "
CREATE TABLE principals (
    kind       TEXT    NOT NULL,
    connector  TEXT    NOT NULL PRIMARY KEY,
    username   TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    nonce      BLOB    NOT NULL,
    ciphertext BLOB    NOT NULL,
    FOREIGN KEY (kind, connector) REFERENCES objects (kind, name) ON DELETE CASCADE
) STRICT;
";

/// Times are milliseconds since the Unix epoch; JSON columns hold what `runnel-api` serializes.
const VERSION_1: &str = "
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- What exists. `computed` is what follows from specifications, never what was observed.
CREATE TABLE objects (
    kind        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    incarnation INTEGER NOT NULL,
    id          TEXT    NOT NULL UNIQUE,
    generation  INTEGER NOT NULL,
    spec        TEXT    NOT NULL,
    computed    TEXT    NOT NULL,
    deleting    INTEGER NOT NULL DEFAULT 0,
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT;

-- How often a name was used. A row stays for good: an id must never come back.
CREATE TABLE lives (
    kind TEXT    NOT NULL,
    name TEXT    NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT;

-- Specifications of this and earlier generations, to roll back to and to resolve references by
-- digest. `fingerprint` is the keyed fingerprint of all secrets of the generation.
CREATE TABLE generations (
    kind        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    generation  INTEGER NOT NULL,
    spec        TEXT    NOT NULL,
    computed    TEXT    NOT NULL,
    digest      TEXT,
    fingerprint BLOB    NOT NULL,
    operation   TEXT    NOT NULL,
    PRIMARY KEY (kind, name, generation),
    FOREIGN KEY (kind, name) REFERENCES objects (kind, name) ON DELETE CASCADE
) STRICT;
CREATE INDEX generations_by_digest ON generations (kind, digest) WHERE digest IS NOT NULL;

CREATE TABLE sealed (
    kind       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    key        TEXT    NOT NULL,
    nonce      BLOB    NOT NULL,
    ciphertext BLOB    NOT NULL,
    PRIMARY KEY (kind, name, generation, key),
    FOREIGN KEY (kind, name, generation)
        REFERENCES generations (kind, name, generation) ON DELETE CASCADE
) STRICT;

-- Outlives its object, so that a failed create can still be read.
CREATE TABLE operations (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    object_kind TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    generation  INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    waiting_on  TEXT,
    problem     TEXT,
    warnings    TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL,
    ended_ms    INTEGER
) STRICT;
CREATE INDEX operations_by_object ON operations (object_kind, name, number);
-- An object has one unfinished operation at most.
CREATE UNIQUE INDEX operations_unfinished ON operations (object_kind, name)
    WHERE ended_ms IS NULL;

CREATE TABLE plugin_contents (
    sha256    TEXT    PRIMARY KEY,
    size      INTEGER NOT NULL,
    found     TEXT    NOT NULL,
    staged_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
    hash       BLOB    PRIMARY KEY,
    prefix     TEXT    NOT NULL,
    name       TEXT    NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL
) STRICT;

-- Belongs to the reconciler; nobody else reads it.
CREATE TABLE connector_progress (
    name     TEXT PRIMARY KEY,
    progress TEXT NOT NULL
) STRICT;

CREATE TABLE transitions (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    connector TEXT    NOT NULL,
    at_ms     INTEGER NOT NULL,
    text      TEXT    NOT NULL
) STRICT;
CREATE INDEX transitions_by_connector ON transitions (connector, number);

-- What a delete could not remove because something was away; the reconciler tries again.
CREATE TABLE leftovers (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    note       TEXT    NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;
";

/// Decisions of scaling; `json` is a `ScalingDecision`.
const VERSION_2: &str = "
CREATE TABLE scaling_decisions (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    connector TEXT    NOT NULL,
    at_ms     INTEGER NOT NULL,
    json      TEXT    NOT NULL
) STRICT;
CREATE INDEX scaling_decisions_by_connector ON scaling_decisions (connector, number);
";

/// The version that this release writes.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// Refuses a `SQLite` that is too old. The bundled one never is; a build that links the system's may.
pub(super) fn check_sqlite() -> Result<(), StoreError> {
    if rusqlite::version_number() < SQLITE_MINIMUM {
        return Err(StoreError::OldSqlite(rusqlite::version().to_owned()));
    }
    Ok(())
}

/// Brings the file to [`VERSION`], one transaction for each step, so that a crash leaves a whole
/// older version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let applied: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(StoreError::Sql)?;
    let applied = usize::try_from(applied).unwrap_or(usize::MAX);
    if applied > VERSION {
        return Err(StoreError::NewerSchema {
            found: applied,
            known: VERSION,
        });
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(applied) {
        let step = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(StoreError::Sql)?;
        step.execute_batch(migration).map_err(StoreError::Sql)?;
        step.pragma_update(None, "user_version", int(index as u64 + 1))
            .map_err(StoreError::Sql)?;
        step.commit().map_err(StoreError::Sql)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_run_once_and_in_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        let version: i64 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!(usize::try_from(version), Ok(VERSION));
    }

    #[test]
    fn a_file_of_a_newer_release_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection
            .pragma_update(None, "user_version", int(VERSION as u64 + 1))
            .unwrap();
        let refused = migrate(&mut connection);
        assert!(matches!(refused, Err(StoreError::NewerSchema { .. })));
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 0);
    }
}
