//! Everybody on the secured broker and everything that ACLs say there, read by a connection of our own.

use crate::secured::Secured;
use crate::wire::Wire;
use anyhow::{Context as _, Result, ensure};
use kafka_protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use kafka_protocol::messages::{DescribeAclsRequest, DescribeUserScramCredentialsRequest};
use std::collections::BTreeSet;

/// `ANY` of resource types, patterns, operations and permissions (KIP-140, KIP-290).
const ANY: i8 = 1;
/// The broker's codes of the same proposals, in order; nobody but the tests' own ACLs uses the first three.
const RESOURCES: [&str; 8] = [
    "unknown",
    "any",
    "topic",
    "group",
    "cluster",
    "transactional_id",
    "delegation_token",
    "user",
];
const OPERATIONS: [&str; 15] = [
    "UNKNOWN",
    "ANY",
    "ALL",
    "READ",
    "WRITE",
    "CREATE",
    "DELETE",
    "ALTER",
    "DESCRIBE",
    "CLUSTER_ACTION",
    "DESCRIBE_CONFIGS",
    "ALTER_CONFIGS",
    "IDEMPOTENT_WRITE",
    "CREATE_TOKENS",
    "DESCRIBE_TOKENS",
];

/// Who there is, and who may what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Users with a SCRAM credential.
    pub users: BTreeSet<String>,
    /// `User:NAME: ALLOW READ topic orders.*`, as plans show ACLs; another host than all is added.
    pub acls: BTreeSet<String>,
}

impl Standing {
    /// Asks the broker as its admin.
    pub fn read(secured: &Secured) -> Result<Self> {
        let mut wire = Wire::open(&secured.admin())?;
        let answer = wire.call(&DescribeUserScramCredentialsRequest::default().with_users(None))?;
        ensure!(answer.error_code == 0, "users: error {}", answer.error_code);
        let users = answer.results.iter().map(|user| user.user.to_string());
        let all = DescribeAclsRequest::default()
            .with_resource_type_filter(ANY)
            .with_resource_name_filter(None)
            .with_principal_filter(None)
            .with_host_filter(None)
            .with_pattern_type_filter(ANY)
            .with_operation(ANY)
            .with_permission_type(ANY);
        let answer = wire.call(&all)?;
        ensure!(answer.error_code == 0, "ACLs: error {}", answer.error_code);
        let mut acls = BTreeSet::new();
        for resource in &answer.resources {
            for acl in &resource.acls {
                acls.insert(line(resource, acl)?);
            }
        }
        Ok(Self {
            users: users.collect(),
            acls,
        })
    }

    /// The same with one more user and its ACLs.
    #[must_use]
    pub fn with<'a>(mut self, user: &str, acls: impl IntoIterator<Item = &'a str>) -> Self {
        self.users.insert(user.to_owned());
        let lines = acls.into_iter().map(|acl| format!("User:{user}: {acl}"));
        self.acls.extend(lines);
        self
    }

    /// What is missing here and what is too much, a line each; nothing when it is as wanted.
    #[must_use]
    pub fn differences(&self, wanted: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let pairs = [(&self.users, &wanted.users), (&self.acls, &wanted.acls)];
        for (found, wanted) in pairs {
            lines.extend(wanted.difference(found).map(|it| format!("missing: {it}")));
            lines.extend(found.difference(wanted).map(|it| format!("too much: {it}")));
        }
        lines
    }
}

fn line(resource: &DescribeAclsResource, acl: &AclDescription) -> Result<String> {
    let word = |words: &[&'static str], code: i8| {
        let word = usize::try_from(code)
            .ok()
            .and_then(|at| words.get(at).copied());
        word.with_context(|| format!("the broker's code {code}"))
    };
    let permission = word(&["UNKNOWN", "ANY", "DENY", "ALLOW"], acl.permission_type)?;
    let operation = word(&OPERATIONS, acl.operation)?;
    let kind = word(&RESOURCES, resource.resource_type)?;
    let star = word(&["?", "?", "?", "", "*"], resource.pattern_type)?;
    let host = match &*acl.host {
        "*" => String::new(),
        host => format!(" from {host}"),
    };
    let (principal, name) = (&*acl.principal, &*resource.resource_name);
    Ok(format!(
        "{principal}: {permission} {operation} {kind} {name}{star}{host}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_what_is_missing_and_what_is_too_much() {
        let found = Standing::default().with("a", ["ALLOW READ topic x"]);
        let wanted = Standing::default()
            .with("a", ["ALLOW READ topic y"])
            .with("b", []);
        assert_eq!(
            found.differences(&wanted),
            [
                "missing: b",
                "missing: User:a: ALLOW READ topic y",
                "too much: User:a: ALLOW READ topic x",
            ]
        );
        assert!(found.differences(&found).is_empty());
    }
}
