//! Kafka's `VerifiableSourceConnector`: each task counts from 0.

use crate::check::{Found, add_holes};
use crate::event::{Body, Event};
use crate::sequence::Sequence;
use std::collections::BTreeMap;

/// Numbers farther ahead than this are damage, not a gap.
const LEAP: u64 = 100_000_000;

/// The series of every task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counters(BTreeMap<String, Series>);

#[derive(Debug, Clone)]
struct Series {
    partition: i32,
    sequence: Sequence<()>,
}

impl Counters {
    pub(crate) fn observe(&mut self, event: &Event, found: &mut Found) {
        let Body::Count { source, seqno } = &event.body else {
            return found.corrupt(event, "no number of a task");
        };
        if !self.0.contains_key(source) {
            let series = Series {
                partition: event.partition,
                sequence: Sequence::default(),
            };
            self.0.insert(source.clone(), series);
        }
        let Some(series) = self.0.get_mut(source) else {
            return;
        };
        if series.partition != event.partition {
            let example = || format!("{}: {source} changed its partition", event.place());
            found.verdict.reordered.add(example);
        }
        if *seqno > series.sequence.max() + LEAP {
            return found.corrupt(event, &format!("{seqno} is out of any range"));
        }
        let sight = series.sequence.observe(seqno + 1, ());
        found.sight(sight, || format!("{}: {source}, {seqno}", event.place()));
    }

    pub(crate) fn finish(self, mut found: Found) -> Found {
        for (source, series) in self.0 {
            let holes = series.sequence.holes().map(|it| it - 1);
            add_holes(&mut found.verdict.lost, holes, &source);
            if !series.sequence.has_caught_up() {
                let example = || format!("{source}: the last rewind did not come back");
                found.verdict.reordered.add(example);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{History, Mode, Verdict, verify};

    fn judged(exactly_once: bool, numbers: &[(i32, u64)]) -> Verdict {
        let events = numbers
            .iter()
            .zip(0..)
            .map(|((task, seqno), offset)| Event {
                topic: "t".into(),
                partition: *task,
                offset,
                at: offset,
                key: None,
                body: Body::Count {
                    source: format!("task {task}"),
                    seqno: *seqno,
                },
            });
        verify(&History::default(), events, &Mode::Counter { exactly_once })
    }

    #[test]
    fn tasks_count_each_for_itself_and_may_rewind() {
        let verdict = judged(
            false,
            &[(0, 0), (1, 0), (0, 1), (0, 2), (0, 1), (0, 2), (1, 1)],
        );
        assert!(verdict.passed, "{verdict}");
        assert_eq!(verdict.duplicated.count, 2);
        assert!(!judged(true, &[(0, 0), (0, 0)]).passed);
    }

    #[test]
    fn a_gap_a_swap_and_a_missing_begin_are_found() {
        assert_eq!(judged(false, &[(0, 0), (0, 3)]).lost.count, 2);
        assert_eq!(judged(false, &[(0, 1)]).lost.count, 1);
        let swapped = judged(false, &[(0, 0), (0, 2), (0, 1), (0, 3)]);
        assert_eq!((swapped.lost.count, swapped.reordered.count), (0, 1));
    }
}
