//! Client of one worker's REST interface (Kafka Connect 3.9 and 4.x).
//!
//! Every call ends: with an answer, with the proof that nothing was sent, or with *unknown*. No text that may hold a
//! configuration leaves this module, and known secrets are replaced in those that do.

use super::secrets::Redactor;
use super::trace::trace_root_line;
use futures_util::StreamExt;
use http::{Method, StatusCode};
use reqwest::{RequestBuilder, Url};
use runnel_api::Secret;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Longest an ordinary call may take.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// Longest a validation may take: it connects to the source.
const VALIDATE_LIMIT: Duration = Duration::from_secs(15);
/// How long a call is repeated while the group rebalances. A rebalance of a healthy fleet takes under a second.
const REBALANCE_LIMIT: Duration = Duration::from_secs(10);
/// First pause between such calls; it doubles up to the second number.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// Largest answer that is read. A validation of Debezium's connector for `MySQL` is 300 KB.
const ANSWER_LIMIT: usize = 16 << 20;
/// Characters of a message from Connect that are passed on.
const MESSAGE_LIMIT: usize = 4000;

/// Why a call gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// The worker refused the connection: it has not seen the request.
    #[error("the worker could not be reached")]
    NotSent,
    /// No answer after the request was sent, or a broken one: it may have been carried out or not. Look.
    #[error("the worker's answer did not come: {0}")]
    Unknown(&'static str),
    /// Connect said no.
    #[error("Kafka Connect answered {code}: {message}")]
    Status {
        /// HTTP status.
        code: u16,
        /// Its words, without secrets.
        message: String,
    },
    /// The call was carried out, and the answer is not what this release of Kafka Connect is known to give.
    #[error("Kafka Connect's answer to {0} cannot be read")]
    Unreadable(&'static str),
}

impl RestError {
    /// Whether Connect says that there is no such connector or task.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { code: 404, .. })
    }
}

/// A state as Connect names it, of a connector or a task.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum RunState {
    /// `RUNNING`
    Running,
    /// `PAUSED`
    Paused,
    /// `STOPPED` (KIP-875)
    Stopped,
    /// `FAILED`
    Failed,
    /// `UNASSIGNED`
    Unassigned,
    /// `RESTARTING`
    Restarting,
    /// One that this release does not know.
    Other(String),
}

impl From<String> for RunState {
    fn from(text: String) -> Self {
        match text.as_str() {
            "RUNNING" => Self::Running,
            "PAUSED" => Self::Paused,
            "STOPPED" => Self::Stopped,
            "FAILED" => Self::Failed,
            "UNASSIGNED" => Self::Unassigned,
            "RESTARTING" => Self::Restarting,
            _ => Self::Other(text),
        }
    }
}

impl std::fmt::Display for RunState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Failed => "FAILED",
            Self::Unassigned => "UNASSIGNED",
            Self::Restarting => "RESTARTING",
            Self::Other(text) => text,
        })
    }
}

/// What Connect says of a connector. Believe a state only when its `worker_id` is a live process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectStatus {
    /// The connector's own state.
    pub state: RunState,
    /// `host:port` of the worker that runs it.
    pub worker_id: String,
    /// Its trace when it failed, without secrets.
    pub trace: Option<String>,
    /// Its tasks, by number.
    pub tasks: Vec<ConnectTask>,
    /// Whether it is a source, in Connect's word.
    pub is_source: bool,
}

/// What Connect says of a task.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ConnectTask {
    /// Its number.
    pub id: u32,
    /// Its state.
    pub state: RunState,
    /// `host:port` of its worker.
    pub worker_id: String,
    /// Its trace when it failed, without secrets.
    #[serde(default)]
    pub trace: Option<String>,
}

impl ConnectTask {
    /// The root line of its trace.
    pub fn reason(&self) -> Option<String> {
        self.trace.as_deref().map(trace_root_line)
    }
}

/// What Connect's validation finds wrong with one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyErrors {
    /// The key.
    pub key: String,
    /// One sentence each, without secrets.
    pub errors: Vec<String>,
}

/// The client that all workers of a daemon share.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    crate::http_client::plain()
        // Workers are on loopback; a proxy of the environment must not see their passwords.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CALL_LIMIT)
        // A worker is asked every second at most; many idle connections would only hold its threads.
        .pool_max_idle_per_host(2)
        .build()
}

/// Client of one worker. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ConnectClient {
    http: reqwest::Client,
    port: u16,
    user: &'static str,
    password: Secret,
    redactor: Redactor,
    /// Longest that any call may take.
    most: Duration,
}

/// One call: what, how long, and whether its failure may quote a configuration.
struct Call<'a> {
    /// For error texts.
    what: &'static str,
    method: Method,
    path: &'a [&'a str],
    query: &'a [(&'a str, &'a str)],
    body: Option<Value>,
    limit: Duration,
    quotes: Quotes,
}

/// Whether a text that comes back may hold what was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// No configuration was sent.
    Nothing,
    /// A 500 may hold the whole configuration, passwords included (measured): its text is not passed on.
    Configuration,
}

impl<'a> Call<'a> {
    const fn new(what: &'static str, method: Method, path: &'a [&'a str]) -> Self {
        Self {
            what,
            method,
            path,
            query: &[],
            body: None,
            limit: CALL_LIMIT,
            quotes: Quotes::Nothing,
        }
    }

    fn configuration(mut self, body: Value) -> Self {
        self.body = Some(body);
        self.quotes = Quotes::Configuration;
        self
    }
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
}

impl ConnectClient {
    /// For the worker on this port of 127.0.0.1. `redactor` knows what no text may hold.
    pub fn new(
        http: reqwest::Client,
        port: u16,
        user: &'static str,
        password: Secret,
        redactor: Redactor,
    ) -> Self {
        Self {
            http,
            port,
            user,
            password,
            redactor,
            most: Duration::MAX,
        }
    }

    /// The same client, whose calls take so long at most, repetitions included.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.most = limit;
        self
    }

    /// Whether the worker answers anything at all, also while its group is out of its reach.
    pub async fn answers(&self) -> bool {
        let call = Call::new("the root resource", Method::GET, &[""]);
        matches!(
            self.once(&call).await,
            Ok(_) | Err(RestError::Status { .. })
        )
    }

    /// `host:port`, as Connect names the worker.
    pub fn worker_id(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Whether the worker has started and is in its group (`GET /health`, KIP-1017). False while it starts.
    pub async fn health(&self) -> Result<bool, RestError> {
        let call = Call::new("the health check", Method::GET, &["health"]);
        match self.once(&call).await {
            Ok(_) => Ok(true),
            // 503: starting up; 500: started, and does not see its coordinator.
            Err(RestError::Status {
                code: 500 | 503, ..
            }) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Id of the Kafka cluster behind the worker.
    pub async fn cluster_id(&self) -> Result<String, RestError> {
        #[derive(Deserialize)]
        struct Root {
            kafka_cluster_id: String,
        }
        let root: Root = self.get("the root resource", &[""]).await?;
        Ok(root.kafka_cluster_id)
    }

    /// Names of the connectors.
    pub async fn connectors(&self) -> Result<Vec<String>, RestError> {
        self.get("the list of connectors", &["connectors"]).await
    }

    /// Creates a connector that has no tasks until it is resumed (KIP-980).
    pub async fn create_stopped(
        &self,
        name: &str,
        config: &BTreeMap<String, String>,
    ) -> Result<(), RestError> {
        let body = json!({"name": name, "initial_state": "STOPPED", "config": config});
        let call = Call::new("a create", Method::POST, &["connectors"]).configuration(body);
        self.done(&call).await
    }

    /// Replaces the configuration.
    pub async fn put_config(
        &self,
        name: &str,
        config: &BTreeMap<String, String>,
    ) -> Result<(), RestError> {
        let path = ["connectors", name, "config"];
        let call =
            Call::new("a new configuration", Method::PUT, &path).configuration(json!(config));
        self.done(&call).await
    }

    /// The configuration, as it was put: with references, not with secrets.
    pub async fn get_config(&self, name: &str) -> Result<BTreeMap<String, String>, RestError> {
        self.get("the configuration", &["connectors", name, "config"])
            .await
    }

    /// The state of a connector and its tasks.
    pub async fn status(&self, name: &str) -> Result<ConnectStatus, RestError> {
        #[derive(Deserialize)]
        struct Own {
            state: RunState,
            worker_id: String,
            #[serde(default)]
            trace: Option<String>,
        }
        #[derive(Deserialize)]
        struct Body {
            connector: Own,
            tasks: Vec<ConnectTask>,
            #[serde(default)]
            r#type: String,
        }
        let mut body: Body = self
            .get("the status", &["connectors", name, "status"])
            .await?;
        for task in &mut body.tasks {
            self.clean(&mut task.trace);
        }
        self.clean(&mut body.connector.trace);
        body.tasks.sort_by_key(|task| task.id);
        Ok(ConnectStatus {
            state: body.connector.state,
            worker_id: body.connector.worker_id,
            trace: body.connector.trace,
            tasks: body.tasks,
            is_source: body.r#type == "source",
        })
    }

    fn clean(&self, text: &mut Option<String>) {
        if let Some(text) = text {
            *text = self.redactor.redact(text).into_owned();
        }
    }

    /// Stops it: no tasks, position kept. Carried out when the status says so.
    pub async fn stop(&self, name: &str) -> Result<(), RestError> {
        self.put("a stop", &["connectors", name, "stop"]).await
    }

    /// Pauses it: its tasks wait.
    pub async fn pause(&self, name: &str) -> Result<(), RestError> {
        self.put("a pause", &["connectors", name, "pause"]).await
    }

    /// Ends a stop or a pause.
    pub async fn resume(&self, name: &str) -> Result<(), RestError> {
        self.put("a resume", &["connectors", name, "resume"]).await
    }

    /// Restarts a connector, with its tasks or only its failed parts if so wanted (KIP-745).
    pub async fn restart(
        &self,
        name: &str,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<(), RestError> {
        let path = ["connectors", name, "restart"];
        let word = |flag| if flag { "true" } else { "false" };
        let query = [
            ("includeTasks", word(include_tasks)),
            ("onlyFailed", word(only_failed)),
        ];
        let mut call = Call::new("a restart", Method::POST, &path);
        call.query = &query;
        self.done(&call).await
    }

    /// Restarts one task.
    pub async fn restart_task(&self, name: &str, task: u32) -> Result<(), RestError> {
        let task = task.to_string();
        let path = ["connectors", name, "tasks", &task, "restart"];
        self.done(&Call::new("a task's restart", Method::POST, &path))
            .await
    }

    /// Recorded positions (KIP-875): `{"offsets": [{"partition": …, "offset": …}]}`.
    pub async fn offsets(&self, name: &str) -> Result<Value, RestError> {
        self.get("the offsets", &["connectors", name, "offsets"])
            .await
    }

    /// Sets positions, in the form that [`Self::offsets`] gives; the connector must be stopped.
    pub async fn alter_offsets(&self, name: &str, offsets: &Value) -> Result<(), RestError> {
        let path = ["connectors", name, "offsets"];
        let mut call = Call::new("new offsets", Method::PATCH, &path);
        call.body = Some(offsets.clone());
        // A sink's are consumer group offsets, which take seconds to change.
        call.limit = VALIDATE_LIMIT;
        self.done(&call).await
    }

    /// Deletes a connector; `Ok` also when there is none.
    pub async fn delete(&self, name: &str) -> Result<(), RestError> {
        let path = ["connectors", name];
        match self
            .done(&Call::new("a delete", Method::DELETE, &path))
            .await
        {
            Err(e) if e.is_not_found() => Ok(()),
            result => result,
        }
    }

    /// Topics that it has used (KIP-558).
    pub async fn topics(&self, name: &str) -> Result<Vec<String>, RestError> {
        #[derive(Default, Deserialize)]
        struct Topics {
            topics: Vec<String>,
        }
        let mut all: BTreeMap<String, Topics> = self
            .get("the topics", &["connectors", name, "topics"])
            .await?;
        Ok(all.remove(name).unwrap_or_default().topics)
    }

    /// What Connect and the class find wrong with a configuration; keys without errors are left out. It connects to
    /// the source.
    pub async fn validate(
        &self,
        class: &str,
        config: &BTreeMap<String, String>,
    ) -> Result<Vec<KeyErrors>, RestError> {
        #[derive(Deserialize)]
        struct Info {
            #[serde(default)]
            name: String,
            #[serde(default)]
            errors: Vec<String>,
        }
        #[derive(Deserialize)]
        struct Entry {
            value: Info,
        }
        #[derive(Deserialize)]
        struct Body {
            configs: Vec<Entry>,
        }
        let mut config = config.clone();
        // Without it the answer is a 500 that quotes everything.
        config.insert("connector.class".into(), class.into());
        // A PUT of a configuration gives it by its path; here its absence would be an error of its own.
        config
            .entry("name".into())
            .or_insert_with(|| "validation".into());
        let path = ["connector-plugins", class, "config", "validate"];
        let mut call = Call::new("a validation", Method::PUT, &path).configuration(json!(config));
        call.limit = VALIDATE_LIMIT;
        let body: Body = self.read(&call).await?;
        let clean = |text: &String| self.redactor.redact(text).into_owned();
        Ok(body
            .configs
            .into_iter()
            .filter(|entry| !entry.value.errors.is_empty())
            .map(|entry| KeyErrors {
                key: entry.value.name,
                errors: entry.value.errors.iter().map(clean).collect(),
            })
            .collect())
    }

    async fn get<T: DeserializeOwned>(
        &self,
        what: &'static str,
        path: &[&str],
    ) -> Result<T, RestError> {
        self.read(&Call::new(what, Method::GET, path)).await
    }

    async fn put(&self, what: &'static str, path: &[&str]) -> Result<(), RestError> {
        self.done(&Call::new(what, Method::PUT, path)).await
    }

    async fn done(&self, call: &Call<'_>) -> Result<(), RestError> {
        self.patiently(call).await.map(drop)
    }

    async fn read<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, RestError> {
        let body = self.patiently(call).await?;
        serde_json::from_slice(&body).map_err(|_| RestError::Unreadable(call.what))
    }

    /// Repeats a call that Connect put off, up to a limit. It did nothing in that case, so this is safe for all calls.
    async fn patiently(&self, call: &Call<'_>) -> Result<Vec<u8>, RestError> {
        let end = Instant::now() + REBALANCE_LIMIT.min(self.most);
        let mut pause = PAUSES.0;
        loop {
            match self.once(call).await {
                Err(RestError::Status { code, message })
                    if is_put_off(code, &message) && Instant::now() + pause < end =>
                {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
                result => return result,
            }
        }
    }

    async fn once(&self, call: &Call<'_>) -> Result<Vec<u8>, RestError> {
        let answer = async {
            let response = self.request(call)?.send().await.map_err(|e| {
                if e.is_connect() {
                    RestError::NotSent
                } else {
                    RestError::Unknown("the connection broke")
                }
            })?;
            let status = response.status();
            let mut body = Vec::new();
            let mut stream = response.bytes_stream();
            while let Some(bytes) = stream.next().await {
                let bytes = bytes.map_err(|_| RestError::Unknown("the answer broke off"))?;
                if body.len() + bytes.len() > ANSWER_LIMIT {
                    return Err(RestError::Unreadable(call.what));
                }
                body.extend_from_slice(&bytes);
            }
            Ok((status, body))
        };
        let (status, body) = tokio::time::timeout(call.limit.min(self.most), answer)
            .await
            .map_err(|_| RestError::Unknown("it took too long"))??;
        if status.is_success() {
            return Ok(body);
        }
        Err(RestError::Status {
            code: status.as_u16(),
            message: self.message(call, status, &body),
        })
    }

    fn request(&self, call: &Call<'_>) -> Result<RequestBuilder, RestError> {
        let mut url = Url::parse(&format!("http://127.0.0.1:{}", self.port))
            .map_err(|_| RestError::NotSent)?;
        url.path_segments_mut()
            .map_err(|()| RestError::NotSent)?
            .clear()
            .extend(call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let request = self
            .http
            .request(call.method.clone(), url)
            .basic_auth(self.user, Some(self.password.expose()));
        Ok(match &call.body {
            Some(body) => request.json(body),
            None => request,
        })
    }

    fn message(&self, call: &Call<'_>, status: StatusCode, body: &[u8]) -> String {
        if status.is_server_error() && call.quotes == Quotes::Configuration {
            return format!("{} failed inside Kafka Connect", call.what);
        }
        let message = serde_json::from_slice::<Refusal>(body).map_or_else(
            // Jetty's own pages are HTML: of no use to anyone.
            |_| status.canonical_reason().unwrap_or("no reason").to_owned(),
            |refusal| refusal.message,
        );
        let message = self.redactor.redact(&message);
        message[..message.floor_char_boundary(MESSAGE_LIMIT)].to_owned()
    }
}

/// Whether Connect did nothing because its group is in motion. A name that is taken is a 409 as well.
fn is_put_off(code: u16, message: &str) -> bool {
    code == 409
        && ["rebalance", "momentarily", "no known leader", "stale"]
            .iter()
            .any(|word| message.contains(word))
}

#[cfg(test)]
#[path = "connect_rest_tests.rs"]
mod tests;
