//! What a role lacks for a connector, and what it allows too much, in words.

use super::{Need, Needs, Severity};
use crate::acl::{Acl, Permission};
use crate::action::{Action, ResourceType, closure};
use crate::compile::{Compiled, action_of, allowed_by_statement, field, implied, operation};
use crate::condition::Context;
use crate::names::Names;
use crate::policy::PolicyDocument;
use runnel_api::error::Warning;
use runnel_api::{Arn, ErrorCode, Problem};
use std::collections::{BTreeMap, BTreeSet};

/// A need that the role does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The need, as doubtful as it is now: see [`Cause::Partly`].
    pub need: Need,
    /// How it is not met.
    pub cause: Cause,
}

/// How a need is not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No statement allows it.
    NotAllowed,
    /// It is about all names with a prefix, and allowed for some of them: they may be all that there
    /// will be.
    Partly,
    /// A statement denies it.
    Denied,
}

/// Compares what is needed with what the role came to. [`Severity::Optional`] needs are never
/// missing; a base entry is when the role denies it.
pub fn missing(needs: &Needs, role: &Compiled) -> Vec<Missing> {
    let asked = needs.of_role.iter();
    let of_role = asked.filter(|need| need.severity != Severity::Optional);
    let of_role = of_role.filter_map(|need| {
        let cause = cause(need, role)?;
        let mut need = need.clone();
        if cause == Cause::Partly {
            need.severity = need.severity.max(Severity::Perhaps);
        }
        Some(Missing { need, cause })
    });
    let denied = needs.base.iter().filter_map(|acl| {
        let names = Names::of(acl);
        let denies = |deny: &&Acl| is_about(deny, acl.resource) && deny.operation == acl.operation;
        let mut denials = of(role, Permission::Deny).filter(denies);
        let hit = denials.any(|deny| Names::of(deny).meets(&names));
        let need = Need {
            action: action_of(acl.resource, acl.operation).filter(|_| hit)?,
            names,
            why: "by the workers themselves",
            severity: Severity::Start,
        };
        let cause = Cause::Denied;
        Some(Missing { need, cause })
    });
    of_role.chain(denied).collect()
}

fn of(role: &Compiled, permission: Permission) -> impl Iterator<Item = &Acl> {
    let granted = role.granted.iter();
    granted.filter(move |acl| acl.permission == permission)
}

fn is_about(acl: &Acl, resource: ResourceType) -> bool {
    acl.resource == resource
}

fn cause(need: &Need, role: &Compiled) -> Option<Cause> {
    let resource = need.action.resource_type();
    let Some(wanted) = operation(need.action) else {
        // Connect.
        return (!role.connects).then_some(Cause::NotAllowed);
    };
    let denials = of(role, Permission::Deny)
        .filter(|acl| is_about(acl, resource) && acl.operation == wanted)
        .map(Names::of);
    let allows = of(role, Permission::Allow)
        .filter(|acl| is_about(acl, resource))
        .filter(|acl| acl.operation == wanted || implied(acl.operation) == Some(wanted))
        .map(Names::of);
    let (denials, allows): (Vec<_>, Vec<_>) = (denials.collect(), allows.collect());
    let covered = |by: &[Names]| by.iter().any(|names| names.covers(&need.names));
    let met = |by: &[Names]| by.iter().any(|names| names.meets(&need.names));
    if covered(&denials) {
        Some(Cause::Denied)
    } else if !met(&allows) {
        Some(Cause::NotAllowed)
    } else if !covered(&allows) || met(&denials) {
        Some(Cause::Partly)
    } else {
        None
    }
}

const FIELD: &str = "service_execution_role_arn";

/// Missing rights in words, one item for each resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Without these the connector would fail, now or at a restart (`INVALID_POLICY`).
    pub problems: Vec<Problem>,
    /// These may be needed.
    pub warnings: Vec<Warning>,
}

/// Writes down what is missing, on the connector's `service_execution_role_arn`, each with a
/// statement to paste into a policy of the role.
pub fn report(missing: &[Missing], cluster: &Arn) -> Report {
    let mut by_resource: BTreeMap<(ResourceType, &Names), Vec<&Missing>> = BTreeMap::new();
    for one in missing {
        let key = (one.need.action.resource_type(), &one.need.names);
        by_resource.entry(key).or_default().push(one);
    }
    let mut report = Report::default();
    for ((kind, names), all) in by_resource {
        let (denied, rest): (Vec<&Missing>, Vec<&Missing>) =
            all.into_iter().partition(|one| one.cause == Cause::Denied);
        for group in [denied, rest] {
            report.add(kind, names, &group, cluster);
        }
    }
    report
}

impl Report {
    fn add(&mut self, kind: ResourceType, names: &Names, group: &[&Missing], cluster: &Arn) {
        let Some(severity) = group.iter().map(|one| one.need.severity).min() else {
            return;
        };
        let actions: BTreeSet<Action> = group.iter().map(|one| one.need.action).collect();
        let denied = group.iter().any(|one| one.cause == Cause::Denied);
        let listed: Vec<String> = actions.iter().map(ToString::to_string).collect();
        let verb = match (denied, severity) {
            (true, _) => "the role denies",
            (false, Severity::Perhaps | Severity::Optional) => "the role may lack",
            (false, Severity::Start | Severity::Restart) => "the role does not allow",
        };
        let message = format!("{verb} {} on {}", listed.join(", "), shown(kind, names));
        let detail: Vec<String> = group.iter().map(|one| explained(one)).collect();
        let detail = detail.join("; ");
        let hint = if denied {
            String::from("take it out of the statement with Effect Deny: no Allow wins over it")
        } else if names.is_plain() {
            let statement = statement(kind, names, &actions, cluster);
            format!("add to Statement in a policy of the role: {statement}")
        } else {
            // As part of an ARN it would mean something else.
            String::from("no policy can name it: *, ? and ${ have a meaning of their own there")
        };
        if severity >= Severity::Perhaps {
            self.warnings.push(Warning {
                message,
                detail: Some(format!("{detail}; {hint}")),
                field: Some(FIELD.to_owned()),
            });
        } else {
            let problem = Problem::new(ErrorCode::InvalidPolicy, message);
            let problem = problem.detail(detail).hint(hint).field(FIELD);
            self.problems.push(problem);
        }
    }
}

fn shown(kind: ResourceType, names: &Names) -> String {
    let word = match kind {
        ResourceType::Cluster => return String::from("the Kafka cluster"),
        ResourceType::Topic => "topic",
        ResourceType::Group => "group",
        ResourceType::TransactionalId => "transactional id",
    };
    match names {
        Names::One(name) => format!("{word} {name:?}"),
        Names::Prefix(prefix) if prefix.is_empty() => format!("every {word}"),
        Names::Prefix(prefix) => format!("{word}s that begin with {prefix:?}"),
    }
}

fn explained(missing: &Missing) -> String {
    let Need { action, why, .. } = missing.need;
    let outcome = match (missing.need.severity, missing.cause) {
        (Severity::Start, _) => "without it the connector fails when it starts",
        (Severity::Restart, _) => "without it the first start works and a restart fails",
        (_, Cause::Partly) => "for some of them it is allowed, which may be enough",
        (Severity::Perhaps | Severity::Optional, _) => "whether it has to is not known at plan",
    };
    format!("{action} is needed {why}: {outcome}")
}

/// A statement that allows the actions, and what these are useless without on the same resource.
fn statement(
    kind: ResourceType,
    names: &Names,
    actions: &BTreeSet<Action>,
    cluster: &Arn,
) -> serde_json::Value {
    let all = closure(actions);
    let listed: Vec<String> = all
        .iter()
        .filter(|action| action.resource_type() == kind)
        // Connect is of the cluster's type, and needed there, but it is a need of its own.
        .filter(|action| **action != Action::Connect || actions.contains(&Action::Connect))
        .map(ToString::to_string)
        .collect();
    let prefix = cluster.cluster_resources(kind.as_str());
    let resource = match (kind, names) {
        (ResourceType::Cluster, _) => cluster.to_string(),
        (_, Names::One(name)) => format!("{prefix}{name}"),
        (_, Names::Prefix(start)) => format!("{prefix}{start}*"),
    };
    serde_json::json!({"Effect": "Allow", "Action": listed, "Resource": resource})
}

/// Remarks on statements that allow something on this cluster, but nothing that the connector needs;
/// none for a class that is not known.
pub fn unneeded(
    needs: &Needs,
    policies: &BTreeMap<String, PolicyDocument>,
    cluster: &Arn,
    constant: &Context,
) -> Vec<Warning> {
    if !needs.class_is_known {
        return Vec::new();
    }
    let is_needed = |acl: &Acl| {
        let names = Names::of(acl);
        let mut all = needs.of_role.iter();
        all.any(|need| {
            need.action.resource_type() == acl.resource
                && operation(need.action) == Some(acl.operation)
                && need.names.meets(&names)
        })
    };
    let statements = allowed_by_statement(policies, cluster, constant);
    let idle = statements
        .into_iter()
        .filter(|(_, acls)| !acls.is_empty() && !acls.iter().any(is_needed));
    let warn = |(said, acls): (crate::grants::Said, BTreeSet<Acl>)| {
        let listed: Vec<String> = acls.iter().take(5).map(ToString::to_string).collect();
        let more = acls.len().saturating_sub(listed.len());
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Warning {
            message: format!(
                "{} in the role's {} allows nothing that this connector is known to need",
                said.statement,
                field(&said.policy)
            ),
            detail: Some(format!("it comes to {}{more}", listed.join(", "))),
            field: Some(FIELD.to_owned()),
        }
    };
    idle.map(warn).collect()
}
