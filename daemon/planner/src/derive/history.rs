//! Schema history: Debezium keeps it by Kafka clients of its own, which know nothing of the
//! worker's login. Where they connect and how comes from the Kafka cluster, never from the user.

use super::class::{Found, has_schema_history};
use super::{DeriveInput, Findings, listed};
use runnel_api::kafka_cluster::{ClientAuthentication, EncryptionInTransit, KafkaClusterSpec};
use runnel_api::{ErrorCode, Problem};
use std::collections::{BTreeMap, BTreeSet};

/// Prefix up to Debezium 1.9.
const OLD_PREFIX: &str = "database.history.";
/// Prefix since Debezium 2.0.
const NEW_PREFIX: &str = "schema.history.internal.";
const BOOTSTRAP: &str = "kafka.bootstrap.servers";
const CLIENTS: [&str; 2] = ["producer.", "consumer."];

/// Settings of a client that logs in with an IAM role (Amazon MSK Library for IAM).
const MSK_IAM: [(&str, &str); 4] = [
    ("security.protocol", "SASL_SSL"),
    ("sasl.mechanism", "AWS_MSK_IAM"),
    (
        "sasl.jaas.config",
        "software.amazon.msk.auth.iam.IAMLoginModule required;",
    ),
    (
        "sasl.client.callback.handler.class",
        "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
    ),
];

/// What a key of the schema history's clients is about.
enum Concern {
    /// Where a client connects.
    Servers,
    /// How it does; the part of the key behind the client's name.
    Security(String),
}

/// Puts the cluster's servers and security into the configuration of a class with a schema history.
pub(super) fn connect(
    input: &DeriveInput<'_>,
    found: &Found,
    config: &mut BTreeMap<String, String>,
    findings: &mut Findings,
) {
    if !has_schema_history(&found.class) || is_kept_elsewhere(config) {
        return;
    }
    let mut replaced = Vec::new();
    for (argument, key) in super::all_keys(input) {
        let Some(concern) = concern(key) else {
            continue;
        };
        let value = input.spec.config.get(key).map(String::as_str);
        match accept(&concern, value, input.kafka_cluster) {
            Accepted::Same => {}
            Accepted::Replaced => replaced.push(key),
            Accepted::No => {
                findings.refuse(refused(input, key).field(format!("{argument}[{key:?}]")));
            }
        }
        config.remove(key);
    }
    if !replaced.is_empty() {
        note(input, &replaced, findings);
    }
    let prefix = prefix(found, config);
    let servers = input.kafka_cluster.bootstrap_servers.trim().to_owned();
    config.insert(format!("{prefix}{BOOTSTRAP}"), servers);
    for client in CLIENTS {
        for (key, value) in security(input.kafka_cluster) {
            config.insert(format!("{prefix}{client}{key}"), value);
        }
    }
}

/// True when the history is configured to be in a file, a bucket or another store.
fn is_kept_elsewhere(config: &BTreeMap<String, String>) -> bool {
    [OLD_PREFIX, NEW_PREFIX].iter().any(|prefix| {
        let class = config
            .get(prefix.trim_end_matches('.'))
            .map(|text| text.trim());
        class.is_some_and(|class| !class.is_empty() && !class.contains(".Kafka"))
    })
}

/// By the plugin's version; where it has none, by the words the user knows.
fn prefix(found: &Found, config: &BTreeMap<String, String>) -> &'static str {
    let major: Option<u32> = found
        .version
        .split('.')
        .next()
        .and_then(|major| major.parse().ok());
    let old = match major {
        Some(major) => major < 2,
        None => config.contains_key("database.server.name") && !config.contains_key("topic.prefix"),
    };
    if old { OLD_PREFIX } else { NEW_PREFIX }
}

fn concern(key: &str) -> Option<Concern> {
    let rest = [OLD_PREFIX, NEW_PREFIX]
        .iter()
        .find_map(|prefix| key.strip_prefix(prefix))?;
    if rest == BOOTSTRAP {
        return Some(Concern::Servers);
    }
    let setting = CLIENTS
        .iter()
        .find_map(|client| rest.strip_prefix(client))?;
    let is_security = ["security.", "sasl.", "ssl."]
        .iter()
        .any(|p| setting.starts_with(p));
    match setting {
        "bootstrap.servers" => Some(Concern::Servers),
        _ => is_security.then(|| Concern::Security(setting.to_owned())),
    }
}

/// What becomes of a value the user gave.
enum Accepted {
    /// It says what the cluster says, or nothing.
    Same,
    /// It is a line for `AWS_MSK_IAM` on a cluster without: the cluster's own takes its place.
    Replaced,
    /// It is refused.
    No,
}

/// `value` is absent for a key of `config_wo`.
fn accept(concern: &Concern, value: Option<&str>, cluster: &KafkaClusterSpec) -> Accepted {
    let Some(value) = value.map(str::trim) else {
        return Accepted::No;
    };
    let agrees = match concern {
        Concern::Servers => value.is_empty() || same_servers(value, cluster),
        Concern::Security(setting) => security(cluster)
            .iter()
            .any(|(key, own)| key == setting && own == value),
    };
    if agrees {
        return Accepted::Same;
    }
    match concern {
        Concern::Security(setting) if is_msk_iam_line(setting, value) => Accepted::Replaced,
        _ => Accepted::No,
    }
}

/// One of the settings that MSK's documentation tells people to write.
fn is_msk_iam_line(setting: &str, value: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let value = plain(value).replace(" ;", ";");
    MSK_IAM
        .iter()
        .any(|(key, line)| *key == setting && plain(line) == value)
}

fn same_servers(value: &str, cluster: &KafkaClusterSpec) -> bool {
    let set = |text: &str| -> BTreeSet<String> {
        let servers = text.split(',').map(|server| server.trim().to_lowercase());
        servers.filter(|server| !server.is_empty()).collect()
    };
    set(value) == set(&cluster.bootstrap_servers)
}

/// Client settings for the cluster.
fn security(cluster: &KafkaClusterSpec) -> Vec<(&'static str, String)> {
    let encrypted = matches!(
        cluster.encryption_in_transit,
        EncryptionInTransit::Tls { .. }
    );
    let mut settings: Vec<(&str, String)> = match (&cluster.client_authentication, encrypted) {
        (ClientAuthentication::None, false) => vec![("security.protocol", "PLAINTEXT".into())],
        (ClientAuthentication::None, true) => vec![("security.protocol", "SSL".into())],
        // User and password are in the login configuration of the worker's whole JVM.
        (ClientAuthentication::ScramSha512 { .. }, _) => vec![
            ("security.protocol", "SASL_SSL".into()),
            ("sasl.mechanism", "SCRAM-SHA-512".into()),
        ],
        (ClientAuthentication::Mtls { certificate, .. }, _) => vec![
            ("security.protocol", "SSL".into()),
            ("ssl.keystore.type", "PEM".into()),
            ("ssl.keystore.certificate.chain", certificate.clone()),
            ("ssl.keystore.key", super::placeholder(super::CLUSTER_KEY)),
        ],
        (ClientAuthentication::AwsMskIam, _) => MSK_IAM
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect(),
    };
    if let EncryptionInTransit::Tls {
        ca_certificate: Some(pem),
    } = &cluster.encryption_in_transit
    {
        // PEM text as a value: KIP-651, since Kafka 2.7.
        settings.push(("ssl.truststore.type", "PEM".into()));
        settings.push(("ssl.truststore.certificates", pem.clone()));
    }
    settings
}

fn refused(input: &DeriveInput<'_>, key: &str) -> Problem {
    Problem::new(
        ErrorCode::InvalidArgument,
        format!("{} comes from the Kafka cluster", super::cut(key)),
    )
    .detail(format!(
        "servers and security of the schema history are those of the Kafka cluster {}",
        input.spec.kafka_cluster
    ))
    .hint("leave the key out")
}

fn note(input: &DeriveInput<'_>, replaced: &[&str], findings: &mut Findings) {
    let lines = if replaced.len() == 1 { "line" } else { "lines" };
    let settings = security(input.kafka_cluster);
    let own: Vec<String> = settings
        .iter()
        .filter(|(key, _)| {
            let long = [
                "ssl.truststore.certificates",
                "ssl.keystore.certificate.chain",
            ];
            !long.contains(key)
        })
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    findings.warn(
        "config",
        format!(
            "{} {lines} for AWS_MSK_IAM are replaced: the Kafka cluster {} has no such login",
            replaced.len(),
            input.spec.kafka_cluster
        ),
        format!(
            "replaced are {}; producer and consumer of the schema history get {}",
            listed(replaced),
            listed(&own)
        ),
    );
}
