//! The daemon, or a shim, dies between each two steps of create, change and delete.
//!
//! One connector lives many lives; in each phase of a life one point is armed. Whatever died is
//! started again as a service manager would do it, the client repeats the request whose answer it
//! did not get, and then everything must be as if nothing had happened: processes, files, topics, and
//! users and ACLs on the broker, which is the secured one.

use crate::leaks;
use crate::stage::{Brokers, RECOVERY_LIMIT, Source, Stage, build_with_failpoints};
use anyhow::{Context as _, Result, bail, ensure};
use e2e::process::{run, wait_for};
use e2e::standing::Standing;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const NAME: &str = "step";

/// Points that these lives cannot come by, and why.
const OUT_OF_REACH: &[(&str, &str)] = &[
    (
        "kill-worker",
        "a worker must ignore SIGTERM longer than its shim's deadline",
    ),
    ("restart-failed", "a task must fail in a live worker"),
    ("restart-task", "the same call as for tasks that failed"),
    (
        "leave-topics-for-later",
        "the broker must be away during a delete",
    ),
    (
        "sealing-key",
        "no phase rotates the key; the store's own tests stop after each step",
    ),
];

/// What is done to the connector in a phase, and at which points of it the process dies.
struct Phase {
    name: &'static str,
    points: Vec<String>,
    /// The outcome that the operation must have.
    outcome: &'static str,
}

/// How one point went.
struct Row {
    phase: &'static str,
    point: String,
    end: End,
    seconds: f64,
}

/// What a phase left.
struct End {
    died: &'static str,
    /// On the broker, all of them.
    users: usize,
    acls: usize,
}

/// Walks all points, or those that hold one of the words or belong to a phase of that name; prints a
/// row for each.
pub fn walk(only: &[String]) -> Result<()> {
    let program = build_with_failpoints()?;
    let mut stage = Stage::set_up(program.clone(), Brokers::Secured, |_| Ok(()))?;
    if let Some(secured) = &stage.secured {
        leaks::strangers(secured)?;
        stage.before = Standing::read(secured)?;
        println!("before: {:#?}", stage.before);
        ensure!(
            stage.before.users.len() == 2 && stage.before.acls.len() == 2,
            "not only the admin and the strangers"
        );
    }
    let result = lives(&mut stage, &program, only);
    if result.is_err() {
        eprintln!(
            "--- the daemon's log ends with\n{}",
            e2e::process::tail(&stage.world.daemon.log_path(), 60)
        );
    }
    result
}

fn lives(stage: &mut Stage, program: &Path, only: &[String]) -> Result<()> {
    stage
        .world
        .rig
        .mariadb("CREATE DATABASE step; CREATE TABLE step.t (id INT PRIMARY KEY); INSERT INTO step.t VALUES (1)")?;
    stage.declare(&[Source {
        name: NAME,
        tables: "step.t",
        lines: "",
    }])?;
    let password = stage.world.rig.fact("RIG_MARIADB_PASSWORD")?;
    let spec = stage.object(NAME)?["spec"].clone();
    let body = json!({ "spec": spec, "secrets": { "database.password": password } });
    delete(stage)?;
    let phases = phases(program, only)?;
    let lives = phases
        .iter()
        .map(|phase| phase.points.len())
        .max()
        .unwrap_or(0);
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    println!("| phase   | point                      | died   | users | ACLs |    time |");
    for life in 0..lives {
        for phase in &phases {
            let point = phase.points.get(life);
            if point.is_none() && !["create", "delete"].contains(&phase.name) {
                continue;
            }
            let begun = Instant::now();
            let result = act(stage, phase, &body, point)
                .with_context(|| format!("{}: {}", phase.name, point.map_or("-", |it| it)));
            match (result, point) {
                (Ok(end), Some(point)) => {
                    let row = Row {
                        phase: phase.name,
                        point: point.clone(),
                        end,
                        seconds: begun.elapsed().as_secs_f64(),
                    };
                    print_row(&row);
                    rows.push(row);
                }
                (Ok(_), None) => {}
                (Err(error), _) => {
                    eprintln!("FAILED {error:#}");
                    failed.push(format!("{error:#}"));
                    // The next phase begins from where a person would: nothing armed, all healed.
                    let _ = fs::remove_file(stage.world.daemon.data().join("failpoint"));
                    stage.revive()?;
                    break;
                }
            }
        }
        if !stage.connectors.is_empty() {
            delete(stage)?;
        }
    }
    let (users, acls) = leaks::principals(stage)?;
    println!("{} points walked, {} failed", rows.len(), failed.len());
    println!("at the end {users} users and {acls} ACLs, those of before");
    for (step, why) in OUT_OF_REACH {
        println!("not walked: before and after {step}: {why}");
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

fn print_row(row: &Row) {
    println!(
        "| {:<7} | {:<26} | {:<6} | {:>5} | {:>4} | {:>5.1} s |",
        row.phase, row.point, row.end.died, row.end.users, row.end.acls, row.seconds
    );
}

/// Before and after each of these steps.
fn around(steps: &[&str]) -> Vec<String> {
    let moments = |step: &&str| [format!("before:{step}"), format!("after:{step}")];
    steps.iter().flat_map(moments).collect()
}

fn owned(points: &[&str]) -> Vec<String> {
    points.iter().map(|point| (*point).to_owned()).collect()
}

/// All phases with all their points. A point that the program has and no phase walks is an error.
fn phases(program: &Path, only: &[String]) -> Result<Vec<Phase>> {
    let mut phases = all_phases();
    let text = run(Command::new(program).arg("failpoints"))?;
    let mut unused: BTreeSet<&str> = text.lines().collect();
    for point in phases.iter().flat_map(|phase| &phase.points) {
        unused.remove(point.as_str());
    }
    unused.retain(|point| !OUT_OF_REACH.iter().any(|(step, _)| point.ends_with(step)));
    ensure!(unused.is_empty(), "points that no phase walks: {unused:?}");
    if !only.is_empty() {
        for phase in &mut phases {
            let name = phase.name;
            let is_asked = |point: &String| {
                let mut words = only.iter();
                words.any(|word| point.contains(word) || name == word)
            };
            phase.points.retain(is_asked);
        }
    }
    Ok(phases)
}

fn all_phases() -> Vec<Phase> {
    let phase = |name, outcome, points: &[Vec<String>]| Phase {
        name,
        points: points.concat(),
        outcome,
    };
    let put = owned(&["before:commit-put", "after:commit-put", "before:answer-put"]);
    let delete = owned(&[
        "before:commit-delete",
        "after:commit-delete",
        "before:answer-delete",
    ]);
    let shim_starts = owned(&[
        "before:shim-name-itself",
        "before:shim-spawn",
        "before:shim-name-worker",
        "after:shim-name-worker",
        "before:shim-exec",
    ]);
    let shim_ends = owned(&[
        "before:shim-reap",
        "before:shim-write-exit",
        "after:shim-write-exit",
    ]);
    let grant = [
        around(&["grant"]),
        owned(&["after:grant-acls", "after:grant-user"]),
    ];
    let revoke = [around(&["revoke"]), owned(&["after:revoke-user"])];
    let start = around(&["make-topics", "start-worker"]);
    let create = around(&["preflight", "create-stopped", "resume", "conclude"]);
    let change = around(&[
        "preflight",
        "stop-connector",
        "record-offsets",
        "put-config",
        "resume",
        "conclude",
    ]);
    let resize = around(&["stop-worker", "bury-worker", "start-worker"]);
    let mistake = around(&["restore-offsets", "put-config", "resume", "roll-back"]);
    let gone = around(&["stop-worker", "bury-worker", "delete-topics", "vanish"]);
    vec![
        phase(
            "create",
            "SUCCEEDED",
            &[put.clone(), grant.concat(), start, shim_starts, create],
        ),
        phase("change", "SUCCEEDED", &[put, change]),
        phase("resize", "SUCCEEDED", &[resize, shim_ends.clone()]),
        phase("mistake", "ROLLED_BACK", &[mistake]),
        phase("pause", "SUCCEEDED", &[around(&["pause"])]),
        phase(
            "delete",
            "SUCCEEDED",
            &[delete, revoke.concat(), gone, shim_ends],
        ),
    ]
}

/// One phase, with a point armed or not.
fn act(stage: &mut Stage, phase: &Phase, body: &Value, point: Option<&String>) -> Result<End> {
    let file = stage.world.daemon.data().join("failpoint");
    let daemon = stage.world.daemon.pid();
    if let Some(point) = point {
        fs::write(&file, point)?;
    }
    if phase.name == "delete" {
        delete(stage)?;
        await_death(stage, point, daemon)?;
    } else {
        let wanted = wanted(phase.name, body, stage)?;
        let id = stage.put(NAME, &wanted)?;
        let operation = stage.await_operation(&id)?;
        ensure!(operation["outcome"] == phase.outcome, "{operation}");
        await_death(stage, point, daemon)?;
        if phase.name == "create" {
            stage.connectors = vec![NAME.to_owned()];
        }
        settle(stage, phase.name)?;
        if phase.outcome == "SUCCEEDED" {
            let again = stage.put(NAME, &wanted)?;
            ensure!(again == id, "the same specification made another operation");
        }
    }
    if phase.name == "create" || phase.name == "delete" {
        leaks::topics(stage)?;
    }
    let (users, acls) = leaks::principals(stage)?;
    let died = match point {
        None => "nobody",
        Some(point) if is_shims(point) => "shim",
        Some(_) => "daemon",
    };
    Ok(End { died, users, acls })
}

fn is_shims(point: &str) -> bool {
    point.contains(":shim-")
}

/// The armed point was reached; a daemon that dies after the last step has no reason to be asked
/// again, so its death is waited for, and the next one started.
fn await_death(stage: &mut Stage, point: Option<&String>, before: Option<u32>) -> Result<()> {
    let Some(point) = point else { return Ok(()) };
    let file = stage.world.daemon.data().join("failpoint");
    wait_for("the point to be reached", Duration::from_secs(5), || {
        Ok(!file.exists())
    })?;
    if is_shims(point) {
        let now = stage.world.daemon.pid();
        ensure!(now == before, "the daemon died instead of the shim");
        return Ok(());
    }
    let until = Instant::now() + Duration::from_secs(10);
    while !stage.revive()? && stage.world.daemon.pid() == before {
        ensure!(
            Instant::now() < until,
            "the daemon passed the point and lives"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// As the phase wants the connector.
fn wanted(phase: &str, body: &Value, stage: &Stage) -> Result<Value> {
    if phase == "create" {
        return Ok(body.clone());
    }
    let mut wanted = stage.spec(NAME)?;
    let spec = &mut wanted["spec"];
    match phase {
        "change" => spec["config"]["max.batch.size"] = json!("1024"),
        "resize" => spec["capacity"]["provisioned"]["mcu_count"] = json!(2),
        // Debezium's connector for MariaDB has one task and refuses more when it starts.
        "mistake" => spec["config"]["tasks.max"] = json!("2"),
        "pause" => spec["desired_state"] = json!("PAUSED"),
        _ => bail!("no such phase: {phase}"),
    }
    Ok(wanted)
}

/// Until nothing is done any more, and nothing too much is there.
fn settle(stage: &mut Stage, phase: &str) -> Result<()> {
    if phase == "pause" {
        wait_for("the connector to rest", RECOVERY_LIMIT, || {
            let status = &stage.object(NAME)?["status"];
            Ok(status["state"] == "PAUSED" && status["health"] == "IDLE")
        })?;
    } else {
        stage.await_running()?;
    }
    stage.await_rest()?;
    leaks::check(stage)
}

/// Deletes the connector and waits until nothing is left of it.
fn delete(stage: &mut Stage) -> Result<()> {
    if let Some(id) = stage.delete(NAME)? {
        let operation = stage.await_operation(&id)?;
        ensure!(operation["outcome"] == "SUCCEEDED", "{operation}");
    }
    let path = format!("/api/v1/connectors/{NAME}");
    let until = Instant::now() + Duration::from_secs(10);
    while stage.again(&reqwest::Method::GET, &path, None)?.0 != 404 {
        ensure!(
            Instant::now() < until,
            "the deleted connector is still there"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    stage.connectors.clear();
    // What died after the last step is started anew, and finds nothing to do.
    stage.revive()?;
    leaks::check(stage)
}
