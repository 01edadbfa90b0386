//! What can go wrong between us and a Kafka cluster, and how it is told to people.

use super::failure::{Blame, Failure};
use kafka_protocol::ResponseError;
use runnel_api::{ErrorCode, Problem};
use std::error::Error;
use std::fmt;

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
    /// `UNSUPPORTED_SASL_MECHANISM`.
    pub(super) const UNKNOWN_MECHANISM: Self = Self(33);
    /// `ILLEGAL_SASL_STATE`: what a listener without SASL answers to a handshake.
    pub(super) const ILLEGAL_SASL_STATE: Self = Self(34);
    /// `SASL_AUTHENTICATION_FAILED`.
    pub(super) const LOGIN_FAILED: Self = Self(58);
    /// `RESOURCE_NOT_FOUND`.
    pub(super) const NO_SUCH_RESOURCE: Self = Self(91);
    const SECURITY_DISABLED: Self = Self(54);
    const UNSUPPORTED_VERSION: Self = Self(35);

    /// Success is `None`.
    pub(super) fn of(code: i16) -> Option<Self> {
        (code != 0).then_some(Self(code))
    }

    /// Whether the role or principal lacks a permission: topic, group, cluster, transactional id.
    pub fn is_denied(self) -> bool {
        matches!(self.0, 29..=31 | 53)
    }

    /// Whether the cluster has no authorizer, and so no ACLs.
    pub fn is_security_disabled(self) -> bool {
        self == Self::SECURITY_DISABLED
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

/// An error of Kafka administration.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// An empty list of bootstrap servers.
    #[error("no bootstrap server is given")]
    NoServers,
    /// Each bootstrap server failed, for its own reason.
    #[error("{}: {}", headline(.0), servers(.0))]
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
    /// Not one principal, `User:name`: nothing is asked for, as a filter it might match others.
    #[error("{0:?} is no principal of one user")]
    NoPrincipal(String),
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

    /// Which part of the access is wrong, if one is: what a broker refuses afterwards is none.
    pub fn blame(&self) -> Option<Blame> {
        match self {
            Self::NoServers => Some(Blame::Servers),
            Self::NoneAnswered(failures) => furthest(failures).map(Failure::blame),
            Self::Call { failure, .. } => Some(failure.blame()),
            Self::Refused { .. } | Self::LeftOut { .. } | Self::NoPrincipal(_) => None,
        }
    }

    /// Whether user or password was refused; see [`Failure::is_login_refused`].
    pub fn is_login_refused(&self) -> bool {
        match self {
            Self::NoneAnswered(failures) => {
                furthest(failures).is_some_and(Failure::is_login_refused)
            }
            Self::Call { failure, .. } => failure.is_login_refused(),
            _ => false,
        }
    }

    /// Whether we came as far as a login by `AWS_MSK_IAM`, which is for workers: the cluster is there.
    pub fn is_login_by_iam(&self) -> bool {
        let is_iam = |failure: &Failure| matches!(failure, Failure::IamLogin);
        match self {
            Self::NoneAnswered(failures) => furthest(failures).is_some_and(is_iam),
            Self::Call { failure, .. } => is_iam(failure),
            _ => false,
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
                let hint = furthest(failures).map_or("", Failure::hint);
                problem.detail(lines.join("; ")).hint(hint)
            }
            Self::Call { failure, .. } => problem.detail(chain(failure)).hint(failure.hint()),
            Self::Refused { code, text, .. } => {
                let detail = text
                    .as_ref()
                    .map_or_else(|| code.to_string(), |text| format!("{code}: {text}"));
                problem.detail(detail).hint(refusal_hint(*code))
            }
            Self::NoPrincipal(_) => problem.hint("this is a defect of Runnel; please report it"),
            Self::LeftOut { .. } => {
                problem.hint("repeat the call; if it stays so, look into the broker's log")
            }
        }
    }
}

/// Longest text of a broker that is passed on.
pub(super) const TEXT_LENGTH_MAX: usize = 500;

fn refusal_hint(code: Code) -> &'static str {
    match code {
        _ if code.is_denied() => {
            "grant the permission to the principal by which Runnel logs in, or give the cluster admin credentials"
        }
        _ if code.is_security_disabled() => {
            "set authorizer.class.name in the brokers' configuration, or do without admin credentials"
        }
        Code::GROUP_NOT_EMPTY => "stop the group's members first",
        _ if code.is_coordinator_moving() => {
            "the cluster is still electing a group coordinator; repeat in a moment"
        }
        _ => "see the broker's log for the reason",
    }
}

/// The failure of the server where we came furthest: it says most about what is wrong.
fn furthest(failures: &[(Server, Failure)]) -> Option<&Failure> {
    let failures = failures.iter().map(|(_, failure)| failure);
    // The first of equals: `max_by_key` takes the last.
    failures.rev().max_by_key(|failure| failure.blame())
}

fn headline(failures: &[(Server, Failure)]) -> &'static str {
    match furthest(failures).map(Failure::blame) {
        None | Some(Blame::Servers) => "no Kafka bootstrap server answered",
        Some(Blame::Encryption | Blame::Authorities) => {
            "no encrypted connection to a Kafka bootstrap server"
        }
        Some(Blame::ClientCertificate | Blame::Mechanism | Blame::Password) => {
            "no Kafka bootstrap server let us in"
        }
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
    use std::io;

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
    fn the_server_where_we_came_furthest_says_what_is_wrong() {
        let down = || Failure::Connect(io::Error::from(io::ErrorKind::ConnectionRefused));
        let refused = Failure::LoginRefused {
            username: "me".into(),
            text: "invalid credentials".into(),
        };
        let error = KafkaError::NoneAnswered(vec![
            (server(), down()),
            (server(), refused),
            (server(), down()),
        ]);
        assert_eq!(error.blame(), Some(Blame::Password));
        assert!(error.is_login_refused());
        let problem = error.to_problem();
        assert!(problem.message.contains("let us in"), "{problem:?}");
        assert!(problem.hint.unwrap().contains("password"));
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
