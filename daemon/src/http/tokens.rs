//! `/api/v1/tokens`.

use super::access::Needs;
use super::error::ApiError;
use super::request::{self, ObjectName};
use super::{Route, Shared, route};
use crate::store::{Store, now_ms};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{delete, get, post};
use http::{HeaderMap, Method, StatusCode};
use runnel_api::Page;
use runnel_api::token::{CreateToken, CreatedToken, TokenInfo};

pub(super) fn routes() -> Vec<Route> {
    let path = "/api/v1/tokens";
    vec![
        route(Method::GET, Needs::Admin, path, get(list)),
        route(Method::POST, Needs::Admin, path, post(create)),
        route(
            Method::DELETE,
            Needs::Admin,
            "/api/v1/tokens/{name}",
            delete(revoke),
        ),
    ]
}

/// All of them; there are never many.
async fn list(State(api): Shared) -> Result<Json<Page<TokenInfo>>, ApiError> {
    let items = api.store.run(Store::tokens).await?;
    Ok(Json(Page { items, next: None }))
}

async fn create(
    State(api): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<CreatedToken>), ApiError> {
    let asked: CreateToken = request::json(&api.limits, &headers, body).await?;
    let create = move |store: &Store| store.create_token(&asked, now_ms());
    let created = api.store.run(create).await?;
    tracing::info!(name = %created.info.name, role = %created.info.role, "a token was made");
    Ok((StatusCode::CREATED, Json(created)))
}

async fn revoke(
    State(api): Shared,
    ObjectName(name): ObjectName,
) -> Result<Json<TokenInfo>, ApiError> {
    let revoked = api
        .store
        .run(move |store| store.revoke_token(&name))
        .await?;
    tracing::info!(name = %revoked.name, "a token was revoked");
    Ok(Json(revoked))
}
