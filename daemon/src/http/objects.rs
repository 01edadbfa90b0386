//! What all five nouns have in common: put, get, list, delete.

use super::access::{Caller, Needs};
use super::audit::{self, Act};
use super::error::ApiError;
use super::request::{self, ObjectName};
use super::{Api, Route, Shared, route};
use crate::failpoint::{self, Moment};
use crate::store::{Declared, Precondition, PutOutcome, PutRequest, Stored};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, put};
use axum::{Extension, Json};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use runnel_api::arn::Incarnation;
use runnel_api::error::Warning;
use runnel_api::object::Generation;
use runnel_api::{
    Deleted, ErrorCode, Object, OperationKind, Page, Problem, Put, PutAnswer, Secret,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;

/// Longest description, as in MSK Connect's API model (`__stringMax1024`).
pub const DESCRIPTION_MAX: usize = 1024;

/// What makes a stored computed part once the identity is known.
pub type Compute<S> = Box<dyn FnOnce(&Incarnation) -> <S as Declared>::Computed + Send>;

/// A specification that passed its checks.
pub struct Checked<S: Declared> {
    /// Makes the computed part.
    pub compute: Compute<S>,
    /// Remarks for the answer.
    pub warnings: Vec<Warning>,
}

/// One of the five nouns at the API.
pub trait Noun: Declared {
    /// What clients see beside the specification.
    type Status: Serialize + Send;

    /// Refuses what is wrong by itself or does not fit its neighbours.
    fn check(
        api: &Api,
        request: &PutRequest<Self>,
    ) -> impl Future<Output = Result<Checked<Self>, ApiError>> + Send;

    /// The object as clients see it.
    fn show(
        api: &Api,
        stored: Stored<Self>,
    ) -> impl Future<Output = Object<Self, Self::Status>> + Send;
}

/// The four routes of a noun.
pub fn routes<S: Noun>(list_path: &'static str, path: &'static str) -> Vec<Route> {
    vec![
        route(
            Method::GET,
            Needs::Viewer,
            list_path,
            get(list_objects::<S>),
        ),
        route(Method::GET, Needs::Viewer, path, get(get_object::<S>)),
        route(Method::PUT, Needs::Operator, path, put(put_object::<S>)),
        route(
            Method::DELETE,
            Needs::Operator,
            path,
            delete(delete_object::<S>),
        ),
    ]
}

async fn get_object<S: Noun>(
    State(api): Shared,
    ObjectName(name): ObjectName,
) -> Result<Response, ApiError> {
    let stored = api.store.fetch::<S>(&name).await?;
    let Some(stored) = stored else {
        let message = format!("there is no {} named {name}", S::KIND);
        return Err(Problem::new(ErrorCode::NotFound, message).into());
    };
    let tag = etag(stored.object.generation.0);
    let object = S::show(&api, stored).await;
    Ok(([(header::ETAG, tag)], Json(object)).into_response())
}

async fn list_objects<S: Noun>(
    State(api): Shared,
    uri: Uri,
) -> Result<Json<Page<Object<S, S::Status>>>, ApiError> {
    let (limit, after) = request::page(&uri)?;
    // One more than asked for tells whether there is a next page.
    let mut found = api
        .store
        .run(move |store| store.list::<S>(after.as_ref(), limit + 1))
        .await?;
    let next = (found.len() > limit).then(|| found.truncate(limit));
    let next = next.and_then(|()| found.last().map(|last| last.object.name.to_string()));
    let mut items = Vec::with_capacity(found.len());
    for stored in found {
        items.push(S::show(&api, stored).await);
    }
    Ok(Json(Page { items, next }))
}

async fn put_object<S: Noun>(
    State(api): Shared,
    ObjectName(name): ObjectName,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let precondition = request::precondition(&headers)?;
    let Put { spec, secrets } = request::json(&api.limits, &headers, body).await?;
    refuse::<S>(&caller, Some(&spec))?;
    let request = PutRequest {
        name,
        spec,
        secrets,
        precondition,
    };
    let _one_change_at_a_time = api.changes.lock().await;
    let request = api
        .store
        .run(move |store| store.precheck(&request).map(|()| request))
        .await?;
    let Checked { compute, warnings } = S::check(&api, &request).await?;
    let before = api.store.fetch::<S>(&request.name).await?;
    let mut act = Act {
        before: before.as_ref().map(recorded),
        secret_keys: keys(&request),
        ..Act::default()
    };
    let outcome = api
        .store
        .run(move |store| store.put(&request, compute))
        .await?;
    failpoint::reach(Moment::After, "commit-put");
    let is_new = matches!(&outcome, PutOutcome::Changed { operation, object, .. }
        if operation.kind == OperationKind::Create && object.object.generation.0 == 1);
    if matches!(outcome, PutOutcome::Changed { .. }) {
        api.wake.wake();
    }
    let (stored, operation) = outcome.into_parts();
    let tag = etag(stored.object.generation.0);
    act.after = Some(recorded(&stored));
    let answer = PutAnswer {
        object: S::show(&api, stored).await,
        operation,
        warnings,
    };
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    failpoint::reach(Moment::Before, "answer-put");
    Ok((status, [(header::ETAG, tag)], Extension(act), Json(answer)).into_response())
}

async fn delete_object<S: Noun>(
    State(api): Shared,
    ObjectName(name): ObjectName,
    caller: Caller,
    headers: HeaderMap,
) -> Result<(Extension<Act>, Json<Deleted>), ApiError> {
    refuse::<S>(&caller, None)?;
    let if_match = match request::precondition(&headers)? {
        Precondition::None => None,
        Precondition::Generation(generation) => Some(generation),
        Precondition::Absent => {
            let message = "a delete takes no If-None-Match";
            return Err(Problem::new(ErrorCode::InvalidArgument, message).into());
        }
    };
    let _one_change_at_a_time = api.changes.lock().await;
    let before = api.store.fetch::<S>(&name).await?;
    let act = Act {
        before: before.as_ref().map(recorded),
        ..Act::default()
    };
    let outcome = api
        .store
        .run(move |store| store.begin_delete(S::KIND, &name, if_match))
        .await?;
    failpoint::reach(Moment::After, "commit-delete");
    api.wake.wake();
    failpoint::reach(Moment::Before, "answer-delete");
    let operation = outcome.into_operation();
    Ok((Extension(act), Json(Deleted { operation })))
}

/// Generation and specification for the audit log.
fn recorded<S: Noun>(stored: &Stored<S>) -> (Option<Generation>, Value) {
    let generation = Some(stored.object.generation);
    (generation, audit::shown(&stored.object.spec))
}

fn keys<S: Noun>(request: &PutRequest<S>) -> Vec<String> {
    let secrets = request.secrets.iter().flatten();
    secrets.map(|(key, _)| key.clone()).collect()
}

/// What the caller's token may not do with this kind or specification, though its role may.
fn refuse<S: Noun>(caller: &Caller, spec: Option<&S>) -> Result<(), Problem> {
    let refused = caller.refuse_changing(S::KIND);
    let refused = refused.or_else(|| spec.and_then(|spec| caller.refuse_passing(spec)));
    refused.map_or(Ok(()), Err)
}

fn etag(generation: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{generation}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// Refuses a description that is too long.
pub fn check_description(description: &str) -> Result<(), Problem> {
    let length = description.chars().count();
    if length <= DESCRIPTION_MAX {
        return Ok(());
    }
    let message =
        format!("a description has at most {DESCRIPTION_MAX} characters, this one has {length}");
    Err(Problem::new(ErrorCode::InvalidArgument, message).field("description"))
}

/// Refuses secrets for a noun that has none.
pub fn check_no_secrets(
    secrets: Option<&BTreeMap<String, Secret>>,
    noun: &str,
) -> Result<(), Problem> {
    if secrets.is_none_or(BTreeMap::is_empty) {
        return Ok(());
    }
    let message = format!("a {noun} has no secrets");
    Err(Problem::new(ErrorCode::InvalidArgument, message).field("secrets"))
}
