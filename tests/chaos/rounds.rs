//! Rounds: a fault under load, back to normal unaided, and a judgement on everything so far.

use crate::faults::{self, Fault};
use crate::figures::{self, Row};
use crate::leaks;
use crate::load::{Effect, Load, now_ms};
use crate::stage::{Brokers, Source, Stage};
use anyhow::{Context as _, Result, ensure};
use checker::dice::Dice;
use e2e::process::{binary, repository, run, tail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// A connector that reads the tables of the load; several read the same ones side by side.
struct Reading {
    name: &'static str,
    exactly_once: bool,
}

/// Both promise the ordinary thing.
const ALIKE: [Reading; 2] = [
    Reading {
        name: "north",
        exactly_once: false,
    },
    Reading {
        name: "south",
        exactly_once: false,
    },
];

/// One of each promise.
const UNLIKE: [Reading; 2] = [
    Reading {
        name: "once",
        exactly_once: true,
    },
    Reading {
        name: "least",
        exactly_once: false,
    },
];

/// The broker's tools take seconds of a JVM, so topics are counted every so many rounds.
const TOPICS_EVERY: usize = 10;
/// So many failed rounds end a run: the rest would only repeat them.
const FAILURES_MAX: usize = 5;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// Rounds.
    pub rounds: usize,
    /// What decides faults and load.
    pub seed: u64,
    /// Only these faults; all of them if none is named.
    pub only: Vec<Fault>,
    /// The same load into two connectors, one of each promise, in turn; else two of the ordinary one,
    /// as the dice say.
    pub both_promises: bool,
    /// Whether `docs/reliability.md` gets the figures.
    pub report: bool,
    /// Whether mounts may be made: the program runs in a mount namespace of its own.
    pub may_mount: bool,
}

/// Where a run keeps what must be looked at later.
fn folder(seed: u64) -> PathBuf {
    repository().join("target/chaos").join(seed.to_string())
}

/// Runs all rounds.
pub fn run_all(order: &Order) -> Result<()> {
    println!("chaos: {} rounds, seed {}", order.rounds, order.seed);
    let folder = folder(order.seed);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let prepare = |home: &Path| {
        if order.may_mount {
            faults::mount(home)
        } else {
            Ok(())
        }
    };
    let mut stage = Stage::set_up(binary("runnel"), Brokers::Plain, prepare)?;
    let mut load = Load::prepare(&stage, &folder, order.seed)?;
    declare(&mut stage, &mut load, order)?;
    let mut run = Run {
        order,
        folder,
        dice: Dice::of(order.seed, 1),
        rows: Vec::new(),
        workers: BTreeSet::new(),
        failures: Vec::new(),
    };
    let begun = Instant::now();
    run.rounds(&mut stage, &mut load);
    let seconds = begun.elapsed().as_secs_f64();
    let events = run.finish(&mut stage, &mut load);
    let table = figures::table(&run.rows);
    let summary = figures::summary(&run.rows, events, order, seconds);
    println!("\n{table}\n{summary}");
    if order.report {
        let part = if order.both_promises {
            figures::Part::Promises
        } else {
            figures::Part::Faults
        };
        figures::write_report(part, &table, &summary)?;
    }
    ensure!(
        run.failures.is_empty(),
        "{} rounds failed with seed {}:\n{}",
        run.failures.len(),
        order.seed,
        run.failures.join("\n")
    );
    Ok(())
}

fn declare(stage: &mut Stage, load: &mut Load, order: &Order) -> Result<()> {
    let tables = Load::tables();
    let readings = if order.both_promises { UNLIKE } else { ALIKE };
    for Reading { name, exactly_once } in &readings {
        let (name, exactly_once) = (*name, *exactly_once);
        let lines = if exactly_once {
            "  delivery                   = \"EXACTLY_ONCE\"\n"
        } else {
            ""
        };
        let tables = &tables;
        stage.declare(&[Source {
            name,
            tables,
            lines,
        }])?;
        load.watch(stage, name, exactly_once)?;
    }
    load.resume()?;
    load.await_marker(stage)?;
    for Reading { name, .. } in readings {
        stage.await_position(name)?;
    }
    stage.await_running()
}

struct Run<'a> {
    order: &'a Order,
    folder: PathBuf,
    dice: Dice,
    rows: Vec<Row>,
    /// Ids of all workers that ever were.
    workers: BTreeSet<String>,
    failures: Vec<String>,
}

impl Run<'_> {
    fn rounds(&mut self, stage: &mut Stage, load: &mut Load) {
        let possible = self.possible();
        let faults = Fault::deal(&mut self.dice, self.order.rounds, &possible);
        for (index, fault) in faults.into_iter().enumerate() {
            let number = index + 1;
            let begun = Instant::now();
            let mut row = Row::new(number, fault);
            let result = self.round(stage, load, &mut row);
            row.seconds = begun.elapsed().as_secs_f64();
            row.failed = result.is_err();
            println!("{row}");
            self.rows.push(row);
            if let Err(error) = result {
                let text = format!("round {number}, {}: {error:#}", fault.words());
                eprintln!("FAILED {text}");
                self.failures.push(text.clone());
                self.keep(stage, load, number, &text);
                if self.failures.len() >= FAILURES_MAX {
                    eprintln!("{FAILURES_MAX} rounds failed; the rest is left out");
                    return;
                }
                heal(stage, load);
            }
        }
    }

    fn possible(&self) -> Vec<Fault> {
        let mut possible = if self.order.only.is_empty() {
            Fault::ALL.to_vec()
        } else {
            self.order.only.clone()
        };
        if !self.order.may_mount {
            eprintln!(
                "chaos: LEFT OUT: {}: no file system can be mounted here (root and unshare(1) are needed)",
                Fault::FullDisk.words()
            );
            possible.retain(|fault| *fault != Fault::FullDisk);
        }
        possible
    }

    fn round(&mut self, stage: &mut Stage, load: &mut Load, row: &mut Row) -> Result<()> {
        self.note_workers(stage)?;
        let before = pids(stage)?;
        let from_ms = now_ms();
        let target = self.target(stage, row);
        row.what = row
            .fault
            .inject(stage, &mut self.dice, &target)
            .context("the fault could not be done")?;
        load.await_marker(stage)?;
        stage.await_running()?;
        let effects = load.judge(from_ms)?;
        let verdicts = row.take(&effects, self.rows.iter().rev().find_map(Row::totals));
        self.save(&effects)?;
        verdicts?;
        if row.fault.spares_workers() {
            let after = pids(stage)?;
            ensure!(after == before, "workers were {before:?} and are {after:?}");
        }
        stage.await_rest()?;
        leaks::check(stage)?;
        self.note_workers(stage)?;
        leaks::groups(stage, &self.gone(stage)?)?;
        if row.number.is_multiple_of(TOPICS_EVERY) {
            leaks::topics(stage)?;
        }
        load.resume()?;
        // Events flow again before the next fault, so that its silence is its own.
        load.await_marker(stage)
    }

    fn target(&mut self, stage: &Stage, row: &mut Row) -> String {
        let count = stage.connectors.len();
        if !self.order.both_promises {
            return stage.connectors[self.dice.index(count)].clone();
        }
        let at = row.number % count;
        let promise = if UNLIKE[at].exactly_once {
            "EXACTLY_ONCE"
        } else {
            "AT_LEAST_ONCE"
        };
        row.label = format!("{}, `{promise}`", row.label);
        UNLIKE[at].name.to_owned()
    }

    fn note_workers(&mut self, stage: &Stage) -> Result<()> {
        self.workers.extend(worker_ids(stage)?);
        Ok(())
    }

    fn gone(&self, stage: &Stage) -> Result<BTreeSet<String>> {
        let now = worker_ids(stage)?;
        Ok(self.workers.difference(&now).cloned().collect())
    }

    /// The last judgement, what is left on the broker, and whether Terraform sees a difference once
    /// the configuration is again what its file says.
    fn finish(&mut self, stage: &mut Stage, load: &mut Load) -> u64 {
        let mut events = 0;
        let mut end = || -> Result<()> {
            if !load.is_paused() {
                let effects = load.judge(now_ms())?;
                events = effects.iter().map(|it| it.verdict.events).sum();
                for effect in &effects {
                    ensure!(effect.verdict.passed, "{}", effect.verdict);
                }
            }
            leaks::topics(stage)?;
            stage.terraform.apply()?.expect(0)?;
            stage.terraform.plan()?.expect(0)?;
            Ok(())
        };
        if let Err(error) = end() {
            let text = format!("at the end: {error:#}");
            eprintln!("FAILED {text}");
            self.keep(stage, load, 0, &text);
            self.failures.push(text);
        }
        // Also of a run without a failure: what was slow is told there.
        let _ = fs::copy(
            stage.world.daemon.log_path(),
            self.folder.join("daemon.log"),
        );
        events
    }

    fn save(&self, effects: &[Effect]) -> Result<()> {
        let of = |it: &Effect| format!("{}\n{}\n", it.connector, it.verdict);
        let text: Vec<String> = effects.iter().map(of).collect();
        Ok(fs::write(self.folder.join("verdict.txt"), text.join("\n"))?)
    }

    /// Keeps what tells how a round failed in `target/chaos/SEED-ROUND`.
    fn keep(&self, stage: &Stage, load: &Load, number: usize, text: &str) {
        let place = self
            .folder
            .with_file_name(format!("{}-{number}", self.order.seed));
        let keep = || -> Result<()> {
            let _ = fs::remove_dir_all(&place);
            fs::create_dir_all(&place)?;
            fs::write(place.join("failure.txt"), format!("{text}\n"))?;
            let verdict = self.folder.join("verdict.txt");
            if verdict.exists() {
                fs::copy(&verdict, place.join("verdict.txt"))?;
            }
            fs::copy(load.history(), place.join("history.jsonl"))?;
            fs::copy(stage.world.daemon.log_path(), place.join("daemon.log"))?;
            let status = stage.world.daemon.runnel(&["status"]).unwrap_or_default();
            fs::write(place.join("status.txt"), status)?;
            // Worker logs, and what stands beside them.
            run(Command::new("cp")
                .arg("-R")
                .arg(stage.world.daemon.data().join("fleets"))
                .arg(&place))?;
            // Its secrets are those of a throw-away database; they are kept nowhere all the same.
            run(Command::new("find").arg(&place).args([
                "-name", "secrets", "-type", "d", "-exec", "rm", "-r", "{}", "+",
            ]))
            .map(drop)
        };
        match keep() {
            Ok(()) => eprintln!("kept: {}", place.display()),
            Err(error) => eprintln!(
                "not all is kept in {}: {error:#}\n{}",
                place.display(),
                tail(&stage.world.daemon.log_path(), 40)
            ),
        }
    }
}

fn pids(stage: &Stage) -> Result<Vec<Vec<u32>>> {
    let of = |name: &String| stage.world.daemon.worker_pids(name);
    stage.connectors.iter().map(of).collect()
}

fn worker_ids(stage: &Stage) -> Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    for connector in &stage.connectors {
        let object = stage.object(connector)?;
        let workers = object["status"]["workers"].as_array();
        let found = workers.into_iter().flatten();
        ids.extend(found.filter_map(|worker| Some(worker["id"].as_str()?.to_owned())));
    }
    Ok(ids)
}

/// Whatever a failed round left: everything is started that should run, so that the next round
/// says something of its own fault.
fn heal(stage: &mut Stage, load: &mut Load) {
    let mut heal = || -> Result<()> {
        stage.revive()?;
        for part in ["broker", "mariadb"] {
            stage.world.rig.start(part)?;
        }
        if load.is_paused() {
            load.resume()?;
        }
        stage.await_running()?;
        load.await_marker(stage)
    };
    if let Err(error) = heal() {
        eprintln!("and it does not heal: {error:#}");
    }
}
