//! The HTTP API: one file for each noun, all answers JSON, each refusal a `Problem`.
//!
//! Handlers read and write the store and wake the reconciler; they start nothing and talk to
//! nobody else. What they need from the rest of the daemon stands in [`seams`].
//!
//! `/api/v1/` is this API. `/v1/` stays free for the wire API of MSK Connect.

mod access;
#[cfg(test)]
mod access_tests;
mod audit;
#[cfg(test)]
mod audit_tests;
mod changes;
mod cluster_look;
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
mod sealing_key;
pub mod seams;
mod server;
#[cfg(test)]
mod server_tests;
mod service;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod throttle;
mod tls;
#[cfg(test)]
mod tls_tests;
mod tokens;
#[cfg(test)]
mod upload_tests;
mod worker_configurations;

pub use plugins::STAGED_KEPT;
pub use preview::{Inputs, Resolver};
pub use server::{Bound, bind, serve};
pub use tls::{Tls, TlsError};

use crate::logs::WorkerLogs;
use crate::metrics::Metrics;
use crate::store::Store;
use access::{Needs, Rule, Rules};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware;
use axum::routing::MethodRouter;
use error::ApiError;
use http::Method;
use runnel_api::{ErrorCode, Problem};
use std::sync::Arc;
use std::time::Duration;
use throttle::Throttle;
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
    /// Bytes of request line and headers together; one with more is answered 431.
    pub head_max: usize,
    /// Headers of a request.
    pub headers_max: usize,
    /// Requests of one connection; then it is closed, and the client makes another one.
    pub requests_max: u32,
    /// For a whole JSON body, and between two chunks of an upload.
    pub body_timeout: Duration,
    /// For a whole upload.
    pub upload_timeout: Duration,
    /// Requests without a right token that one address may send at once.
    pub failures_max: u32,
    /// After those, one more in each such time.
    pub failure_period: Duration,
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
            head_max: 64 << 10,
            headers_max: 100,
            requests_max: 10_000,
            body_timeout: Duration::from_secs(30),
            upload_timeout: Duration::from_mins(15),
            failures_max: 20,
            failure_period: Duration::from_secs(3),
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
    /// Names that requests may be for, besides those of the loopback; none when any will do, as
    /// behind an address that others can reach.
    pub hosts: Option<Vec<String>>,
    /// Bounds.
    pub limits: Limits,
}

/// The API with its state.
pub struct Api {
    parts: Parts,
    resolver: Resolver,
    /// Who may call which route.
    rules: Rules,
    /// Which refusals are recorded.
    refusals: audit::Refusals,
    /// Wrong tokens by address.
    failures: Throttle,
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
            rules: Rules::of_routes(),
            refusals: audit::Refusals::default(),
            failures: Throttle::new(parts.limits.failures_max, parts.limits.failure_period),
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

/// One thing that the API can do, and the least role that may have it done.
struct Route {
    method: Method,
    path: &'static str,
    rule: Rule,
    handler: MethodRouter<Arc<Api>>,
}

/// Everything but `GET` changes something, unless [`Route::reads`] says otherwise.
fn route(
    method: Method,
    needs: Needs,
    path: &'static str,
    handler: MethodRouter<Arc<Api>>,
) -> Route {
    let rule = Rule {
        needs,
        changes: method != Method::GET,
    };
    Route {
        method,
        path,
        rule,
        handler,
    }
}

impl Route {
    /// Marks one that changes nothing although its method could.
    fn reads(mut self) -> Self {
        self.rule.changes = false;
        self
    }
}

/// The whole API as a table; the router and the rules are made from it, and so is the test that
/// asks each route with each kind of token.
fn routes() -> Vec<Route> {
    let mut routes = service::routes();
    routes.extend(kafka_clusters::routes());
    routes.extend(plugins::routes());
    routes.extend(worker_configurations::routes());
    routes.extend(roles::routes());
    routes.extend(connectors::routes());
    routes.extend(operations::routes());
    routes.extend(tokens::routes());
    routes.extend(sealing_key::routes());
    routes.extend(audit::routes());
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
        .layer(middleware::from_fn_with_state(api.clone(), access::guard))
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
