//! A run of events on which a fault is played.

use crate::dice::Dice;
use crate::event::{Body, Change, Event, Op, Row, RowKey};
use crate::history::History;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// The events, and where things are in them.
pub(super) struct Stage<'a> {
    pub(super) events: Vec<Event>,
    pub(super) history: &'a History,
    pub(super) dice: Dice,
}

/// One partition.
pub(super) type LaneKey = (Arc<str>, i32);

/// The row that an event is about, and its version.
pub(super) fn version(event: &Event) -> Option<(RowKey, u64)> {
    let change = change(event)?;
    match (&change.before, &change.after) {
        (_, Some(row)) => Some((row.key, row.ver)),
        (Some(row), None) => Some((row.key, row.ver + 1)),
        (None, None) => None,
    }
}

pub(super) fn change(event: &Event) -> Option<&Change> {
    match &event.body {
        Body::Change(change) => Some(change),
        _ => None,
    }
}

/// The row after, when the event changes a register.
pub(super) fn register_row(event: &Event) -> Option<&Row> {
    let row = change(event)?.after.as_ref()?;
    matches!(row.key, RowKey::Register(_)).then_some(row)
}

pub(super) fn op(event: &Event) -> Option<Op> {
    change(event).map(|it| it.op)
}

impl Stage<'_> {
    /// Events of each partition, by index.
    pub(super) fn lanes(&self) -> BTreeMap<LaneKey, Vec<usize>> {
        let mut lanes: BTreeMap<LaneKey, Vec<usize>> = BTreeMap::new();
        for (at, event) in self.events.iter().enumerate() {
            let lane = (Arc::clone(&event.topic), event.partition);
            lanes.entry(lane).or_default().push(at);
        }
        lanes
    }

    /// Changes of each register, by index, those alone that are in the run once: what is there twice can be taken away
    /// once without a loss.
    pub(super) fn registers(&self) -> BTreeMap<i64, Vec<usize>> {
        let mut counts: HashMap<(RowKey, u64), u32> = HashMap::new();
        for version in self.events.iter().filter_map(version) {
            *counts.entry(version).or_default() += 1;
        }
        let mut registers: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (at, event) in self.events.iter().enumerate() {
            if let Some((RowKey::Register(id), ver)) = version(event)
                && op(event) != Some(Op::Read)
                && counts[&(RowKey::Register(id), ver)] == 1
            {
                registers.entry(id).or_default().push(at);
            }
        }
        registers
    }

    /// The partition with most changes of registers.
    pub(super) fn busy_lane(&self) -> Option<Vec<usize>> {
        let lanes = self.lanes().into_values();
        lanes.max_by_key(|lane| {
            let rows = lane.iter().filter_map(|it| register_row(&self.events[*it]));
            rows.count()
        })
    }

    /// Whether a change is in the run twice: a real run with a real restart. To repeat a part of that again is not what
    /// a source would do.
    pub(super) fn has_repeats(&self) -> bool {
        let mut seen = HashSet::new();
        let mut changes = self.events.iter().filter_map(version);
        !changes.all(|it| seen.insert(it))
    }

    /// One of the candidates.
    pub(super) fn any<T: Clone>(&mut self, candidates: &[T]) -> Option<T> {
        let at = self.dice.index(candidates.len());
        candidates.get(at).cloned()
    }

    /// Neighbours in the series of one register: indices of `count` changes in a row, all of which fulfil a wish.
    pub(super) fn neighbours(
        &mut self,
        count: usize,
        wish: impl Fn(&[&Event]) -> bool,
    ) -> Option<Vec<usize>> {
        let mut found = Vec::new();
        for indices in self.registers().values() {
            for window in indices.windows(count) {
                let events: Vec<&Event> = window.iter().map(|it| &self.events[*it]).collect();
                let versions: Vec<u64> = events
                    .iter()
                    .filter_map(|it| version(it).map(|it| it.1))
                    .collect();
                let in_a_row = versions.windows(2).all(|it| it[0] + 1 == it[1]);
                if in_a_row && wish(&events) {
                    found.push(window.to_vec());
                }
            }
        }
        self.any(&found)
    }

    /// Removes events by index.
    pub(super) fn remove(&mut self, mut indices: Vec<usize>) {
        indices.sort_unstable();
        for at in indices.into_iter().rev() {
            self.events.remove(at);
        }
    }

    /// Exchanges the contents of two records; places and times stay.
    pub(super) fn swap(&mut self, a: usize, b: usize) {
        let (key_a, body_a) = (self.events[a].key, self.events[a].body.clone());
        let (key_b, body_b) = (self.events[b].key, self.events[b].body.clone());
        (self.events[a].key, self.events[a].body) = (key_b, body_b);
        (self.events[b].key, self.events[b].body) = (key_a, body_a);
    }

    /// The change at an index, to be falsified.
    pub(super) fn change_mut(&mut self, at: usize) -> Option<&mut Change> {
        match &mut self.events.get_mut(at)?.body {
            Body::Change(change) => Some(change),
            _ => None,
        }
    }

    /// Where the tombstone of a delete is.
    pub(super) fn tombstone_after(&self, at: usize) -> Option<usize> {
        let deleted = self.events.get(at)?;
        let rest = self.events.iter().enumerate().skip(at + 1);
        rest.into_iter()
            .find(|(_, it)| it.key == deleted.key && it.body == Body::Tombstone)
            .map(|(at, _)| at)
    }
}
