//! The audit log: appended, read, pruned to a bound, and checked.
//!
//! Each record's hash covers its text and the hash of the record before it, and a row of its own
//! tells where the chain begins (what was pruned) and where it ends, so that a record that was
//! changed, added or removed with a tool shows. Whoever can write the file and knows this can
//! forge the whole chain: the daemon's log, where each hash is told as it is made, is the witness
//! elsewhere.

use super::rows::{from_json, int, to_json, uint};
use super::{Store, StoreError};
use runnel_api::Name;
use runnel_api::audit::{Actor, AuditEntry, AuditRecord, AuditVerdict};
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

/// Records that are kept when the configuration says nothing; at some 700 bytes each, 70 MB.
pub const AUDIT_KEPT_DEFAULT: u64 = 100_000;
/// Begins what is hashed, so that no other hash of this file is ever one of these.
const HASHED: &[u8] = b"runnel audit 1\n";

type Hash = [u8; 32];

/// Which records are read; the newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Not older than this, milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// About the object or token of this name.
    pub name: Option<Name>,
    /// By the token of this name.
    pub token: Option<Name>,
    /// With a smaller number than this one.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// Where the chain begins and ends.
struct Ends {
    /// The last record that was pruned.
    pruned: u64,
    pruned_hash: Hash,
    /// The newest record.
    last: u64,
    last_hash: Hash,
}

/// A row as it is stored.
struct Row {
    number: u64,
    at_ms: u64,
    name: Option<String>,
    token: Option<String>,
    json: String,
    hash: Hash,
}

impl Store {
    /// Says how many records are kept from now on; at least one.
    pub fn keep_audit(&self, records: u64) {
        self.inner
            .audit_kept
            .store(records.max(1), Ordering::Relaxed);
    }

    /// Appends a record, and removes what is beyond the bound. One durable write.
    pub fn audit(&self, entry: &AuditEntry) -> Result<AuditRecord, StoreError> {
        let json = to_json(entry)?;
        let kept = self.inner.audit_kept.load(Ordering::Relaxed);
        let (number, hash) = self.write(|tx| append(tx, entry, &json, kept))?;
        Ok(AuditRecord {
            number,
            entry: entry.clone(),
            hash: hex(&hash),
        })
    }

    /// Records, the newest first.
    pub fn audit_records(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        self.read(|tx| {
            let sql = "SELECT number, at_ms, name, token, json, hash FROM audit
                       WHERE (?1 IS NULL OR at_ms >= ?1) AND (?2 IS NULL OR name = ?2)
                         AND (?3 IS NULL OR token = ?3) AND (?4 IS NULL OR number < ?4)
                       ORDER BY number DESC LIMIT ?5";
            let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
            let rows = statement
                .query_map(
                    params![
                        filter.since_ms.map(int),
                        filter.name.as_ref().map(Name::as_str),
                        filter.token.as_ref().map(Name::as_str),
                        filter.before.map(int),
                        int(filter.limit as u64),
                    ],
                    read,
                )
                .map_err(StoreError::Sql)?;
            rows.map(|row| {
                let row = row.map_err(StoreError::Sql)?;
                Ok(AuditRecord {
                    number: row.number,
                    entry: from_json("audit.json", &row.json)?,
                    hash: hex(&row.hash),
                })
            })
            .collect()
        })
    }

    /// Goes along the whole chain. Other readers wait meanwhile, writers do not.
    pub fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        self.read(|tx| {
            let ends = ends(tx)?;
            Ok(AuditVerdict {
                first: ends.pruned + 1,
                last: ends.last,
                last_hash: hex(&ends.last_hash),
                fault: fault(tx, &ends)?,
            })
        })
    }
}

fn append(
    tx: &Connection,
    entry: &AuditEntry,
    json: &str,
    kept: u64,
) -> Result<(u64, Hash), StoreError> {
    let ends = ends(tx)?;
    let number = ends.last + 1;
    let hash = chained(&ends.last_hash, number, json);
    tx.execute(
        "INSERT INTO audit (number, at_ms, name, token, json, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            int(number),
            int(entry.at_ms),
            entry.name.as_ref().map(Name::as_str),
            token_of(entry),
            json,
            hash.as_slice(),
        ],
    )
    .map_err(StoreError::Sql)?;
    tx.execute(
        "UPDATE audit_ends SET last = ?1, last_hash = ?2",
        params![int(number), hash.as_slice()],
    )
    .map_err(StoreError::Sql)?;
    prune(tx, number.saturating_sub(kept))?;
    Ok((number, hash))
}

/// Removes records up to a number; the hash of the last one stays as the begin of the chain.
fn prune(tx: &Connection, up_to: u64) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE audit_ends SET (pruned, pruned_hash) =
           (SELECT number, hash FROM audit WHERE number = ?1)
         WHERE EXISTS (SELECT 1 FROM audit WHERE number = ?1)",
        [int(up_to)],
    )
    .map_err(StoreError::Sql)?;
    tx.execute("DELETE FROM audit WHERE number <= ?1", [int(up_to)])
        .map(drop)
        .map_err(StoreError::Sql)
}

fn ends(tx: &Connection) -> Result<Ends, StoreError> {
    tx.query_row(
        "SELECT pruned, pruned_hash, last, last_hash FROM audit_ends",
        [],
        |row| {
            Ok(Ends {
                pruned: uint(row.get(0)?),
                pruned_hash: row.get(1)?,
                last: uint(row.get(2)?),
                last_hash: row.get(3)?,
            })
        },
    )
    .map_err(StoreError::Sql)
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        number: uint(row.get(0)?),
        at_ms: uint(row.get(1)?),
        name: row.get(2)?,
        token: row.get(3)?,
        json: row.get(4)?,
        hash: row.get(5)?,
    })
}

/// The first thing that is wrong with the chain.
fn fault(tx: &Connection, ends: &Ends) -> Result<Option<String>, StoreError> {
    let sql = "SELECT number, at_ms, name, token, json, hash FROM audit ORDER BY number";
    let mut statement = tx.prepare(sql).map_err(StoreError::Sql)?;
    let rows = statement.query_map([], read).map_err(StoreError::Sql)?;
    let (mut number, mut hash) = (ends.pruned, ends.pruned_hash);
    for row in rows {
        let row = row.map_err(StoreError::Sql)?;
        number += 1;
        if row.number != number {
            return Ok(Some(format!("record {number} is missing")));
        }
        hash = chained(&hash, number, &row.json);
        if row.hash != hash {
            return Ok(Some(format!(
                "record {number} or one before it is not what was written"
            )));
        }
        // What records are found by must be what they say.
        let is_found = serde_json::from_str::<AuditEntry>(&row.json).is_ok_and(|entry| {
            entry.at_ms == row.at_ms
                && entry.name.as_ref().map(Name::as_str) == row.name.as_deref()
                && token_of(&entry) == row.token.as_deref()
        });
        if !is_found {
            return Ok(Some(format!(
                "record {number} is filed under other words than its own"
            )));
        }
    }
    if (number, hash) != (ends.last, ends.last_hash) {
        return Ok(Some(format!("records after {number} are missing")));
    }
    Ok(None)
}

fn token_of(entry: &AuditEntry) -> Option<&str> {
    match &entry.actor {
        Actor::Token { name, .. } => Some(name.as_str()),
        Actor::Stranger | Actor::Daemon => None,
    }
}

fn chained(before: &Hash, number: u64, json: &str) -> Hash {
    let hash = Sha256::new()
        .chain_update(HASHED)
        .chain_update(before)
        .chain_update(number.to_be_bytes())
        .chain_update(json.as_bytes());
    hash.finalize().into()
}

fn hex(hash: &Hash) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{name, open};
    use super::super::{DATABASE_FILE, Store};
    use super::*;
    use runnel_api::token::TokenRole;

    fn entry(number: u64) -> AuditEntry {
        let actor = if number.is_multiple_of(2) {
            Actor::Daemon
        } else {
            Actor::Token {
                name: name("ci"),
                prefix: "rnl_01".to_owned(),
                role: TokenRole::Operator,
            }
        };
        AuditEntry {
            name: Some(name(&format!("orders{}", number % 3))),
            status: Some(200),
            ..AuditEntry::new(number, actor, "PUT /api/v1/connectors/orders")
        }
    }

    fn filled(store: &Store, records: u64) {
        for number in 1..=records {
            assert_eq!(store.audit(&entry(number)).unwrap().number, number);
        }
    }

    fn all() -> AuditFilter {
        AuditFilter {
            limit: usize::MAX,
            ..AuditFilter::default()
        }
    }

    fn numbers(store: &Store, filter: &AuditFilter) -> Vec<u64> {
        let records = store.audit_records(filter).unwrap();
        records.iter().map(|record| record.number).collect()
    }

    #[test]
    fn records_read_back_by_time_name_token_and_page() {
        let (_folder, store) = open();
        assert_eq!(store.verify_audit().unwrap().fault, None);
        filled(&store, 6);
        let records = store.audit_records(&all()).unwrap();
        assert_eq!(records[0].entry, entry(6));
        assert_eq!(numbers(&store, &all()), [6, 5, 4, 3, 2, 1]);
        let since = AuditFilter {
            since_ms: Some(5),
            ..all()
        };
        assert_eq!(numbers(&store, &since), [6, 5]);
        let about = AuditFilter {
            name: Some(name("orders1")),
            ..all()
        };
        assert_eq!(numbers(&store, &about), [4, 1]);
        let by = AuditFilter {
            token: Some(name("ci")),
            before: Some(5),
            limit: 1,
            ..AuditFilter::default()
        };
        assert_eq!(numbers(&store, &by), [3]);
    }

    #[test]
    fn pruning_keeps_the_bound_and_a_chain_that_verifies_over_a_restart() {
        let (folder, store) = open();
        store.keep_audit(3);
        filled(&store, 10);
        assert_eq!(numbers(&store, &all()), [10, 9, 8]);
        let verdict = store.verify_audit().unwrap();
        assert_eq!((verdict.first, verdict.last), (8, 10));
        assert_eq!(verdict.fault, None);
        drop(store);
        let store = Store::open(&folder.path().join("data")).unwrap();
        store.keep_audit(1);
        store.audit(&entry(11)).unwrap();
        assert_eq!(numbers(&store, &all()), [11]);
        assert_eq!(store.verify_audit().unwrap().fault, None);
    }

    #[test]
    fn whatever_is_changed_with_a_tool_shows() {
        for (sql, told) in [
            ("DELETE FROM audit WHERE number = 3", "record 3 is missing"),
            ("DELETE FROM audit WHERE number = 2", "record 2 is missing"),
            (
                "DELETE FROM audit WHERE number = 6",
                "records after 5 are missing",
            ),
            ("DELETE FROM audit", "records after 1 are missing"),
            (
                "UPDATE audit SET json = replace(json, '200', '403') WHERE number = 4",
                "record 4 or one before it is not what was written",
            ),
            (
                "UPDATE audit SET hash = zeroblob(32) WHERE number = 6",
                "record 6 or one before it",
            ),
            (
                "UPDATE audit SET token = 'other' WHERE number = 5",
                "record 5 is filed under other words",
            ),
            (
                "UPDATE audit SET at_ms = 0 WHERE number = 5",
                "record 5 is filed under other words",
            ),
            (
                "INSERT INTO audit SELECT 7, at_ms, name, token, json, hash FROM audit
                 WHERE number = 6",
                "record 7 or one before it",
            ),
            (
                "UPDATE audit SET number = 100 WHERE number = 3",
                "record 3 is missing",
            ),
        ] {
            let (folder, store) = open();
            store.keep_audit(5);
            filled(&store, 6);
            let file = folder.path().join("data").join(DATABASE_FILE);
            let tool = Connection::open(file).unwrap();
            assert!(tool.execute(sql, []).unwrap() > 0, "{sql}");
            let fault = store.verify_audit().unwrap().fault.unwrap();
            assert!(fault.starts_with(told), "{sql}: {fault}");
        }
    }
}
