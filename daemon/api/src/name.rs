//! Names of declared objects and the kinds they belong to, parsed once and trusted afterwards.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The five things a user declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Where workers connect.
    KafkaCluster,
    /// An archive of Connect classes.
    Plugin,
    /// Connect worker properties.
    WorkerConfiguration,
    /// A policy.
    Role,
    /// A configuration that is run.
    Connector,
}

impl Kind {
    /// Every kind, in the order in which they depend on each other.
    pub const ALL: [Self; 5] = [
        Self::KafkaCluster,
        Self::Plugin,
        Self::WorkerConfiguration,
        Self::Role,
        Self::Connector,
    ];

    /// The path segment of the HTTP API: `/api/v1/{segment}/{name}`.
    pub const fn segment(self) -> &'static str {
        match self {
            Self::KafkaCluster => "kafka-clusters",
            Self::Plugin => "plugins",
            Self::WorkerConfiguration => "worker-configurations",
            Self::Role => "roles",
            Self::Connector => "connectors",
        }
    }

    /// The kind in the singular, as stored and as it appears in `/api/v1/identity/{kind}/{name}`.
    pub const fn singular(self) -> &'static str {
        match self {
            Self::KafkaCluster => "kafka-cluster",
            Self::Plugin => "plugin",
            Self::WorkerConfiguration => "worker-configuration",
            Self::Role => "role",
            Self::Connector => "connector",
        }
    }

    /// The kind as people say it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::KafkaCluster => "Kafka cluster",
            Self::Plugin => "plugin",
            Self::WorkerConfiguration => "worker configuration",
            Self::Role => "role",
            Self::Connector => "connector",
        }
    }

    /// The Terraform resource type that declares it.
    pub const fn terraform_type(self) -> &'static str {
        match self {
            Self::KafkaCluster => "runnel_kafka_cluster",
            Self::Plugin => "runnel_plugin",
            Self::WorkerConfiguration => "runnel_worker_configuration",
            Self::Role => "runnel_role",
            Self::Connector => "runnel_connector",
        }
    }

    /// Reads [`Self::singular`] or [`Self::segment`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.singular() == text || kind.segment() == text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// The longest name accepted.
///
/// MSK Connect allows 128 characters; internal topics hold the name besides a prefix of up to
/// 17 and an id of up to 43 characters, and Kafka limits a topic name to 249.
pub const NAME_LENGTH_MAX: usize = 128;

/// A name of a declared object: 1 to 128 of `A-Z a-z 0-9 . _ -`, not starting with a dot or hyphen.
///
/// The alphabet is that of Kafka topic names, because names become parts of topics, groups,
/// principals and folders.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a name must not be empty")]
    Empty,
    /// More than [`NAME_LENGTH_MAX`] characters.
    #[error("a name has at most {NAME_LENGTH_MAX} characters, this one has {0}")]
    TooLong(usize),
    /// A character outside the alphabet.
    #[error("a name holds only letters, digits, `.`, `_` and `-`; found {0:?}")]
    Character(char),
    /// A first character that would read as an option or a hidden file.
    #[error("a name starts with a letter, a digit or `_`; found {0:?}")]
    First(char),
}

impl Name {
    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let first = text.chars().next().ok_or(NameError::Empty)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if let Some(stranger) = text.chars().find(|c| !allowed(*c)) {
            return Err(NameError::Character(stranger));
        }
        if text.len() > NAME_LENGTH_MAX {
            return Err(NameError::TooLong(text.len()));
        }
        if matches!(first, '.' | '-') {
            return Err(NameError::First(first));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_alphabet_of_kafka_topics() {
        for good in ["a", "orders-1", "A.b_c", "_x", "0"] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
        assert_eq!(Name::parse(""), Err(NameError::Empty));
        assert_eq!(Name::parse("a/b"), Err(NameError::Character('/')));
        assert_eq!(Name::parse("-a"), Err(NameError::First('-')));
        assert_eq!(Name::parse(".."), Err(NameError::First('.')));
        assert_eq!(Name::parse(&"a".repeat(129)), Err(NameError::TooLong(129)));
    }

    #[test]
    fn kinds_read_back_what_they_print() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.singular()), Some(kind));
            assert_eq!(Kind::parse(kind.segment()), Some(kind));
        }
    }
}
