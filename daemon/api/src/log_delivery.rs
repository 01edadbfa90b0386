//! Where workers' logs are delivered besides the daemon's own folder: MSK Connect's `workerLogDelivery`, with a folder
//! and a Kafka topic in the places of Amazon S3 and Amazon Data Firehose.

use crate::server::LogPlaces;
use serde::{Deserialize, Serialize};

/// Longest prefix of files in characters, so that whole paths stay below the 4,096 of Linux.
pub const PREFIX_MAX: usize = 1024;
/// Longest name of a Kafka topic (`org.apache.kafka.common.internals.Topic`).
pub const TOPIC_MAX: usize = 249;
/// Longest name of a log group (API reference of Amazon CloudWatch Logs, `CreateLogGroup`).
pub const LOG_GROUP_MAX: usize = 512;

/// Where logs go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogDelivery {
    /// Logs of workers, the only ones there are.
    pub worker_log_delivery: WorkerLogDelivery,
}

/// Each place on its own; absent means: not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerLogDelivery {
    /// Files below the folder that the daemon's `[log_delivery] directory` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileDelivery>,
    /// A topic of the connector's own Kafka cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaDelivery>,
    /// A log group behind the API of Amazon CloudWatch Logs (`PutLogEvents`, 2014-03-28).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloudwatch_logs: Option<CloudWatchLogsDelivery>,
}

/// Delivery into files `PREFIX/CONNECTOR/WORKER.log`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDelivery {
    /// Whether it is on.
    pub enabled: bool,
    /// A relative path below the daemon's folder; empty means the folder itself.
    #[serde(default)]
    pub prefix: String,
}

/// Delivery into a Kafka topic, a record for each line, keyed by the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaDelivery {
    /// Whether it is on.
    pub enabled: bool,
    /// The topic.
    pub topic: String,
}

/// Delivery into a log group, a log stream for each worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudWatchLogsDelivery {
    /// Whether it is on.
    pub enabled: bool,
    /// The log group.
    pub log_group: String,
}

impl LogDelivery {
    /// The first thing that is wrong by itself: attribute below `log_delivery`, and what it is.
    pub fn invalid(&self) -> Option<(&'static str, String)> {
        let WorkerLogDelivery {
            file,
            kafka,
            cloudwatch_logs,
        } = &self.worker_log_delivery;
        let file = file
            .as_ref()
            .and_then(|it| wrong_prefix(&it.prefix))
            .map(|wrong| ("worker_log_delivery.file.prefix", wrong.to_owned()));
        let kafka = || {
            let it = kafka.as_ref()?;
            let wrong = wrong_topic(&it.topic, it.enabled)?;
            Some(("worker_log_delivery.kafka.topic", wrong))
        };
        let cloudwatch_logs = || {
            let it = cloudwatch_logs.as_ref()?;
            let wrong = wrong_log_group(&it.log_group, it.enabled)?;
            Some(("worker_log_delivery.cloudwatch_logs.log_group", wrong))
        };
        file.or_else(kafka).or_else(cloudwatch_logs)
    }

    /// Places that are asked for and that the daemon does not have: attribute below `log_delivery`,
    /// and the key of `runnel.toml` that gives it.
    pub fn unavailable(&self, places: LogPlaces) -> Vec<(&'static str, &'static str)> {
        let asked = &self.worker_log_delivery;
        let file = asked.file.as_ref().is_some_and(|it| it.enabled);
        let logs = asked.cloudwatch_logs.as_ref().is_some_and(|it| it.enabled);
        let mut unavailable = Vec::new();
        if file && !places.file {
            let key = "[log_delivery] directory";
            unavailable.push(("worker_log_delivery.file", key));
        }
        if logs && !places.cloudwatch_logs {
            let key = "[log_delivery.cloudwatch_logs] endpoint";
            unavailable.push(("worker_log_delivery.cloudwatch_logs", key));
        }
        unavailable
    }
}

fn wrong_prefix(prefix: &str) -> Option<&'static str> {
    if prefix.starts_with('/') {
        return Some("a prefix is relative to the daemon's folder and does not start with `/`");
    }
    if prefix.split('/').any(|part| part == "..") {
        return Some("a prefix stays below the daemon's folder and has no `..`");
    }
    if prefix.chars().any(char::is_control) {
        return Some("a prefix has no control characters");
    }
    (prefix.chars().count() > PREFIX_MAX).then_some("a prefix has up to 1024 characters")
}

/// By `Topic.validate`; and no topic of Kafka's or of a Connect cluster's own.
fn wrong_topic(topic: &str, needed: bool) -> Option<String> {
    if topic.is_empty() {
        return needed.then(|| "a topic is needed".to_owned());
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic == "." || topic == ".." || topic.len() > TOPIC_MAX || !topic.chars().all(legal) {
        return Some(format!(
            "a topic's name has up to {TOPIC_MAX} letters, digits, `.`, `_` and `-`, and is not `.` or `..`"
        ));
    }
    topic
        .starts_with("__")
        .then(|| "topics that begin with `__` are internal ones".to_owned())
}

fn wrong_log_group(log_group: &str, needed: bool) -> Option<String> {
    if log_group.is_empty() {
        return needed.then(|| "a log group is needed".to_owned());
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || "._/#-".contains(c);
    (log_group.len() > LOG_GROUP_MAX || !log_group.chars().all(legal)).then(|| {
        format!("a log group's name has up to {LOG_GROUP_MAX} letters, digits, `.`, `-`, `_`, `/` and `#`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(prefix: &str, topic: &str, log_group: &str, enabled: bool) -> LogDelivery {
        LogDelivery {
            worker_log_delivery: WorkerLogDelivery {
                file: Some(FileDelivery {
                    enabled,
                    prefix: prefix.into(),
                }),
                kafka: Some(KafkaDelivery {
                    enabled,
                    topic: topic.into(),
                }),
                cloudwatch_logs: Some(CloudWatchLogsDelivery {
                    enabled,
                    log_group: log_group.into(),
                }),
            },
        }
    }

    #[test]
    fn names_are_checked_and_may_be_missing_where_delivery_is_off() {
        assert_eq!(delivery("", "logs", "/aws/a#b", true).invalid(), None);
        assert_eq!(delivery("a/b.c", "", "", false).invalid(), None);
        let long = "x".repeat(1025);
        for (prefix, topic, log_group, field) in [
            ("/etc", "t", "g", "file.prefix"),
            ("a/../b", "t", "g", "file.prefix"),
            ("a\n", "t", "g", "file.prefix"),
            (&long, "t", "g", "file.prefix"),
            ("", "", "g", "kafka.topic"),
            ("", "..", "g", "kafka.topic"),
            ("", "a b", "g", "kafka.topic"),
            ("", &long, "g", "kafka.topic"),
            ("", "__consumer_offsets", "g", "kafka.topic"),
            ("", "t", "", "cloudwatch_logs.log_group"),
            ("", "t", "a:b", "cloudwatch_logs.log_group"),
            ("", "t", &long, "cloudwatch_logs.log_group"),
        ] {
            let wrong = delivery(prefix, topic, log_group, true).invalid();
            let at = wrong.unwrap().0;
            assert_eq!(at, format!("worker_log_delivery.{field}"));
        }
        assert!(delivery("", "__x", "", false).invalid().is_some());
    }

    #[test]
    fn a_place_that_the_daemon_does_not_have_is_named_with_its_key() {
        let nowhere = LogPlaces::default();
        let asked = delivery("", "t", "g", true);
        let keys = |places| -> Vec<_> {
            let unavailable = asked.unavailable(places).into_iter();
            unavailable.map(|(_, key)| key).collect()
        };
        assert_eq!(
            keys(nowhere),
            [
                "[log_delivery] directory",
                "[log_delivery.cloudwatch_logs] endpoint"
            ]
        );
        let file = LogPlaces {
            file: true,
            ..nowhere
        };
        assert_eq!(keys(file), ["[log_delivery.cloudwatch_logs] endpoint"]);
        let off = delivery("", "t", "g", false);
        assert_eq!(off.unavailable(nowhere), []);
        assert_eq!(LogDelivery::default().invalid(), None);
    }
}
