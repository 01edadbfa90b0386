//! What was found, for people and for programs.

use crate::event::Ledger;
use serde::Serialize;
use std::fmt;

/// How to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// The workload of [`crate::writer`], read by Debezium.
    Rows(Rows),
    /// Kafka's `VerifiableSourceConnector`.
    Counter {
        /// A number seen twice is a fault.
        exactly_once: bool,
    },
    /// A topic and its copy.
    Mirror {
        /// The topic that was copied.
        source: String,
        /// The copy.
        copy: String,
        /// A record copied twice is a fault.
        exactly_once: bool,
    },
}

/// How to judge the workload of [`crate::writer`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of one judgement"
)]
pub struct Rows {
    /// Name of the workload: its tables are `NAME_reg`, `NAME_log`, `NAME_bank`, `NAME_vault` and `NAME_list`.
    pub table: String,
    /// The register table was read.
    pub registers: bool,
    /// The append table was read.
    pub appends: bool,
    /// Both account tables were read: sums and transfers are judged.
    pub bank: bool,
    /// The list table was read.
    pub lists: bool,
    /// Debezium's topic of transaction metadata was read.
    pub transactions: bool,
    /// An event seen twice is a fault.
    pub exactly_once: bool,
    /// A delete must be followed by a tombstone (Debezium's `tombstones.on.delete`, which is on by default).
    pub tombstones: bool,
    /// Events of one writer in one partition must come in the order of its transactions. True of every source with
    /// one log and one reader of it.
    pub session_order: bool,
}

impl Rows {
    /// Registers and appends, at least once, with Debezium's defaults.
    pub fn of(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            registers: true,
            appends: true,
            bank: false,
            lists: false,
            transactions: false,
            exactly_once: false,
            tombstones: true,
            session_order: true,
        }
    }

    /// What the topics' names say, by their ends: `…NAME_reg`, `…NAME_log`, `…NAME_bank` with `…NAME_vault`,
    /// `…NAME_list`, `….transaction`.
    pub fn of_topics<S: AsRef<str>>(table: &str, topics: &[S]) -> Self {
        let ends = |end: &str| topics.iter().any(|it| it.as_ref().ends_with(end));
        Self {
            registers: ends(&format!("{table}_reg")),
            appends: ends(&format!("{table}_log")),
            bank: ends(&format!("{table}_bank")) && ends(&format!("{table}_vault")),
            lists: ends(&format!("{table}_list")),
            transactions: ends(".transaction"),
            ..Self::of(table)
        }
    }

    /// Whether a ledger was read.
    pub const fn reads(&self, ledger: Ledger) -> bool {
        match ledger {
            Ledger::Bank | Ledger::Vault => self.bank,
            Ledger::List => self.lists,
        }
    }
}

/// One kind of fault: how often, and the first of them in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How many.
    pub count: u64,
    /// The first ones.
    pub examples: Vec<String>,
}

/// Examples that a finding keeps.
const EXAMPLES: usize = 5;

impl Finding {
    /// One more.
    pub fn add(&mut self, example: impl FnOnce() -> String) {
        self.add_many(1, example);
    }

    /// So many more, with one example.
    pub fn add_many(&mut self, count: u64, example: impl FnOnce() -> String) {
        self.count += count;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example());
        }
    }
}

/// What came twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Duplicates {
    /// Records that had been seen before.
    pub count: u64,
    /// How often a key's series went back.
    pub rewinds: u64,
    /// The most numbers of one key that one of them went back over.
    pub longest: u64,
}

/// Times from COMMIT to Kafka, milliseconds: the record's timestamp less the time of the COMMIT's answer, by the clocks
/// of two processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Lags {
    /// Half of the transactions were faster.
    pub median_ms: i64,
    /// 99 of 100 were faster.
    pub p99_ms: i64,
    /// The slowest.
    pub max_ms: i64,
}

/// The judgement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// No fault of any kind.
    pub passed: bool,
    /// Records read.
    pub events: u64,
    /// Transactions that the history calls ok, failed, and unknown.
    pub transactions: (u64, u64, u64),
    /// Rows that were read by a snapshot.
    pub snapshot: u64,
    /// Committed and never seen, or a hole in a series.
    pub lost: Finding,
    /// Seen twice; a fault only where exactly once was promised.
    pub duplicated: Duplicates,
    /// Whether a duplicate is a fault.
    pub exactly_once: bool,
    /// Seen in an order in which it did not happen.
    pub reordered: Finding,
    /// An event whose *before* is not the *after* of the version before it.
    pub broken_chain: Finding,
    /// Seen, and never committed.
    pub phantom: Finding,
    /// Not readable, or not what was written.
    pub corrupt: Finding,
    /// Transactions of which a part was seen.
    pub torn: Finding,
    /// The longest time in which rows were committed and no record came, milliseconds.
    pub silence_ms: Option<i64>,
    /// From the last COMMIT to the last record, milliseconds.
    pub catch_up_ms: Option<i64>,
    /// From COMMIT to Kafka.
    pub lag: Option<Lags>,
    /// The reader gave up before the topics came to rest.
    pub incomplete: bool,
}

impl Verdict {
    /// Every kind of fault with its name.
    pub fn findings(&self) -> [(&'static str, &Finding); 6] {
        [
            ("lost", &self.lost),
            ("reordered", &self.reordered),
            ("broken chain", &self.broken_chain),
            ("phantom", &self.phantom),
            ("corrupt", &self.corrupt),
            ("torn", &self.torn),
        ]
    }

    /// Sets [`Verdict::passed`] by all the rest.
    pub fn judge(&mut self) {
        let sound = self.findings().iter().all(|(_, it)| it.count == 0);
        let once = !self.exactly_once || self.duplicated.count == 0;
        self.passed = sound && once && !self.incomplete;
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ok, fail, unknown) = self.transactions;
        writeln!(f, "{:<14}{:>10}", "events", self.events)?;
        writeln!(
            f,
            "{:<14}{ok:>10}   ok, {fail} failed, {unknown} unknown",
            "transactions"
        )?;
        if self.snapshot > 0 {
            writeln!(f, "{:<14}{:>10}", "snapshot", self.snapshot)?;
        }
        for (name, finding) in self.findings() {
            writeln!(f, "{name:<14}{:>10}", finding.count)?;
            for example in &finding.examples {
                writeln!(f, "{:<24}   {example}", "")?;
            }
        }
        let Duplicates {
            count,
            rewinds,
            longest,
        } = self.duplicated;
        writeln!(
            f,
            "{:<14}{count:>10}   {rewinds} rewinds, the longest over {longest}{}",
            "duplicated",
            if self.exactly_once {
                "; none is allowed"
            } else {
                ""
            }
        )?;
        let times = [("silence", self.silence_ms), ("catch-up", self.catch_up_ms)];
        for (name, time) in times {
            if let Some(time) = time {
                writeln!(f, "{name:<14}{time:>10} ms")?;
            }
        }
        if let Some(lag) = self.lag {
            writeln!(
                f,
                "{:<14}{:>10} ms   median; {} ms p99, {} ms max",
                "lag", lag.median_ms, lag.p99_ms, lag.max_ms
            )?;
        }
        if self.incomplete {
            writeln!(f, "the topics did not come to rest in time")?;
        }
        write!(f, "{}", if self.passed { "PASSED" } else { "FAILED" })
    }
}
