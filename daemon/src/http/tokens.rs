//! `/api/v1/tokens`.

use super::access::Needs;
use super::audit::{self, Act};
use super::error::ApiError;
use super::request::{self, ObjectName};
use super::{Route, Shared, route};
use crate::store::{Store, now_ms};
use axum::body::Body;
use axum::extract::State;
use axum::routing::{delete, get, post};
use axum::{Extension, Json};
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
) -> Result<(StatusCode, Extension<Act>, Json<CreatedToken>), ApiError> {
    let asked: CreateToken = request::json(&api.limits, &headers, body).await?;
    let create = move |store: &Store| store.create_token(&asked, now_ms());
    let created = api.store.run(create).await?;
    tracing::info!(name = %created.info.name, role = %created.info.role, "a token was made");
    let act = Act {
        name: Some(created.info.name.clone()),
        after: Some((None, audit::shown(&created.info))),
        ..Act::default()
    };
    Ok((StatusCode::CREATED, Extension(act), Json(created)))
}

async fn revoke(
    State(api): Shared,
    ObjectName(name): ObjectName,
) -> Result<(Extension<Act>, Json<TokenInfo>), ApiError> {
    let revoked = api
        .store
        .run(move |store| store.revoke_token(&name))
        .await?;
    tracing::info!(name = %revoked.name, "a token was revoked");
    let act = Act {
        before: Some((None, audit::shown(&revoked))),
        ..Act::default()
    };
    Ok((Extension(act), Json(revoked)))
}
