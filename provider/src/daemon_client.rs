//! The daemon's HTTP API, typed. Every call has a bound in time and in the size of its answer.

use crate::trust::{self, Trust};
use futures_util::StreamExt as _;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::header::{IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, RequestBuilder, StatusCode};
use runnel_api::connector::{ConnectorSpec, ConnectorStatus, Preview, Previewed};
use runnel_api::kafka_cluster::{
    KafkaClusterPreview, KafkaClusterPreviewed, KafkaClusterSpec, KafkaClusterStatus,
};
use runnel_api::plugin::{PluginSpec, PluginStatus, Sha256Hex, StagedContent};
use runnel_api::role::{RoleSpec, RoleStatus};
use runnel_api::scaling::ScalingDecision;
use runnel_api::server::{API_VERSION, Info};
use runnel_api::worker_configuration::{WorkerConfigurationSpec, WorkerConfigurationStatus};
use runnel_api::{Deleted, ErrorCode, Generation, Identity, Kind, Name, Object, Operation};
use runnel_api::{OperationId, Page, Problem, Put, PutAnswer, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error as _;
use std::time::Duration;
use tokio_rustls::rustls::{self, ClientConfig};
use tokio_util::io::ReaderStream;

/// Long enough for a busy loopback, short enough that a wrong address is noticed.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// For calls that the daemon answers from its store.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// For a preview: a validator may have to start first (3 s with service loading, 18 s without).
const PREVIEW_LIMIT: Duration = Duration::from_mins(1);
/// For an upload with its inspection.
const UPLOAD_LIMIT: Duration = Duration::from_mins(10);
/// What a long poll may take beyond the time it was asked to wait.
const POLL_SLACK: Duration = Duration::from_secs(10);
/// Largest answer that is read; the largest honest one is a connector's effective configuration.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Header of an upload with the digest of its body.
const CONTENT_SHA256: &str = "x-content-sha256";

/// A kind of declared object with its wire types.
pub trait Noun: Send + Sync + 'static {
    /// The kind.
    const KIND: Kind;
    /// What is wanted.
    type Spec: Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync + 'static;
    /// What the daemon adds.
    type Status: DeserializeOwned + Send + Sync + 'static;
}

macro_rules! noun {
    ($(#[$doc:meta])* $name:ident, $kind:ident, $spec:ty, $status:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl Noun for $name {
            const KIND: Kind = Kind::$kind;
            type Spec = $spec;
            type Status = $status;
        }
    };
}
noun!(/// Kafka clusters.
    KafkaClusters, KafkaCluster, KafkaClusterSpec, KafkaClusterStatus);
noun!(/// Plugins.
    Plugins, Plugin, PluginSpec, PluginStatus);
noun!(/// Worker configurations.
    WorkerConfigurations, WorkerConfiguration, WorkerConfigurationSpec, WorkerConfigurationStatus);
noun!(/// Roles.
    Roles, Role, RoleSpec, RoleStatus);
noun!(/// Connectors.
    Connectors, Connector, ConnectorSpec, ConnectorStatus);

/// The object of a kind as the daemon answers it.
pub type ObjectOf<N> = Object<<N as Noun>::Spec, <N as Noun>::Status>;
/// The answer to a write of a kind.
pub type AnswerOf<N> = PutAnswer<<N as Noun>::Spec, <N as Noun>::Status>;

/// What must hold for a write to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing of that name exists.
    Absent,
    /// The object is still at this generation.
    At(Generation),
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens there.
    #[error("the Runnel daemon is not running")]
    NotRunning {
        /// Where it was looked for.
        endpoint: String,
        /// What the operating system said.
        reason: String,
    },
    /// It broke off: whether the request arrived is unknown.
    #[error("the connection to the Runnel daemon broke off")]
    Lost {
        /// Where to.
        endpoint: String,
        /// What happened.
        reason: String,
    },
    /// Its certificate is not what it should be.
    #[error("the Runnel daemon's certificate is not trusted")]
    Untrusted {
        /// Where to.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The token is missing or wrong.
    #[error("the Runnel daemon refuses the token")]
    Unauthenticated {
        /// Who refused it.
        endpoint: String,
        /// Whether one was sent.
        token_sent: bool,
        /// Where the daemon says that its token is.
        hint: Option<String>,
    },
    /// Something answers, but not as Runnel does.
    #[error("the endpoint is not a Runnel daemon")]
    NotRunnel {
        /// Who answered.
        endpoint: String,
        /// How.
        answer: String,
    },
    /// Provider and daemon are of different ages.
    #[error("provider and daemon speak different versions of the API")]
    Skew {
        /// The daemon's release.
        daemon: String,
        /// The daemon's version of the API.
        api_version: u32,
    },
    /// The file to upload cannot be read.
    #[error("the file cannot be read")]
    File(#[source] std::io::Error),
    /// The daemon says no, and why.
    #[error(transparent)]
    Refused(#[from] Problem),
}

impl ClientError {
    /// The daemon's own words, if it was the daemon who refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            _ => None,
        }
    }

    /// True when asking again may help: the daemon is away or was, for a moment.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::NotRunning { .. } | Self::Lost { .. })
            || self.code() == Some(ErrorCode::Unavailable)
    }
}

/// A client of one daemon. Connections are kept and shared by calls that run at once.
#[derive(Debug)]
pub struct DaemonClient {
    http: reqwest::Client,
    endpoint: String,
    token_sent: bool,
}

impl DaemonClient {
    /// A client for `endpoint` (`http://host:port` without a final slash). No I/O happens here.
    pub fn new(endpoint: String, token: Option<&Secret>) -> Result<Self, ClientError> {
        Self::over(trust::nobody()?, endpoint, token)
    }

    /// A client for `endpoint` (`https://host:port`). Reads the files of `trust`.
    pub fn trusting(
        trust: &Trust,
        endpoint: String,
        token: Option<&Secret>,
    ) -> Result<Self, ClientError> {
        Self::over(trust.tls()?, endpoint, token)
    }

    fn over(
        tls: ClientConfig,
        endpoint: String,
        token: Option<&Secret>,
    ) -> Result<Self, ClientError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            // A token that fits no header cannot be the daemon's.
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| {
                    ClientError::Unauthenticated {
                        endpoint: endpoint.clone(),
                        token_sent: true,
                        hint: None,
                    }
                })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!(
                "terraform-provider-runnel/",
                env!("CARGO_PKG_VERSION")
            ))
            .default_headers(headers)
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_LIMIT)
            // A proxy of the environment must not see the token, nor a redirection's target.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| ClientError::Lost {
                endpoint: endpoint.clone(),
                reason: innermost(&error),
            })?;
        Ok(Self {
            http,
            endpoint,
            token_sent: token.is_some(),
        })
    }

    /// What the daemon says about itself; an error if it speaks another version of the API.
    pub async fn info(&self) -> Result<Info, ClientError> {
        let answer: serde_json::Value = self
            .call(self.request(Method::GET, "info").timeout(CALL_LIMIT))
            .await?;
        // The version comes first: the rest of another version's answer may look different.
        let version = answer
            .get("api_version")
            .and_then(serde_json::Value::as_u64);
        match version.and_then(|version| u32::try_from(version).ok()) {
            Some(API_VERSION) => {
                serde_json::from_value(answer).map_err(|error| self.not_runnel(error.to_string()))
            }
            Some(api_version) => Err(ClientError::Skew {
                daemon: answer
                    .get("version")
                    .and_then(serde_json::Value::as_str)
                    .unwrap_or("?")
                    .to_owned(),
                api_version,
            }),
            None => Err(self.not_runnel("its /api/v1/info names no api_version".to_owned())),
        }
    }

    /// Id and ARN of what is or would be called `name`.
    pub async fn identity(&self, kind: Kind, name: &Name) -> Result<Identity, ClientError> {
        let path = format!("identity/{}/{name}", kind.singular());
        self.call(self.request(Method::GET, &path).timeout(CALL_LIMIT))
            .await
    }

    /// The object of that name, `None` if there is none.
    pub async fn get<N: Noun>(&self, name: &Name) -> Result<Option<ObjectOf<N>>, ClientError> {
        let path = format!("{}/{name}", N::KIND.segment());
        absent(
            self.call(self.request(Method::GET, &path).timeout(CALL_LIMIT))
                .await,
        )
    }

    /// Declares an object.
    pub async fn put<N: Noun>(
        &self,
        name: &Name,
        put: &Put<N::Spec>,
        precondition: Precondition,
    ) -> Result<AnswerOf<N>, ClientError> {
        let path = format!("{}/{name}", N::KIND.segment());
        let request = self.request(Method::PUT, &path).timeout(CALL_LIMIT);
        let request = match precondition {
            Precondition::Absent => request.header(IF_NONE_MATCH, "*"),
            Precondition::At(generation) => request.header(IF_MATCH, generation.to_string()),
        };
        self.call(request.json(put)).await
    }

    /// The newest decisions of scaling about a connector, newest first.
    pub async fn decisions(
        &self,
        connector: &Name,
        limit: usize,
    ) -> Result<Vec<ScalingDecision>, ClientError> {
        let path = format!("connectors/{connector}/decisions?limit={limit}");
        let page: Page<ScalingDecision> = self
            .call(self.request(Method::GET, &path).timeout(CALL_LIMIT))
            .await?;
        Ok(page.items)
    }

    /// Asks for an object to be removed; `None` if there is none.
    pub async fn delete<N: Noun>(&self, name: &Name) -> Result<Option<Deleted>, ClientError> {
        let path = format!("{}/{name}", N::KIND.segment());
        absent(
            self.call(self.request(Method::DELETE, &path).timeout(CALL_LIMIT))
                .await,
        )
    }

    /// An operation, as soon as it is final or after `wait`.
    pub async fn operation(
        &self,
        id: OperationId,
        wait: Duration,
    ) -> Result<Operation, ClientError> {
        let path = format!("operations/{id}?wait={}", wait.as_secs());
        self.call(self.request(Method::GET, &path).timeout(wait + POLL_SLACK))
            .await
    }

    /// What the daemon found in content that it has, `None` if it does not have it.
    pub async fn content(
        &self,
        plugin: &Name,
        sha256: &Sha256Hex,
    ) -> Result<Option<StagedContent>, ClientError> {
        let path = format!("plugins/{plugin}/content/{sha256}");
        absent(
            self.call(self.request(Method::GET, &path).timeout(CALL_LIMIT))
                .await,
        )
    }

    /// Streams a file to the daemon, which checks that `sha256` is its digest.
    pub async fn upload(
        &self,
        plugin: &Name,
        sha256: &Sha256Hex,
        file: tokio::fs::File,
    ) -> Result<StagedContent, ClientError> {
        let length = file.metadata().await.map_err(ClientError::File)?.len();
        let path = format!("plugins/{plugin}/content");
        let request = self
            .request(Method::POST, &path)
            .timeout(UPLOAD_LIMIT)
            .header(CONTENT_SHA256, sha256.as_str())
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, length)
            .body(reqwest::Body::wrap_stream(ReaderStream::with_capacity(
                file,
                1 << 18,
            )));
        self.call(request).await
    }

    /// What would come of a connector.
    pub async fn preview(&self, name: &Name, preview: &Preview) -> Result<Previewed, ClientError> {
        let path = format!("connectors/{name}/preview");
        let request = self.request(Method::POST, &path).timeout(PREVIEW_LIMIT);
        self.call(request.json(preview)).await
    }

    /// What would come of a Kafka cluster: the daemon looks at it.
    pub async fn preview_cluster(
        &self,
        name: &Name,
        preview: &KafkaClusterPreview,
    ) -> Result<KafkaClusterPreviewed, ClientError> {
        let path = format!("kafka-clusters/{name}/preview");
        let request = self.request(Method::POST, &path).timeout(PREVIEW_LIMIT);
        self.call(request.json(preview)).await
    }

    /// `path` is below `/api/v1/`; names in it need no escape, their alphabet is a URL's.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}/api/v1/{path}", self.endpoint))
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        let status = response.status();
        let body = self.body(response).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| {
                self.not_runnel(format!("it answers {status} with something else: {error}"))
            });
        }
        Err(self.refusal(status, &body))
    }

    async fn body(&self, response: reqwest::Response) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| self.broken(&error))?;
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                let text = format!("its answer is larger than {} MiB", ANSWER_BYTES_MAX >> 20);
                return Err(self.not_runnel(text));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> ClientError {
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) if problem.code == ErrorCode::Unauthenticated => {
                ClientError::Unauthenticated {
                    endpoint: self.endpoint.clone(),
                    token_sent: self.token_sent,
                    hint: problem.hint,
                }
            }
            Ok(problem) if problem.code == ErrorCode::UnknownEndpoint => {
                self.not_runnel(problem.message)
            }
            Ok(problem) => ClientError::Refused(problem),
            Err(_) => self.not_runnel(format!("it answers with HTTP status {status}")),
        }
    }

    fn broken(&self, error: &reqwest::Error) -> ClientError {
        let (endpoint, reason) = (self.endpoint.clone(), innermost(error));
        if error.is_connect() && is_distrust(error) {
            ClientError::Untrusted { endpoint, reason }
        } else if error.is_connect() {
            ClientError::NotRunning { endpoint, reason }
        } else if error.is_timeout() {
            let reason = "it did not answer in time".to_owned();
            ClientError::Lost { endpoint, reason }
        } else if is_foreign(error) {
            self.not_runnel(format!("it does not speak HTTP ({reason})"))
        } else {
            ClientError::Lost { endpoint, reason }
        }
    }

    fn not_runnel(&self, answer: String) -> ClientError {
        ClientError::NotRunnel {
            endpoint: self.endpoint.clone(),
            answer,
        }
    }
}

/// `NOT_FOUND` is an answer, not an error.
fn absent<T>(result: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code() == Some(ErrorCode::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The last cause, which says most: "Connection refused (os error 111)".
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The daemon answered, with a certificate that is not to be trusted.
fn is_distrust(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(next) = cause {
        if let Some(rustls::Error::InvalidCertificate(_)) = next.downcast_ref() {
            return true;
        }
        // An I/O error passes over the error in it when it is asked for its source.
        let inner = next.downcast_ref::<std::io::Error>();
        let inner = inner.and_then(std::io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => next.source(),
        };
    }
    false
}

/// The bytes that came back are no HTTP at all.
fn is_foreign(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(next) = cause {
        if let Some(hyper) = next.downcast_ref::<hyper::Error>() {
            return hyper.is_parse();
        }
        cause = next.source();
    }
    false
}
