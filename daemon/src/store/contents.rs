//! Which plugin contents there are and who still needs them. The bytes are in the content folder.

use super::rows::{from_json, int, to_json};
use super::{Declared as _, Store, StoreError, generations};
use runnel_api::connector::ConnectorSpec;
use runnel_api::object::Generation;
use runnel_api::plugin::{PluginSpec, PluginStatus, Sha256Hex, StagedContent};
use runnel_api::worker_configuration::WorkerConfigurationSpec;
use runnel_api::{Kind, Name};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::BTreeSet;

/// What is referred to: kind, name and digest.
type Use = (Kind, Name, Sha256Hex);

impl Store {
    /// Notes that content arrived or was asked for, so that it is kept for a while.
    pub fn stage_content(&self, content: &StagedContent, at_ms: u64) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute(
                "INSERT INTO plugin_contents (sha256, size, found, staged_ms)
                 VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (sha256) DO UPDATE SET found = ?3, staged_ms = max(staged_ms, ?4)",
                params![
                    content.sha256.as_str(),
                    int(content.found.size),
                    to_json(&content.found)?,
                    int(at_ms)
                ],
            )
            .map(drop)
            .map_err(StoreError::Sql)
        })
    }

    /// What was found in content when it arrived.
    pub fn content(&self, sha256: &Sha256Hex) -> Result<Option<PluginStatus>, StoreError> {
        self.read(|tx| {
            let found: Option<String> = tx
                .query_row(
                    "SELECT found FROM plugin_contents WHERE sha256 = ?1",
                    [sha256.as_str()],
                    |row| row.get(0),
                )
                .optional()
                .map_err(StoreError::Sql)?;
            found
                .map(|text| from_json("plugin_contents.found", &text))
                .transpose()
        })
    }

    /// Every content with what was found in it.
    pub fn contents(&self) -> Result<Vec<(Sha256Hex, PluginStatus)>, StoreError> {
        self.read(|tx| {
            let sql = "SELECT sha256, found FROM plugin_contents ORDER BY sha256";
            let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
            let mut rows = statement.query([]).map_err(StoreError::Sql)?;
            let mut contents = Vec::new();
            while let Some(row) = rows.next().map_err(StoreError::Sql)? {
                let text: String = row.get(0).map_err(StoreError::Sql)?;
                let found: String = row.get(1).map_err(StoreError::Sql)?;
                let sha256 = Sha256Hex::parse(&text)
                    .ok_or_else(|| StoreError::Damaged("plugin_contents.sha256".to_owned()))?;
                contents.push((sha256, from_json("plugin_contents.found", &found)?));
            }
            Ok(contents)
        })
    }

    /// Forgets earlier generations of plugins and worker configurations that no connector's
    /// generation refers to, and answers the contents that nobody needs and that were staged
    /// before `staged_before_ms`. The caller removes the bytes, then calls
    /// [`Store::forget_content`].
    pub fn unneeded_contents(&self, staged_before_ms: u64) -> Result<Vec<Sha256Hex>, StoreError> {
        self.write(|tx| {
            let used = used_by_connectors(tx)?;
            forget_unused::<PluginSpec>(tx, &used)?;
            forget_unused::<WorkerConfigurationSpec>(tx, &used)?;
            // A connector may outlive the plugin object, but not its content.
            let mut needed: BTreeSet<Sha256Hex> = used
                .into_iter()
                .filter(|(kind, ..)| *kind == Kind::Plugin)
                .map(|(.., sha256)| sha256)
                .collect();
            generations::each_spec::<PluginSpec>(tx, "generations", |_, spec| {
                needed.insert(spec.sha256);
            })?;
            let mut statement = tx
                .prepare_cached("SELECT sha256 FROM plugin_contents WHERE staged_ms < ?1")
                .map_err(StoreError::Sql)?;
            let staged = statement
                .query_map([int(staged_before_ms)], |row| row.get::<_, String>(0))
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(StoreError::Sql)?;
            let unneeded = staged.iter().filter_map(|text| Sha256Hex::parse(text));
            Ok(unneeded.filter(|sha256| !needed.contains(sha256)).collect())
        })
    }

    /// Forgets content whose bytes are gone.
    pub fn forget_content(&self, sha256: &Sha256Hex) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute(
                "DELETE FROM plugin_contents WHERE sha256 = ?1",
                [sha256.as_str()],
            )
            .map(drop)
            .map_err(StoreError::Sql)
        })
    }
}

fn used_by_connectors(tx: &Connection) -> Result<BTreeSet<Use>, StoreError> {
    let mut used = BTreeSet::new();
    generations::each_spec::<ConnectorSpec>(tx, "generations", |_, spec| {
        for reference in spec.references() {
            if let (Some(name), Some(sha256)) = (reference.name, reference.sha256) {
                used.insert((reference.kind, name, sha256));
            }
        }
    })?;
    Ok(used)
}

/// Removes generations that are not the object's current one and that nobody refers to.
fn forget_unused<S: super::Declared>(
    tx: &Connection,
    used: &BTreeSet<Use>,
) -> Result<(), StoreError> {
    let sql = "SELECT g.name, g.generation, g.digest FROM generations g
               JOIN objects o ON o.kind = g.kind AND o.name = g.name
               WHERE g.kind = ?1 AND g.generation <> o.generation";
    let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
    let earlier = statement
        .query_map([S::KIND.singular()], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, String>(2)?,
            ))
        })
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(StoreError::Sql)?;
    for (name, generation, digest) in earlier {
        let (Ok(name), Some(sha256)) = (Name::parse(&name), Sha256Hex::parse(&digest)) else {
            continue;
        };
        let key = (S::KIND, name, sha256);
        if !used.contains(&key) {
            let generation = Generation(super::rows::uint(generation));
            generations::forget(tx, S::KIND, &key.1, generation)?;
        }
    }
    Ok(())
}
