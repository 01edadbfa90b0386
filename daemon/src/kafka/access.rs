//! The way into a cluster: servers, encryption, login.

use runnel_api::Secret;
use runnel_api::kafka_cluster::{
    ADMIN_PASSWORD, ClientAuthentication, EncryptionInTransit, KafkaClusterSpec, PASSWORD,
    PRIVATE_KEY,
};
use std::collections::BTreeMap;

/// How the daemon gets into a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Bootstrap servers, `(host, port)`.
    pub servers: Vec<(String, u16)>,
    /// What the bytes go through.
    pub encryption: Encryption,
    /// Who we are.
    pub login: Login,
}

/// What the bytes go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// TCP alone.
    Plaintext,
    /// TLS 1.2 or 1.3, host names checked.
    Tls {
        /// Authorities that are trusted, PEM; none means the system's.
        ca: Option<String>,
        /// What we show.
        client: Option<ClientCertificate>,
    },
}

/// A client certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate and what leads to its authority, PEM.
    pub chain: String,
    /// Its key, PKCS#8 in PEM.
    pub key: Secret,
}

/// Who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Nobody, or who our certificate says.
    None,
    /// SASL SCRAM-SHA-512 (RFC 5802, KIP-84).
    ScramSha512 {
        /// User.
        username: String,
        /// Password.
        password: Secret,
    },
    /// SASL `AWS_MSK_IAM`: the daemon asks for the mechanism and goes no further.
    AwsMskIam,
}

impl Access {
    /// A plain listener without a login.
    pub const fn plaintext(servers: Vec<(String, u16)>) -> Self {
        Self {
            servers,
            encryption: Encryption::Plaintext,
            login: Login::None,
        }
    }

    /// The daemon's own way into a declared cluster: as its admin where there is one, else as the
    /// workers do. A specification was checked when it was accepted; a secret that is missing is an
    /// empty one, and the broker refuses it.
    pub fn of(spec: &KafkaClusterSpec, secrets: &BTreeMap<String, Secret>) -> Self {
        let secret = |key: &str| {
            secrets
                .get(key)
                .cloned()
                .unwrap_or_else(|| Secret::new(String::new()))
        };
        let login = match (&spec.admin, &spec.client_authentication) {
            (Some(admin), _) => Login::ScramSha512 {
                username: admin.username.clone(),
                password: secret(ADMIN_PASSWORD),
            },
            (None, ClientAuthentication::ScramSha512 { username, .. }) => Login::ScramSha512 {
                username: username.clone().unwrap_or_default(),
                password: secret(PASSWORD),
            },
            (None, ClientAuthentication::AwsMskIam) => Login::AwsMskIam,
            (None, ClientAuthentication::None | ClientAuthentication::Mtls { .. }) => Login::None,
        };
        Self {
            servers: spec.servers().unwrap_or_default(),
            encryption: Self::encryption(spec, || secret(PRIVATE_KEY)),
            login,
        }
    }

    fn encryption(spec: &KafkaClusterSpec, key: impl Fn() -> Secret) -> Encryption {
        let client = match &spec.client_authentication {
            ClientAuthentication::Mtls { certificate, .. } => Some(ClientCertificate {
                chain: certificate.clone(),
                key: key(),
            }),
            _ => None,
        };
        match &spec.encryption_in_transit {
            EncryptionInTransit::Plaintext => Encryption::Plaintext,
            EncryptionInTransit::Tls { ca_certificate } => Encryption::Tls {
                ca: ca_certificate.clone(),
                client,
            },
        }
    }

    /// The same servers and encryption with another login: to try a connector's.
    #[must_use]
    pub fn with_login(&self, login: Login) -> Self {
        Self {
            login,
            ..self.clone()
        }
    }
}
