//! The tables of the workload: what each event must be, by what came before it.

use crate::check::Found;
use crate::event::{Body, Change, Event, Ledger, Op, Row, RowKey};
use crate::ledgers::LedgerCheck;
use crate::order::Commits;
use crate::sequence::{Sequence, Sight};
use crate::verdict::Rows;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Versions farther ahead than this are damage, not a gap.
const LEAP: u64 = 1_000_000;

/// What was seen of a version of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A row, by this writer in this attempt.
    Row(u32, u64),
    /// The register was deleted; the event does not say by whom.
    Deleted,
}

/// One register.
#[derive(Debug, Clone, Default)]
pub(crate) struct Register {
    pub(crate) versions: Sequence<Mark>,
    partition: i32,
    /// Only snapshots have been seen; a new snapshot may begin later, by right.
    only_snapshot: bool,
    /// Its first event was an insert after a snapshot that did not hold it: version `base` must be a delete.
    pub(crate) born_later: bool,
    /// A delete of this version waits for its tombstone.
    pub(crate) awaits_tombstone: Option<u64>,
    /// The newest version and the digest of its row, none when it was a delete: the topic, folded.
    pub(crate) last: (u64, Option<u64>),
    /// The last record is a tombstone, the last version a row.
    pub(crate) buried_alive: bool,
}

/// What was seen of a row of the append table: the attempt, the record's time, the row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appended {
    pub(crate) wseq: u64,
    pub(crate) at: i64,
    /// Of the whole row.
    pub(crate) digest: u64,
}

/// A writer's appends in one partition, in the order of their first sights.
#[derive(Debug, Clone, Default)]
struct Lane {
    seqs: Vec<u64>,
    current: usize,
}

impl Lane {
    /// As [`Sequence::observe`], with other partitions' numbers left out by right.
    fn observe(&mut self, seq: u64) -> Sight {
        let last = self.seqs.last();
        if last.is_none_or(|last| seq > *last) {
            let in_a_rewind = !self.has_caught_up();
            self.seqs.push(seq);
            self.current = self.seqs.len() - 1;
            return if in_a_rewind { Sight::Skip } else { Sight::New };
        }
        match self.seqs.binary_search(&seq) {
            Err(at) => {
                self.seqs.insert(at, seq);
                self.current += usize::from(at <= self.current);
                Sight::Late
            }
            Ok(at) => {
                let current = std::mem::replace(&mut self.current, at);
                if at <= current {
                    Sight::Rewind((self.seqs.len() - at) as u64)
                } else if at == current + 1 {
                    Sight::Again
                } else {
                    Sight::Skip
                }
            }
        }
    }

    fn has_caught_up(&self) -> bool {
        self.current + 1 >= self.seqs.len()
    }
}

/// A transaction of the metadata topic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transaction {
    /// Numbers of its events that were seen.
    pub(crate) orders: Vec<u64>,
    /// Events of the tables read, when its end was seen: the most that any of its ends tells.
    pub(crate) expected: Option<u64>,
}

/// Everything seen of the workload.
#[derive(Debug, Clone)]
pub(crate) struct RowCheck {
    pub(crate) rows: Rows,
    pub(crate) registers: BTreeMap<i64, Register>,
    /// By writer: its appends by number.
    pub(crate) appends: BTreeMap<u32, Sequence<Appended>>,
    lanes: HashMap<(u32, i32), Lane>,
    /// Where an append was seen first.
    append_partitions: HashMap<(u32, u64), i32>,
    /// By topic, partition and writer: the last attempt seen.
    sessions: HashMap<(Arc<str>, i32, u32), u64>,
    pub(crate) transactions: HashMap<String, Transaction>,
    pub(crate) commits: Commits,
    /// Accounts and lists.
    pub(crate) ledgers: LedgerCheck,
    /// Versions and appends that were seen again with another writer or attempt.
    pub(crate) others: Vec<(RowKey, u64, Mark)>,
}

/// How many contradicting sights are kept for the comparison with the history.
const OTHERS: usize = 100_000;

impl RowCheck {
    pub(crate) fn new(rows: Rows) -> Self {
        Self {
            rows,
            registers: BTreeMap::new(),
            appends: BTreeMap::new(),
            lanes: HashMap::new(),
            append_partitions: HashMap::new(),
            sessions: HashMap::new(),
            transactions: HashMap::new(),
            commits: Commits::default(),
            ledgers: LedgerCheck::default(),
            others: Vec::new(),
        }
    }

    pub(crate) fn observe(&mut self, event: &Event, found: &mut Found) {
        match &event.body {
            Body::Change(change) => self.change(event, change, found),
            Body::Tombstone => self.tombstone(event, found),
            Body::Begin => {}
            Body::End { id, tables } => self.end(id, tables),
            Body::Count { .. } | Body::Opaque(_) | Body::Foreign(_) | Body::Unreadable(_) => {
                found.corrupt(event, "not a change of a row");
            }
        }
    }

    fn change(&mut self, event: &Event, change: &Change, found: &mut Found) {
        if let Some((id, order)) = &change.transaction {
            let orders = &mut self.transactions.entry(id.clone()).or_default().orders;
            if let Err(at) = orders.binary_search(order) {
                orders.insert(at, *order);
            }
        }
        let row = match (change.op, &change.before, &change.after) {
            (Op::Create | Op::Read, None, Some(row))
            | (Op::Update, Some(_), Some(row))
            | (Op::Delete, Some(row), None) => row,
            (Op::Create | Op::Read, Some(_), Some(row)) => {
                let example = || format!("{}: {} has a before", event.place(), row.key);
                found.verdict.broken_chain.add(example);
                row
            }
            (op, before, _) => {
                let why = if before.is_none() {
                    "no before: full row images are needed"
                } else {
                    "rows do not fit"
                };
                return found.corrupt(event, &format!("{op:?}: {why}"));
            }
        };
        if event.key != Some(row.key) {
            let why = match event.key {
                Some(key) => format!("the record's key is {key}, the row is {}", row.key),
                None => format!("no key, the row is {}", row.key),
            };
            return found.corrupt(event, &why);
        }
        for row in [&change.before, &change.after].into_iter().flatten() {
            if !row.is_sound() {
                let (key, writer, wseq) = (row.key, row.writer, row.wseq);
                let why = format!("{key}: not the payload of attempt {wseq} of writer {writer}");
                found.corrupt(event, &why);
            }
        }
        let is_first = match row.key {
            RowKey::Register(id) if self.rows.registers => {
                self.register(id, event, change, row, found)
            }
            RowKey::Append { writer, seq } if self.rows.appends => {
                self.append((writer, seq), event, change.op, row, found)
            }
            RowKey::Ledger(ledger, id) if self.rows.reads(ledger) => {
                let at = (ledger, id);
                let is_first = self.ledgers.observe(at, event, change, row, found);
                if is_first {
                    self.session(event, row, found);
                }
                is_first
            }
            key => {
                let example = || format!("{}: {key}, which was not to be read", event.place());
                return found.verdict.phantom.add(example);
            }
        };
        if let Some((id, _)) = &change.transaction
            && self.rows.transactions
        {
            // Attempt 0 made the tables; a delete does not say whose it is.
            let owner = change.after.as_ref().filter(|it| it.wseq > 0);
            let owner = owner.map(|it| (it.writer, it.wseq));
            let verdict = &mut found.verdict;
            self.commits.observe(event, id, owner, is_first, verdict);
        }
    }

    /// True when this version was seen for the first time.
    fn register(
        &mut self,
        id: i64,
        event: &Event,
        change: &Change,
        row: &Row,
        found: &mut Found,
    ) -> bool {
        let (ver, mark) = if change.op == Op::Delete {
            (row.ver + 1, Mark::Deleted)
        } else {
            (row.ver, Mark::Row(row.writer, row.wseq))
        };
        if ver == 0 {
            found.corrupt(event, "versions count from 1");
            return false;
        }
        let snapshots = found.verdict.snapshot;
        let is_snapshot = change.op == Op::Read;
        found.verdict.snapshot += u64::from(is_snapshot);
        let register = self
            .registers
            .entry(id)
            .or_insert_with(|| Register::begun(ver, event.partition, change.op, snapshots > 0));
        if ver > register.versions.max() + LEAP {
            let why = format!("register {id}: version {ver} is out of any range");
            found.corrupt(event, &why);
            return false;
        }
        if register.partition != event.partition {
            let example = || format!("{}: register {id} changed its partition", event.place());
            found.verdict.reordered.add(example);
        }
        register.only_snapshot &= is_snapshot;
        if register.only_snapshot && ver > register.versions.max() {
            register.versions = Sequence::after(ver - 1);
        }
        register.settle_tombstone(id, ver, event, found);
        register.chain(id, ver, event, change, found);
        if ver >= register.last.0 {
            register.last = (ver, change.after.as_ref().map(Row::digest));
        }
        let earlier = register.versions.get(ver).copied();
        let sight = register.versions.observe(ver, mark);
        found.sight(sight, || {
            format!("{}: register {id}, version {ver}", event.place())
        });
        if let Some(earlier) = earlier
            && earlier != mark
        {
            let example = || format!("{}: register {id} has two versions {ver}", event.place());
            found.verdict.broken_chain.add(example);
            self.contradict(row.key, ver, mark);
        }
        if change.op == Op::Delete {
            if let Some(register) = self.registers.get_mut(&id) {
                register.awaits_tombstone = self.rows.tombstones.then_some(ver);
            }
        } else if !is_snapshot && earlier.is_none() {
            self.session(event, row, found);
        }
        earlier.is_none()
    }

    fn contradict(&mut self, key: RowKey, ver: u64, mark: Mark) {
        if self.others.len() < OTHERS {
            self.others.push((key, ver, mark));
        }
    }

    /// Events of one writer come in the order of its attempts.
    fn session(&mut self, event: &Event, row: &Row, found: &mut Found) {
        if !self.rows.session_order {
            return;
        }
        let key = (Arc::clone(&event.topic), event.partition, row.writer);
        let last = self.sessions.entry(key).or_default();
        if row.wseq < *last {
            let example = || {
                let (key, writer, wseq) = (row.key, row.writer, row.wseq);
                let place = event.place();
                format!("{place}: {key} of attempt {wseq} of writer {writer} after attempt {last}")
            };
            found.verdict.reordered.add(example);
        }
        *last = row.wseq.max(*last);
    }

    /// True when this row was seen for the first time.
    fn append(
        &mut self,
        (writer, seq): (u32, u64),
        event: &Event,
        op: Op,
        row: &Row,
        found: &mut Found,
    ) -> bool {
        if row.writer != writer || !matches!(op, Op::Create | Op::Read) {
            let example = || format!("{}: {op:?} of {}", event.place(), row.key);
            found.verdict.phantom.add(example);
            return false;
        }
        found.verdict.snapshot += u64::from(op == Op::Read);
        let appends = self.appends.entry(writer).or_default();
        if seq == 0 || seq > appends.max() + LEAP {
            found.corrupt(event, &format!("{} is out of any range", row.key));
            return false;
        }
        let home = *self
            .append_partitions
            .entry((writer, seq))
            .or_insert(event.partition);
        if home != event.partition {
            let example = || format!("{}: {} changed its partition", event.place(), row.key);
            found.verdict.reordered.add(example);
        }
        let earlier = appends.get(seq).copied();
        let appended = Appended {
            wseq: row.wseq,
            at: event.at,
            digest: row.digest(),
        };
        appends.observe(seq, appended);
        if op == Op::Read {
            // A snapshot reads a table in the order of its pages, and begins anew when it is broken off.
            found.verdict.duplicated.count += u64::from(earlier.is_some());
        } else {
            let lane = self.lanes.entry((writer, event.partition)).or_default();
            let sight = lane.observe(seq);
            found.sight(sight, || format!("{}: {}", event.place(), row.key));
        }
        match earlier {
            Some(earlier) if earlier.wseq != row.wseq => {
                let example = || format!("{}: {} was written twice", event.place(), row.key);
                found.verdict.broken_chain.add(example);
                self.contradict(row.key, 0, Mark::Row(writer, row.wseq));
            }
            None if op == Op::Create => self.session(event, row, found),
            _ => {}
        }
        earlier.is_none()
    }

    fn tombstone(&mut self, event: &Event, found: &mut Found) {
        match event.key {
            Some(RowKey::Register(id)) if self.rows.registers => {
                let Some(register) = self.registers.get_mut(&id) else {
                    let example = || format!("{}: a tombstone of register {id}", event.place());
                    return found.verdict.phantom.add(example);
                };
                if register.partition != event.partition {
                    let example = || {
                        let place = event.place();
                        format!("{place}: register {id} has its tombstone in another partition")
                    };
                    return found.verdict.reordered.add(example);
                }
                let current = register.versions.get(register.versions.current());
                register.buried_alive = current != Some(&Mark::Deleted);
                register.awaits_tombstone = None;
            }
            Some(key) => {
                let example = || format!("{}: a tombstone of {key}", event.place());
                found.verdict.phantom.add(example);
            }
            None => found.corrupt(event, "neither key nor value"),
        }
    }

    fn end(&mut self, id: &str, tables: &[(String, u64)]) {
        let name = &self.rows.table;
        let ledgers =
            Ledger::ALL.map(|it| (self.rows.reads(it), format!("{name}_{}", it.suffix())));
        let read: Vec<_> = [
            (self.rows.registers, format!("{name}_reg")),
            (self.rows.appends, format!("{name}_log")),
        ]
        .into_iter()
        .chain(ledgers)
        .collect();
        let is_read = |table: &str| {
            let table = table.rsplit('.').next();
            read.iter().any(|(read, it)| *read && table == Some(it))
        };
        let counts = tables.iter().filter(|(table, _)| is_read(table));
        let expected = counts.map(|(_, count)| count).sum();
        self.commits.end(id);
        let transaction = self.transactions.entry(id.to_owned()).or_default();
        // Debezium ends a transaction again after a restart, and then counts what it sent since: often 0.
        transaction.expected = transaction.expected.max(Some(expected));
    }

    /// Partitions of a writer in which the last rewind has not come back.
    pub(crate) fn behind(&self) -> impl Iterator<Item = (u32, i32)> + '_ {
        let behind = self.lanes.iter().filter(|(_, lane)| !lane.has_caught_up());
        behind.map(|(at, _)| *at)
    }
}

impl Register {
    /// By the first event of it.
    fn begun(ver: u64, partition: i32, op: Op, after_a_snapshot: bool) -> Self {
        let is_snapshot = op == Op::Read;
        let born_later = op == Op::Create && after_a_snapshot && ver > 1;
        let base = if is_snapshot || born_later {
            ver - 1
        } else {
            0
        };
        Self {
            versions: Sequence::after(base),
            partition,
            only_snapshot: is_snapshot,
            born_later,
            ..Self::default()
        }
    }

    /// A later version after a delete: its tombstone must have come in between. An earlier one: it will come again.
    fn settle_tombstone(&mut self, id: i64, ver: u64, event: &Event, found: &mut Found) {
        self.buried_alive = false;
        if let Some(deleted) = self.awaits_tombstone.take()
            && ver > deleted
        {
            let place = event.place();
            let example = || format!("{place}: no tombstone before, for register {id}");
            found.verdict.lost.add(example);
        }
    }

    /// The row before an event is the row after the version before it.
    fn chain(&self, id: i64, ver: u64, event: &Event, change: &Change, found: &mut Found) {
        if change.op == Op::Read {
            return;
        }
        let previous = self.versions.get(ver.wrapping_sub(1));
        let before = change.before.as_ref();
        let fits = match (previous, before) {
            (None | Some(Mark::Deleted), None) | (None, Some(_)) => true,
            (Some(Mark::Row(writer, wseq)), Some(row)) => {
                (row.writer, row.wseq) == (*writer, *wseq)
            }
            (Some(Mark::Row(..)), None) | (Some(Mark::Deleted), Some(_)) => false,
        };
        let follows = before.is_none_or(|row| row.ver + 1 == ver);
        if !fits || !follows {
            found.verdict.broken_chain.add(|| {
                let place = event.place();
                format!(
                    "{place}: register {id}, version {ver}: before is not version {}",
                    ver - 1
                )
            });
        }
    }
}
