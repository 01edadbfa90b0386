//! One pass over 1,000 connectors (the budget is 50 ms): settled ones, and ones whose worker died.

use runnel_api::capacity::Capacity;
use runnel_api::connector::DesiredState;
use runnel_api::scaling::Size;
use runnel_api::{Generation, Name, RestartScope};
use runnel_planner::scale::{Policy, TaskLimit};
use runnel_planner::{
    Connect, ConnectState, Exit, Goal, Life, Progress, Seen, Target, Task, Timing, View, Worker,
    WorkerState, World, plan,
};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const CONNECTORS: usize = 1_000;
const ROUNDS: usize = 101;

fn view(dead: bool) -> View {
    let worker = |state| Worker {
        id: "w-1".into(),
        launch_digest: "launch".into(),
        group_digest: String::from("group"),
        started_ms: 1,
        stopping_since_ms: None,
        state,
    };
    let exit = Exit {
        how: "signal 9".into(),
        last_error: None,
        ..Exit::default()
    };
    let task = Task {
        id: 0,
        state: ConnectState::Running,
        on_live_worker: true,
        reason: None,
        causes: Vec::new(),
    };
    let present = Connect::Present {
        state: ConnectState::Running,
        config_digest: "config".into(),
        tasks: vec![task],
        reason: None,
        causes: Vec::new(),
    };
    View {
        goal: Goal {
            life: Life::Wanted,
            generation: Generation(1),
            has_principal: false,
            wanted: Ok(Target {
                grant_digest: None,
                generation: Generation(1),
                config_digest: "config".into(),
                launch_digest: "launch".into(),
                group_digest: String::from("group"),
                size: Size {
                    workers: 1,
                    mcu_count: 1,
                },
                policy: Policy::of(
                    &Capacity::Autoscaling {
                        mcu_count: 1,
                        min_worker_count: 1,
                        max_worker_count: 4,
                        scale_in_cpu: 20,
                        scale_out_cpu: 80,
                        max_autoscaling_task_count: None,
                    },
                    TaskLimit::Unlimited,
                ),
                desired_state: DesiredState::Running,
            }),
            settled: None,
            operation: None,
            restart: RestartScope::All,
        },
        seen: Seen {
            workers: vec![worker(if dead {
                WorkerState::Dead(exit)
            } else {
                WorkerState::Ready
            })],
            connect: if dead { Connect::Unknown } else { present },
            ..Seen::default()
        },
        progress: Progress {
            settled: Some(Generation(1)),
            attempt: Generation(1),
            good_since_ms: Some(1),
            ..Progress::default()
        },
    }
}

fn main() {
    for (what, every) in [("all settled", 0), ("every second worker dead", 2)] {
        let connectors: BTreeMap<Name, View> = (0..CONNECTORS)
            .filter_map(|n| {
                Some((
                    Name::parse(&format!("connector-{n}")).ok()?,
                    view(every > 0 && n % every == 0),
                ))
            })
            .collect();
        let world = World {
            now_ms: 10_000_000,
            timing: Timing::default(),
            connectors,
        };
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let begun = Instant::now();
                std::hint::black_box(plan(std::hint::black_box(&world)));
                begun.elapsed()
            })
            .collect();
        times.sort();
        println!(
            "plan of {CONNECTORS} connectors, {what}: median {:?}, slowest {:?}",
            times[ROUNDS / 2],
            times[ROUNDS - 1]
        );
    }
}
