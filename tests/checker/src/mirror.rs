//! A topic and its copy: each record of the one must be in the same partition of the other, in the same order.
//!
//! Records are compared by a digest of key and value. Equal records are told apart by where the copy stands.

use crate::check::{Found, add_holes};
use crate::event::{Body, Event};
use crate::sequence::Sequence;
use std::collections::{BTreeMap, HashMap};

/// Both topics, by partition.
#[derive(Debug, Clone)]
pub(crate) struct Mirror {
    source: String,
    copy: String,
    lanes: BTreeMap<i32, Lane>,
}

#[derive(Debug, Clone, Default)]
struct Lane {
    source: Vec<u64>,
    copy: Vec<u64>,
}

impl Mirror {
    pub(crate) fn new(source: &str, copy: &str) -> Self {
        Self {
            source: source.to_owned(),
            copy: copy.to_owned(),
            lanes: BTreeMap::new(),
        }
    }

    pub(crate) fn observe(&mut self, event: &Event, found: &mut Found) {
        let Body::Opaque(digest) = event.body else {
            return found.corrupt(event, "not a record to compare");
        };
        let lane = self.lanes.entry(event.partition).or_default();
        match &*event.topic {
            topic if topic == self.source => lane.source.push(digest),
            topic if topic == self.copy => lane.copy.push(digest),
            _ => found.corrupt(event, "neither the topic nor its copy"),
        }
    }

    pub(crate) fn outstanding(&self) -> u64 {
        let lanes = self.lanes.values();
        let missing = lanes.map(|it| it.source.len().saturating_sub(it.copy.len()));
        missing.sum::<usize>() as u64
    }

    pub(crate) fn finish(self, mut found: Found) -> Found {
        for (partition, lane) in &self.lanes {
            compare(&self.copy, *partition, lane, &mut found);
        }
        found
    }
}

fn compare(copy: &str, partition: i32, lane: &Lane, found: &mut Found) {
    let mut places: HashMap<u64, Vec<u64>> = HashMap::new();
    for (digest, number) in lane.source.iter().zip(1..) {
        places.entry(*digest).or_default().push(number);
    }
    let mut sequence = Sequence::default();
    let mut current = 0;
    for (digest, at) in lane.copy.iter().zip(0..) {
        let describe = || format!("{copy}-{partition}, record {at}");
        let Some(numbers) = places.get(digest) else {
            let example = || format!("{}: not in the source", describe());
            found.verdict.phantom.add(example);
            continue;
        };
        let number = nearest(numbers, current);
        current = number;
        found.sight(sequence.observe(number, ()), describe);
    }
    let of = format!("{copy}-{partition}, record");
    let tail = sequence.max() + 1..=lane.source.len() as u64;
    add_holes(&mut found.verdict.lost, sequence.holes().chain(tail), &of);
    if !sequence.has_caught_up() {
        let example = || format!("{copy}-{partition}: the last rewind did not come back");
        found.verdict.reordered.add(example);
    }
}

/// Which of equal records this one is: the next, else the one that goes back least, else the one that leaves out least.
fn nearest(numbers: &[u64], current: u64) -> u64 {
    let after = numbers.partition_point(|it| *it <= current);
    let (behind, ahead) = numbers.split_at(after);
    match (behind.last(), ahead.first()) {
        (_, Some(ahead)) if *ahead == current + 1 => *ahead,
        (Some(behind), _) => *behind,
        (None, Some(ahead)) => *ahead,
        (None, None) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{History, Mode, Verdict, verify};

    fn judged(source: &[u64], copy: &[u64]) -> Verdict {
        let lane = |topic: &'static str, digests: &[u64]| -> Vec<Event> {
            let digests = digests.iter().copied().zip(0..);
            digests
                .map(move |(digest, offset)| Event {
                    topic: topic.into(),
                    partition: 0,
                    offset,
                    at: offset,
                    key: None,
                    body: Body::Opaque(digest),
                })
                .collect()
        };
        let events: Vec<Event> = [lane("a", source), lane("b", copy)].concat();
        let mode = Mode::Mirror {
            source: "a".to_owned(),
            copy: "b".to_owned(),
            exactly_once: false,
        };
        verify(&History::default(), events, &mode)
    }

    #[test]
    fn a_copy_with_rewinds_passes_also_when_records_are_equal() {
        for copy in [&[1, 2, 2, 3][..], &[1, 2, 2, 1, 2, 2, 3], &[1, 2, 2, 3, 3]] {
            let verdict = judged(&[1, 2, 2, 3], copy);
            assert!(verdict.passed, "{copy:?}: {verdict}");
        }
    }

    #[test]
    fn what_a_copy_lacks_adds_or_turns_round_is_found() {
        assert_eq!(judged(&[1, 2, 3], &[1, 3]).lost.count, 1);
        assert_eq!(judged(&[1, 2, 3], &[1, 2]).lost.count, 1);
        assert_eq!(judged(&[1, 2], &[1, 9, 2]).phantom.count, 1);
        assert_eq!(judged(&[1, 2, 3], &[1, 3, 2]).reordered.count, 1);
    }
}
