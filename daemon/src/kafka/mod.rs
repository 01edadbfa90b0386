//! The only Kafka wire: administration over the protocol itself, records through librdkafka.
//!
//! librdkafka is not used for administration: it reads and drops a refusal in `DescribeAcls`, it
//! aborts the process on one in `DescribeUserScramCredentials`, and on a wrong password its admin
//! client takes its whole time-out. So [`KafkaAdmin`] speaks the protocol over a connection of its
//! own ([`connection`]), and every answer's lengths are checked against the bytes that are there
//! ([`shape`]) before it is decoded.

mod access;
mod admin;
mod call;
mod connection;
mod error;
mod groups;
mod lag;
mod offsets;
mod shape;

pub mod produce;
pub mod tail;
mod topics;

pub use access::{Access, ClientCertificate, Encryption, Login};
pub use admin::{Broker, Cluster, KafkaAdmin};
pub use error::{Code, Failure, KafkaError, Server};
pub use groups::{Group, GroupDeletion, GroupState, Leave, Member};
pub use lag::{Lag, Subscription, sink_group};
pub use topics::{TopicDeletion, TopicOutcome, TopicWanted};

#[cfg(test)]
mod broker_tests;
