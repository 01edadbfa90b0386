//! The client of the API that all commands use: where the daemon is, and one clear error for each
//! way in which it does not answer.

use super::Common;
use crate::config::{Config, Environment};
use crate::http_client::{Trust, trusting};
use crate::store::ROOT_TOKEN_FILE;
use reqwest::{Method, StatusCode};
use runnel_api::{ErrorCode, Operation, OperationId, Problem, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For connecting; a daemon that listens accepts at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For an answer that needs no waiting on the other side.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Seconds that one request waits for an operation.
const POLL_SECONDS: u64 = 30;
/// Idle connections are dropped earlier than the daemon drops them.
const IDLE: Duration = Duration::from_secs(15);

/// Where the daemon is and how to be let in.
#[derive(Clone, Debug)]
pub struct Connection {
    /// `http://HOST:PORT` or `https://…` without a path.
    pub endpoint: String,
    /// Whom the command trusts.
    pub trust: Trust,
    /// The token.
    pub token: Secret,
    /// Where the token came from, for messages.
    pub token_from: String,
    /// The data folder when the daemon is one of this machine.
    pub data_dir: Option<PathBuf>,
}

impl Connection {
    /// Options go before the environment, the environment before the configuration.
    pub fn find(
        common: &Common,
        environment: &Environment,
        config: Option<&Config>,
    ) -> Result<Self, Problem> {
        let given = common.endpoint.as_ref().or(environment.endpoint.as_ref());
        let either = |option: &Option<PathBuf>, variable: &Option<PathBuf>| {
            option.clone().or(variable.clone())
        };
        let mut trust = Trust {
            ca_certificate: either(&common.ca_certificate, &environment.ca_certificate),
            client_certificate: either(&common.client_certificate, &environment.client_certificate),
        };
        let (endpoint, data_dir) = match (given, config) {
            (Some(given), _) => (checked(given)?, None),
            (None, Some(config)) => {
                // Whoever may read the daemon's settings may trust its certificate.
                let own = config.tls.as_ref().map(|tls| tls.certificate.clone());
                trust.ca_certificate = trust.ca_certificate.or(own);
                (local(config)?, Some(config.data_dir.clone()))
            }
            (None, None) => return Err(no_token()),
        };
        let (token, token_from) = match (&common.token_file, &environment.token, config) {
            (Some(file), ..) => (read_token(file)?, file.display().to_string()),
            (None, Some(token), _) => (token.clone(), "RUNNEL_TOKEN".to_owned()),
            (None, None, Some(config)) => {
                let file = config.data_dir.join(ROOT_TOKEN_FILE);
                (read_token(&file)?, file.display().to_string())
            }
            (None, None, None) => return Err(no_token()),
        };
        Ok(Self {
            endpoint,
            trust,
            token,
            token_from,
            data_dir,
        })
    }
}

fn no_token() -> Problem {
    Problem::new(
        ErrorCode::InvalidArgument,
        "neither endpoint and token nor a configuration is given",
    )
    .hint("give --endpoint and --token-file, or --config")
}

fn checked(endpoint: &str) -> Result<String, Problem> {
    let wrong = |message: String| {
        Err(Problem::new(ErrorCode::InvalidArgument, message)
            .hint("write http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:8083")
            .field("endpoint"))
    };
    match reqwest::Url::parse(endpoint) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => {
            Ok(endpoint.trim_end_matches('/').to_owned())
        }
        _ => wrong(format!("{endpoint:?} is no address of a daemon")),
    }
}

/// The address that the daemon wrote, or the configured one where none was written yet.
fn local(config: &Config) -> Result<String, Problem> {
    let file = config.address_file();
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    match std::fs::read_to_string(&file) {
        Ok(address) => Ok(format!("{scheme}://{}", address.trim())),
        Err(_) if config.listen.port() != 0 => Ok(format!("{scheme}://{}", config.listen)),
        Err(error) => Err(not_running(&format!("{}: {error}", file.display()))),
    }
}

fn read_token(file: &Path) -> Result<Secret, Problem> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Secret::new(text.trim())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(not_running(&format!(
            "there is no token in {}",
            file.display()
        ))),
        Err(error) => {
            let message = format!("the token cannot be read from {}", file.display());
            Err(Problem::new(ErrorCode::Unauthenticated, message)
                .detail(error.to_string())
                .hint("run the command as the daemon's user, or give --token-file"))
        }
    }
}

fn not_running(detail: &str) -> Problem {
    Problem::new(ErrorCode::Unavailable, "no daemon is running here")
        .detail(detail)
        .hint("start it with `runnel daemon`, or say with --endpoint or --config where it is")
}

/// Asks the daemon.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    connection: Connection,
}

impl Client {
    /// A client for this daemon; connects when it asks.
    pub fn new(connection: Connection) -> Result<Self, Problem> {
        let http = trusting(&connection.trust)?
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE)
            // The token must not travel through a proxy or to where an answer points.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))?;
        Ok(Self { http, connection })
    }

    /// The daemon that is asked.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// `GET`, with a JSON answer.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let request = self.request(Method::GET, path).timeout(ANSWER_TIMEOUT);
        self.json(request).await
    }

    /// `POST` with a JSON body and a JSON answer.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Problem> {
        let request = self.request(Method::POST, path).timeout(ANSWER_TIMEOUT);
        self.json(request.json(body)).await
    }

    /// `DELETE`, with a JSON answer.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let request = self.request(Method::DELETE, path).timeout(ANSWER_TIMEOUT);
        self.json(request).await
    }

    /// `GET`, with an answer that comes in parts and without an end in time.
    pub async fn stream(&self, path: &str) -> Result<reqwest::Response, Problem> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Waits up to half a minute for an operation and answers it as it is then.
    pub async fn wait(&self, operation: OperationId) -> Result<Operation, Problem> {
        let path = format!("/api/v1/operations/{operation}?wait={POLL_SECONDS}");
        let patience = ANSWER_TIMEOUT + Duration::from_secs(POLL_SECONDS);
        self.json(self.request(Method::GET, &path).timeout(patience))
            .await
    }

    /// Whether anything accepts connections at the endpoint.
    pub async fn is_listening(&self) -> bool {
        let health = self
            .request(Method::GET, "/healthz")
            .timeout(ANSWER_TIMEOUT);
        match health.send().await {
            Ok(_) => true,
            Err(error) => !error.is_connect(),
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.connection.endpoint);
        let request = self.http.request(method, url);
        request.bearer_auth(self.connection.token.expose())
    }

    async fn json<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, Problem> {
        let response = self.send(request).await?;
        let text = response.text().await.map_err(|error| self.lost(&error))?;
        serde_json::from_str(&text).map_err(|error| self.strange(&error.to_string()))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Problem> {
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.map_err(|error| self.lost(&error))?;
        let Ok(problem) = serde_json::from_str::<Problem>(&text) else {
            return Err(self.strange(&format!("it answers with status {status}")));
        };
        if status != StatusCode::UNAUTHORIZED {
            return Err(problem);
        }
        let Connection {
            endpoint,
            token_from,
            ..
        } = &self.connection;
        let message = format!("the daemon at {endpoint} does not know this token");
        let denied = Problem::new(ErrorCode::Unauthenticated, message);
        let denied = denied.detail(format!("the token is from {token_from}"));
        Err(match problem.hint {
            Some(hint) => denied.hint(hint),
            None => denied,
        })
    }

    /// No answer came.
    fn lost(&self, error: &reqwest::Error) -> Problem {
        let endpoint = &self.connection.endpoint;
        let detail = root_cause(error);
        if endpoint.starts_with("https://") && error.is_connect() && detail.contains("certificate")
        {
            let message = format!("the daemon at {endpoint} cannot be trusted");
            return Problem::new(ErrorCode::Unavailable, message)
                .detail(detail)
                .hint("give the authority of its certificate with --ca-certificate, and in --endpoint a name that the certificate has");
        }
        if error.is_connect() {
            let message = format!("no daemon answers at {endpoint}");
            return Problem::new(ErrorCode::Unavailable, message)
                .detail(detail)
                .hint("start it with `runnel daemon`, or correct the endpoint");
        }
        if error.is_timeout() {
            let message = format!("the daemon at {endpoint} did not answer in time");
            return Problem::new(ErrorCode::TimedOut, message).detail(detail);
        }
        let message = format!("the connection to {endpoint} broke");
        Problem::new(ErrorCode::Unavailable, message).detail(detail)
    }

    /// An answer came that is none of ours.
    fn strange(&self, detail: &str) -> Problem {
        let message = format!(
            "what answers at {} is no Runnel daemon of this release",
            self.connection.endpoint
        );
        Problem::new(ErrorCode::UnknownEndpoint, message)
            .detail(detail)
            .hint("correct the endpoint, or use the daemon's release of this command")
    }
}

/// The innermost cause says what a person can act on: refused, unreachable, unknown name.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
