//! Kafka clusters: where workers connect.

use crate::object::Object;
use serde::{Deserialize, Serialize};

/// Key of [`crate::Put::secrets`] for the login's password.
pub const PASSWORD: &str = "password";
/// Key of [`crate::Put::secrets`] for the admin's password.
pub const ADMIN_PASSWORD: &str = "admin_password";

/// What a user declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaClusterSpec {
    /// `host:port` pairs separated by commas.
    pub bootstrap_servers: String,
    /// Whether the wire is encrypted.
    #[serde(default)]
    pub encryption_in_transit: EncryptionInTransit,
    /// How workers log in.
    #[serde(default)]
    pub client_authentication: ClientAuthentication,
}

/// Names as in MSK Connect (`KafkaClusterEncryptionInTransitType`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub enum EncryptionInTransit {
    /// Not encrypted.
    #[default]
    Plaintext,
    /// TLS with the given CA, PEM; none means the system's.
    Tls {
        /// PEM text.
        #[serde(default)]
        ca_certificate: Option<String>,
    },
}

/// How workers log in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub enum ClientAuthentication {
    /// Not at all.
    #[default]
    None,
    /// SASL/SCRAM with SHA-512 (RFC 5802, KIP-84).
    ScramSha512 {
        /// The user, when there is no admin to make one for each connector.
        #[serde(default)]
        username: Option<String>,
    },
    /// SASL mechanism `AWS_MSK_IAM`.
    AwsMskIam,
}

/// Whether roles are enforced by the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Enforcement {
    /// By ACLs on a principal for each connector.
    Acl,
    /// Not at all: workers may do what the cluster lets anyone do.
    None,
}

/// What the daemon adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaClusterStatus {
    /// Prefix of topic ARNs for policies, ends in `/`.
    pub topic_arn: String,
    /// Prefix of group ARNs for policies, ends in `/`.
    pub group_arn: String,
    /// Prefix of transactional-id ARNs for policies, ends in `/`.
    pub transactional_id_arn: String,
    /// Whether roles are enforced.
    pub enforcement: Enforcement,
}

/// A Kafka cluster.
pub type KafkaCluster = Object<KafkaClusterSpec, KafkaClusterStatus>;

impl KafkaClusterSpec {
    /// The servers one by one as `(host, port)`, or what is wrong with the text.
    pub fn servers(&self) -> Result<Vec<(String, u16)>, String> {
        let mut servers = Vec::new();
        for part in self.bootstrap_servers.split(',') {
            let part = part.trim();
            let (host, port) = part
                .rsplit_once(':')
                .ok_or_else(|| format!("{part:?} has no port; write host:port"))?;
            let port: u16 = port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| format!("{part:?} has no valid port (1 to 65535)"))?;
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let odd = |c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '@');
            if bare.is_empty() || bare.contains(odd) {
                return Err(format!("{part:?} has no valid host"));
            }
            servers.push((bare.to_owned(), port));
        }
        Ok(servers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(text: &str) -> Result<Vec<(String, u16)>, String> {
        KafkaClusterSpec {
            bootstrap_servers: text.into(),
            encryption_in_transit: EncryptionInTransit::default(),
            client_authentication: ClientAuthentication::default(),
        }
        .servers()
    }

    #[test]
    fn bootstrap_servers_are_host_and_port_pairs() {
        assert_eq!(
            servers("a:1, [::1]:9092").unwrap(),
            vec![("a".into(), 1), ("::1".into(), 9092)]
        );
        for bad in [
            "",
            "a",
            "a:",
            "a:0",
            "a:65536",
            ":9092",
            "a:1,,b:2",
            "http://a:1",
        ] {
            assert!(servers(bad).is_err(), "{bad:?}");
        }
    }
}
