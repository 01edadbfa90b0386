//! The words that provider and daemon share: names parsed once, specifications, operations, errors.
//!
//! Nothing here does I/O. What a user *wants* is a `…Spec`; what the daemon answers is the object
//! around it. Secrets travel beside a specification, never inside one.

pub mod arn;
pub mod audit;
pub mod capacity;
pub mod connector;
pub mod error;
pub mod kafka_cluster;
pub mod log_delivery;
pub mod name;
pub mod nearest;
pub mod object;
pub mod operation;
pub mod plugin;
pub mod properties;
pub mod role;
pub mod scaling;
pub mod secret;
pub mod server;
pub mod token;
pub mod worker_configuration;

pub use arn::{Arn, Identity};
pub use error::{ErrorCode, Problem};
pub use name::{Kind, Name, NameError};
pub use object::{Deleted, Generation, Object, Page, Put, PutAnswer};
pub use operation::{Operation, OperationId, OperationKind, Outcome, RestartRequest, RestartScope};
pub use secret::Secret;
