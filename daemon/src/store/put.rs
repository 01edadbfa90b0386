//! Accepting a specification: object, sealed secrets and operation in one transaction.

use super::objects::{self, Stored, conflict, find, lives, not_found};
use super::operations::{self, busy};
use super::rows::{int, to_json};
use super::seal::Place;
use super::{Declared, Reference, Store, StoreError, generations, now_ms};
use crate::failpoint::{self, Moment};
use runnel_api::arn::Incarnation;
use runnel_api::object::Generation;
use runnel_api::{
    ErrorCode, Kind, Name, Operation, OperationId, OperationKind, Outcome, Problem, Secret,
};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What must hold for a put to be accepted; travels as `If-None-Match` and `If-Match`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// No object has the name yet.
    Absent,
    /// The object is at this generation.
    Generation(Generation),
}

/// A specification to accept.
#[derive(Clone, Debug)]
pub struct PutRequest<S> {
    /// The object's name.
    pub name: Name,
    /// What is wanted.
    pub spec: S,
    /// All secrets; none keeps what is sealed.
    pub secrets: Option<BTreeMap<String, Secret>>,
    /// What must hold.
    pub precondition: Precondition,
}

/// What became of a put.
#[derive(Clone, Debug, PartialEq)]
pub enum PutOutcome<S: Declared> {
    /// Nothing is different from what is stored; the operation is the one that brought it.
    Same {
        /// The object as it was.
        object: Box<Stored<S>>,
        /// The operation of its generation.
        operation: Operation,
    },
    /// A new generation was accepted.
    Changed {
        /// The object as it is now.
        object: Box<Stored<S>>,
        /// The new operation; its kind tells a create from an update.
        operation: Operation,
        /// The operation that it took over from.
        superseded: Option<OperationId>,
    },
}

impl<S: Declared> PutOutcome<S> {
    /// Object and operation, whichever it was.
    pub fn into_parts(self) -> (Stored<S>, Operation) {
        match self {
            Self::Same { object, operation }
            | Self::Changed {
                object, operation, ..
            } => (*object, operation),
        }
    }
}

/// What a put found in the store.
enum Found<S: Declared> {
    Nothing,
    Other(Box<Stored<S>>),
    Same(Box<Stored<S>>, Box<Operation>),
}

impl Store {
    /// Accepts a specification. `compute` gives what is stored beside it, from the identity that
    /// the object has or gets.
    ///
    /// The same specification with the same secrets again is the same operation, unless that one
    /// failed or was rolled back: then it is a new try. A newer put supersedes an operation that is
    /// under way. Preconditions do not stand against a repetition: a lost answer costs nothing.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with `ALREADY_EXISTS`, `GENERATION_CONFLICT`, `NOT_FOUND` (a
    /// generation was named and there is no object), `MISSING_REFERENCE`, or
    /// `OPERATION_IN_PROGRESS` (it is being deleted).
    pub fn put<S: Declared>(
        &self,
        request: &PutRequest<S>,
        compute: impl FnOnce(&Incarnation) -> S::Computed,
    ) -> Result<PutOutcome<S>, StoreError> {
        self.write(|tx| {
            let current = find::<S>(tx, &request.name)?;
            let incarnation = match &current {
                Some(stored) => stored.incarnation,
                None => lives(tx, S::KIND, &request.name)? + 1,
            };
            let identity = Incarnation::derive(self.daemon(), S::KIND, &request.name, incarnation);
            let computed = compute(&identity);
            let secrets = self.secrets_to_be(tx, request, current.as_ref())?;
            let fingerprint = self.sealer().fingerprint(&secrets);
            let found = compare(tx, request, &computed, &fingerprint, current)?;
            check_precondition(request, &found)?;
            let current = match found {
                Found::Same(object, operation) => {
                    return Ok(PutOutcome::Same {
                        object,
                        operation: *operation,
                    });
                }
                Found::Other(stored) => Some(stored),
                Found::Nothing => None,
            };
            check_references(tx, &request.spec)?;
            let (operation, superseded) = accept(
                tx,
                S::KIND,
                &request.name,
                current.as_deref().map(|c| c.object.generation),
            )?;
            write_object(tx, request, &computed, &identity, operation.generation)?;
            write_generation(tx, request, &computed, &fingerprint, &operation)?;
            let place = Place {
                kind: S::KIND,
                name: &request.name,
                incarnation,
                generation: operation.generation,
            };
            self.seal_all(tx, place, &secrets)?;
            forget_unneeded(tx, S::KIND, &request.name, operation.generation)?;
            let object = find::<S>(tx, &request.name)?
                .map(Box::new)
                .ok_or_else(|| not_found(S::KIND, &request.name))?;
            failpoint::reach(Moment::Before, "commit-put");
            Ok(PutOutcome::Changed {
                object,
                operation,
                superseded,
            })
        })
    }

    /// The secrets that the new generation has: those given, or those that are sealed.
    fn secrets_to_be<S: Declared>(
        &self,
        tx: &Connection,
        request: &PutRequest<S>,
        current: Option<&Stored<S>>,
    ) -> Result<BTreeMap<String, Secret>, StoreError> {
        match (&request.secrets, current) {
            (Some(secrets), _) => Ok(secrets.clone()),
            (None, None) => Ok(BTreeMap::new()),
            (None, Some(stored)) => {
                let place = Place {
                    kind: S::KIND,
                    name: &request.name,
                    incarnation: stored.incarnation,
                    generation: stored.object.generation,
                };
                self.open_all(tx, place)
            }
        }
    }
}

fn compare<S: Declared>(
    tx: &Connection,
    request: &PutRequest<S>,
    computed: &S::Computed,
    fingerprint: &[u8; 32],
    current: Option<Stored<S>>,
) -> Result<Found<S>, StoreError> {
    let Some(stored) = current else {
        return Ok(Found::Nothing);
    };
    if stored.object.deleting {
        let operation = operations::unfinished(tx, S::KIND, &request.name)?;
        return Err(operation.map_or(
            StoreError::Damaged("an object is being deleted without an operation".to_owned()),
            |operation| busy(&operation),
        ));
    }
    let (known, brought_by): (Vec<u8>, String) = tx
        .query_row(
            "SELECT fingerprint, operation FROM generations
             WHERE kind = ?1 AND name = ?2 AND generation = ?3",
            params![
                S::KIND.singular(),
                request.name.as_str(),
                int(stored.object.generation.0)
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(StoreError::Sql)?;
    let same = stored.object.spec == request.spec
        && stored.object.status == *computed
        && known == fingerprint;
    let brought_by = Uuid::parse_str(&brought_by)
        .map_err(|_| StoreError::Damaged("generations.operation is no UUID".to_owned()))?;
    match operations::find(tx, OperationId(brought_by))? {
        Some(operation)
            if same && !matches!(operation.outcome, Outcome::Failed | Outcome::RolledBack) =>
        {
            Ok(Found::Same(Box::new(stored), Box::new(operation)))
        }
        _ => Ok(Found::Other(Box::new(stored))),
    }
}

fn check_precondition<S: Declared>(
    request: &PutRequest<S>,
    found: &Found<S>,
) -> Result<(), StoreError> {
    match (request.precondition, found) {
        (Precondition::None, _) | (Precondition::Absent, Found::Nothing) => Ok(()),
        // A repeated create: its first answer was lost.
        (Precondition::Absent, Found::Same(stored, _))
            if stored.object.generation == Generation(1) =>
        {
            Ok(())
        }
        (Precondition::Absent, Found::Same(..) | Found::Other(_)) => {
            Err(already_exists(S::KIND, &request.name))
        }
        (Precondition::Generation(_), Found::Nothing) => Err(not_found(S::KIND, &request.name)),
        (Precondition::Generation(asked), Found::Other(stored)) => {
            let current = stored.object.generation;
            if asked == current {
                Ok(())
            } else {
                Err(conflict(S::KIND, &request.name, asked, current))
            }
        }
        (Precondition::Generation(asked), Found::Same(stored, _)) => {
            let current = stored.object.generation;
            // One behind is a repeated update: its first answer was lost.
            if asked == current || asked.0.checked_add(1) == Some(current.0) {
                Ok(())
            } else {
                Err(conflict(S::KIND, &request.name, asked, current))
            }
        }
    }
}

fn already_exists(kind: Kind, name: &Name) -> StoreError {
    let message = format!("the {kind} {name} exists already");
    let import = format!(
        "import it (terraform import {}.NAME {name}), or choose another name",
        kind.terraform_type()
    );
    StoreError::refused(
        Problem::new(ErrorCode::AlreadyExists, message)
            .hint(import)
            .field("name"),
    )
}

/// Refuses the first reference that leads nowhere.
fn check_references<S: Declared>(tx: &Connection, spec: &S) -> Result<(), StoreError> {
    for reference in spec.references() {
        if let Some(problem) = missing(tx, &reference)? {
            return Err(StoreError::refused(problem));
        }
    }
    Ok(())
}

fn missing(tx: &Connection, reference: &Reference) -> Result<Option<Problem>, StoreError> {
    let Reference {
        kind, text, field, ..
    } = reference;
    let refuse = |message: String, hint: String| {
        Problem::new(ErrorCode::MissingReference, message)
            .hint(hint)
            .field(field)
    };
    let Some(name) = &reference.name else {
        let message = format!("{text} is no {kind} of this daemon");
        let hint = format!("use the attribute arn of a {}", kind.terraform_type());
        return Ok(Some(refuse(message, hint)));
    };
    if objects::head(tx, *kind, name)?.is_none() {
        let message = format!("there is no {kind} named {name}");
        let hint = format!("declare it as a {} first", kind.terraform_type());
        return Ok(Some(refuse(message, hint)));
    }
    match &reference.sha256 {
        Some(sha256) if !generations::has_content(tx, *kind, name, sha256)? => {
            let message = format!("the {kind} {name} has no content with the digest asked for");
            let hint = format!("use the attribute ref of the {}", kind.terraform_type());
            Ok(Some(
                refuse(message, hint).detail(format!("asked for: {text}")),
            ))
        }
        _ => Ok(None),
    }
}

/// The operation of the new generation, and the one that ends for it.
fn accept(
    tx: &Connection,
    kind: Kind,
    name: &Name,
    current: Option<Generation>,
) -> Result<(Operation, Option<OperationId>), StoreError> {
    let generation = Generation(current.map_or(0, |current| current.0) + 1);
    let superseded = operations::supersede(tx, kind, name, "a newer change")?;
    // What never settled is still being created, in whichever generation.
    let creating = |operation: &Operation| operation.kind == OperationKind::Create;
    let what = if current.is_none() || superseded.as_ref().is_some_and(creating) {
        OperationKind::Create
    } else {
        OperationKind::Update
    };
    let mut operation = operations::fresh(kind, name, what, generation);
    if kind != Kind::Connector {
        operation = operations::done(operation);
    }
    operations::insert(tx, &operation)?;
    Ok((operation, superseded.map(|operation| operation.id)))
}

fn write_object<S: Declared>(
    tx: &Connection,
    request: &PutRequest<S>,
    computed: &S::Computed,
    identity: &Incarnation,
    generation: Generation,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO objects (kind, name, incarnation, id, generation, spec, computed, created_ms,
         updated_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
         ON CONFLICT (kind, name) DO UPDATE
         SET generation = ?5, spec = ?6, computed = ?7, updated_ms = ?8",
        params![
            S::KIND.singular(),
            request.name.as_str(),
            int(identity.number),
            identity.id.to_string(),
            int(generation.0),
            to_json(&request.spec)?,
            to_json(computed)?,
            int(now_ms()),
        ],
    )
    .map_err(StoreError::Sql)?;
    tx.execute(
        "INSERT INTO lives (kind, name, last) VALUES (?1, ?2, ?3)
         ON CONFLICT (kind, name) DO UPDATE SET last = ?3",
        params![
            S::KIND.singular(),
            request.name.as_str(),
            int(identity.number)
        ],
    )
    .map(drop)
    .map_err(StoreError::Sql)
}

fn write_generation<S: Declared>(
    tx: &Connection,
    request: &PutRequest<S>,
    computed: &S::Computed,
    fingerprint: &[u8; 32],
    operation: &Operation,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO generations (kind, name, generation, spec, computed, digest, fingerprint,
         operation) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            S::KIND.singular(),
            request.name.as_str(),
            int(operation.generation.0),
            to_json(&request.spec)?,
            to_json(computed)?,
            request.spec.digest().map(String::from),
            fingerprint.as_slice(),
            operation.id.to_string(),
        ],
    )
    .map(drop)
    .map_err(StoreError::Sql)
}

/// Nobody goes back to an earlier generation of a Kafka cluster or a role. Those of connectors the
/// reconciler prunes, those with a digest go when nothing refers to them (see `contents`).
fn forget_unneeded(
    tx: &Connection,
    kind: Kind,
    name: &Name,
    current: Generation,
) -> Result<(), StoreError> {
    if !matches!(kind, Kind::KafkaCluster | Kind::Role) {
        return Ok(());
    }
    tx.execute(
        "DELETE FROM generations WHERE kind = ?1 AND name = ?2 AND generation < ?3",
        params![kind.singular(), name.as_str(), int(current.0)],
    )
    .map(drop)
    .map_err(StoreError::Sql)
}

impl Store {
    /// Which of these references lead nowhere.
    pub fn missing_references(&self, references: &[Reference]) -> Result<Vec<Problem>, StoreError> {
        self.read(|tx| {
            let mut problems = Vec::new();
            for reference in references {
                problems.extend(missing(tx, reference)?);
            }
            Ok(problems)
        })
    }

    /// Refuses early what [`Store::put`] would refuse for its precondition or a delete under way,
    /// so that nobody is told about the content of a request that has no chance.
    pub fn precheck<S: Declared>(&self, request: &PutRequest<S>) -> Result<(), StoreError> {
        self.read(|tx| {
            let current = find::<S>(tx, &request.name)?;
            if current
                .as_ref()
                .is_some_and(|stored| stored.object.deleting)
                && let Some(operation) = operations::unfinished(tx, S::KIND, &request.name)?
            {
                return Err(busy(&operation));
            }
            match (request.precondition, current.map(|stored| stored.object)) {
                (Precondition::Absent, Some(object))
                    if object.generation != Generation(1) || object.spec != request.spec =>
                {
                    Err(already_exists(S::KIND, &request.name))
                }
                (Precondition::Generation(_), None) => Err(not_found(S::KIND, &request.name)),
                (Precondition::Generation(asked), Some(object))
                    if asked != object.generation
                        && asked.0.checked_add(1) != Some(object.generation.0) =>
                {
                    Err(conflict(S::KIND, &request.name, asked, object.generation))
                }
                _ => Ok(()),
            }
        })
    }
}
