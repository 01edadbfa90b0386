//! Records as Debezium writes them, and two simpler kinds.
//!
//! The envelope (`before`, `after`, `op`, `source`, `transaction`) is read as `JsonConverter` writes it, with or without
//! schemas, and as `StringConverter` does (`Struct{…}`).

use crate::dice::scramble;
use crate::event::{Body, Change, Event, Ledger, Op, RawRecord, Row, RowKey};
use crate::struct_text;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Debezium's envelope by `org.apache.kafka.connect.json.JsonConverter`.
    ConnectJson,
    /// Debezium's envelope by `org.apache.kafka.connect.storage.StringConverter`.
    StructString,
    /// `VerifiableSourceConnector`: the number of the task as key and the number of the series as value, or an object
    /// with `task` and `seqno`.
    Counter,
    /// Anything; only compared.
    Opaque,
}

/// Understands records.
#[derive(Debug, Clone)]
pub struct Parser {
    format: Format,
    /// Name of the workload.
    table: String,
    tables: Vec<String>,
}

#[derive(Deserialize)]
struct RowText {
    id: Option<i64>,
    ver: Option<u64>,
    writer: u32,
    seq: Option<u64>,
    wseq: u64,
    payload: Option<String>,
    balance: Option<i64>,
    items: Option<String>,
}

#[derive(Deserialize)]
struct KeyText {
    id: Option<i64>,
    writer: Option<u32>,
    seq: Option<u64>,
}

#[derive(Deserialize)]
struct Source {
    table: Option<String>,
}

#[derive(Deserialize)]
struct TransactionText {
    id: String,
    total_order: u64,
}

#[derive(Deserialize)]
struct Collection {
    data_collection: String,
    event_count: u64,
}

/// An envelope or a record of the transaction topic.
#[derive(Deserialize)]
struct Envelope<R> {
    op: Option<String>,
    before: Option<R>,
    after: Option<R>,
    source: Option<Source>,
    transaction: Option<TransactionText>,
    status: Option<String>,
    id: Option<String>,
    data_collections: Option<Vec<Collection>>,
}

/// What a row of another table is read as.
#[derive(Deserialize)]
struct AnyRow {}

/// What `JsonConverter` wraps around a value when `schemas.enable=true`.
#[derive(Deserialize)]
struct Wrapped<T> {
    payload: T,
}

impl Parser {
    /// For the workload of this name.
    pub fn new(format: Format, table: &str) -> Self {
        Self {
            format,
            tables: ["reg", "log"]
                .into_iter()
                .chain(Ledger::ALL.map(Ledger::suffix))
                .map(|it| format!("{table}_{it}"))
                .collect(),
            table: table.to_owned(),
        }
    }

    /// The record, understood. What cannot be is an event, too.
    pub fn event(&self, raw: &RawRecord) -> Event {
        let (key, body) = match self.format {
            Format::Opaque => (None, Body::Opaque(digest(raw))),
            Format::Counter => (None, count(raw)),
            Format::ConnectJson | Format::StructString => {
                let key = raw
                    .key
                    .as_deref()
                    .and_then(|text| self.key(text, &raw.topic));
                let body = match raw.value.as_deref() {
                    None => Body::Tombstone,
                    Some(text) => self
                        .envelope(text, &raw.topic)
                        .unwrap_or_else(|why| Body::Unreadable(why.to_string())),
                };
                (key, body)
            }
        };
        Event {
            topic: Arc::clone(&raw.topic),
            partition: raw.partition,
            offset: raw.offset,
            at: raw.at,
            key,
            body,
        }
    }

    fn read<T: for<'a> Deserialize<'a>>(&self, text: &str) -> Result<T, serde_json::Error> {
        if self.format == Format::StructString {
            let value = struct_text::parse(text).unwrap_or(Value::Null);
            return T::deserialize(value);
        }
        if text.starts_with("{\"schema\":") {
            return serde_json::from_str::<Wrapped<T>>(text).map(|it| it.payload);
        }
        serde_json::from_str(text)
    }

    fn key(&self, text: &str, topic: &str) -> Option<RowKey> {
        match self.read::<KeyText>(text).ok()? {
            // A key does not tell its table.
            KeyText { id: Some(id), .. } => Some(match Ledger::of(topic, &self.table) {
                Some(ledger) => RowKey::Ledger(ledger, id),
                None => RowKey::Register(id),
            }),
            KeyText {
                writer: Some(writer),
                seq: Some(seq),
                ..
            } => Some(RowKey::Append { writer, seq }),
            KeyText { .. } => None,
        }
    }

    fn envelope(&self, text: &str, topic: &str) -> Result<Body, serde_json::Error> {
        let envelope = match self.read::<Envelope<RowText>>(text) {
            Ok(envelope) => envelope,
            // Perhaps its rows are of another table, which is another fault than a damaged record.
            Err(error) => {
                let envelope = self.read::<Envelope<AnyRow>>(text).map_err(|_| error)?;
                return Ok(match self.foreign(envelope.source) {
                    Some(table) => Body::Foreign(table),
                    None => Body::Unreadable("a row without the workload's columns".to_owned()),
                });
            }
        };
        let table = envelope.source.as_ref().and_then(|it| it.table.as_deref());
        let ledger = Ledger::of(table.unwrap_or(topic), &self.table);
        if let Some(table) = self.foreign(envelope.source) {
            return Ok(Body::Foreign(table));
        }
        let op = match (envelope.op.as_deref(), envelope.status.as_deref()) {
            (Some("c"), _) => Op::Create,
            (Some("u"), _) => Op::Update,
            (Some("d"), _) => Op::Delete,
            (Some("r"), _) => Op::Read,
            (None, Some("BEGIN")) => return Ok(Body::Begin),
            (None, Some("END")) => {
                let tables = envelope.data_collections.unwrap_or_default();
                let tables = tables.into_iter();
                return Ok(Body::End {
                    id: transaction_id(&envelope.id.unwrap_or_default()),
                    tables: tables
                        .map(|it| (it.data_collection, it.event_count))
                        .collect(),
                });
            }
            (op, _) => {
                return Ok(Body::Unreadable(format!(
                    "no change of a row: op is {op:?}"
                )));
            }
        };
        let rows = [envelope.before, envelope.after].map(|it| it.map(|it| row(it, ledger)));
        let (before, after) = match rows {
            [Some(Err(why)), _] | [_, Some(Err(why))] => {
                return Ok(Body::Unreadable(why.to_owned()));
            }
            [before, after] => (before.and_then(Result::ok), after.and_then(Result::ok)),
        };
        let transaction = envelope.transaction;
        let transaction = transaction.map(|it| (transaction_id(&it.id), it.total_order));
        Ok(Body::Change(Change {
            op,
            before,
            after,
            transaction,
        }))
    }

    /// The table that the source names, when it is none of ours.
    fn foreign(&self, source: Option<Source>) -> Option<String> {
        let table = source?.table?;
        (!self.tables.contains(&table)).then_some(table)
    }
}

/// What all events of a transaction have in common: for PostgreSQL Debezium writes `transaction:position`, and the
/// position is the event's own. MySQL's `uuid:number` stays as it is.
fn transaction_id(id: &str) -> String {
    let is_number = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
    match id.split_once(':') {
        Some((transaction, position)) if is_number(transaction) && is_number(position) => {
            transaction.to_owned()
        }
        _ => id.to_owned(),
    }
}

fn row(text: RowText, ledger: Option<Ledger>) -> Result<Row, &'static str> {
    let RowText {
        id,
        ver,
        writer,
        seq,
        wseq,
        payload,
        balance,
        items,
    } = text;
    let (key, ver) = match (id, ver, seq, ledger) {
        (Some(id), Some(ver), None, Some(ledger)) => (RowKey::Ledger(ledger, id), ver),
        (Some(id), Some(ver), None, None) => (RowKey::Register(id), ver),
        (None, None, Some(seq), None) => (RowKey::Append { writer, seq }, 0),
        _ => return Err("a row with the columns of no table"),
    };
    let payload = match ledger {
        Some(Ledger::Bank | Ledger::Vault) => balance.map(|it| it.to_string()),
        Some(Ledger::List) => items,
        None => payload,
    };
    let payload = payload.ok_or("a row without its content")?;
    Ok(Row {
        key,
        ver,
        writer,
        wseq,
        payload,
    })
}

/// FNV-1a over key and value, each with its length, so that none can be moved into the other.
fn digest(raw: &RawRecord) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in [&raw.key, &raw.value] {
        let bytes = part.as_deref().map_or(&[][..], str::as_bytes);
        let length = part.as_ref().map_or(u64::MAX, |it| it.len() as u64);
        for byte in length.to_be_bytes().iter().chain(bytes) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    scramble(hash)
}

fn count(raw: &RawRecord) -> Body {
    let json = |text: &Option<String>| {
        let value: Value = serde_json::from_str(text.as_deref()?).ok()?;
        let value = match value {
            Value::String(inner) => serde_json::from_str(&inner).ok()?,
            value => value,
        };
        match value {
            Value::Object(mut object) if object.contains_key("payload") => object.remove("payload"),
            value => Some(value),
        }
    };
    let unreadable = || Body::Unreadable("neither a number nor an object with a seqno".to_owned());
    let Some(value) = json(&raw.value) else {
        return unreadable();
    };
    let name = value.get("name").and_then(Value::as_str);
    let task = value.get("task").and_then(Value::as_u64);
    let task = task.or_else(|| json(&raw.key)?.as_u64());
    let seqno = value
        .as_u64()
        .or_else(|| value.get("seqno").and_then(Value::as_u64));
    match (task, seqno) {
        (Some(task), Some(seqno)) => {
            let source = match name {
                Some(name) => format!("{name}, task {task}"),
                None => format!("task {task}"),
            };
            Body::Count { source, seqno }
        }
        _ => unreadable(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(format: Format, key: Option<&str>, value: Option<&str>) -> (Option<RowKey>, Body) {
        let raw = RawRecord {
            topic: "s.d.t_reg".into(),
            partition: 0,
            offset: 7,
            at: 1,
            key: key.map(str::to_owned),
            value: value.map(str::to_owned),
        };
        let event = Parser::new(format, "t").event(&raw);
        (event.key, event.body)
    }

    fn update() -> Body {
        let row = |ver| Row {
            key: RowKey::Register(5),
            ver,
            writer: 1,
            wseq: 10 + ver,
            payload: "p0".to_owned(),
        };
        Body::Change(Change {
            op: Op::Update,
            before: Some(row(1)),
            after: Some(row(2)),
            transaction: Some(("0-1-9".to_owned(), 3)),
        })
    }

    #[test]
    fn one_change_is_read_alike_from_all_three_forms() {
        let before = r#"{"id":5,"ver":1,"writer":1,"wseq":11,"payload":"p0"}"#;
        let after = r#"{"id":5,"ver":2,"writer":1,"wseq":12,"payload":"p0"}"#;
        let rest = r#""source":{"table":"t_reg","pos":1},"transaction":{"id":"0-1-9","total_order":3,"data_collection_order":2},"op":"u","ts_ms":4"#;
        let plain = format!(r#"{{"before":{before},"after":{after},{rest}}}"#);
        let wrapped = format!(r#"{{"schema":{{"type":"struct"}},"payload":{plain}}}"#);
        let text = "Struct{before=Struct{id=5,ver=1,writer=1,wseq=11,payload=p0},\
                    after=Struct{id=5,ver=2,writer=1,wseq=12,payload=p0},source=Struct{table=t_reg,pos=1},\
                    transaction=Struct{id=0-1-9,total_order=3,data_collection_order=2},op=u,ts_ms=4}";
        let key = Some(RowKey::Register(5));
        let json = Format::ConnectJson;
        assert_eq!(
            body(json, Some(r#"{"id":5}"#), Some(&plain)),
            (key, update())
        );
        let wrapped_key = r#"{"schema":{},"payload":{"id":5}}"#;
        assert_eq!(
            body(json, Some(wrapped_key), Some(&wrapped)),
            (key, update())
        );
        let text = body(Format::StructString, Some("Struct{id=5}"), Some(text));
        assert_eq!(text, (key, update()));
    }

    #[test]
    fn accounts_and_lists_are_known_by_their_tables() {
        let read = |format, table: &str, text: &str| {
            let raw = RawRecord {
                topic: format!("s.d.t_{table}").into(),
                partition: 0,
                offset: 7,
                at: 1,
                key: Some(if format == Format::ConnectJson {
                    r#"{"id":5}"#.to_owned()
                } else {
                    "Struct{id=5}".to_owned()
                }),
                value: Some(text.to_owned()),
            };
            let event = Parser::new(format, "t").event(&raw);
            let Body::Change(change) = event.body else {
                return (event.key, String::new());
            };
            (
                event.key,
                change.after.map_or(String::new(), |it| it.payload),
            )
        };
        let account = r#"{"op":"c","after":{"id":5,"ver":1,"writer":0,"wseq":0,"balance":-40},"source":{"table":"t_vault"}}"#;
        let key = Some(RowKey::Ledger(Ledger::Vault, 5));
        let found = read(Format::ConnectJson, "vault", account);
        assert_eq!(found, (key, "-40".to_owned()));
        let text = "Struct{after=Struct{id=5,ver=2,writer=1,wseq=3,items=begin;e1.3},\
                    source=Struct{table=t_list},op=c}";
        let key = Some(RowKey::Ledger(Ledger::List, 5));
        let found = read(Format::StructString, "list", text);
        assert_eq!(found, (key, "begin;e1.3".to_owned()));
    }

    #[test]
    fn tombstones_ends_of_transactions_other_tables_and_damage_are_told_apart() {
        let json = |value: &str| body(Format::ConnectJson, None, Some(value)).1;
        let key = r#"{"writer":2,"seq":9}"#;
        let expected = Some(RowKey::Append { writer: 2, seq: 9 });
        let tombstone = body(Format::ConnectJson, Some(key), None);
        assert_eq!(tombstone, (expected, Body::Tombstone));
        let end = r#"{"status":"END","id":"9","event_count":2,"data_collections":[{"data_collection":"d.t_reg","event_count":2}]}"#;
        let tables = vec![("d.t_reg".to_owned(), 2)];
        let id = "9".to_owned();
        assert_eq!(json(end), Body::End { id, tables });
        let foreign = r#"{"before":null,"after":{"x":1},"source":{"table":"u"},"op":"c"}"#;
        assert_eq!(json(foreign), Body::Foreign("u".to_owned()));
        for damage in [
            "",
            "{",
            "{}",
            "[]",
            "{\"op\":\"c\",\"after\":{\"id\":\"x\"}}",
            "null",
        ] {
            assert!(matches!(json(damage), Body::Unreadable(_)), "{damage}");
        }
    }

    #[test]
    fn a_transaction_of_postgresql_is_known_by_its_number_alone() {
        assert_eq!(transaction_id("571:53195832"), "571");
        for id in ["0-1-9", "3E11FA47-71CA-11E1-9E33-C80AA9429562:23", ""] {
            assert_eq!(transaction_id(id), id);
        }
    }

    #[test]
    fn both_forms_of_the_verifiable_source_are_read() {
        let counted = |key, value| body(Format::Counter, key, Some(value)).1;
        let expected = |source: &str| Body::Count {
            source: source.to_owned(),
            seqno: 8,
        };
        assert_eq!(counted(Some("3"), "8"), expected("task 3"));
        let object = r#"{"name":"v","task":3,"topic":"t","time_ms":1,"seqno":8,"committed":true}"#;
        assert_eq!(counted(None, object), expected("v, task 3"));
        let wrapped = format!(r#"{{"schema":{{}},"payload":{object}}}"#);
        assert_eq!(counted(None, &wrapped), expected("v, task 3"));
        assert!(matches!(counted(None, "8"), Body::Unreadable(_)));
    }

    #[test]
    fn a_digest_knows_key_from_value_and_nothing_from_empty() {
        let of = |key, value| body(Format::Opaque, key, value).1;
        assert_ne!(of(Some("ab"), Some("c")), of(Some("a"), Some("bc")));
        assert_ne!(of(None, Some("")), of(Some(""), Some("")));
        assert_ne!(of(None, None), of(None, Some("")));
    }
}
