//! `/api/v1/connectors`.

use super::access::{Caller, Needs};
use super::error::ApiError;
use super::objects::{self, Checked, Noun};
use super::preview::Inputs;
use super::request::{self, ObjectName};
use super::seams::LiveStatus;
use super::{Api, Route, Shared, log_stream, restart, route};
use crate::store::{DECISIONS_KEPT, PutRequest, Store, Stored};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use http::{HeaderMap, Method, Uri};
use runnel_api::connector::{
    ConnectorSpec, ConnectorState, ConnectorStatus, Derived, Health, Preview, Previewed,
};
use runnel_api::scaling::ScalingDecision;
use runnel_api::{ErrorCode, Object, Page, Problem};
use runnel_planner::derive::check_secret_value;
use serde::Deserialize;

/// Decisions that are answered when no number is asked for.
const DECISIONS_DEFAULT: usize = 20;

pub(super) fn routes() -> Vec<Route> {
    let mut routes =
        objects::routes::<ConnectorSpec>("/api/v1/connectors", "/api/v1/connectors/{name}");
    routes.extend([
        route(
            Method::POST,
            Needs::Planner,
            "/api/v1/connectors/{name}/preview",
            post(preview_connector),
        )
        .reads(),
        route(
            Method::POST,
            Needs::Operator,
            "/api/v1/connectors/{name}/restart",
            post(restart::restart),
        ),
        route(
            Method::POST,
            Needs::Operator,
            "/api/v1/connectors/{name}/rotate",
            post(restart::rotate),
        ),
        route(
            Method::GET,
            Needs::Viewer,
            "/api/v1/connectors/{name}/decisions",
            get(decisions),
        ),
        route(
            Method::GET,
            Needs::Viewer,
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
        let mut secrets = request.secrets.iter().flatten();
        if let Some(problem) =
            secrets.find_map(|(key, value)| check_secret_value(key, value.expose()))
        {
            return Err(problem.into());
        }
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
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Previewed>, ApiError> {
    let asked: Preview = request::json(&api.limits, &headers, body).await?;
    let inputs = Inputs {
        secret_keys: asked.secret_keys,
        assumed: asked.assumed,
        replacing: asked.replacing,
    };
    let refused = caller.refuse_passing(&asked.spec);
    let mut previewed = api.resolver.preview(&name, asked.spec, inputs).await?;
    previewed.problems.extend(refused);
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
