//! `/api/v1/plugins`: the objects, and the contents that go ahead of them.

use super::access::{Caller, Needs};
use super::error::ApiError;
use super::objects::{self, Checked, Noun};
use super::request;
use super::{Api, Limits, Route, Shared, route};
use crate::store::{PutRequest, StoreError, Stored, now_ms};
use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Method, header};
use runnel_api::plugin::{PluginSpec, PluginStatus, Sha256Hex, StagedContent};
use runnel_api::token::TokenRole;
use runnel_api::{ErrorCode, Object, Problem};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long content is kept that no plugin refers to: from plan to apply.
pub const STAGED_KEPT: Duration = Duration::from_hours(1);
/// Contents that nobody refers to yet, above which a token that may only plan stages no more: at
/// 250 MB each, 4 GB of archives.
pub(super) const PLANNED_CONTENTS_MAX: usize = 16;
/// Content types of an upload; an archive has none that all agree on.
const ARCHIVE_TYPES: [&str; 5] = [
    "application/octet-stream",
    "application/zip",
    "application/java-archive",
    "application/gzip",
    "application/x-gzip",
];
/// A promise of what will arrive.
const PROMISE: &str = "x-content-sha256";

pub(super) fn routes() -> Vec<Route> {
    let mut routes = objects::routes::<PluginSpec>("/api/v1/plugins", "/api/v1/plugins/{name}");
    routes.extend([
        route(
            Method::POST,
            Needs::Planner,
            "/api/v1/plugins/{name}/content",
            post(receive),
        ),
        route(
            Method::GET,
            Needs::Planner,
            "/api/v1/plugins/{name}/content/{sha256}",
            get(staged),
        ),
    ]);
    routes
}

impl Noun for PluginSpec {
    type Status = PluginStatus;

    async fn check(api: &Api, request: &PutRequest<Self>) -> Result<Checked<Self>, ApiError> {
        objects::check_no_secrets(request.secrets.as_ref(), "plugin")?;
        objects::check_description(&request.spec.description)?;
        let sha256 = request.spec.sha256.clone();
        let Some(found) = api.contents.found(sha256.clone()).await else {
            let message = "the content of the plugin is not here";
            return Err(Problem::new(ErrorCode::MissingReference, message)
                .detail(format!("asked for: sha256:{sha256}"))
                .hint(
                    "upload it first, or plan again: content that is not used is kept for an hour",
                )
                .field("source")
                .into());
        };
        let content = StagedContent {
            sha256,
            found: found.clone(),
        };
        stage(api, content).await?;
        Ok(Checked {
            compute: Box::new(move |_| found),
            warnings: Vec::new(),
        })
    }

    /// Which runtimes fit is judged against those of this moment, not those of the upload.
    async fn show(api: &Api, stored: Stored<Self>) -> Object<Self, Self::Status> {
        let mut object = stored.object;
        if let Some(found) = api.contents.found(object.spec.sha256.clone()).await {
            object.status = found;
        }
        object
    }
}

async fn stage(api: &Api, content: StagedContent) -> Result<(), StoreError> {
    let work = move |store: &crate::store::Store| store.stage_content(&content, now_ms());
    api.store.run(work).await
}

/// Asking counts as wanting: what plan found here must still be here at apply.
async fn staged(
    State(api): Shared,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<StagedContent>, ApiError> {
    let Path((name, sha256)) = path.map_err(|_| request::unreadable_path())?;
    request::name(&name)?;
    let sha256 = digest(&sha256)?;
    let _no_sweep = api.changes.lock().await;
    let Some(found) = api.contents.found(sha256.clone()).await else {
        let message = format!("there is no content sha256:{sha256}");
        return Err(Problem::new(ErrorCode::NotFound, message).into());
    };
    let content = StagedContent { sha256, found };
    stage(&api, content.clone()).await?;
    Ok(Json(content))
}

fn digest(text: &str) -> Result<Sha256Hex, ApiError> {
    Sha256Hex::parse(text).ok_or_else(|| {
        let message = format!("{text:?} is no SHA-256; write 64 hexadecimal characters");
        Problem::new(ErrorCode::InvalidArgument, message)
            .field("sha256")
            .into()
    })
}

async fn receive(
    State(api): Shared,
    request::ObjectName(name): request::ObjectName,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<StagedContent>, ApiError> {
    refuse_many(&api, &caller).await?;
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let content_type = text(header::CONTENT_TYPE.as_str());
    if !content_type.is_some_and(|found| ARCHIVE_TYPES.contains(&found)) {
        return Err(ApiError::content_type(content_type, ARCHIVE_TYPES[0]));
    }
    let promised = match headers.get(PROMISE) {
        None => None,
        Some(value) => Some(digest(value.to_str().unwrap_or_default())?),
    };
    let length = text(header::CONTENT_LENGTH.as_str()).and_then(|text| text.parse::<u64>().ok());
    if length.is_some_and(|length| length > api.limits.content_max) {
        return Err(too_large(&api.limits).into());
    }
    let upload = Upload::new(body, &api.limits);
    let result = api.contents.receive(upload.stream(), promised).await;
    let content = match (result, upload.fault().await) {
        // What broke the stream explains more than what the reader made of it.
        (Err(_), Some(fault)) => return Err(fault.problem(&api.limits)),
        (Err(problem), None) => {
            // A client that still sends would miss an answer that comes too early.
            upload.drain().await;
            return Err(problem.into());
        }
        (Ok(content), _) => content,
    };
    stage(&api, content.clone()).await?;
    tracing::info!(plugin = %name, sha256 = %content.sha256, size = content.found.size, "content arrived");
    Ok(Json(content))
}

/// Whoever may only plan cannot apply either, so what it stages must not fill the disk: it waits
/// until the hour of something staged before is over, or somebody applies.
async fn refuse_many(api: &Api, caller: &Caller) -> Result<(), ApiError> {
    if caller.role() > TokenRole::Planner {
        return Ok(());
    }
    let _no_put = api.changes.lock().await;
    let waiting = api.store.run(|store| store.unneeded_contents(u64::MAX));
    let waiting = waiting.await?.len();
    if waiting < PLANNED_CONTENTS_MAX {
        return Ok(());
    }
    let message = format!("{waiting} plugins are staged already and not applied");
    Err(Problem::new(ErrorCode::CapacityExceeded, message)
        .detail("a token that may only plan stages no more than these")
        .hint("apply what was planned, or try again within the hour that staged content is kept")
        .field("source")
        .into())
}

fn too_large(limits: &Limits) -> Problem {
    let megabytes = limits.content_max / 1_000_000;
    let message = format!("the plugin is larger than {megabytes} MB");
    Problem::new(ErrorCode::TooLarge, message).field("source")
}

/// Why an upload's stream ended early.
#[derive(Clone, Copy, Debug)]
enum Fault {
    TooLarge,
    TooSlow,
    Broken,
}

impl Fault {
    fn problem(self, limits: &Limits) -> ApiError {
        match self {
            Self::TooLarge => too_large(limits).into(),
            Self::TooSlow => ApiError::body_too_slow(),
            Self::Broken => {
                let message = "the upload ended before it was complete";
                Problem::new(ErrorCode::InvalidArgument, message)
                    .field("source")
                    .into()
            }
        }
    }
}

/// A body under way, counted and timed.
struct Progress {
    body: BodyDataStream,
    received: u64,
    content_max: u64,
    between_chunks: Duration,
    deadline: Instant,
    fault: Option<Fault>,
    ended: bool,
}

impl Progress {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.ended {
            return None;
        }
        let patience = self.deadline.min(Instant::now() + self.between_chunks);
        let fault = match tokio::time::timeout_at(patience, self.body.next()).await {
            Err(_) => Fault::TooSlow,
            Ok(None) => {
                self.ended = true;
                return None;
            }
            Ok(Some(Err(_))) => Fault::Broken,
            Ok(Some(Ok(chunk))) => {
                self.received += chunk.len() as u64;
                if self.received <= self.content_max {
                    return Some(Ok(chunk));
                }
                Fault::TooLarge
            }
        };
        self.ended = true;
        self.fault = Some(fault);
        Some(Err(io::Error::other("the upload broke off")))
    }
}

struct Upload(Arc<Mutex<Progress>>);

impl Upload {
    fn new(body: Body, limits: &Limits) -> Self {
        Self(Arc::new(Mutex::new(Progress {
            body: body.into_data_stream(),
            received: 0,
            content_max: limits.content_max,
            between_chunks: limits.body_timeout,
            deadline: Instant::now() + limits.upload_timeout,
            fault: None,
            ended: false,
        })))
    }

    fn stream(&self) -> super::seams::ByteStream {
        let progress = self.0.clone();
        futures_util::stream::unfold(progress, |progress| async move {
            let chunk = progress.lock().await.next().await?;
            Some((chunk, progress))
        })
        .boxed()
    }

    async fn fault(&self) -> Option<Fault> {
        self.0.lock().await.fault
    }

    /// Reads what is left and forgets it, within the same limits.
    async fn drain(&self) {
        let mut progress = self.0.lock().await;
        while progress.next().await.is_some() {}
    }
}

impl Api {
    /// Removes contents that no plugin and no connector's generation refers to and that were
    /// staged more than [`STAGED_KEPT`] before `at_ms`; answers how many. To be called now and
    /// then; once a minute is often enough.
    pub async fn sweep(&self, at_ms: u64) -> Result<usize, StoreError> {
        let kept = u64::try_from(STAGED_KEPT.as_millis()).unwrap_or(u64::MAX);
        let before = at_ms.saturating_sub(kept);
        let _one_change_at_a_time = self.changes.lock().await;
        let unneeded = self
            .store
            .run(move |store| store.unneeded_contents(before))
            .await?;
        let mut removed = 0;
        for sha256 in unneeded {
            match self.contents.remove(sha256.clone()).await {
                Ok(()) => {
                    tracing::info!(%sha256, "content that nobody uses was removed");
                    self.store
                        .run(move |store| store.forget_content(&sha256))
                        .await?;
                    removed += 1;
                }
                // The row stays, so that the next sweep tries again.
                Err(problem) => tracing::warn!(%sha256, %problem, "content cannot be removed"),
            }
        }
        Ok(removed)
    }
}
