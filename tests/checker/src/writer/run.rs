//! One writer: a transaction after the other, and after a lost connection the question what became of the last.

use super::ledgers;
use super::session::{Rows, Session, SessionError, Value};
use super::{BackOff, Db, Shared, WriteError, WriterConfig};
use crate::dice::Dice;
use crate::history::{Attempt, Kind, Outcome, Write};
use crate::payload::{Place, payload};
use crate::workload::{self, Plan};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, MissedTickBehavior};

/// Rows of one statement that fills a table.
const BATCH: u32 = 500;

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX))
}

fn int(value: u64) -> Value {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A number of the first row; none when there is no row or no number.
fn first(rows: &Rows, column: usize) -> Option<u64> {
    u64::try_from((*rows.first()?.get(column)?)?).ok()
}

pub(super) async fn open(config: &WriterConfig) -> Result<Session, SessionError> {
    Session::open(config.db, &config.url, config.password.as_ref()).await
}

/// Makes tables and their fixed rows, where they are missing.
pub(super) async fn set_up(config: &WriterConfig, is_new: bool) -> Result<(), WriteError> {
    let failed = |doing| move |source| WriteError::Session { doing, source };
    let mut session = open(config)
        .await
        .map_err(failed("connect to the database"))?;
    let t = &config.table;
    let mut tables = vec![
        format!(
            "CREATE TABLE IF NOT EXISTS {t}_reg (id BIGINT PRIMARY KEY, ver BIGINT NOT NULL, \
             writer BIGINT NOT NULL, wseq BIGINT NOT NULL, payload TEXT NOT NULL)"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {t}_log (writer BIGINT NOT NULL, seq BIGINT NOT NULL, \
             wseq BIGINT NOT NULL, payload TEXT NOT NULL, PRIMARY KEY (writer, seq))"
        ),
        format!("CREATE TABLE IF NOT EXISTS {t}_side (id BIGINT PRIMARY KEY, ver BIGINT NOT NULL)"),
        format!(
            "CREATE TABLE IF NOT EXISTS {t}_cursor (writer BIGINT PRIMARY KEY, \
             seq BIGINT NOT NULL, wseq BIGINT NOT NULL)"
        ),
    ];
    tables.extend(ledgers::tables(t));
    if config.db == Db::Postgres {
        // Events then hold the whole row before.
        tables.extend(
            ["reg", "log", "bank", "vault", "list"]
                .map(|it| format!("ALTER TABLE {t}_{it} REPLICA IDENTITY FULL")),
        );
    }
    for sql in tables {
        session
            .plain(&sql)
            .await
            .map_err(failed("make the workload's tables"))?;
    }
    let ignore = match config.db {
        Db::Mariadb => ("INSERT IGNORE", ""),
        Db::Postgres => ("INSERT", " ON CONFLICT DO NOTHING"),
    };
    let mut from = 1;
    while from <= config.keys {
        let to = (from + BATCH - 1).min(config.keys);
        let rows: Vec<String> = (from..=to).map(|id| format!("({id},0)")).collect();
        let rows = rows.join(",");
        let sql = format!(
            "{} INTO {t}_side (id, ver) VALUES {rows}{}",
            ignore.0, ignore.1
        );
        session
            .plain(&sql)
            .await
            .map_err(failed("fill the side table"))?;
        from = to + 1;
    }
    for rows in ledgers::rows(t) {
        let sql = format!("{} INTO {rows}{}", ignore.0, ignore.1);
        session
            .plain(&sql)
            .await
            .map_err(failed("fill the accounts and lists"))?;
    }
    for writer in 0..config.writers {
        let row = format!("(writer, seq, wseq) VALUES ({writer},0,0)");
        let sql = format!("{} INTO {t}_cursor {row}{}", ignore.0, ignore.1);
        session
            .plain(&sql)
            .await
            .map_err(failed("fill the cursor table"))?;
    }
    let sql = format!("SELECT writer FROM {t}_cursor WHERE wseq > ?");
    let used = session.run(&sql, &[Value::Int(0)]).await;
    if is_new && !used.map_err(failed("look at the cursor table"))?.is_empty() {
        return Err(WriteError::Config(
            "the tables hold the work of another history: go on with that, drop them, or take another name",
        ));
    }
    Ok(())
}

/// How a transaction ended, for the connection.
enum End {
    /// It lives.
    Alive,
    /// It is gone.
    Lost,
}

/// One writer.
pub(super) struct Work {
    shared: Arc<Shared>,
    writer: u32,
    dice: Dice,
    /// The last attempt.
    wseq: u64,
    /// The last append that is committed.
    seq: u64,
    /// Attempts whose end is not known.
    unknown: Vec<Attempt>,
    sql: Statements,
}

/// The texts of the statements, made once.
struct Statements {
    side: String,
    register: String,
    insert: String,
    update: String,
    delete: String,
    carry: String,
    append: String,
    advance: String,
    cursor: String,
}

impl Statements {
    fn new(t: &str) -> Self {
        Self {
            side: format!("SELECT ver FROM {t}_side WHERE id = ? FOR UPDATE"),
            register: format!("SELECT ver FROM {t}_reg WHERE id = ? FOR UPDATE"),
            insert: format!(
                "INSERT INTO {t}_reg (ver, writer, wseq, payload, id) VALUES (?, ?, ?, ?, ?)"
            ),
            update: format!(
                "UPDATE {t}_reg SET ver = ?, writer = ?, wseq = ?, payload = ? WHERE id = ?"
            ),
            delete: format!("DELETE FROM {t}_reg WHERE id = ?"),
            carry: format!("UPDATE {t}_side SET ver = ? WHERE id = ?"),
            append: format!("INSERT INTO {t}_log (writer, seq, wseq, payload) VALUES (?, ?, ?, ?)"),
            advance: format!("UPDATE {t}_cursor SET seq = ?, wseq = ? WHERE writer = ?"),
            cursor: format!("SELECT seq, wseq FROM {t}_cursor WHERE writer = ? FOR UPDATE"),
        }
    }
}

impl Work {
    pub(super) fn new(shared: Arc<Shared>, writer: u32, wseq: u64, unknown: Vec<Attempt>) -> Self {
        Self {
            writer,
            dice: Dice::of(shared.config.seed ^ wseq, u64::from(writer)),
            wseq,
            seq: 0,
            unknown,
            sql: Statements::new(&shared.config.table),
            shared,
        }
    }

    /// Writes until told to stop.
    pub(super) async fn run(mut self) {
        let config = &self.shared.config;
        let period = match config.rate {
            0 => Duration::ZERO,
            rate => Duration::from_secs(1) * config.writers / rate,
        };
        // Writers begin spread over one period, so that the load is even.
        let offset = period * self.writer / config.writers;
        let mut ticks = (!period.is_zero()).then(|| {
            let mut ticks = tokio::time::interval_at(Instant::now() + offset, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        let stop = self.shared.stop.clone();
        let mut session = None;
        while !stop.is_cancelled() {
            let Some(open) = session.as_mut() else {
                session = self.connect().await;
                continue;
            };
            if let Some(ticks) = ticks.as_mut() {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = ticks.tick() => {}
                }
            }
            if let End::Lost = self.transaction(open).await {
                session = None;
            }
        }
        // Nobody asks what became of the last one if not now; the caller bounds the time.
        if !self.unknown.is_empty() {
            drop(self.connect_until_settled().await);
        }
    }

    /// A connection, with all that was unknown found out; none when told to stop before.
    async fn connect(&mut self) -> Option<Session> {
        let stop = self.shared.stop.clone();
        tokio::select! {
            () = stop.cancelled() => None,
            session = self.connect_until_settled() => Some(session),
        }
    }

    async fn connect_until_settled(&mut self) -> Session {
        let mut back_off = BackOff::new();
        loop {
            if let Ok(mut session) = open(&self.shared.config).await
                && self.settle(&mut session).await.is_ok()
            {
                let progress = &self.shared.progress;
                progress.reconnects.fetch_add(1, Ordering::Relaxed);
                return session;
            }
            back_off.wait().await;
        }
    }

    /// Asks how far this writer is. The row is locked, so a transaction of ours that still runs ends first.
    async fn settle(&mut self, session: &mut Session) -> Result<(), SessionError> {
        let rows = session
            .run(&self.sql.cursor, &[int(self.writer.into())])
            .await?;
        let (seq, wseq) = (first(&rows, 0).unwrap_or(0), first(&rows, 1).unwrap_or(0));
        self.seq = seq;
        self.wseq = self.wseq.max(wseq);
        for mut attempt in std::mem::take(&mut self.unknown) {
            // Each attempt is settled before the next one is made, so the last committed one decides.
            let happened = attempt.wseq == wseq && attempt.seq == seq;
            self.end(
                &mut attempt,
                if happened { Outcome::Ok } else { Outcome::Fail },
            );
        }
        Ok(())
    }

    /// Records an outcome.
    fn end(&self, attempt: &mut Attempt, outcome: Outcome) {
        attempt.outcome = outcome;
        attempt.at = now();
        let progress = &self.shared.progress;
        let count = match outcome {
            Outcome::Ok => &progress.committed,
            Outcome::Fail => &progress.failed,
            Outcome::Unknown => &progress.unknown,
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.shared.record(|recorder| recorder.outcome(attempt));
    }

    /// One transaction to its end.
    async fn transaction(&mut self, session: &mut Session) -> End {
        let plan = workload::next(&mut self.dice, self.shared.config.keys);
        self.wseq += 1;
        let mut attempt = Attempt {
            writer: self.writer,
            wseq: self.wseq,
            seq: self.seq + 1,
            writes: Vec::new(),
            legs: Vec::new(),
            outcome: Outcome::Unknown,
            at: 0,
        };
        let body = self.body(session, &plan, &mut attempt).await;
        if !self.shared.record(|recorder| recorder.intent(&attempt)) {
            return End::Lost;
        }
        match body {
            // No COMMIT was sent: it cannot have happened.
            Err(SessionError::Lost(_) | SessionError::Address(_)) => {
                self.end(&mut attempt, Outcome::Fail);
                return End::Lost;
            }
            Err(SessionError::Refused(_)) => {
                self.end(&mut attempt, Outcome::Fail);
                return roll_back(session).await;
            }
            Ok(()) if plan.rolls_back => {
                self.end(&mut attempt, Outcome::Fail);
                return roll_back(session).await;
            }
            Ok(()) => {}
        }
        if session.plain("COMMIT").await.is_ok() {
            self.seq = attempt.seq;
            self.end(&mut attempt, Outcome::Ok);
            End::Alive
        } else {
            // Also what is refused here is looked up: a refusal of a COMMIT does not mean the same everywhere.
            self.end(&mut attempt, Outcome::Unknown);
            self.unknown.push(attempt);
            End::Lost
        }
    }

    /// Everything before the COMMIT.
    async fn body(
        &self,
        session: &mut Session,
        plan: &Plan,
        attempt: &mut Attempt,
    ) -> Result<(), SessionError> {
        let (writer, wseq, seq) = (attempt.writer, attempt.wseq, attempt.seq);
        let sql = &self.sql;
        session.plain("BEGIN").await?;
        for (id, wants_delete) in &plan.registers {
            let key = [Value::Int(*id)];
            let side = session.run(&sql.side, &key).await?;
            let there = first(&session.run(&sql.register, &key).await?, 0);
            let ver = there.or(first(&side, 0)).unwrap_or(0) + 1;
            let kind = workload::kind(there.is_some(), *wants_delete);
            attempt.writes.push(Write(*id, ver, kind));
            if kind == Kind::Delete {
                session.run(&sql.delete, &key).await?;
                session
                    .run(&sql.carry, &[int(ver), Value::Int(*id)])
                    .await?;
                continue;
            }
            let change = if kind == Kind::Insert {
                &sql.insert
            } else {
                &sql.update
            };
            let text = Value::Text(payload(writer, wseq, Place::Register(*id)));
            let row = [
                int(ver),
                int(writer.into()),
                int(wseq),
                text,
                Value::Int(*id),
            ];
            session.run(change, &row).await?;
        }
        // Last, since all writers share these few rows.
        for leg in &plan.legs {
            ledgers::change(session, &self.shared.config.table, *leg, attempt).await?;
        }
        let text = Value::Text(payload(writer, wseq, Place::Append));
        let row = [int(writer.into()), int(seq), int(wseq), text];
        session.run(&sql.append, &row).await?;
        let row = [int(seq), int(wseq), int(writer.into())];
        session.run(&sql.advance, &row).await?;
        Ok(())
    }
}

async fn roll_back(session: &mut Session) -> End {
    match session.plain("ROLLBACK").await {
        Ok(()) => End::Alive,
        Err(_) => End::Lost,
    }
}
