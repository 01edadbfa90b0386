//! What concerns the daemon itself: health, version, identities, shutdown.

use super::access::Needs;
use super::error::ApiError;
use super::operations::kind_of;
use super::request;
use super::{HEALTH, METRICS, Route, Shared, route};
use crate::metrics::CONTENT_TYPE;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{HeaderMap, Method, StatusCode, header};
use runnel_api::server::{API_VERSION, HostCapacity, Info};
use runnel_api::{ErrorCode, Identity, Problem};
use serde::{Deserialize, Serialize};

/// What this release can do, by name; a provider asks before it uses something newer than the API
/// version.
const ABILITIES: [&str; 9] = [
    "capacity",
    "decisions",
    "preview",
    "content-staging",
    "operations",
    "restart",
    "logs",
    "shutdown",
    "tokens",
];

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, Needs::Nothing, HEALTH, get(health)),
        route(Method::GET, Needs::Viewer, METRICS, get(metrics)),
        route(Method::GET, Needs::Viewer, "/api/v1/info", get(info)),
        route(
            Method::GET,
            Needs::Viewer,
            "/api/v1/capacity",
            get(capacity),
        ),
        route(
            Method::GET,
            Needs::Viewer,
            "/api/v1/identity/{kind}/{name}",
            get(identity),
        ),
        route(
            Method::POST,
            Needs::Admin,
            "/api/v1/shutdown",
            post(shutdown),
        ),
    ]
}

/// Says nothing about the daemon but that it works, because anyone may ask.
async fn health(State(api): Shared) -> Response {
    if api.store.is_closed() {
        let problem = Problem::new(ErrorCode::Unavailable, "the daemon cannot work");
        return ApiError::from(problem).into_response();
    }
    (StatusCode::OK, "ok\n").into_response()
}

/// Prometheus' text format.
async fn metrics(State(api): Shared) -> Result<Response, ApiError> {
    let snapshot = api.figures.snapshot().await?;
    let text = api.metrics.render(&snapshot).map_err(|error| {
        let problem = Problem::new(ErrorCode::Internal, "the metrics cannot be written");
        problem.detail(error.to_string())
    })?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

async fn info(State(api): Shared) -> Json<Info> {
    Json(Info {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api_version: API_VERSION,
        daemon: api.store.daemon(),
        abilities: ABILITIES.map(str::to_owned).to_vec(),
        runtimes: api.host.runtimes(),
        isolation: api.host.isolation(),
        log_places: api.host.log_places(),
    })
}

/// What connectors hold of the host's MCUs.
async fn capacity(State(api): Shared) -> Result<Json<HostCapacity>, ApiError> {
    let connectors = api.store.run(crate::store::Store::mcus_held).await?;
    Ok(Json(HostCapacity {
        mcus: api.host.mcus(),
        held: connectors.values().map(|mcus| u64::from(*mcus)).sum(),
        connectors,
    }))
}

async fn identity(
    State(api): Shared,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Identity>, ApiError> {
    let Path((kind, name)) = path.map_err(|_| request::unreadable_path())?;
    let kind = kind_of(&kind)?;
    let name = request::name(&name)?;
    let work = move |store: &crate::store::Store| store.identity(kind, &name);
    Ok(Json(api.store.run(work).await?))
}

/// Body of `POST /api/v1/shutdown`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shutdown {
    stop_workers: bool,
}

#[derive(Debug, Serialize)]
struct Stopping {
    stopping: bool,
}

async fn shutdown(
    State(api): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let Shutdown { stop_workers } = request::json(&api.limits, &headers, body).await?;
    tracing::info!(stop_workers, "asked to stop");
    api.stop.stop(stop_workers);
    Ok((StatusCode::ACCEPTED, Json(Stopping { stopping: true })).into_response())
}
