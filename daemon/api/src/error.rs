//! What a person is told when something is wrong: message, detail, hint and the field to look at.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The closed list of error codes. Each has a page under `docs/errors/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// A value is malformed or out of its range.
    InvalidArgument,
    /// A value is meaningful but this release cannot do it yet.
    NotSupported,
    /// No or a wrong token.
    Unauthenticated,
    /// The token is known, and its role or its roles to pass do not allow this.
    Forbidden,
    /// No object of that name.
    NotFound,
    /// No such path in the API.
    UnknownEndpoint,
    /// An object of that name is there already.
    AlreadyExists,
    /// `If-Match` names another generation than the current one.
    GenerationConflict,
    /// Other objects still refer to this one.
    InUse,
    /// Another operation of the same object is under way and would be disturbed.
    OperationInProgress,
    /// A reference to an object that does not exist.
    MissingReference,
    /// The request body is larger than its limit.
    TooLarge,
    /// The bytes are no archive, or an unsafe one.
    BadArchive,
    /// An archive without a connector, converter or transform.
    NoConnectorClass,
    /// The content's SHA-256 is not the one that was promised.
    ChecksumMismatch,
    /// No runtime fits the plugin, or the one asked for does not.
    IncompatibleRuntime,
    /// A secret stands where it would be stored in the clear.
    PlaintextSecret,
    /// The change would lose the connector's position.
    PositionLost,
    /// The host has no room for the connector's fewest workers.
    CapacityExceeded,
    /// The policy or trust policy is refused.
    InvalidPolicy,
    /// The role's trust policy does not let the connector assume it.
    RoleNotTrusted,
    /// The worker rejected the configuration.
    InvalidConfiguration,
    /// The source refused or did not answer.
    SourceUnreachable,
    /// The Kafka cluster refused or did not answer.
    KafkaUnreachable,
    /// The connector or one of its tasks failed.
    ConnectorFailed,
    /// A worker process did not start or died.
    WorkerFailed,
    /// A newer generation took over before this one settled.
    Superseded,
    /// An operation passed its deadline.
    TimedOut,
    /// The daemon cannot be reached or is shutting down.
    Unavailable,
    /// A fault of Runnel's own.
    Internal,
}

impl ErrorCode {
    /// Every code, for documentation and tests.
    pub const ALL: [Self; 30] = [
        Self::InvalidArgument,
        Self::NotSupported,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::UnknownEndpoint,
        Self::AlreadyExists,
        Self::GenerationConflict,
        Self::InUse,
        Self::OperationInProgress,
        Self::MissingReference,
        Self::TooLarge,
        Self::BadArchive,
        Self::NoConnectorClass,
        Self::ChecksumMismatch,
        Self::IncompatibleRuntime,
        Self::PlaintextSecret,
        Self::PositionLost,
        Self::CapacityExceeded,
        Self::InvalidPolicy,
        Self::RoleNotTrusted,
        Self::InvalidConfiguration,
        Self::SourceUnreachable,
        Self::KafkaUnreachable,
        Self::ConnectorFailed,
        Self::WorkerFailed,
        Self::Superseded,
        Self::TimedOut,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The code as it is written on the wire and in `docs/errors/`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::NotSupported => "NOT_SUPPORTED",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::UnknownEndpoint => "UNKNOWN_ENDPOINT",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::GenerationConflict => "GENERATION_CONFLICT",
            Self::InUse => "IN_USE",
            Self::OperationInProgress => "OPERATION_IN_PROGRESS",
            Self::MissingReference => "MISSING_REFERENCE",
            Self::TooLarge => "TOO_LARGE",
            Self::BadArchive => "BAD_ARCHIVE",
            Self::NoConnectorClass => "NO_CONNECTOR_CLASS",
            Self::ChecksumMismatch => "CHECKSUM_MISMATCH",
            Self::IncompatibleRuntime => "INCOMPATIBLE_RUNTIME",
            Self::PlaintextSecret => "PLAINTEXT_SECRET",
            Self::PositionLost => "POSITION_LOST",
            Self::CapacityExceeded => "CAPACITY_EXCEEDED",
            Self::InvalidPolicy => "INVALID_POLICY",
            Self::RoleNotTrusted => "ROLE_NOT_TRUSTED",
            Self::InvalidConfiguration => "INVALID_CONFIGURATION",
            Self::SourceUnreachable => "SOURCE_UNREACHABLE",
            Self::KafkaUnreachable => "KAFKA_UNREACHABLE",
            Self::ConnectorFailed => "CONNECTOR_FAILED",
            Self::WorkerFailed => "WORKER_FAILED",
            Self::Superseded => "SUPERSEDED",
            Self::TimedOut => "TIMED_OUT",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    /// The HTTP status that carries this code (RFC 9110 section 15).
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound | Self::UnknownEndpoint => 404,
            Self::AlreadyExists | Self::InUse | Self::OperationInProgress | Self::Superseded => 409,
            Self::GenerationConflict => 412,
            Self::TooLarge => 413,
            Self::BadArchive
            | Self::NoConnectorClass
            | Self::ChecksumMismatch
            | Self::IncompatibleRuntime
            | Self::PlaintextSecret
            | Self::PositionLost
            | Self::CapacityExceeded
            | Self::InvalidPolicy
            | Self::RoleNotTrusted
            | Self::InvalidConfiguration
            | Self::MissingReference
            | Self::NotSupported => 422,
            Self::InvalidArgument => 400,
            Self::SourceUnreachable
            | Self::KafkaUnreachable
            | Self::ConnectorFailed
            | Self::WorkerFailed => 502,
            Self::TimedOut => 504,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error for people, and the body of every HTTP answer that is not a success.
///
/// `message` is one sentence without a final stop, `detail` the facts, `hint` what to do, `field`
/// where to look. A field is written as in HCL without the resource: `config["tasks.max"]`,
/// `source`, `capacity.provisioned.worker_count`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// Which kind of error.
    pub code: ErrorCode,
    /// One sentence.
    pub message: String,
    /// The facts behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The attribute or key to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Problem {
    /// A problem with a message alone.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            detail: None,
            hint: None,
            field: None,
        }
    }

    /// Adds the facts.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds where to look.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The field of a key of the connector's configuration.
    #[must_use]
    pub fn config_key(self, key: &str) -> Self {
        self.field(format!("config[{key:?}]"))
    }
}

/// A remark that does not stop anything; the same parts as a [`Problem`] without a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// One sentence.
    pub message: String,
    /// The facts behind it, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The attribute or key it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_alike_on_the_wire_and_in_text() {
        for code in ErrorCode::ALL {
            let wire = serde_json::to_value(code).unwrap();
            assert_eq!(wire.as_str(), Some(code.as_str()));
            assert!((400..600).contains(&code.http_status()));
        }
    }

    #[test]
    fn every_code_has_a_page() {
        for code in ErrorCode::ALL {
            let page = format!("{}/../../docs/errors/{code}.md", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&page).unwrap_or_else(|e| panic!("{page}: {e}"));
            assert!(text.starts_with(&format!("# {code}\n")), "{page}");
        }
    }
}
