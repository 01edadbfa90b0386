//! `GET /api/v1/connectors/{name}/logs`: worker logs as text, to their end or beyond.

use super::error::ApiError;
use super::request::{self, ObjectName};
use super::{Api, Shared};
use crate::logs::{Filter, Reader, TAIL_DEFAULT, TAIL_MAX, WorkerLog};
use crate::store::now_ms;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{Uri, header};
use runnel_api::connector::ConnectorSpec;
use runnel_api::{ErrorCode, Name, Problem};
use serde::Deserialize;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// How often files are looked at while following. Nothing announces a growing file in a way that
/// survives rotation as simply.
const LOOK: Duration = Duration::from_millis(250);
/// Chunks that wait for a slow reader; after that the files wait.
const QUEUE: usize = 4;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    /// Number of last lines.
    tail: Option<usize>,
    #[serde(default)]
    follow: bool,
    /// A duration back from now, or a time (RFC 3339).
    since: Option<String>,
    /// The least level.
    level: Option<String>,
    /// A regular expression.
    grep: Option<String>,
    /// The daemon's id of a worker, or how it begins.
    worker: Option<String>,
}

/// Whose logs are read.
#[derive(Clone)]
struct Asked {
    connector: Name,
    worker: Option<String>,
}

impl Asked {
    fn logs(&self, api: &Api) -> Vec<WorkerLog> {
        let mut logs = api.logs.of(&self.connector);
        if let Some(worker) = &self.worker {
            logs.retain(|log| log.worker.starts_with(worker));
        }
        logs
    }
}

/// The last lines that pass, and with `follow=true` what comes until the client leaves or the daemon ends.
pub(super) async fn logs(
    State(api): Shared,
    ObjectName(name): ObjectName,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query: LogQuery = request::query(&uri)?;
    // With a time it is the time that says how much.
    let tail = query.tail.unwrap_or(match query.since {
        None => TAIL_DEFAULT,
        Some(_) => TAIL_MAX,
    });
    if tail > TAIL_MAX {
        let message = format!("tail is at most {TAIL_MAX} lines, not {tail}");
        return Err(Problem::new(ErrorCode::InvalidArgument, message).into());
    }
    let filter = Filter::parse(
        query.since.as_deref(),
        query.level.as_deref(),
        query.grep.as_deref(),
        i64::try_from(now_ms()).unwrap_or(i64::MAX),
    )?;
    let exists = api.store.fetch::<ConnectorSpec>(&name).await?.is_some();
    let asked = Asked {
        connector: name.clone(),
        worker: query.worker,
    };
    let (looking, asking) = (api.clone(), asked.clone());
    let first = tokio::task::spawn_blocking(move || {
        let logs = asking.logs(&looking);
        let mut reader = Reader::new(filter);
        let redactor = looking.logs.redactor(&asking.connector);
        let text = reader.past(&logs, tail, &redactor)?;
        Ok::<_, io::Error>((logs.is_empty(), reader, text))
    });
    let (is_empty, reader, text) = first
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(|error| unreadable(&error))?;
    match &asked.worker {
        _ if !is_empty => {}
        Some(worker) if exists => {
            let message = format!("the connector {name} has no log of a worker {worker}");
            return Err(Problem::new(ErrorCode::NotFound, message)
                .hint("without a worker, each line begins with its worker's id")
                .into());
        }
        None if exists => {}
        _ => {
            let message = format!("there is no connector named {name} and no log of one");
            return Err(Problem::new(ErrorCode::NotFound, message).into());
        }
    }
    let body = if query.follow {
        let place = api.followers.clone().try_acquire_owned().map_err(|_| {
            let most = api.limits.followers_max;
            Problem::new(ErrorCode::Unavailable, "too many logs are being followed")
                .detail(format!("at most {most} at once"))
        })?;
        let (chunks, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(follow_on(api, asked, reader, text, chunks, place));
        Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver))
    } else {
        Body::from(text)
    };
    let text_type = (header::CONTENT_TYPE, "text/plain; charset=utf-8");
    Ok(([text_type], body).into_response())
}

fn unreadable(error: &io::Error) -> ApiError {
    tracing::error!(%error, "a worker log cannot be read");
    Problem::new(ErrorCode::Internal, "a worker log cannot be read")
        .detail(error.to_string())
        .into()
}

async fn follow_on(
    api: Arc<Api>,
    asked: Asked,
    mut reader: Reader,
    text: String,
    chunks: mpsc::Sender<io::Result<Bytes>>,
    _place: OwnedSemaphorePermit,
) {
    let mut next = text;
    loop {
        let pause = if next.is_empty() {
            LOOK
        } else if chunks.send(Ok(Bytes::from(next))).await.is_err() {
            return;
        } else {
            Duration::ZERO
        };
        tokio::select! {
            () = api.closing.cancelled() => return,
            () = chunks.closed() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let (looking, asking) = (api.clone(), asked.clone());
        let read = tokio::task::spawn_blocking(move || {
            let redactor = looking.logs.redactor(&asking.connector);
            let text = reader.more(&asking.logs(&looking), &redactor);
            (reader, text)
        });
        match read.await {
            Ok((same, Ok(text))) => (reader, next) = (same, text),
            Ok((_, Err(error))) => {
                let _ = chunks.send(Err(error)).await;
                return;
            }
            Err(_) => return,
        }
    }
}
