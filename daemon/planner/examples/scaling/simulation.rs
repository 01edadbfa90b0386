//! A fleet under load in virtual time: what `Meter` and `decide` make of it, second by second.
//!
//! Work that is not done waits and is done as soon as there is room, as with a source's log or a
//! topic. A new worker works 5 s after its start; a single-task connector that changes its worker
//! is silent for 5 s meanwhile (measured on real parts: 4.8 s). Integers only, so that every
//! machine draws the same charts.

use runnel_api::capacity::Capacity;
use runnel_api::scaling::{ScalingMode, Size, Verdict};
use runnel_planner::scale::{
    FleetFacts, Meter, Policy, Sample, TaskLimit, Timing, WorkerUsage, decide,
};
use std::collections::{BTreeMap, VecDeque};

/// When a simulation begins: a multiple of a bucket.
const EPOCH_MS: u64 = 1_763_769_600_000;
/// Seconds from a worker's start until it works.
const START_S: u64 = 5;
/// Seconds of silence when a single-task connector changes its worker.
const SILENCE_S: u64 = 5;
/// Records that one MCU handles in a second, to tell waiting work as a lag.
const RECORDS_PER_MCU_SECOND: u64 = 1_000;

/// A connector and its load.
pub struct Scene {
    pub capacity: Capacity,
    pub tasks: TaskLimit,
    /// The size at the beginning; none for the policy's.
    pub start: Option<Size>,
    pub minutes: u64,
    /// Thousandths of an MCU that the load takes in a second.
    pub demand: fn(second: u64, scale: u64) -> u64,
    /// A figure that the demand may use.
    pub scale: u64,
}

/// What became of it.
pub struct Outcome {
    pub start: Size,
    pub actions: Vec<Step>,
    pub minutes: Vec<Minute>,
    /// MCUs · seconds of all workers that lived.
    pub mcu_seconds: u64,
    /// Seconds in which the load was more than the fleet could do.
    pub unmet_seconds: u64,
    /// The longest that work had to wait, first come first served.
    pub behind_seconds: u64,
}

/// A change of size.
pub struct Step {
    pub second: u64,
    pub from: Size,
    pub to: Size,
    pub text: String,
}

/// One minute.
#[derive(Default)]
pub struct Minute {
    /// Thousandths of an MCU on average.
    pub demand: u64,
    /// What the meter said of it, in percent.
    pub percent: Option<u32>,
}

struct Worker {
    id: String,
    mcu_count: u32,
    started_s: u64,
    works_from_s: u64,
    stops_s: Option<u64>,
    cpu_ns: u64,
}

/// Plays a scene with the timing of the design.
pub fn play(scene: &Scene) -> Outcome {
    let timing = Timing::default();
    let policy = Policy::of(&scene.capacity, scene.tasks);
    let mut fleet = Fleet::new(policy.clamp(scene.start.unwrap_or(policy.initial())));
    let mut meter = Meter::new(&timing);
    let mut outcome = Outcome {
        start: fleet.size,
        actions: Vec::new(),
        minutes: Vec::new(),
        mcu_seconds: 0,
        unmet_seconds: 0,
        behind_seconds: 0,
    };
    let mut percents = BTreeMap::new();
    for second in 0..scene.minutes * 60 {
        fleet.work(second, (scene.demand)(second, scene.scale), &mut outcome);
        let now_s = second + 1;
        if !(now_s * 1_000).is_multiple_of(timing.sample_ms) {
            continue;
        }
        let now_ms = EPOCH_MS + now_s * 1_000;
        let is_sink = policy.mode() == ScalingMode::Horizontal;
        meter.record(fleet.size, fleet.sample(now_ms, is_sink));
        let buckets = meter.buckets(now_ms);
        for bucket in &buckets {
            let minute = (bucket.start_ms - EPOCH_MS) / 60_000;
            percents.insert(minute, bucket.cpu_percent());
        }
        let facts = fleet.facts(now_s);
        let (verdict, evidence) = decide(&policy, &timing, &buckets, &facts, None, now_ms);
        if let Verdict::Scale { to } = verdict {
            outcome.actions.push(Step {
                second: now_s,
                from: fleet.size,
                to,
                text: evidence.text,
            });
            fleet.resize(to, now_s);
        }
    }
    for (minute, whole) in (0..).zip(&mut outcome.minutes) {
        whole.demand /= 60;
        whole.percent = percents.get(&minute).copied().flatten();
    }
    outcome
}

struct Fleet {
    size: Size,
    workers: Vec<Worker>,
    started: u64,
    /// When work came, and how much of it waits, in thousandths of an MCU second.
    waiting: VecDeque<(u64, u64)>,
    last_action_s: Option<u64>,
}

impl Fleet {
    fn new(size: Size) -> Self {
        let mut fleet = Self {
            size,
            workers: Vec::new(),
            started: 0,
            waiting: VecDeque::new(),
            last_action_s: None,
        };
        for _ in 0..size.workers {
            fleet.start(size.mcu_count, 0, 0);
        }
        fleet
    }

    fn start(&mut self, mcu_count: u32, now_s: u64, works_from_s: u64) {
        self.started += 1;
        self.workers.push(Worker {
            id: format!("worker-{:03}", self.started),
            mcu_count,
            started_s: now_s,
            works_from_s,
            stops_s: None,
            cpu_ns: 0,
        });
    }

    /// One second of load.
    fn work(&mut self, second: u64, demand: u64, outcome: &mut Outcome) {
        self.workers
            .retain(|it| it.stops_s.is_none_or(|stop| stop > second));
        let capacity: u64 = self
            .workers
            .iter()
            .filter(|it| it.works_from_s <= second)
            .map(|it| u64::from(it.mcu_count) * 1_000)
            .sum();
        if demand > 0 {
            self.waiting.push_back((second, demand));
        }
        let done = self.serve(capacity);
        for worker in &mut self.workers {
            let mcus = u64::from(worker.mcu_count);
            worker.cpu_ns += if worker.works_from_s <= second {
                // Thousandths of an MCU for one second are as many millions of nanoseconds.
                done * 1_000_000 * mcus * 1_000 / capacity
            } else {
                // A JVM that starts takes what it gets.
                mcus * 1_000_000_000
            };
        }
        let mcus: u64 = self.workers.iter().map(|it| u64::from(it.mcu_count)).sum();
        outcome.mcu_seconds += mcus;
        outcome.unmet_seconds += u64::from(demand > capacity);
        let oldest = self.waiting.front().map_or(second, |(came, _)| *came);
        outcome.behind_seconds = outcome.behind_seconds.max(second - oldest);
        if second.is_multiple_of(60) {
            outcome.minutes.push(Minute::default());
        }
        if let Some(minute) = outcome.minutes.last_mut() {
            minute.demand += demand;
        }
    }

    /// Does what waits longest, up to that much, and returns how much it was.
    fn serve(&mut self, capacity: u64) -> u64 {
        let mut room = capacity;
        while let Some((_, left)) = self.waiting.front_mut() {
            let done = room.min(*left);
            room -= done;
            *left -= done;
            if *left > 0 {
                break;
            }
            self.waiting.pop_front();
        }
        capacity - room
    }

    fn sample(&self, at_ms: u64, is_sink: bool) -> Sample {
        let usage = |it: &Worker| WorkerUsage {
            cpu_ns: it.cpu_ns,
            mcu_count: it.mcu_count,
        };
        Sample {
            at_ms,
            workers: self
                .workers
                .iter()
                .map(|it| (it.id.clone(), usage(it)))
                .collect(),
            lag: is_sink.then(|| {
                let waiting: u64 = self.waiting.iter().map(|(_, left)| left).sum();
                waiting * RECORDS_PER_MCU_SECOND / 1_000
            }),
        }
    }

    fn facts(&self, now_s: u64) -> FleetFacts {
        let ms = |second: u64| EPOCH_MS + second * 1_000;
        let settled = |it: &Worker| it.stops_s.is_none() && it.works_from_s <= now_s;
        FleetFacts {
            size: self.size,
            running: true,
            operation_open: !self.workers.iter().all(settled),
            rebalancing: false,
            youngest_worker_started_ms: self.workers.iter().map(|it| ms(it.started_s)).max(),
            last_action_ms: self.last_action_s.map(ms),
        }
    }

    fn resize(&mut self, to: Size, now_s: u64) {
        if to.mcu_count != self.size.mcu_count {
            // The new worker joins, then the old one goes, then the task starts.
            let goes_s = now_s + START_S;
            for worker in &mut self.workers {
                worker.stops_s = Some(goes_s);
            }
            self.start(to.mcu_count, now_s, goes_s + SILENCE_S);
        } else if to.workers > self.size.workers {
            self.start(to.mcu_count, now_s, now_s + START_S);
        } else if let Some(youngest) = self.workers.last_mut() {
            youngest.stops_s = Some(now_s + 1);
        }
        self.size = to;
        self.last_action_s = Some(now_s);
    }
}
