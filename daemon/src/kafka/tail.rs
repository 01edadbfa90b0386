//! `runnel tail`: prints the records of a topic.
//!
//! Records are read by librdkafka without a group, so nothing is committed and no other reader is
//! disturbed. Whether the topic is there is asked by [`KafkaAdmin`], which never makes it by asking.

use super::access::Access;
use super::admin::KafkaAdmin;
use super::librdkafka::{is_locked_out, settings};
use base64::Engine;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError as NativeError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use runnel_api::{ErrorCode, Problem};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one question to the cluster may take.
const ASK_MAX: Duration = Duration::from_secs(10);
/// Between two looks for a topic that is not there yet.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// The longest wait in the consumer, so that the deadline is seen.
const POLL: Duration = Duration::from_millis(100);

/// How long the reason may come after the news that no broker is left: a broker answers a refused
/// login after 0.1 s (`connection.failed.authentication.delay.ms`).
const REASON_MAX: Duration = Duration::from_secs(1);

/// How records are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The value's bytes as they are, one record a line; `null` for no value.
    #[default]
    Text,
    /// One JSON object a line: topic, partition, offset, timestamp (milliseconds), key, value.
    Json,
}

/// Arguments of `runnel tail`.
#[derive(Clone, Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag that people type"
)]
pub struct TailArgs {
    /// The topic; waited for if it does not exist yet.
    pub topic: String,
    /// Brokers as host:port, separated by commas; default: those of the Kafka cluster.
    #[arg(long, conflicts_with = "cluster")]
    pub bootstrap_servers: Option<String>,
    /// Name of the Kafka cluster, where the daemon knows several.
    #[arg(long)]
    pub cluster: Option<String>,
    /// User to log in as by SCRAM-SHA-512; default: that of the Kafka cluster.
    #[arg(long, value_name = "USER", requires = "password_file")]
    pub username: Option<String>,
    /// File that holds the user's password.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// File with the authorities that are trusted, PEM; default: those of the Kafka cluster, and the
    /// machine's for brokers that are named. With it or a password the connection is encrypted.
    #[arg(long, value_name = "FILE")]
    pub ca_certificate: Option<PathBuf>,
    /// Start at the oldest record (the default).
    #[arg(long)]
    pub from_beginning: bool,
    /// Start after the newest record.
    #[arg(long, conflicts_with = "from_beginning")]
    pub from_end: bool,
    /// End after so many records; waits for them.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// End after the first record whose value holds this text; waits for it.
    #[arg(long)]
    pub until: Option<String>,
    /// How long to wait, such as 500ms, 60s or 5m; default: 60s, and no limit with --follow.
    #[arg(long, value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// How records are printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Print the key and a tab before each value.
    #[arg(long)]
    pub key: bool,
    /// Go on at the end of the topic.
    #[arg(long, short)]
    pub follow: bool,
}

/// Why a tail ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailEnd {
    /// The wanted number of records was printed.
    Count,
    /// The wanted text was printed.
    Until,
    /// Everything up to the topic's end was printed.
    EndOfTopic,
    /// Whoever read our output has gone.
    OutputClosed,
}

/// Prints records of a topic to `out` until what the arguments ask for has happened.
///
/// # Errors
/// `TIMED_OUT` when the time is up first, `KAFKA_UNREACHABLE` when the cluster fails.
pub async fn tail<W>(args: &TailArgs, access: &Access, out: W) -> Result<TailEnd, Problem>
where
    W: Write + Send + 'static,
{
    let limit = args
        .timeout
        .or((!args.follow).then_some(Duration::from_mins(1)));
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let partitions = await_topic(args, access, limit, deadline).await?;
    let reading = Reading {
        args: args.clone(),
        access: access.clone(),
        partitions,
        limit,
        deadline,
    };
    tokio::task::spawn_blocking(move || reading.run(out))
        .await
        .map_err(|error| {
            Problem::new(ErrorCode::Internal, "reading the topic failed").detail(error.to_string())
        })?
}

/// The topic's partitions, once it is there.
async fn await_topic(
    args: &TailArgs,
    access: &Access,
    limit: Option<Duration>,
    deadline: Option<Instant>,
) -> Result<Vec<i32>, Problem> {
    let left = || {
        deadline.map_or(ASK_MAX, |deadline| {
            deadline
                .saturating_duration_since(Instant::now())
                .min(ASK_MAX)
        })
    };
    let mut admin = KafkaAdmin::connect(access, left())
        .await
        .map_err(|error| error.to_problem())?;
    loop {
        if let Some(ends) = admin
            .list_offsets_end(&args.topic)
            .await
            .map_err(|error| error.to_problem())?
        {
            return Ok(ends.into_keys().collect());
        }
        if left().is_zero() {
            let waited = limit.unwrap_or_default();
            return Err(timed_out(format!(
                "topic {} did not come into being within {waited:?}",
                args.topic
            ))
            .hint("check the topic's name, and that its connector runs: runnel status"));
        }
        tokio::time::sleep(LOOK_AGAIN.min(left())).await;
    }
}

/// The last error text of librdkafka, which its error codes do not carry.
#[derive(Clone, Default)]
struct Reasons(Arc<Mutex<Option<String>>>);

impl ClientContext for Reasons {
    fn error(&self, _: NativeError, reason: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }

    // Everything that matters comes as an error.
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ConsumerContext for Reasons {}

/// A topic that is there, and what is to be printed of it.
struct Reading {
    args: TailArgs,
    access: Access,
    partitions: Vec<i32>,
    limit: Option<Duration>,
    deadline: Option<Instant>,
}

impl Reading {
    /// Blocks until the end.
    fn run(&self, out: impl Write) -> Result<TailEnd, Problem> {
        let reasons = Reasons::default();
        let consumer = self.consumer(reasons.clone())?;
        let mut out = io::BufWriter::new(out);
        let mut progress = Progress::new(&self.args, self.partitions.clone());
        let mut failing = Failing::default();
        loop {
            let record = match consumer.poll(Duration::ZERO) {
                Some(record) => Some(record),
                None => match out.flush() {
                    Ok(()) => consumer.poll(POLL),
                    Err(error) => return output_ended(&error),
                },
            };
            let end = match record {
                None => None,
                Some(Ok(record)) => match print(&self.args, &record, &mut out) {
                    Ok(()) => {
                        failing = Failing::default();
                        progress.record(record.payload())
                    }
                    Err(error) => return output_ended(&error),
                },
                Some(Err(NativeError::PartitionEOF(partition))) => progress.end_of(partition),
                Some(Err(error)) if is_passing(&error) => None,
                Some(Err(error)) => {
                    failing.push(&error, &reasons)?;
                    None
                }
            };
            failing.end_if_due()?;
            if let Some(end) = end {
                return out
                    .flush()
                    .map(|()| end)
                    .or_else(|error| output_ended(&error));
            }
            if self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
            {
                let _ = out.flush();
                return Err(progress.timed_out(&self.args, self.limit.unwrap_or_default()));
            }
        }
    }

    fn consumer(&self, reasons: Reasons) -> Result<BaseConsumer<Reasons>, Problem> {
        let mut config = settings(&self.access).map_err(|failure| {
            Problem::new(ErrorCode::InvalidArgument, failure.to_string()).hint(failure.hint())
        })?;
        config
            .set("client.id", "runnel-tail")
            .set("group.id", "runnel-tail")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("allow.auto.create.topics", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "100")
            .set("socket.connection.setup.timeout.ms", "10000");
        self.assigned(&config, reasons)
            .map_err(|error| failed(&error, None))
    }

    fn assigned(
        &self,
        config: &ClientConfig,
        reasons: Reasons,
    ) -> Result<BaseConsumer<Reasons>, NativeError> {
        let consumer: BaseConsumer<Reasons> = config.create_with_context(reasons)?;
        let start = if self.args.from_end {
            Offset::End
        } else {
            Offset::Beginning
        };
        let mut assignment = TopicPartitionList::new();
        for partition in &self.partitions {
            assignment.add_partition_offset(&self.args.topic, *partition, start)?;
        }
        // By assignment, not subscription: the group in the configuration is never joined.
        consumer.assign(&assignment)?;
        Ok(consumer)
    }
}

/// No broker is left, but why may come a moment later: librdkafka tells both in no fixed order.
#[derive(Default)]
struct Failing(Option<(Instant, Problem)>);

impl Failing {
    /// Ends the tail, unless a better reason may follow.
    fn push(&mut self, error: &NativeError, reasons: &Reasons) -> Result<(), Problem> {
        let reason = reasons
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let problem = failed(error, reason);
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            return Err(problem);
        }
        self.0.get_or_insert((Instant::now() + REASON_MAX, problem));
        Ok(())
    }

    fn end_if_due(&mut self) -> Result<(), Problem> {
        match self.0.take_if(|(due, _)| Instant::now() >= *due) {
            Some((_, problem)) => Err(problem),
            None => Ok(()),
        }
    }
}

/// How far a tail has come. Decides when it ends.
struct Progress {
    count: Option<u64>,
    until: Option<Vec<u8>>,
    /// Partitions whose end has not been seen; `None` if the end does not matter.
    open: Option<BTreeSet<i32>>,
    seen: u64,
}

impl Progress {
    fn new(args: &TailArgs, partitions: Vec<i32>) -> Self {
        let waits = args.follow || args.count.is_some() || args.until.is_some();
        Self {
            count: args.count,
            until: args.until.clone().map(String::into_bytes),
            open: (!waits).then(|| partitions.into_iter().collect()),
            seen: 0,
        }
    }

    fn record(&mut self, value: Option<&[u8]>) -> Option<TailEnd> {
        self.seen += 1;
        if self
            .until
            .as_deref()
            .is_some_and(|text| value.is_some_and(|value| holds(value, text)))
        {
            return Some(TailEnd::Until);
        }
        self.count
            .is_some_and(|count| self.seen >= count)
            .then_some(TailEnd::Count)
    }

    fn end_of(&mut self, partition: i32) -> Option<TailEnd> {
        let open = self.open.as_mut()?;
        open.remove(&partition);
        open.is_empty().then_some(TailEnd::EndOfTopic)
    }

    fn timed_out(&self, args: &TailArgs, waited: Duration) -> Problem {
        let Self { seen, .. } = self;
        let topic = &args.topic;
        let message = match (&args.until, args.count) {
            (Some(text), _) => format!(
                "no record of topic {topic} held {text:?} within {waited:?}; {seen} were read"
            ),
            (None, Some(count)) => {
                format!("{seen} of {count} records of topic {topic} came within {waited:?}")
            }
            (None, None) => format!(
                "the end of topic {topic} was not reached within {waited:?}; {seen} records were read"
            ),
        };
        timed_out(message)
            .hint("give a longer --timeout, or see whether the connector runs: runnel status")
    }
}

fn holds(value: &[u8], text: &[u8]) -> bool {
    text.is_empty() || value.windows(text.len()).any(|part| part == text)
}

fn print(args: &TailArgs, record: &BorrowedMessage<'_>, out: &mut impl Write) -> io::Result<()> {
    match args.format {
        Format::Text => {
            if args.key {
                out.write_all(record.key().unwrap_or(b"null"))?;
                out.write_all(b"\t")?;
            }
            out.write_all(record.payload().unwrap_or(b"null"))?;
        }
        Format::Json => {
            let line = serde_json::json!({
                "topic": record.topic(),
                "partition": record.partition(),
                "offset": record.offset(),
                "timestamp": record.timestamp().to_millis(),
                "key": in_json(record.key()),
                "value": in_json(record.payload()),
            });
            serde_json::to_writer(&mut *out, &line)?;
        }
    }
    out.write_all(b"\n")
}

/// Text as a string, other bytes as `{"base64": …}`, nothing as null.
fn in_json(bytes: Option<&[u8]>) -> serde_json::Value {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => serde_json::Value::Null,
        Some((_, Ok(text))) => text.into(),
        Some((bytes, Err(_))) => {
            serde_json::json!({ "base64": base64::engine::general_purpose::STANDARD.encode(bytes) })
        }
    }
}

fn output_ended(error: &io::Error) -> Result<TailEnd, Problem> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(TailEnd::OutputClosed);
    }
    Err(
        Problem::new(ErrorCode::Internal, "the records could not be printed")
            .detail(error.to_string()),
    )
}

/// Errors that librdkafka mends by itself, or that do not concern us. When no broker is left it says
/// so by another one. It asks for the coordinator of the group that we never join, and whoever may
/// read a topic need not have a right on any group.
fn is_passing(error: &NativeError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::GroupAuthorizationFailed
        )
    )
}

fn failed(error: &NativeError, reason: Option<String>) -> Problem {
    let message = match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AllBrokersDown) => {
            "the connection to every Kafka broker is lost".to_owned()
        }
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownPartition) => {
            "the topic is gone".to_owned()
        }
        Some(code) if is_locked_out(code) => "the Kafka cluster does not let us in".to_owned(),
        Some(code) => format!("Kafka answers: {code}"),
        None => "the Kafka client cannot be used".to_owned(),
    };
    let problem = Problem::new(ErrorCode::KafkaUnreachable, message).hint(
        "check that the brokers run and that their advertised.listeners can be reached from here",
    );
    problem.detail(reason.unwrap_or_else(|| error.to_string()))
}

fn timed_out(message: String) -> Problem {
    Problem::new(ErrorCode::TimedOut, message)
}

/// Reads `500ms`, `60s`, `5m`, `1h`, or seconds without a unit.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| format!("{text:?} is no duration; write 500ms, 60s or 5m"))?;
    let (factor, duration): (u64, fn(u64) -> Duration) = match unit {
        "ms" => (1, Duration::from_millis),
        "" | "s" => (1, Duration::from_secs),
        "m" => (60, Duration::from_secs),
        "h" => (3_600, Duration::from_secs),
        _ => return Err(format!("{unit:?} is no unit; write ms, s, m or h")),
    };
    number
        .checked_mul(factor)
        .map(duration)
        .ok_or_else(|| format!("{text:?} is too long"))
}

#[cfg(test)]
mod tests;
