//! The faults, each as small as it can be.

use super::honest::{Play, repeat, rewinds};
use super::stage::{Stage, change, op, register_row, version};
use crate::event::{Body, Event, Op, RowKey};
use crate::history::{Attempt, Kind, Outcome};
use crate::payload::{Place, payload};

/// A fault, and the kinds of finding of which at least one must tell it.
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) found_as: &'static [&'static str],
    /// Only a fault where exactly once was promised.
    pub(super) exactly_once: bool,
    pub(super) play: Play,
}

pub(super) const fn fault(
    name: &'static str,
    found_as: &'static [&'static str],
    play: Play,
) -> Fault {
    Fault {
        name,
        found_as,
        exactly_once: false,
        play,
    }
}

pub(super) const FAULTS: &[Fault] = &[
    fault("an append is dropped", &["lost"], drop_append),
    fault(
        "a writer's last append is dropped",
        &["lost"],
        drop_last_append,
    ),
    fault(
        "an update is dropped that a later one hides",
        &["lost"],
        drop_masked,
    ),
    fault("a key's last change is dropped", &["lost"], drop_last),
    fault(
        "a whole transaction is dropped",
        &["lost"],
        drop_transaction,
    ),
    fault("a part of a transaction is dropped", &["torn"], drop_part),
    fault(
        "a delete is dropped with its tombstone",
        &["lost"],
        drop_delete,
    ),
    fault("a tombstone is dropped", &["lost"], drop_tombstone),
    fault("an offset is set forward", &["lost"], set_forward),
    fault("a topic's last stretch is missing", &["lost"], cut_off),
    fault(
        "two changes of a key are swapped",
        &["reordered"],
        swap_versions,
    ),
    fault(
        "two transactions' changes are swapped",
        &["reordered"],
        swap_transactions,
    ),
    fault(
        "a tombstone comes before its delete",
        &["lost", "reordered"],
        early_tombstone,
    ),
    fault(
        "a tombstone comes for a row that lives",
        &["reordered"],
        stray_tombstone,
    ),
    fault("one old change is repeated", &["reordered"], stale_repeat),
    fault(
        "a key's last record is an old one",
        &["reordered"],
        stale_end,
    ),
    fault(
        "a rewind leaves a record out",
        &["reordered"],
        rewind_with_hole,
    ),
    fault(
        "a rewind does not come back",
        &["reordered"],
        unfinished_rewind,
    ),
    fault("two workers write at once", &["reordered"], zombie),
    fault(
        "a record is in another partition",
        &["reordered"],
        other_partition,
    ),
    fault(
        "a row before is an older one",
        &["broken chain"],
        stale_before,
    ),
    fault(
        "a row after is an older one",
        &["reordered", "lost"],
        stale_after,
    ),
    fault("a version holds an older value", &["phantom"], stale_value),
    fault(
        "a payload is changed by one letter",
        &["corrupt"],
        damaged_payload,
    ),
    fault("a payload is cut", &["corrupt"], cut_payload),
    fault("a record cannot be read", &["corrupt"], unreadable),
    fault("a record has another row's key", &["corrupt"], wrong_key),
    fault("a rolled back change appears", &["phantom"], rolled_back),
    fault(
        "a change of a writer that does not exist appears",
        &["phantom"],
        no_such_writer,
    ),
    fault(
        "an append appears that nobody made",
        &["phantom"],
        made_up_append,
    ),
    fault("a row of another table appears", &["phantom"], other_table),
    Fault {
        name: "a record comes twice under exactly-once",
        found_as: &["duplicated"],
        exactly_once: true,
        play: |stage| {
            let at = stage.neighbours(1, |_| true)?;
            repeat(stage, &at, at[0]);
            Some(())
        },
    },
    Fault {
        name: "a rewind happens under exactly-once",
        found_as: &["duplicated"],
        exactly_once: true,
        play: |stage| rewinds(stage, 3, 50),
    },
];

fn is_append(event: &Event) -> Option<(u32, u64)> {
    match version(event)?.0 {
        RowKey::Append { writer, seq } => Some((writer, seq)),
        RowKey::Register(_) | RowKey::Ledger(..) => None,
    }
}

/// Indices of all records of an append.
fn appends(stage: &Stage<'_>, key: RowKey) -> Vec<usize> {
    let events = stage.events.iter().enumerate();
    let events = events.filter(|(_, it)| version(it).is_some_and(|it| it.0 == key));
    events.map(|(at, _)| at).collect()
}

fn drop_append(stage: &mut Stage<'_>) -> Option<()> {
    let keys: Vec<_> = stage.events.iter().filter_map(is_append).collect();
    let (writer, seq) = stage.any(&keys)?;
    stage.remove(appends(stage, RowKey::Append { writer, seq }));
    Some(())
}

fn committed<'a>(stage: &Stage<'a>, wish: impl Fn(&Attempt) -> bool) -> Vec<&'a Attempt> {
    let attempts = stage.history.attempts.iter();
    attempts
        .filter(|it| it.outcome == Outcome::Ok && wish(it))
        .collect()
}

fn drop_last_append(stage: &mut Stage<'_>) -> Option<()> {
    let last = committed(stage, |_| true).pop()?;
    stage.remove(appends(stage, last.append_key()?));
    Some(())
}

fn drop_masked(stage: &mut Stage<'_>) -> Option<()> {
    let both = |it: &[&Event]| it.iter().all(|it| op(it) == Some(Op::Update));
    let at = stage.neighbours(2, both)?;
    stage.remove(vec![at[0]]);
    Some(())
}

fn drop_last(stage: &mut Stage<'_>) -> Option<()> {
    let lasts = stage.registers().into_values();
    let lasts: Vec<usize> = lasts
        .filter_map(|it| it.last().copied())
        .filter(|at| op(&stage.events[*at]) != Some(Op::Delete))
        .filter(|at| is_committed(stage, *at))
        .collect();
    let at = stage.any(&lasts)?;
    stage.remove(vec![at]);
    Some(())
}

fn is_committed(stage: &Stage<'_>, at: usize) -> bool {
    register_row(&stage.events[at]).is_some_and(|row| {
        let is_it = |it: &Attempt| (it.writer, it.wseq) == (row.writer, row.wseq);
        !committed(stage, is_it).is_empty()
    })
}

/// Indices of every record of a transaction, tombstones as well.
fn records_of(stage: &Stage<'_>, attempt: &Attempt) -> Vec<usize> {
    let wrote = |key: RowKey, ver: u64| match key {
        RowKey::Register(id) => attempt.writes.iter().any(|it| (it.0, it.1) == (id, ver)),
        RowKey::Append { .. } => Some(key) == attempt.append_key(),
        RowKey::Ledger(ledger, id) => {
            let mut legs = attempt.legs.iter();
            legs.any(|it| (it.0, it.1, it.2) == (ledger, id, ver))
        }
    };
    let mut indices = Vec::new();
    for (at, event) in stage.events.iter().enumerate() {
        if version(event).is_some_and(|(key, ver)| wrote(key, ver)) {
            indices.push(at);
            if op(event) == Some(Op::Delete) {
                indices.extend(stage.tombstone_after(at));
            }
        }
    }
    indices.sort_unstable();
    indices.dedup();
    indices
}

/// Transactions that are looked at for one that is in the run with all its records; a snapshot may have most of them.
const LOOKS: usize = 50;

/// The records of a transaction of several rows, none of which came twice or in a snapshot.
fn whole_transaction(stage: &mut Stage<'_>, wish: impl Fn(&Attempt) -> bool) -> Option<Vec<usize>> {
    let many = committed(stage, |it| it.writes.len() > 2 && wish(it));
    (0..LOOKS).find_map(|_| {
        let attempt = stage.any(&many)?;
        let records = records_of(stage, attempt);
        let deletes = attempt.writes.iter().filter(|it| it.2 == Kind::Delete);
        let wanted = attempt.rows() + deletes.count();
        let is_whole = records.len() == wanted
            && records
                .iter()
                .all(|at| op(&stage.events[*at]) != Some(Op::Read));
        is_whole.then_some(records)
    })
}

fn drop_transaction(stage: &mut Stage<'_>) -> Option<()> {
    let records = whole_transaction(stage, |_| true)?;
    stage.remove(records);
    Some(())
}

fn drop_part(stage: &mut Stage<'_>) -> Option<()> {
    let without_deletes = |it: &Attempt| it.writes.iter().all(|it| it.2 != Kind::Delete);
    let mut records = whole_transaction(stage, without_deletes)?;
    records.truncate(records.len() / 2);
    stage.remove(records);
    Some(())
}

fn delete_of(stage: &mut Stage<'_>) -> Option<usize> {
    let is_delete = |it: &[&Event]| op(it[0]) == Some(Op::Delete);
    Some(stage.neighbours(1, is_delete)?[0])
}

fn drop_delete(stage: &mut Stage<'_>) -> Option<()> {
    let at = delete_of(stage)?;
    let tombstone = stage.tombstone_after(at)?;
    stage.remove(vec![at, tombstone]);
    Some(())
}

fn drop_tombstone(stage: &mut Stage<'_>) -> Option<()> {
    let at = delete_of(stage)?;
    stage.remove(vec![stage.tombstone_after(at)?]);
    Some(())
}

fn set_forward(stage: &mut Stage<'_>) -> Option<()> {
    let lane = stage.busy_lane()?;
    let begin = lane.len() / 3;
    stage.remove(lane.get(begin..begin + 25)?.to_vec());
    Some(())
}

fn cut_off(stage: &mut Stage<'_>) -> Option<()> {
    let lane = stage.busy_lane()?;
    stage.remove(lane[lane.len().checked_sub(15)?..].to_vec());
    Some(())
}

fn updates(it: &[&Event]) -> bool {
    it.iter().all(|it| op(it) == Some(Op::Update))
}

fn swap_versions(stage: &mut Stage<'_>) -> Option<()> {
    let at = stage.neighbours(2, updates)?;
    stage.swap(at[0], at[1]);
    Some(())
}

/// Of one writer and one partition, different transactions and different keys: no key alone tells it.
fn swap_transactions(stage: &mut Stage<'_>) -> Option<()> {
    let once: Vec<usize> = stage.registers().into_values().flatten().collect();
    let mut pairs = Vec::new();
    for lane in stage.lanes().into_values() {
        for (nth, a) in lane.iter().enumerate() {
            let Some(first) = register_row(&stage.events[*a]) else {
                continue;
            };
            // Up to the next record of the same writer, and none of these two keys in between.
            let second = lane[nth + 1..].iter().find_map(|b| {
                let row = register_row(&stage.events[*b])?;
                let ends = row.writer == first.writer || row.key == first.key;
                ends.then_some((*b, row))
            });
            if let Some((b, second)) = second
                && second.writer == first.writer
                && second.key != first.key
                && second.wseq != first.wseq
                && once.contains(a)
                && once.contains(&b)
            {
                pairs.push((*a, b));
            }
        }
    }
    let (a, b) = stage.any(&pairs)?;
    stage.swap(a, b);
    Some(())
}

fn early_tombstone(stage: &mut Stage<'_>) -> Option<()> {
    let at = delete_of(stage)?;
    let tombstone = stage.tombstone_after(at)?;
    stage.swap(at, tombstone);
    Some(())
}

fn stray_tombstone(stage: &mut Stage<'_>) -> Option<()> {
    let lasts = stage.registers().into_values();
    let lasts: Vec<usize> = lasts.filter_map(|it| it.last().copied()).collect();
    let lives: Vec<usize> = lasts
        .into_iter()
        .filter(|at| register_row(&stage.events[*at]).is_some())
        .collect();
    let at = stage.any(&lives)?;
    let body = Body::Tombstone;
    let stray = Event {
        body,
        ..stage.events[at].clone()
    };
    stage.events.insert(at + 1, stray);
    Some(())
}

fn stale_repeat(stage: &mut Stage<'_>) -> Option<()> {
    let at = stage.neighbours(4, updates)?;
    repeat(stage, &at[..1], at[2]);
    Some(())
}

fn stale_end(stage: &mut Stage<'_>) -> Option<()> {
    let registers = stage.registers().into_values();
    let long: Vec<Vec<usize>> = registers.filter(|it| it.len() > 3).collect();
    let at = stage.any(&long)?;
    let end = stage.events.len() - 1;
    repeat(stage, &at[at.len() - 2..at.len() - 1], end);
    Some(())
}

fn rewind_with_hole(stage: &mut Stage<'_>) -> Option<()> {
    let at = stage.neighbours(5, updates)?;
    let lane = stage.lanes().into_values().find(|it| it.contains(&at[0]))?;
    let place = |index: usize| lane.iter().position(|it| *it == index);
    let stretch = &lane[place(at[0])?..=place(at[4])?];
    let holed: Vec<usize> = stretch.iter().copied().filter(|it| *it != at[2]).collect();
    repeat(stage, &holed, at[4]);
    Some(())
}

fn unfinished_rewind(stage: &mut Stage<'_>) -> Option<()> {
    let lane = stage.busy_lane()?;
    let tail = &lane[lane.len().checked_sub(80)?..];
    let end = stage.events.len() - 1;
    repeat(stage, &tail[..40], end);
    Some(())
}

/// An old worker goes on while the new one has begun again: old and new records by turns.
fn zombie(stage: &mut Stage<'_>) -> Option<()> {
    let lane = stage.busy_lane()?;
    let middle = lane.len() / 2;
    let old = lane.get(middle.checked_sub(60)?..middle)?.to_vec();
    let new = lane.get(middle..middle + 60)?.to_vec();
    for (old, new) in old.iter().zip(&new).rev() {
        repeat(stage, &[*old], *new);
    }
    Some(())
}

fn other_partition(stage: &mut Stage<'_>) -> Option<()> {
    let at = stage.neighbours(3, updates)?[1];
    let event = stage.events.get_mut(at)?;
    event.partition += 1;
    Some(())
}

fn stale_before(stage: &mut Stage<'_>) -> Option<()> {
    let at = stage.neighbours(3, updates)?;
    let stale = change(&stage.events[at[0]])?.after.clone();
    stage.change_mut(at[2])?.before = stale;
    Some(())
}

fn stale_after(stage: &mut Stage<'_>) -> Option<()> {
    let at = stage.neighbours(4, updates)?;
    let stale = change(&stage.events[at[0]])?.after.clone();
    stage.change_mut(at[2])?.after = stale;
    Some(())
}

fn stale_value(stage: &mut Stage<'_>) -> Option<()> {
    let at = stage.neighbours(2, |it| {
        let by = |at: usize| register_row(it[at]).map(|it| (it.writer, it.wseq));
        updates(it) && by(0) != by(1)
    })?;
    let stale = change(&stage.events[at[0]])?.after.clone()?;
    let row = stage.change_mut(at[1])?.after.as_mut()?;
    *row = crate::event::Row {
        ver: row.ver,
        ..stale
    };
    Some(())
}

/// Changes the payload of a row after.
fn spoil(stage: &mut Stage<'_>, how: fn(&str) -> String) -> Option<()> {
    let at = stage.neighbours(1, |it| register_row(it[0]).is_some())?[0];
    let row = stage.change_mut(at)?.after.as_mut()?;
    row.payload = how(&row.payload);
    Some(())
}

fn damaged_payload(stage: &mut Stage<'_>) -> Option<()> {
    spoil(stage, |text| {
        let last = if text.ends_with('0') { '1' } else { '0' };
        format!("{}{last}", &text[..text.len() - 1])
    })
}

fn cut_payload(stage: &mut Stage<'_>) -> Option<()> {
    spoil(stage, |text| text[..text.len() / 2].to_owned())
}

fn unreadable(stage: &mut Stage<'_>) -> Option<()> {
    let at = stage.neighbours(1, |_| true)?[0];
    stage.events.get_mut(at)?.body = Body::Unreadable("cut in the middle".to_owned());
    Some(())
}

fn wrong_key(stage: &mut Stage<'_>) -> Option<()> {
    let at = stage.neighbours(1, |it| register_row(it[0]).is_some())?[0];
    let event = stage.events.get_mut(at)?;
    let Some(RowKey::Register(id)) = event.key else {
        return None;
    };
    event.key = Some(RowKey::Register(id + 1));
    Some(())
}

/// In place of a true row, one of another writer and attempt, with the payload that would be theirs.
fn by_another(stage: &mut Stage<'_>, at: usize, writer: u32, wseq: u64) -> Option<()> {
    let row = stage.change_mut(at)?.after.as_mut()?;
    let RowKey::Register(id) = row.key else {
        return None;
    };
    row.writer = writer;
    row.wseq = wseq;
    row.payload = payload(writer, wseq, Place::Register(id));
    Some(())
}

fn rolled_back(stage: &mut Stage<'_>) -> Option<()> {
    let attempts = stage.history.attempts.iter();
    let failed: Vec<&Attempt> = attempts
        .filter(|it| it.outcome == Outcome::Fail && !it.writes.is_empty())
        .collect();
    let places: Vec<(usize, &Attempt)> = failed
        .into_iter()
        .filter_map(|it| {
            let write = it.writes.iter().find(|it| it.2 == Kind::Update)?;
            let of = (RowKey::Register(write.0), write.1);
            // A later transaction made the same version, and committed.
            let is_it = |event: &Event| version(event) == Some(of) && register_row(event).is_some();
            let at = stage.events.iter().position(is_it)?;
            Some((at, it))
        })
        .collect();
    let (at, attempt) = stage.any(&places)?;
    let (writer, wseq) = (attempt.writer, attempt.wseq);
    let ghost = stage.events[at].clone();
    stage.events.insert(at, ghost);
    by_another(stage, at, writer, wseq)
}

fn no_such_writer(stage: &mut Stage<'_>) -> Option<()> {
    let at = stage.neighbours(1, |it| register_row(it[0]).is_some())?[0];
    by_another(stage, at, 999, 5)
}

fn made_up_append(stage: &mut Stage<'_>) -> Option<()> {
    let last = stage
        .events
        .iter()
        .rposition(|it| is_append(it).is_some())?;
    let mut ghost = stage.events[last].clone();
    let Body::Change(change) = &mut ghost.body else {
        return None;
    };
    let row = change.after.as_mut()?;
    let seqs = stage.events.iter().filter_map(is_append);
    let of_it = seqs.filter(|it| it.0 == row.writer).map(|it| it.1);
    let seq = of_it.max()? + 1;
    let writer = row.writer;
    row.key = RowKey::Append { writer, seq };
    row.wseq += 1_000_000;
    row.payload = payload(writer, row.wseq, Place::Append);
    ghost.key = Some(row.key);
    stage.events.push(ghost);
    Some(())
}

fn other_table(stage: &mut Stage<'_>) -> Option<()> {
    let at = stage.dice.index(stage.events.len());
    let mut foreign = stage.events.get(at)?.clone();
    foreign.body = Body::Foreign("accounts".to_owned());
    stage.events.insert(at, foreign);
    Some(())
}
