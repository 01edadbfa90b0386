//! `checker`: writes a load, records and judges what became of it in Kafka, and tries itself on seeded faults.

use anyhow::{Context as _, Result, bail};
use checker::envelope::{Format, Parser as RecordParser};
use checker::event::{Event, RawRecord};
use checker::history::Outcome;
use checker::reader::{Isolation, Next, ReadConfig, Reader};
use checker::verdict::{Mode, Rows, Verdict};
use checker::writer::{Db, Password, Writer, WriterConfig};
use checker::{History, mutants, verify, verify_topics};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Is anything lost, repeated, out of order, made up or damaged between a database and Kafka?
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a load of which every change can be recognised, and its history
    Write(WriteArgs),
    /// Read topics (or a file of records) and judge them; exit status 1 when there is a fault
    Verify(VerifyArgs),
    /// Keep the records of topics in a file
    Record(RecordArgs),
    /// Put faults into a run without any and see that each is found; exit status 1 when one is not
    Mutants(MutantArgs),
}

#[derive(Clone, Copy, ValueEnum)]
enum DbName {
    /// MariaDB or MySQL
    Mariadb,
    /// PostgreSQL
    Postgres,
}

#[derive(Args)]
struct WriteArgs {
    #[arg(long, value_enum)]
    db: DbName,
    /// mysql://user@host:port/database or postgres://user@host:port/database
    #[arg(long)]
    url: String,
    /// A file that holds the user's password
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// First part of the tables' names
    #[arg(long, default_value = "checker")]
    table: String,
    /// Registers that are changed
    #[arg(long, default_value_t = 200)]
    keys: u32,
    /// Transactions a second; 0 is as fast as possible
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Connections side by side
    #[arg(long, default_value_t = 4)]
    writers: u32,
    /// End after so many seconds
    #[arg(long, required_unless_present = "until_file")]
    seconds: Option<u64>,
    /// End when this file exists
    #[arg(long)]
    until_file: Option<PathBuf>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The history; one that exists is gone on with
    #[arg(long)]
    history: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IsolationName {
    #[value(name = "read_committed")]
    ReadCommitted,
    #[value(name = "read_uncommitted")]
    ReadUncommitted,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    /// Debezium's envelope by `JsonConverter`, with schemas or without
    ConnectJson,
    /// Debezium's envelope by `StringConverter`
    StructString,
    /// Numbers of Kafka's `VerifiableSourceConnector`
    Verifiable,
    /// A topic and its copy, in this order
    Mirror,
}

#[derive(Args)]
struct KafkaArgs {
    /// Brokers, host:port
    #[arg(long)]
    bootstrap: Option<String>,
    /// A topic to read; may be given many times
    #[arg(long = "topic")]
    topics: Vec<String>,
    /// A setting of librdkafka, KEY=VALUE
    #[arg(long = "property", value_parser = property)]
    properties: Vec<(String, String)>,
    #[arg(long, value_enum, default_value = "read_committed")]
    isolation: IsolationName,
    #[arg(long, value_enum, default_value = "connect-json")]
    format: FormatName,
    /// Seconds without a record after which topics are at rest
    #[arg(long, default_value_t = 3)]
    quiet: u64,
    /// Longest wait, seconds
    #[arg(long, default_value_t = 120)]
    limit: u64,
}

#[derive(Args)]
struct VerifyArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    /// What the writers know; needed for Debezium's topics
    #[arg(long)]
    history: Option<PathBuf>,
    /// Records kept by `checker record`, in place of Kafka
    #[arg(long, conflicts_with = "bootstrap")]
    events: Option<PathBuf>,
    /// A duplicate is a fault
    #[arg(long)]
    exactly_once: bool,
    /// Deletes have no tombstones (`tombstones.on.delete=false`)
    #[arg(long)]
    no_tombstones: bool,
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct RecordArgs {
    #[command(flatten)]
    kafka: KafkaArgs,
    #[arg(long)]
    out: PathBuf,
}

#[derive(Args)]
struct MutantArgs {
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Transactions of the run
    #[arg(long, default_value_t = 2_000)]
    transactions: u32,
    /// A recorded run in place of the model's: its history
    #[arg(long, requires = "events")]
    history: Option<PathBuf>,
    /// Its records, kept by `checker record`
    #[arg(long, requires = "history")]
    events: Option<PathBuf>,
}

fn property(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').ok_or("wanted is KEY=VALUE")?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Write(args) => write(args),
        Command::Verify(args) => judge(&args),
        Command::Record(args) => record(&args),
        Command::Mutants(args) => try_mutants(&args),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("checker: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn write(args: WriteArgs) -> Result<bool> {
    let is_with_password = args
        .url
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('@'))
        .is_some_and(|(user, _)| user.contains(':'));
    if is_with_password {
        bail!("--url holds a password, which others see among the processes; use --password-file");
    }
    let password = args.password_file.as_ref().map(|path| {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("read {}", path.display()))?;
        anyhow::Ok(Password::new(text.trim_end_matches(['\r', '\n'])))
    });
    let end = args
        .seconds
        .map(|it| Instant::now() + Duration::from_secs(it));
    let handle = Writer::start(WriterConfig {
        db: match args.db {
            DbName::Mariadb => Db::Mariadb,
            DbName::Postgres => Db::Postgres,
        },
        url: args.url,
        password: password.transpose()?,
        table: args.table,
        keys: args.keys,
        rate: args.rate,
        writers: args.writers,
        seed: args.seed,
        history: args.history,
    })?;
    let is_over = || {
        end.is_some_and(|it| Instant::now() >= it)
            || args.until_file.as_ref().is_some_and(|it| it.exists())
    };
    while !is_over() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let unknown = handle.progress().unknown.load(Ordering::Relaxed);
    let history = handle.stop()?;
    println!(
        "{} ok, {} failed, {} unknown; {unknown} times the connection was lost at the COMMIT",
        history.count(Outcome::Ok),
        history.count(Outcome::Fail),
        history.count(Outcome::Unknown)
    );
    Ok(true)
}

fn read_config(kafka: &KafkaArgs, table: &str) -> Result<ReadConfig> {
    let Some(bootstrap) = &kafka.bootstrap else {
        bail!("--bootstrap is missing");
    };
    if kafka.topics.is_empty() {
        bail!("--topic is missing");
    }
    Ok(ReadConfig {
        bootstrap: bootstrap.clone(),
        properties: kafka.properties.clone(),
        topics: kafka.topics.clone(),
        isolation: match kafka.isolation {
            IsolationName::ReadCommitted => Isolation::ReadCommitted,
            IsolationName::ReadUncommitted => Isolation::ReadUncommitted,
        },
        format: format(kafka.format),
        table: table.to_owned(),
        quiet: Duration::from_secs(kafka.quiet),
        limit: Duration::from_secs(kafka.limit),
    })
}

fn format(name: FormatName) -> Format {
    match name {
        FormatName::ConnectJson => Format::ConnectJson,
        FormatName::StructString => Format::StructString,
        FormatName::Verifiable => Format::Counter,
        FormatName::Mirror => Format::Opaque,
    }
}

fn mode(args: &VerifyArgs, table: &str, topics: &[String]) -> Result<Mode> {
    let exactly_once = args.exactly_once;
    Ok(match args.kafka.format {
        FormatName::Verifiable => Mode::Counter { exactly_once },
        FormatName::Mirror => {
            let [source, copy] = topics else {
                bail!("wanted is --topic twice: the source and its copy");
            };
            Mode::Mirror {
                source: source.clone(),
                copy: copy.clone(),
                exactly_once,
            }
        }
        FormatName::ConnectJson | FormatName::StructString => {
            let rows = Rows::of_topics(table, topics);
            if !rows.registers && !rows.appends {
                bail!("no topic ends with {table}_reg or {table}_log");
            }
            Mode::Rows(Rows {
                exactly_once,
                tombstones: !args.no_tombstones,
                ..rows
            })
        }
    })
}

fn history(path: Option<&Path>, format: FormatName) -> Result<History> {
    match (path, format) {
        (Some(path), _) => Ok(History::read(path)?),
        (None, FormatName::Verifiable | FormatName::Mirror) => Ok(History::default()),
        (None, _) => bail!("--history is missing: without it nobody knows what was written"),
    }
}

fn judge(args: &VerifyArgs) -> Result<bool> {
    let history = history(args.history.as_deref(), args.kafka.format)?;
    let started = Instant::now();
    let verdict = if let Some(path) = &args.events {
        let (events, topics) = kept(path, format(args.kafka.format), &history.table)?;
        let topics = if args.kafka.topics.is_empty() {
            topics
        } else {
            args.kafka.topics.clone()
        };
        verify(&history, events, &mode(args, &history.table, &topics)?)
    } else {
        let config = read_config(&args.kafka, &history.table)?;
        let mode = mode(args, &history.table, &config.topics)?;
        verify_topics(&history, &config, &mode)?
    };
    print(&verdict, args.json)?;
    if !args.json {
        let seconds = started.elapsed().as_secs_f64();
        let events = u32::try_from(verdict.events).unwrap_or(u32::MAX);
        let rate = f64::from(events) / seconds;
        println!("read and judged in {seconds:.1} s, {rate:.0} events/s");
    }
    Ok(verdict.passed)
}

fn print(verdict: &Verdict, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(verdict)?);
    } else {
        println!("{verdict}");
    }
    Ok(())
}

/// Records of a file, understood, and the topics that they are of.
fn kept(path: &Path, format: Format, table: &str) -> Result<(Vec<Event>, Vec<String>)> {
    let parser = RecordParser::new(format, table);
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut events = Vec::new();
    let mut topics: Vec<String> = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let raw: RawRecord = serde_json::from_str(&line?)
            .with_context(|| format!("{}, line {number}", path.display()))?;
        if topics.iter().all(|it| **it != *raw.topic) {
            topics.push(raw.topic.to_string());
        }
        events.push(parser.event(&raw));
    }
    Ok((events, topics))
}

fn record(args: &RecordArgs) -> Result<bool> {
    let mut reader = Reader::open(&read_config(&args.kafka, "")?)?;
    let mut out = BufWriter::new(File::create(&args.out)?);
    let mut count = 0_u64;
    loop {
        match reader.read()? {
            Next::Record(raw) => {
                serde_json::to_writer(&mut out, &raw)?;
                out.write_all(b"\n")?;
                count += 1;
            }
            Next::Quiet => break,
            Next::TimeUp => bail!("the topics did not come to rest in {} s", args.kafka.limit),
        }
    }
    out.flush()?;
    println!("{count} records");
    Ok(true)
}

fn try_mutants(args: &MutantArgs) -> Result<bool> {
    let run = match (&args.history, &args.events) {
        (Some(history), Some(events)) => {
            let history = History::read(history)?;
            let (events, topics) = kept(events, Format::ConnectJson, &history.table)?;
            let rows = Rows::of_topics(&history.table, &topics);
            mutants::Run {
                history,
                events,
                rows,
            }
        }
        _ => mutants::Run::of_model(args.seed, args.transactions),
    };
    let report = mutants::try_all(&run, args.seed);
    println!("{report}");
    Ok(report.passed())
}
