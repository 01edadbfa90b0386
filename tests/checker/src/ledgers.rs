//! Accounts and lists: what each event must be, by what came before it and by what the clients did.
//!
//! An account's versions hold its balances. The amounts of one transaction make 0, so after every transaction the sum of
//! all accounts is what it was; a transaction of which one leg is missing or false changes it. A list's version is the
//! list before with one element more. A rewind repeats both as it repeats registers, and only first sights are summed.

use crate::check::{Found, add_holes};
use crate::event::{Change, Event, Ledger, Op, Row, RowKey};
use crate::history::{Attempt, History, Leg, Outcome};
use crate::order::{self, Attempted};
use crate::sequence::Sequence;
use crate::workload;
use std::collections::{BTreeMap, HashMap};

/// Versions farther ahead than this are damage, not a gap.
const LEAP: u64 = 1_000_000;

/// A version that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    by: Attempted,
    value: Box<str>,
}

/// One account or list.
#[derive(Debug, Clone, Default)]
struct Entry {
    versions: Sequence<Version>,
    partition: i32,
    /// Only snapshots have been seen; a new snapshot may begin later, by right.
    only_snapshot: bool,
}

type At = (Ledger, i64);

/// Everything seen of accounts and lists.
#[derive(Debug, Clone, Default)]
pub(crate) struct LedgerCheck {
    entries: BTreeMap<At, Entry>,
    /// Versions that were seen again as something else.
    others: Vec<(At, u64, Version)>,
}

/// How many contradicting sights are kept for the comparison with the history.
const OTHERS: usize = 100_000;

impl LedgerCheck {
    /// A change of a row. True when it was seen for the first time, and not in a snapshot.
    pub(crate) fn observe(
        &mut self,
        at: At,
        event: &Event,
        change: &Change,
        row: &Row,
        found: &mut Found,
    ) -> bool {
        let (key, ver) = (row.key, row.ver);
        let is_snapshot = change.op == Op::Read;
        if change.op == Op::Delete || (change.op == Op::Create && ver != 1) {
            let op = change.op;
            let example = || format!("{}: {op:?} of {key}, version {ver}", event.place());
            found.verdict.phantom.add(example);
            return false;
        }
        found.verdict.snapshot += u64::from(is_snapshot);
        let entry = self.entries.entry(at).or_insert_with(|| Entry {
            versions: Sequence::after(if is_snapshot {
                ver.saturating_sub(1)
            } else {
                0
            }),
            partition: event.partition,
            only_snapshot: is_snapshot,
        });
        if ver == 0 || ver > entry.versions.max() + LEAP {
            found.corrupt(event, &format!("{key}: version {ver} is out of any range"));
            return false;
        }
        if entry.partition != event.partition {
            let example = || format!("{}: {key} changed its partition", event.place());
            found.verdict.reordered.add(example);
        }
        entry.only_snapshot &= is_snapshot;
        if entry.only_snapshot && ver > entry.versions.max() {
            entry.versions = Sequence::after(ver - 1);
        }
        entry.chain(event, change, row, found);
        let version = Version {
            by: (row.writer, row.wseq),
            value: row.payload.as_str().into(),
        };
        let earlier = entry.versions.get(ver).cloned();
        let sight = entry.versions.observe(ver, version.clone());
        found.sight(sight, || format!("{}: {key}, version {ver}", event.place()));
        if earlier.as_ref().is_some_and(|it| *it != version) {
            let example = || format!("{}: {key} has two versions {ver}", event.place());
            found.verdict.broken_chain.add(example);
            if self.others.len() < OTHERS {
                self.others.push((at, ver, version));
            }
        }
        !is_snapshot && earlier.is_none()
    }

    /// Committed versions that were not seen yet, and rewinds that have not come back.
    pub(crate) fn outstanding(&self, history: &History, reads: impl Fn(Ledger) -> bool) -> u64 {
        let last = last_versions(history, reads);
        let missing = last.iter().map(|(at, last)| match self.entries.get(at) {
            Some(entry) => {
                let behind = u64::from(!entry.versions.has_caught_up());
                last.saturating_sub(entry.versions.max()) + behind
            }
            None => *last,
        });
        missing.sum()
    }

    /// What was seen of an attempt's legs, and how many could be.
    pub(crate) fn seen_of(
        &self,
        attempt: &Attempt,
        reads: impl Fn(Ledger) -> bool,
    ) -> (usize, usize) {
        let by = (attempt.writer, attempt.wseq);
        let (mut seen, mut rows) = (0, 0);
        for leg in attempt.legs.iter().filter(|it| reads(it.0)) {
            let versions = self.entries.get(&(leg.0, leg.1)).map(|it| &it.versions);
            if versions.is_some_and(|it| leg.2 <= it.base()) {
                continue;
            }
            let version = versions.and_then(|it| it.get(leg.2));
            rows += 1;
            seen += usize::from(version.is_some_and(|it| it.by == by));
        }
        (seen, rows)
    }

    pub(crate) fn finish(
        &self,
        history: &History,
        reads: impl Fn(Ledger) -> bool,
        found: &mut Found,
    ) {
        let verdict = &mut found.verdict;
        for (at, last) in last_versions(history, &reads) {
            let of = format!("{}, version", RowKey::Ledger(at.0, at.1));
            match self.entries.get(&at) {
                Some(entry) => {
                    let versions = &entry.versions;
                    let missing = versions.holes().chain(versions.max() + 1..=last);
                    add_holes(&mut verdict.lost, missing, &of);
                }
                None => add_holes(&mut verdict.lost, 1..=last, &of),
            }
        }
        self.finish_versions(history, found);
        self.finish_sums(history, found);
        self.finish_rows(history, reads, found);
        let series = self.entries.values().map(|entry| {
            let made = entry.versions.iter().filter_map(|it| Some(it.1?.by));
            made.filter(|it| it.1 > 0).collect()
        });
        let series: Vec<Vec<Attempted>> = series.collect();
        if let Some(((w, a), (v, b))) = order::cycle(&series) {
            found.verdict.reordered.add(|| {
                format!("attempt {a} of writer {w} and attempt {b} of writer {v}: each came before the other")
            });
        }
    }

    /// Each version against the history.
    fn finish_versions(&self, history: &History, found: &mut Found) {
        let attempts = history.attempts.iter();
        let attempts: HashMap<Attempted, &Attempt> =
            attempts.map(|it| ((it.writer, it.wseq), it)).collect();
        let verdict = &mut found.verdict;
        let all = self.entries.iter().flat_map(|(at, entry)| {
            let versions = entry.versions.iter();
            versions.filter_map(|(ver, it)| Some((*at, ver, it?)))
        });
        let others = self.others.iter().map(|(at, ver, it)| (*at, *ver, it));
        for (at, ver, version) in all.chain(others) {
            let key = RowKey::Ledger(at.0, at.1);
            match objection(&attempts, at, ver, version) {
                Some(Objection::Phantom(why)) => {
                    verdict
                        .phantom
                        .add(|| format!("{key}, version {ver}: {why}"));
                }
                Some(Objection::Value(why)) => {
                    verdict
                        .corrupt
                        .add(|| format!("{key}, version {ver}: {why}"));
                }
                None => {}
            }
        }
        for (at, entry) in &self.entries {
            let (key, versions) = (RowKey::Ledger(at.0, at.1), &entry.versions);
            if !versions.has_caught_up() {
                let (last, max) = (versions.current(), versions.max());
                let example =
                    || format!("{key}: its last record is version {last}, after version {max}");
                verdict.reordered.add(example);
            }
        }
    }

    /// After each transaction the sum of all accounts is what it was: its own changes make 0. A change whose version
    /// before was not seen is left out together with its transaction; that it was not seen is told.
    fn finish_sums(&self, history: &History, found: &mut Found) {
        // A leg that a snapshot hides is not asked for, and then the others do not make 0.
        let is_hidden = |leg: &Leg| {
            let entry = self.entries.get(&(leg.0, leg.1));
            entry.is_some_and(|it| leg.2 <= it.versions.base())
        };
        let hidden = history.attempts.iter();
        let hidden = hidden.filter(|it| it.legs.iter().any(is_hidden));
        let mut sums: BTreeMap<Attempted, Option<i64>> =
            hidden.map(|it| ((it.writer, it.wseq), None)).collect();
        for ((ledger, _), entry) in &self.entries {
            if *ledger == Ledger::List {
                continue;
            }
            let mut before: Option<i64> = None;
            for (_, version) in entry.versions.iter() {
                let after = version.and_then(|it| it.value.parse::<i64>().ok());
                if let Some(version) = version.filter(|it| it.by.1 > 0) {
                    let change = after.zip(before).map(|(after, before)| after - before);
                    let sum = sums.entry(version.by).or_insert(Some(0));
                    *sum = sum.zip(change).map(|(sum, change)| sum + change);
                }
                before = after;
            }
        }
        for ((writer, wseq), sum) in sums {
            if let Some(sum) = sum.filter(|it| *it != 0) {
                found.verdict.torn.add(|| {
                    format!("after attempt {wseq} of writer {writer} the accounts hold {sum} more in sum")
                });
            }
        }
    }

    /// Every row of the database against the same version of it in the topic, all columns. What is newer in the topic
    /// was written after somebody looked at the database.
    fn finish_rows(&self, history: &History, reads: impl Fn(Ledger) -> bool, found: &mut Found) {
        let rows = history.finals.iter().flat_map(|it| &it.ledgers);
        for row in rows.filter(|it| reads(it.ledger)) {
            let entry = self.entries.get(&(row.ledger, row.id));
            let Some(seen) = entry.and_then(|it| it.versions.get(row.ver)) else {
                // Lost, which is told.
                continue;
            };
            if (seen.by, &*seen.value) != (row.by, row.value.as_str()) {
                let (key, ver) = (RowKey::Ledger(row.ledger, row.id), row.ver);
                found.verdict.corrupt.add(|| {
                    let (held, by) = (&row.value, row.by);
                    let (value, of) = (&seen.value, seen.by);
                    format!("{key}, version {ver}: the database holds {held} by {by:?}, seen was {value} by {of:?}")
                });
            }
        }
    }
}

impl Entry {
    /// The row before an event is the row after the version before it, and the list after it is one element longer.
    fn chain(&self, event: &Event, change: &Change, row: &Row, found: &mut Found) {
        let (Op::Update, Some(before)) = (change.op, &change.before) else {
            return;
        };
        let (key, ver) = (row.key, row.ver);
        let previous = ver.checked_sub(1).and_then(|it| self.versions.get(it));
        let fits = previous.is_none_or(|it| {
            (it.by, &*it.value) == ((before.writer, before.wseq), before.payload.as_str())
        });
        if !fits || before.ver + 1 != ver || before.key != key {
            found.verdict.broken_chain.add(|| {
                let place = event.place();
                format!(
                    "{place}: {key}, version {ver}: before is not version {}",
                    ver - 1
                )
            });
        }
        if let RowKey::Ledger(Ledger::List, _) = key {
            // By the version that was seen, if it was: the event may bear a false list on both sides.
            let old = previous.map_or(before.payload.as_str(), |it| &it.value);
            if row.payload != workload::appended(old, ver, row.writer, row.wseq) {
                let element = workload::element(row.writer, row.wseq);
                let why = format!("{key}, version {ver}: not the list before with {element}");
                found.corrupt(event, &why);
            }
        }
    }
}

/// By row: the last version that must have been seen.
fn last_versions(history: &History, reads: impl Fn(Ledger) -> bool) -> BTreeMap<At, u64> {
    let mut last: BTreeMap<At, u64> = BTreeMap::new();
    let committed = history.attempts.iter();
    let committed = committed.filter(|it| it.outcome == Outcome::Ok);
    let made = committed.flat_map(|it| &it.legs);
    let made = made.map(|leg| ((leg.0, leg.1), leg.2));
    let held = history.finals.iter().flat_map(|it| &it.ledgers);
    let held = held.map(|it| ((it.ledger, it.id), it.ver));
    for (at, ver) in made.chain(held).filter(|it| reads(it.0.0)) {
        let last = last.entry(at).or_default();
        *last = ver.max(*last);
    }
    last
}

enum Objection {
    /// Nobody committed it.
    Phantom(String),
    /// It is not what was committed.
    Value(String),
}

/// Why a version that was seen cannot be; none when it can.
fn objection(
    attempts: &HashMap<Attempted, &Attempt>,
    at: At,
    ver: u64,
    version: &Version,
) -> Option<Objection> {
    let (writer, wseq) = version.by;
    if wseq == 0 {
        let opening = workload::opening(at.0);
        if ver != 1 {
            return Some(Objection::Phantom(
                "the table began with version 1".to_owned(),
            ));
        }
        return (*version.value != *opening)
            .then(|| Objection::Value(format!("{}, where {opening} was", version.value)));
    }
    let of = format!("attempt {wseq} of writer {writer}");
    let Some(attempt) = attempts.get(&version.by) else {
        let why = format!("writer {writer} made no attempt {wseq}");
        return Some(Objection::Phantom(why));
    };
    if attempt.outcome == Outcome::Fail {
        return Some(Objection::Phantom(format!("{of} was rolled back")));
    }
    let mut legs = attempt.legs.iter();
    let Some(leg) = legs.find(|it| (it.0, it.1, it.2) == (at.0, at.1, ver)) else {
        return Some(Objection::Phantom(format!("{of} did not write it")));
    };
    let balance = leg.3?.to_string();
    (*version.value != *balance)
        .then(|| Objection::Value(format!("{}, where {of} left {balance}", version.value)))
}

#[cfg(test)]
mod tests {
    use crate::event::{Body, Event, Ledger, RowKey};
    use crate::history::History;
    use crate::verdict::{Rows, Verdict};
    use crate::{Mode, model, verify};

    fn run() -> (History, Vec<Event>) {
        model::run(11, 600, 20)
    }

    fn judged(history: &History, events: Vec<Event>) -> Verdict {
        let rows = Rows::of_topics(model::TABLE, &model::TOPICS);
        verify(history, events, &Mode::Rows(rows))
    }

    /// Where the change of a row is that made a version.
    fn place(events: &[Event], key: RowKey, ver: u64) -> usize {
        let is_it = |it: &Event| match &it.body {
            Body::Change(change) => {
                let row = change.after.as_ref();
                row.is_some_and(|it| (it.key, it.ver) == (key, ver))
            }
            _ => false,
        };
        events.iter().position(is_it).expect("a version")
    }

    /// The first transfer that was committed: where its legs are.
    fn transfer(history: &History, events: &[Event]) -> (usize, usize) {
        let mut attempts = history.attempts.iter();
        let attempt = attempts.find(|it| {
            let accounts = it.legs.iter().filter(|it| it.0 != Ledger::List);
            it.outcome == crate::history::Outcome::Ok && accounts.count() == 2
        });
        let legs = &attempt.expect("a transfer").legs;
        let at = |at: usize| place(events, RowKey::Ledger(legs[at].0, legs[at].1), legs[at].2);
        (at(0), at(1))
    }

    #[test]
    fn a_restart_between_the_legs_of_a_transfer_is_no_fault() {
        let (history, mut events) = run();
        let (first, second) = transfer(&history, &events);
        let again = events[first.saturating_sub(5)..=first].to_vec();
        events.splice((first + 1)..=first, again);
        assert!(first < second);
        let verdict = judged(&history, events);
        assert!(verdict.passed && verdict.duplicated.count > 0, "{verdict}");
    }

    #[test]
    fn a_transfer_without_one_leg_is_torn_and_changes_the_sum() {
        let (history, mut events) = run();
        let (_, second) = transfer(&history, &events);
        events.remove(second);
        let verdict = judged(&history, events);
        let told = verdict.torn.examples.join("; ");
        assert!(told.contains("rows were seen"), "{verdict}");
        assert!(verdict.lost.count == 1 && !verdict.passed, "{verdict}");
    }

    #[test]
    fn a_balance_that_makes_money_is_told_by_the_sum_and_by_the_history() {
        let (history, mut events) = run();
        let (first, _) = transfer(&history, &events);
        if let Body::Change(change) = &mut events[first].body
            && let Some(row) = &mut change.after
        {
            row.payload = "123456".to_owned();
        }
        let verdict = judged(&history, events);
        let told = verdict.torn.examples.join("; ");
        assert!(told.contains("the accounts hold"), "{verdict}");
        assert!(verdict.corrupt.count > 0, "{verdict}");
    }

    #[test]
    fn without_accounts_and_lists_a_run_is_judged_as_ever() {
        let (history, events) = run();
        let other = |it: &Event| matches!(it.key, Some(RowKey::Ledger(..)));
        let events: Vec<Event> = events.into_iter().filter(|it| !other(it)).collect();
        let rows = Rows::of_topics(model::TABLE, &model::TOPICS[..3]);
        let verdict = verify(&history, events, &Mode::Rows(rows));
        assert!(verdict.passed, "{verdict}");
    }
}
