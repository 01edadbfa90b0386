//! Who may do what: each route says the least role that it needs, and the guard around every
//! request lets nobody else reach a handler.

use super::error::ApiError;
use super::{Api, METRICS, Shared, audit, routes};
use crate::store::{Declared, Holder, Login, now_ms};
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use runnel_api::audit::AuditEntry;
use runnel_api::token::TokenRole;
use runnel_api::{ErrorCode, Kind, Problem};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The least that a route asks of who calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Not even a token.
    Nothing,
    /// A token that may read.
    Viewer,
    /// A token that may plan.
    Planner,
    /// A token that may change objects.
    Operator,
    /// A token that may do everything.
    Admin,
}

impl Needs {
    /// The role of a token, where one is needed.
    pub fn role(self) -> Option<TokenRole> {
        match self {
            Self::Nothing => None,
            Self::Viewer => Some(TokenRole::Viewer),
            Self::Planner => Some(TokenRole::Planner),
            Self::Operator => Some(TokenRole::Operator),
            Self::Admin => Some(TokenRole::Admin),
        }
    }
}

/// What is known of a route before its handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Who may call it.
    pub needs: Needs,
    /// Whether something is different afterwards.
    pub changes: bool,
}

/// The rules of all routes by method and template. A request that no rule is about reaches no
/// handler.
#[derive(Debug)]
pub struct Rules(HashMap<(Method, &'static str), Rule>);

impl Rules {
    /// From the table of routes.
    pub fn of_routes() -> Self {
        let rules = routes().into_iter();
        Self(
            rules
                .map(|route| ((route.method, route.path), route.rule))
                .collect(),
        )
    }

    /// `HEAD` is answered as `GET` is.
    fn find(&self, method: &Method, path: &str) -> Option<Rule> {
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let known = |((rule_method, rule_path), rule): (&(Method, &str), &Rule)| {
            (rule_method == method && *rule_path == path).then_some(*rule)
        };
        self.0.iter().find_map(known)
    }

    /// The methods of a path, for `Allow` (RFC 9110 section 10.2.1).
    fn methods(&self, path: &str) -> String {
        let mut methods: Vec<&str> = self
            .0
            .keys()
            .filter(|(_, rule_path)| *rule_path == path)
            .map(|(method, _)| method.as_str())
            .collect();
        methods.sort_unstable();
        methods.join(", ")
    }
}

/// Where a request came from. The listener puts it into every request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

fn peer_of(request: &Request) -> IpAddr {
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let peer = request.extensions().get::<Peer>();
    peer.map_or(unknown, |peer| peer.0.ip())
}

/// Whose token came with the request. Handlers of routes that need a token get it.
#[derive(Clone, Debug)]
pub struct Caller(Holder);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| {
            Problem::new(ErrorCode::Internal, "nobody is known to have asked").into()
        })
    }
}

impl Caller {
    /// What its token may do.
    pub fn role(&self) -> TokenRole {
        self.0.role()
    }

    /// Refuses a specification that gives a role to a connector which this token may not pass (as
    /// `iam:PassRole` does).
    pub fn refuse_passing(&self, spec: &impl Declared) -> Option<Problem> {
        let patterns = self.0.pass_roles();
        if patterns.is_empty() {
            return None;
        }
        let may_pass = |arn: &str| {
            let matches = |pattern: &String| runnel_iam::glob::matches(pattern, arn);
            patterns.iter().any(matches)
        };
        let roles = spec.references().into_iter();
        let mut roles = roles.filter(|reference| reference.kind == Kind::Role);
        let refused = roles.find(|reference| !may_pass(&reference.text))?;
        let message = format!(
            "the token {} may not give {} to a connector",
            self.0.name(),
            refused.text
        );
        Some(
            Problem::new(ErrorCode::Forbidden, message)
                .detail(format!("it may pass {}", patterns.join(", ")))
                .hint("use one of these roles, or a token that may pass this one")
                .field(refused.field),
        )
    }

    /// Refuses a change of a role by somebody who may pass only some: the ones that may be passed
    /// could be widened.
    pub fn refuse_changing(&self, kind: Kind) -> Option<Problem> {
        if kind != Kind::Role || self.0.pass_roles().is_empty() {
            return None;
        }
        let message = format!(
            "the token {} may pass some roles only, and so may change none",
            self.0.name()
        );
        let hint = "use a token without a list of roles to pass";
        Some(Problem::new(ErrorCode::Forbidden, message).hint(hint))
    }
}

/// What the guard looks at.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as it came.
    pub path: &'a str,
    /// The template of the path, when it is one of ours.
    route: Option<&'a str>,
    headers: &'a HeaderMap,
    /// Where it came from.
    pub peer: IpAddr,
}

/// Whoever may call a route, and what is written down of it.
struct Admitted {
    caller: Option<Caller>,
    /// Begun for a route that changes something.
    entry: Option<AuditEntry>,
}

/// Around every request: token and role first, then the handler, whose panic is an answer too, then
/// a count by the route's template and one line in the log, without query or headers.
pub async fn guard(State(api): Shared, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map(MatchedPath::as_str);
    let asked = Asked {
        method: &method,
        path: &path,
        route,
        headers: request.headers(),
        peer: peer_of(&request),
    };
    let response = match admit(&api, asked).await {
        Ok(Admitted { caller, entry }) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            match entry {
                None => answer(next, request).await,
                Some(entry) => recorded(&api, entry, next, request).await,
            }
        }
        Err(refused) => refused.into_response(),
    };
    let status = response.status().as_u16();
    let route = route.unwrap_or("unknown");
    api.metrics.answered(method.as_str(), route, status);
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(%method, path, status, milliseconds, "answered");
    response
}

async fn answer(next: Next, request: Request) -> Response {
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answered.unwrap_or_else(|_| {
        let problem = Problem::new(ErrorCode::Internal, "the daemon failed at this request");
        let hint = "please report it with the daemon's log";
        ApiError::from(problem.hint(hint)).into_response()
    })
}

/// An answer whose record is written before it is sent. A client that goes away meanwhile ends
/// neither the act nor the record.
async fn recorded(api: &Arc<Api>, entry: AuditEntry, next: Next, request: Request) -> Response {
    let api = api.clone();
    let acting = tokio::spawn(async move {
        let response = answer(next, request).await;
        let entry = audit::ended(entry, &response);
        audit::record(&api, entry).await;
        response
    });
    acting.await.unwrap_or_else(|_| {
        ApiError::from(Problem::new(ErrorCode::Unavailable, "the daemon is ending")).into_response()
    })
}

/// Whether the request may reach a handler, and whose it is. A path that is none of ours reaches
/// the answer that says so, once the token is right.
async fn admit(api: &Api, asked: Asked<'_>) -> Result<Admitted, ApiError> {
    let Asked { route, peer, .. } = asked;
    check_host(api.hosts.as_deref(), asked.headers)?;
    let rule = route.and_then(|route| api.rules.find(asked.method, route));
    let needs = match rule {
        Some(_) if api.open_metrics && route == Some(METRICS) => Needs::Nothing,
        Some(rule) => rule.needs,
        None => Needs::Viewer,
    };
    let Some(needed) = needs.role() else {
        return Ok(Admitted {
            caller: None,
            entry: None,
        });
    };
    let changes = rule.is_some_and(|rule| rule.changes);
    let now_ms = now_ms();
    let login = shown_token(asked.headers).map_or(Login::Unknown, |token| {
        api.store.authenticate(token, now_ms)
    });
    let holder = match login {
        Login::Known(holder) => holder,
        Login::Expired(_) | Login::Unknown => {
            if let Err(wait) = api.failures.failed(peer, Instant::now()) {
                return Err(too_many(wait));
            }
            if changes {
                let mut entry = audit::begun(&asked, None);
                if let Login::Expired(holder) = &login {
                    entry.detail = Some(format!("the token {} has expired", holder.name()));
                }
                audit::refused(api, entry, 401, ErrorCode::Unauthenticated).await;
            }
            return Err(stranger(api, peer));
        }
    };
    if api.store.claims_use(&holder, now_ms) {
        let holder = holder.clone();
        let note = move |store: &crate::store::Store| store.note_use(&holder, now_ms);
        if let Err(error) = api.store.run(note).await {
            tracing::warn!(%error, "the use of a token is not noted");
        }
    }
    if let (Some(route), None) = (route, rule) {
        return Err(wrong_method(api, &asked, route));
    }
    let entry = changes.then(|| audit::begun(&asked, Some(&holder)));
    if holder.role() < needed {
        if let Some(entry) = entry {
            audit::refused(api, entry, 403, ErrorCode::Forbidden).await;
        }
        return Err(forbidden(&holder, needed).into());
    }
    Ok(Admitted {
        caller: Some(Caller(holder)),
        entry,
    })
}

/// Refuses a request for a host that a daemon on loopback is not. A web page can make a name of its
/// own lead to this machine, and its visitor's browser ask us (DNS rebinding); the browser then
/// names that host. Without `Host` it was no browser.
fn check_host(known: Option<&[String]>, headers: &HeaderMap) -> Result<(), ApiError> {
    let (Some(known), Some(host)) = (known, headers.get(header::HOST)) else {
        return Ok(());
    };
    let authority = host
        .to_str()
        .ok()
        .and_then(|host| Authority::from_str(host).ok());
    let name = authority.as_ref().map_or("", Authority::host);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = bare
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if is_loopback || is("localhost") || known.iter().any(|known| is(known)) {
        return Ok(());
    }
    let problem = Problem::new(
        ErrorCode::InvalidArgument,
        "the request is for another host",
    )
    .detail(format!("its Host is {host:?}"))
    .hint("use 127.0.0.1 or localhost, or name the host in runnel.toml: [http] hosts");
    Err(ApiError::with_status(
        problem,
        StatusCode::MISDIRECTED_REQUEST,
    ))
}

/// The token of a request. The scheme is case-insensitive (RFC 9110 section 11.1).
fn shown_token(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The answer to one wrong token too many.
fn too_many(wait: Duration) -> ApiError {
    let message = "too many requests without a right token came from this address";
    let seconds = wait.as_secs() + 1;
    let problem = Problem::new(ErrorCode::Unauthenticated, message)
        .hint(format!("try again in {seconds} s, with a right token"));
    ApiError::with_status(problem, StatusCode::TOO_MANY_REQUESTS)
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
}

/// The answer to a token that is missing, wrong, expired or revoked: always the same words. Where
/// the root token is concerns only those on this machine.
fn stranger(api: &Api, peer: IpAddr) -> ApiError {
    let message = "the request has no token that this daemon knows";
    let problem = Problem::new(ErrorCode::Unauthenticated, message);
    let hint = if peer.to_canonical().is_loopback() {
        let token = api.store.data_dir().join(crate::store::ROOT_TOKEN_FILE);
        format!(
            "the root token is in {} on the daemon's machine",
            token.display()
        )
    } else {
        format!(
            "the root token is in {} in the daemon's data folder; an admin makes others with \
             runnel token create",
            crate::store::ROOT_TOKEN_FILE
        )
    };
    problem.hint(hint).into()
}

fn forbidden(holder: &Holder, needed: TokenRole) -> Problem {
    let message = format!(
        "this needs the role {needed}, the token {} has {}",
        holder.name(),
        holder.role()
    );
    Problem::new(ErrorCode::Forbidden, message).hint(format!(
        "use a token that has it; an admin makes one: runnel token create NAME --role {needed}"
    ))
}

fn wrong_method(api: &Api, asked: &Asked<'_>, route: &str) -> ApiError {
    let message = format!("{} does not take {}", asked.path, asked.method);
    let problem = Problem::new(ErrorCode::UnknownEndpoint, message);
    let refused = ApiError::with_status(problem, StatusCode::METHOD_NOT_ALLOWED);
    match HeaderValue::from_str(&api.rules.methods(route)) {
        Ok(methods) => refused.with_header(header::ALLOW, methods),
        Err(_) => refused,
    }
}
