//! What a sound pipeline may do: none of it is a fault.

use super::stage::Stage;
use crate::event::Event;
use std::collections::BTreeMap;

/// Something done to a run; false when the run has no place for it.
pub(super) type Play = fn(&mut Stage<'_>) -> Option<()>;

pub(super) const CONTROLS: &[(&str, Play)] = &[
    ("nothing is done", |_| Some(())),
    ("one short rewind", |stage| rewinds(stage, 1, 5)),
    ("many rewinds", |stage| rewinds(stage, 40, 60)),
    ("an offset is set back to the beginning", |stage| {
        rewinds(stage, 1, usize::MAX)
    }),
    ("each record comes twice", |stage| {
        let events = std::mem::take(&mut stage.events);
        stage.events = events.into_iter().flat_map(|it| [it.clone(), it]).collect();
        Some(())
    }),
    ("a rewind is broken off by another", broken_off),
    ("partitions are read in another order", mixed),
    ("the last records come again", again_at_the_end),
];

/// Restarts so many times in each partition, each time from up to so many records before. A restart may come while the
/// records of the one before are being repeated.
pub(super) fn rewinds(stage: &mut Stage<'_>, times: usize, longest: usize) -> Option<()> {
    if stage.has_repeats() {
        return None;
    }
    let mut after: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for lane in stage.lanes().into_values() {
        let mut restarts: Vec<usize> = (0..times).map(|_| stage.dice.index(lane.len())).collect();
        if longest == usize::MAX {
            restarts = vec![lane.len() - 1];
        }
        restarts.sort_unstable();
        for end in restarts {
            let most = longest.min(end + 1);
            let length = if longest == usize::MAX {
                most
            } else {
                1 + stage.dice.index(most)
            };
            let again = lane.get(end + 1 - length..=end)?.to_vec();
            after.entry(lane[end]).or_default().extend(again);
        }
    }
    let mut events = Vec::with_capacity(stage.events.len() * 2);
    for (at, event) in stage.events.iter().enumerate() {
        events.push(event.clone());
        let again = after.get(&at).into_iter().flatten();
        events.extend(again.map(|it| stage.events[*it].clone()));
    }
    stage.events = events;
    Some(())
}

/// Repeats events, right after an index.
pub(super) fn repeat(stage: &mut Stage<'_>, indices: &[usize], after: usize) {
    let again: Vec<Event> = indices.iter().map(|it| stage.events[*it].clone()).collect();
    stage.events.splice(after + 1..=after, again);
}

fn broken_off(stage: &mut Stage<'_>) -> Option<()> {
    if stage.has_repeats() {
        return None;
    }
    let lane = stage.busy_lane()?;
    let end = lane.len() / 2;
    let begin = end.checked_sub(20)?;
    let stretch = &lane[begin..=end];
    let both: Vec<usize> = stretch[..10].iter().chain(stretch).copied().collect();
    repeat(stage, &both, lane[end]);
    Some(())
}

fn mixed(stage: &mut Stage<'_>) -> Option<()> {
    let mut lanes: BTreeMap<_, Vec<usize>> = stage.lanes();
    let mut order = Vec::with_capacity(stage.events.len());
    for lane in lanes.values_mut() {
        lane.reverse();
    }
    while !lanes.is_empty() {
        let keys: Vec<_> = lanes.keys().cloned().collect();
        let key = stage.any(&keys)?;
        match lanes.get_mut(&key).and_then(Vec::pop) {
            Some(at) => order.push(stage.events[at].clone()),
            None => drop(lanes.remove(&key)),
        }
    }
    stage.events = order;
    Some(())
}

fn again_at_the_end(stage: &mut Stage<'_>) -> Option<()> {
    if stage.has_repeats() {
        return None;
    }
    let lanes = stage.lanes().into_values();
    let again: Vec<usize> = lanes
        .flat_map(|lane| lane[lane.len().saturating_sub(30)..].to_vec())
        .collect();
    let end = stage.events.len() - 1;
    repeat(stage, &again, end);
    Some(())
}
