//! Given a world, the planner's plans as text, held against a checked-in transcript.
//!
//! `UPDATE_TRANSCRIPTS=1 cargo test -p runnel-planner` writes them anew; read the difference.

mod grants;
mod toy;
mod trouble;

use proptest::prelude::*;
use runnel_api::capacity::Capacity;
use runnel_api::connector::DesiredState;
use runnel_api::{OperationKind, Outcome};
use runnel_planner::scale::TaskLimit;
use runnel_planner::{Connect, Life, Principal, WorkerState};
use toy::{Spec, Toy};

const PASSES: usize = 400;

fn check(name: &str, toy: &Toy) {
    let path = format!(
        "{}/tests/transcripts/{name}.txt",
        env!("CARGO_MANIFEST_DIR")
    );
    if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        std::fs::write(&path, &toy.text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        toy.text, expected,
        "{path} differs; UPDATE_TRANSCRIPTS=1 writes it anew"
    );
}

fn settled() -> Toy {
    let mut toy = Toy::new();
    toy.put(Spec::new("config-1"));
    toy.run(PASSES);
    assert_eq!(toy.ended, [(OperationKind::Create, Outcome::Succeeded)]);
    toy
}

#[test]
fn a_create_goes_through_stopped_and_settles() {
    check("create", &settled());
}

#[test]
fn a_create_that_fails_its_preflight_is_undone() {
    let mut toy = Toy::new();
    toy.put(Spec {
        preflight: Some("access denied for user 'u'"),
        ..Spec::new("config-1")
    });
    toy.run(PASSES);
    assert_eq!(toy.ended, [(OperationKind::Create, Outcome::Failed)]);
    assert!(toy.gone);
    check("create-preflight-fails", &toy);
}

#[test]
fn a_create_whose_workers_die_is_undone() {
    let mut toy = Toy::new();
    toy.workers_start = false;
    toy.put(Spec::new("config-1"));
    toy.run(PASSES);
    assert_eq!(toy.ended, [(OperationKind::Create, Outcome::Failed)]);
    check("create-worker-dies", &toy);
}

#[test]
fn a_create_without_kafka_fails_after_its_patience() {
    let mut toy = Toy::new();
    toy.kafka_up = false;
    toy.put(Spec::new("config-1"));
    toy.run(PASSES);
    assert_eq!(toy.ended, [(OperationKind::Create, Outcome::Failed)]);
    check("create-without-kafka", &toy);
}

#[test]
fn an_update_stops_records_puts_and_resumes() {
    let mut toy = settled();
    toy.put(Spec::new("config-2"));
    toy.run(PASSES);
    assert_eq!(toy.ended[1].1, Outcome::Succeeded);
    check("update", &toy);
}

#[test]
fn an_update_that_fails_its_preflight_touches_nothing() {
    let mut toy = settled();
    toy.put(Spec {
        preflight: Some("no such host"),
        ..Spec::new("config-2")
    });
    toy.run(PASSES);
    assert_eq!(toy.ended[1].1, Outcome::RolledBack);
    assert!(!toy.text.contains("stop connector"));
    check("update-preflight-fails", &toy);
}

#[test]
fn an_update_that_starts_no_task_is_rolled_back_with_its_offsets() {
    let mut toy = settled();
    toy.put(Spec {
        no_task: true,
        ..Spec::new("config-2")
    });
    toy.run(PASSES);
    assert_eq!(toy.ended[1].1, Outcome::RolledBack);
    check("update-rolled-back", &toy);
}

#[test]
fn an_update_of_the_launch_replaces_the_workers_of_a_stopped_connector() {
    let mut toy = settled();
    toy.put(Spec {
        launch: "launch-b",
        group: "group-b",
        ..Spec::new("config-2")
    });
    toy.run(PASSES);
    assert_eq!(toy.ended[1].1, Outcome::Succeeded);
    check("update-launch", &toy);
}

#[test]
fn workers_that_may_serve_side_by_side_are_rolled_before_the_configuration_changes() {
    let mut toy = settled();
    toy.put(Spec {
        launch: "launch-b",
        workers: 2,
        ..Spec::new("config-2")
    });
    toy.run(PASSES);
    assert_eq!(toy.ended[1].1, Outcome::Succeeded);
    check("update-roll", &toy);
}

#[test]
fn a_roll_whose_new_worker_dies_leaves_the_old_ones_running() {
    let mut toy = settled();
    toy.workers_start = false;
    toy.put(Spec {
        launch: "launch-b",
        ..Spec::new("config-1")
    });
    toy.run(PASSES);
    assert_eq!(toy.ended[1].1, Outcome::RolledBack);
    assert!(!toy.text.contains("stop worker w1"));
    check("update-roll-fails", &toy);
}

#[test]
fn what_a_worker_that_goes_says_of_its_tasks_fails_no_operation() {
    let mut toy = settled();
    toy.put(Spec {
        launch: "launch-b",
        ..Spec::new("config-1")
    });
    while !toy.text.contains("stop worker w1") {
        toy.run(1);
    }
    // It takes its time, and its task has failed.
    let old = toy
        .seen
        .workers
        .iter_mut()
        .find(|it| it.id == "w1")
        .unwrap();
    let exit = std::mem::replace(&mut old.state, WorkerState::Ready);
    old.stopping_since_ms = Some(toy.now_ms);
    toy.tasks_fail(Some("config.ConfigException: of the launch before"));
    toy.run(5);
    assert_eq!(toy.ended.len(), 1, "{}", toy.text);
    let mut workers = toy.seen.workers.iter_mut();
    workers.find(|it| it.id == "w1").unwrap().state = exit;
    toy.task_error = None;
    toy.seen.connect = Connect::Unknown;
    toy.run(PASSES);
    assert_eq!(toy.ended[1].1, Outcome::Succeeded, "{}", toy.text);
}

#[test]
fn a_create_waits_for_the_first_position_and_not_for_ever() {
    for (stored, expected_ms) in [(None, 5_000), (Some(true), 5_000), (Some(false), 15_000)] {
        let mut toy = Toy::new();
        toy.put(Spec::new("config-1"));
        toy.seen.position_stored = stored;
        toy.run(PASSES);
        assert_eq!(toy.ended, [(OperationKind::Create, Outcome::Succeeded)]);
        let took_ms = toy.now_ms - 1_000_000;
        let is_near = (expected_ms..expected_ms + 6_000).contains(&took_ms);
        assert!(is_near, "{stored:?}: {took_ms} ms\n{}", toy.text);
    }
    let mut toy = Toy::new();
    toy.put(Spec::new("config-1"));
    toy.seen.position_stored = Some(false);
    toy.run_for(8_000);
    assert!(toy.ended.is_empty(), "{}", toy.text);
    toy.seen.position_stored = Some(true);
    toy.run_for(1_000);
    assert_eq!(toy.ended.len(), 1, "{}", toy.text);
}

#[test]
fn a_start_waits_for_those_of_other_connectors() {
    let mut toy = Toy::new();
    toy.seen.host.start_slots = Some(0);
    toy.put(Spec::new("config-1"));
    toy.run(4);
    assert!(!toy.text.contains("start worker"));
    toy.seen.host.start_slots = Some(1);
    toy.run(PASSES);
    assert_eq!(toy.ended, [(OperationKind::Create, Outcome::Succeeded)]);
    check("create-queued", &toy);
}

#[test]
fn an_update_that_changes_nothing_for_workers_ends_at_once() {
    let mut toy = settled();
    toy.put(Spec::new("config-1"));
    toy.run(PASSES);
    assert_eq!(toy.ended[1].1, Outcome::Succeeded);
    check("update-nothing", &toy);
}

#[test]
fn pausing_and_stopping_are_updates() {
    let mut toy = settled();
    toy.put(Spec {
        desired_state: DesiredState::Paused,
        ..Spec::new("config-1")
    });
    toy.run(PASSES);
    toy.put(Spec {
        desired_state: DesiredState::Stopped,
        ..Spec::new("config-1")
    });
    toy.run(PASSES);
    toy.put(Spec::new("config-1"));
    toy.run(PASSES);
    assert!(
        toy.ended
            .iter()
            .all(|(_, outcome)| *outcome == Outcome::Succeeded)
    );
    check("pause-stop-run", &toy);
}

#[test]
fn a_killed_worker_is_buried_and_replaced() {
    let mut toy = settled();
    toy.kill_workers();
    toy.run(PASSES);
    check("worker-killed", &toy);
}

#[test]
fn workers_that_ran_well_are_no_failed_starts_however_often_they_are_killed() {
    let mut toy = settled();
    for _ in 0..6 {
        // A pass sees that nobody answers before the death is proven.
        toy.seen.connect = Connect::Unknown;
        toy.run(1);
        toy.kill_workers();
        toy.run(PASSES);
        assert_eq!(toy.progress.worker_back_off.failures, 0, "{}", toy.text);
    }
    assert!(!toy.text.contains("next start in"), "{}", toy.text);
}

#[test]
fn a_worker_that_was_to_stop_and_was_not_told_is_told_by_the_next_daemon() {
    let mut toy = settled();
    let worker = toy.seen.workers[0].id.clone();
    // Stored before the actions are done; the daemon died in between.
    toy.progress.stopping.insert(worker.clone(), toy.now_ms);
    toy.run(PASSES);
    let told = format!("stop worker {worker}");
    assert!(toy.text.contains(&told), "{}", toy.text);
}

#[test]
fn a_restart_replaces_workers_one_by_one() {
    let mut toy = Toy::new();
    toy.put(Spec {
        workers: 2,
        ..Spec::new("config-1")
    });
    toy.run(PASSES);
    toy.open(OperationKind::Restart);
    toy.run(PASSES);
    assert_eq!(toy.ended[1].1, Outcome::Succeeded);
    check("restart", &toy);
}

#[test]
fn a_newer_generation_takes_over_from_a_roll_back() {
    let mut toy = settled();
    toy.put(Spec {
        task_fails: Some("boom"),
        ..Spec::new("config-2")
    });
    toy.run(8);
    toy.put(Spec::new("config-3"));
    toy.run(PASSES);
    assert_eq!(toy.ended.last().unwrap().1, Outcome::Succeeded);
    check("superseded", &toy);
}

#[test]
fn a_delete_ends_with_nothing_left() {
    let mut toy = settled();
    toy.life = Life::DeleteAll;
    toy.open(OperationKind::Delete);
    toy.run(PASSES);
    assert!(toy.gone && toy.seen.workers.is_empty());
    check("delete", &toy);
}

#[test]
fn a_delete_without_kafka_leaves_the_topics_for_later() {
    let mut toy = settled();
    toy.kafka_up = false;
    toy.life = Life::DeleteAll;
    toy.open(OperationKind::Delete);
    toy.run(PASSES);
    assert!(toy.gone);
    assert!(toy.now_ms < 1_060_000 + 60_000);
    check("delete-without-kafka", &toy);
}

fn autoscaled(tasks: TaskLimit) -> Spec {
    let capacity = Capacity::Autoscaling {
        mcu_count: 1,
        min_worker_count: 1,
        max_worker_count: 2,
        scale_in_cpu: 20,
        scale_out_cpu: 80,
        max_autoscaling_task_count: None,
    };
    Spec {
        scaled: Some((capacity, tasks)),
        ..Spec::new("config-1")
    }
}

fn loaded(tasks: TaskLimit) -> Toy {
    let mut toy = Toy::new();
    toy.put(autoscaled(tasks));
    toy.run(PASSES);
    toy.now_ms += 600_000;
    toy.load(91, 3);
    toy.run(PASSES);
    toy
}

#[test]
fn a_busy_connector_of_many_tasks_gets_a_worker_and_gives_it_back() {
    let mut toy = loaded(TaskLimit::Unlimited);
    assert_eq!(toy.seen.workers.len(), 2);
    toy.now_ms += 1_000_000;
    toy.load(5, 15);
    toy.run(PASSES);
    assert_eq!(toy.seen.workers.len(), 1);
    check("scale-horizontal", &toy);
}

#[test]
fn a_busy_connector_of_one_task_gets_a_bigger_worker_before_the_smaller_one_goes() {
    let mut toy = loaded(TaskLimit::One);
    toy.now_ms += 1_000_000;
    toy.load(5, 15);
    toy.run(PASSES);
    check("scale-vertical", &toy);
}

#[test]
fn a_size_that_does_not_come_to_life_is_given_up() {
    let mut toy = Toy::new();
    toy.put(autoscaled(TaskLimit::One));
    toy.run(PASSES);
    toy.now_ms += 600_000;
    toy.workers_start = false;
    toy.load(91, 3);
    toy.run(PASSES);
    assert_eq!(toy.seen.workers.len(), 1);
    check("scale-given-up", &toy);
}

#[test]
fn a_full_host_holds_the_size() {
    let mut toy = Toy::new();
    toy.put(autoscaled(TaskLimit::Unlimited));
    toy.run(PASSES);
    toy.now_ms += 600_000;
    toy.seen.host.free_mcus = Some(0);
    toy.load(91, 3);
    toy.run(PASSES);
    assert_eq!(toy.seen.workers.len(), 1);
}

/// Things that may happen to a connector at any time.
#[derive(Clone, Debug)]
enum Event {
    Put(usize),
    Kill,
    Kafka(bool),
    Restart,
    Look(usize),
    Load(u32),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        (0..9_usize).prop_map(Event::Put),
        Just(Event::Kill),
        any::<bool>().prop_map(Event::Kafka),
        Just(Event::Restart),
        (1..30_usize).prop_map(Event::Look),
        (0..100_u32).prop_map(Event::Load),
    ];
    proptest::collection::vec(event, 1..20)
}

fn variety(number: usize) -> Spec {
    match number {
        0 => Spec::new("config-1"),
        1 => Spec {
            preflight: Some("refused"),
            ..Spec::new("config-p")
        },
        2 => Spec {
            task_fails: Some("boom"),
            ..Spec::new("config-f")
        },
        3 => Spec {
            no_task: true,
            ..Spec::new("config-n")
        },
        4 => Spec {
            launch: "launch-b",
            workers: 2,
            ..Spec::new("config-2")
        },
        6 => autoscaled(TaskLimit::One),
        7 => autoscaled(TaskLimit::Unlimited),
        5 => Spec {
            launch: "launch-c",
            group: "group-c",
            ..Spec::new("config-2")
        },
        _ => Spec {
            desired_state: DesiredState::Stopped,
            ..Spec::new("config-1")
        },
    }
}

proptest! {
    /// Whatever happened before: once a good specification is put and Kafka is up, the connector
    /// runs it, every operation has ended, exactly the wanted workers are alive, and where roles are
    /// enforced its user has the last role's ACLs.
    #[test]
    fn every_history_converges(history in events(), enforced in any::<bool>()) {
        let grants = |name: &'static str| enforced.then_some(name);
        let mut toy = settled();
        for event in history {
            match event {
                Event::Put(number) => toy.put(Spec {
                    grants: grants(["acls-a", "acls-b"][number % 2]),
                    ..variety(number)
                }),
                Event::Kill => toy.kill_workers(),
                Event::Kafka(up) => toy.kafka_up = up,
                Event::Restart if toy.operation.is_none() => toy.open(OperationKind::Restart),
                Event::Restart => {}
                Event::Look(passes) => toy.run(passes),
                Event::Load(percent) => {
                    toy.now_ms += 1_000_000;
                    toy.load(percent, 15);
                }
            }
        }
        toy.kafka_up = true;
        toy.put(Spec { grants: grants("acls-last"), ..Spec::new("config-last") });
        toy.run(3000);
        prop_assert!(toy.operation.is_none(), "{}", toy.text);
        prop_assert_eq!(toy.ended.last().unwrap().1, Outcome::Succeeded, "{}", toy.text);
        prop_assert_eq!(toy.seen.workers.len(), 1);
        let is_last = matches!(&toy.seen.connect, Connect::Present { config_digest, .. } if config_digest == "config-last");
        prop_assert!(is_last, "{}", toy.text);
        let granted = matches!(&toy.seen.principal, Principal::Granted { digest, .. } if digest == "acls-last");
        prop_assert_eq!(granted, enforced, "{}", toy.text);
    }
}
