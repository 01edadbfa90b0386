//! Earlier generations: their specifications and secrets, to roll back to and to resolve
//! references by digest.

use super::objects::{head, require};
use super::operations::{self, Advance};
use super::rows::{from_json, int, uint};
use super::seal::{Place, Sealed, Sealer};
use super::{Declared, Store, StoreError};
use runnel_api::object::Generation;
use runnel_api::plugin::{ContentRef, Sha256Hex};
use runnel_api::{ErrorCode, Kind, Name, OperationId, Problem, Secret};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::{BTreeMap, BTreeSet};

/// One generation as it was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Recalled<S: Declared> {
    /// What was wanted.
    pub spec: S,
    /// What followed from it.
    pub computed: S::Computed,
}

impl Store {
    /// A generation of an object that exists; none once it was pruned.
    pub fn spec_of<S: Declared>(
        &self,
        name: &Name,
        generation: Generation,
    ) -> Result<Option<Recalled<S>>, StoreError> {
        self.read(|tx| recall(tx, name, generation))
    }

    /// The newest generation of plugin or worker configuration whose content has this digest.
    pub fn content_of<S: Declared>(&self, content: &ContentRef) -> Result<Option<S>, StoreError> {
        self.read(|tx| {
            let spec: Option<String> = tx
                .query_row(
                    "SELECT spec FROM generations WHERE kind = ?1 AND name = ?2 AND digest = ?3
                     ORDER BY generation DESC LIMIT 1",
                    params![
                        S::KIND.singular(),
                        content.name.as_str(),
                        content.sha256.as_str()
                    ],
                    |row| row.get(0),
                )
                .optional()
                .map_err(StoreError::Sql)?;
            spec.map(|text| from_json("generations.spec", &text))
                .transpose()
        })
    }

    /// Opens the secrets of a generation. Callers write them where a worker reads them, and
    /// nowhere else.
    pub fn unseal(
        &self,
        kind: Kind,
        name: &Name,
        generation: Generation,
    ) -> Result<BTreeMap<String, Secret>, StoreError> {
        self.read(|tx| {
            let head = require(tx, kind, name)?;
            let place = Place {
                kind,
                name,
                incarnation: head.incarnation,
                generation,
            };
            self.open_all(tx, place)
        })
    }

    /// Forgets specifications and secrets of a connector's generations that are neither current
    /// nor among `keep`.
    pub fn prune_secrets(&self, name: &Name, keep: &[Generation]) -> Result<(), StoreError> {
        let kept = |generation: Generation, current: Generation| {
            generation == current || keep.contains(&generation)
        };
        let stale = |tx: &Connection| -> Result<Vec<Generation>, StoreError> {
            let current = head(tx, Kind::Connector, name)?;
            let Some(current) = current.map(|head| head.generation) else {
                return Ok(Vec::new());
            };
            let mut all = generations(tx, Kind::Connector, name)?;
            all.retain(|generation| !kept(*generation, current));
            Ok(all)
        };
        // Most calls find nothing to do and then cost no write.
        if self.read(|tx| stale(tx))?.is_empty() {
            return Ok(());
        }
        self.write(|tx| {
            for generation in stale(tx)? {
                forget(tx, Kind::Connector, name, generation)?;
            }
            Ok(())
        })
    }

    /// Ends an operation with a roll-back: specification, computed part and secrets of generation
    /// `to` become those of the current generation again, so that what is read is what runs. The
    /// generation's number stays: numbers never go back. False, and nothing done, when the
    /// operation ended otherwise meanwhile.
    pub fn roll_back<S: Declared>(
        &self,
        name: &Name,
        operation: OperationId,
        to: Generation,
        ending: &Advance,
    ) -> Result<bool, StoreError> {
        self.write(|tx| {
            let head = require(tx, S::KIND, name)?;
            if !operations::is_unfinished(tx, operation)? {
                return Ok(false);
            }
            if to != head.generation {
                self.restore(tx, S::KIND, name, head.incarnation, (to, head.generation))?;
            }
            operations::move_on(tx, operation, ending)?;
            Ok(true)
        })
    }

    fn restore(
        &self,
        tx: &Connection,
        kind: Kind,
        name: &Name,
        incarnation: u64,
        (from, current): (Generation, Generation),
    ) -> Result<(), StoreError> {
        let place = |generation| Place {
            kind,
            name,
            incarnation,
            generation,
        };
        let secrets = self.open_all(tx, place(from))?;
        let numbers = params![kind.singular(), name.as_str(), int(from.0), int(current.0)];
        let changed = tx
            .execute(
                "UPDATE generations SET (spec, computed, digest, fingerprint, operation) =
                   (SELECT spec, computed, digest, fingerprint, operation FROM generations
                    WHERE kind = ?1 AND name = ?2 AND generation = ?3)
                 WHERE kind = ?1 AND name = ?2 AND generation = ?4 AND EXISTS
                   (SELECT 1 FROM generations
                    WHERE kind = ?1 AND name = ?2 AND generation = ?3)",
                numbers,
            )
            .map_err(StoreError::Sql)?;
        if changed == 0 {
            let message = format!("generation {from} of the {kind} {name} is not kept any more");
            return Err(StoreError::refused(Problem::new(
                ErrorCode::NotFound,
                message,
            )));
        }
        tx.execute(
            "UPDATE objects SET (spec, computed) =
               (SELECT spec, computed FROM generations
                WHERE kind = ?1 AND name = ?2 AND generation = ?3)
             WHERE kind = ?1 AND name = ?2",
            params![kind.singular(), name.as_str(), int(current.0)],
        )
        .map_err(StoreError::Sql)?;
        tx.execute(
            "DELETE FROM sealed WHERE kind = ?1 AND name = ?2 AND generation = ?3",
            params![kind.singular(), name.as_str(), int(current.0)],
        )
        .map_err(StoreError::Sql)?;
        self.seal_all(tx, place(current), &secrets)
    }

    /// Seals a set of secrets for a generation whose row is there.
    pub(super) fn seal_all(
        &self,
        tx: &Connection,
        place: Place<'_>,
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<(), StoreError> {
        seal_all(tx, &self.sealer(), place, secrets)
    }

    pub(super) fn open_all(
        &self,
        tx: &Connection,
        place: Place<'_>,
    ) -> Result<BTreeMap<String, Secret>, StoreError> {
        open_all(tx, &self.sealer(), place)
    }
}

fn seal_all(
    tx: &Connection,
    sealer: &Sealer,
    place: Place<'_>,
    secrets: &BTreeMap<String, Secret>,
) -> Result<(), StoreError> {
    for (key, secret) in secrets {
        let sealed = sealer.seal(place, key, secret);
        let sealed = sealed.map_err(|error| StoreError::Secret(error.to_string()))?;
        tx.execute(
            "INSERT INTO sealed (kind, name, generation, key, nonce, ciphertext)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                place.kind.singular(),
                place.name.as_str(),
                int(place.generation.0),
                key,
                sealed.nonce,
                sealed.ciphertext
            ],
        )
        .map_err(StoreError::Sql)?;
    }
    Ok(())
}

fn open_all(
    tx: &Connection,
    sealer: &Sealer,
    place: Place<'_>,
) -> Result<BTreeMap<String, Secret>, StoreError> {
    let sql = "SELECT key, nonce, ciphertext FROM sealed
               WHERE kind = ?1 AND name = ?2 AND generation = ?3";
    let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
    let numbers = params![
        place.kind.singular(),
        place.name.as_str(),
        int(place.generation.0)
    ];
    let rows = statement
        .query_map(numbers, |row| {
            let sealed = Sealed {
                nonce: row.get(1)?,
                ciphertext: row.get(2)?,
            };
            Ok((row.get::<_, String>(0)?, sealed))
        })
        .map_err(StoreError::Sql)?;
    let mut secrets = BTreeMap::new();
    for row in rows {
        let (key, sealed) = row.map_err(StoreError::Sql)?;
        let opened = sealer.open(place, &key, &sealed);
        let opened = opened.map_err(|error| StoreError::Secret(error.to_string()))?;
        secrets.insert(key, opened);
    }
    Ok(secrets)
}

/// Seals the secrets of every generation anew and computes its fingerprint again, for a rotation of
/// the sealing key. Answers how many generations and secrets there are.
pub(super) fn reseal(
    tx: &Connection,
    old: &Sealer,
    new: &Sealer,
) -> Result<(u64, u64), StoreError> {
    let sql = "SELECT g.kind, g.name, g.generation, o.incarnation
               FROM generations g JOIN objects o ON o.kind = g.kind AND o.name = g.name";
    let mut statement = tx.prepare(sql).map_err(StoreError::Sql)?;
    let rows = statement
        .query_map([], |row| {
            let numbers = (row.get::<_, i64>(2)?, row.get::<_, i64>(3)?);
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, numbers))
        })
        .map_err(StoreError::Sql)?;
    let rows: Vec<_> = rows.collect::<Result<_, _>>().map_err(StoreError::Sql)?;
    let mut sealed = 0;
    for (kind_text, name_text, (generation, incarnation)) in &rows {
        let mut kinds = Kind::ALL.into_iter();
        let kind = kinds.find(|kind| kind.singular() == kind_text);
        let (Some(kind), Ok(name)) = (kind, Name::parse(name_text)) else {
            let message = format!("a generation belongs to no object: {kind_text} {name_text:?}");
            return Err(StoreError::Secret(message));
        };
        let place = Place {
            kind,
            name: &name,
            incarnation: uint(*incarnation),
            generation: Generation(uint(*generation)),
        };
        let secrets = open_all(tx, old, place)?;
        let numbers = params![kind_text, name_text, generation];
        let delete = "DELETE FROM sealed WHERE kind = ?1 AND name = ?2 AND generation = ?3";
        tx.execute(delete, numbers).map_err(StoreError::Sql)?;
        seal_all(tx, new, place, &secrets)?;
        tx.execute(
            "UPDATE generations SET fingerprint = ?4
             WHERE kind = ?1 AND name = ?2 AND generation = ?3",
            params![
                kind_text,
                name_text,
                generation,
                new.fingerprint(&secrets).as_slice()
            ],
        )
        .map_err(StoreError::Sql)?;
        sealed += secrets.len() as u64;
    }
    let all: i64 = tx
        .query_row("SELECT count(*) FROM sealed", [], |row| row.get(0))
        .map_err(StoreError::Sql)?;
    if uint(all) != sealed {
        let message = format!("{sealed} of {all} sealed secrets belong to an object");
        return Err(StoreError::Secret(message));
    }
    Ok((rows.len() as u64, sealed))
}

fn recall<S: Declared>(
    tx: &Connection,
    name: &Name,
    generation: Generation,
) -> Result<Option<Recalled<S>>, StoreError> {
    let row: Option<(String, String)> = tx
        .query_row(
            "SELECT spec, computed FROM generations
             WHERE kind = ?1 AND name = ?2 AND generation = ?3",
            params![S::KIND.singular(), name.as_str(), int(generation.0)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(StoreError::Sql)?;
    row.map(|(spec, computed)| {
        Ok(Recalled {
            spec: from_json("generations.spec", &spec)?,
            computed: from_json("generations.computed", &computed)?,
        })
    })
    .transpose()
}

/// True when plugin or worker configuration has or had content with this digest.
pub(super) fn has_content(
    tx: &Connection,
    kind: Kind,
    name: &Name,
    sha256: &Sha256Hex,
) -> Result<bool, StoreError> {
    tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM generations WHERE kind = ?1 AND name = ?2 AND digest = ?3)",
        params![kind.singular(), name.as_str(), sha256.as_str()],
        |row| row.get(0),
    )
    .map_err(StoreError::Sql)
}

pub(super) fn secret_keys(
    tx: &Connection,
    kind: Kind,
    name: &Name,
    generation: Generation,
) -> Result<BTreeSet<String>, StoreError> {
    let sql = "SELECT key FROM sealed WHERE kind = ?1 AND name = ?2 AND generation = ?3";
    let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
    let place = params![kind.singular(), name.as_str(), int(generation.0)];
    let rows = statement
        .query_map(place, |row| row.get(0))
        .map_err(StoreError::Sql)?;
    rows.collect::<Result<_, _>>().map_err(StoreError::Sql)
}

/// Numbers of the generations that are kept, oldest first.
pub(super) fn generations(
    tx: &Connection,
    kind: Kind,
    name: &Name,
) -> Result<Vec<Generation>, StoreError> {
    let sql = "SELECT generation FROM generations WHERE kind = ?1 AND name = ?2
               ORDER BY generation";
    let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
    let rows = statement
        .query_map([kind.singular(), name.as_str()], |row| row.get::<_, i64>(0))
        .map_err(StoreError::Sql)?;
    rows.map(|number| number.map(|number| Generation(uint(number))))
        .collect::<Result<_, _>>()
        .map_err(StoreError::Sql)
}

/// Removes one generation; its secrets go with it.
pub(super) fn forget(
    tx: &Connection,
    kind: Kind,
    name: &Name,
    generation: Generation,
) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM generations WHERE kind = ?1 AND name = ?2 AND generation = ?3",
        params![kind.singular(), name.as_str(), int(generation.0)],
    )
    .map(drop)
    .map_err(StoreError::Sql)
}

/// Visits every specification of a kind with the name it belongs to; `table` is `objects` or
/// `generations`.
pub(super) fn each_spec<S: Declared>(
    tx: &Connection,
    table: &'static str,
    mut visit: impl FnMut(&str, S),
) -> Result<(), StoreError> {
    let sql = format!("SELECT name, spec FROM {table} WHERE kind = ?1 ORDER BY name");
    let mut statement = tx.prepare_cached(&sql).map_err(StoreError::Sql)?;
    let mut rows = statement
        .query([S::KIND.singular()])
        .map_err(StoreError::Sql)?;
    while let Some(row) = rows.next().map_err(StoreError::Sql)? {
        let name: String = row.get(0).map_err(StoreError::Sql)?;
        let spec: String = row.get(1).map_err(StoreError::Sql)?;
        visit(&name, from_json("spec", &spec)?);
    }
    Ok(())
}
