//! A toy fleet: does what the planner says, at once, and lets a test break things.

use runnel_api::capacity::Capacity;
use runnel_api::connector::DesiredState;
use runnel_api::scaling::{Size, Verdict};
use runnel_api::{
    ErrorCode, Generation, Name, OperationId, OperationKind, Outcome, Problem, RestartScope,
};
use runnel_planner::scale::{Bucket, Load, Policy, TaskLimit};
use runnel_planner::{
    Action, Connect, ConnectState, ConnectorPlan, Exit, Goal, Kafka, Life, OpenOperation,
    Preflight, Principal, Progress, Reach, Seen, Target, Task, Timing, View, Which, Worker,
    WorkerState, World, plan,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A specification in the toy: what it is called and what it does when it runs.
#[derive(Clone, Debug)]
pub struct Spec {
    pub config: &'static str,
    pub launch: &'static str,
    pub group: &'static str,
    pub workers: u32,
    /// In place of `workers`.
    pub scaled: Option<(Capacity, TaskLimit)>,
    pub desired_state: DesiredState,
    pub preflight: Option<&'static str>,
    pub task_fails: Option<&'static str>,
    pub no_task: bool,
    /// What its role comes to, where roles are enforced.
    pub grants: Option<&'static str>,
}

impl Spec {
    pub fn new(config: &'static str) -> Self {
        Self {
            config,
            launch: "launch-a",
            group: "group-a",
            workers: 1,
            scaled: None,
            desired_state: DesiredState::Running,
            preflight: None,
            task_fails: None,
            no_task: false,
            grants: None,
        }
    }
}

pub struct Toy {
    pub now_ms: u64,
    pub kafka_up: bool,
    pub workers_start: bool,
    /// What a task of whatever configuration fails with.
    pub task_error: Option<&'static str>,
    /// What a validation finds wrong with the source, whatever the configuration.
    pub source_error: Option<&'static str>,
    pub life: Life,
    pub specs: BTreeMap<u64, Spec>,
    pub generation: u64,
    pub operation: Option<OpenOperation>,
    pub restart: RestartScope,
    pub progress: Progress,
    pub seen: Seen,
    pub gone: bool,
    pub ended: Vec<(OperationKind, Outcome)>,
    pub text: String,
    started: u32,
    last_line: String,
    behaviours: BTreeMap<&'static str, Spec>,
    running_config: Option<&'static str>,
}

impl Toy {
    pub fn new() -> Self {
        Self {
            now_ms: 1_000_000,
            kafka_up: true,
            workers_start: true,
            task_error: None,
            source_error: None,
            life: Life::Wanted,
            specs: BTreeMap::new(),
            generation: 0,
            operation: None,
            restart: RestartScope::All,
            progress: Progress::default(),
            seen: Seen::default(),
            gone: false,
            ended: Vec::new(),
            text: String::new(),
            started: 0,
            last_line: String::new(),
            behaviours: BTreeMap::new(),
            running_config: None,
        }
    }

    pub fn put(&mut self, spec: Spec) {
        self.generation += 1;
        let kind = if self.generation == 1 {
            OperationKind::Create
        } else {
            OperationKind::Update
        };
        self.behaviours.insert(spec.config, spec.clone());
        self.specs.insert(self.generation, spec);
        self.open(kind);
    }

    pub fn open(&mut self, kind: OperationKind) {
        let _ = writeln!(self.text, "> {kind:?} generation {}", self.generation);
        self.operation = Some(OpenOperation {
            id: OperationId(uuid_of(self.text.len())),
            kind,
            accepted_ms: self.now_ms,
        });
    }

    pub fn say(&mut self, line: &str) {
        let _ = writeln!(self.text, "> {line}");
    }

    fn target(&self, generation: u64) -> Target {
        let spec = &self.specs[&generation];
        let fixed = Capacity::Provisioned {
            mcu_count: 1,
            worker_count: spec.workers,
        };
        let policy = match &spec.scaled {
            Some((capacity, tasks)) => Policy::of(capacity, *tasks),
            None => Policy::of(&fixed, TaskLimit::Unlimited),
        };
        let wanted = self.progress.size.unwrap_or(policy.initial());
        let size = policy.clamp(wanted);
        Target {
            generation: Generation(generation),
            config_digest: spec.config.into(),
            launch_digest: launch_of(spec, size),
            group_digest: spec.group.into(),
            size,
            policy,
            desired_state: spec.desired_state,
            grant_digest: spec.grants.map(Into::into),
        }
    }

    fn world(&self) -> World {
        let settled = self
            .progress
            .settled
            .map(|g| g.0)
            .filter(|g| *g != self.generation);
        let view = View {
            goal: Goal {
                life: self.life,
                generation: Generation(self.generation),
                wanted: Ok(self.target(self.generation)),
                settled: settled.map(|g| self.target(g)),
                operation: self.operation,
                restart: self.restart.clone(),
                has_principal: self.specs.values().any(|spec| spec.grants.is_some()),
            },
            seen: self.seen.clone(),
            progress: self.progress.clone(),
        };
        World {
            now_ms: self.now_ms,
            timing: Timing::default(),
            connectors: BTreeMap::from([(Name::parse("orders").unwrap(), view)]),
        }
    }

    /// Passes until nothing happens any more, or for a bounded number of passes.
    pub fn run(&mut self, passes: usize) {
        self.last_line.clear();
        for _ in 0..passes {
            if self.gone || self.pass() {
                break;
            }
        }
    }

    /// Passes for so many milliseconds, also while nothing happens.
    pub fn run_for(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        while self.now_ms < end_ms && !self.gone {
            self.pass();
        }
    }

    /// One pass; true when nothing is left to do.
    fn pass(&mut self) -> bool {
        let decided = plan(&self.world()).connectors.into_values().next().unwrap();
        let line = line(&decided);
        if line != self.last_line {
            let _ = writeln!(self.text, "{:>7} {line}", self.now_ms - 1_000_000);
            self.last_line = line;
        }
        if let Some(decision) = decided
            .decision
            .as_ref()
            .filter(|it| matches!(it.verdict, Verdict::Scale { .. }))
        {
            let _ = writeln!(
                self.text,
                "        {} | {}",
                decision.from, decision.evidence.text
            );
        }
        self.progress = decided.progress;
        for action in &decided.actions {
            self.apply(action);
        }
        let idle = decided.actions.is_empty();
        self.now_ms = decided.look_again_ms.max(self.now_ms + 1);
        self.live();
        idle && self.operation.is_none() && decided.waiting_on.is_none()
    }

    /// A live worker answers no more, or answers that it is not in its group.
    pub fn unwell(&mut self, worker: usize, answers: bool, works: bool) {
        self.say(if answers {
            "a worker loses its group"
        } else {
            "a worker is frozen"
        });
        self.seen.workers[worker].state = WorkerState::Unwell {
            since_ms: self.now_ms,
            looks: 1,
            answers,
            works,
        };
        self.live();
    }

    /// Whether the Kafka cluster answers.
    pub fn kafka(&mut self, up: bool) {
        self.say(if up { "Kafka answers" } else { "Kafka is away" });
        self.kafka_up = up;
        self.seen.kafka_reach = if up {
            Reach::Yes
        } else {
            Reach::No {
                since_ms: self.now_ms,
                problem: Problem::new(
                    ErrorCode::KafkaUnreachable,
                    "the Kafka cluster 127.0.0.1:9092 does not answer",
                ),
            }
        };
    }

    /// Tasks fail from now on, or run again when they are restarted.
    pub fn tasks_fail(&mut self, error: Option<&'static str>) {
        self.say(error.unwrap_or("tasks would run again"));
        self.task_error = error;
        if error.is_some() {
            self.seen.connect = self.present(self.running_config.unwrap(), ConnectState::Running);
        }
    }

    /// How often the text tells of something.
    pub fn count(&self, what: &str) -> usize {
        self.text.matches(what).count()
    }

    /// What happens by itself between two looks.
    fn live(&mut self) {
        for worker in &mut self.seen.workers {
            if let WorkerState::Unwell { looks, .. } = &mut worker.state {
                *looks += 1;
            }
            if worker.state == WorkerState::Starting {
                worker.state = if self.workers_start {
                    WorkerState::Ready
                } else {
                    let last_error = Some("java.lang.NoClassDefFoundError: Foo".to_owned());
                    WorkerState::Dead(Exit {
                        how: "exit status 1".into(),
                        last_error,
                        ..Exit::default()
                    })
                };
            }
        }
        let ready = self
            .seen
            .workers
            .iter()
            .any(|w| w.state == WorkerState::Ready);
        if !ready {
            self.seen.connect = Connect::Unknown;
        } else if self.seen.connect == Connect::Unknown {
            self.seen.connect = self.running_config.map_or(Connect::Absent, |config| {
                self.present(config, ConnectState::Running)
            });
        }
    }

    fn grant_trouble(&mut self) {
        let since_ms = match &self.seen.principal {
            Principal::Trouble { since_ms, .. } => *since_ms,
            _ => self.now_ms,
        };
        self.seen.principal = Principal::Trouble {
            problem: Problem::new(
                ErrorCode::KafkaUnreachable,
                "the Kafka cluster does not answer",
            ),
            since_ms,
            at_ms: self.now_ms,
        };
    }

    fn present(&self, config: &'static str, state: ConnectState) -> Connect {
        let spec = &self.behaviours[config];
        let error = spec.task_fails.or(self.task_error);
        let task = Task {
            id: 0,
            state: if error.is_some() {
                ConnectState::Failed
            } else {
                state
            },
            on_live_worker: true,
            reason: error.map(Into::into),
            causes: Vec::new(),
        };
        let tasks = state != ConnectState::Stopped && !spec.no_task;
        Connect::Present {
            state,
            config_digest: config.into(),
            tasks: tasks.then_some(task).into_iter().collect(),
            reason: None,
            causes: Vec::new(),
        }
    }

    fn spec_of(&self, which: Which) -> &Spec {
        let generation = match which {
            Which::Wanted => self.generation,
            Which::Settled => self.progress.settled.unwrap().0,
        };
        &self.specs[&generation]
    }

    fn target_of(&self, which: Which) -> Target {
        self.target(match which {
            Which::Wanted => self.generation,
            Which::Settled => self.progress.settled.unwrap().0,
        })
    }

    /// That many minutes at that load, the last one just over.
    pub fn load(&mut self, percent: u32, minutes: u64) {
        self.say(&format!("{percent} % CPU for {minutes} minutes"));
        let end = self.now_ms / 60_000;
        self.seen.load = (end - minutes..end)
            .map(|minute| Bucket {
                start_ms: minute * 60_000,
                load: Load::Percent(percent),
                lag: None,
            })
            .collect();
    }

    pub fn kill_workers(&mut self) {
        self.say("kill -9 of all workers");
        for worker in &mut self.seen.workers {
            worker.state = WorkerState::Dead(Exit {
                how: "signal 9".into(),
                last_error: None,
                ..Exit::default()
            });
        }
        self.seen.connect = Connect::Unknown;
    }

    fn trouble(&mut self) {
        let since_ms = match &self.seen.kafka {
            Kafka::Trouble { since_ms, .. } => *since_ms,
            _ => self.now_ms,
        };
        let problem = Problem::new(
            ErrorCode::KafkaUnreachable,
            "no broker answers at 127.0.0.1:9092",
        );
        self.seen.kafka = Kafka::Trouble { problem, since_ms };
    }

    fn apply(&mut self, action: &Action) {
        match action {
            Action::MakeTopics if self.kafka_up => self.seen.kafka = Kafka::TopicsMade,
            Action::DeleteTopics if self.kafka_up => self.seen.kafka = Kafka::TopicsGone,
            Action::MakeTopics | Action::DeleteTopics => self.trouble(),
            Action::Grant(which) if self.kafka_up => {
                self.seen.principal = Principal::Granted {
                    digest: self.target_of(*which).grant_digest.unwrap(),
                    at_ms: self.now_ms,
                };
            }
            Action::Revoke if self.kafka_up => self.seen.principal = Principal::Gone,
            Action::Grant(_) | Action::Revoke => self.grant_trouble(),
            Action::StartWorker(which) => {
                self.started += 1;
                let worker = Worker {
                    id: format!("w{}", self.started),
                    launch_digest: self.target_of(*which).launch_digest,
                    group_digest: self.spec_of(*which).group.into(),
                    started_ms: self.now_ms,
                    stopping_since_ms: None,
                    state: WorkerState::Starting,
                };
                self.seen.workers.push(worker);
            }
            Action::StopWorker(id) | Action::KillWorker(id) => {
                for worker in self.seen.workers.iter_mut().filter(|w| w.id == *id) {
                    worker.state = WorkerState::Dead(Exit {
                        how: "exit status 143".into(),
                        last_error: None,
                        ..Exit::default()
                    });
                }
            }
            Action::BuryWorker(id) => self.seen.workers.retain(|w| w.id != *id),
            Action::Preflight(which) => {
                let spec = self.spec_of(*which).clone();
                let problem = spec
                    .preflight
                    .or(self.source_error)
                    .map(|text| Problem::new(ErrorCode::SourceUnreachable, text));
                self.seen.preflight = Some(Preflight {
                    config_digest: spec.config.into(),
                    problem,
                    at_ms: self.now_ms,
                    operation: self.operation.map(|open| open.id),
                });
            }
            Action::CreateStopped(which) | Action::PutConfig(which) => {
                let config = self.spec_of(*which).config;
                self.running_config = Some(config);
                self.seen.connect = self.present(config, ConnectState::Stopped);
            }
            Action::StopConnector => {
                self.seen.connect =
                    self.present(self.running_config.unwrap(), ConnectState::Stopped);
            }
            Action::Pause => {
                self.seen.connect =
                    self.present(self.running_config.unwrap(), ConnectState::Paused);
            }
            Action::Resume | Action::RestartFailed | Action::RestartTask(_) => {
                self.seen.connect =
                    self.present(self.running_config.unwrap(), ConnectState::Running);
            }
            Action::RecordOffsets => {
                self.progress.offsets_before = Some("{\"pos\":4}".into());
                self.progress.offsets_recorded = true;
            }
            Action::RestoreOffsets | Action::LeaveTopicsForLater => {}
            Action::RollBack { to, ending } => {
                let spec = self.specs[&to.0].clone();
                self.specs.insert(self.generation, spec);
                self.end(ending.outcome);
            }
            Action::Conclude(ending) => self.end(ending.outcome),
            Action::Vanish(ending) => {
                self.gone = true;
                if let Some(ending) = ending {
                    self.end(ending.outcome);
                }
            }
        }
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(open) = self.operation.take() {
            self.ended.push((open.kind, outcome));
        }
    }
}

fn launch_of(spec: &Spec, size: Size) -> String {
    match spec.scaled {
        Some(_) => format!("{}@{}", spec.launch, size.mcu_count),
        None => spec.launch.to_owned(),
    }
}

fn uuid_of(number: usize) -> uuid::Uuid {
    uuid::Uuid::from_u128(number as u128)
}

fn line(decided: &ConnectorPlan) -> String {
    let actions: Vec<String> = decided.actions.iter().map(ToString::to_string).collect();
    let mut line = format!("{:?}/{:?}", decided.state, decided.health);
    if !actions.is_empty() {
        let _ = write!(line, " | {}", actions.join("; "));
    }
    if let Some(what) = &decided.waiting_on {
        let _ = write!(line, " | waits for {what}");
    }
    if let Some(reason) = decided
        .reason
        .as_ref()
        .filter(|r| Some(*r) != decided.waiting_on.as_ref())
    {
        let _ = write!(line, " | {reason}");
    }
    line
}
