//! The only Kafka wire: administration over the protocol itself, records through librdkafka.
//!
//! librdkafka is not used for administration: it reads and drops a refusal in `DescribeAcls`, it
//! aborts the process on one in `DescribeUserScramCredentials`, and on a wrong password its admin
//! client takes its whole time-out. So [`KafkaAdmin`] speaks the protocol over a connection of its
//! own ([`connection`]), and every answer's lengths are checked against the bytes that are there
//! ([`shape`]) before it is decoded.

mod access;
mod acls;
mod admin;
mod call;
mod connection;
mod error;
mod everyone;
mod failure;
mod groups;
mod lag;
mod librdkafka;
mod login;
mod offsets;
mod scram;
mod shape;
mod tls;
mod transport;
mod users;

pub mod produce;
pub mod tail;
mod topics;

pub use access::{Access, ClientCertificate, Encryption, Login};
pub use acls::{AclBinding, Acls};
pub use admin::{Broker, Cluster, KafkaAdmin};
pub use error::{Code, KafkaError, Server};
pub use everyone::{Everyone, PROBE_PREFIX, lets_everyone_in, sweep_probe_users};
pub use failure::{Blame, Failure};
pub use groups::{Group, GroupDeletion, GroupState, Leave, Member};
pub use lag::{Lag, Subscription, sink_group};
pub use login::try_login;
pub use scram::ScramError;
pub use topics::{TopicDeletion, TopicOutcome, TopicWanted};
pub use users::UserDeletion;

#[cfg(test)]
mod broker_tests;

#[cfg(test)]
mod secured_records_tests;
#[cfg(test)]
mod secured_tests;
