//! Access control entries of one principal: read, made, deleted. Those of others are never touched.

use super::admin::{KafkaAdmin, refusal, text};
use super::call::Call;
use super::connection::Deadline;
use super::error::{Code, KafkaError, Server};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::{
    CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest, DescribeAclsResponse,
};
use runnel_api::kafka_cluster::Authorizer;
use runnel_iam::acl::{Acl, Operation, Pattern, Permission};
use runnel_iam::action::ResourceType;
use std::collections::BTreeSet;
use std::fmt;

/// In a filter: every resource type, pattern type, operation and permission (KIP-140, KIP-290).
const ANY: i8 = 1;
/// The host of an entry that is for every host.
const EVERY_HOST: &str = "*";
/// Entries in one request. `KRaft` takes 10,000 changes in one; these are about 100 kB.
const BATCH: usize = 1_000;
/// A principal that has no entries: asking for them tells whether there is an authorizer.
const NOBODY: &str = "User:runnel-asks-whether-there-is-an-authorizer";

/// An entry as the broker keeps it, of a principal that is known elsewhere. It can say what [`Acl`]
/// cannot: one host, the operation `ALL`, a delegation token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AclBinding {
    resource: i8,
    pattern: i8,
    name: String,
    host: String,
    operation: i8,
    permission: i8,
}

/// All entries of one principal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acls {
    /// Those that a policy can mean.
    pub known: BTreeSet<Acl>,
    /// The rest, which no policy of ours made.
    pub foreign_shapes: BTreeSet<AclBinding>,
}

impl Acls {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.foreign_shapes.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.known.len() + self.foreign_shapes.len()
    }

    fn bindings(&self) -> impl Iterator<Item = AclBinding> {
        let known = self.known.iter().map(AclBinding::from);
        known.chain(self.foreign_shapes.iter().cloned())
    }
}

impl From<BTreeSet<Acl>> for Acls {
    fn from(known: BTreeSet<Acl>) -> Self {
        Self {
            known,
            foreign_shapes: BTreeSet::new(),
        }
    }
}

impl KafkaAdmin {
    /// Every entry of exactly `principal`, such as `User:x`.
    ///
    /// # Errors
    /// [`KafkaError::Refused`] with [`Code::is_security_disabled`] where there is no authorizer, with
    /// [`Code::is_denied`] where we may not ask: never an empty list instead.
    pub async fn acls_of(&mut self, principal: &str) -> Result<Acls, KafkaError> {
        let deadline = self.deadline();
        self.read_acls(principal, deadline).await
    }

    /// Makes entries for `principal`; one that is there already is success.
    ///
    /// # Errors
    /// The first that was refused; others may have been made.
    pub async fn create_acls(
        &mut self,
        principal: &str,
        acls: &BTreeSet<Acl>,
    ) -> Result<(), KafkaError> {
        one_user(principal)?;
        let deadline = self.deadline();
        let bindings: Vec<AclBinding> = acls.iter().map(AclBinding::from).collect();
        for batch in bindings.chunks(BATCH) {
            let creations = batch.iter().map(|acl| acl.creation(principal));
            let request = CreateAclsRequest::default().with_creations(creations.collect());
            let (server, answer) = self.ask_any(&request, deadline).await?;
            let call = CreateAclsRequest::NAME;
            all_answered(&server, call, principal, batch, answer.results.len())?;
            for (acl, result) in batch.iter().zip(&answer.results) {
                let subject = format!("{principal}: {acl}");
                let text = result.error_message.as_ref();
                refusal(&server, call, &subject, result.error_code, text)?;
            }
        }
        Ok(())
    }

    /// Deletes exactly these entries of `principal`; one that is not there is success. How many were
    /// there.
    ///
    /// # Errors
    /// The first that was refused; others may be gone.
    pub async fn delete_acls(&mut self, principal: &str, acls: &Acls) -> Result<usize, KafkaError> {
        let deadline = self.deadline();
        self.remove_acls(principal, acls, deadline).await
    }

    /// Deletes what `principal` has, of whatever shape. How many there were.
    pub async fn delete_all_acls_of(&mut self, principal: &str) -> Result<usize, KafkaError> {
        let deadline = self.deadline();
        let acls = self.read_acls(principal, deadline).await?;
        self.remove_acls(principal, &acls, deadline).await
    }

    /// Whether the cluster checks ACLs.
    pub async fn authorizer(&mut self) -> Result<Authorizer, KafkaError> {
        match self.acls_of(NOBODY).await {
            Ok(_) => Ok(Authorizer::On),
            Err(error) => match error.code() {
                Some(code) if code.is_security_disabled() => Ok(Authorizer::Off),
                Some(code) if code.is_denied() => Ok(Authorizer::Unknown),
                _ => Err(error),
            },
        }
    }

    async fn read_acls(&mut self, principal: &str, deadline: Deadline) -> Result<Acls, KafkaError> {
        one_user(principal)?;
        let request = DescribeAclsRequest::default()
            .with_resource_type_filter(ANY)
            .with_pattern_type_filter(ANY)
            .with_principal_filter(Some(text(principal)))
            .with_resource_name_filter(None)
            .with_host_filter(None)
            .with_operation(ANY)
            .with_permission_type(ANY);
        let (server, answer) = self.ask_any(&request, deadline).await?;
        let subject = format!("the ACLs of {principal}");
        refusal(
            &server,
            DescribeAclsRequest::NAME,
            &subject,
            answer.error_code,
            answer.error_message.as_ref(),
        )?;
        Ok(entries(&answer, principal))
    }

    async fn remove_acls(
        &mut self,
        principal: &str,
        acls: &Acls,
        deadline: Deadline,
    ) -> Result<usize, KafkaError> {
        one_user(principal)?;
        let bindings: Vec<AclBinding> = acls.bindings().collect();
        let mut deleted = 0;
        for batch in bindings.chunks(BATCH) {
            let filters = batch.iter().map(|acl| acl.filter(principal));
            let request = DeleteAclsRequest::default().with_filters(filters.collect());
            let (server, answer) = self.ask_any(&request, deadline).await?;
            let call = DeleteAclsRequest::NAME;
            all_answered(&server, call, principal, batch, answer.filter_results.len())?;
            for (acl, result) in batch.iter().zip(&answer.filter_results) {
                let subject = format!("{principal}: {acl}");
                let text = result.error_message.as_ref();
                refusal(&server, call, &subject, result.error_code, text)?;
                for matched in &result.matching_acls {
                    let text = matched.error_message.as_ref();
                    refusal(&server, call, &subject, matched.error_code, text)?;
                }
                deleted += result.matching_acls.len();
            }
        }
        Ok(deleted)
    }
}

/// `User:` and a name. `User:*` means everybody, and an empty name nobody.
fn one_user(principal: &str) -> Result<(), KafkaError> {
    match principal.strip_prefix("User:") {
        None | Some("" | "*") => Err(KafkaError::NoPrincipal(principal.to_owned())),
        Some(_) => Ok(()),
    }
}

/// Answers come in the order of the questions, without the questions: fewer cannot be told apart.
fn all_answered(
    server: &Server,
    call: &'static str,
    principal: &str,
    asked: &[AclBinding],
    answered: usize,
) -> Result<(), KafkaError> {
    if asked.len() == answered {
        return Ok(());
    }
    Err(KafkaError::LeftOut {
        server: server.clone(),
        call,
        subject: format!("an ACL of {principal}"),
    })
}

fn entries(answer: &DescribeAclsResponse, principal: &str) -> Acls {
    let mut acls = Acls::default();
    for resource in &answer.resources {
        for entry in &resource.acls {
            if &*entry.principal != principal {
                continue;
            }
            let binding = AclBinding {
                resource: resource.resource_type,
                pattern: resource.pattern_type,
                name: resource.resource_name.to_string(),
                host: entry.host.to_string(),
                operation: entry.operation,
                permission: entry.permission_type,
            };
            match binding.known() {
                Some(acl) => acls.known.insert(acl),
                None => acls.foreign_shapes.insert(binding),
            };
        }
    }
    acls
}

/// Numbers of `org.apache.kafka.common.resource.ResourceType`.
const RESOURCES: [(ResourceType, i8); 4] = [
    (ResourceType::Topic, 2),
    (ResourceType::Group, 3),
    (ResourceType::Cluster, 4),
    (ResourceType::TransactionalId, 5),
];
/// Numbers of `org.apache.kafka.common.resource.PatternType`.
const PATTERNS: [(Pattern, i8); 2] = [(Pattern::Literal, 3), (Pattern::Prefixed, 4)];
/// Numbers of `org.apache.kafka.common.acl.AclPermissionType`.
const PERMISSIONS: [(Permission, i8); 2] = [(Permission::Deny, 2), (Permission::Allow, 3)];
/// Numbers of `org.apache.kafka.common.acl.AclOperation`.
const OPERATIONS: [(Operation, i8); 9] = [
    (Operation::Read, 3),
    (Operation::Write, 4),
    (Operation::Create, 5),
    (Operation::Delete, 6),
    (Operation::Alter, 7),
    (Operation::Describe, 8),
    (Operation::DescribeConfigs, 10),
    (Operation::AlterConfigs, 11),
    (Operation::IdempotentWrite, 12),
];
/// Names of the numbers that have no value of ours, for people.
const OTHER_NAMES: [&[(i8, &str)]; 2] = [
    &[(6, "delegation-token"), (7, "user")],
    &[
        (2, "ALL"),
        (9, "CLUSTER_ACTION"),
        (13, "CREATE_TOKENS"),
        (14, "DESCRIBE_TOKENS"),
        (15, "TWO_PHASE_COMMIT"),
    ],
];

fn number<T: PartialEq>(table: &[(T, i8)], value: &T) -> i8 {
    // Tables are complete; 0 is "unknown", which a broker refuses.
    let found = table.iter().find(|(known, _)| known == value);
    found.map_or(0, |(_, number)| *number)
}

fn value<T: Copy>(table: &[(T, i8)], number: i8) -> Option<T> {
    let found = table.iter().find(|(_, known)| *known == number);
    found.map(|(value, _)| *value)
}

impl From<&Acl> for AclBinding {
    fn from(acl: &Acl) -> Self {
        Self {
            resource: number(&RESOURCES, &acl.resource),
            pattern: number(&PATTERNS, &acl.pattern),
            name: acl.name.clone(),
            host: EVERY_HOST.to_owned(),
            operation: number(&OPERATIONS, &acl.operation),
            permission: number(&PERMISSIONS, &acl.permission),
        }
    }
}

impl AclBinding {
    /// The entry in our words, if we have them.
    pub fn known(&self) -> Option<Acl> {
        (self.host == EVERY_HOST).then_some(())?;
        Some(Acl {
            resource: value(&RESOURCES, self.resource)?,
            pattern: value(&PATTERNS, self.pattern)?,
            name: self.name.clone(),
            operation: value(&OPERATIONS, self.operation)?,
            permission: value(&PERMISSIONS, self.permission)?,
        })
    }

    fn creation(&self, principal: &str) -> AclCreation {
        AclCreation::default()
            .with_resource_type(self.resource)
            .with_resource_name(text(&self.name))
            .with_resource_pattern_type(self.pattern)
            .with_principal(text(principal))
            .with_host(text(&self.host))
            .with_operation(self.operation)
            .with_permission_type(self.permission)
    }

    /// Matches this entry of `principal` and no other.
    fn filter(&self, principal: &str) -> DeleteAclsFilter {
        DeleteAclsFilter::default()
            .with_resource_type_filter(self.resource)
            .with_resource_name_filter(Some(text(&self.name)))
            .with_pattern_type_filter(self.pattern)
            .with_principal_filter(Some(text(principal)))
            .with_host_filter(Some(text(&self.host)))
            .with_operation(self.operation)
            .with_permission_type(self.permission)
    }
}

/// As [`Acl`] is written; with the host where it is not every one.
impl fmt::Display for AclBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(acl) = self.known() {
            return acl.fmt(f);
        }
        match value(&PERMISSIONS, self.permission) {
            Some(Permission::Allow) => f.write_str("ALLOW ")?,
            Some(Permission::Deny) => f.write_str("DENY ")?,
            None => write!(f, "permission {} ", self.permission)?,
        }
        let named = |names: &[(i8, &'static str)], number| {
            let found = names.iter().find(|(known, _)| *known == number);
            found.map(|(_, name)| *name)
        };
        let operation = value(&OPERATIONS, self.operation).map(Operation::as_str);
        match operation.or_else(|| named(OTHER_NAMES[1], self.operation)) {
            Some(operation) => write!(f, "{operation} ")?,
            None => write!(f, "operation {} ", self.operation)?,
        }
        let resource = value(&RESOURCES, self.resource).map(ResourceType::as_str);
        match resource.or_else(|| named(OTHER_NAMES[0], self.resource)) {
            Some(resource) => write!(f, "{resource} ")?,
            None => write!(f, "resource type {} ", self.resource)?,
        }
        f.write_str(&self.name)?;
        if value(&PATTERNS, self.pattern) == Some(Pattern::Prefixed) {
            f.write_str("*")?;
        }
        if self.host != EVERY_HOST {
            write!(f, " from {}", self.host)?;
        }
        Ok(())
    }
}

impl KafkaError {
    /// Whether the cluster has no authorizer, and so no ACLs to read or make.
    pub fn is_security_disabled(&self) -> bool {
        self.code().is_some_and(Code::is_security_disabled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(pattern: Pattern) -> Acl {
        Acl {
            resource: ResourceType::Topic,
            pattern,
            name: "orders".into(),
            operation: Operation::Write,
            permission: Permission::Allow,
        }
    }

    #[test]
    fn every_entry_of_ours_comes_back_as_it_was() {
        for (resource, _) in RESOURCES {
            for (operation, _) in OPERATIONS {
                for (permission, _) in PERMISSIONS {
                    for (pattern, _) in PATTERNS {
                        let acl = Acl {
                            resource,
                            pattern,
                            name: "a".into(),
                            operation,
                            permission,
                        };
                        let binding = AclBinding::from(&acl);
                        assert_eq!(binding.known().as_ref(), Some(&acl));
                        assert_eq!(binding.to_string(), acl.to_string());
                    }
                }
            }
        }
    }

    #[test]
    fn what_a_policy_cannot_mean_is_told_in_words() {
        let ours = AclBinding::from(&acl(Pattern::Prefixed));
        let other_host = AclBinding {
            host: "10.0.0.1".into(),
            ..ours.clone()
        };
        assert_eq!(other_host.known(), None);
        assert_eq!(
            other_host.to_string(),
            "ALLOW WRITE topic orders* from 10.0.0.1"
        );
        let later = AclBinding {
            operation: 2,
            resource: 7,
            permission: 9,
            ..ours
        };
        assert_eq!(later.to_string(), "permission 9 ALL user orders*");
    }

    #[test]
    fn a_filter_names_every_part() {
        let filter = AclBinding::from(&acl(Pattern::Literal)).filter("User:me");
        assert_eq!(filter.principal_filter.as_deref(), Some("User:me"));
        assert_eq!(filter.resource_name_filter.as_deref(), Some("orders"));
        assert_eq!(filter.host_filter.as_deref(), Some("*"));
        assert_eq!(filter.resource_type_filter, 2);
        assert_eq!(filter.pattern_type_filter, 3);
        assert_eq!((filter.operation, filter.permission_type), (4, 3));
    }

    #[test]
    fn only_one_user_is_a_principal() {
        assert!(one_user("User:a").is_ok());
        for principal in ["", "a", "User:", "User:*", "Group:a"] {
            assert!(one_user(principal).is_err(), "{principal}");
        }
    }
}
