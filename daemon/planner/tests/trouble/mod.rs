//! What goes wrong around a connector that runs: its source, its cluster, its workers, its tasks.

use crate::toy::{Spec, Toy};
use crate::{PASSES, check, settled};
use runnel_api::{OperationKind, Outcome, RestartScope};
use runnel_planner::Reading;

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
    toy.unwell(0, true, true);
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
    toy.unwell(0, false, false);
    toy.run_for(60_000);
    assert_eq!(toy.count("kill worker w1"), 1, "{}", toy.text);
    assert!(last(&toy).ends_with("Running/Running"), "{}", toy.text);
    check("worker-frozen", &toy);
}

#[test]
fn a_worker_that_works_and_is_late_with_its_answers_has_more_time() {
    let mut toy = settled();
    toy.kafka(true);
    toy.unwell(0, false, true);
    toy.run_for(50_000);
    assert_eq!(toy.count("kill"), 0, "{}", toy.text);
    toy.run_for(20_000);
    assert_eq!(toy.count("kill worker w1"), 1, "{}", toy.text);
}

#[test]
fn a_frozen_worker_is_left_alone_while_the_cluster_may_be_the_cause() {
    let mut toy = settled();
    toy.unwell(0, false, false);
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
        looked_ms: toy.now_ms,
    });
    toy.run_for(59_000);
    assert!(last(&toy).ends_with("Running/Running"), "{}", toy.text);
    toy.run_for(5_000);
    assert!(last(&toy).contains("although 12 wait"), "{}", toy.text);
    let next = Reading::note(toy.seen.reading, 31, 11, toy.now_ms, 10);
    assert_eq!(next.moved_ms, toy.now_ms);
    let then = |later_ms| Reading::note(Some(next), 31, 50, next.moved_ms + later_ms, 10).moved_ms;
    assert_eq!(then(10), next.moved_ms);
    assert_eq!(then(11), next.moved_ms + 11, "nobody looked in between");
    toy.seen.reading = Some(next);
    toy.run_for(3_000);
    assert!(last(&toy).ends_with("Running/Running"), "{}", toy.text);
}
