//! Where workers' logs are delivered besides the daemon's own folder: MSK Connect's `workerLogDelivery`, with a folder
//! and a Kafka topic in the places of Amazon S3 and Amazon Data Firehose.

use serde::{Deserialize, Serialize};

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
