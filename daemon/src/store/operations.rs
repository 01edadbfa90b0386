//! Operations: one accepted change each, kept longer than what they changed.

use super::rows::{column, from_json, from_word, int, to_json, to_word, uint};
use super::{Store, StoreError, now_ms};
use runnel_api::error::Warning;
use runnel_api::object::Generation;
use runnel_api::{
    ErrorCode, Kind, Name, Operation, OperationId, OperationKind, Outcome, Problem, RestartScope,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::time::Duration;
use uuid::Uuid;

/// Operations that are kept for each name; older ones are forgotten.
const KEPT: u64 = 100;

/// Where an operation stands now; what the reconciler writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// How far it is.
    pub outcome: Outcome,
    /// What it waits for; dropped when the outcome is final.
    pub waiting_on: Option<String>,
    /// Why it failed.
    pub problem: Option<Problem>,
    /// Remarks so far, all of them.
    pub warnings: Vec<Warning>,
}

impl Advance {
    /// Under way, waiting for something.
    pub fn waiting(on: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::InProgress,
            waiting_on: Some(on.into()),
            problem: None,
            warnings: Vec::new(),
        }
    }

    /// Done.
    pub fn succeeded() -> Self {
        Self {
            outcome: Outcome::Succeeded,
            waiting_on: None,
            problem: None,
            warnings: Vec::new(),
        }
    }

    /// Not done; `outcome` says in which way.
    pub fn ended(outcome: Outcome, problem: Problem) -> Self {
        Self {
            outcome,
            waiting_on: None,
            problem: Some(problem),
            warnings: Vec::new(),
        }
    }

    /// Adds remarks.
    #[must_use]
    pub fn warnings(mut self, warnings: Vec<Warning>) -> Self {
        self.warnings = warnings;
        self
    }
}

impl Store {
    /// One operation.
    pub fn operation(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        self.read(|tx| find(tx, id))
    }

    /// The operations of one name, newest first, at most `limit`; of this and earlier lives.
    pub fn operations_of(
        &self,
        kind: Kind,
        name: &Name,
        limit: usize,
    ) -> Result<Vec<Operation>, StoreError> {
        self.read(|tx| {
            let sql = "SELECT * FROM operations WHERE object_kind = ?1 AND name = ?2
                       ORDER BY number DESC LIMIT ?3";
            let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
            let limit = int(limit as u64);
            let mut rows = statement
                .query(params![kind.singular(), name.as_str(), limit])
                .map_err(StoreError::Sql)?;
            let mut operations = Vec::new();
            while let Some(row) = rows.next().map_err(StoreError::Sql)? {
                operations.push(read(row)?);
            }
            Ok(operations)
        })
    }

    /// Operations that ended at or after a moment (milliseconds since the Unix epoch), as far as they
    /// are kept.
    pub fn operations_ended_since(&self, from_ms: u64) -> Result<Vec<Operation>, StoreError> {
        self.read(|tx| {
            let sql = "SELECT * FROM operations WHERE ended_ms >= ?1 ORDER BY number";
            let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
            let mut rows = statement.query([int(from_ms)]).map_err(StoreError::Sql)?;
            let mut operations = Vec::new();
            while let Some(row) = rows.next().map_err(StoreError::Sql)? {
                operations.push(read(row)?);
            }
            Ok(operations)
        })
    }

    /// All operations that are not final, oldest first: what a reconciler finds at its start. A
    /// name has one at most.
    pub fn unfinished_operations(&self) -> Result<Vec<Operation>, StoreError> {
        self.read(|tx| {
            let sql = "SELECT * FROM operations WHERE ended_ms IS NULL ORDER BY number";
            let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
            let mut rows = statement.query([]).map_err(StoreError::Sql)?;
            let mut operations = Vec::new();
            while let Some(row) = rows.next().map_err(StoreError::Sql)? {
                operations.push(read(row)?);
            }
            Ok(operations)
        })
    }

    /// Moves an operation on and answers it as it is afterwards. One that is final stays as it is
    /// (it may have been superseded meanwhile), and nothing is written when nothing changes.
    pub fn update_operation(
        &self,
        id: OperationId,
        advance: Advance,
    ) -> Result<Operation, StoreError> {
        let missing = move || {
            StoreError::refused(Problem::new(
                ErrorCode::NotFound,
                format!("there is no operation {id}"),
            ))
        };
        let current = self.operation(id)?.ok_or_else(missing)?;
        if current.outcome.is_final() || current == advanced(&current, &advance) {
            return Ok(current);
        }
        self.write(move |tx| move_on(tx, id, &advance)?.ok_or_else(missing))
    }

    /// Waits until the operation is final or the time is over and answers it as it is then.
    pub async fn await_operation(
        &self,
        id: OperationId,
        patience: Duration,
    ) -> Result<Option<Operation>, StoreError> {
        let mut changes = self.changes();
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            changes.borrow_and_update();
            let operation = self.run(move |store| store.operation(id)).await?;
            if operation.as_ref().is_none_or(|o| o.outcome.is_final()) {
                return Ok(operation);
            }
            match tokio::time::timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(operation),
            }
        }
    }

    /// Accepts a restart of a connector. Asking for the same again while it is under way answers
    /// that one; any other operation under way is in the way, because it moves workers itself.
    pub fn begin_restart(
        &self,
        name: &Name,
        scope: &RestartScope,
    ) -> Result<Operation, StoreError> {
        let scope = Some(scope.clone()).filter(|scope| *scope != RestartScope::All);
        self.write(|tx| {
            let row = super::objects::require(tx, Kind::Connector, name)?;
            if let Some(operation) = unfinished(tx, Kind::Connector, name)? {
                let same = operation.kind == OperationKind::Restart && operation.restart == scope;
                return if same {
                    Ok(operation)
                } else {
                    Err(busy(&operation))
                };
            }
            let mut fresh = fresh(
                Kind::Connector,
                name,
                OperationKind::Restart,
                row.generation,
            );
            fresh.restart = scope;
            insert(tx, &fresh)?;
            Ok(fresh)
        })
    }
}

/// The refusal when an operation is in the way of what was asked.
pub(super) fn busy(operation: &Operation) -> StoreError {
    let what = match operation.kind {
        OperationKind::Create => "being created",
        OperationKind::Update => "being updated",
        OperationKind::Delete => "being deleted",
        OperationKind::Restart => "being restarted",
    };
    let message = format!("the {} {} is {what}", operation.object_kind, operation.name);
    let waiting = operation.waiting_on.as_deref().unwrap_or("its turn");
    StoreError::refused(
        Problem::new(ErrorCode::OperationInProgress, message)
            .detail(format!("operation {} waits for {waiting}", operation.id))
            .hint("wait until that operation has ended, then try again"),
    )
}

/// A new operation that has not begun.
pub(super) fn fresh(
    object_kind: Kind,
    name: &Name,
    kind: OperationKind,
    generation: Generation,
) -> Operation {
    Operation {
        id: OperationId(Uuid::new_v4()),
        object_kind,
        name: name.clone(),
        kind,
        generation,
        restart: None,
        outcome: Outcome::Pending,
        waiting_on: None,
        problem: None,
        warnings: Vec::new(),
        created_ms: now_ms(),
        ended_ms: None,
    }
}

/// The same operation, already done: for kinds whose change is the row itself.
pub(super) fn done(mut operation: Operation) -> Operation {
    operation.outcome = Outcome::Succeeded;
    operation.ended_ms = Some(operation.created_ms);
    operation
}

fn advanced(operation: &Operation, advance: &Advance) -> Operation {
    let is_final = advance.outcome.is_final();
    Operation {
        outcome: advance.outcome,
        waiting_on: advance.waiting_on.clone().filter(|_| !is_final),
        problem: advance.problem.clone(),
        warnings: advance.warnings.clone(),
        ended_ms: is_final.then(now_ms),
        ..operation.clone()
    }
}

/// Moves an operation on inside a transaction; none when there is no such operation.
pub(super) fn move_on(
    tx: &Connection,
    id: OperationId,
    advance: &Advance,
) -> Result<Option<Operation>, StoreError> {
    let Some(current) = find(tx, id)? else {
        return Ok(None);
    };
    if current.outcome.is_final() {
        return Ok(Some(current));
    }
    let next = advanced(&current, advance);
    tx.execute(
        "UPDATE operations SET outcome = ?2, waiting_on = ?3, problem = ?4, warnings = ?5,
         ended_ms = ?6 WHERE id = ?1",
        params![
            id.to_string(),
            to_word(next.outcome)?,
            next.waiting_on,
            next.problem.as_ref().map(to_json).transpose()?,
            to_json(&next.warnings)?,
            next.ended_ms.map(int),
        ],
    )
    .map_err(StoreError::Sql)?;
    Ok(Some(next))
}

pub(super) fn is_unfinished(tx: &Connection, id: OperationId) -> Result<bool, StoreError> {
    Ok(find(tx, id)?.is_some_and(|operation| !operation.outcome.is_final()))
}

/// Ends the unfinished operation of an object, because a newer change takes over.
pub(super) fn supersede(
    tx: &Connection,
    kind: Kind,
    name: &Name,
    by: &str,
) -> Result<Option<Operation>, StoreError> {
    let Some(operation) = unfinished(tx, kind, name)? else {
        return Ok(None);
    };
    let problem = Problem::new(
        ErrorCode::Superseded,
        format!("{by} took over before this operation ended"),
    );
    let advance = Advance::ended(Outcome::Superseded, problem).warnings(operation.warnings);
    move_on(tx, operation.id, &advance)
}

/// The operation of an object that is not final.
pub(super) fn unfinished(
    tx: &Connection,
    kind: Kind,
    name: &Name,
) -> Result<Option<Operation>, StoreError> {
    let sql = "SELECT * FROM operations
               WHERE object_kind = ?1 AND name = ?2 AND ended_ms IS NULL";
    one(tx, sql, [kind.singular(), name.as_str()])
}

/// The newest operation of a name.
pub(super) fn last(
    tx: &Connection,
    kind: Kind,
    name: &Name,
) -> Result<Option<OperationId>, StoreError> {
    let sql = "SELECT * FROM operations WHERE object_kind = ?1 AND name = ?2
               ORDER BY number DESC LIMIT 1";
    Ok(one(tx, sql, [kind.singular(), name.as_str()])?.map(|operation| operation.id))
}

pub(super) fn find(tx: &Connection, id: OperationId) -> Result<Option<Operation>, StoreError> {
    one(
        tx,
        "SELECT * FROM operations WHERE id = ?1",
        [id.to_string()],
    )
}

fn one<P: rusqlite::Params>(
    tx: &Connection,
    sql: &str,
    parameters: P,
) -> Result<Option<Operation>, StoreError> {
    let mut statement = tx.prepare_cached(sql).map_err(StoreError::Sql)?;
    let mut rows = statement.query(parameters).map_err(StoreError::Sql)?;
    match rows.next().map_err(StoreError::Sql)? {
        Some(row) => read(row).map(Some),
        None => Ok(None),
    }
}

pub(super) fn insert(tx: &Connection, operation: &Operation) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO operations (id, object_kind, name, kind, generation, outcome, warnings,
         created_ms, ended_ms, restart) VALUES (?1, ?2, ?3, ?4, ?5, ?6, '[]', ?7, ?8, ?9)",
        params![
            operation.id.to_string(),
            operation.object_kind.singular(),
            operation.name.as_str(),
            to_word(operation.kind)?,
            int(operation.generation.0),
            to_word(operation.outcome)?,
            int(operation.created_ms),
            operation.ended_ms.map(int),
            operation.restart.as_ref().map(to_json).transpose()?,
        ],
    )
    .map_err(StoreError::Sql)?;
    forget_old(tx, operation.object_kind, &operation.name)
}

fn forget_old(tx: &Connection, kind: Kind, name: &Name) -> Result<(), StoreError> {
    let oldest_kept: Option<i64> = tx
        .query_row(
            "SELECT number FROM operations WHERE object_kind = ?1 AND name = ?2
             ORDER BY number DESC LIMIT 1 OFFSET ?3",
            params![kind.singular(), name.as_str(), int(KEPT - 1)],
            |row| row.get(0),
        )
        .optional()
        .map_err(StoreError::Sql)?;
    // The operation of a generation that is still there answers a repeated put: it stays.
    let sql = "DELETE FROM operations WHERE object_kind = ?1 AND name = ?2 AND number < ?3
               AND ended_ms IS NOT NULL AND id NOT IN
               (SELECT operation FROM generations WHERE kind = ?1 AND name = ?2)";
    if let Some(oldest_kept) = oldest_kept {
        tx.execute(sql, params![kind.singular(), name.as_str(), oldest_kept])
            .map_err(StoreError::Sql)?;
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Operation, StoreError> {
    let text = |name| column::<String>(row, name).map_err(StoreError::Sql);
    let optional = |name| column::<Option<String>>(row, name).map_err(StoreError::Sql);
    let number = |name| column::<i64>(row, name).map_err(StoreError::Sql).map(uint);
    let ended: Option<i64> = column(row, "ended_ms").map_err(StoreError::Sql)?;
    let damaged = |what: &str| StoreError::Damaged(format!("operations.{what} does not read back"));
    Ok(Operation {
        id: OperationId(Uuid::parse_str(&text("id")?).map_err(|_| damaged("id"))?),
        object_kind: Kind::parse(&text("object_kind")?).ok_or_else(|| damaged("object_kind"))?,
        name: Name::parse(&text("name")?).map_err(|_| damaged("name"))?,
        kind: from_word("operations.kind", text("kind")?)?,
        generation: Generation(number("generation")?),
        restart: optional("restart")?
            .map(|text| from_json("operations.restart", &text))
            .transpose()?,
        outcome: from_word("operations.outcome", text("outcome")?)?,
        waiting_on: optional("waiting_on")?,
        problem: optional("problem")?
            .map(|text| from_json("operations.problem", &text))
            .transpose()?,
        warnings: from_json("operations.warnings", &text("warnings")?)?,
        created_ms: number("created_ms")?,
        ended_ms: ended.map(uint),
    })
}
