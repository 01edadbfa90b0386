//! What the reconciler keeps between its passes, and the transitions people read.

use super::rows::{from_json, int, to_json, uint};
use super::{Store, StoreError, now_ms};
use runnel_api::Name;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Transitions that are kept for each connector.
const TRANSITIONS_KEPT: i64 = 200;

/// One change in a connector's life, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Transition {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What happened.
    pub text: String,
}

/// Something that a delete had to leave behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover<T> {
    /// Its number, for [`Store::remove_leftover`].
    pub number: u64,
    /// What it is, in the reconciler's words.
    pub note: T,
    /// When it was left, milliseconds since the Unix epoch.
    pub created_ms: u64,
}

impl Store {
    /// What the reconciler noted about a connector.
    pub fn get_progress<T: DeserializeOwned>(&self, name: &Name) -> Result<Option<T>, StoreError> {
        self.read(|tx| {
            progress_text(tx, name)?
                .map(|text| from_json("connector_progress", &text))
                .transpose()
        })
    }

    /// Notes something about a connector; it goes with the connector. Writing what is there
    /// already costs nothing.
    pub fn set_progress<T: Serialize>(&self, name: &Name, progress: &T) -> Result<(), StoreError> {
        let text = to_json(progress)?;
        if self.read(|tx| progress_text(tx, name))?.as_deref() == Some(text.as_str()) {
            return Ok(());
        }
        self.write(|tx| {
            tx.execute(
                "INSERT INTO connector_progress (name, progress) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET progress = ?2",
                [name.as_str(), text.as_str()],
            )
            .map(drop)
            .map_err(StoreError::Sql)
        })
    }

    /// Records a transition; the last 200 of each connector are kept, also after its end.
    pub fn add_transition(&self, connector: &Name, text: &str) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute(
                "INSERT INTO transitions (connector, at_ms, text) VALUES (?1, ?2, ?3)",
                params![connector.as_str(), int(now_ms()), text],
            )
            .map_err(StoreError::Sql)?;
            tx.execute(
                "DELETE FROM transitions WHERE connector = ?1 AND number <=
                   (SELECT number FROM transitions WHERE connector = ?1
                    ORDER BY number DESC LIMIT 1 OFFSET ?2)",
                params![connector.as_str(), TRANSITIONS_KEPT],
            )
            .map(drop)
            .map_err(StoreError::Sql)
        })
    }

    /// Transitions of a connector, oldest first.
    pub fn transitions(&self, connector: &Name) -> Result<Vec<Transition>, StoreError> {
        self.read(|tx| {
            let sql = "SELECT at_ms, text FROM transitions WHERE connector = ?1 ORDER BY number";
            let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
            let rows = statement
                .query_map([connector.as_str()], |row| {
                    Ok(Transition {
                        at_ms: uint(row.get(0)?),
                        text: row.get(1)?,
                    })
                })
                .map_err(StoreError::Sql)?;
            rows.collect::<Result<_, _>>().map_err(StoreError::Sql)
        })
    }

    /// Records something to remove later.
    pub fn add_leftover<T: Serialize>(&self, note: &T) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute(
                "INSERT INTO leftovers (note, created_ms) VALUES (?1, ?2)",
                params![to_json(note)?, int(now_ms())],
            )
            .map(drop)
            .map_err(StoreError::Sql)
        })
    }

    /// Everything that waits to be removed, oldest first.
    pub fn leftovers<T: DeserializeOwned>(&self) -> Result<Vec<Leftover<T>>, StoreError> {
        self.read(|tx| {
            let sql = "SELECT number, note, created_ms FROM leftovers ORDER BY number";
            let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
            let mut rows = statement.query([]).map_err(StoreError::Sql)?;
            let mut leftovers = Vec::new();
            while let Some(row) = rows.next().map_err(StoreError::Sql)? {
                let note: String = row.get(1).map_err(StoreError::Sql)?;
                leftovers.push(Leftover {
                    number: uint(row.get(0).map_err(StoreError::Sql)?),
                    note: from_json("leftovers.note", &note)?,
                    created_ms: uint(row.get(2).map_err(StoreError::Sql)?),
                });
            }
            Ok(leftovers)
        })
    }

    /// Strikes one off.
    pub fn remove_leftover(&self, number: u64) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute("DELETE FROM leftovers WHERE number = ?1", [int(number)])
                .map(drop)
                .map_err(StoreError::Sql)
        })
    }
}

fn progress_text(tx: &Connection, name: &Name) -> Result<Option<String>, StoreError> {
    tx.query_row(
        "SELECT progress FROM connector_progress WHERE name = ?1",
        [name.as_str()],
        |row| row.get(0),
    )
    .optional()
    .map_err(StoreError::Sql)
}
