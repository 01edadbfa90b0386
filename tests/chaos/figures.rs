//! Rows, tables and what is said of them.

use crate::faults::Fault;
use crate::load::Effect;
use crate::rounds::Order;
use anyhow::{Context as _, Result, ensure};
use checker::Verdict;
use e2e::process::repository;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// One round.
#[derive(Clone, Debug)]
pub struct Row {
    /// From 1.
    pub number: usize,
    /// What was done.
    pub fault: Fault,
    /// The line of the table that it counts in.
    pub label: String,
    /// What was rolled for it.
    pub what: String,
    /// New faults in this round, all connectors together.
    pub new: Totals,
    /// The longest silence of any connector, milliseconds.
    pub silence_ms: i64,
    /// From the fault to the end of that silence, milliseconds.
    pub recovery_ms: i64,
    /// How long the round took.
    pub seconds: f64,
    /// It did not end as it must.
    pub failed: bool,
    totals: Option<Totals>,
}

/// Sums over all connectors since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Committed and never seen.
    pub lost: u64,
    /// In another order, or with a broken chain of versions.
    pub reordered: u64,
    /// Never committed, or damaged.
    pub phantom: u64,
    /// Seen again.
    pub duplicated: u64,
}

impl Totals {
    fn of(verdict: &Verdict) -> Self {
        Self {
            lost: verdict.lost.count + verdict.torn.count,
            reordered: verdict.reordered.count + verdict.broken_chain.count,
            phantom: verdict.phantom.count + verdict.corrupt.count,
            duplicated: verdict.duplicated.count,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            reordered: self.reordered + other.reordered,
            phantom: self.phantom + other.phantom,
            duplicated: self.duplicated + other.duplicated,
        }
    }

    /// What came since; a row that was late is lost in one round and found in the next.
    const fn since(self, before: Self) -> Self {
        Self {
            lost: self.lost.saturating_sub(before.lost),
            reordered: self.reordered.saturating_sub(before.reordered),
            phantom: self.phantom.saturating_sub(before.phantom),
            duplicated: self.duplicated.saturating_sub(before.duplicated),
        }
    }
}

impl Row {
    /// Nothing known yet.
    pub fn new(number: usize, fault: Fault) -> Self {
        Self {
            number,
            fault,
            label: fault.words().to_owned(),
            what: String::new(),
            new: Totals::default(),
            silence_ms: 0,
            recovery_ms: 0,
            seconds: 0.0,
            failed: false,
            totals: None,
        }
    }

    /// Sums since the beginning, when the round came to a judgement.
    pub const fn totals(&self) -> Option<Totals> {
        self.totals
    }

    /// Takes what became of each connector; fails when a verdict is worse than `before`.
    pub fn take(&mut self, effects: &[Effect], before: Option<Totals>) -> Result<()> {
        let totals = effects.iter().fold(Totals::default(), |sum, it| {
            sum.plus(Totals::of(&it.verdict))
        });
        self.new = totals.since(before.unwrap_or_default());
        self.totals = Some(totals);
        let worst = effects.iter().max_by_key(|it| it.silence_ms);
        if let Some(worst) = worst {
            self.silence_ms = worst.silence_ms;
            self.recovery_ms = worst.recovery_ms;
        }
        let verdicts: Vec<String> = effects
            .iter()
            .filter(|it| !it.verdict.passed)
            .map(|it| format!("{}:\n{}", it.connector, it.verdict))
            .collect();
        let Totals {
            lost,
            reordered,
            phantom,
            ..
        } = self.new;
        let once = effects
            .iter()
            .all(|it| !it.verdict.exactly_once || it.verdict.duplicated.count == 0);
        ensure!(
            lost + reordered + phantom == 0 && once,
            "{}",
            verdicts.join("\n")
        );
        Ok(())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals {
            lost,
            reordered,
            phantom,
            duplicated,
        } = self.new;
        write!(
            f,
            "{:>4} {:<6} {:<40} lost {lost} reordered {reordered} phantom {phantom} duplicated {duplicated:>4}  silence \
             {:>5.1} s  recovery {:>5.1} s  round {:>4.1} s  {}",
            self.number,
            if self.failed { "FAILED" } else { "ok" },
            self.label,
            seconds(self.silence_ms),
            seconds(self.recovery_ms),
            self.seconds,
            self.what
        )
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "times of hours are far below 2^52 ms"
)]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1e3
}

fn median<T: Copy + Ord + Default>(values: &[T]) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// One line for each kind of fault.
pub fn table(rows: &[Row]) -> String {
    let mut of: BTreeMap<(Fault, &str), Vec<&Row>> = BTreeMap::new();
    for row in rows {
        of.entry((row.fault, &row.label)).or_default().push(row);
    }
    let mut text = String::from(
        "| fault | rounds | failed | lost | reordered | phantom | duplicates, median / max | recovery, median / max | \
         silence, median / max |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for ((_, label), rows) in of {
        let sum = |get: fn(&Totals) -> u64| rows.iter().map(|row| get(&row.new)).sum::<u64>();
        let duplicates: Vec<u64> = rows.iter().map(|row| row.new.duplicated).collect();
        let times = |get: fn(&Row) -> i64| {
            let values: Vec<i64> = rows.iter().map(|row| get(row)).collect();
            let most = values.iter().max().copied().unwrap_or_default();
            format!("{:.1} / {:.1} s", seconds(median(&values)), seconds(most))
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} / {} | {} | {} |",
            label,
            rows.len(),
            rows.iter().filter(|row| row.failed).count(),
            sum(|it| it.lost),
            sum(|it| it.reordered),
            sum(|it| it.phantom),
            median(&duplicates),
            duplicates.iter().max().copied().unwrap_or_default(),
            times(|row| row.recovery_ms),
            times(|row| row.silence_ms),
        );
    }
    text
}

/// What the rounds prove, in words.
pub fn summary(rows: &[Row], events: u64, order: &Order, seconds: f64) -> String {
    let failed = rows.iter().filter(|row| row.failed).count();
    let count = rows.len();
    #[expect(clippy::cast_precision_loss, reason = "rounds are thousands at most")]
    let (bound, mean) = (300.0 / count.max(1) as f64, seconds / count.max(1) as f64);
    let proof = if failed == 0 {
        format!(
            "No round failed; by the rule of three a fault loses or reorders something in fewer than {bound:.1} % of \
             cases (95 % confidence, 3/n)."
        )
    } else {
        format!("{failed} rounds failed.")
    };
    format!(
        "{count} rounds (seed {}), {events} events judged, {mean:.1} s a round. {proof}\n",
        order.seed
    )
}

/// A place in `docs/reliability.md` for figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Faults of every kind.
    Faults,
    /// Both promises side by side.
    Promises,
}

/// Puts figures between their marks in `docs/reliability.md`.
pub fn write_report(part: Part, table: &str, summary: &str) -> Result<()> {
    let name = match part {
        Part::Faults => "faults",
        Part::Promises => "promises",
    };
    let (begin, end) = (
        format!("<!-- {name}: begin -->\n"),
        format!("<!-- {name}: end -->\n"),
    );
    let path = repository().join("docs/reliability.md");
    let page = std::fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(&begin).context("no begin mark")?;
    let (_, after) = rest.split_once(&end).context("no end mark")?;
    let page = format!("{before}{begin}\n{table}\n{summary}\n{end}{after}");
    Ok(std::fs::write(&path, page)?)
}
