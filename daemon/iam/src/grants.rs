//! What the statements of policies say together, on the way to ACLs.

use crate::acl::{Acl, Operation, Permission};
use crate::action::{Action, ResourceType};
use crate::compile::{action_of, field, implied};
use crate::names::Names;
use runnel_api::error::Warning;
use runnel_api::{ErrorCode, Problem};
use std::collections::{BTreeMap, BTreeSet};

/// Where an operation is allowed or denied.
#[derive(Default)]
pub struct Grants {
    by: BTreeMap<Key, BTreeMap<Names, Said>>,
}

type Key = (ResourceType, Operation, Permission);

/// Where a grant stands; the first place, when there are several.
#[derive(Clone, Debug)]
pub struct Said {
    /// The policy's name.
    pub policy: String,
    /// The statement's index and Sid.
    pub statement: String,
}

impl Grants {
    /// Notes one.
    pub fn add(&mut self, key: Key, names: Names, said: impl FnOnce() -> Said) {
        let of = self.by.entry(key).or_default();
        of.entry(names).or_insert_with(said);
    }

    fn of(
        &self,
        kind: ResourceType,
        operation: Operation,
        permission: Permission,
    ) -> impl Iterator<Item = &Names> {
        let of = self.by.get(&(kind, operation, permission));
        of.into_iter().flat_map(BTreeMap::keys)
    }

    /// Whether a set that covers all of `names` has the permission.
    fn covered(
        &self,
        kind: ResourceType,
        operation: Operation,
        permission: Permission,
        names: &Names,
    ) -> bool {
        self.of(kind, operation, permission)
            .any(|of| of.covers(names))
    }

    /// By the rule: what remains of `names` when all smaller sets are taken out of it.
    fn wanted(&self, kind: ResourceType, wanted: Operation, names: &Names) -> bool {
        let covered = |operation, permission| self.covered(kind, operation, permission, names);
        let effective = |operation: Operation| {
            covered(operation, Permission::Allow) && !covered(operation, Permission::Deny)
        };
        !covered(wanted, Permission::Deny) && (effective(wanted) || implying(wanted).any(effective))
    }

    /// As Kafka decides by these grants.
    fn got(&self, kind: ResourceType, wanted: Operation, names: &Names) -> bool {
        let covered = |operation, permission| self.covered(kind, operation, permission, names);
        !covered(wanted, Permission::Deny)
            && (covered(wanted, Permission::Allow)
                || implying(wanted).any(|other| covered(other, Permission::Allow)))
    }

    /// Denies what is implied by an operation that is allowed and denied at the same place.
    ///
    /// Regions are each set without the sets that lie in it; a DENY on a set reaches those too, so
    /// where one of them is to keep the operation, it cannot be said.
    pub fn deny_what_overshoots(&mut self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for kind in ResourceType::ALL {
            for operation in [Operation::Describe, Operation::DescribeConfigs] {
                let of_kind = self.by.iter().filter(|((of, _, _), _)| *of == kind);
                let all: BTreeMap<Names, Said> =
                    of_kind.flat_map(|(_, names)| names.clone()).collect();
                let over = |names: &Names| {
                    self.got(kind, operation, names) && !self.wanted(kind, operation, names)
                };
                let mut denied = BTreeMap::new();
                for (names, said) in all.iter().filter(|(names, _)| over(names)) {
                    let inside = |of: &&Names| names.covers(of) && *of != names;
                    let kept = all.keys().filter(inside);
                    match kept.into_iter().find(|of| self.wanted(kind, operation, of)) {
                        Some(kept) => problems.push(overshoot(kind, operation, names, kept, said)),
                        None => {
                            denied.insert(names.clone(), said.clone());
                        }
                    }
                }
                let key = (kind, operation, Permission::Deny);
                self.by.entry(key).or_default().extend(denied);
            }
        }
        problems
    }

    /// All of them, without those that lie in another.
    pub fn acls(&self) -> BTreeSet<Acl> {
        let mut acls = BTreeSet::new();
        for (&(resource, operation, permission), of) in &self.by {
            let shadowed =
                |names: &Names| of.keys().any(|other| other != names && other.covers(names));
            for names in of.keys().filter(|names| !shadowed(names)) {
                let (pattern, name) = names.to_pattern();
                acls.insert(Acl {
                    resource,
                    pattern,
                    name,
                    operation,
                    permission,
                });
            }
        }
        acls
    }

    /// ALTER on the cluster is the right to give oneself every other right.
    pub fn warnings(&self) -> Vec<Warning> {
        let alter = (ResourceType::Cluster, Operation::Alter, Permission::Allow);
        let said = self.by.get(&alter).into_iter().flat_map(BTreeMap::values);
        let warning = |said: &Said| Warning {
            message: format!(
                "{} lets the connector change ACLs and users",
                Action::AlterCluster
            ),
            detail: Some(format!(
                "{} allows it: in Kafka it is ALTER on the cluster, with which a connector can \
                 grant itself everything else; no connector needs it",
                said.statement
            )),
            field: Some(field(&said.policy)),
        };
        said.map(warning).collect()
    }
}

/// Operations with which `wanted` comes.
fn implying(wanted: Operation) -> impl Iterator<Item = Operation> {
    use Operation::{Alter, AlterConfigs, Delete, Read, Write};
    let all = [Read, Write, Delete, Alter, AlterConfigs].into_iter();
    all.filter(move |other| implied(*other) == Some(wanted))
}

fn overshoot(
    kind: ResourceType,
    operation: Operation,
    names: &Names,
    kept: &Names,
    said: &Said,
) -> Problem {
    let shown = |names: &Names| match names {
        Names::One(name) => format!("{name:?}"),
        Names::Prefix(prefix) => format!("{:?}", format!("{prefix}*")),
    };
    let (kind_word, operation_word) = (kind.as_str(), operation.as_str());
    let (outer, inner) = (shown(names), shown(kept));
    let own = action_of(kind, operation).map_or_else(String::new, |action| action.to_string());
    let message = format!(
        "{}: Kafka's ACLs cannot keep {operation_word} from {kind_word} {outer} and leave \
         it to {inner}",
        said.statement
    );
    let detail = format!(
        "what is allowed on {outer} implies {operation_word} there even where it is denied again; \
         to deny {operation_word} on {outer} would take it from {inner} too"
    );
    let hint = format!("allow {own} on {outer}, or deny it on {inner} as well");
    let problem = Problem::new(ErrorCode::InvalidPolicy, message);
    problem.detail(detail).hint(hint).field(field(&said.policy))
}
