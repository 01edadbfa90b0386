//! Kafka's access control entries, as far as they concern one principal.

use crate::action::ResourceType;
use std::fmt;

/// One access control entry (KIP-11, KIP-290) of a principal that is known elsewhere, for every host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Acl {
    /// Kind of resource.
    pub resource: ResourceType,
    /// How `name` is meant.
    pub pattern: Pattern,
    /// Name or prefix; `*` with [`Pattern::Literal`] means every one; the cluster's is
    /// [`CLUSTER_NAME`].
    pub name: String,
    /// What is done.
    pub operation: Operation,
    /// Allowed or denied; a denial wins over all that allows.
    pub permission: Permission,
}

/// The one name of a resource of type cluster.
pub const CLUSTER_NAME: &str = "kafka-cluster";

/// How a resource's name is meant (KIP-290).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// Exactly, but for `*` alone.
    Literal,
    /// As a prefix.
    Prefixed,
}

/// Allowed or denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Allowed.
    Allow,
    /// Denied.
    Deny,
}

/// Operations that a policy can be about. `ALL` is not one: a policy names what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    missing_docs,
    reason = "the names are Kafka's (org.apache.kafka.common.acl.AclOperation)"
)]
pub enum Operation {
    Read,
    Write,
    Create,
    Delete,
    Alter,
    Describe,
    DescribeConfigs,
    AlterConfigs,
    IdempotentWrite,
}

impl Operation {
    /// As Kafka's tools write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::Create => "CREATE",
            Self::Delete => "DELETE",
            Self::Alter => "ALTER",
            Self::Describe => "DESCRIBE",
            Self::DescribeConfigs => "DESCRIBE_CONFIGS",
            Self::AlterConfigs => "ALTER_CONFIGS",
            Self::IdempotentWrite => "IDEMPOTENT_WRITE",
        }
    }
}

/// `ALLOW WRITE topic orders`, `ALLOW READ group connect-*`: a prefix ends in `*`.
impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let permission = match self.permission {
            Permission::Allow => "ALLOW",
            Permission::Deny => "DENY",
        };
        let (operation, resource) = (self.operation.as_str(), self.resource.as_str());
        let star = match self.pattern {
            Pattern::Literal => "",
            Pattern::Prefixed => "*",
        };
        write!(f, "{permission} {operation} {resource} {}{star}", self.name)
    }
}
