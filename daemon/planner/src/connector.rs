//! The next step of one connector: which course it is on, and how a course fails or ends.
//!
//! ```text
//!                       ┌── undo ◄── fails ──┐
//! create ──► grant ──► workers ──► preflight ──► create stopped ──► resume ──► settle ──► settled
//! update ──► preflight ──► stop ──► record offsets ──► (workers) ──► put ──► resume ──► settle
//!             └── fails ──► roll back: stop ──► restore offsets ──► put ──► resume ──► settle
//! delete ──► stop workers ──► revoke ──► delete topics ──► vanish
//! ```

use crate::plan::{Action, ConnectorPlan, Ending, Which};
use crate::world::{Goal, Life, OpenOperation, Progress, RollBack, Seen, Target, Timing, View};
use crate::{change, principal, resize, steady, teardown, workers};
use runnel_api::connector::{ConnectorState, DesiredState, Health};
use runnel_api::scaling::ScalingDecision;
use runnel_api::{ErrorCode, Generation, Name, OperationKind, Outcome, Problem, RestartScope};

/// Time between looks while others are to be done first.
const PATIENT_LOOK_MS: u64 = 500;

/// Decides the next step.
pub(crate) fn next(name: &Name, view: &View, now_ms: u64, timing: &Timing) -> ConnectorPlan {
    let mut step = Step::new(name, view, now_ms, timing);
    if view.goal.life != Life::Wanted || step.progress.undo.is_some() {
        teardown::next(&mut step);
        return step.finish();
    }
    step.close_roll_back();
    step.begin_attempt();
    let (which, target) = match step.course() {
        Ok(course) => course,
        Err(problem) => {
            step.fail(problem);
            return step.finish();
        }
    };
    if let Some(problem) = step.overdue() {
        step.fail(problem);
        return step.finish();
    }
    resize::normalise(&mut step, &target);
    run(&mut step, which, &target);
    steady::outlook(&mut step);
    if step.decision.is_none() {
        resize::consider(&mut step, &target);
    }
    step.finish()
}

/// Walks the stages of a course; each either has something to do or wait for, or lets the next
/// stage decide.
fn run(step: &mut Step<'_>, which: Which, target: &Target) {
    workers::bury(step);
    steady::watch(step, target);
    let stages = [
        principal::grant,
        change::set_down,
        workers::topics,
        workers::replace,
        workers::fill,
        workers::ready,
        change::configure,
        change::desired_state,
        steady::judge,
    ];
    for stage in stages {
        if stage(step, which, target) == Stage::Holds {
            return;
        }
    }
}

/// Whether a stage has the last word of this pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There is something to do or to wait for.
    Holds,
    /// The next stage decides.
    Passes,
}

/// A plan in the making.
pub(crate) struct Step<'a> {
    pub name: &'a Name,
    pub goal: &'a Goal,
    pub seen: &'a Seen,
    pub now_ms: u64,
    pub timing: &'a Timing,
    pub progress: Progress,
    pub actions: Vec<Action>,
    pub health: Health,
    pub reason: Option<String>,
    pub waiting_on: Option<String>,
    pub calm: bool,
    /// Nothing will change soon, though not all is well.
    pub patient: bool,
    pub decision: Option<ScalingDecision>,
    state: ConnectorState,
}

impl<'a> Step<'a> {
    fn new(name: &'a Name, view: &'a View, now_ms: u64, timing: &'a Timing) -> Self {
        Self {
            name,
            goal: &view.goal,
            seen: &view.seen,
            now_ms,
            timing,
            progress: view.progress.clone(),
            actions: Vec::new(),
            health: steady::glance(&view.seen),
            reason: None,
            waiting_on: None,
            calm: false,
            patient: false,
            decision: None,
            state: resting_state(&view.goal),
        }
    }

    /// After a roll-back the store holds the settled specification under the newest generation;
    /// once its operation is closed, that generation is the settled one.
    fn close_roll_back(&mut self) {
        let closed = self.goal.operation.is_none();
        if closed && self.progress.roll_back.take().is_some() {
            self.progress.settled = Some(self.goal.generation);
            self.forget_attempt();
        }
    }

    /// A newer generation than the attempted one takes over.
    fn begin_attempt(&mut self) {
        if self.progress.attempt != self.goal.generation {
            self.progress.attempt = self.goal.generation;
            self.progress.roll_back = None;
            self.progress.offsets_restored = false;
            self.progress.resumed_ms = None;
            self.progress.worker_back_off.clear();
            self.progress.task_back_off.clear();
            self.progress.halt = None;
            // What an unfinished attempt recorded is still the position of the settled
            // generation; recording again would take over the position of the unfinished one.
            if !self.progress.touched {
                self.progress.offsets_before = None;
                self.progress.offsets_recorded = false;
            }
        }
        if let Some(operation) = self.open(OperationKind::Restart) {
            self.begin_restart(operation);
        }
    }

    /// Marks what an open restart replaces. What was given up is tried again; only once, so that
    /// starts which fail are counted.
    fn begin_restart(&mut self, operation: OpenOperation) {
        let progress = &mut self.progress;
        let begun = match &self.goal.restart {
            RestartScope::All => {
                let before = Some(operation.accepted_ms);
                std::mem::replace(&mut progress.replace_started_before_ms, before) == before
            }
            RestartScope::Worker(id) => {
                let id = Some(id.clone());
                let begun = progress.replace_worker == id;
                progress.replace_worker = id;
                begun
            }
            RestartScope::Task(_) => progress
                .restarted_task
                .is_some_and(|task| task.operation == operation.id),
        };
        if !begun {
            progress.halt = None;
            progress.worker_back_off.clear();
            progress.task_back_off.clear();
        }
    }

    fn course(&self) -> Result<(Which, Target), Problem> {
        match (&self.progress.roll_back, &self.goal.settled) {
            (Some(_), Some(settled)) => Ok((Which::Settled, settled.clone())),
            _ => self
                .goal
                .wanted
                .clone()
                .map(|target| (Which::Wanted, target)),
        }
    }

    fn open(&self, kind: OperationKind) -> Option<OpenOperation> {
        self.goal.operation.filter(|open| open.kind == kind)
    }

    fn overdue(&self) -> Option<Problem> {
        let operation = self.goal.operation?;
        let since_ms = self
            .progress
            .roll_back
            .as_ref()
            .map_or(operation.accepted_ms, |roll_back| roll_back.since_ms);
        let since_ms = since_ms.max(self.progress.queued_ms.unwrap_or(0));
        let spent_ms = self.now_ms.saturating_sub(since_ms);
        (spent_ms > self.timing.operation_ms).then(|| {
            let seconds = self.timing.operation_ms / 1000;
            Problem::new(
                ErrorCode::TimedOut,
                format!("the connector did not settle within {seconds} s"),
            )
            .hint("Look at its log: runnel logs NAME")
        })
    }

    /// The course cannot go on. What that means depends on the operation that is open.
    pub(crate) fn fail(&mut self, problem: Problem) {
        self.health = Health::Failed;
        self.reason = Some(problem.message.clone());
        self.progress.good_since_ms = None;
        let Some(operation) = self.goal.operation else {
            self.state = ConnectorState::Failed;
            return;
        };
        match operation.kind {
            OperationKind::Create => self.progress.undo = Some(problem),
            OperationKind::Update => self.fail_update(operation, problem),
            OperationKind::Restart | OperationKind::Delete => {
                self.progress.replace_started_before_ms = None;
                self.progress.replace_worker = None;
                self.conclude(operation, Outcome::Failed, Some(problem));
            }
        }
    }

    fn fail_update(&mut self, operation: OpenOperation, problem: Problem) {
        let Some(settled) = &self.goal.settled else {
            self.conclude(operation, Outcome::Failed, Some(problem));
            return;
        };
        let roll_back = RollBack {
            problem: problem.clone(),
            since_ms: self.now_ms,
        };
        match self.progress.roll_back.take() {
            None if self.progress.touched => self.progress.roll_back = Some(roll_back),
            None => {
                let problem = add_hint(
                    problem,
                    &format!(
                        "Generation {} was not touched and runs on",
                        settled.generation
                    ),
                );
                self.progress.roll_back = Some(roll_back);
                self.roll_back(settled.generation, operation, Outcome::RolledBack, problem);
            }
            Some(first) => {
                let text = format!(
                    "Generation {} could not be restored either: {}",
                    settled.generation, problem.message
                );
                let problem = add_hint(first.problem.clone(), &text);
                self.progress.roll_back = Some(first);
                self.roll_back(settled.generation, operation, Outcome::Failed, problem);
            }
        }
    }

    /// Everything runs as wanted and did so for the settle time.
    pub(crate) fn settled(&mut self) {
        if let (Some(roll_back), Some(settled)) = (&self.progress.roll_back, &self.goal.settled) {
            let text = format!(
                "Generation {} was restored and runs again",
                settled.generation
            );
            let problem = add_hint(roll_back.problem.clone(), &text);
            if let Some(operation) = self.goal.operation {
                let to = settled.generation;
                self.roll_back(to, operation, Outcome::RolledBack, problem);
            }
            return;
        }
        self.progress.settled = Some(self.goal.generation);
        self.forget_attempt();
        if let Some(operation) = self.goal.operation {
            self.conclude(operation, Outcome::Succeeded, None);
        }
    }

    fn forget_attempt(&mut self) {
        self.progress.touched = false;
        self.progress.offsets_before = None;
        self.progress.offsets_recorded = false;
        self.progress.offsets_restored = false;
        self.progress.replace_started_before_ms = None;
        self.progress.size_before = None;
        self.progress.replace_worker = None;
        self.progress.restarted_task = None;
    }

    pub(crate) fn conclude(
        &mut self,
        operation: OpenOperation,
        outcome: Outcome,
        problem: Option<Problem>,
    ) {
        self.actions.push(Action::Conclude(Ending {
            operation: operation.id,
            outcome,
            problem,
        }));
    }

    fn roll_back(
        &mut self,
        to: Generation,
        operation: OpenOperation,
        outcome: Outcome,
        problem: Problem,
    ) {
        let ending = Ending {
            operation: operation.id,
            outcome,
            problem: Some(problem),
        };
        self.actions.push(Action::RollBack { to, ending });
    }

    /// Something that ran is about to be stopped, changed or replaced.
    pub(crate) fn touch(&mut self) {
        self.progress.touched = true;
        self.progress.good_since_ms = None;
    }

    pub(crate) fn wait(&mut self, what: impl Into<String>) -> Stage {
        let what = what.into();
        self.progress.good_since_ms = None;
        if self.reason.is_none() {
            self.reason = Some(what.clone());
        }
        self.waiting_on = Some(what);
        Stage::Holds
    }

    pub(crate) fn act(&mut self, action: Action, why: impl Into<String>) -> Stage {
        self.actions.push(action);
        self.wait(why)
    }

    pub(crate) fn state(&mut self, state: ConnectorState) {
        self.state = state;
    }

    /// True when nothing will be tried without somebody's doing.
    pub(crate) fn given_up(&self) -> bool {
        self.state == ConnectorState::Failed
    }

    fn finish(self) -> ConnectorPlan {
        let pause_ms = if self.calm && self.actions.is_empty() {
            self.timing.calm_look_ms
        } else if self.patient && self.actions.is_empty() {
            PATIENT_LOOK_MS
        } else {
            self.timing.busy_look_ms
        };
        ConnectorPlan {
            actions: self.actions,
            progress: self.progress,
            state: self.state,
            health: self.health,
            reason: self.reason,
            waiting_on: self.waiting_on,
            decision: self.decision,
            look_again_ms: self.now_ms.saturating_add(pause_ms),
        }
    }
}

/// The state when nothing more is known: what the open operation does, else what is wanted.
fn resting_state(goal: &Goal) -> ConnectorState {
    match goal.operation.map(|open| open.kind) {
        Some(OperationKind::Create) => ConnectorState::Creating,
        Some(OperationKind::Update) => ConnectorState::Updating,
        Some(OperationKind::Restart) => ConnectorState::Restarting,
        Some(OperationKind::Delete) => ConnectorState::Deleting,
        None => match goal.wanted.as_ref().map(|target| target.desired_state) {
            Ok(DesiredState::Running) => ConnectorState::Running,
            Ok(DesiredState::Paused) => ConnectorState::Paused,
            Ok(DesiredState::Stopped) => ConnectorState::Stopped,
            Err(_) => ConnectorState::Failed,
        },
    }
}

fn add_hint(mut problem: Problem, text: &str) -> Problem {
    problem.hint = Some(match problem.hint {
        Some(hint) => format!("{hint}. {text}"),
        None => text.to_owned(),
    });
    problem
}
