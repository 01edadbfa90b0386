//! Delivery into a topic of the connector's own cluster: a JSON object for each record, keyed by
//! the worker, so that one worker's records stay in order.

use super::place::{PlaceError, Taken};
use super::source::Entry;
use crate::kafka::produce::{ProduceError, Producer};
use crate::kafka::{Access, KafkaAdmin, TopicWanted};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Leaves the number to the brokers' `num.partitions` (KIP-464, brokers from 2.4 on).
const BROKER_DEFAULT: i32 = -1;

/// Where a topic is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The way into the cluster.
    pub access: Access,
    /// Its name.
    pub name: String,
}

/// A record as it stands in the topic.
#[derive(Debug, Serialize)]
struct Value<'a> {
    time: String,
    level: Option<&'static str>,
    worker: &'a str,
    connector: &'a str,
    logger: Option<&'a str>,
    message: String,
}

/// The topic of one connector.
#[derive(Debug)]
pub struct KafkaPlace {
    connector: String,
    topic: Topic,
    timeout: Duration,
    /// Made when there is something to deliver, and anew after an error.
    producer: Option<Producer>,
}

impl KafkaPlace {
    /// Connects at the first delivery.
    pub fn new(connector: String, topic: Topic, timeout: Duration) -> Self {
        Self {
            connector,
            topic,
            timeout,
            producer: None,
        }
    }

    /// Sends the records and waits until all in-sync replicas have them.
    pub async fn deliver(&mut self, entries: &[Entry]) -> Result<Taken, PlaceError> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.connect().await?,
        };
        let records: Vec<(String, Vec<u8>)> = entries
            .iter()
            .map(|entry| (entry.worker.to_string(), value(&self.connector, entry)))
            .collect();
        match producer.send(&self.topic.name, &records).await {
            Ok(()) => {
                self.producer = Some(producer);
                Ok(Taken::all(entries))
            }
            Err(error) => Err(self.told(&error)),
        }
    }

    /// Makes the topic if it is missing, with the brokers' defaults.
    async fn connect(&self) -> Result<Producer, PlaceError> {
        let topic = &self.topic;
        let away = |error: &dyn std::error::Error| {
            PlaceError::Away(format!("topic {}: {}", topic.name, chain(error)))
        };
        let mut admin = KafkaAdmin::connect(&topic.access, self.timeout)
            .await
            .map_err(|error| away(&error))?;
        let found = admin
            .topics_exist(&[&topic.name])
            .await
            .map_err(|error| away(&error))?;
        if found.is_empty() {
            let wanted = TopicWanted {
                name: topic.name.clone(),
                partitions: BROKER_DEFAULT,
                configs: BTreeMap::new(),
            };
            admin
                .create_topics(&[wanted])
                .await
                .map_err(|error| away(&error))?;
        }
        Producer::new(&topic.access, self.timeout).map_err(|error| self.told(&error))
    }

    fn told(&self, error: &ProduceError) -> PlaceError {
        let text = format!("topic {}: {}", self.topic.name, chain(error));
        if error.is_refusal() {
            PlaceError::Refused(text)
        } else {
            PlaceError::Away(text)
        }
    }
}

fn value(connector: &str, entry: &Entry) -> Vec<u8> {
    let time = jiff::Timestamp::from_millisecond(entry.time_ms).unwrap_or_default();
    let value = Value {
        time: time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        level: entry.record.level.map(crate::logs::Level::as_str),
        worker: &entry.worker,
        connector,
        logger: entry.record.logger(),
        message: entry.record.message(),
    };
    // Texts and nothing else: it cannot fail.
    serde_json::to_vec(&value).unwrap_or_default()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::tail::{TailArgs, tail};
    use crate::logs::record::Assembler;

    fn entries(text: &str) -> Vec<Entry> {
        let (mut assembler, mut records) = (Assembler::default(), Vec::new());
        assembler.push(text.as_bytes(), &mut records);
        assembler.next_file(&mut records);
        records
            .into_iter()
            .map(|record| Entry {
                worker: "w-1".into(),
                time_ms: record.time_ms.unwrap_or(0),
                record,
            })
            .collect()
    }

    #[test]
    fn a_record_is_an_object_of_its_parts() {
        let text = "[2026-11-22T17:40:48.000Z] ERROR It \"failed\" (org.x.Task)\nCaused by: why\n";
        let value: serde_json::Value =
            serde_json::from_slice(&value("orders", &entries(text)[0])).unwrap();
        let expected = serde_json::json!({
            "time": "2026-11-22T17:40:48.000Z", "level": "ERROR", "worker": "w-1",
            "connector": "orders", "logger": "org.x.Task",
            "message": "It \"failed\"\nCaused by: why",
        });
        assert_eq!(value, expected);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn records_are_in_a_topic_that_was_made_for_them() {
        let access = Access::plaintext(vec![crate::rig::broker()]);
        let topic = Topic {
            access: access.clone(),
            name: "worker-logs".to_owned(),
        };
        let timeout = Duration::from_secs(20);
        let mut place = KafkaPlace::new("orders".to_owned(), topic, timeout);
        let lines: Vec<String> = (0..50)
            .map(|n| format!("[2026-11-22T17:40:48.000Z] INFO line {n} (x)\n"))
            .collect();
        let entries = entries(&lines.concat());
        let taken = place.deliver(&entries[..25]).await.unwrap();
        assert_eq!(taken.delivered, 25);
        place.deliver(&entries[25..]).await.unwrap();
        let arguments = TailArgs {
            topic: "worker-logs".to_owned(),
            bootstrap_servers: None,
            cluster: None,
            username: None,
            password_file: None,
            ca_certificate: None,
            from_beginning: true,
            from_end: false,
            count: Some(50),
            until: None,
            timeout: Some(timeout),
            format: crate::kafka::tail::Format::Text,
            key: true,
            follow: false,
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        let out = file.reopen().unwrap();
        tail(&arguments, &access, out).await.unwrap();
        let read = std::fs::read_to_string(file.path()).unwrap();
        for (n, line) in read.lines().enumerate() {
            assert!(line.starts_with("w-1\t{"), "{line}");
            assert!(
                line.contains(&format!("\"message\":\"line {n}\"")),
                "{line}"
            );
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_cluster_that_is_away_is_told_as_such() {
        let topic = Topic {
            access: Access::plaintext(vec![("127.0.0.1".to_owned(), 1)]),
            name: "worker-logs".to_owned(),
        };
        let mut place = KafkaPlace::new("orders".to_owned(), topic, Duration::from_secs(1));
        let error = place.deliver(&entries("x\n")).await.unwrap_err();
        assert!(matches!(error, PlaceError::Away(reason) if reason.contains("127.0.0.1:1")));
    }
}
