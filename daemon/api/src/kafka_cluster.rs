//! Kafka clusters: where workers connect.

use crate::error::{Problem, Warning};
use crate::object::Object;
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Key of [`crate::Put::secrets`] for the login's password.
pub const PASSWORD: &str = "password";
/// Key of [`crate::Put::secrets`] for the admin's password.
pub const ADMIN_PASSWORD: &str = "admin_password";
/// Key of [`crate::Put::secrets`] for the key of the client certificate, PKCS#8 in PEM.
pub const PRIVATE_KEY: &str = "private_key";

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
    /// Who makes users and ACLs; none means that roles are not enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<Admin>,
}

/// A login that may make SCRAM users and ACLs. It logs in by SCRAM-SHA-512; its password is the
/// secret [`ADMIN_PASSWORD`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Its user.
    pub username: String,
    /// The number by which the user says that the password is a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_wo_version: Option<i64>,
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
    #[serde(rename = "SCRAM_SHA_512")]
    ScramSha512 {
        /// The user, when there is no admin to make one for each connector. Its password is the
        /// secret [`PASSWORD`].
        #[serde(default)]
        username: Option<String>,
        /// The number by which the user says that the password is a new one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password_wo_version: Option<i64>,
    },
    /// TLS with a client certificate. Its key is the secret [`PRIVATE_KEY`].
    Mtls {
        /// The certificate and what leads to its authority, PEM.
        certificate: String,
        /// The number by which the user says that the key is a new one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        private_key_wo_version: Option<i64>,
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

/// Body of `POST /api/v1/kafka-clusters/{name}/preview`: does this cluster answer, and what is it?
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaClusterPreview {
    /// The specification.
    pub spec: KafkaClusterSpec,
    /// Passwords and keys; absent means: those that are sealed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::secret::expose_map"
    )]
    pub secrets: Option<BTreeMap<String, Secret>>,
}

/// The answer to a preview. `seen` is absent where the cluster did not let us look.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct KafkaClusterPreviewed {
    /// What the cluster is.
    #[serde(default)]
    pub seen: Option<KafkaClusterSeen>,
    /// What would be refused.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// Remarks.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// What a look at a cluster finds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaClusterSeen {
    /// Its id, if it has one.
    pub cluster_id: Option<String>,
    /// How many brokers live.
    pub brokers: u32,
    /// Whether it checks ACLs.
    pub authorizer: Authorizer,
}

/// Whether a cluster checks ACLs (`authorizer.class.name`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Authorizer {
    /// It does.
    On,
    /// It has none: everybody may do everything.
    Off,
    /// The login may not ask.
    Unknown,
}

/// A Kafka cluster.
pub type KafkaCluster = Object<KafkaClusterSpec, KafkaClusterStatus>;

impl KafkaClusterSpec {
    /// Whether roles are enforced: where there is an admin.
    pub const fn enforcement(&self) -> Enforcement {
        match self.admin {
            Some(_) => Enforcement::Acl,
            None => Enforcement::None,
        }
    }

    /// Which secrets it needs, as `(key, field as in HCL)`.
    pub fn secrets_needed(&self) -> Vec<(&'static str, &'static str)> {
        let mut needed = Vec::new();
        match &self.client_authentication {
            ClientAuthentication::ScramSha512 {
                username: Some(_), ..
            } => needed.push((PASSWORD, "client_authentication.password_wo")),
            ClientAuthentication::Mtls { .. } => {
                needed.push((PRIVATE_KEY, "client_authentication.private_key_wo"));
            }
            _ => {}
        }
        if self.admin.is_some() {
            needed.push((ADMIN_PASSWORD, "admin.password_wo"));
        }
        needed
    }

    /// The first thing that is wrong with the way in, with its field as in HCL. Servers are
    /// [`KafkaClusterSpec::servers`]'s.
    pub fn invalid(&self) -> Option<(&'static str, String)> {
        let encrypted = matches!(self.encryption_in_transit, EncryptionInTransit::Tls { .. });
        let wrong = |field, message: &str| Some((field, message.to_owned()));
        if self.admin.is_some()
            && !matches!(
                self.client_authentication,
                ClientAuthentication::ScramSha512 { username: None, .. }
            )
        {
            return wrong(
                "admin",
                "an admin makes a SCRAM user for each connector: it goes with \
                 client_authentication = { type = \"SCRAM_SHA_512\" } without a username",
            );
        }
        match &self.client_authentication {
            ClientAuthentication::None => None,
            _ if !encrypted => wrong(
                "encryption_in_transit.type",
                "a login over an unencrypted connection can be read and replayed \
                 (CVE-2024-56128): use type = \"TLS\"",
            ),
            ClientAuthentication::ScramSha512 { username, .. } => {
                match (username.as_deref(), &self.admin) {
                    (None, None) => wrong(
                        "client_authentication.username",
                        "SCRAM_SHA_512 needs a username with its password, or an admin that makes \
                         a user for each connector",
                    ),
                    (Some(""), _) => {
                        wrong("client_authentication.username", "the username is empty")
                    }
                    _ => match &self.admin {
                        Some(admin) if admin.username.is_empty() => {
                            wrong("admin.username", "the username is empty")
                        }
                        _ => None,
                    },
                }
            }
            ClientAuthentication::Mtls { certificate, .. } => {
                (!certificate.contains("-----BEGIN CERTIFICATE-----")).then(|| {
                    (
                        "client_authentication.certificate",
                        String::from("this is no certificate in PEM"),
                    )
                })
            }
            ClientAuthentication::AwsMskIam => None,
        }
    }

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
            admin: None,
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

    #[test]
    fn each_way_in_has_the_name_that_people_write() {
        for (text, wanted) in [
            (r#"{"type":"NONE"}"#, ClientAuthentication::None),
            (r#"{"type":"AWS_MSK_IAM"}"#, ClientAuthentication::AwsMskIam),
            (
                r#"{"type":"SCRAM_SHA_512","username":"u"}"#,
                ClientAuthentication::ScramSha512 {
                    username: Some("u".into()),
                    password_wo_version: None,
                },
            ),
            (
                r#"{"type":"MTLS","certificate":"c"}"#,
                ClientAuthentication::Mtls {
                    certificate: "c".into(),
                    private_key_wo_version: None,
                },
            ),
        ] {
            let read: ClientAuthentication = serde_json::from_str(text).unwrap();
            assert_eq!(read, wanted);
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
    }
}
