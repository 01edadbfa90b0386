//! Roles: a trust policy and permission policies. A role is never a login.

use crate::object::Object;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The service that runs connectors, as it stands in trust policies.
pub const SERVICE_PRINCIPAL: &str = "kafkaconnect.amazonaws.com";

/// What a user declares. Policies are IAM JSON text, stored as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleSpec {
    /// Who may assume it; none means: [`SERVICE_PRINCIPAL`].
    #[serde(default)]
    pub assume_role_policy: Option<String>,
    /// Permission policies by name.
    #[serde(default)]
    pub policies: BTreeMap<String, String>,
}

/// Nothing to add so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleStatus {}

/// A role.
pub type Role = Object<RoleSpec, RoleStatus>;
