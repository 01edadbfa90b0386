//! Why one exchange with one broker failed, and which part of the way in is to blame.

use super::scram::ScramError;
use runnel_api::kafka_cluster::{ClientAuthentication, KafkaClusterSpec};
use std::io;
use std::time::Duration;

/// Why one exchange with one broker failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The host name has no address.
    #[error("the host name does not resolve")]
    Resolve(#[source] io::Error),
    /// No TCP connection.
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// Silence.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The broker closed the connection, or it was left in the middle of an exchange.
    #[error("the connection was closed")]
    Closed,
    /// Reading or writing failed.
    #[error("reading or writing failed")]
    Io(#[source] io::Error),
    /// A frame above the limit: most likely no Kafka.
    #[error("the answer claims {0} bytes, which is no Kafka answer we accept")]
    FrameTooLarge(u32),
    /// An answer that does not follow the protocol.
    #[error("the answer does not follow Kafka's protocol: {0}")]
    Malformed(String),
    /// The request cannot be written, such as a name above 32,767 bytes.
    #[error("the request cannot be encoded: {0}")]
    Encode(String),
    /// The broker does not speak a version that we do.
    #[error("the broker speaks versions {theirs:?} of it, we speak {ours:?}")]
    Unsupported {
        /// Our least and greatest version.
        ours: (i16, i16),
        /// The broker's, or `None` if it does not know the call.
        theirs: Option<(i16, i16)>,
    },
    /// The name that we connect to is none of the certificate's.
    #[error("the broker's certificate is not for {wanted}, but for {}", names(.found))]
    HostName {
        /// The host in `bootstrap_servers`, or that the cluster advertises.
        wanted: String,
        /// The names in the certificate.
        found: Vec<String>,
    },
    /// We are to speak TLS, the listener does not.
    #[error("the broker does not answer in TLS")]
    NoTls,
    /// We are to speak in plain, the listener wants TLS.
    #[error("the broker answers in TLS")]
    SpeaksTls,
    /// The broker closed the connection at the first bytes in plain.
    #[error("the broker closed the connection at the first request")]
    ClosedAtOnce,
    /// TLS came to no agreement, or broke.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The declared authorities are no certificates.
    #[error("the CA certificate cannot be used: {0}")]
    Authorities(String),
    /// No trusted authority signed the broker's certificate.
    #[error("the broker's certificate is signed by an authority that is not trusted")]
    UnknownAuthority,
    /// The broker's certificate is out of date.
    #[error("the broker's certificate has expired")]
    Expired,
    /// The broker's certificate is not valid yet.
    #[error("the broker's certificate is not valid yet")]
    NotYetValid,
    /// Anything else against the broker's certificate.
    #[error("the broker's certificate is refused: {0}")]
    Certificate(String),
    /// The listener asks for a client certificate and we have none.
    #[error("the broker wants a client certificate ({0})")]
    ClientCertificateWanted(String),
    /// The broker refused ours.
    #[error("the broker refused the client certificate ({0})")]
    ClientCertificateRefused(String),
    /// Our certificate or its key cannot be used.
    #[error("the client certificate or its key cannot be used: {0}")]
    ClientCertificate(String),
    /// The listener lets nobody in without a login, and we have none.
    #[error("the broker closed the connection at the first request without a login")]
    LoginWanted,
    /// The listener has no SASL.
    #[error("the broker's listener has no SASL login")]
    NoLogin,
    /// The listener does not know the mechanism.
    #[error("the broker does not accept the SASL mechanism {wanted}; it accepts {}", names(.theirs))]
    Mechanism {
        /// Ours.
        wanted: &'static str,
        /// The broker's.
        theirs: Vec<String>,
    },
    /// Workers have a library for `AWS_MSK_IAM`, the daemon has none.
    #[error("AWS_MSK_IAM is for workers; the daemon itself cannot log in by it")]
    IamLogin,
    /// Wrong user or password.
    #[error("the broker refused the login of {username}{}", said(.text))]
    LoginRefused {
        /// As whom.
        username: String,
        /// The broker's words.
        text: String,
    },
    /// The login went wrong in another way.
    #[error("the login failed")]
    Scram(#[from] ScramError),
}

/// Which part of an access a failure is about. The order is that of opening a connection: what
/// stands later was reached only because what stands earlier is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blame {
    /// Host or port, or the network between.
    Servers,
    /// Whether there is TLS at all.
    Encryption,
    /// The certificates that are trusted.
    Authorities,
    /// Our client certificate.
    ClientCertificate,
    /// Whether and how we log in.
    Mechanism,
    /// User or password.
    Password,
}

impl Blame {
    /// The attribute as in HCL.
    pub fn field(self, spec: &KafkaClusterSpec) -> &'static str {
        let has_certificate = matches!(
            spec.client_authentication,
            ClientAuthentication::Mtls { .. }
        );
        match self {
            Self::Servers => "bootstrap_servers",
            Self::Encryption => "encryption_in_transit.type",
            Self::Authorities => "encryption_in_transit.ca_certificate",
            Self::ClientCertificate if has_certificate => "client_authentication.certificate",
            Self::ClientCertificate | Self::Mechanism => "client_authentication.type",
            Self::Password if spec.admin.is_some() => "admin.password_wo",
            Self::Password => "client_authentication.password_wo",
        }
    }
}

impl Failure {
    /// Whether a connection that had been idle may simply have been closed meanwhile.
    pub(super) fn is_lost_connection(&self) -> bool {
        matches!(self, Self::Closed | Self::Io(_))
    }

    /// Whether the broker refused user or password; a user that was made a moment ago may be
    /// unknown to a broker for that long.
    pub fn is_login_refused(&self) -> bool {
        matches!(self, Self::LoginRefused { .. })
    }

    /// Which part of the access is wrong.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Resolve(_)
            | Self::Connect(_)
            | Self::TimedOut(_)
            | Self::Closed
            | Self::Io(_)
            | Self::FrameTooLarge(_)
            | Self::Malformed(_)
            | Self::Encode(_)
            | Self::Unsupported { .. }
            | Self::HostName { .. } => Blame::Servers,
            Self::NoTls | Self::SpeaksTls | Self::ClosedAtOnce | Self::Tls(_) => Blame::Encryption,
            Self::Authorities(_)
            | Self::UnknownAuthority
            | Self::Expired
            | Self::NotYetValid
            | Self::Certificate(_) => Blame::Authorities,
            Self::ClientCertificateWanted(_)
            | Self::ClientCertificateRefused(_)
            | Self::ClientCertificate(_) => Blame::ClientCertificate,
            Self::LoginWanted | Self::NoLogin | Self::Mechanism { .. } | Self::IamLogin => {
                Blame::Mechanism
            }
            Self::LoginRefused { .. } | Self::Scram(_) => Blame::Password,
        }
    }

    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "check the host name in bootstrap_servers and the machine's DNS",
            Self::Connect(_) => {
                "check that the broker runs, that host and port in bootstrap_servers are right, and that the brokers' \
                 advertised.listeners can be reached from here"
            }
            Self::TimedOut(_) => {
                "check firewalls between this machine and the broker, that the port is a Kafka listener, and that the \
                 broker is not frozen or overloaded"
            }
            Self::Closed | Self::Io(_) | Self::FrameTooLarge(_) | Self::Malformed(_) => {
                "check that this port is a Kafka listener, and that encryption_in_transit says the same as the listener"
            }
            Self::Encode(_) => "shorten the names in the request",
            Self::Unsupported { .. } => "use a Kafka broker of release 2.8 or later",
            Self::HostName { .. } => {
                "write a name of the certificate in bootstrap_servers and in the brokers' advertised.listeners, or \
                 give the brokers a certificate with the name that is used"
            }
            Self::NoTls => {
                "name the brokers' TLS port in bootstrap_servers, or set encryption_in_transit.type = \"PLAINTEXT\""
            }
            Self::SpeaksTls | Self::ClosedAtOnce => {
                "set encryption_in_transit.type = \"TLS\", or name a plaintext port in bootstrap_servers"
            }
            Self::Tls(_) => "the listener must speak TLS 1.2 or 1.3 with a common cipher suite",
            Self::Authorities(_) => {
                "give encryption_in_transit.ca_certificate the text of a PEM file with the authority's certificate, \
                 such as file(\"ca.pem\")"
            }
            Self::UnknownAuthority => {
                "set encryption_in_transit.ca_certificate to the certificate of the authority that signed the brokers'"
            }
            Self::Expired => "renew the brokers' certificate",
            Self::NotYetValid => {
                "check the clocks of this machine and of whoever made the certificate"
            }
            Self::Certificate(_) => {
                "make the brokers a certificate for servers, by the trusted authority"
            }
            Self::ClientCertificateWanted(_) => {
                "set client_authentication.type = \"MTLS\" with certificate and private_key_wo, or name another listener"
            }
            Self::ClientCertificateRefused(_) => {
                "use a client certificate that is in date, for clients, and signed by an authority in the brokers' \
                 trust store"
            }
            Self::ClientCertificate(_) => {
                "give the certificate's chain in PEM and its own key as PKCS#8 in PEM, without a password"
            }
            Self::LoginWanted | Self::NoLogin | Self::Mechanism { .. } => {
                "make client_authentication.type say the same as the listener (sasl.enabled.mechanisms), or name the \
                 port of another listener"
            }
            Self::IamLogin => {
                "workers log in by AWS_MSK_IAM with the library on their class path; the daemon needs a listener with \
                 SCRAM_SHA_512 to look at the cluster"
            }
            Self::LoginRefused { .. } => {
                "check user and password, and that the user has a SCRAM-SHA-512 credential (kafka-configs --describe \
                 --entity-type users)"
            }
            Self::Scram(_) => "check that this is your broker and not somebody in between",
        }
    }
}

fn said(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!(": {text}")
}

fn names(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use runnel_api::kafka_cluster::{Admin, EncryptionInTransit};

    #[test]
    fn each_blame_is_aimed_at_the_attribute_that_people_wrote() {
        let mut spec = KafkaClusterSpec {
            bootstrap_servers: "a:1".into(),
            encryption_in_transit: EncryptionInTransit::default(),
            client_authentication: ClientAuthentication::ScramSha512 {
                username: Some("me".into()),
                password_wo_version: None,
            },
            admin: None,
        };
        let refused = Failure::LoginRefused {
            username: "me".into(),
            text: String::new(),
        };
        assert_eq!(
            refused.blame().field(&spec),
            "client_authentication.password_wo"
        );
        spec.admin = Some(Admin {
            username: "admin".into(),
            password_wo_version: None,
        });
        assert_eq!(refused.blame().field(&spec), "admin.password_wo");
        assert_eq!(Failure::Closed.blame().field(&spec), "bootstrap_servers");
        assert_eq!(
            Failure::UnknownAuthority.blame().field(&spec),
            "encryption_in_transit.ca_certificate"
        );
    }
}
