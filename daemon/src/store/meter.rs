//! What was counted and must not be counted again after a restart.

use super::rows::{from_json, to_json};
use super::{Store, StoreError};
use rusqlite::OptionalExtension as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The key in `meta`. One value for all connectors, so that a write is one row and whole.
const METER: &str = "meter";

impl Store {
    /// What the sampler counted last; none before the first time.
    pub fn meter<T: DeserializeOwned>(&self) -> Result<Option<T>, StoreError> {
        self.read(|tx| {
            let text: Option<String> = tx
                .query_row("SELECT value FROM meta WHERE key = ?1", [METER], |row| {
                    row.get(0)
                })
                .optional()
                .map_err(StoreError::Sql)?;
            text.map(|text| from_json("meta.meter", &text)).transpose()
        })
    }

    /// Keeps what the sampler counted.
    pub fn set_meter<T: Serialize>(&self, meter: &T) -> Result<(), StoreError> {
        let text = to_json(meter)?;
        self.write(|tx| {
            tx.execute(
                "INSERT INTO meta (key, value) VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET value = ?2",
                [METER, text.as_str()],
            )
            .map(drop)
            .map_err(StoreError::Sql)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::store::Store;

    #[test]
    fn a_count_outlives_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        {
            let store = Store::open(dir.path()).unwrap();
            assert_eq!(store.meter::<u64>().unwrap(), None);
            store.set_meter(&1_u64).unwrap();
            store.set_meter(&2_u64).unwrap();
        }
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.meter::<u64>().unwrap(), Some(2));
    }
}
