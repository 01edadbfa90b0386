//! The audit log at the API: a record of every request that changes something or wanted to, and
//! `/api/v1/audit`.

use super::access::{Asked, Needs};
use super::error::{ApiError, Refused};
use super::request;
use super::throttle::Throttle;
use super::{Api, Route, Shared, changes, route};
use crate::logs::filter;
use crate::store::{AuditFilter, Holder, Store, now_ms};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::{Method, Uri};
use runnel_api::audit::{
    AUDIT_LIMIT_DEFAULT, AUDIT_LIMIT_MAX, Actor, AuditEntry, AuditRecord, AuditVerdict,
};
use runnel_api::{ErrorCode, Generation, Kind, Name, Page, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Refused requests that are recorded at once, and then one in each [`REFUSAL_PERIOD`]: whoever may
/// change nothing must not be able to push what others changed out of the log.
const REFUSALS_AT_ONCE: u32 = 60;
/// At this pace a log of 100,000 records lasts for ten weeks.
const REFUSAL_PERIOD: Duration = Duration::from_mins(1);
/// Bytes of a path that are recorded; paths of objects are far shorter.
const PATH_MAX: usize = 512;

pub(super) fn routes() -> Vec<Route> {
    let path = "/api/v1/audit";
    vec![
        route(Method::GET, Needs::Admin, path, get(list)),
        route(
            Method::GET,
            Needs::Admin,
            "/api/v1/audit/verification",
            get(verify),
        ),
    ]
}

/// What a handler knows of its act besides the request's path. It travels with the answer.
#[derive(Clone, Debug, Default)]
pub struct Act {
    /// The name of what it is about, where the path has none.
    pub name: Option<Name>,
    /// Generation and specification before.
    pub before: Option<(Option<Generation>, Value)>,
    /// And after.
    pub after: Option<(Option<Generation>, Value)>,
    /// Keys of secrets that came with it.
    pub secret_keys: Vec<String>,
}

/// A specification as it is recorded.
pub fn shown(spec: &impl Serialize) -> Value {
    // What the store keeps as JSON becomes JSON here too.
    serde_json::to_value(spec).unwrap_or_default()
}

/// How many refusals find no place.
#[derive(Debug)]
pub struct Refusals {
    allowance: Throttle,
    skipped: AtomicU64,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            allowance: Throttle::new(REFUSALS_AT_ONCE, REFUSAL_PERIOD),
            skipped: AtomicU64::new(0),
        }
    }
}

impl Refusals {
    /// Whether this one is recorded, and how many before it were not.
    fn next(&self, now: Instant) -> Option<u64> {
        let everyone = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        if self.allowance.failed(everyone, now).is_err() {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.skipped.swap(0, Ordering::Relaxed))
    }
}

/// What is known before the handler runs.
pub fn begun(asked: &Asked<'_>, holder: Option<&Holder>) -> AuditEntry {
    let actor = holder.map_or(Actor::Stranger, |holder| Actor::Token {
        name: holder.name().clone(),
        prefix: holder.prefix().to_owned(),
        role: holder.role(),
    });
    let mut path = asked.path.to_owned();
    if path.len() > PATH_MAX {
        path.truncate(path.floor_char_boundary(PATH_MAX));
        path.push('…');
    }
    let (kind, name) = object_of(asked.path);
    AuditEntry {
        peer: Some(asked.peer.to_canonical().to_string()),
        kind,
        name,
        ..AuditEntry::new(now_ms(), actor, format!("{} {path}", asked.method))
    }
}

/// Kind and name in `/api/v1/{segment}/{name}…`; tokens have names and are of no kind.
fn object_of(path: &str) -> (Option<Kind>, Option<Name>) {
    let Some(rest) = path.strip_prefix("/api/v1/") else {
        return (None, None);
    };
    let mut segments = rest.split('/');
    let segment = segments.next();
    let mut kinds = Kind::ALL.into_iter();
    let kind = kinds.find(|kind| Some(kind.segment()) == segment);
    let is_named = kind.is_some() || segment == Some("tokens");
    let name = segments.next().filter(|_| is_named);
    (kind, name.and_then(|name| Name::parse(name).ok()))
}

/// The entry of a request that was let in, with what its handler knows.
pub fn ended(mut entry: AuditEntry, response: &Response) -> AuditEntry {
    entry.status = Some(response.status().as_u16());
    entry.code = response.extensions().get::<Refused>().map(|code| code.0);
    if let Some(act) = response.extensions().get::<Act>() {
        let spec = |side: &Option<(Option<Generation>, Value)>| {
            side.as_ref().map(|(_, spec)| spec.clone())
        };
        let generation = |side: &Option<(Option<Generation>, Value)>| {
            side.as_ref().and_then(|(generation, _)| *generation)
        };
        let (before, after) = (spec(&act.before), spec(&act.after));
        let (changes, left_out) = changes::between(before.as_ref(), after.as_ref());
        entry.changes = changes;
        entry.changes_left_out = left_out;
        entry.generation_before = generation(&act.before);
        entry.generation_after = generation(&act.after);
        entry.secret_keys.clone_from(&act.secret_keys);
        if let Some(name) = &act.name {
            entry.name = Some(name.clone());
        }
    }
    entry
}

/// Records a request that was not let in, as far as there is an allowance.
pub async fn refused(api: &Api, mut entry: AuditEntry, status: u16, code: ErrorCode) {
    let Some(skipped) = api.refusals.next(Instant::now()) else {
        return;
    };
    entry.status = Some(status);
    entry.code = Some(code);
    if skipped > 0 {
        let skipped = format!("{skipped} refused before this one are not here");
        entry.detail = Some(match entry.detail {
            Some(detail) => format!("{detail}; {skipped}"),
            None => skipped,
        });
    }
    record(api, entry).await;
}

/// Writes an entry down. The log's line is the witness outside of the database.
pub async fn record(api: &Api, entry: AuditEntry) {
    let action = entry.action.clone();
    match api.store.run(move |store| store.audit(&entry)).await {
        Ok(AuditRecord {
            number,
            entry,
            hash,
        }) => {
            let (actor, status) = (&entry.actor, entry.status);
            tracing::info!(number, ?actor, action, status, hash, "audit");
        }
        Err(error) => tracing::error!(%error, action, "this has no record in the audit log"),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    /// A duration back from now, or a time (RFC 3339).
    since: Option<String>,
    /// Name of an object or token.
    name: Option<String>,
    /// Name of the token that was used.
    token: Option<String>,
    /// Number of a record; those before it.
    before: Option<u64>,
    limit: Option<usize>,
}

/// Newest first.
async fn list(State(api): Shared, uri: Uri) -> Result<Json<Page<AuditRecord>>, ApiError> {
    let asked: AuditQuery = request::query(&uri)?;
    let limit = asked.limit.unwrap_or(AUDIT_LIMIT_DEFAULT);
    if !(1..=AUDIT_LIMIT_MAX).contains(&limit) {
        let message = format!("limit is 1 to {AUDIT_LIMIT_MAX}, not {limit}");
        return Err(Problem::new(ErrorCode::InvalidArgument, message).into());
    }
    let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
    let since = asked.since.map(|text| filter::moment(&text, now));
    let filter = AuditFilter {
        since_ms: since.transpose()?.map(|ms| u64::try_from(ms).unwrap_or(0)),
        name: asked.name.map(|text| request::name(&text)).transpose()?,
        token: asked.token.map(|text| request::name(&text)).transpose()?,
        before: asked.before,
        limit: limit + 1,
    };
    let find = move |store: &Store| store.audit_records(&filter);
    let mut items = api.store.run(find).await?;
    let next = (items.len() > limit).then(|| items.truncate(limit));
    let next = next.and_then(|()| items.last().map(|last| last.number.to_string()));
    Ok(Json(Page { items, next }))
}

async fn verify(State(api): Shared) -> Result<Json<AuditVerdict>, ApiError> {
    let verdict = api.store.run(Store::verify_audit).await?;
    if let Some(fault) = &verdict.fault {
        tracing::error!(fault, "the audit log is not what was written");
    }
    Ok(Json(verdict))
}
