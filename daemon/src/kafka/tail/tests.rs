//! Tails of real topics, and the decisions behind them.

use super::*;
use crate::kafka::{Encryption, Login, TopicWanted};
use crate::rig;
use clap::Parser;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use runnel_api::Secret;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: TailArgs,
}

fn args(line: &str) -> TailArgs {
    Line::try_parse_from(["tail"].into_iter().chain(line.split_whitespace()))
        .unwrap()
        .args
}

/// An output that the test can read while it is written.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

async fn make(broker: &(String, u16), topic: &str) {
    let mut admin = KafkaAdmin::connect(&Access::plaintext(vec![broker.clone()]), ASK_MAX)
        .await
        .unwrap();
    let topic = TopicWanted {
        name: topic.into(),
        partitions: 1,
        configs: std::collections::BTreeMap::new(),
    };
    admin.create_topics(&[topic]).await.unwrap();
}

fn produce(broker: &(String, u16), topic: &str, records: &[(&str, Option<&[u8]>)]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", format!("{}:{}", broker.0, broker.1))
        .create()
        .unwrap();
    for (key, value) in records {
        let record = BaseRecord::<_, [u8]>::to(topic).key(*key);
        let record = match value {
            Some(value) => record.payload(*value),
            None => record,
        };
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

async fn broker() -> (String, u16) {
    tokio::task::spawn_blocking(rig::broker).await.unwrap()
}

async fn tailed(line: &str, broker: &(String, u16)) -> (Result<TailEnd, Problem>, String) {
    let out = Shared::default();
    let end = tail(
        &args(line),
        &Access::plaintext(vec![broker.clone()]),
        out.clone(),
    )
    .await;
    (end, out.text())
}

#[tokio::test]
async fn records_are_printed_up_to_the_end_of_the_topic_in_text_and_json() {
    let broker = broker().await;
    make(&broker, "tail-all").await;
    let (end, text) = tailed("tail-all", &broker).await;
    assert_eq!((end.unwrap(), text.as_str()), (TailEnd::EndOfTopic, ""));
    produce(
        &broker,
        "tail-all",
        &[("a", Some(b"one")), ("b", None), ("c", Some(&[0xff, 0]))],
    );
    let (end, text) = tailed("tail-all --key --count 2", &broker).await;
    assert_eq!(
        (end.unwrap(), text.as_str()),
        (TailEnd::Count, "a\tone\nb\tnull\n")
    );
    let (end, text) = tailed("tail-all --format json", &broker).await;
    assert_eq!(end.unwrap(), TailEnd::EndOfTopic);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["value"], "one");
    assert_eq!(
        (&lines[1]["offset"], &lines[1]["value"]),
        (&1.into(), &serde_json::Value::Null)
    );
    assert_eq!(lines[2]["value"]["base64"], "/wA=");
    assert!(lines[2]["timestamp"].as_i64().unwrap() > 1_700_000_000_000);
}

#[tokio::test]
async fn a_topic_that_does_not_exist_yet_is_waited_for() {
    let broker = broker().await;
    let out = Shared::default();
    let line = args("tail-late --until two");
    let access = Access::plaintext(vec![broker.clone()]);
    let waiting = tokio::spawn({
        let out = out.clone();
        async move { tail(&line, &access, out).await }
    });
    make(&broker, "tail-late").await;
    let records: [(&str, Option<&[u8]>); 3] = [
        ("a", Some(b"one")),
        ("b", Some(b"-two-")),
        ("c", Some(b"three")),
    ];
    tokio::task::spawn_blocking(move || produce(&broker, "tail-late", &records))
        .await
        .unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), TailEnd::Until);
    assert_eq!(out.text(), "one\n-two-\n");
}

#[tokio::test]
async fn when_the_time_is_up_what_was_missing_is_told() {
    let broker = broker().await;
    make(&broker, "tail-short").await;
    produce(&broker, "tail-short", &[("a", Some(b"one"))]);
    let (end, text) = tailed("tail-short --count 2 --timeout 1500ms", &broker).await;
    let problem = end.unwrap_err();
    assert_eq!(problem.code, ErrorCode::TimedOut);
    assert_eq!(
        problem.message,
        "1 of 2 records of topic tail-short came within 1.5s"
    );
    assert_eq!(text, "one\n");
    let (end, _) = tailed("tail-never --timeout 300ms", &broker).await;
    assert_eq!(
        end.unwrap_err().message,
        "topic tail-never did not come into being within 300ms"
    );
    let mut admin = KafkaAdmin::connect(&Access::plaintext(vec![broker]), ASK_MAX)
        .await
        .unwrap();
    assert!(
        admin
            .topics_exist(&["tail-never"])
            .await
            .unwrap()
            .is_empty(),
        "asking has made the topic"
    );
}

#[test]
fn a_cluster_that_goes_away_ends_the_tail_at_once() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let reading = Reading {
        args: args("gone --follow"),
        access: Access::plaintext(vec![("127.0.0.1".into(), port)]),
        partitions: vec![0],
        limit: None,
        deadline: None,
    };
    let problem = reading.run(Shared::default()).unwrap_err();
    assert_eq!(problem.code, ErrorCode::KafkaUnreachable);
    assert_eq!(
        problem.message,
        "the connection to every Kafka broker is lost"
    );
}

#[test]
fn a_refused_login_ends_the_reading_at_once() {
    let secured = rig::secured();
    let access = Access {
        servers: vec![("127.0.0.1".into(), secured.port)],
        encryption: Encryption::Tls {
            ca: Some(secured.pem("ca.pem")),
            client: None,
        },
        login: Login::ScramSha512 {
            username: "admin".into(),
            password: Secret::new("canary-password"),
        },
    };
    let reading = |access| Reading {
        args: args("locked --follow"),
        access,
        partitions: vec![0],
        limit: None,
        deadline: None,
    };
    let problem = reading(access.clone()).run(Shared::default()).unwrap_err();
    assert_eq!(
        problem.message, "the Kafka cluster does not let us in",
        "{problem:?}"
    );
    assert!(!format!("{problem:?}").contains("canary"), "{problem:?}");

    let strange = Access {
        encryption: Encryption::Tls {
            ca: Some(secured.pem("other-ca.pem")),
            client: None,
        },
        ..access
    };
    let problem = reading(strange).run(Shared::default()).unwrap_err();
    assert_eq!(
        problem.message, "the Kafka cluster does not let us in",
        "{problem:?}"
    );
}

#[test]
fn text_and_count_end_a_tail_whichever_comes_first() {
    let mut progress = Progress::new(&args("t --count 3 --until x"), vec![0]);
    assert_eq!(progress.record(Some(b"a")), None);
    assert_eq!(progress.record(None), None);
    assert_eq!(progress.end_of(0), None);
    assert_eq!(progress.record(Some(b"ax")), Some(TailEnd::Until));
    let mut progress = Progress::new(&args("t"), vec![0, 1]);
    assert_eq!(progress.end_of(1), None);
    assert_eq!(progress.end_of(0), Some(TailEnd::EndOfTopic));
}

#[test]
fn durations_are_read_with_their_unit() {
    for (text, millis) in [
        ("500ms", 500),
        ("60s", 60_000),
        ("5m", 300_000),
        ("1h", 3_600_000),
        ("7", 7_000),
    ] {
        assert_eq!(
            parse_duration(text),
            Ok(Duration::from_millis(millis)),
            "{text}"
        );
    }
    for text in [
        "",
        "s",
        "5d",
        "-1s",
        "99999999999999999999s",
        "18446744073709551615h",
    ] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}
