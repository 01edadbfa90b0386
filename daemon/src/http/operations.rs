//! `/api/v1/operations`.

use super::access::Needs;
use super::error::ApiError;
use super::request;
use super::{Route, Shared, route};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::routing::get;
use http::{Method, Uri};
use runnel_api::{ErrorCode, Kind, Operation, OperationId, Page, Problem};
use serde::Deserialize;
use std::time::Duration;
use uuid::Uuid;

/// Operations of one object that a list answers; the store keeps as many.
const LISTED: usize = 100;

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, Needs::Viewer, "/api/v1/operations", get(list)),
        route(
            Method::GET,
            Needs::Viewer,
            "/api/v1/operations/{id}",
            get(one),
        ),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    /// Seconds; answers earlier when the operation is final.
    wait: Option<u64>,
}

async fn one(
    State(api): Shared,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<Operation>, ApiError> {
    let Path(text) = path.map_err(|_| request::unreadable_path())?;
    let id = Uuid::parse_str(&text).map_err(|_| {
        Problem::new(ErrorCode::InvalidArgument, "an operation's id is a UUID").field("id")
    })?;
    let id = OperationId(id);
    let Wait { wait } = request::query(&uri)?;
    let patience = Duration::from_secs(wait.unwrap_or(0)).min(api.limits.wait_max);
    let operation = tokio::select! {
        operation = api.store.await_operation(id, patience) => operation?,
        () = api.closing.cancelled() => api.store.run(move |store| store.operation(id)).await?,
    };
    operation.map(Json).ok_or_else(|| {
        Problem::new(ErrorCode::NotFound, format!("there is no operation {id}"))
            .hint("the daemon keeps the last 100 operations of each name")
            .into()
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Of {
    kind: String,
    name: String,
}

/// Newest first; also of a name whose object is gone.
async fn list(State(api): Shared, uri: Uri) -> Result<Json<Page<Operation>>, ApiError> {
    let Of { kind, name } = request::query(&uri)?;
    let kind = kind_of(&kind)?;
    let name = request::name(&name)?;
    let items = api
        .store
        .run(move |store| store.operations_of(kind, &name, LISTED))
        .await?;
    Ok(Json(Page { items, next: None }))
}

/// Reads a kind.
pub(super) fn kind_of(text: &str) -> Result<Kind, ApiError> {
    Kind::parse(text).ok_or_else(|| {
        let known = Kind::ALL.map(Kind::singular).join(", ");
        Problem::new(ErrorCode::InvalidArgument, format!("{text:?} is no kind"))
            .hint(format!("one of {known}"))
            .field("kind")
            .into()
    })
}
