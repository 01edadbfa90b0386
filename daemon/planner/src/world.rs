//! Everything a decision may read: what is wanted, what is seen, what was done so far.

use crate::back_off::BackOff;
use crate::failure::FailureKind;
use crate::principal::Principal;
use crate::scale::{self, Bucket, Policy};
use runnel_api::connector::DesiredState;
use runnel_api::scaling::Size;
use runnel_api::{Generation, Name, OperationId, OperationKind, Problem, RestartScope};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The input of [`crate::plan`].
#[derive(Clone, Debug)]
pub struct World {
    /// Milliseconds since the Unix epoch, read once per pass.
    pub now_ms: u64,
    /// Durations, from the daemon's configuration.
    pub timing: Timing,
    /// Every connector that is wanted or being deleted.
    pub connectors: BTreeMap<Name, View>,
}

/// Durations in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a new generation must run without a failed task before it counts as settled.
    pub settle_ms: u64,
    /// How long a worker may take from its start to being ready. Measured: 2–4 s with an archive
    /// of class data, up to 18 s without service files.
    pub worker_start_ms: u64,
    /// How long an operation may take in total.
    pub operation_ms: u64,
    /// How long Kafka may be away before a create or delete no longer waits for it.
    pub kafka_patience_ms: u64,
    /// How long a worker may take to stop; its shim kills it then.
    pub stop_deadline_ms: u64,
    /// How long a resumed connector may show no task at all. Tasks appear within 1 s (measured).
    pub no_task_ms: u64,
    /// Time between looks while something moves.
    pub busy_look_ms: u64,
    /// Time between looks when all is as wanted.
    pub calm_look_ms: u64,
    /// Times of scaling.
    pub scaling: scale::Timing,
    /// Time between two validations of a running connector, which reach out to its source.
    pub probe_ms: u64,
    /// How long a live worker may give no answer before it is killed and replaced.
    pub silent_worker_ms: u64,
    /// How long a sink may read nothing although records wait.
    pub progress_ms: u64,
    /// Time between two looks at a connector's user and ACLs.
    pub grant_look_ms: u64,
    /// How long a create waits, beyond its settle time, for the source to store its first position.
    /// One that has nothing to tell stores none.
    pub first_position_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            settle_ms: 5_000,
            worker_start_ms: 60_000,
            operation_ms: 180_000,
            kafka_patience_ms: 15_000,
            stop_deadline_ms: 15_000,
            no_task_ms: 8_000,
            busy_look_ms: 150,
            calm_look_ms: 3_000,
            scaling: scale::Timing::default(),
            probe_ms: 60_000,
            silent_worker_ms: 30_000,
            progress_ms: 60_000,
            grant_look_ms: 15_000,
            // Two flushes of the default 5 s: the first may come before there is anything.
            first_position_ms: 10_000,
        }
    }
}

/// One connector.
#[derive(Clone, Debug)]
pub struct View {
    /// What people asked.
    pub goal: Goal,
    /// What we know.
    pub seen: Seen,
    /// What we did.
    pub progress: Progress,
}

/// What people asked of one connector.
#[derive(Clone, Debug)]
pub struct Goal {
    /// Whether it is to be there.
    pub life: Life,
    /// The wanted generation.
    pub generation: Generation,
    /// What the wanted generation means, or why it means nothing that could run.
    pub wanted: Result<Target, Problem>,
    /// The generation that settled last, when it is not the wanted one: what a roll-back restores.
    pub settled: Option<Target>,
    /// The operation that is open.
    pub operation: Option<OpenOperation>,
    /// What an open restart is about.
    pub restart: RestartScope,
    /// Whether it was given a user of its own on the broker.
    pub has_principal: bool,
}

/// Whether a connector is to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is wanted. A `DELETE` moves it to one of the others, nothing moves it back.
    Wanted,
    /// It goes, and its internal topics with it.
    DeleteAll,
    /// It goes, its internal topics stay.
    DeleteKeepingTopics,
}

/// An operation that is not final yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOperation {
    /// Its id.
    pub id: OperationId,
    /// What was asked.
    pub kind: OperationKind,
    /// When it was accepted.
    pub accepted_ms: u64,
}

/// What a generation means for workers, in digests: equal digests need no change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Which generation.
    pub generation: Generation,
    /// Digest of the configuration as Connect stores it, secrets as references.
    pub config_digest: String,
    /// Digest of what a worker process is started with.
    pub launch_digest: String,
    /// Digest of the part of it that all workers of one group must have in common: plugins, runtime,
    /// cluster, internal topics. Workers that differ in the rest alone (size, worker configuration)
    /// may serve side by side.
    pub group_digest: String,
    /// How many workers of which size, within the policy.
    pub size: Size,
    /// Which sizes it may have.
    pub policy: Policy,
    /// Whether it runs.
    pub desired_state: DesiredState,
    /// Digest of the user, its password and the ACLs that the role comes to; none where roles are not
    /// enforced.
    pub grant_digest: Option<String>,
}

/// What we know of one connector.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Its cluster.
    pub kafka: Kafka,
    /// Its worker processes, dead ones included until they are buried.
    pub workers: Vec<Worker>,
    /// What its workers say.
    pub connect: Connect,
    /// The last preflight.
    pub preflight: Option<Preflight>,
    /// The last error of the connector in a worker's log since it was resumed.
    pub log_error: Option<String>,
    /// How busy its workers were, oldest first.
    pub load: Vec<Bucket>,
    /// How many partitions a sink reads, when that is known.
    pub partitions: Option<u32>,
    /// What the host has to give just now.
    pub host: Host,
    /// Whether its Kafka cluster answers the daemon.
    pub kafka_reach: Reach,
    /// How a sink gets on with what it has to read; none for sources and where it is not known.
    pub reading: Option<Reading>,
    /// Its user and ACLs on the broker.
    pub principal: Principal,
    /// Whether a source that is being created has stored a position; none for sinks and where it
    /// is not known. Before that a death costs what changed since its snapshot: the next worker
    /// takes another one.
    pub position_stored: Option<bool>,
}

/// What the host has to give to one connector just now; none means: no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// How many workers may be started now. Workers that start share the CPUs, so a hundred at once
    /// would all come late; those of other connectors that are starting count.
    pub start_slots: Option<u32>,
    /// MCUs that no connector holds.
    pub free_mcus: Option<u32>,
}

/// Whether a Kafka cluster answers. Moved by the daemon's own look at it, every few seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// It answered the last time.
    Yes,
    /// It did not answer several times in a row.
    No {
        /// When the first of them began, milliseconds since the Unix epoch.
        since_ms: u64,
        /// Why.
        problem: Problem,
    },
}

/// What a sink has to read, and since when it has read nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Records that wait, over all partitions.
    pub waiting: u64,
    /// The sum of its committed offsets.
    pub committed: u64,
    /// When the sum changed last, or nothing waited, milliseconds since the Unix epoch.
    pub moved_ms: u64,
    /// When it was looked at last.
    pub looked_ms: u64,
}

impl Reading {
    /// The next state after a look at `now_ms`. A sum that goes back has moved too: somebody has
    /// set the offsets. Looks that lie further apart than `gap_ms` say nothing of the time between
    /// them: the daemon was stopped, or the machine slept.
    pub fn note(
        before: Option<Self>,
        committed: u64,
        waiting: u64,
        now_ms: u64,
        gap_ms: u64,
    ) -> Self {
        let still = before
            .filter(|it| it.committed == committed && waiting > 0)
            .filter(|it| now_ms.abs_diff(it.looked_ms) <= gap_ms);
        Self {
            waiting,
            committed,
            moved_ms: still.map_or(now_ms, |it| it.moved_ms),
            looked_ms: now_ms,
        }
    }
}

/// What we know of the connector's Kafka cluster and of its internal topics there. Set by the
/// executor after each attempt to make or delete them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kafka {
    /// Nobody tried since the daemon started.
    #[default]
    Unknown,
    /// Internal topics are there.
    TopicsMade,
    /// Internal topics are gone.
    TopicsGone,
    /// The last attempts failed.
    Trouble {
        /// Why.
        problem: Problem,
        /// When the first of them failed.
        since_ms: u64,
    },
}

/// One worker process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Its id, unique for each process.
    pub id: String,
    /// What it was started with.
    pub launch_digest: String,
    /// The part of it that its group has in common.
    pub group_digest: String,
    /// When it was started.
    pub started_ms: u64,
    /// When it was told to stop, if it was.
    pub stopping_since_ms: Option<u64>,
    /// How it is.
    pub state: WorkerState,
}

/// How a worker process is; read from disk and `/proc` at each look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// It lives and does not answer `GET /health` with success yet.
    Starting,
    /// It lives and answers.
    Ready,
    /// It lives, was ready before, and is not any more.
    Unwell {
        /// When it was first found so, milliseconds since the Unix epoch.
        since_ms: u64,
        /// How many looks in a row found it so.
        looks: u32,
        /// Whether it answers at all: it says then that it is not in its group.
        answers: bool,
        /// Whether it has used CPU time since the look before. A frozen process uses none; one that
        /// does may only be short of it.
        works: bool,
    },
    /// It is proven dead.
    Dead(Exit),
}

/// How a worker ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// `exit status 1`, `signal 9` or `unknown`.
    pub how: String,
    /// Its last error line.
    pub last_error: Option<String>,
    /// True when it ended for want of memory.
    pub out_of_memory: bool,
}

/// What the workers say of the connector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Connect {
    /// No worker answered.
    #[default]
    Unknown,
    /// A worker answered: no such connector.
    Absent,
    /// A worker answered.
    Present {
        /// The connector's state.
        state: ConnectState,
        /// Digest of its configuration.
        config_digest: String,
        /// Its tasks.
        tasks: Vec<Task>,
        /// Root line of the connector's own trace when it failed.
        reason: Option<String>,
        /// First lines of the exceptions of that trace, the root first.
        causes: Vec<String>,
    },
}

/// A connector's state as Connect names it (KIP-875 for `STOPPED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectState {
    /// `RUNNING`.
    Running,
    /// `PAUSED`.
    Paused,
    /// `STOPPED`.
    Stopped,
    /// `FAILED`.
    Failed,
    /// `UNASSIGNED`, `RESTARTING`, or a live status of a dead worker.
    Unsettled,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub id: u32,
    /// Its state.
    pub state: ConnectState,
    /// Whether the worker it names is a live process of ours; only then is its state believed.
    pub on_live_worker: bool,
    /// Root line of its trace when it failed.
    pub reason: Option<String>,
    /// First lines of the exceptions of that trace, the root first.
    pub causes: Vec<String>,
}

/// The answer of Connect's validation, which connects to the source (measured), for one
/// configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// Digest of the configuration that was checked.
    pub config_digest: String,
    /// What is wrong with it; none means it may run.
    pub problem: Option<Problem>,
    /// When it was answered, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The operation that was open then. An operation believes only its own preflight.
    pub operation: Option<OperationId>,
}

/// What was done so far; stored with each change, so that a new daemon goes on where the last
/// one stopped. The planner alone writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Progress {
    /// The generation that was last seen to run for the settle time.
    pub settled: Option<Generation>,
    /// The generation that is being brought in, or was last.
    pub attempt: Generation,
    /// True once the attempt stopped, changed or replaced something that ran.
    pub touched: bool,
    /// When the connector was last told to run under the current attempt.
    pub resumed_ms: Option<u64>,
    /// Since when everything runs as wanted, without a break.
    pub good_since_ms: Option<u64>,
    /// Offsets as they were before the attempt changed anything, as Connect's JSON text.
    pub offsets_before: Option<String>,
    /// True when `offsets_before` was read for this attempt.
    pub offsets_recorded: bool,
    /// True when a roll-back has put `offsets_before` back.
    pub offsets_restored: bool,
    /// The roll-back that is under way.
    pub roll_back: Option<RollBack>,
    /// A create that failed is undone for this reason.
    pub undo: Option<Problem>,
    /// Workers started before this moment are replaced (`runnel restart`).
    pub replace_started_before_ms: Option<u64>,
    /// Workers that were told to stop, and when.
    pub stopping: BTreeMap<String, u64>,
    /// Workers that were there when everything had run for the settle time: no failed starts,
    /// whatever becomes of them.
    pub ran_well: BTreeSet<String>,
    /// Starts of workers that failed.
    pub worker_back_off: BackOff,
    /// Restarts of failed tasks.
    pub task_back_off: BackOff,
    /// When the teardown found the last worker dead.
    pub bare_since_ms: Option<u64>,
    /// When a start last waited for those of other connectors; the time of an operation counts from
    /// then.
    pub queued_ms: Option<u64>,
    /// The size that scaling has chosen; none while it never chose, and for fixed capacity.
    pub size: Option<Size>,
    /// The size before the last step, until the new one has settled.
    pub size_before: Option<Size>,
    /// When scaling chose another size last.
    pub scaled_ms: Option<u64>,
    /// The partitions that a sink was last known to read: kept, because a look that fails must not
    /// change how many tasks it has.
    pub partitions: Option<u32>,
    /// Why workers are not started any more.
    pub halt: Option<Halt>,
    /// The worker that an open restart replaces.
    pub replace_worker: Option<String>,
    /// The task that an open restart has restarted.
    pub restarted_task: Option<RestartedTask>,
    /// What was away at the last pass; who comes back is tried at once.
    pub away: Away,
}

/// What a connector needs and could not reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Away {
    /// The Kafka cluster does not answer.
    pub kafka: bool,
    /// The validation of the running connector finds a problem.
    pub source: bool,
}

/// Workers die of something that a further start does not heal. Set when one dies so, cleared by a
/// newer generation, a restart, and by everything running for ten minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// What the worker said.
    pub reason: String,
}

/// A task that was told to restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartedTask {
    /// For which operation.
    pub operation: OperationId,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// A roll-back under way. Begun when a change fails after it touched something, ended when the
/// settled generation runs again or its time is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollBack {
    /// Why.
    pub problem: Problem,
    /// When it began.
    pub since_ms: u64,
}
