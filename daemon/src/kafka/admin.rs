//! A cluster's administration: whom to ask, and what the cluster is.

use super::access::Access;
use super::call::Call;
use super::connection::{Connection, Deadline};
use super::error::{Code, KafkaError, Server};
use super::failure::Failure;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponse;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Bootstrap servers that are tried, all at once; more than these tell nothing new.
const BOOTSTRAP_MAX: usize = 16;
/// First and longest pause between two attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// A broker as the cluster advertises it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its node id.
    pub id: i32,
    /// Its advertised listener.
    pub server: Server,
}

/// What [`KafkaAdmin::describe_cluster`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's id, if it has one.
    pub id: Option<String>,
    /// The live brokers.
    pub brokers: Vec<Broker>,
    /// Node id of the broker that takes changes; `None` while there is none. With `KRaft` any
    /// broker does, and passes them on.
    pub controller: Option<i32>,
}

impl Cluster {
    pub(super) fn server(&self, id: i32) -> Option<&Server> {
        self.brokers
            .iter()
            .find(|broker| broker.id == id)
            .map(|broker| &broker.server)
    }
}

/// Administration of one cluster; connections are opened as needed and kept.
///
/// Each public call is bounded as a whole by the time-out given to [`KafkaAdmin::connect`]:
/// connecting, finding the right broker and repeating included. Calls can be repeated; a dropped
/// call harms nothing but its connection.
#[derive(Debug)]
pub struct KafkaAdmin {
    bootstrap: Vec<Server>,
    access: Arc<Access>,
    timeout: Duration,
    /// The bootstrap server that answered first.
    home: Server,
    connections: HashMap<Server, Connection>,
}

impl KafkaAdmin {
    /// Connects to the first server of `access` that answers, and logs in.
    ///
    /// # Errors
    /// [`KafkaError::NoneAnswered`] with the reason of each server.
    pub async fn connect(access: &Access, timeout: Duration) -> Result<Self, KafkaError> {
        let access = Arc::new(access.clone());
        let bootstrap: Vec<Server> = access
            .servers
            .iter()
            .take(BOOTSTRAP_MAX)
            .map(|(host, port)| Server {
                host: host.clone(),
                port: *port,
            })
            .collect();
        let (home, connection) = race(&bootstrap, &access, Deadline::after(timeout)).await?;
        Ok(Self {
            bootstrap,
            access,
            timeout,
            home: home.clone(),
            connections: HashMap::from([(home, connection)]),
        })
    }

    /// Cluster id, brokers and controller.
    pub async fn describe_cluster(&mut self) -> Result<Cluster, KafkaError> {
        let deadline = self.deadline();
        self.cluster(deadline).await
    }

    /// The server that is asked first.
    pub(super) fn home(&self) -> &Server {
        &self.home
    }

    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(self.timeout)
    }

    pub(super) async fn cluster(&mut self, deadline: Deadline) -> Result<Cluster, KafkaError> {
        let (_, answer) = self.metadata(&[], deadline).await?;
        Ok(cluster_of(&answer))
    }

    /// Metadata of exactly `topics`; none is made by asking.
    pub(super) async fn metadata(
        &mut self,
        topics: &[&str],
        deadline: Deadline,
    ) -> Result<(Server, MetadataResponse), KafkaError> {
        let topics = topics
            .iter()
            .map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))))
            .collect();
        let request = MetadataRequest::default()
            .with_topics(Some(topics))
            .with_allow_auto_topic_creation(false);
        self.ask_any(&request, deadline).await
    }

    /// Asks the home broker, or whichever bootstrap server answers if that is gone.
    pub(super) async fn ask_any<C: Call>(
        &mut self,
        request: &C,
        deadline: Deadline,
    ) -> Result<(Server, C::Response), KafkaError> {
        let home = self.home.clone();
        if let Some(answer) = self.ask_kept(&home, request, deadline).await {
            return answer
                .map(|answer| (home.clone(), answer))
                .map_err(|failure| call_failed::<C>(&home, failure));
        }
        let (home, connection) = race(&self.bootstrap, &self.access, deadline).await?;
        self.home = home.clone();
        let answer = self.ask_on(&home, connection, request, deadline).await;
        answer
            .map(|answer| (home.clone(), answer))
            .map_err(|failure| call_failed::<C>(&home, failure))
    }

    /// Asks one broker.
    pub(super) async fn ask<C: Call>(
        &mut self,
        server: &Server,
        request: &C,
        deadline: Deadline,
    ) -> Result<C::Response, KafkaError> {
        if let Some(answer) = self.ask_kept(server, request, deadline).await {
            return answer.map_err(|failure| call_failed::<C>(server, failure));
        }
        let answer = match Connection::open(server, &self.access, deadline).await {
            Ok(opened) => self.ask_on(server, opened, request, deadline).await,
            Err(failure) => Err(failure),
        };
        answer.map_err(|failure| call_failed::<C>(server, failure))
    }

    /// Asks on the kept connection; `None` if there is none, or if it was closed since its last use.
    async fn ask_kept<C: Call>(
        &mut self,
        server: &Server,
        request: &C,
        deadline: Deadline,
    ) -> Option<Result<C::Response, Failure>> {
        let kept = self
            .connections
            .remove(server)
            .filter(Connection::is_usable)?;
        let was_fresh = kept.is_fresh();
        let answer = self.ask_on(server, kept, request, deadline).await;
        let was_closed = answer.as_ref().is_err_and(Failure::is_lost_connection);
        (was_fresh || !was_closed).then_some(answer)
    }

    /// Asks on a connection and keeps it if it stays usable.
    async fn ask_on<C: Call>(
        &mut self,
        server: &Server,
        mut connection: Connection,
        request: &C,
        deadline: Deadline,
    ) -> Result<C::Response, Failure> {
        let answer = connection.call(request, deadline).await;
        if connection.is_usable() {
            self.connections.insert(server.clone(), connection);
        }
        answer
    }

    /// The broker that takes changes; waited for while the cluster has none.
    pub(super) async fn controller(&mut self, deadline: Deadline) -> Result<Server, KafkaError> {
        let mut pause = Pause::until(deadline);
        loop {
            let (asked, answer) = self.metadata(&[], deadline).await?;
            let cluster = cluster_of(&answer);
            if let Some(server) = cluster.controller.and_then(|id| cluster.server(id)) {
                return Ok(server.clone());
            }
            if !pause.once_more().await {
                return Err(KafkaError::LeftOut {
                    server: asked,
                    call: MetadataRequest::NAME,
                    subject: "the controller".to_owned(),
                });
            }
        }
    }
}

/// Opens all at once and keeps the first that answers.
async fn race(
    servers: &[Server],
    access: &Access,
    deadline: Deadline,
) -> Result<(Server, Connection), KafkaError> {
    if servers.is_empty() {
        return Err(KafkaError::NoServers);
    }
    let mut opening: FuturesUnordered<_> = servers
        .iter()
        .map(|server| async move {
            (
                server.clone(),
                Connection::open(server, access, deadline).await,
            )
        })
        .collect();
    let mut failures = Vec::new();
    while let Some((server, opened)) = opening.next().await {
        match opened {
            Ok(connection) => return Ok((server, connection)),
            Err(failure) => failures.push((server, failure)),
        }
    }
    Err(KafkaError::NoneAnswered(failures))
}

fn call_failed<C: Call>(server: &Server, failure: Failure) -> KafkaError {
    KafkaError::Call {
        server: server.clone(),
        call: C::NAME,
        failure,
    }
}

fn cluster_of(answer: &MetadataResponse) -> Cluster {
    let brokers = answer.brokers.iter().filter_map(|broker| {
        let port = u16::try_from(broker.port).ok()?;
        Some(Broker {
            id: broker.node_id.0,
            server: Server {
                host: broker.host.to_string(),
                port,
            },
        })
    });
    Cluster {
        id: answer.cluster_id.as_ref().map(ToString::to_string),
        brokers: brokers.collect(),
        controller: Some(answer.controller_id.0).filter(|id| *id >= 0),
    }
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Pauses between attempts, growing, until a deadline.
pub(super) struct Pause {
    next: Duration,
    deadline: Deadline,
}

impl Pause {
    pub(super) fn until(deadline: Deadline) -> Self {
        Self {
            next: PAUSE.0,
            deadline,
        }
    }

    /// Waits; false once the time is up.
    pub(super) async fn once_more(&mut self) -> bool {
        let until = (tokio::time::Instant::now() + self.next).min(self.deadline.at);
        tokio::time::sleep_until(until).await;
        self.next = (self.next * 2).min(PAUSE.1);
        !self.deadline.has_passed()
    }
}

/// The error of an item of an answer, if it has one.
pub(super) fn refusal(
    server: &Server,
    call: &'static str,
    subject: &str,
    code: i16,
    text: Option<&StrBytes>,
) -> Result<(), KafkaError> {
    match Code::of(code) {
        None => Ok(()),
        Some(code) => Err(KafkaError::refused(
            server,
            call,
            subject,
            code,
            text.map(|text| &**text),
        )),
    }
}
