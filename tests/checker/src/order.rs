//! The order of whole transactions, across rows, tables and topics.
//!
//! Two judgements. Debezium's END records say in which order transactions were committed, so every partition must show
//! its first sights of transactions in that order ([`Commits`]). And of any two transactions that changed two rows one
//! came first on both: who wrote which version says so without any metadata ([`cycle`]).

use crate::event::Event;
use crate::verdict::{Finding, Verdict};
use std::collections::HashMap;
use std::sync::Arc;

/// A client transaction: writer and attempt.
pub(crate) type Attempted = (u32, u64);

/// Transactions by Debezium's metadata.
#[derive(Debug, Clone, Default)]
pub(crate) struct Commits {
    /// The transactions' numbers here.
    numbers: HashMap<String, usize>,
    /// By number: the id, the place among all ENDs at the first sight of its own, and whose rows it holds.
    all: Vec<Commit>,
    ends: usize,
    /// By topic and partition: the transactions of its records, in the order of the records' first sights.
    lanes: HashMap<(Arc<str>, i32), Vec<usize>>,
}

#[derive(Debug, Clone, Default)]
struct Commit {
    id: String,
    rank: Option<usize>,
    attempt: Option<Attempted>,
}

impl Commits {
    fn number(&mut self, id: &str) -> usize {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let number = self.all.len();
        self.numbers.insert(id.to_owned(), number);
        self.all.push(Commit {
            id: id.to_owned(),
            ..Commit::default()
        });
        number
    }

    /// An event of a transaction; `attempt` is whose row it shows, when it shows that. By the row's version the caller
    /// knows whether it is the first sight: Debezium's own numbers may begin anew after a restart.
    pub(crate) fn observe(
        &mut self,
        event: &Event,
        id: &str,
        attempt: Option<Attempted>,
        is_first: bool,
        verdict: &mut Verdict,
    ) {
        let number = self.number(id);
        if is_first {
            let lane = (Arc::clone(&event.topic), event.partition);
            let lane = self.lanes.entry(lane).or_default();
            if lane.last() != Some(&number) {
                lane.push(number);
            }
        }
        let (Some((writer, wseq)), Some(commit)) = (attempt, self.all.get_mut(number)) else {
            return;
        };
        let owner = *commit.attempt.get_or_insert((writer, wseq));
        if owner != (writer, wseq) {
            verdict.torn.add(|| {
                let (place, (first, of)) = (event.place(), owner);
                format!("{place}: transaction {id} holds attempt {of} of writer {first} and attempt {wseq} of writer {writer}")
            });
        }
    }

    /// A transaction ended. Only the first sight counts: a rewind tells it again.
    pub(crate) fn end(&mut self, id: &str) {
        let number = self.number(id);
        if let Some(commit) = self.all.get_mut(number)
            && commit.rank.is_none()
        {
            commit.rank = Some(self.ends);
            self.ends += 1;
        }
    }

    /// Transactions that a partition shows after one that ended later.
    pub(crate) fn finish(&self, reordered: &mut Finding) {
        for ((topic, partition), lane) in &self.lanes {
            let mut last: Option<(usize, &str)> = None;
            for commit in lane.iter().filter_map(|it| self.all.get(*it)) {
                // Without an END: that is told elsewhere.
                let Some(rank) = commit.rank else { continue };
                match last {
                    Some((later, name)) if rank < later => reordered.add(|| {
                        format!(
                            "{topic}-{partition}: transaction {} after {name}, which ended later",
                            commit.id
                        )
                    }),
                    _ => last = Some((rank, &commit.id)),
                }
            }
        }
    }
}

/// Two transactions each of which came before the other, by the versions of the rows that they wrote; none when there
/// are no such two, nor any longer ring. Each series holds who wrote one row's versions, in their order.
pub(crate) fn cycle(series: &[Vec<Attempted>]) -> Option<(Attempted, Attempted)> {
    let mut after: HashMap<Attempted, Vec<Attempted>> = HashMap::new();
    let mut waits: HashMap<Attempted, usize> = HashMap::new();
    for pair in series.iter().flat_map(|it| it.windows(2)) {
        let [first, second] = [pair[0], pair[1]];
        waits.entry(first).or_default();
        if first != second {
            after.entry(first).or_default().push(second);
            *waits.entry(second).or_default() += 1;
        }
    }
    let free = waits.iter().filter(|it| *it.1 == 0);
    let mut free: Vec<Attempted> = free.map(|it| *it.0).collect();
    while let Some(next) = free.pop() {
        waits.remove(&next);
        for second in after.get(&next).into_iter().flatten() {
            if let Some(count) = waits.get_mut(second) {
                *count -= 1;
                if *count == 0 {
                    free.push(*second);
                }
            }
        }
    }
    // What is left waits for something that is left: on the way back a transaction comes a second time.
    let mut at = *waits.keys().min()?;
    let mut way = Vec::new();
    loop {
        way.push(at);
        let waits_for = |it: &&Attempted| after.get(it).is_some_and(|it| it.contains(&at));
        at = *waits.keys().filter(waits_for).min()?;
        if way.contains(&at) {
            let last = *way.last()?;
            return Some((at, last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Body;

    #[test]
    fn a_ring_of_transactions_is_found_and_a_ladder_is_not() {
        let (a, b, c) = ((0, 1), (1, 1), (2, 1));
        let table: &[(&[&[Attempted]], bool)] = &[
            (&[], false),
            (&[&[a, b, c], &[a, c]], false),
            (&[&[a, b], &[b, c], &[a, c]], false),
            (&[&[a, b], &[b, a]], true),
            (&[&[a, b], &[b, c], &[c, a]], true),
            // The same one twice in a row is no ring.
            (&[&[a, a, b]], false),
            // What waits for a ring is none itself.
            (&[&[a, b], &[b, a, c]], true),
        ];
        for (series, expected) in table {
            let series: Vec<Vec<Attempted>> = series.iter().map(|it| it.to_vec()).collect();
            let found = cycle(&series);
            assert_eq!(found.is_some(), *expected, "{series:?}: {found:?}");
            assert!(found.is_none_or(|it| it.0 != it.1), "{found:?}");
        }
    }

    fn judged(events: &[(i32, &str, Option<Attempted>, bool)], ends: &[&str]) -> Verdict {
        let mut commits = Commits::default();
        let mut verdict = Verdict::default();
        for ((partition, id, attempt, is_first), offset) in events.iter().zip(0..) {
            let event = Event {
                topic: "t".into(),
                partition: *partition,
                offset,
                at: 0,
                key: None,
                body: Body::Begin,
            };
            commits.observe(&event, id, *attempt, *is_first, &mut verdict);
        }
        for id in ends {
            commits.end(id);
        }
        commits.finish(&mut verdict.reordered);
        verdict
    }

    #[test]
    fn partitions_follow_the_order_of_the_ends_and_may_rewind() {
        let found = |events: &[(i32, &str, bool)], ends: &[&str]| {
            let events: Vec<_> = events.iter().map(|it| (it.0, it.1, None, it.2)).collect();
            judged(&events, ends).reordered.count
        };
        let plain = [(0, "x", true), (1, "y", true), (0, "z", true)];
        assert_eq!(found(&plain, &["x", "y", "z"]), 0);
        let rewind = [
            (0, "x", true),
            (0, "y", true),
            (0, "x", false),
            (0, "y", false),
            (0, "z", true),
        ];
        assert_eq!(found(&rewind, &["x", "y", "x", "y", "z"]), 0);
        let swapped = [(0, "y", true), (0, "x", true)];
        assert_eq!(found(&swapped, &["x", "y"]), 1);
        let among = [(0, "x", true), (0, "y", true), (0, "x", true)];
        assert_eq!(found(&among, &["x", "y"]), 1);
        assert_eq!(found(&[(0, "y", true), (1, "x", true)], &["x", "y"]), 0);
        // An end that is missing is another fault.
        assert_eq!(found(&swapped, &["y"]), 0);
    }

    #[test]
    fn a_transaction_belongs_to_one_attempt() {
        let torn = |second| {
            judged(
                &[(0, "x", Some((1, 4)), true), (1, "x", second, true)],
                &["x"],
            )
            .torn
            .count
        };
        assert_eq!(torn(Some((1, 4))), 0);
        assert_eq!(torn(None), 0);
        assert_eq!(torn(Some((1, 5))), 1);
    }
}
