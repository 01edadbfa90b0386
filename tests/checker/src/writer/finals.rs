//! What the database holds when the writers have ended: every table with all its columns, in one snapshot.

use super::run::open;
use super::session::{Session, SessionError};
use super::{BackOff, Db, Finals, WriterConfig, ledgers};
use crate::event::{Row, RowKey};
use crate::history::{Final, Stretch, add_row};
use std::collections::HashMap;
use std::str::FromStr;

/// Rows of one answer.
const PAGE: usize = 2_000;
/// Of each writer's appends, so many of the last ones are read: the table grows as long as the load runs, and it is
/// looked at in every pause of it.
const APPENDS: u64 = 5_000;

/// What the database holds; tries until it answers.
pub(super) async fn finals(config: &WriterConfig) -> Finals {
    let mut back_off = BackOff::new();
    loop {
        if let Ok(mut session) = open(config).await
            && let Ok(finals) = read(&mut session, config).await
        {
            return finals;
        }
        back_off.wait().await;
    }
}

async fn read(session: &mut Session, config: &WriterConfig) -> Result<Finals, SessionError> {
    let snapshot: &[&str] = match config.db {
        Db::Mariadb => &[
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        ],
        Db::Postgres => &["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"],
    };
    for sql in snapshot {
        session.plain(sql).await?;
    }
    let t = &config.table;
    let sql = format!("SELECT writer, seq FROM {t}_cursor ORDER BY writer");
    let cursors = session.texts(&sql).await?;
    let appends = cursors
        .iter()
        .filter_map(|it| Some((cell(it, 0)?, cell(it, 1)?)));
    let appends: Vec<(u32, u64)> = appends.collect();
    let finals = Finals {
        registers: registers(session, t).await?,
        stretches: stretches(session, t, &appends).await?,
        appends,
        ledgers: ledgers::read(session, t).await?,
    };
    session.plain("COMMIT").await?;
    Ok(finals)
}

fn cell<T: FromStr>(row: &[String], at: usize) -> Option<T> {
    row.get(at)?.parse().ok()
}

async fn registers(session: &mut Session, t: &str) -> Result<Vec<Final>, SessionError> {
    let mut rows: HashMap<i64, Row> = HashMap::new();
    let mut from = i64::MIN;
    loop {
        let sql = format!(
            "SELECT id, ver, writer, wseq, payload FROM {t}_reg WHERE id > {from} ORDER BY id LIMIT {PAGE}"
        );
        let page = session.texts(&sql).await?;
        for text in &page {
            let Some(row) = register(text) else { continue };
            let RowKey::Register(id) = row.key else {
                continue;
            };
            from = id;
            rows.insert(id, row);
        }
        if page.len() < PAGE {
            break;
        }
    }
    let sql = format!("SELECT id, ver FROM {t}_side ORDER BY id");
    let sides = session.texts(&sql).await?;
    let finals = sides.iter().filter_map(|side| {
        let id: i64 = cell(side, 0)?;
        let row = rows.get(&id);
        let last = Final {
            id,
            ver: row.map(|it| it.ver).or(cell(side, 1))?,
            by: row.map(|it| (it.writer, it.wseq)),
            row: row.map(Row::digest),
        };
        // Never written so far.
        (last.ver > 0).then_some(last)
    });
    Ok(finals.collect())
}

fn register(text: &[String]) -> Option<Row> {
    Some(Row {
        key: RowKey::Register(cell(text, 0)?),
        ver: cell(text, 1)?,
        writer: cell(text, 2)?,
        wseq: cell(text, 3)?,
        payload: text.get(4)?.clone(),
    })
}

async fn stretches(
    session: &mut Session,
    t: &str,
    appends: &[(u32, u64)],
) -> Result<Vec<Stretch>, SessionError> {
    let mut stretches = Vec::new();
    for (writer, last) in appends {
        let mut from = last.saturating_sub(APPENDS);
        loop {
            let sql = format!(
                "SELECT seq, wseq, payload FROM {t}_log WHERE writer = {writer} AND seq > {from} \
                 ORDER BY seq LIMIT {PAGE}"
            );
            let page = session.texts(&sql).await?;
            for text in &page {
                let Some(row) = appended(*writer, text) else {
                    continue;
                };
                if let RowKey::Append { seq, .. } = row.key {
                    from = seq;
                    add_row(&mut stretches, (*writer, seq), row.digest());
                }
            }
            if page.len() < PAGE {
                break;
            }
        }
    }
    Ok(stretches)
}

fn appended(writer: u32, text: &[String]) -> Option<Row> {
    Some(Row {
        key: RowKey::Append {
            writer,
            seq: cell(text, 0)?,
        },
        ver: 0,
        writer,
        wseq: cell(text, 1)?,
        payload: text.get(2)?.clone(),
    })
}
