//! Tests of [`super`], with real processes.

use super::*;
use crate::fleet::run_dir::{LAUNCH, create_private_dir, write_json};
use crate::fleet::{Isolation, SeenWorker, WorkerId};
use serde_json::json;
use std::process::{Child, Command, Stdio};
use uuid::Uuid;

/// A child that is killed when the test ends, however it ends.
struct Running(Child);

impl Running {
    fn shell(script: &str) -> Self {
        let child = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn id(&self) -> ProcessId {
        ProcessId::of(self.0.id()).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn usage_of(id: &ProcessId) -> Option<Usage> {
    of_process(id, &Accounts::default(), Clock::of_kernel())
}

/// A worker folder for a process, and what the fleet sees of it.
fn seen(fleet: &Fleet, id: &ProcessId) -> SeenWorker {
    let connector_id = Uuid::from_u128(7);
    let worker = WorkerId::parse("w-1").unwrap();
    let run = fleet.run(connector_id, &worker);
    create_private_dir(&run).unwrap();
    let launch = json!({
        "connector_id": connector_id, "connector": "orders", "worker": "w-1", "digest": "d",
        "bootstrap_servers": "127.0.0.1:1", "group_id": "g",
        "topics": {"offsets": "o", "configs": "c", "status": "s"}, "worker_properties": {},
        "runtime": {"name": "4.3", "libs": "/l", "kafka_version": "4.3.1"}, "java": "/java",
        "plugin_dirs": [], "mcu_count": 1, "mcu_memory_mib": 4096, "stop_deadline_ms": 1,
        "exactly_once": false
    });
    write_json(&run.join(LAUNCH), &launch).unwrap();
    let started = Started {
        worker: id.clone(),
        shim: id.clone(),
        started_ms: 1,
    };
    write_json(&run.join(WORKER), &started).unwrap();
    fleet.list().unwrap().workers.remove(0)
}

#[test]
fn a_busy_process_uses_cpu_time_and_holds_memory() {
    let child = Running::shell("while :; do :; done");
    let id = child.id();
    // It never ends by itself, so its time must come.
    let busy = loop {
        let usage = usage_of(&id).unwrap();
        if usage.cpu_ns >= 50_000_000 {
            break usage;
        }
        std::thread::yield_now();
    };
    assert!((100_000..100_000_000).contains(&busy.rss_bytes), "{busy:?}");
    assert_eq!(busy.oom_kills, None);
    assert!(usage_of(&id).unwrap().cpu_ns >= busy.cpu_ns);
}

#[test]
fn a_worker_s_usage_is_that_of_its_process_and_of_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = Fleet::with_isolation(
        dir.path().join("fleet"),
        "/nonexistent/runnel".into(),
        Isolation::none(),
    )
    .unwrap();
    let mut child = Running::shell("exec sleep 60");
    let id = child.id();
    let worker = seen(&fleet, &id);
    assert!(fleet.usage(&worker).unwrap().rss_bytes > 0);
    // A later process got the pid.
    let other = ProcessId {
        start_ticks: id.start_ticks + 1,
        ..id.clone()
    };
    assert_eq!(usage_of(&other), None);
    // The worker died after it was seen.
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    assert_eq!(fleet.usage(&worker), None);
    assert_eq!(fleet.usage(&seen(&fleet, &id)), None);
}

#[test]
fn a_group_is_asked_only_about_its_own_members() {
    let dir = tempfile::tempdir().unwrap();
    let child = Running::shell("exec sleep 60");
    let id = child.id();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    let accounts = Accounts {
        cpu: Some(dir.path().to_owned()),
        memory: Some(dir.path().to_owned()),
    };
    let look = || of_process(&id, &accounts, Clock::of_kernel()).unwrap();
    write("cpu.stat", "usage_usec 1234567\nuser_usec 1\n");
    write("memory.events", "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\n");
    write("cgroup.procs", "1\n");
    assert!(look().cpu_ns < 1_234_567_000);
    assert_eq!(look().oom_kills, None);
    write("cgroup.procs", &format!("1\n{}\n", id.pid));
    assert_eq!(look().cpu_ns, 1_234_567_000);
    assert_eq!(look().oom_kills, Some(1));
    write("cpuacct.usage", "98765\n");
    assert_eq!(look().cpu_ns, 98_765);
    // A count that is there and cannot be read is doubt, not the count of something else.
    write("cpuacct.usage", "");
    assert_eq!(of_process(&id, &accounts, Clock::of_kernel()), None);
}

#[test]
fn the_kernel_s_texts_are_read() {
    let stat = "42 (a) b) (c) S 1 42 42 0 -1 4194560 1 2 3 4 250 50 7 8 20 0 1 0 987654 1 2";
    assert_eq!(cpu_of_stat(stat, 100), Some(3_000_000_000));
    assert_eq!(cpu_of_stat("42 (x) S 1", 100), None);
    assert_eq!(cpu_of_stat("", 100), None);
    let huge = stat.replace("250 50", &format!("{} 0", u64::MAX));
    assert_eq!(cpu_of_stat(&huge, 100), None);
    assert_eq!(rss_of_statm("900 25 3 1 0 5 0\n", 4096), Some(102_400));
    assert_eq!(rss_of_statm("900", 4096), None);
    let v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n";
    assert_eq!(value(v1, "oom_kill"), Some(4));
    assert_eq!(value("nr_periods 0\nnr_throttled 0\n", "usage_usec"), None);
}
