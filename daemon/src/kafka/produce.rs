//! Records into topics, over librdkafka.

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError as NativeError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::collections::BTreeMap;
use std::time::Duration;

/// KiB of records that wait inside librdkafka; more are refused, not queued.
const QUEUE_KIB: u32 = 8 << 10;

/// Why records are not in a topic.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    /// The settings make no client.
    #[error("the Kafka client cannot be made")]
    Settings(#[source] NativeError),
    /// The cluster says no, or nothing within the time.
    #[error("the records could not be written")]
    Write(#[source] NativeError),
    /// The client ended meanwhile.
    #[error("the Kafka client has ended")]
    Ended,
}

impl ProduceError {
    /// True when trying again will not help until somebody changes something.
    pub fn is_refusal(&self) -> bool {
        let code = match self {
            Self::Settings(_) => return true,
            Self::Write(error) => error.rdkafka_error_code(),
            Self::Ended => None,
        };
        matches!(
            code,
            Some(
                RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::ClusterAuthorizationFailed
                    | RDKafkaErrorCode::SaslAuthenticationFailed
                    | RDKafkaErrorCode::Authentication
                    | RDKafkaErrorCode::InvalidTopic
                    | RDKafkaErrorCode::MessageSizeTooLarge
                    | RDKafkaErrorCode::PolicyViolation
            )
        )
    }
}

/// Errors come with the records; librdkafka's own log lines would only repeat them.
#[derive(Clone)]
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, _: NativeError, _: &str) {}

    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
}

/// Writes records in order: one request in flight, all in-sync replicas acknowledge.
pub struct Producer {
    inner: FutureProducer<Quiet>,
    timeout: Duration,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Producer")
    }
}

impl Producer {
    /// A client of a cluster; it connects by itself. `settings` are librdkafka's, for security.
    pub fn new(
        servers: &[(String, u16)],
        settings: &BTreeMap<String, String>,
        timeout: Duration,
    ) -> Result<Self, ProduceError> {
        let servers: Vec<String> = servers
            .iter()
            .map(|(host, port)| {
                super::Server {
                    host: host.clone(),
                    port: *port,
                }
                .to_string()
            })
            .collect();
        let mut config = ClientConfig::new();
        for (key, value) in settings {
            config.set(key, value);
        }
        config
            .set("bootstrap.servers", servers.join(","))
            .set("client.id", "runnel-logs")
            .set("acks", "all")
            .set("max.in.flight.requests.per.connection", "1")
            .set("linger.ms", "20")
            .set("allow.auto.create.topics", "false")
            .set("queue.buffering.max.kbytes", QUEUE_KIB.to_string())
            .set("message.timeout.ms", timeout.as_millis().to_string());
        let inner = config
            .create_with_context(Quiet)
            .map_err(ProduceError::Settings)?;
        Ok(Self { inner, timeout })
    }

    /// Writes records (key, value) and waits for all of them, at most the time-out and a little.
    /// After an error some may be written.
    pub async fn send(
        &self,
        topic: &str,
        records: &[(String, Vec<u8>)],
    ) -> Result<(), ProduceError> {
        let mut waiting = Vec::with_capacity(records.len());
        for (key, value) in records {
            let record = FutureRecord::to(topic).key(key).payload(value);
            let queued = self.inner.send_result(record);
            waiting.push(queued.map_err(|(error, _)| ProduceError::Write(error))?);
        }
        let all = async {
            for delivery in waiting {
                match delivery.await {
                    Ok(Ok(_)) => {}
                    Ok(Err((error, _))) => return Err(ProduceError::Write(error)),
                    Err(_) => return Err(ProduceError::Ended),
                }
            }
            Ok(())
        };
        // librdkafka keeps the time itself; the rest is for a client that hangs.
        let limit = self.timeout + Duration::from_secs(5);
        tokio::time::timeout(limit, all)
            .await
            .unwrap_or(Err(ProduceError::Ended))
    }
}
