//! Reads whole topics, from their first record to where they come to rest.

use crate::envelope::{Format, Parser};
use crate::event::{Event, RawRecord};
use crate::{Checker, History, Mode, Verdict};
use rdkafka::Message as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::metadata::MetadataPartition;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Which records a reader gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Those of committed transactions, and those of none.
    #[default]
    ReadCommitted,
    /// All.
    ReadUncommitted,
}

/// What to read.
#[derive(Debug, Clone)]
pub struct ReadConfig {
    /// Brokers, `host:port`, with commas.
    pub bootstrap: String,
    /// More settings of librdkafka, such as `security.protocol`.
    pub properties: Vec<(String, String)>,
    /// Topics, all partitions of each.
    pub topics: Vec<String>,
    /// Which records.
    pub isolation: Isolation,
    /// How records are written.
    pub format: Format,
    /// Name of the workload.
    pub table: String,
    /// A topic is at rest when all was read and nothing came for so long.
    pub quiet: Duration,
    /// The longest wait for a rest, from the first call on.
    pub limit: Duration,
}

impl ReadConfig {
    /// Debezium's JSON of a plain broker, with a rest of 3 s and a bound of 2 min.
    pub fn new(bootstrap: &str, table: &str, topics: &[&str]) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            properties: Vec::new(),
            topics: topics.iter().map(|it| (*it).to_owned()).collect(),
            isolation: Isolation::default(),
            format: Format::ConnectJson,
            table: table.to_owned(),
            quiet: Duration::from_secs(3),
            limit: Duration::from_mins(2),
        }
    }
}

/// Topics could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Kafka.
    #[error("{doing}")]
    Kafka {
        /// What was tried.
        doing: String,
        /// Why it failed.
        source: KafkaError,
    },
    /// A topic is not there.
    #[error("topic {0} does not exist")]
    NoTopic(String),
    /// New records came, or the broker was away, until the time was up.
    #[error("the topics did not come to rest in {0:?}")]
    Restless(Duration),
}

/// How long one call to the broker may take.
const CALL_LIMIT: Duration = Duration::from_secs(15);
/// The longest wait for a record before the state is looked at.
const POLL: Duration = Duration::from_millis(50);

/// What a reader gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// A record.
    Record(RawRecord),
    /// All was read, and nothing came for [`ReadConfig::quiet`]. A further call waits as long again.
    Quiet,
    /// [`ReadConfig::limit`] is over.
    TimeUp,
}

/// One topic.
struct Topic {
    name: Arc<str>,
    /// Of its own, since the news that a partition is at its end does not tell the topic.
    consumer: BaseConsumer,
    /// Partitions that have records not read yet, as far as is known.
    open: HashSet<i32>,
}

/// Reads topics.
pub struct Reader {
    topics: Vec<Topic>,
    /// Whose turn it is.
    turn: usize,
    quiet: Duration,
    last_news: Instant,
    end: Instant,
}

impl Reader {
    /// Connects and finds the partitions. A topic that is not there is waited for within the bound.
    pub fn open(config: &ReadConfig) -> Result<Self, ReadError> {
        let end = Instant::now() + config.limit;
        let topics = config.topics.iter().map(|it| Topic::open(config, it, end));
        Ok(Self {
            topics: topics.collect::<Result<_, _>>()?,
            turn: 0,
            quiet: config.quiet,
            last_news: Instant::now(),
            end,
        })
    }

    /// The next record, or why there is none. A broker that is away is waited for within the bound.
    pub fn read(&mut self) -> Result<Next, ReadError> {
        let mut idle = 0;
        loop {
            let now = Instant::now();
            if now >= self.end {
                return Ok(Next::TimeUp);
            }
            let all_read = self.topics.iter().all(|it| it.open.is_empty());
            if all_read && now >= self.last_news + self.quiet {
                self.last_news = now;
                return Ok(Next::Quiet);
            }
            // Wait only when every topic had nothing.
            let wait = if idle < self.topics.len() {
                Duration::ZERO
            } else {
                POLL
            };
            let Some(topic) = self.topics.get_mut(self.turn) else {
                self.turn = 0;
                continue;
            };
            match topic.consumer.poll(wait) {
                None => {
                    idle += 1;
                    self.turn += 1;
                }
                Some(Ok(message)) => {
                    self.last_news = now;
                    topic.open.insert(message.partition());
                    return Ok(Next::Record(topic.record(&message)));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    topic.open.remove(&partition);
                }
                Some(Err(error)) => {
                    self.last_news = now;
                    endure(error)?;
                }
            }
        }
    }
}

impl Topic {
    fn open(config: &ReadConfig, topic: &str, end: Instant) -> Result<Self, ReadError> {
        let failed = |doing: &str| {
            let doing = format!("{doing} at {}", config.bootstrap);
            move |source| ReadError::Kafka { doing, source }
        };
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &config.bootstrap)
            // No group is joined: partitions are assigned by hand. librdkafka wants a name all the same.
            .set("group.id", "checker")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "100")
            .set(
                "isolation.level",
                match config.isolation {
                    Isolation::ReadCommitted => "read_committed",
                    Isolation::ReadUncommitted => "read_uncommitted",
                },
            );
        for (key, value) in &config.properties {
            client.set(key, value);
        }
        let consumer: BaseConsumer = client.create().map_err(failed("make a consumer"))?;
        let open: HashSet<i32> = partitions(&consumer, topic, end)?.into_iter().collect();
        let mut assignment = TopicPartitionList::new();
        for partition in &open {
            assignment
                .add_partition_offset(topic, *partition, Offset::Beginning)
                .map_err(failed("assign a partition"))?;
        }
        consumer
            .assign(&assignment)
            .map_err(failed("assign partitions"))?;
        Ok(Self {
            name: topic.into(),
            consumer,
            open,
        })
    }

    fn record(&self, message: &BorrowedMessage<'_>) -> RawRecord {
        RawRecord {
            topic: Arc::clone(&self.name),
            partition: message.partition(),
            offset: message.offset(),
            at: message.timestamp().to_millis().unwrap_or(-1),
            key: message.key().map(text),
            value: message.payload().map(text),
        }
    }
}

/// Errors that pass are waited out; others end the reading.
fn endure(error: KafkaError) -> Result<(), ReadError> {
    use rdkafka::types::RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::Resolve
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::RequestTimedOut
            | Code::NetworkException,
        ) => Ok(()),
        _ => Err(ReadError::Kafka {
            doing: "read".to_owned(),
            source: error,
        }),
    }
}
/// Bytes as text; what is no text becomes its digits, so that two that differ go on to differ.
fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| {
        let digits = bytes.iter().map(|byte| format!("\\x{byte:02x}"));
        digits.collect::<Vec<_>>().concat()
    })
}

/// The numbers of a topic's partitions, once it is there.
fn partitions(consumer: &BaseConsumer, topic: &str, end: Instant) -> Result<Vec<i32>, ReadError> {
    loop {
        let answer = consumer.fetch_metadata(Some(topic), CALL_LIMIT);
        let is_late = Instant::now() >= end;
        match answer {
            Ok(metadata) => {
                let found = metadata.topics().iter().find(|it| it.name() == topic);
                let partitions: Vec<i32> = found
                    .map(|it| it.partitions().iter().map(MetadataPartition::id).collect())
                    .unwrap_or_default();
                if !partitions.is_empty() {
                    return Ok(partitions);
                }
                if is_late {
                    return Err(ReadError::NoTopic(topic.to_owned()));
                }
            }
            Err(source) if is_late => {
                return Err(ReadError::Kafka {
                    doing: format!("look for topic {topic}"),
                    source,
                });
            }
            Err(_) => {}
        }
        std::thread::sleep(POLL);
    }
}

/// Events of topics, from the first to where the topics come to rest.
pub struct Events {
    reader: Reader,
    parser: Parser,
    limit: Duration,
    is_over: bool,
}

impl Iterator for Events {
    type Item = Result<Event, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let error = match self.reader.read() {
            Ok(Next::Record(raw)) => return Some(Ok(self.parser.event(&raw))),
            Ok(Next::Quiet) => None,
            Ok(Next::TimeUp) => Some(ReadError::Restless(self.limit)),
            Err(error) => Some(error),
        };
        self.is_over = true;
        error.map(Err)
    }
}

/// Reads whole topics. The last item is an error when they do not come to rest in time.
pub fn read_topics(config: &ReadConfig) -> Result<Events, ReadError> {
    Ok(Events {
        reader: Reader::open(config)?,
        parser: Parser::new(config.format, &config.table),
        limit: config.limit,
        is_over: false,
    })
}

/// Reads topics and judges them. It reads on until all that was committed has been seen and the topics are at rest, or
/// until the limit: so it may be called while the connector is still behind, or away.
pub fn verify_topics(
    history: &History,
    config: &ReadConfig,
    mode: &Mode,
) -> Result<Verdict, ReadError> {
    let mut reader = Reader::open(config)?;
    let parser = Parser::new(config.format, &config.table);
    let mut checker = Checker::new(mode);
    loop {
        match reader.read()? {
            Next::Record(raw) => checker.observe(&parser.event(&raw)),
            Next::Quiet if checker.outstanding(history) == 0 => break,
            Next::Quiet => {}
            Next::TimeUp => break,
        }
    }
    Ok(checker.finish(history))
}
