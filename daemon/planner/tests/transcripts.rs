//! Given a world, the planner's plans as text, held against a checked-in transcript.
//!
//! `UPDATE_TRANSCRIPTS=1 cargo test -p runnel-planner` writes them anew; read the difference.

mod toy;

use proptest::prelude::*;
use runnel_api::capacity::Capacity;
use runnel_api::connector::DesiredState;
use runnel_api::{OperationKind, Outcome, RestartScope};
use runnel_planner::scale::TaskLimit;
use runnel_planner::{Connect, Life, Reading};
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

/// The last line of a transcript.
fn last(toy: &Toy) -> &str {
    toy.text.lines().last().unwrap_or_default()
}

const NETWORK: &str = "java.net.ConnectException: Connection refused";
const GRANT: &str = "java.sql.SQLException: Access denied for user 'u'@'localhost'";
const CONFIGURATION: &str = "org.apache.kafka.common.config.ConfigException: no such table";

#[test]
fn a_source_that_is_away_degrades_and_nothing_is_touched() {
    let mut toy = settled();
    toy.run_for(61_000);
    toy.say("the database stops");
    toy.source_error = Some("the source cannot be reached: Connection refused");
    toy.run_for(60_000);
    assert!(last(&toy).contains("Running/Degraded"), "{}", toy.text);
    toy.say("the database starts");
    toy.source_error = None;
    toy.run_for(20_000);
    assert!(last(&toy).ends_with("Running/Running"), "{}", toy.text);
    check("source-away", &toy);
}

#[test]
fn a_cluster_that_is_away_is_said_and_nobody_is_killed_or_started_for_it() {
    let mut toy = settled();
    toy.kafka(true);
    toy.run_for(10_000);
    toy.kafka(false);
    toy.unwell(0, true);
    toy.run_for(120_000);
    assert!(last(&toy).contains("Degraded | waits for"), "{}", toy.text);
    assert_eq!(toy.count("kill worker"), 0);
    toy.kill_workers();
    toy.run_for(60_000);
    assert_eq!(toy.count("start worker"), 1, "{}", toy.text);
    toy.kafka(true);
    toy.run_for(20_000);
    assert!(last(&toy).ends_with("Running/Running"), "{}", toy.text);
    check("kafka-away", &toy);
}

#[test]
fn a_frozen_worker_is_killed_after_its_bound_and_replaced() {
    let mut toy = settled();
    toy.kafka(true);
    toy.run_for(3_000);
    toy.unwell(0, false);
    toy.run_for(60_000);
    assert_eq!(toy.count("kill worker w1"), 1, "{}", toy.text);
    assert!(last(&toy).ends_with("Running/Running"), "{}", toy.text);
    check("worker-frozen", &toy);
}

#[test]
fn a_frozen_worker_is_left_alone_while_the_cluster_may_be_the_cause() {
    let mut toy = settled();
    toy.unwell(0, false);
    toy.run_for(300_000);
    assert_eq!(
        toy.count("kill"),
        0,
        "nobody knows of the cluster: {}",
        toy.text
    );
}

#[test]
fn a_network_failure_is_tried_without_end_and_ever_more_slowly() {
    let mut toy = settled();
    toy.tasks_fail(Some(NETWORK));
    toy.run_for(60_000);
    check("task-fails-network", &toy);
    toy.run_for(3_540_000);
    let tries = toy.count("| restart what failed");
    // 0, 1, 2, … 256 s, then one in 5 min: a storm would be thousands.
    assert!((15..30).contains(&tries), "{tries} in an hour");
    toy.source_error = Some("the source cannot be reached");
    toy.run_for(200_000);
    toy.tasks_fail(None);
    toy.source_error = None;
    toy.say("the source answers again");
    toy.run_for(40_000);
    assert!(last(&toy).ends_with("Running/Running"), "{}", toy.text);
}

#[test]
fn a_refused_grant_is_tried_once_in_five_minutes() {
    let mut toy = settled();
    toy.tasks_fail(Some(GRANT));
    toy.run_for(310_000);
    check("task-fails-grant", &toy);
    toy.run_for(3_290_000);
    let tries = toy.count("| restart what failed");
    assert!((10..=12).contains(&tries), "{tries} in an hour");
    toy.tasks_fail(None);
    toy.run_for(310_000);
    assert!(last(&toy).ends_with("Running/Running"), "{}", toy.text);
}

#[test]
fn a_configuration_that_fails_stops_until_somebody_restarts_it() {
    let mut toy = settled();
    toy.tasks_fail(Some(CONFIGURATION));
    toy.run_for(3_600_000);
    assert_eq!(toy.count("restart what failed"), 0);
    assert!(toy.text.contains("Failed/Failed"), "{}", toy.text);
    toy.task_error = None;
    toy.restart = RestartScope::Task(0);
    toy.open(OperationKind::Restart);
    toy.run(PASSES);
    assert_eq!(toy.ended[1], (OperationKind::Restart, Outcome::Succeeded));
    check("task-fails-configuration", &toy);
}

#[test]
fn a_task_that_fails_again_after_its_restart_fails_the_restart() {
    let mut toy = settled();
    toy.tasks_fail(Some(CONFIGURATION));
    toy.run_for(3_000);
    toy.restart = RestartScope::Task(0);
    toy.open(OperationKind::Restart);
    toy.run(PASSES);
    assert_eq!(toy.ended[1], (OperationKind::Restart, Outcome::Failed));
}

#[test]
fn a_restart_of_a_task_that_is_not_there_fails_at_once() {
    let mut toy = settled();
    toy.restart = RestartScope::Task(7);
    toy.open(OperationKind::Restart);
    toy.run(1);
    assert_eq!(toy.ended[1], (OperationKind::Restart, Outcome::Failed));
}

#[test]
fn a_restart_of_one_worker_leaves_the_others() {
    let mut toy = Toy::new();
    toy.put(Spec {
        workers: 2,
        ..Spec::new("config-1")
    });
    toy.run(PASSES);
    toy.restart = RestartScope::Worker("w2".into());
    toy.open(OperationKind::Restart);
    toy.run(PASSES);
    assert_eq!(toy.ended[1].1, Outcome::Succeeded);
    let ids: Vec<&str> = toy.seen.workers.iter().map(|w| w.id.as_str()).collect();
    assert_eq!(ids, ["w1", "w3"]);
    check("restart-worker", &toy);
}

#[test]
fn workers_that_miss_a_class_are_started_twice_and_no_more() {
    let mut toy = settled();
    toy.run_for(61_000);
    toy.workers_start = false;
    toy.kill_workers();
    toy.run_for(3_600_000);
    assert_eq!(toy.count("start worker"), 3, "{}", toy.text);
    assert!(last(&toy).contains("Failed/Failed"), "{}", toy.text);
    toy.workers_start = true;
    toy.open(OperationKind::Restart);
    toy.run(PASSES);
    assert_eq!(toy.ended[1].1, Outcome::Succeeded);
    check("worker-misses-class", &toy);
}

#[test]
fn a_sink_that_reads_nothing_is_said() {
    let mut toy = settled();
    toy.seen.reading = Some(Reading {
        waiting: 12,
        committed: 30,
        moved_ms: toy.now_ms,
    });
    toy.run_for(59_000);
    assert!(last(&toy).ends_with("Running/Running"), "{}", toy.text);
    toy.run_for(5_000);
    assert!(last(&toy).contains("although 12 wait"), "{}", toy.text);
    let next = Reading::note(toy.seen.reading, 31, 11, toy.now_ms);
    assert_eq!(next.moved_ms, toy.now_ms);
    assert_eq!(
        Reading::note(Some(next), 31, 50, next.moved_ms + 9).moved_ms,
        next.moved_ms
    );
    toy.seen.reading = Some(next);
    toy.run_for(3_000);
    assert!(last(&toy).ends_with("Running/Running"), "{}", toy.text);
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
    /// runs it, every operation has ended, and exactly the wanted workers are alive.
    #[test]
    fn every_history_converges(history in events()) {
        let mut toy = settled();
        for event in history {
            match event {
                Event::Put(number) => toy.put(variety(number)),
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
        toy.put(Spec::new("config-last"));
        toy.run(3000);
        prop_assert!(toy.operation.is_none(), "{}", toy.text);
        prop_assert_eq!(toy.ended.last().unwrap().1, Outcome::Succeeded, "{}", toy.text);
        prop_assert_eq!(toy.seen.workers.len(), 1);
        let is_last = matches!(&toy.seen.connect, Connect::Present { config_digest, .. } if config_digest == "config-last");
        prop_assert!(is_last, "{}", toy.text);
    }
}
