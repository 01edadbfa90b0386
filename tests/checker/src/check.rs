//! The checker: sees each event once, in the order of its partition, and judges at the end.

use crate::counter::Counters;
use crate::event::{Body, Event};
use crate::history::{History, Outcome};
use crate::mirror::Mirror;
use crate::rows::RowCheck;
use crate::sequence::Sight;
use crate::timing::Times;
use crate::verdict::{Finding, Mode, Verdict};

/// Collects what it sees; memory grows with the number of different rows and versions, not with repeats.
#[derive(Debug, Clone)]
pub struct Checker {
    found: Found,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Rows(Box<RowCheck>),
    Counter(Counters),
    Mirror(Mirror),
}

/// What was found so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    pub(crate) verdict: Verdict,
    pub(crate) times: Times,
}

impl Found {
    /// Counts a sight of a series. Holes are counted at the end: what is missing may yet come.
    pub(crate) fn sight(&mut self, sight: Sight, describe: impl FnOnce() -> String) {
        let duplicated = &mut self.verdict.duplicated;
        match sight {
            Sight::New | Sight::Ahead(..) => {}
            Sight::Again => duplicated.count += 1,
            Sight::Rewind(length) => {
                duplicated.count += 1;
                duplicated.rewinds += 1;
                duplicated.longest = duplicated.longest.max(length);
            }
            Sight::Late => {
                let example = || format!("{}: seen after a later one", describe());
                self.verdict.reordered.add(example);
            }
            Sight::Skip => {
                let example = || format!("{}: a repeat left out what was before it", describe());
                self.verdict.reordered.add(example);
            }
        }
    }

    pub(crate) fn corrupt(&mut self, event: &Event, why: &str) {
        let example = || format!("{}: {why}", event.place());
        self.verdict.corrupt.add(example);
    }
}

impl Checker {
    /// Nothing seen yet.
    pub fn new(mode: &Mode) -> Self {
        let mut found = Found::default();
        let kind = match mode {
            Mode::Rows(rows) => {
                found.verdict.exactly_once = rows.exactly_once;
                Kind::Rows(Box::new(RowCheck::new(rows.clone())))
            }
            Mode::Counter { exactly_once } => {
                found.verdict.exactly_once = *exactly_once;
                Kind::Counter(Counters::default())
            }
            Mode::Mirror {
                source,
                copy,
                exactly_once,
            } => {
                found.verdict.exactly_once = *exactly_once;
                Kind::Mirror(Mirror::new(source, copy))
            }
        };
        Self { found, kind }
    }

    /// The next event.
    pub fn observe(&mut self, event: &Event) {
        self.found.verdict.events += 1;
        self.found.times.add(event.at);
        match &event.body {
            Body::Unreadable(why) => return self.found.corrupt(event, why),
            Body::Foreign(table) => {
                let example = || format!("{}: a row of {table}", event.place());
                return self.found.verdict.phantom.add(example);
            }
            _ => {}
        }
        match &mut self.kind {
            Kind::Rows(rows) => rows.observe(event, &mut self.found),
            Kind::Counter(counters) => counters.observe(event, &mut self.found),
            Kind::Mirror(mirror) => mirror.observe(event, &mut self.found),
        }
    }

    /// How much of what was committed has not been seen yet. While it is not 0, a reader had better wait.
    pub fn outstanding(&self, history: &History) -> u64 {
        match &self.kind {
            Kind::Rows(rows) => rows.outstanding(history),
            Kind::Counter(_) => 0,
            Kind::Mirror(mirror) => mirror.outstanding(),
        }
    }

    /// Nothing more comes.
    pub fn finish(self, history: &History) -> Verdict {
        let Found {
            mut verdict,
            mut times,
        } = match self.kind {
            Kind::Rows(rows) => rows.finish(history, self.found),
            Kind::Counter(counters) => counters.finish(self.found),
            Kind::Mirror(mirror) => mirror.finish(self.found),
        };
        let count = |outcome| history.count(outcome) as u64;
        verdict.transactions = (
            count(Outcome::Ok),
            count(Outcome::Fail),
            count(Outcome::Unknown),
        );
        let committed = history
            .attempts
            .iter()
            .filter(|it| it.outcome == Outcome::Ok);
        let mut commits: Vec<i64> = committed.map(|it| it.at).collect();
        verdict.silence_ms = times.silence(&mut commits);
        verdict.catch_up_ms = times.catch_up(&commits);
        verdict.judge();
        verdict
    }
}

/// Adds holes to what is lost: all are counted, runs of them are told as one.
pub(crate) fn add_holes(lost: &mut Finding, holes: impl Iterator<Item = u64>, of: &str) {
    let mut run: Option<(u64, u64)> = None;
    let mut tell = |run: (u64, u64)| {
        let (from, to) = run;
        lost.add_many(to - from + 1, || {
            if from == to {
                format!("{of}: {from} was never seen")
            } else {
                format!("{of}: {from} to {to} were never seen")
            }
        });
    };
    for hole in holes {
        run = match run {
            Some((from, to)) if to + 1 == hole => Some((from, hole)),
            Some(whole) => {
                tell(whole);
                Some((hole, hole))
            }
            None => Some((hole, hole)),
        };
    }
    if let Some(run) = run {
        tell(run);
    }
}
