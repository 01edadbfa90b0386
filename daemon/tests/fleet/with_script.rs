//! The shim with a shell script in the place of Java: what it does needs no broker.

use crate::ground::{Ground, kill_9, launch};
use anyhow::{Context, Result};
use runnel::fleet::process::{Presence, ProcessId};
use runnel::fleet::run_dir::{LISTENING, Listening, SHIM, Started, WORKER, read_json, write_json};
use runnel::fleet::{FleetError, IsolationLevel, LaunchRuntime, WorkerLaunch, WorkerState};
use runnel_api::Secret;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// What a worker's log says once it listens and has joined.
const UP: &str = r#"
echo "[2026-11-22T17:40:47.746Z] INFO Advertised URI: http://127.0.0.1:45169/ (x)"
echo "[2026-11-22T17:40:48.871Z] INFO [Worker clientId=connect-127.0.0.1:45169, groupId=g] memberId='connect-127.0.0.1:45169-1' (x)"
"#;
/// Waits without an end, and obeys SIGTERM at once.
const WAIT: &str = "trap 'exit 143' TERM\nwhile :; do sleep 0.05; done\n";

/// Starts a script as the worker.
fn start(ground: &Ground, script: &str, deadline_ms: u64) -> Result<WorkerLaunch> {
    let libs = ground.path().join("libs");
    fs::create_dir_all(&libs)?;
    fs::write(libs.join("a.jar"), "")?;
    let java = ground.path().join("java");
    fs::write(&java, format!("#!/bin/sh\n{script}"))?;
    fs::set_permissions(&java, fs::Permissions::from_mode(0o755))?;
    let runtime = LaunchRuntime {
        name: "4.3".into(),
        libs,
        kafka_version: "4.3.1".into(),
        archive: None,
    };
    let mut launch = launch(runtime, "127.0.0.1:1", &java);
    launch.stop_deadline_ms = deadline_ms;
    ground.fleet().prepare(launch.connector_id)?;
    ground.fleet().start(&launch)?;
    Ok(launch)
}

fn joined(seen: &runnel::fleet::SeenWorker) -> bool {
    matches!(seen.state, WorkerState::Listening { port: 45169 }) && seen.member_id.is_some()
}

fn shim_of(ground: &Ground, launch: &WorkerLaunch) -> Result<ProcessId> {
    read_json(&ground.run_dir(launch).join(SHIM))?.context("shim.json")
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_exits_and_its_log_is_kept() -> Result<()> {
    let ground = Ground::new()?;
    let fleet = ground.fleet();
    let launch = start(&ground, &format!("{UP}{WAIT}"), 20_000)?;
    let (id, worker) = (launch.connector_id, &launch.worker);
    let seen = ground.await_worker(&launch, joined).await?;
    assert_eq!(seen.launch, launch);
    assert_eq!(seen.member_id.as_deref(), Some("connect-127.0.0.1:45169-1"));
    assert_eq!(seen.connect_worker_id().as_deref(), Some("127.0.0.1:45169"));
    assert_eq!(seen.stopping_since_ms, None);
    assert!(matches!(
        fleet.forget(id, worker),
        Err(FleetError::NotProvenDead(_))
    ));
    assert!(matches!(
        fleet.start(&launch),
        Err(FleetError::StartedBefore(_))
    ));

    fleet.stop(id, worker)?;
    let seen = ground
        .await_worker(&launch, |seen| matches!(seen.state, WorkerState::Exited(_)))
        .await?;
    let WorkerState::Exited(exit) = &seen.state else {
        unreachable!()
    };
    assert_eq!((exit.code, exit.signal), (Some(143), None));
    assert!(exit.stop_requested && !exit.deadline_passed);
    assert!(seen.stopping_since_ms.is_some());
    fleet.stop(id, worker)?;
    fleet.kill(id, worker)?;
    fleet.forget(id, worker)?;
    assert!(fleet.list()?.workers.is_empty());
    let logs = fleet.log_paths(id);
    assert!(logs[0].ends_with(format!("logs/{worker}.log")));
    assert!(fs::read_to_string(&logs[0])?.contains("Advertised URI"));
    assert!(matches!(
        fleet.stop(id, worker),
        Err(FleetError::NoSuchWorker(_))
    ));
    Ok(())
}

#[tokio::test]
async fn a_worker_that_does_not_stop_is_killed_after_its_deadline() -> Result<()> {
    let ground = Ground::new()?;
    let launch = start(
        &ground,
        &format!("trap '' TERM\n{UP}while :; do sleep 0.05; done"),
        300,
    )?;
    ground.await_worker(&launch, joined).await?;
    ground.fleet().stop(launch.connector_id, &launch.worker)?;
    let seen = ground
        .await_worker(&launch, |seen| matches!(seen.state, WorkerState::Exited(_)))
        .await?;
    let WorkerState::Exited(exit) = seen.state else {
        unreachable!()
    };
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
    assert!(exit.stop_requested && exit.deadline_passed);
    Ok(())
}

#[tokio::test]
async fn what_a_worker_leaves_behind_ends_with_it() -> Result<()> {
    let ground = Ground::new()?;
    let launch = start(
        &ground,
        &format!("sleep 600 & echo $! > \"$PWD/child\"\n{UP}exit 7"),
        300,
    )?;
    let seen = ground
        .await_worker(&launch, |seen| matches!(seen.state, WorkerState::Exited(_)))
        .await?;
    let WorkerState::Exited(exit) = seen.state else {
        unreachable!()
    };
    assert_eq!(exit.code, Some(7));
    assert!(!exit.stop_requested);
    let child: u32 = fs::read_to_string(ground.run_dir(&launch).join("child"))?
        .trim()
        .parse()?;
    let gone = ProcessId::of(child).map_or(Presence::Dead, |id| id.presence());
    assert_eq!(gone, Presence::Dead);
    Ok(())
}

#[tokio::test]
async fn a_worker_dies_with_its_shim_and_is_lost() -> Result<()> {
    let ground = Ground::new()?;
    // It ignores what it can: only SIGKILL ends it.
    let launch = start(
        &ground,
        &format!("trap '' TERM HUP\n{UP}while :; do sleep 0.05; done"),
        300,
    )?;
    let seen = ground.await_worker(&launch, joined).await?;
    kill_9(shim_of(&ground, &launch)?.pid)?;
    let seen_after = ground
        .await_worker(&launch, |seen| seen.state == WorkerState::Lost)
        .await?;
    assert_eq!(seen_after.pid, seen.pid);
    assert_eq!(seen_after.member_id, seen.member_id);
    ground.fleet().kill(launch.connector_id, &launch.worker)?;
    ground.fleet().forget(launch.connector_id, &launch.worker)?;
    Ok(())
}

#[tokio::test]
async fn a_kill_is_a_proof_of_death_and_the_shim_tells_how() -> Result<()> {
    let ground = Ground::new()?;
    let launch = start(
        &ground,
        &format!("trap '' TERM\n{UP}while :; do sleep 0.05; done"),
        60_000,
    )?;
    ground.await_worker(&launch, joined).await?;
    ground.fleet().kill(launch.connector_id, &launch.worker)?;
    let seen = ground.see(&launch)?;
    assert!(
        matches!(&seen.state, WorkerState::Exited(exit) if exit.signal == Some(9)),
        "{seen:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_daemon_that_starts_anew_knows_the_same_workers() -> Result<()> {
    let mut ground = Ground::new()?;
    let launch = start(&ground, &format!("{UP}{WAIT}"), 20_000)?;
    let before = ground.await_worker(&launch, joined).await?;
    ground.restart_daemon()?;
    assert_eq!(ground.see(&launch)?, before);
    // And it is woken by the death of a worker that it did not start.
    kill_9(before.pid.context("pid")?)?;
    let seen = ground
        .await_worker(&launch, |seen| matches!(seen.state, WorkerState::Exited(_)))
        .await?;
    assert!(matches!(seen.state, WorkerState::Exited(exit) if exit.signal == Some(9)));
    Ok(())
}

#[tokio::test]
async fn a_stranger_with_a_worker_s_pid_is_never_signalled() -> Result<()> {
    let ground = Ground::new()?;
    let launch = start(&ground, &format!("{UP}exit 0"), 300)?;
    ground
        .await_worker(&launch, |seen| matches!(seen.state, WorkerState::Exited(_)))
        .await?;
    let mut stranger = std::process::Command::new("sleep").arg("600").spawn()?;
    let mut id = ProcessId::of(stranger.id())?;
    id.start_ticks -= 1;
    let run = ground.run_dir(&launch);
    // As after a reboot or a long time: the files name a pid that has come to somebody else.
    fs::remove_file(run.join("exit.json"))?;
    write_json(&run.join(SHIM), &id)?;
    let started = Started {
        worker: id.clone(),
        shim: id,
        started_ms: 1,
    };
    write_json(&run.join(WORKER), &started)?;
    write_json(
        &run.join(LISTENING),
        &Listening {
            port: 1,
            member_id: None,
            since_ms: 1,
        },
    )?;

    assert_eq!(ground.see(&launch)?.state, WorkerState::Lost);
    ground.fleet().stop(launch.connector_id, &launch.worker)?;
    ground.fleet().kill(launch.connector_id, &launch.worker)?;
    ground.fleet().forget(launch.connector_id, &launch.worker)?;
    assert!(stranger.try_wait()?.is_none(), "the stranger was signalled");
    stranger.kill()?;
    stranger.wait()?;
    Ok(())
}

#[tokio::test]
async fn secrets_and_errors_of_the_output_are_handled_before_the_file() -> Result<()> {
    let ground = Ground::new()?;
    let script = r#"
until [ -e "$PWD/go" ]; do sleep 0.02; done
echo "[2026-11-22T17:40:48.871Z] ERROR login with late-secret-value failed (x)"
echo "Caused by: x.Y: late-secret-value"
printf 'no newline at the end'
exit 1
"#;
    let launch = start(&ground, script, 300)?;
    let secrets = BTreeMap::from([("p".to_owned(), Secret::new("late-secret-value"))]);
    // After the start: a running worker gets new secrets too.
    let references = ground
        .fleet()
        .write_secrets(launch.connector_id, &secrets)?;
    fs::write(ground.run_dir(&launch).join("go"), "")?;
    let seen = ground
        .await_worker(&launch, |seen| matches!(seen.state, WorkerState::Exited(_)))
        .await?;
    let WorkerState::Exited(exit) = seen.state else {
        unreachable!()
    };
    assert_eq!(exit.code, Some(1));
    assert_eq!(
        exit.last_error.as_deref(),
        Some("[2026-11-22T17:40:48.871Z] ERROR login with *** failed (x) — caused by: x.Y: ***")
    );
    let log = fs::read_to_string(&ground.fleet().log_paths(launch.connector_id)[0])?;
    assert!(
        !log.contains("late-secret") && log.ends_with("no newline at the end\n"),
        "{log}"
    );
    let last = ground
        .fleet()
        .last_error_since(launch.connector_id, 1_764_000_000_000)?;
    assert_eq!(last, exit.last_error);
    ground
        .fleet()
        .prune_secrets(launch.connector_id, references.values().map(String::as_str))?;
    assert_eq!(
        ground
            .fleet()
            .redactor(launch.connector_id)
            .redact("late-secret-value"),
        "***"
    );
    Ok(())
}

#[tokio::test]
async fn a_java_that_is_missing_is_said_so() -> Result<()> {
    let ground = Ground::new()?;
    let mut launch = start(&ground, "exit 0", 300)?;
    launch.worker = runnel::fleet::WorkerId::fresh();
    launch.java = "/nonexistent/java".into();
    ground.fleet().start(&launch)?;
    let seen = ground
        .await_worker(&launch, |seen| matches!(seen.state, WorkerState::Exited(_)))
        .await?;
    let WorkerState::Exited(exit) = seen.state else {
        unreachable!()
    };
    assert_eq!(exit.code, Some(127));
    assert!(
        exit.last_error
            .context("error")?
            .contains("/nonexistent/java cannot be started")
    );
    Ok(())
}

#[tokio::test]
async fn a_flood_of_output_neither_blocks_the_worker_nor_fills_the_disk() -> Result<()> {
    let ground = Ground::new()?;
    // 80 MB, more than the five files hold.
    let script = "line=$(printf 'x%.0s' $(seq 1 999))\nyes \"$line\" | head -n 80000\nexit 0";
    let launch = start(&ground, script, 300)?;
    let seen = ground
        .await_worker(&launch, |seen| matches!(seen.state, WorkerState::Exited(_)))
        .await?;
    assert!(matches!(seen.state, WorkerState::Exited(exit) if exit.code == Some(0)));
    let sizes: Vec<u64> = ground
        .fleet()
        .log_paths(launch.connector_id)
        .iter()
        .map(|path| fs::metadata(path).map_or(0, |file| file.len()))
        .collect();
    assert_eq!(sizes.len(), 5);
    assert!(sizes.iter().sum::<u64>() < 53 << 20, "{sizes:?}");
    Ok(())
}

#[tokio::test]
async fn a_worker_that_the_kernel_kills_at_its_limit_is_out_of_memory() -> Result<()> {
    let ground = Ground::new()?;
    if ground.fleet().isolation().level() != IsolationLevel::Enforced {
        eprintln!("not shown: nothing limits memory here");
        return Ok(());
    }
    // A line without an end. The launch has 768 MiB; without its limit this ends at 2 GB.
    let launch = start(&ground, "ulimit -v 2000000\nexec tail /dev/zero\n", 20_000)?;
    let seen = ground
        .await_worker(&launch, |seen| matches!(seen.state, WorkerState::Exited(_)))
        .await?;
    let WorkerState::Exited(exit) = &seen.state else {
        unreachable!()
    };
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
    assert!(exit.out_of_memory, "{exit:?}");
    Ok(())
}
