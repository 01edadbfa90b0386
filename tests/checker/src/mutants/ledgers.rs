//! Faults in accounts and lists.

use super::faults::{Fault, fault};
use super::honest::repeat;
use super::stage::{Stage, change, op, version};
use crate::event::{Event, Ledger, Op, RowKey};
use std::collections::{BTreeMap, HashMap};

pub(super) const FAULTS: &[Fault] = &[
    fault("one leg of a transfer is dropped", &["torn"], drop_leg),
    fault("an account's last change is dropped", &["lost"], drop_last),
    fault(
        "two transfers are swapped in one of two tables",
        &["reordered"],
        swap_transfers,
    ),
    fault(
        "two transfers on one account are exchanged",
        &["phantom"],
        exchange_transfers,
    ),
    fault(
        "one leg of a transfer is repeated alone",
        &["reordered"],
        repeat_leg,
    ),
    fault("an account holds another sum", &["corrupt"], other_balance),
    fault(
        "the last record of an account holds another sum",
        &["corrupt"],
        other_last_balance,
    ),
    fault(
        "a transfer's legs are in two transactions",
        &["torn"],
        other_transaction,
    ),
    fault("an append to a list is dropped", &["lost"], drop_element),
    fault(
        "an element is missing in one event and there later",
        &["corrupt"],
        missing_element,
    ),
    fault("a list is an older one", &["corrupt"], stale_list),
    fault(
        "a list's elements are in another order",
        &["corrupt"],
        turned_list,
    ),
    fault(
        "two appends to a list are swapped",
        &["reordered"],
        swap_appends,
    ),
];

const ACCOUNTS: &[Ledger] = &[Ledger::Bank, Ledger::Vault];
const LISTS: &[Ledger] = &[Ledger::List];

/// Updates of each row of some ledgers, by index, those alone that are in the run once.
fn updates(stage: &Stage<'_>, of: &[Ledger]) -> BTreeMap<RowKey, Vec<usize>> {
    let mut counts: HashMap<(RowKey, u64), u32> = HashMap::new();
    for version in stage.events.iter().filter_map(version) {
        *counts.entry(version).or_default() += 1;
    }
    let mut rows: BTreeMap<RowKey, Vec<usize>> = BTreeMap::new();
    for (at, event) in stage.events.iter().enumerate() {
        if let Some((key @ RowKey::Ledger(ledger, _), ver)) = version(event)
            && of.contains(&ledger)
            && op(event) == Some(Op::Update)
            && counts[&(key, ver)] == 1
        {
            rows.entry(key).or_default().push(at);
        }
    }
    rows
}

/// So many updates in a row of one row of some ledgers that fulfil a wish.
fn neighbours(
    stage: &mut Stage<'_>,
    of: &[Ledger],
    count: usize,
    wish: impl Fn(&[&Event]) -> bool,
) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    for indices in updates(stage, of).values() {
        for window in indices.windows(count) {
            let events: Vec<&Event> = window.iter().map(|it| &stage.events[*it]).collect();
            let follows = |it: &[&Event]| {
                let vers: Vec<u64> = it.iter().filter_map(|it| Some(version(it)?.1)).collect();
                vers.windows(2).all(|it| it[0] + 1 == it[1])
            };
            if follows(&events) && wish(&events) {
                found.push(window.to_vec());
            }
        }
    }
    stage.any(&found)
}

/// Who made the row after: writer and attempt.
fn by(event: &Event) -> Option<(u32, u64)> {
    let row = change(event)?.after.as_ref()?;
    Some((row.writer, row.wseq))
}

fn drop_leg(stage: &mut Stage<'_>) -> Option<()> {
    let at = neighbours(stage, ACCOUNTS, 2, |it| by(it[0]) != by(it[1]))?;
    stage.remove(vec![at[0]]);
    Some(())
}

fn last(stage: &mut Stage<'_>, of: &[Ledger]) -> Option<usize> {
    let lasts = updates(stage, of).into_values();
    let lasts: Vec<usize> = lasts.filter_map(|it| it.last().copied()).collect();
    stage.any(&lasts)
}

fn drop_last(stage: &mut Stage<'_>) -> Option<()> {
    let at = last(stage, ACCOUNTS)?;
    stage.remove(vec![at]);
    Some(())
}

/// Different accounts, writers and transactions, one after the other in one partition: no row and no writer alone tells
/// it, only the order of the transactions' ends.
fn swap_transfers(stage: &mut Stage<'_>) -> Option<()> {
    let once: Vec<usize> = updates(stage, ACCOUNTS).into_values().flatten().collect();
    let mut pairs = Vec::new();
    for lane in stage.lanes().into_values() {
        for pair in lane.windows(2) {
            let [a, b] = [&stage.events[pair[0]], &stage.events[pair[1]]];
            let apart = by(a).map(|it| it.0) != by(b).map(|it| it.0) && a.key != b.key;
            if apart && pair.iter().all(|it| once.contains(it)) {
                pairs.push((pair[0], pair[1]));
            }
        }
    }
    let (a, b) = stage.any(&pairs)?;
    stage.swap(a, b);
    Some(())
}

/// Two changes of one account, each told as the other's.
fn exchange_transfers(stage: &mut Stage<'_>) -> Option<()> {
    let at = neighbours(stage, ACCOUNTS, 3, |it| by(it[0]) != by(it[1]))?;
    let (first, second) = (by(&stage.events[at[0]])?, by(&stage.events[at[1]])?);
    let mut claim = |at: usize, (before, after): (Option<_>, Option<_>)| {
        let change = stage.change_mut(at)?;
        for (row, by) in [(&mut change.before, before), (&mut change.after, after)] {
            if let (Some(row), Some((writer, wseq))) = (row.as_mut(), by) {
                (row.writer, row.wseq) = (writer, wseq);
            }
        }
        Some(())
    };
    claim(at[0], (None, Some(second)))?;
    claim(at[1], (Some(second), Some(first)))?;
    claim(at[2], (Some(first), None))
}

fn repeat_leg(stage: &mut Stage<'_>) -> Option<()> {
    let at = neighbours(stage, ACCOUNTS, 4, |_| true)?;
    repeat(stage, &at[..1], at[2]);
    Some(())
}

fn one_more(stage: &mut Stage<'_>, at: usize) -> Option<()> {
    let row = stage.change_mut(at)?.after.as_mut()?;
    row.payload = (row.payload.parse::<i64>().ok()? + 1).to_string();
    Some(())
}

fn other_balance(stage: &mut Stage<'_>) -> Option<()> {
    let at = neighbours(stage, ACCOUNTS, 2, |_| true)?;
    one_more(stage, at[0])
}

fn other_last_balance(stage: &mut Stage<'_>) -> Option<()> {
    let at = last(stage, ACCOUNTS)?;
    one_more(stage, at)
}

fn other_transaction(stage: &mut Stage<'_>) -> Option<()> {
    let at = neighbours(stage, ACCOUNTS, 2, |it| by(it[0]) != by(it[1]))?;
    let (id, order) = change(&stage.events[at[0]])?.transaction.clone()?;
    stage.change_mut(at[1])?.transaction = Some((id, order + 1_000));
    Some(())
}

fn drop_element(stage: &mut Stage<'_>) -> Option<()> {
    let at = neighbours(stage, LISTS, 2, |_| true)?;
    stage.remove(vec![at[0]]);
    Some(())
}

/// What the row after an event holds.
fn held(event: &Event) -> &str {
    let row = change(event).and_then(|it| it.after.as_ref());
    row.map_or("", |it| &it.payload)
}

fn missing_element(stage: &mut Stage<'_>) -> Option<()> {
    let at = neighbours(stage, LISTS, 2, |it| held(it[0]).matches(';').count() > 2)?;
    let row = stage.change_mut(at[0])?.after.as_mut()?;
    let mut elements: Vec<&str> = row.payload.split(';').collect();
    elements.remove(1);
    row.payload = elements.join(";");
    Some(())
}

fn stale_list(stage: &mut Stage<'_>) -> Option<()> {
    let at = neighbours(stage, LISTS, 2, |_| true)?;
    let stale = held(&stage.events[at[0]]).to_owned();
    stage.change_mut(at[1])?.after.as_mut()?.payload = stale;
    Some(())
}

fn turned_list(stage: &mut Stage<'_>) -> Option<()> {
    let at = neighbours(stage, LISTS, 1, |it| held(it[0]).matches(';').count() > 2)?;
    let row = stage.change_mut(at[0])?.after.as_mut()?;
    let mut elements: Vec<&str> = row.payload.split(';').collect();
    elements.swap(0, 1);
    row.payload = elements.join(";");
    Some(())
}

fn swap_appends(stage: &mut Stage<'_>) -> Option<()> {
    let at = neighbours(stage, LISTS, 2, |_| true)?;
    stage.swap(at[0], at[1]);
    Some(())
}
