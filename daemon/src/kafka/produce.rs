//! Records into topics, over librdkafka.

use super::access::Access;
use super::failure::Failure;
use super::librdkafka::{is_locked_out, settings};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError as NativeError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::time::Duration;
use tokio::sync::watch;

/// KiB of records that wait inside librdkafka; more are refused, not queued.
const QUEUE_KIB: u32 = 8 << 10;

/// Why records are not in a topic.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    /// The settings make no client.
    #[error("the Kafka client cannot be made")]
    Settings(#[source] NativeError),
    /// There is no such login for the daemon.
    #[error("the login cannot be used")]
    Login(#[source] Failure),
    /// The cluster does not let us in.
    #[error("the cluster does not let us in: {0}")]
    LockedOut(String),
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
            Self::Settings(_) | Self::Login(_) | Self::LockedOut(_) => return true,
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

/// Errors come with the records; librdkafka's own log lines would only repeat them. But when it is
/// not let in it only tries again, so that is told to whoever waits.
#[derive(Clone)]
struct Doorkeeper {
    locked_out: watch::Sender<Option<String>>,
}

impl ClientContext for Doorkeeper {
    fn error(&self, error: NativeError, reason: &str) {
        if error.rdkafka_error_code().is_some_and(is_locked_out) {
            self.locked_out.send_replace(Some(reason.to_owned()));
        }
    }

    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
}

/// Writes records in order: one request in flight, all in-sync replicas acknowledge.
pub struct Producer {
    inner: FutureProducer<Doorkeeper>,
    locked_out: watch::Receiver<Option<String>>,
    timeout: Duration,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Producer")
    }
}

impl Producer {
    /// A client of a cluster; it connects by itself.
    pub fn new(access: &Access, timeout: Duration) -> Result<Self, ProduceError> {
        let mut config = settings(access).map_err(ProduceError::Login)?;
        config
            .set("client.id", "runnel-logs")
            .set("acks", "all")
            .set("max.in.flight.requests.per.connection", "1")
            .set("linger.ms", "20")
            .set("allow.auto.create.topics", "false")
            .set("queue.buffering.max.kbytes", QUEUE_KIB.to_string())
            .set("message.timeout.ms", timeout.as_millis().to_string());
        let (sender, locked_out) = watch::channel(None);
        let doorkeeper = Doorkeeper { locked_out: sender };
        let inner = config
            .create_with_context(doorkeeper)
            .map_err(ProduceError::Settings)?;
        Ok(Self {
            inner,
            locked_out,
            timeout,
        })
    }

    /// Writes records (key, value) and waits for all of them, at most the time-out and a little.
    /// After an error some may be written, and the producer is of no more use.
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
        let mut locked_out = self.locked_out.clone();
        let all_or_nothing = async {
            tokio::select! {
                written = all => written,
                Ok(reason) = locked_out.wait_for(Option::is_some) => {
                    Err(ProduceError::LockedOut(reason.clone().unwrap_or_default()))
                }
            }
        };
        // librdkafka keeps the time itself; the rest is for a client that hangs.
        let limit = self.timeout + Duration::from_secs(5);
        tokio::time::timeout(limit, all_or_nothing)
            .await
            .unwrap_or(Err(ProduceError::Ended))
    }
}
