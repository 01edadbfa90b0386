//! The sections `[logs]` and `[log_delivery]`.

use super::{ConfigError, absolute};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// MiB of one live worker's log with its older parts: five files of 10 MiB.
pub const WORKER_MIB_DEFAULT: u64 = 50;
/// MiB of all logs of one connector.
pub const CONNECTOR_MIB_DEFAULT: u64 = 100;
/// Days that a log stays after its last line.
pub const KEEP_DAYS_DEFAULT: u64 = 14;
/// Records a second of one connector that are delivered. A worker's start writes about 600 within
/// two seconds, a connector at rest a few a minute.
pub const RECORDS_PER_SECOND_DEFAULT: u64 = 1_000;
/// KiB a second of one connector that are delivered.
pub const KIB_PER_SECOND_DEFAULT: u64 = 1_024;
/// More MiB than a machine has would be a mistake in the unit.
const MIB_MAX: u64 = 1 << 20;
/// A hundred years.
const DAYS_MAX: u64 = 36_500;
/// Nothing reads or writes more in a second.
const RATE_MAX: u64 = 10_000_000;

/// What is kept of workers' logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logs {
    /// Bytes of one live worker's log with its older parts.
    pub worker_bytes: u64,
    /// Bytes of all logs of one connector.
    pub connector_bytes: u64,
    /// How long a log stays after its last line.
    pub keep: Duration,
}

/// Where logs may be delivered, and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDelivery {
    /// Below it are the files of connectors that deliver to files; none: they cannot.
    pub directory: Option<PathBuf>,
    /// Records a second of one connector; what is more is dropped and counted.
    pub records_per_second: u64,
    /// Bytes a second of one connector; what is more is dropped and counted.
    pub bytes_per_second: u64,
    /// The API of CloudWatch Logs; none: connectors cannot deliver there.
    pub cloudwatch_logs: Option<CloudWatchLogs>,
}

/// A server of CloudWatch Logs' API, and how to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudWatchLogs {
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The access key's name; no secret.
    pub access_key_id: String,
    /// A file, mode 0600, with the secret.
    pub secret_access_key_file: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogsEntry {
    worker_mib: Option<u64>,
    connector_mib: Option<u64>,
    keep_days: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogDeliveryEntry {
    directory: Option<PathBuf>,
    records_per_second: Option<u64>,
    kib_per_second: Option<u64>,
    cloudwatch_logs: Option<CloudWatchLogsEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CloudWatchLogsEntry {
    endpoint: String,
    region: String,
    access_key_id: String,
    secret_access_key_file: PathBuf,
}

fn within(
    path: &Path,
    key: &str,
    value: Option<u64>,
    default: u64,
    most: u64,
    advice: &'static str,
) -> Result<u64, ConfigError> {
    let value = value.unwrap_or(default);
    if (1..=most).contains(&value) {
        return Ok(value);
    }
    Err(ConfigError::Invalid {
        origin: path.display().to_string(),
        key: key.to_owned(),
        wrong: format!("is {value}"),
        advice,
    })
}

pub(super) fn logs(path: &Path, entry: &LogsEntry) -> Result<Logs, ConfigError> {
    let mib = |key, value, default| {
        let advice = "write MiB, 1 to 1048576";
        within(path, key, value, default, MIB_MAX, advice).map(|mib| mib << 20)
    };
    let days = within(
        path,
        "logs.keep_days",
        entry.keep_days,
        KEEP_DAYS_DEFAULT,
        DAYS_MAX,
        "write days, 1 to 36500",
    )?;
    Ok(Logs {
        worker_bytes: mib("logs.worker_mib", entry.worker_mib, WORKER_MIB_DEFAULT)?,
        connector_bytes: mib(
            "logs.connector_mib",
            entry.connector_mib,
            CONNECTOR_MIB_DEFAULT,
        )?,
        keep: Duration::from_hours(days * 24),
    })
}

pub(super) fn log_delivery(
    path: &Path,
    entry: LogDeliveryEntry,
) -> Result<LogDelivery, ConfigError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let rate = |key, value, default| {
        let advice = "write how many a second, 1 to 10000000";
        within(path, key, value, default, RATE_MAX, advice)
    };
    let cloudwatch_logs = match entry.cloudwatch_logs {
        Some(entry) => Some(cloudwatch_logs(path, folder, entry)?),
        None => None,
    };
    Ok(LogDelivery {
        directory: entry
            .directory
            .map(|directory| absolute(folder.join(directory))),
        records_per_second: rate(
            "log_delivery.records_per_second",
            entry.records_per_second,
            RECORDS_PER_SECOND_DEFAULT,
        )?,
        bytes_per_second: rate(
            "log_delivery.kib_per_second",
            entry.kib_per_second,
            KIB_PER_SECOND_DEFAULT,
        )? << 10,
        cloudwatch_logs,
    })
}

fn cloudwatch_logs(
    path: &Path,
    folder: &Path,
    entry: CloudWatchLogsEntry,
) -> Result<CloudWatchLogs, ConfigError> {
    let invalid = |key: &str, value: &str, advice| ConfigError::Invalid {
        origin: path.display().to_string(),
        key: format!("log_delivery.cloudwatch_logs.{key}"),
        wrong: format!("is {value:?}"),
        advice,
    };
    let endpoint = entry.endpoint.trim_end_matches('/');
    let uri: Option<http::Uri> = endpoint.parse().ok();
    let is_address = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.path() == "/"
            && uri.query().is_none()
            && !endpoint.contains('@')
    });
    if !is_address {
        let advice = "write the server's address without a path, such as \
                      \"https://logs.eu-central-1.amazonaws.com\" or \"http://127.0.0.1:5000\"";
        return Err(invalid("endpoint", &entry.endpoint, advice));
    }
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if !is_word(&entry.region) {
        let advice = "write the region that requests are signed for, such as \"eu-central-1\"";
        return Err(invalid("region", &entry.region, advice));
    }
    if !is_word(&entry.access_key_id) || entry.access_key_id.contains('/') {
        let advice = "write the access key's id; its secret goes into secret_access_key_file";
        return Err(invalid("access_key_id", &entry.access_key_id, advice));
    }
    Ok(CloudWatchLogs {
        endpoint: endpoint.to_owned(),
        region: entry.region,
        access_key_id: entry.access_key_id,
        secret_access_key_file: absolute(folder.join(entry.secret_access_key_file)),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Environment, Overrides};
    use super::*;
    use runnel_api::server::LogPlaces;

    fn parse(text: &str) -> Result<Config, String> {
        let path = Path::new("/etc/x/runnel.toml");
        let (environment, overrides) = (Environment::default(), Overrides::default());
        Config::parse(text, path, &environment, &overrides).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_word_logs_are_kept_two_weeks_and_delivered_to_kafka_only() {
        let config = parse("").unwrap();
        assert_eq!(config.logs.worker_bytes, 50 << 20);
        assert_eq!(config.logs.connector_bytes, 100 << 20);
        assert_eq!(config.logs.keep, Duration::from_hours(14 * 24));
        assert_eq!(config.log_places(), LogPlaces::default());
    }

    #[test]
    fn every_key_is_read() {
        let config = parse(
            r#"
            [logs]
            worker_mib = 1
            connector_mib = 2
            keep_days = 3
            [log_delivery]
            directory = "delivered"
            records_per_second = 4
            kib_per_second = 5
            [log_delivery.cloudwatch_logs]
            endpoint = "http://127.0.0.1:5000/"
            region = "us-east-1"
            access_key_id = "AKIDEXAMPLE"
            secret_access_key_file = "aws.secret"
            "#,
        )
        .unwrap();
        assert_eq!(config.logs.worker_bytes, 1 << 20);
        assert_eq!(config.logs.connector_bytes, 2 << 20);
        assert_eq!(config.logs.keep, Duration::from_hours(72));
        let delivery = &config.log_delivery;
        assert_eq!(
            delivery.directory.as_deref(),
            Some(Path::new("/etc/x/delivered"))
        );
        assert_eq!(delivery.records_per_second, 4);
        assert_eq!(delivery.bytes_per_second, 5 << 10);
        let cloudwatch = delivery.cloudwatch_logs.as_ref().unwrap();
        assert_eq!(cloudwatch.endpoint, "http://127.0.0.1:5000");
        assert_eq!(
            cloudwatch.secret_access_key_file,
            Path::new("/etc/x/aws.secret")
        );
        let places = LogPlaces {
            file: true,
            cloudwatch_logs: true,
        };
        assert_eq!(config.log_places(), places);
    }

    #[test]
    fn errors_name_the_key_and_say_what_to_do() {
        let cloudwatch = |endpoint: &str, key: &str| {
            format!(
                "[log_delivery.cloudwatch_logs]\nendpoint = \"{endpoint}\"\nregion = \"r\"\n\
                 access_key_id = \"{key}\"\nsecret_access_key_file = \"f\""
            )
        };
        for (text, part) in [
            ("logs.worker_mib = 0".to_owned(), "logs.worker_mib"),
            ("logs.keep_days = 99999".to_owned(), "days"),
            (
                "log_delivery.records_per_second = 0".to_owned(),
                "records_per_second",
            ),
            ("log_delivery.secret = 1".to_owned(), "secret"),
            (cloudwatch("127.0.0.1:5000", "a"), "endpoint"),
            (cloudwatch("http://u:p@h", "a"), "endpoint"),
            (cloudwatch("http://h/path", "a"), "endpoint"),
            (cloudwatch("http://h", ""), "access_key_id"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
