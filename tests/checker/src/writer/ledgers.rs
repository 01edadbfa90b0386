//! Accounts and lists in the database.

use super::session::{Session, SessionError, Value};
use crate::event::Ledger;
use crate::history::{Attempt, LedgerRow, Leg};
use crate::workload;

/// The column of a ledger that its changes are about.
const fn column(ledger: Ledger) -> &'static str {
    match ledger {
        Ledger::Bank | Ledger::Vault => "balance",
        Ledger::List => "items",
    }
}

/// Statements that make the tables.
pub(super) fn tables(t: &str) -> impl Iterator<Item = String> + '_ {
    Ledger::ALL.into_iter().map(move |ledger| {
        let kind = match ledger {
            Ledger::Bank | Ledger::Vault => "BIGINT",
            Ledger::List => "TEXT",
        };
        format!(
            "CREATE TABLE IF NOT EXISTS {t}_{} (id BIGINT PRIMARY KEY, ver BIGINT NOT NULL, \
             writer BIGINT NOT NULL, wseq BIGINT NOT NULL, {} {kind} NOT NULL)",
            ledger.suffix(),
            column(ledger)
        )
    })
}

/// The rows that every table begins with, as the end of an `INSERT INTO`.
pub(super) fn rows(t: &str) -> impl Iterator<Item = String> + '_ {
    Ledger::ALL.into_iter().map(move |ledger| {
        let value = workload::opening(ledger);
        let row = |id| format!("({id},1,0,0,'{value}')");
        let rows: Vec<String> = (1..=workload::LEDGER_ROWS).map(row).collect();
        let (name, column, rows) = (ledger.suffix(), column(ledger), rows.join(","));
        format!("{t}_{name} (id, ver, writer, wseq, {column}) VALUES {rows}")
    })
}

/// Changes one row, and puts down which version it made.
pub(super) async fn change(
    session: &mut Session,
    t: &str,
    (ledger, id, amount): (Ledger, i64, i64),
    attempt: &mut Attempt,
) -> Result<(), SessionError> {
    let int = |value: u64| Value::Int(i64::try_from(value).unwrap_or(i64::MAX));
    let is_list = ledger == Ledger::List;
    let (name, shown) = (ledger.suffix(), if is_list { "ver" } else { "balance" });
    let sql = format!("SELECT ver, {shown} FROM {t}_{name} WHERE id = ? FOR UPDATE");
    let rows = session.run(&sql, &[Value::Int(id)]).await?;
    let cell = |at: usize| rows.first().and_then(|it| it.get(at).copied().flatten());
    let (Some(ver), Some(old)) = (cell(0).and_then(|it| u64::try_from(it).ok()), cell(1)) else {
        return Err(SessionError::Refused(format!("no row {id} of {t}_{name}")));
    };
    let ver = ver + 1;
    let balance = (!is_list).then_some(old + amount);
    let (set, value) = if let Some(balance) = balance {
        ("balance = ?", Value::Int(balance))
    } else {
        let element = Value::Text(workload::element(attempt.writer, attempt.wseq));
        let set = if workload::begins_anew(ver) {
            "items = ?"
        } else {
            "items = CONCAT(items, ';', ?)"
        };
        (set, element)
    };
    let sql = format!("UPDATE {t}_{name} SET {set}, ver = ?, writer = ?, wseq = ? WHERE id = ?");
    let (writer, wseq) = (int(attempt.writer.into()), int(attempt.wseq));
    let values = [value, int(ver), writer, wseq, Value::Int(id)];
    session.run(&sql, &values).await?;
    attempt.legs.push(Leg(ledger, id, ver, balance));
    Ok(())
}

/// Every row, with all its columns.
pub(super) async fn read(session: &mut Session, t: &str) -> Result<Vec<LedgerRow>, SessionError> {
    let mut all = Vec::new();
    for ledger in Ledger::ALL {
        let (name, column) = (ledger.suffix(), column(ledger));
        let sql = format!("SELECT id, ver, writer, wseq, {column} FROM {t}_{name} ORDER BY id");
        let rows = session.texts(&sql).await?;
        all.extend(rows.into_iter().filter_map(|row| {
            let [id, ver, writer, wseq, value] = <[String; 5]>::try_from(row).ok()?;
            Some(LedgerRow {
                ledger,
                id: id.parse().ok()?,
                ver: ver.parse().ok()?,
                by: (writer.parse().ok()?, wseq.parse().ok()?),
                value,
            })
        }));
    }
    Ok(all)
}
