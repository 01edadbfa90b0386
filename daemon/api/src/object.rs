//! The envelope around every declared object, and the requests that write and list them.

use crate::arn::Arn;
use crate::error::Warning;
use crate::name::Name;
use crate::operation::Operation;
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use uuid::Uuid;

/// Counts accepted changes of one object, from 1; 0 stands for none yet.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A declared object as the daemon answers it: what was wanted, and what the daemon adds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object<Spec, Status> {
    /// The name it was declared under.
    pub name: Name,
    /// Its id, derived from daemon, kind, name and incarnation.
    pub id: Uuid,
    /// Its ARN.
    pub arn: Arn,
    /// How often it was changed.
    pub generation: Generation,
    /// What was wanted.
    pub spec: Spec,
    /// What the daemon made of it.
    pub status: Status,
    /// True from the acceptance of a delete until the last trace is gone.
    #[serde(default)]
    pub deleting: bool,
}

/// The body of `PUT /api/v1/{kind}/{name}`.
///
/// Preconditions travel as headers: `If-None-Match: *` (must not exist yet) and
/// `If-Match: <generation>`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Put<Spec> {
    /// What is wanted.
    pub spec: Spec,
    /// Secret values beside the specification: `config_wo` of a connector, `password` and
    /// `admin_password` of a Kafka cluster. Absent means: keep what is sealed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::secret::expose_map"
    )]
    pub secrets: Option<BTreeMap<String, Secret>>,
}

/// The answer to a `PUT`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutAnswer<Spec, Status> {
    /// The object with its new generation.
    pub object: Object<Spec, Status>,
    /// The operation that carries the change out; wait for it at
    /// `GET /api/v1/operations/{id}?wait=SECONDS`.
    pub operation: Operation,
    /// Remarks.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// The answer to a `DELETE`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deleted {
    /// The operation that removes it.
    pub operation: Operation,
}

/// One page of a list: `GET /api/v1/{kind}?limit=N&after=NAME`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Page<T> {
    /// In the order of their names.
    pub items: Vec<T>,
    /// Pass as `after` to get the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Default number of items of a page.
pub const PAGE_LIMIT_DEFAULT: usize = 100;
/// Largest accepted `limit`.
pub const PAGE_LIMIT_MAX: usize = 1000;
