//! Reading and removing declared objects, and the identities of names.

use super::operations::{self, Advance};
use super::rows::{column, from_json, int, uint};
use super::{Declared, Store, StoreError, generations, now_ms};
use crate::failpoint::{self, Moment};
use runnel_api::arn::Incarnation;
use runnel_api::capacity::Capacity;
use runnel_api::connector::ConnectorSpec;
use runnel_api::error::Warning;
use runnel_api::object::Generation;
use runnel_api::{
    Arn, ErrorCode, Identity, Kind, Name, Object, Operation, OperationId, OperationKind, Outcome,
    Problem,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// An object with what the store knows besides.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored<S: Declared> {
    /// The object; its status is what was stored with it.
    pub object: Object<S, S::Computed>,
    /// How many objects had this name, with this one.
    pub incarnation: u64,
    /// Keys of its sealed secrets.
    pub secret_keys: BTreeSet<String>,
    /// Its newest operation.
    pub operation: Option<OperationId>,
    /// When it was created, milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When its newest generation was accepted, milliseconds since the Unix epoch.
    pub updated_ms: u64,
}

/// What became of a delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// The same delete was accepted before.
    Same(Operation),
    /// Accepted; for everything but connectors also done.
    Accepted(Operation),
}

impl DeleteOutcome {
    /// The operation of the delete.
    pub fn into_operation(self) -> Operation {
        match self {
            Self::Same(operation) | Self::Accepted(operation) => operation,
        }
    }
}

/// An object's row without its JSON.
pub(super) struct Head {
    pub incarnation: u64,
    pub generation: Generation,
    pub deleting: bool,
}

impl Store {
    /// What is and will be known by a name alone.
    pub fn identity(&self, kind: Kind, name: &Name) -> Result<Identity, StoreError> {
        self.read(|tx| {
            let current = head(tx, kind, name)?
                .map(|head| Incarnation::derive(self.daemon(), kind, name, head.incarnation));
            let next = Incarnation::derive(self.daemon(), kind, name, lives(tx, kind, name)? + 1);
            Ok(Identity { current, next })
        })
    }

    /// One object.
    pub fn get<S: Declared>(&self, name: &Name) -> Result<Option<Stored<S>>, StoreError> {
        self.read(|tx| find(tx, name))
    }

    /// [`Store::get`] for async code.
    pub async fn fetch<S: Declared>(&self, name: &Name) -> Result<Option<Stored<S>>, StoreError> {
        let name = name.clone();
        self.run(move |store| store.get::<S>(&name)).await
    }

    /// Objects of a kind in the order of their names, after a name, at most `limit`.
    pub fn list<S: Declared>(
        &self,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<Stored<S>>, StoreError> {
        self.read(|tx| {
            let sql = "SELECT * FROM objects WHERE kind = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
            let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
            let after = after.map_or("", Name::as_str);
            let mut rows = statement
                .query(params![S::KIND.singular(), after, int(limit as u64)])
                .map_err(StoreError::Sql)?;
            let mut objects = Vec::new();
            while let Some(row) = rows.next().map_err(StoreError::Sql)? {
                objects.push(read(tx, row)?);
            }
            Ok(objects)
        })
    }

    /// MCUs of the fewest workers of each connector that is not being deleted.
    pub fn mcus_held(&self) -> Result<BTreeMap<Name, u32>, StoreError> {
        /// All that is read of a connector's specification.
        #[derive(Deserialize)]
        struct Sized {
            capacity: Capacity,
        }
        self.read(|tx| {
            let sql = "SELECT name, spec FROM objects WHERE kind = ?1 AND deleting = 0";
            let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
            let mut rows = statement
                .query([Kind::Connector.singular()])
                .map_err(StoreError::Sql)?;
            let mut held = BTreeMap::new();
            while let Some(row) = rows.next().map_err(StoreError::Sql)? {
                let name: String = column(row, "name").map_err(StoreError::Sql)?;
                let spec: String = column(row, "spec").map_err(StoreError::Sql)?;
                let name = Name::parse(&name).map_err(|_| {
                    StoreError::Damaged("objects.name does not read back".to_owned())
                })?;
                let Sized { capacity } = from_json("objects.spec", &spec)?;
                held.insert(name, capacity.mcus_min());
            }
            Ok(held)
        })
    }

    /// Replaces what is stored beside a specification, without a new generation: for a value that
    /// follows from other objects and changed with them.
    pub fn set_computed<S: Declared>(
        &self,
        name: &Name,
        computed: &S::Computed,
    ) -> Result<(), StoreError> {
        self.write(|tx| {
            let head = require(tx, S::KIND, name)?;
            let computed = super::rows::to_json(computed)?;
            let place = params![S::KIND.singular(), name.as_str(), computed];
            tx.execute(
                "UPDATE objects SET computed = ?3 WHERE kind = ?1 AND name = ?2",
                place,
            )
            .map_err(StoreError::Sql)?;
            let place = params![
                S::KIND.singular(),
                name.as_str(),
                computed,
                int(head.generation.0)
            ];
            tx.execute(
                "UPDATE generations SET computed = ?3
                 WHERE kind = ?1 AND name = ?2 AND generation = ?4",
                place,
            )
            .map_err(StoreError::Sql)?;
            Ok(())
        })
    }

    /// Accepts a delete. A connector is marked and its running operation superseded; the
    /// reconciler does the rest and calls [`Store::finish_delete`]. Any other object goes at once,
    /// unless a connector uses it.
    pub fn begin_delete(
        &self,
        kind: Kind,
        name: &Name,
        if_match: Option<Generation>,
    ) -> Result<DeleteOutcome, StoreError> {
        self.write(|tx| {
            let head = require(tx, kind, name)?;
            if let Some(generation) = if_match
                && generation != head.generation
            {
                return Err(conflict(kind, name, generation, head.generation));
            }
            if head.deleting
                && let Some(operation) = operations::unfinished(tx, kind, name)?
            {
                return Ok(DeleteOutcome::Same(operation));
            }
            refuse_used(tx, kind, name)?;
            operations::supersede(tx, kind, name, "a delete")?;
            let fresh = operations::fresh(kind, name, OperationKind::Delete, head.generation);
            if kind == Kind::Connector {
                operations::insert(tx, &fresh)?;
                tx.execute(
                    "UPDATE objects SET deleting = 1, updated_ms = ?3 WHERE kind = ?1 AND name = ?2",
                    params![kind.singular(), name.as_str(), int(now_ms())],
                )
                .map_err(StoreError::Sql)?;
                failpoint::reach(Moment::Before, "commit-delete");
                return Ok(DeleteOutcome::Accepted(fresh));
            }
            let done = operations::done(fresh);
            operations::insert(tx, &done)?;
            remove(tx, kind, name)?;
            Ok(DeleteOutcome::Accepted(done))
        })
    }

    /// Ends a connector's delete: the row goes, the number of lives stays, the operation succeeds.
    pub fn finish_delete(
        &self,
        name: &Name,
        operation: OperationId,
        warnings: Vec<Warning>,
    ) -> Result<(), StoreError> {
        self.write(|tx| {
            remove(tx, Kind::Connector, name)?;
            let advance = Advance::succeeded().warnings(warnings);
            operations::move_on(tx, operation, &advance).map(drop)
        })
    }

    /// Undoes a create that failed: the operation fails with its problem and the connector is gone,
    /// so that the next apply creates it anew under the next incarnation. False, and nothing done,
    /// when the operation ended otherwise meanwhile (a newer put or a delete took over).
    pub fn undo_create(
        &self,
        name: &Name,
        operation: OperationId,
        problem: Problem,
        warnings: Vec<Warning>,
    ) -> Result<bool, StoreError> {
        self.write(|tx| {
            if !operations::is_unfinished(tx, operation)? {
                return Ok(false);
            }
            remove(tx, Kind::Connector, name)?;
            let advance = Advance::ended(Outcome::Failed, problem).warnings(warnings);
            operations::move_on(tx, operation, &advance)?;
            Ok(true)
        })
    }
}

/// The refusal when a precondition names another generation.
pub(super) fn conflict(
    kind: Kind,
    name: &Name,
    asked: Generation,
    current: Generation,
) -> StoreError {
    StoreError::refused(
        Problem::new(
            ErrorCode::GenerationConflict,
            format!("the {kind} {name} was changed by someone else"),
        )
        .detail(format!(
            "the request is for generation {asked}, the current one is {current}"
        ))
        .hint("read it again (a new terraform plan does) and decide on what is there now"),
    )
}

/// The refusal when there is no such object.
pub(super) fn not_found(kind: Kind, name: &Name) -> StoreError {
    StoreError::refused(Problem::new(
        ErrorCode::NotFound,
        format!("there is no {kind} named {name}"),
    ))
}

fn refuse_used(tx: &Connection, kind: Kind, name: &Name) -> Result<(), StoreError> {
    if kind == Kind::Connector {
        return Ok(());
    }
    let mut users = Vec::new();
    generations::each_spec::<ConnectorSpec>(tx, "objects", |connector, spec| {
        let uses = |reference: &super::Reference| {
            reference.kind == kind && reference.name.as_ref() == Some(name)
        };
        if spec.references().iter().any(uses) {
            users.push(connector.to_owned());
        }
    })?;
    if users.is_empty() {
        return Ok(());
    }
    let plural = if users.len() == 1 { "" } else { "s" };
    Err(StoreError::refused(
        Problem::new(ErrorCode::InUse, format!("the {kind} {name} is in use"))
            .detail(format!(
                "used by the connector{plural} {}",
                users.join(", ")
            ))
            .hint(format!("delete or change the connector{plural} first")),
    ))
}

fn remove(tx: &Connection, kind: Kind, name: &Name) -> Result<(), StoreError> {
    let place = [kind.singular(), name.as_str()];
    tx.execute("DELETE FROM objects WHERE kind = ?1 AND name = ?2", place)
        .map_err(StoreError::Sql)?;
    if kind == Kind::Connector {
        for sql in [
            "DELETE FROM connector_progress WHERE name = ?1",
            "DELETE FROM scaling_decisions WHERE connector = ?1",
        ] {
            tx.execute(sql, [name.as_str()]).map_err(StoreError::Sql)?;
        }
    }
    Ok(())
}

/// How many objects had this name so far.
pub(super) fn lives(tx: &Connection, kind: Kind, name: &Name) -> Result<u64, StoreError> {
    let last: Option<i64> = tx
        .query_row(
            "SELECT last FROM lives WHERE kind = ?1 AND name = ?2",
            [kind.singular(), name.as_str()],
            |row| row.get(0),
        )
        .optional()
        .map_err(StoreError::Sql)?;
    Ok(uint(last.unwrap_or(0)))
}

pub(super) fn head(tx: &Connection, kind: Kind, name: &Name) -> Result<Option<Head>, StoreError> {
    tx.query_row(
        "SELECT incarnation, generation, deleting FROM objects WHERE kind = ?1 AND name = ?2",
        [kind.singular(), name.as_str()],
        |row| {
            Ok(Head {
                incarnation: uint(row.get(0)?),
                generation: Generation(uint(row.get(1)?)),
                deleting: row.get(2)?,
            })
        },
    )
    .optional()
    .map_err(StoreError::Sql)
}

/// [`head`], or the refusal that there is none.
pub(super) fn require(tx: &Connection, kind: Kind, name: &Name) -> Result<Head, StoreError> {
    head(tx, kind, name)?.ok_or_else(|| not_found(kind, name))
}

pub(super) fn find<S: Declared>(
    tx: &Connection,
    name: &Name,
) -> Result<Option<Stored<S>>, StoreError> {
    let sql = "SELECT * FROM objects WHERE kind = ?1 AND name = ?2";
    let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
    let mut rows = statement
        .query([S::KIND.singular(), name.as_str()])
        .map_err(StoreError::Sql)?;
    match rows.next().map_err(StoreError::Sql)? {
        Some(row) => read(tx, row).map(Some),
        None => Ok(None),
    }
}

fn read<S: Declared>(tx: &Connection, row: &Row<'_>) -> Result<Stored<S>, StoreError> {
    let text = |name| column::<String>(row, name).map_err(StoreError::Sql);
    let number = |name| column::<i64>(row, name).map_err(StoreError::Sql).map(uint);
    let damaged = |what: &str| StoreError::Damaged(format!("objects.{what} does not read back"));
    let name = Name::parse(&text("name")?).map_err(|_| damaged("name"))?;
    let id = Uuid::parse_str(&text("id")?).map_err(|_| damaged("id"))?;
    let incarnation = number("incarnation")?;
    let generation = Generation(number("generation")?);
    Ok(Stored {
        incarnation,
        secret_keys: generations::secret_keys(tx, S::KIND, &name, generation)?,
        operation: operations::last(tx, S::KIND, &name)?,
        created_ms: number("created_ms")?,
        updated_ms: number("updated_ms")?,
        object: Object {
            arn: Arn::of(S::KIND, &name, id, incarnation),
            id,
            generation,
            spec: from_json("objects.spec", &text("spec")?)?,
            status: from_json("objects.computed", &text("computed")?)?,
            deleting: column(row, "deleting").map_err(StoreError::Sql)?,
            name,
        },
    })
}
