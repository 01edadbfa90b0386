//! A database and a faultless pipeline in memory: the same workload as the writers', and the events that it would give.

use crate::dice::Dice;
use crate::event::{Body, Change, Event, Ledger, Op, Row, RowKey};
use crate::history::{self, Attempt, Final, Finals, History, Kind, LedgerRow, Leg, Outcome, Write};
use crate::payload::{Place, payload};
use crate::workload;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Name of the model's workload.
pub const TABLE: &str = "model";
/// Topics that the model writes: registers, appends, transactions, accounts, more accounts, lists.
pub const TOPICS: [&str; 6] = [
    "m.d.model_reg",
    "m.d.model_log",
    "m.transaction",
    "m.d.model_bank",
    "m.d.model_vault",
    "m.d.model_list",
];
/// Partitions of all but the third.
const PARTITIONS: i32 = 3;
const WRITERS: u32 = 4;
/// Of 100 COMMITs, so many have no answer; half of them happened all the same.
const UNKNOWN: u64 = 2;

#[derive(Debug, Default)]
struct Register {
    ver: u64,
    row: Option<Row>,
}

/// The database, the history, and the topics.
#[derive(Debug)]
struct Model {
    dice: Dice,
    registers: BTreeMap<i64, Register>,
    ledgers: BTreeMap<(Ledger, i64), Row>,
    /// The append table: writer, number, digest.
    appended: BTreeMap<(u32, u64), u64>,
    /// By writer: attempts, appends.
    writers: Vec<(u64, u64)>,
    history: History,
    events: Vec<Event>,
    topics: [Arc<str>; 6],
    clock: i64,
}

/// Runs so many transactions over so many registers; the same seed gives the same run.
pub fn run(seed: u64, transactions: u32, keys: u32) -> (History, Vec<Event>) {
    let mut model = Model {
        dice: Dice::new(seed),
        registers: BTreeMap::new(),
        ledgers: BTreeMap::new(),
        appended: BTreeMap::new(),
        writers: vec![(0, 0); WRITERS as usize],
        history: History {
            table: TABLE.to_owned(),
            ..History::default()
        },
        events: Vec::new(),
        topics: TOPICS.map(Arc::from),
        clock: 1_000_000,
    };
    model.open_ledgers();
    for number in 0..transactions {
        model.transaction(number, keys);
    }
    let registers = model.registers.iter().map(|(id, register)| Final {
        id: *id,
        ver: register.ver,
        by: register.row.as_ref().map(|row| (row.writer, row.wseq)),
        row: register.row.as_ref().map(Row::digest),
    });
    let mut stretches = Vec::new();
    for (key, digest) in &model.appended {
        history::add_row(&mut stretches, *key, *digest);
    }
    model.history.finals = Some(Finals {
        registers: registers.collect(),
        stretches,
        appends: (0..).zip(model.writers.iter().map(|it| it.1)).collect(),
        ledgers: model
            .ledgers
            .iter()
            .map(|(at, row)| ledger_row(*at, row))
            .collect(),
    });
    number_offsets(&mut model.events);
    (model.history, model.events)
}

fn ledger_row((ledger, id): (Ledger, i64), row: &Row) -> LedgerRow {
    LedgerRow {
        ledger,
        id,
        ver: row.ver,
        by: (row.writer, row.wseq),
        value: row.payload.clone(),
    }
}

/// Gives each record the offset of its place.
pub fn number_offsets(events: &mut [Event]) {
    let mut next: HashMap<(Arc<str>, i32), i64> = HashMap::new();
    for event in events {
        let next = next
            .entry((Arc::clone(&event.topic), event.partition))
            .or_default();
        event.offset = *next;
        *next += 1;
    }
}

impl Model {
    fn transaction(&mut self, number: u32, keys: u32) {
        self.clock += 1 + i64::try_from(self.dice.below(20)).unwrap_or(0);
        let plan = workload::next(&mut self.dice, keys);
        let at = self.dice.index(self.writers.len());
        let writer = u32::try_from(at).unwrap_or(0);
        let (wseq, seq) = (self.writers[at].0 + 1, self.writers[at].1 + 1);
        self.writers[at].0 = wseq;
        let is_unknown = self.dice.percent(UNKNOWN);
        let is_refused = is_unknown && self.dice.percent(50);
        let commits = !(plan.rolls_back || is_refused);
        let mut attempt = Attempt {
            writer,
            wseq,
            seq,
            writes: Vec::new(),
            legs: Vec::new(),
            outcome: match (plan.rolls_back, is_unknown) {
                (true, _) => Outcome::Fail,
                (false, true) => Outcome::Unknown,
                (false, false) => Outcome::Ok,
            },
            at: self.clock,
        };
        let mut changes = Vec::new();
        for (id, wants_delete) in plan.registers {
            changes.push(self.change(id, wants_delete, &mut attempt, commits));
        }
        for leg in plan.legs {
            changes.push(self.leg(leg, &mut attempt, commits));
        }
        let appended = Row {
            key: RowKey::Append { writer, seq },
            ver: 0,
            writer,
            wseq,
            payload: payload(writer, wseq, Place::Append),
        };
        if commits {
            self.appended.insert((writer, seq), appended.digest());
        }
        changes.push(Change {
            op: Op::Create,
            before: None,
            after: Some(appended),
            transaction: None,
        });
        self.history.attempts.push(attempt);
        if commits {
            self.writers[at].1 = seq;
            self.publish(&format!("0-1-{number}"), changes);
        }
    }

    fn change(
        &mut self,
        id: i64,
        wants_delete: bool,
        attempt: &mut Attempt,
        commits: bool,
    ) -> Change {
        let register = self.registers.entry(id).or_default();
        let kind = workload::kind(register.row.is_some(), wants_delete);
        let ver = register.ver + 1;
        attempt.writes.push(Write(id, ver, kind));
        let after = (kind != Kind::Delete).then(|| Row {
            key: RowKey::Register(id),
            ver,
            writer: attempt.writer,
            wseq: attempt.wseq,
            payload: payload(attempt.writer, attempt.wseq, Place::Register(id)),
        });
        let before = register.row.clone();
        if commits {
            register.ver = ver;
            register.row.clone_from(&after);
        }
        Change {
            op: match kind {
                Kind::Insert => Op::Create,
                Kind::Update => Op::Update,
                Kind::Delete => Op::Delete,
            },
            before,
            after,
            transaction: None,
        }
    }

    /// The rows that every ledger begins with.
    fn open_ledgers(&mut self) {
        for ledger in Ledger::ALL {
            let rows = (1..=workload::LEDGER_ROWS).map(|id| Row {
                key: RowKey::Ledger(ledger, id),
                ver: 1,
                writer: 0,
                wseq: 0,
                payload: workload::opening(ledger),
            });
            let rows: Vec<Row> = rows.collect();
            let changes = rows.iter().map(|row| Change {
                op: Op::Create,
                before: None,
                after: Some(row.clone()),
                transaction: None,
            });
            self.publish(&format!("0-1-open-{}", ledger.suffix()), changes.collect());
            self.ledgers
                .extend((1..).zip(rows).map(|(id, row)| ((ledger, id), row)));
        }
    }

    fn leg(
        &mut self,
        (ledger, id, amount): (Ledger, i64, i64),
        attempt: &mut Attempt,
        commits: bool,
    ) -> Change {
        let key = RowKey::Ledger(ledger, id);
        let (writer, wseq) = (attempt.writer, attempt.wseq);
        let before = self.ledgers.get(&(ledger, id)).cloned();
        let ver = before.as_ref().map_or(0, |it| it.ver) + 1;
        let old = before.as_ref().map_or("", |it| &it.payload);
        let balance = (ledger != Ledger::List).then(|| old.parse::<i64>().unwrap_or(0) + amount);
        let payload = match balance {
            Some(balance) => balance.to_string(),
            None => workload::appended(old, ver, writer, wseq),
        };
        attempt.legs.push(Leg(ledger, id, ver, balance));
        let after = Row {
            key,
            ver,
            writer,
            wseq,
            payload,
        };
        if commits {
            self.ledgers.insert((ledger, id), after.clone());
        }
        Change {
            op: Op::Update,
            before,
            after: Some(after),
            transaction: None,
        }
    }

    fn publish(&mut self, id: &str, changes: Vec<Change>) {
        self.put(2, 0, None, Body::Begin);
        let mut counts = [0; 6];
        for (mut change, order) in changes.into_iter().zip(1..) {
            change.transaction = Some((id.to_owned(), order));
            let Some(key) = change
                .after
                .as_ref()
                .or(change.before.as_ref())
                .map(|it| it.key)
            else {
                continue;
            };
            let is_delete = change.op == Op::Delete;
            let (topic, partition) = match key {
                RowKey::Register(id) => (0, id % i64::from(PARTITIONS)),
                RowKey::Append { seq, .. } => (1, i64::try_from(seq % 3).unwrap_or(0)),
                RowKey::Ledger(Ledger::Bank, id) => (3, id % i64::from(PARTITIONS)),
                RowKey::Ledger(Ledger::Vault, id) => (4, id % i64::from(PARTITIONS)),
                RowKey::Ledger(Ledger::List, id) => (5, id % i64::from(PARTITIONS)),
            };
            let partition = i32::try_from(partition).unwrap_or(0);
            counts[topic] += 1;
            self.put(topic, partition, Some(key), Body::Change(change));
            if is_delete {
                self.put(topic, partition, Some(key), Body::Tombstone);
            }
        }
        let names = TOPICS.map(|it| it.trim_start_matches("m.").to_owned());
        let tables = names.into_iter().zip(counts).filter(|it| it.1 > 0);
        let tables = tables.collect();
        let id = id.to_owned();
        self.put(2, 0, None, Body::End { id, tables });
    }

    fn put(&mut self, topic: usize, partition: i32, key: Option<RowKey>, body: Body) {
        self.events.push(Event {
            topic: Arc::clone(&self.topics[topic]),
            partition,
            offset: 0,
            at: self.clock + 5,
            key,
            body,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_run_and_holds_every_kind_of_event() {
        let (history, events) = run(3, 500, 40);
        assert_eq!((history.clone(), events.clone()), run(3, 500, 40));
        for op in [Op::Create, Op::Update, Op::Delete] {
            let is_op = |it: &&Event| matches!(&it.body, Body::Change(change) if change.op == op);
            assert!(events.iter().any(|it| is_op(&it)), "{op:?}");
        }
        for outcome in [Outcome::Ok, Outcome::Fail, Outcome::Unknown] {
            assert!(history.count(outcome) > 0, "{outcome:?}");
        }
    }
}
