//! The checker's own check: into a run without a fault one fault is put at a time, and each must be found as what it is;
//! what a sound pipeline may do must not be called a fault. A checker that finds nothing proves nothing.

mod faults;
mod honest;
mod ledgers;
mod stage;

use crate::dice::Dice;
use crate::event::Event;
use crate::history::History;
use crate::verdict::{Mode, Rows, Verdict};
use crate::{model, verify};
use faults::Fault;
use honest::Play;
use stage::Stage;
use std::fmt;

/// A run without a fault.
#[derive(Debug, Clone)]
pub struct Run {
    /// What was written.
    pub history: History,
    /// What was read.
    pub events: Vec<Event>,
    /// How it is judged.
    pub rows: Rows,
}

impl Run {
    /// The model's run.
    pub fn of_model(seed: u64, transactions: u32) -> Self {
        let (history, events) = model::run(seed, transactions, 60);
        Self {
            history,
            events,
            rows: Rows::of_topics(model::TABLE, &model::TOPICS),
        }
    }

    fn stage(&self, seed: u64, number: usize) -> Stage<'_> {
        Stage {
            events: self.events.clone(),
            history: &self.history,
            dice: Dice::of(seed, number as u64),
        }
    }

    fn judged(&self, events: Vec<Event>, exactly_once: bool) -> Verdict {
        let mode = Mode::Rows(Rows {
            exactly_once,
            ..self.rows.clone()
        });
        verify(&self.history, events, &mode)
    }

    fn played(&self, play: Play, seed: u64, number: usize) -> Option<Vec<Event>> {
        let mut stage = self.stage(seed, number);
        play(&mut stage)?;
        model::number_offsets(&mut stage.events);
        Some(stage.events)
    }
}

/// What became of one fault or control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// Found as what it is, or rightly not called a fault.
    Good(String),
    /// Missed, found as something else, or a false alarm.
    Bad(String),
    /// The run has no place for it.
    NoPlace,
}

/// What became of all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Faults, by name.
    pub faults: Vec<(&'static str, Trial)>,
    /// What is no fault, by name.
    pub controls: Vec<(&'static str, Trial)>,
}

fn all() -> impl Iterator<Item = &'static Fault> {
    faults::FAULTS.iter().chain(ledgers::FAULTS)
}

/// Names of the faults, for tests that play one at a time.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|it| it.name)
}

/// The findings of a verdict, by name.
fn found(verdict: &Verdict) -> Vec<&'static str> {
    let findings = verdict.findings().into_iter();
    let mut found: Vec<_> = findings
        .filter(|(_, it)| it.count > 0)
        .map(|(name, _)| name)
        .collect();
    if verdict.exactly_once && verdict.duplicated.count > 0 {
        found.push("duplicated");
    }
    found
}

/// Plays every fault and every control.
pub fn try_all(run: &Run, seed: u64) -> Report {
    let faults = all().enumerate();
    let controls = honest::CONTROLS.iter().enumerate();
    Report {
        faults: faults
            .map(|(number, fault)| (fault.name, try_fault(run, fault, seed, number)))
            .collect(),
        controls: controls
            .map(|(number, (name, play))| (*name, try_control(run, *play, seed, number)))
            .collect(),
    }
}

/// Plays one fault, by name.
pub fn try_one(run: &Run, name: &str, seed: u64) -> Trial {
    let mut faults = all().enumerate();
    match faults.find(|(_, it)| it.name == name) {
        Some((number, fault)) => try_fault(run, fault, seed, number),
        None => Trial::NoPlace,
    }
}

fn try_fault(run: &Run, fault: &Fault, seed: u64, number: usize) -> Trial {
    let Some(events) = run.played(fault.play, seed, number) else {
        return Trial::NoPlace;
    };
    let verdict = run.judged(events, fault.exactly_once);
    let found = found(&verdict);
    let is_found = fault.found_as.iter().any(|it| found.contains(it));
    let text = if found.is_empty() {
        "not found".to_owned()
    } else {
        found.join(", ")
    };
    if is_found && !verdict.passed {
        Trial::Good(text)
    } else {
        Trial::Bad(format!("{text}; wanted is {}", fault.found_as.join(" or ")))
    }
}

fn try_control(run: &Run, play: Play, seed: u64, number: usize) -> Trial {
    let Some(events) = run.played(play, seed, number) else {
        return Trial::NoPlace;
    };
    let verdict = run.judged(events, false);
    if verdict.passed {
        Trial::Good(format!("passed, {} duplicates", verdict.duplicated.count))
    } else {
        Trial::Bad(format!("false alarm: {}", found(&verdict).join(", ")))
    }
}

impl Report {
    /// Every fault found that the run had a place for, and no false alarm.
    pub fn passed(&self) -> bool {
        let mut all = self.faults.iter().chain(&self.controls);
        !all.any(|(_, it)| matches!(it, Trial::Bad(_)))
    }

    /// Every fault and every control was played.
    pub fn is_whole(&self) -> bool {
        let mut all = self.faults.iter().chain(&self.controls);
        !all.any(|(_, it)| *it == Trial::NoPlace)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, trials) in [("fault", &self.faults), ("no fault", &self.controls)] {
            writeln!(f, "{title}")?;
            for (name, trial) in trials {
                let (mark, text) = match trial {
                    Trial::Good(text) => ("ok", text.as_str()),
                    Trial::Bad(text) => ("BAD", text.as_str()),
                    Trial::NoPlace => ("--", "the run has no place for it"),
                };
                writeln!(f, "  {mark:<4}{name:<54}{text}")?;
            }
        }
        let placed = self.faults.iter().filter(|it| it.1 != Trial::NoPlace);
        let is_good = |trials: &[(&str, Trial)]| {
            let good = trials.iter().filter(|(_, it)| matches!(it, Trial::Good(_)));
            good.count()
        };
        let alarms = self.controls.iter();
        let alarms = alarms.filter(|(_, it)| matches!(it, Trial::Bad(_))).count();
        write!(
            f,
            "{} of {} found, {alarms} false alarms in {} runs without a fault",
            is_good(&self.faults),
            placed.count(),
            self.controls.len()
        )
    }
}
