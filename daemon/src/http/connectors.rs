//! `/api/v1/connectors`.

use super::error::ApiError;
use super::objects::{self, Checked, Noun};
use super::preview::Inputs;
use super::request::{self, ObjectName};
use super::seams::LiveStatus;
use super::{Api, Route, Shared, log_stream, route};
use crate::store::{DECISIONS_KEPT, PutRequest, Store, Stored};
use axum::Json;
use axum::body::{Body, HttpBody as _};
use axum::extract::State;
use axum::routing::{get, post};
use http::{HeaderMap, Method, StatusCode, Uri};
use runnel_api::connector::{
    ConnectorSpec, ConnectorState, ConnectorStatus, Derived, Health, Preview, Previewed,
};
use runnel_api::scaling::ScalingDecision;
use runnel_api::{ErrorCode, Name, Object, Operation, Page, Problem, RestartRequest, RestartScope};
use serde::Deserialize;

/// Decisions that are answered when no number is asked for.
const DECISIONS_DEFAULT: usize = 20;

pub(super) fn routes() -> Vec<Route> {
    let mut routes =
        objects::routes::<ConnectorSpec>("/api/v1/connectors", "/api/v1/connectors/{name}");
    routes.extend([
        route(
            Method::POST,
            "/api/v1/connectors/{name}/preview",
            post(preview_connector),
        ),
        route(
            Method::POST,
            "/api/v1/connectors/{name}/restart",
            post(restart),
        ),
        route(
            Method::GET,
            "/api/v1/connectors/{name}/decisions",
            get(decisions),
        ),
        route(
            Method::GET,
            "/api/v1/connectors/{name}/logs",
            get(log_stream::logs),
        ),
    ]);
    routes
}

impl Noun for ConnectorSpec {
    type Status = ConnectorStatus;

    async fn check(api: &Api, request: &PutRequest<Self>) -> Result<Checked<Self>, ApiError> {
        let inputs = Inputs {
            secret_keys: request
                .secrets
                .as_ref()
                .map(|secrets| secrets.keys().cloned().collect()),
            ..Inputs::default()
        };
        let previewed = api
            .resolver
            .preview(&request.name, request.spec.clone(), inputs)
            .await?;
        let Previewed {
            derived,
            problems,
            warnings,
        } = previewed;
        if let Some(problem) = problems.into_iter().next() {
            return Err(problem.into());
        }
        let derived: Derived = derived.ok_or_else(|| {
            Problem::new(
                ErrorCode::Internal,
                "nothing was derived from the connector",
            )
        })?;
        Ok(Checked {
            compute: Box::new(move |_| derived),
            warnings,
        })
    }

    async fn show(api: &Api, stored: Stored<Self>) -> Object<Self, Self::Status> {
        let name = &stored.object.name;
        let live = api.live.status(name);
        let live = live.unwrap_or_else(|| not_seen(stored.object.deleting));
        let object = stored.object;
        Object {
            status: ConnectorStatus {
                derived: object.status,
                secret_keys: stored.secret_keys,
                state: live.state,
                health: live.health,
                reason: live.reason,
                settled_generation: live.settled_generation,
                operation: stored.operation,
                tasks: live.tasks,
                workers: live.workers,
                topics: live.topics,
                observed_age_ms: live.observed_age_ms,
                scaling: live.scaling,
                lag: live.lag,
            },
            name: object.name,
            id: object.id,
            arn: object.arn,
            generation: object.generation,
            spec: object.spec,
            deleting: object.deleting,
        }
    }
}

/// Nobody has looked yet: it is new, or the daemon is.
fn not_seen(deleting: bool) -> LiveStatus {
    LiveStatus {
        state: if deleting {
            ConnectorState::Deleting
        } else {
            ConnectorState::Creating
        },
        health: Health::Unknown,
        reason: Some("the daemon has not looked at it yet".to_owned()),
        settled_generation: None,
        tasks: Vec::new(),
        workers: Vec::new(),
        topics: Vec::new(),
        observed_age_ms: None,
        scaling: None,
        lag: None,
    }
}

async fn preview_connector(
    State(api): Shared,
    ObjectName(name): ObjectName,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Previewed>, ApiError> {
    let asked: Preview = request::json(&api.limits, &headers, body).await?;
    let inputs = Inputs {
        secret_keys: asked.secret_keys,
        assumed: asked.assumed,
        replacing: asked.replacing,
    };
    let previewed = api.resolver.preview(&name, asked.spec, inputs).await?;
    Ok(Json(previewed))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DecisionsQuery {
    limit: Option<usize>,
}

/// Decisions of scaling, newest first.
async fn decisions(
    State(api): Shared,
    ObjectName(name): ObjectName,
    uri: Uri,
) -> Result<Json<Page<ScalingDecision>>, ApiError> {
    let DecisionsQuery { limit } = request::query(&uri)?;
    let limit = limit.unwrap_or(DECISIONS_DEFAULT);
    if !(1..=DECISIONS_KEPT).contains(&limit) {
        let message = format!("limit is 1 to {DECISIONS_KEPT}, not {limit}");
        return Err(Problem::new(ErrorCode::InvalidArgument, message).into());
    }
    if api.store.fetch::<ConnectorSpec>(&name).await?.is_none() {
        let message = format!("there is no connector named {name}");
        return Err(Problem::new(ErrorCode::NotFound, message).into());
    }
    let work = move |store: &Store| store.decisions(&name, limit);
    let items = api.store.run(work).await?;
    Ok(Json(Page { items, next: None }))
}

async fn restart(
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
        && stored.object.spec.desired_state == runnel_api::connector::DesiredState::Stopped
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
