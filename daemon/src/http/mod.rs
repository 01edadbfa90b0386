//! The HTTP API: one file for each noun, all answers JSON, each refusal a `Problem`.
//!
//! Handlers read and write the store and wake the reconciler; they start nothing and talk to
//! nobody else. What they need from the rest of the daemon stands in [`seams`].
//!
//! `/api/v1/` is this API. `/v1/` stays free for the wire API of MSK Connect.

mod connectors;
mod error;
mod kafka_clusters;
mod log_stream;
#[cfg(test)]
mod metrics_tests;
mod objects;
mod operations;
mod plugins;
mod preview;
mod request;
mod restart;
mod roles;
#[cfg(test)]
mod scaling_tests;
pub mod seams;
mod server;
mod service;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod upload_tests;
mod worker_configurations;

pub use plugins::STAGED_KEPT;
pub use preview::{Inputs, Resolver};
pub use server::{Bound, bind, serve};

use crate::logs::WorkerLogs;
use crate::metrics::Metrics;
use crate::store::Store;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodRouter;
use error::ApiError;
use futures_util::FutureExt as _;
use http::{Method, StatusCode, header};
use runnel_api::{ErrorCode, Problem};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

/// Bounds of what a client may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a JSON body. The largest specification allowed (plan limits of Terraform aside) is
    /// far below.
    pub json_max: usize,
    /// Bytes of a plugin's archive (reliability notes, "Plugin upload").
    pub content_max: u64,
    /// For request line and headers, and how long a connection may idle between requests. Clients
    /// must drop idle connections earlier.
    pub header_timeout: Duration,
    /// For a whole JSON body, and between two chunks of an upload.
    pub body_timeout: Duration,
    /// For a whole upload.
    pub upload_timeout: Duration,
    /// Open connections; more wait in the listen queue.
    pub connections_max: usize,
    /// Log streams that follow.
    pub followers_max: usize,
    /// Longest wait for an operation in one request.
    pub wait_max: Duration,
    /// How long requests may run on when the daemon ends.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            json_max: 1 << 20,
            content_max: 250_000_000,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            upload_timeout: Duration::from_mins(15),
            connections_max: 256,
            followers_max: 32,
            wait_max: Duration::from_mins(1),
            drain: Duration::from_secs(5),
        }
    }
}

/// What the wiring gives.
pub struct Parts {
    /// The store.
    pub store: Store,
    /// Wakes the reconciler.
    pub wake: Arc<dyn seams::Wake>,
    /// Derives connectors.
    pub deriver: Arc<dyn seams::Deriver>,
    /// Keeps contents of plugins.
    pub contents: Arc<dyn seams::PluginContents>,
    /// Knows what is observed.
    pub live: Arc<dyn seams::Live>,
    /// Checks roles.
    pub role_check: Arc<dyn seams::RoleCheck>,
    /// Knows the machine.
    pub host: Arc<dyn seams::Host>,
    /// Knows where worker logs are.
    pub logs: Arc<dyn WorkerLogs>,
    /// Ends the daemon.
    pub stop: Arc<dyn seams::Stop>,
    /// Counts requests, and tells everything that was counted.
    pub metrics: Metrics,
    /// Knows how everything stands.
    pub figures: Arc<dyn seams::Figures>,
    /// Whether `/metrics` answers without a token.
    pub open_metrics: bool,
    /// Bounds.
    pub limits: Limits,
}

/// The API with its state.
pub struct Api {
    parts: Parts,
    resolver: Resolver,
    /// Held from resolving references to the end of the put, so that what was checked is what is
    /// stored; and by the sweep of contents.
    changes: Mutex<()>,
    followers: Arc<Semaphore>,
    closing: CancellationToken,
}

impl Api {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            changes: Mutex::new(()),
            followers: Arc::new(Semaphore::new(parts.limits.followers_max)),
            closing: CancellationToken::new(),
            resolver: Resolver {
                store: parts.store.clone(),
                contents: parts.contents.clone(),
                deriver: parts.deriver.clone(),
                host: parts.host.clone(),
            },
            parts,
        })
    }

    /// Ends waiting requests and log streams, so that a shutdown need not wait for them.
    pub fn close(&self) {
        self.closing.cancel();
    }
}

impl std::ops::Deref for Api {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// What every handler gets.
type Shared = State<Arc<Api>>;

/// One thing that the API can do.
struct Route {
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the handler knows it; tests ask by it")
    )]
    method: Method,
    path: &'static str,
    handler: MethodRouter<Arc<Api>>,
}

fn route(method: Method, path: &'static str, handler: MethodRouter<Arc<Api>>) -> Route {
    Route {
        method,
        path,
        handler,
    }
}

/// The whole API as a table; the router is made from it, and so is the test that asks each route
/// without a token.
fn routes() -> Vec<Route> {
    let mut routes = service::routes();
    routes.extend(kafka_clusters::routes());
    routes.extend(plugins::routes());
    routes.extend(worker_configurations::routes());
    routes.extend(roles::routes());
    routes.extend(connectors::routes());
    routes.extend(operations::routes());
    routes
}

/// The one path that always answers without a token.
const HEALTH: &str = "/healthz";
/// The path that Prometheus asks, by its own convention outside of the API's versions.
const METRICS: &str = "/metrics";

fn router(api: Arc<Api>) -> Router {
    let router = routes()
        .into_iter()
        .fold(Router::new(), |router, Route { path, handler, .. }| {
            router.route(path, handler)
        });
    router
        .fallback(unknown_endpoint)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(api.clone(), guard))
        .with_state(api)
}

async fn unknown_endpoint(request: Request) -> ApiError {
    let path = request.uri().path();
    let problem = Problem::new(
        ErrorCode::UnknownEndpoint,
        format!("the API has no path {path}"),
    );
    problem
        .hint("check the endpoint; if it is right, provider and daemon are of different releases")
        .into()
}

async fn wrong_method(request: Request) -> ApiError {
    let message = format!(
        "{} does not take {}",
        request.uri().path(),
        request.method()
    );
    ApiError::with_status(
        Problem::new(ErrorCode::UnknownEndpoint, message),
        StatusCode::METHOD_NOT_ALLOWED,
    )
}

/// Around every request: token first, then the handler, whose panic is an answer too, then a count
/// by the route's template and one line in the log, without query or headers.
async fn guard(State(api): Shared, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let is_open = path == HEALTH || (path == METRICS && api.open_metrics);
    let response = if is_open || is_authenticated(&api, &request) {
        let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        answered.unwrap_or_else(|_| {
            let problem = Problem::new(ErrorCode::Internal, "the daemon failed at this request");
            let hint = "please report it with the daemon's log";
            ApiError::from(problem.hint(hint)).into_response()
        })
    } else {
        let token = api.store.data_dir().join(crate::store::ROOT_TOKEN_FILE);
        let problem = Problem::new(
            ErrorCode::Unauthenticated,
            "the request has no token that this daemon knows",
        );
        let hint = format!(
            "the root token is in {} on the daemon's machine",
            token.display()
        );
        ApiError::from(problem.hint(hint)).into_response()
    };
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
    let status = response.status().as_u16();
    api.metrics.answered(method.as_str(), route, status);
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(%method, path, status, milliseconds, "answered");
    response
}

fn is_authenticated(api: &Api, request: &Request) -> bool {
    let header = request.headers().get(header::AUTHORIZATION);
    let text = header.and_then(|value| value.to_str().ok());
    // The scheme is case-insensitive (RFC 9110 section 11.1).
    let token = text
        .and_then(|text| text.split_once(' '))
        .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()));
    token.is_some_and(|token| api.store.authenticate(token).is_some())
}
