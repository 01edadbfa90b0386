//! Does what the planner chose. No decision about policy is made here.

use super::Inner;
use super::aim;
use super::goal::{Situation, chain};
use super::leftovers::Remains;
use super::memory::Memory;
use super::observe;
use super::preparing::Prepared;
use crate::failpoint::{self, Moment};
use crate::fleet::{ConnectClient, FleetError, RestError, SeenWorker, WorkerId};
use crate::kafka::{KafkaAdmin, KafkaError, TopicOutcome, TopicWanted};
use crate::metrics::WorkerEnd;
use crate::store::{Advance, StoreError, now_ms};
use runnel_api::connector::{ConnectorSpec, ConnectorState, DesiredState, TaskStatus};
use runnel_api::error::Warning;
use runnel_api::{ErrorCode, OperationKind, Outcome, Problem};
use runnel_planner::{Action, ConnectorPlan, Ending, Kafka, Life, Preflight, Progress, Which};
use std::collections::BTreeMap;
use std::time::Duration;

/// Time for telling a dead worker's group; the next worker waits for it.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// Time for validating a running connector: more than the 3 s after which its own keys end it.
const PROBE_LIMIT: Duration = Duration::from_secs(6);

/// Why an action was not done. The next pass looks anew.
#[derive(Debug, thiserror::Error)]
pub(super) enum ActionError {
    /// The store.
    #[error("the store did not take it")]
    Store(#[from] StoreError),
    /// Processes and their files.
    #[error("the fleet did not do it")]
    Fleet(#[from] FleetError),
    /// A worker's REST interface.
    #[error("the worker did not do it")]
    Rest(#[from] RestError),
    /// The Kafka cluster.
    #[error("the Kafka cluster did not do it")]
    Kafka(#[from] KafkaError),
    /// Workers cannot be told.
    #[error("the workers cannot be listed")]
    Unlisted,
    /// No worker answers.
    #[error("no worker answers")]
    NoWorker,
    /// The action is about a generation that is not there; the next pass plans without it.
    #[error("there is no such generation any more")]
    NoGeneration,
    /// A blocking task was lost.
    #[error("a task was lost")]
    Lost(#[from] tokio::task::JoinError),
}

/// Does the actions in their order, up to the first that fails.
pub(super) async fn all(
    inner: &Inner,
    situation: &Situation,
    decided: &ConnectorPlan,
    memory: &Memory,
) -> anyhow::Result<()> {
    let mut job = Job {
        inner,
        situation,
        memory,
        progress: decided.progress.clone(),
    };
    for action in &decided.actions {
        failpoint::reach(Moment::Before, action.kind());
        job.act(action)
            .await
            .map_err(|error| anyhow::anyhow!("{}: {action}: {}", situation.name, chain(&error)))?;
        failpoint::reach(Moment::After, action.kind());
    }
    Ok(())
}

pub(super) struct Job<'a> {
    pub(super) inner: &'a Inner,
    pub(super) situation: &'a Situation,
    pub(super) memory: &'a Memory,
    progress: Progress,
}

impl Job<'_> {
    async fn act(&mut self, action: &Action) -> Result<(), ActionError> {
        match action {
            Action::MakeTopics => self.make_topics().await,
            Action::Grant(which) => self.grant(*which).await,
            Action::Revoke => self.revoke().await,
            Action::DeleteTopics => self.delete_topics().await,
            Action::LeaveTopicsForLater => self.leave_topics().await,
            Action::StartWorker(which) => self.start_worker(*which).await,
            Action::StopWorker(id) => {
                let (connector, worker) = (self.situation.id, worker_id(id)?);
                self.fleet(move |fleet| fleet.stop(connector, &worker))
                    .await
            }
            Action::KillWorker(id) => {
                let (connector, worker) = (self.situation.id, worker_id(id)?);
                self.fleet(move |fleet| fleet.kill(connector, &worker))
                    .await
            }
            Action::BuryWorker(id) => self.bury(id).await,
            Action::Preflight(which) => self.preflight(*which).await,
            Action::CreateStopped(which) => self.create_stopped(*which).await,
            Action::PutConfig(which) => self.put_config(*which).await,
            Action::StopConnector => Ok(self.client().await?.stop(self.name()).await?),
            Action::Resume => Ok(self.client().await?.resume(self.name()).await?),
            Action::Pause => Ok(self.client().await?.pause(self.name()).await?),
            Action::RestartFailed => self.restart_failed().await,
            Action::RestartTask(id) => self.restart_task(*id).await,
            Action::RecordOffsets => self.record_offsets().await,
            Action::RestoreOffsets => self.restore_offsets().await,
            Action::RollBack { to, ending } => self.roll_back(*to, ending).await,
            Action::Conclude(ending) => self.conclude(ending).await,
            Action::Vanish(ending) => self.vanish(ending.as_ref()).await,
        }
    }

    fn name(&self) -> &str {
        self.situation.name.as_str()
    }

    pub(super) fn prepared(&self, which: Which) -> Result<&Prepared, ActionError> {
        self.situation
            .prepared(which)
            .ok_or(ActionError::NoGeneration)
    }

    async fn client(&self) -> Result<ConnectClient, ActionError> {
        observe::client(self.inner, self.situation, self.memory)
            .await
            .ok_or(ActionError::NoWorker)
    }

    async fn fleet<T: Send + 'static>(
        &self,
        work: impl FnOnce(&crate::fleet::Fleet) -> Result<T, FleetError> + Send + 'static,
    ) -> Result<T, ActionError> {
        let fleet = self.inner.parts.fleet.clone();
        Ok(tokio::task::spawn_blocking(move || work(&fleet)).await??)
    }

    async fn make_topics(&self) -> Result<(), ActionError> {
        let [offsets, configs, status] = [(0, 25), (1, 1), (2, 5)];
        let wanted: Vec<TopicWanted> = [offsets, configs, status]
            .into_iter()
            .map(|(index, partitions): (usize, i32)| TopicWanted {
                name: self.situation.remains.topics[index].clone(),
                partitions,
                configs: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
            })
            .collect();
        match self.create_topics(&wanted).await {
            Ok(None) => self.memory.with(|facts| facts.kafka = Kafka::TopicsMade),
            Ok(Some(problem)) => self.memory.kafka_failed(problem),
            Err(error) => {
                self.memory
                    .kafka_failed(error.to_problem().field("kafka_cluster"));
                return Err(error.into());
            }
        }
        Ok(())
    }

    async fn create_topics(&self, wanted: &[TopicWanted]) -> Result<Option<Problem>, KafkaError> {
        let timeout = self.inner.parts.timing.kafka_timeout;
        let mut admin = match KafkaAdmin::connect(&self.situation.access, timeout).await {
            // Connect makes them as it knows how.
            Err(error) if error.is_login_by_iam() => return Ok(None),
            admin => admin?,
        };
        let outcomes = admin.create_topics(wanted).await?;
        let unfit = wanted
            .iter()
            .find_map(|topic| match outcomes.get(&topic.name)? {
                TopicOutcome::Unfit {
                    setting,
                    wanted,
                    found,
                } => Some(
                    Problem::new(
                        ErrorCode::KafkaUnreachable,
                        format!("the topic {} is there and does not fit", topic.name),
                    )
                    .detail(format!("{setting} is {found}, not {wanted}"))
                    .field("kafka_cluster"),
                ),
                _ => None,
            });
        Ok(unfit)
    }

    async fn delete_topics(&self) -> Result<(), ActionError> {
        match self
            .situation
            .remains
            .delete(
                &self.situation.access,
                self.inner.parts.timing.kafka_timeout,
            )
            .await
        {
            Ok(()) => {
                self.memory.with(|facts| facts.kafka = Kafka::TopicsGone);
                Ok(())
            }
            Err(error) if error.is_login_by_iam() => {
                self.memory.with(|facts| {
                    facts.warnings.push(topics_stay(&self.situation.remains));
                    facts.kafka = Kafka::TopicsGone;
                });
                Ok(())
            }
            Err(error) => {
                self.memory.kafka_failed(error.to_problem());
                Err(error.into())
            }
        }
    }

    async fn leave_topics(&self) -> Result<(), ActionError> {
        let remains = self.situation.remains.clone();
        let warning = Warning {
            message: format!(
                "the internal topics of {} stay on the Kafka cluster for now",
                self.name()
            ),
            detail: Some(format!(
                "The cluster {} did not answer. The daemon deletes them when it is back: {}.",
                remains.cluster.bootstrap_servers,
                remains.topics.join(", ")
            )),
            field: None,
        };
        self.inner
            .parts
            .store
            .run(move |store| store.add_leftover(&remains))
            .await?;
        self.memory.with(|facts| facts.warnings.push(warning));
        Ok(())
    }

    async fn start_worker(&self, which: Which) -> Result<(), ActionError> {
        let mut launch = self.prepared(which)?.launch.clone();
        launch.worker = WorkerId::fresh();
        let digest = launch.digest.clone();
        let result = self.fleet(move |fleet| fleet.start(&launch)).await;
        if let Err(ActionError::Fleet(error @ FleetError::Launch(_))) = &result {
            let problem = Problem::new(ErrorCode::WorkerFailed, "the worker cannot be started")
                .detail(chain(error));
            self.memory
                .with(|facts| facts.refused_launch = Some((digest, problem)));
        }
        result
    }

    /// Tells the group that a dead member is gone, so that the next one does not wait for its
    /// session to end (measured: 3 s of silence instead of 11 s).
    async fn bury(&self, id: &str) -> Result<(), ActionError> {
        let listed = observe::list(self.inner, self.situation, self.memory)
            .await
            .ok_or(ActionError::Unlisted)?;
        let Some(seen) = listed.into_iter().find(|seen| seen.worker.as_str() == id) else {
            return Ok(());
        };
        if let Some(member) = &seen.member_id
            && seen.state.is_dead()
        {
            let access = &self.situation.access;
            let group = &self.situation.remains.groups[0];
            let leave = async {
                let mut admin = KafkaAdmin::connect(access, LEAVE_LIMIT).await?;
                admin.leave_group(group, member).await
            };
            match tokio::time::timeout(LEAVE_LIMIT, leave).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(worker = id, %error, "the group could not be told of a dead worker");
                }
                Err(_) => tracing::warn!(
                    worker = id,
                    "the group could not be told of a dead worker in time"
                ),
            }
        }
        let connector = self.situation.id;
        let end = self.end_of(&seen);
        self.fleet(move |fleet| fleet.forget(connector, &seen.worker))
            .await?;
        if let Some(end) = end {
            let metrics = &self.inner.parts.metrics;
            metrics.worker_ended(&self.situation.name, end);
        }
        Ok(())
    }

    /// Why a worker is dead, as far as its connector goes on.
    fn end_of(&self, seen: &SeenWorker) -> Option<WorkerEnd> {
        let goal = &self.situation.goal;
        if goal.life != Life::Wanted {
            return None;
        }
        let wanted = self.situation.prepared(Which::Wanted).map(|it| &it.launch);
        let operation = goal.operation.as_ref().map(|open| open.kind);
        Some(match (seen.stopping_since_ms, operation) {
            (None, _) => WorkerEnd::Died,
            (Some(_), Some(OperationKind::Restart)) => WorkerEnd::Asked,
            (Some(_), Some(_)) => WorkerEnd::Replaced,
            // Nobody changed anything: the fleet shrinks, or its workers get another size.
            (Some(_), None) => match wanted {
                Some(launch)
                    if launch.digest != seen.launch.digest
                        && launch.mcu_count == seen.launch.mcu_count =>
                {
                    WorkerEnd::Replaced
                }
                _ => WorkerEnd::Scaled,
            },
        })
    }

    async fn restart_failed(&self) -> Result<(), ActionError> {
        let is_failed = |task: &&TaskStatus| task.state == "FAILED";
        let failed = self
            .memory
            .with(|facts| facts.tasks.iter().filter(is_failed).count());
        self.client()
            .await?
            .restart(self.name(), true, true)
            .await?;
        let metrics = &self.inner.parts.metrics;
        metrics.tasks_restarted(&self.situation.name, failed);
        Ok(())
    }

    async fn restart_task(&self, id: u32) -> Result<(), ActionError> {
        self.client().await?.restart_task(self.name(), id).await?;
        let metrics = &self.inner.parts.metrics;
        metrics.tasks_restarted(&self.situation.name, 1);
        Ok(())
    }

    async fn preflight(&self, which: Which) -> Result<(), ActionError> {
        let prepared = self.prepared(which)?;
        let class = prepared
            .config
            .get("connector.class")
            .cloned()
            .unwrap_or_default();
        let mut config = prepared.config.clone();
        bound(&class, &mut config);
        let mut client = self.client().await?;
        if self.situation.goal.operation.is_none() {
            // Passes of a running connector go on.
            client = client.within(PROBE_LIMIT);
        }
        let result = client.validate(&class, &config).await;
        let problem = match result {
            Ok(errors) => {
                let errors: Vec<(String, Vec<String>)> = errors.into_iter().map(|it| (it.key, it.errors)).collect();
                aim::problem(&errors, &self.situation.secret_keys)
            }
            Err(RestError::Status { code: 400..=499, message }) => {
                Some(Problem::new(ErrorCode::InvalidConfiguration, message))
            }
            Err(RestError::Status { code: 500.., .. }) => Some(
                Problem::new(ErrorCode::SourceUnreachable, "the connector's validation failed")
                    .detail("Connect gave up on it; most often the source accepts connections and does not answer.")
                    .hint(format!("Look at its log: runnel logs {}", self.name())),
            ),
            Err(error @ RestError::Unknown(_)) => Some(
                Problem::new(ErrorCode::SourceUnreachable, "the source does not answer in time").detail(chain(&error)),
            ),
            Err(error) => return Err(error.into()),
        };
        self.note_preflight(prepared, problem);
        Ok(())
    }

    fn note_preflight(&self, prepared: &Prepared, problem: Option<Problem>) {
        let preflight = Preflight {
            config_digest: prepared.target.config_digest.clone(),
            problem,
            at_ms: now_ms(),
            operation: self.situation.goal.operation.map(|open| open.id),
        };
        self.memory.with(|facts| facts.preflight = Some(preflight));
    }

    async fn create_stopped(&self, which: Which) -> Result<(), ActionError> {
        let prepared = self.prepared(which)?;
        let result = self
            .client()
            .await?
            .create_stopped(self.name(), &prepared.config)
            .await;
        self.refusal(prepared, result)
    }

    async fn put_config(&self, which: Which) -> Result<(), ActionError> {
        let prepared = self.prepared(which)?;
        let result = self
            .client()
            .await?
            .put_config(self.name(), &prepared.config)
            .await;
        self.refusal(prepared, result)
    }

    /// What Connect refuses now it will refuse again: the configuration is at fault.
    fn refusal<T>(
        &self,
        prepared: &Prepared,
        result: Result<T, RestError>,
    ) -> Result<(), ActionError> {
        match result {
            Ok(_) => Ok(()),
            Err(RestError::Status { code: 400, message }) => {
                let problem = Problem::new(ErrorCode::InvalidConfiguration, message);
                self.note_preflight(prepared, Some(problem));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn record_offsets(&mut self) -> Result<(), ActionError> {
        let offsets = self.client().await?.offsets(self.name()).await?;
        self.progress.offsets_before = Some(offsets.to_string());
        self.progress.offsets_recorded = true;
        self.store_progress().await
    }

    async fn restore_offsets(&self) -> Result<(), ActionError> {
        let Some(text) = &self.progress.offsets_before else {
            return Ok(());
        };
        let offsets: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let empty = offsets["offsets"].as_array().is_none_or(Vec::is_empty);
        if empty {
            return Ok(());
        }
        Ok(self
            .client()
            .await?
            .alter_offsets(self.name(), &offsets)
            .await?)
    }

    async fn store_progress(&self) -> Result<(), ActionError> {
        let (name, progress) = (self.situation.name.clone(), self.progress.clone());
        Ok(self
            .inner
            .parts
            .store
            .run(move |store| store.set_progress(&name, &progress))
            .await?)
    }

    /// Before an operation is seen to have ended, the state says what it ended in; the next pass
    /// would do it a moment later.
    fn tell_rest(&self) {
        let Some(prepared) = self.situation.prepared(Which::Wanted) else {
            return;
        };
        let state = match prepared.target.desired_state {
            DesiredState::Running => ConnectorState::Running,
            DesiredState::Paused => ConnectorState::Paused,
            DesiredState::Stopped => ConnectorState::Stopped,
        };
        self.memory.with(|facts| {
            if let Some(told) = &mut facts.told {
                told.0 = state;
            }
        });
    }

    fn warnings(&self) -> Vec<Warning> {
        self.memory
            .with(|facts| std::mem::take(&mut facts.warnings))
    }

    async fn roll_back(
        &self,
        to: runnel_api::Generation,
        ending: &Ending,
    ) -> Result<(), ActionError> {
        let name = self.situation.name.clone();
        let (operation, outcome, warnings) = (ending.operation, ending.outcome, self.warnings());
        let problem = ending.problem.clone().unwrap_or_else(unexplained);
        let advance = Advance::ended(outcome, problem).warnings(warnings);
        self.inner
            .parts
            .store
            .run(move |store| store.roll_back::<ConnectorSpec>(&name, operation, to, &advance))
            .await?;
        Ok(())
    }

    async fn conclude(&self, ending: &Ending) -> Result<(), ActionError> {
        let warnings = self.warnings();
        let advance = match (&ending.outcome, &ending.problem) {
            (Outcome::Succeeded, _) => Advance::succeeded(),
            (outcome, problem) => {
                Advance::ended(*outcome, problem.clone().unwrap_or_else(unexplained))
            }
        };
        if ending.outcome == Outcome::Succeeded {
            self.tell_rest();
        }
        let (id, advance) = (ending.operation, advance.warnings(warnings));
        let settled = self.progress.settled;
        let name = self.situation.name.clone();
        self.inner
            .parts
            .store
            .run(move |store| {
                store.update_operation(id, advance)?;
                let keep: Vec<_> = settled.into_iter().collect();
                store.prune_secrets(&name, &keep)
            })
            .await?;
        // What was settled when this pass began is not any more after a success: its file holds
        // the password from before. Should it be needed again, the store has it.
        let references = if ending.outcome == Outcome::Succeeded {
            self.situation.wanted_references()
        } else {
            self.situation.references()
        };
        let connector = self.situation.id;
        self.fleet(move |fleet| {
            fleet.prune_secrets(connector, references.iter().map(String::as_str))
        })
        .await
    }

    async fn vanish(&self, ending: Option<&Ending>) -> Result<(), ActionError> {
        let (connector, name) = (self.situation.id, self.situation.name.clone());
        let logs = name.to_string();
        self.fleet(move |fleet| fleet.remove_connector(connector, Some(&logs)))
            .await?;
        let warnings = self.warnings();
        // The next connector of this name starts with an empty memory.
        self.memory
            .with(|facts| *facts = super::memory::Facts::default());
        let Some(ending) = ending.cloned() else {
            return Ok(());
        };
        self.inner
            .parts
            .store
            .run(move |store| match ending.problem {
                Some(problem) => store
                    .undo_create(&name, ending.operation, problem, warnings)
                    .map(drop),
                None => store.finish_delete(&name, ending.operation, warnings),
            })
            .await?;
        Ok(())
    }
}

/// Said where the daemon cannot log in to the cluster, only workers can.
fn topics_stay(remains: &Remains) -> Warning {
    Warning {
        message: format!(
            "the internal topics of {} stay on the Kafka cluster",
            remains.connector
        ),
        detail: Some(format!(
            "the daemon cannot log in by AWS_MSK_IAM to delete {}",
            remains.topics.join(", ")
        )),
        field: None,
    }
}

fn worker_id(text: &str) -> Result<WorkerId, ActionError> {
    WorkerId::parse(text).map_err(|error| ActionError::Fleet(FleetError::Launch(error)))
}

fn unexplained() -> Problem {
    Problem::new(ErrorCode::Internal, "no reason was given")
}

/// Bounds a validation by the connector's own keys, for this call only: a source that accepts
/// connections and stays silent holds it for 30 to 90 s otherwise (measured).
fn bound(class: &str, config: &mut BTreeMap<String, String>) {
    if !class.starts_with("io.debezium.connector.") {
        return;
    }
    for (key, value) in [
        ("connection.validation.timeout.ms", "3000"),
        ("database.socketTimeout", "3000"),
    ] {
        config
            .entry(key.to_owned())
            .or_insert_with(|| value.to_owned());
    }
}
