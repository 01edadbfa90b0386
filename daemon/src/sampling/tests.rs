//! Tests of [`super`], and what they share with those of the meter.

use super::*;
use crate::fleet::{Isolation, WorkerState};
use serde_json::json;

/// A worker of connector `id` as the fleet lists it.
pub(super) fn worker(
    id: Uuid,
    name: &str,
    started_ms: u64,
    mcus: u32,
    state: WorkerState,
) -> SeenWorker {
    let launch = json!({
        "connector_id": id, "connector": "orders", "worker": name, "digest": "d",
        "bootstrap_servers": "127.0.0.1:1", "group_id": "g",
        "topics": {"offsets": "o", "configs": "c", "status": "s"}, "worker_properties": {},
        "runtime": {"name": "4.3", "libs": "/l", "kafka_version": "4.3.1"}, "java": "/java",
        "plugin_dirs": [], "mcu_count": mcus, "mcu_memory_mib": 4096, "stop_deadline_ms": 1,
        "exactly_once": false
    });
    SeenWorker {
        connector_id: id,
        worker: WorkerId::parse(name).unwrap(),
        launch: serde_json::from_value(launch).unwrap(),
        state,
        pid: None,
        started_ms,
        stopping_since_ms: None,
        member_id: None,
        port: None,
        note: None,
    }
}

/// A look that found these workers, whose usage cannot be told.
pub(super) fn found(workers: &[SeenWorker]) -> Found {
    let looked = |seen: &SeenWorker| Looked {
        seen: seen.clone(),
        at: Instant::now(),
        at_ms: 1,
        usage: None,
    };
    Found {
        workers: workers.iter().map(looked).collect(),
        hidden: BTreeSet::new(),
        connectors: BTreeSet::from([Uuid::from_u128(1)]),
    }
}

const A: Uuid = Uuid::from_u128(1);
const GAP: Duration = Duration::from_secs(20);

/// A look `after_ms` that found one worker with so much CPU time.
fn busy(begin: Instant, name: &str, after_ms: u64, cpu_ms: Option<u64>) -> Found {
    let mut found = found(&[worker(A, name, 1, 2, WorkerState::Starting)]);
    found.workers[0].at = begin + Duration::from_millis(after_ms);
    found.workers[0].usage = cpu_ms.map(|ms| Usage {
        cpu_ns: ms * 1_000_000,
        rss_bytes: 1,
        oom_kills: None,
    });
    found
}

#[test]
fn a_share_is_of_the_worker_s_mcus_and_known_between_two_near_looks_only() {
    let (mut load, begin) = (Load::default(), Instant::now());
    let table = [
        // An earlier daemon counted the first 900 ms.
        (0, Some(900), None, 0),
        (10_000, Some(10_900), Some(50), 10_000),
        (20_000, None, None, 10_000),
        (25_000, Some(15_900), Some(17), 15_000),
        // Too far apart: counted, and no share.
        (50_000, Some(20_900), None, 20_000),
        // A count that falls.
        (60_000, Some(100), None, 20_000),
        (70_000, Some(20_100), Some(100), 40_000),
    ];
    for (after_ms, cpu_ms, percent, total_ms) in table {
        let samples = load.advance(&busy(begin, "w-1", after_ms, cpu_ms), GAP);
        let sample = samples[&A].workers.values().next().unwrap();
        assert_eq!(sample.cpu_percent, percent, "after {after_ms}");
        assert_eq!(load.cpu_ns[&A], total_ms * 1_000_000, "after {after_ms}");
    }
    // A worker that came later brings all its time.
    load.advance(&busy(begin, "w-2", 80_000, Some(7)), GAP);
    assert_eq!(load.cpu_ns[&A], 40_007 * 1_000_000);
    let mut gone = found(&[]);
    gone.connectors.clear();
    load.advance(&gone, GAP);
    assert!(load.cpu_ns.is_empty() && load.before.is_empty());
}

#[test]
fn a_worker_that_cannot_be_read_makes_the_sample_incomplete_and_loses_no_time() {
    let (mut load, begin) = (Load::default(), Instant::now());
    load.advance(&busy(begin, "w-1", 0, Some(100)), GAP);
    let mut hidden = found(&[]);
    hidden.hidden.insert(A);
    let samples = load.advance(&hidden, GAP);
    assert!(!samples[&A].is_complete);
    assert!(samples[&A].workers.is_empty());
    load.advance(&busy(begin, "w-1", 10_000, Some(300)), GAP);
    assert_eq!(load.cpu_ns[&A], 200 * 1_000_000);
}

#[tokio::test]
async fn samples_come_in_their_rhythm_and_end_with_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = Fleet::with_isolation(
        dir.path().join("fleets"),
        "/nonexistent/runnel".into(),
        Isolation::none(),
    )
    .unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let period = Duration::from_millis(5);
    let (sampler, mut samples) = Sampler::new(fleet, store.clone(), period).unwrap();
    assert_eq!(samples.latest().at_ms, 0);
    let end = CancellationToken::new();
    let running = tokio::spawn(sampler.run(end.clone()));
    assert!(samples.changed().await && samples.changed().await);
    assert!(samples.latest().at_ms > 0);
    assert_eq!(samples.of(A), None);
    end.cancel();
    running.await.unwrap();
    assert!(store.meter::<Meter>().unwrap().is_some());
    while samples.changed().await {}
}
