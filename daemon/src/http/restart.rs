//! `POST /api/v1/connectors/{name}/restart`: all of it, one task or one worker.

use super::Shared;
use super::error::ApiError;
use super::request::{self, ObjectName};
use super::seams::LiveStatus;
use crate::grants;
use crate::store::Store;
use axum::Json;
use axum::body::{Body, HttpBody as _};
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use runnel_api::connector::{ConnectorSpec, DesiredState};
use runnel_api::{ErrorCode, Name, Operation, Problem, RestartRequest, RestartScope};

/// Accepts a restart.
pub(super) async fn restart(
    State(api): Shared,
    ObjectName(name): ObjectName,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Operation>), ApiError> {
    let asked = if body.is_end_stream() {
        RestartRequest::default()
    } else {
        request::json(&api.limits, &headers, body).await?
    };
    if let Some(stored) = api.store.fetch::<ConnectorSpec>(&name).await?
        && stored.object.spec.desired_state == DesiredState::Stopped
    {
        let message = format!("the connector {name} is stopped, there is nothing to restart");
        return Err(Problem::new(ErrorCode::InvalidArgument, message)
            .hint("set desired_state = \"RUNNING\" to start it")
            .into());
    }
    let live = api.live.status(&name);
    let scope = restart_scope(&name, asked, live.as_ref())?;
    let operation = api
        .store
        .run(move |store| store.begin_restart(&name, &scope))
        .await?;
    api.wake.wake();
    Ok((StatusCode::ACCEPTED, Json(operation)))
}

/// Accepts a new password for the connector's user on the broker.
pub(super) async fn rotate(
    State(api): Shared,
    ObjectName(name): ObjectName,
) -> Result<(StatusCode, Json<Operation>), ApiError> {
    let password = grants::fresh_password().map_err(|error| {
        Problem::new(ErrorCode::Internal, "the system gives no random numbers")
            .detail(error.to_string())
    })?;
    let connector = name.clone();
    let begun = move |store: &Store| store.begin_rotation(&connector, &password);
    let Some(operation) = api.store.run(begun).await? else {
        let message = format!("the connector {name} has no user of its own to rotate");
        return Err(Problem::new(ErrorCode::InvalidArgument, message)
            .hint(
                "its Kafka cluster has no admin: change the password there and in \
                 client_authentication, and raise password_wo_version",
            )
            .into());
    };
    api.wake.wake();
    Ok((StatusCode::ACCEPTED, Json(operation)))
}

/// What is to be restarted. A task or worker that is not there is refused at once, as far as
/// anything was seen of the connector.
fn restart_scope(
    name: &Name,
    asked: RestartRequest,
    live: Option<&LiveStatus>,
) -> Result<RestartScope, Problem> {
    match (asked.task, asked.worker) {
        (None, None) => Ok(RestartScope::All),
        (Some(_), Some(_)) => Err(Problem::new(
            ErrorCode::InvalidArgument,
            "a restart is about a task or about a worker, not both",
        )
        .field("task")),
        (Some(task), None) => {
            let known = live.map(|live| live.tasks.iter().map(|task| task.id).collect::<Vec<_>>());
            match known {
                Some(known) if !known.contains(&task) => {
                    let message = format!("the connector {name} has no task {task}");
                    let known: Vec<String> = known.iter().map(u32::to_string).collect();
                    Err(not_there(message, "task", &known))
                }
                _ => Ok(RestartScope::Task(task)),
            }
        }
        (None, Some(worker)) => {
            let Some(live) = live else {
                return Ok(RestartScope::Worker(worker));
            };
            let found = live.workers.iter().find(|it| {
                it.state != "DEAD" && (it.id == worker || it.worker_id.as_ref() == Some(&worker))
            });
            found
                .map(|it| RestartScope::Worker(it.id.clone()))
                .ok_or_else(|| {
                    let message = format!("the connector {name} has no live worker {worker:?}");
                    let known: Vec<String> = live.workers.iter().map(|it| it.id.clone()).collect();
                    not_there(message, "worker", &known)
                })
        }
    }
}

fn not_there(message: String, field: &str, known: &[String]) -> Problem {
    let problem = Problem::new(ErrorCode::NotFound, message).field(field);
    if known.is_empty() {
        problem.hint("nothing runs just now: look at its status")
    } else {
        problem.hint(format!("there is {}", known.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use crate::http::seams::LiveStatus;
    use crate::http::testing::{Rig, read};
    use crate::store::Advance;
    use http::Method;
    use runnel_api::Operation;
    use serde_json::{Value, json};

    #[tokio::test]
    async fn a_restart_is_about_all_one_task_or_one_worker() {
        let rig = Rig::start().await;
        let spec = rig.put_neighbours().await;
        let (_, put) = rig
            .put("/api/v1/connectors/orders", &json!({"spec": spec}))
            .await;
        let create: Operation = serde_json::from_value(put["operation"].clone()).unwrap();
        rig.store
            .update_operation(create.id, Advance::succeeded())
            .unwrap();
        let live = json!([
            {"id": "w-1", "pid": 4, "worker_id": "127.0.0.1:4711", "state": "READY", "started_ms": 1},
        ]);
        *rig.rooms.live.lock().unwrap() = Some(LiveStatus {
            state: runnel_api::connector::ConnectorState::Running,
            health: runnel_api::connector::Health::Running,
            reason: None,
            settled_generation: None,
            tasks: serde_json::from_value(json!([
                {"id": 0, "state": "RUNNING", "worker_id": "127.0.0.1:4711"},
            ]))
            .unwrap(),
            workers: serde_json::from_value(live).unwrap(),
            topics: Vec::new(),
            observed_age_ms: None,
            scaling: None,
            lag: None,
        });
        let restart = |body: Value| {
            let path = "/api/v1/connectors/orders/restart";
            read(rig.request(Method::POST, path).json(&body))
        };
        for (body, status, part) in [
            (json!({"task": 7}), 404, "no task 7"),
            (json!({"worker": "w-9"}), 404, "no live worker \"w-9\""),
            (json!({"task": 0, "worker": "w-1"}), 400, "not both"),
            (json!({"tsk": 0}), 400, "tsk"),
            (json!({"task": -1}), 400, "task"),
        ] {
            let (found, answer) = restart(body.clone()).await;
            assert_eq!(found, status, "{body}: {answer}");
            assert!(
                answer.to_string().replace('\\', "").contains(part),
                "{body}: {answer}"
            );
        }
        for (body, stored) in [
            (json!({"task": 0}), json!({"task": 0})),
            (json!({"worker": "w-1"}), json!({"worker": "w-1"})),
            (
                json!({"worker": "127.0.0.1:4711"}),
                json!({"worker": "w-1"}),
            ),
            (json!({}), Value::Null),
        ] {
            let (status, operation) = restart(body).await;
            assert_eq!((status, &operation["restart"]), (202, &stored));
            let operation: Operation = serde_json::from_value(operation).unwrap();
            let kept = rig.store.operation(operation.id).unwrap();
            assert_eq!(kept.as_ref(), Some(&operation));
            // Another one is in the way, the same again is the same.
            let (other, _) = restart(json!({"task": 0})).await;
            assert_eq!(other == 202, stored == json!({"task": 0}), "{stored}");
            rig.store
                .update_operation(operation.id, Advance::succeeded())
                .unwrap();
        }
        rig.end().await;
    }
}
