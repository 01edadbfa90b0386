//! What can go wrong between us and a Kafka cluster, and how it is told to people.

use kafka_protocol::ResponseError;
use runnel_api::{ErrorCode, Problem};
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// An error code of the Kafka protocol; 0 is success and never stands here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub i16);

impl Code {
    pub(super) const UNKNOWN_TOPIC: Self = Self(3);
    pub(super) const LEADER_NOT_AVAILABLE: Self = Self(5);
    pub(super) const NOT_LEADER: Self = Self(6);
    pub(super) const COORDINATOR_LOADING: Self = Self(14);
    pub(super) const COORDINATOR_NOT_AVAILABLE: Self = Self(15);
    pub(super) const NOT_COORDINATOR: Self = Self(16);
    pub(super) const UNKNOWN_MEMBER: Self = Self(25);
    pub(super) const TOPIC_EXISTS: Self = Self(36);
    pub(super) const NOT_CONTROLLER: Self = Self(41);
    pub(super) const GROUP_NOT_EMPTY: Self = Self(68);
    pub(super) const GROUP_NOT_FOUND: Self = Self(69);
    const UNSUPPORTED_VERSION: Self = Self(35);

    /// Success is `None`.
    pub(super) fn of(code: i16) -> Option<Self> {
        (code != 0).then_some(Self(code))
    }

    /// Whether the role or principal lacks a permission: topic, group or cluster.
    pub fn is_denied(self) -> bool {
        matches!(self.0, 29..=31)
    }

    pub(super) fn is_unsupported_version(self) -> bool {
        self == Self::UNSUPPORTED_VERSION
    }

    /// Whether the coordinator of a group is on its way: a fresh cluster answers so while it makes
    /// `__consumer_offsets`.
    pub(super) fn is_coordinator_moving(self) -> bool {
        matches!(
            self,
            Self::COORDINATOR_LOADING | Self::COORDINATOR_NOT_AVAILABLE | Self::NOT_COORDINATOR
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ResponseError::try_from_code(self.0) {
            Some(known) if !matches!(known, ResponseError::Unknown(_)) => {
                write!(f, "{known} (error {})", self.0)
            }
            _ => write!(f, "error {}", self.0),
        }
    }
}

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
    /// A frame above the limit: most likely no Kafka, or a TLS listener.
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
}

impl Failure {
    /// Whether a connection that had been idle may simply have been closed meanwhile.
    pub(super) fn is_lost_connection(&self) -> bool {
        matches!(self, Self::Closed | Self::Io(_))
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "check the host name in bootstrap_servers and the machine's DNS",
            Self::Connect(_) => {
                "check that the broker runs, that host and port in bootstrap_servers are right, and that the brokers' \
                 advertised.listeners can be reached from here"
            }
            Self::TimedOut(_) => {
                "check firewalls between this machine and the broker, and that the broker is not frozen or overloaded"
            }
            Self::Closed | Self::Io(_) | Self::FrameTooLarge(_) | Self::Malformed(_) => {
                "check that this port is a Kafka listener, and that encryption_in_transit says the same as the listener"
            }
            Self::Encode(_) => "shorten the names in the request",
            Self::Unsupported { .. } => "use a Kafka broker of release 2.8 or later",
        }
    }
}

/// An error of Kafka administration.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// An empty list of bootstrap servers.
    #[error("no bootstrap server is given")]
    NoServers,
    /// Each bootstrap server failed, for its own reason.
    #[error("no Kafka bootstrap server answered: {}", servers(.0))]
    NoneAnswered(Vec<(Server, Failure)>),
    /// An exchange failed.
    #[error("{call} at Kafka broker {server} failed")]
    Call {
        /// Who was asked.
        server: Server,
        /// The call's name in the protocol.
        call: &'static str,
        /// Why.
        #[source]
        failure: Failure,
    },
    /// The broker answered with an error code.
    #[error("Kafka broker {server} refused {call} for {subject}")]
    Refused {
        /// Who was asked.
        server: Server,
        /// The call's name in the protocol.
        call: &'static str,
        /// Topic or group, as `topic orders`.
        subject: String,
        /// The protocol's code.
        code: Code,
        /// The broker's own words; never those of a refused permission, which tell internals.
        text: Option<String>,
    },
    /// An answer leaves out what was asked for.
    #[error("Kafka broker {server} left {subject} out of its answer to {call}")]
    LeftOut {
        /// Who was asked.
        server: Server,
        /// The call's name in the protocol.
        call: &'static str,
        /// What is missing.
        subject: String,
    },
}

impl KafkaError {
    pub(super) fn refused(
        server: &Server,
        call: &'static str,
        subject: impl Into<String>,
        code: Code,
        text: Option<&str>,
    ) -> Self {
        Self::Refused {
            server: server.clone(),
            call,
            subject: subject.into(),
            code,
            text: text
                .filter(|text| !code.is_denied() && !text.is_empty())
                .map(|text| text.chars().take(TEXT_LENGTH_MAX).collect()),
        }
    }

    /// The protocol's code where the broker answered with one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The error for people: which server, what failed, what to do.
    pub fn to_problem(&self) -> Problem {
        let problem = Problem::new(ErrorCode::KafkaUnreachable, self.to_string());
        match self {
            Self::NoServers => {
                problem.hint("set bootstrap_servers to host:port of at least one broker")
            }
            Self::NoneAnswered(failures) => {
                let lines: Vec<String> = failures
                    .iter()
                    .map(|(server, failure)| format!("{server}: {}", chain(failure)))
                    .collect();
                let hint = failures.first().map_or("", |(_, failure)| failure.hint());
                problem.detail(lines.join("; ")).hint(hint)
            }
            Self::Call { failure, .. } => problem.detail(chain(failure)).hint(failure.hint()),
            Self::Refused { code, text, .. } => {
                let detail = text
                    .as_ref()
                    .map_or_else(|| code.to_string(), |text| format!("{code}: {text}"));
                problem.detail(detail).hint(refusal_hint(*code))
            }
            Self::LeftOut { .. } => {
                problem.hint("repeat the call; if it stays so, look into the broker's log")
            }
        }
    }
}

/// Longest text of a broker that is passed on.
const TEXT_LENGTH_MAX: usize = 500;

fn refusal_hint(code: Code) -> &'static str {
    match code {
        _ if code.is_denied() => {
            "grant the permission to the principal by which Runnel logs in, or give the cluster admin credentials"
        }
        Code::GROUP_NOT_EMPTY => "stop the group's members first",
        _ if code.is_coordinator_moving() => {
            "the cluster is still electing a group coordinator; repeat in a moment"
        }
        _ => "see the broker's log for the reason",
    }
}

fn servers(failures: &[(Server, Failure)]) -> String {
    let names: Vec<String> = failures
        .iter()
        .map(|(server, _)| server.to_string())
        .collect();
    names.join(", ")
}

/// An error with its sources on one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server {
            host: "127.0.0.1".into(),
            port: 9092,
        }
    }

    #[test]
    fn a_problem_names_the_server_the_failure_and_what_to_do() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let problem =
            KafkaError::NoneAnswered(vec![(server(), Failure::Connect(refused))]).to_problem();
        assert_eq!(problem.code, ErrorCode::KafkaUnreachable);
        assert!(problem.message.contains("127.0.0.1:9092"), "{problem:?}");
        assert!(problem.detail.unwrap().contains("connection refused"));
        assert!(problem.hint.unwrap().contains("bootstrap_servers"));
    }

    #[test]
    fn texts_of_refused_permissions_are_not_passed_on() {
        let error = KafkaError::refused(
            &server(),
            "CreateTopics",
            "topic a",
            Code(29),
            Some("Principal{internals}"),
        );
        let detail = error.to_problem().detail.unwrap();
        assert_eq!(detail, "TopicAuthorizationFailed (error 29)");
        let error = KafkaError::refused(
            &server(),
            "CreateTopics",
            "topic a",
            Code(37),
            Some("too many"),
        );
        assert_eq!(
            error.to_problem().detail.unwrap(),
            "InvalidPartitions (error 37): too many"
        );
    }

    #[test]
    fn addresses_of_ip_version_6_are_written_in_brackets() {
        assert_eq!(
            Server {
                host: "::1".into(),
                port: 1
            }
            .to_string(),
            "[::1]:1"
        );
    }
}
