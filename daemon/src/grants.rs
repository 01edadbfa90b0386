//! What a role comes to on the broker for one connector: its ACLs, and what is missing or too much.
//!
//! Pure: plan shows what the reconciler does, because both ask here.

use crate::fleet::InternalTopics;
use runnel_api::connector::{ConnectorSpec, Delivery};
use runnel_api::error::Warning;
use runnel_api::kafka_cluster::{EncryptionInTransit, KafkaClusterSpec};
use runnel_api::plugin::Sha256Hex;
use runnel_api::role::RoleSpec;
use runnel_api::{Arn, ErrorCode, Name, Problem, Secret};
use runnel_iam::{Acl, ConditionKey, Context, Needs, NeedsInput, PolicyDocument};
use runnel_planner::derive::FoundClass;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Random bytes of a password: 256 bits.
const PASSWORD_BYTES: usize = 32;
/// Where problems of the role point to on a connector.
const FIELD: &str = "service_execution_role_arn";

/// A connector and all that decides on its rights.
#[derive(Clone, Copy, Debug)]
pub struct GrantInput<'a> {
    /// Its name.
    pub name: &'a Name,
    /// Its id.
    pub id: Uuid,
    /// What was declared.
    pub spec: &'a ConnectorSpec,
    /// Its configuration as Connect gets it.
    pub config: &'a BTreeMap<String, String>,
    /// Its class.
    pub class: &'a FoundClass,
    /// Its cluster.
    pub cluster: &'a KafkaClusterSpec,
    /// The cluster's ARN.
    pub cluster_arn: &'a Arn,
    /// Its role; none when it is gone.
    pub role: Option<&'a RoleSpec>,
}

/// The answer; with a problem, `acls` is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// All ACLs of the connector's user.
    pub acls: BTreeSet<Acl>,
    /// Reasons to refuse the connector.
    pub problems: Vec<Problem>,
    /// Remarks.
    pub warnings: Vec<Warning>,
}

/// A user and its ACLs as they are wanted on the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// Its name there.
    pub username: String,
    /// Counts its passwords.
    pub version: u64,
    /// Its ACLs.
    pub acls: BTreeSet<Acl>,
}

impl Grants {
    /// Equal for equal grants.
    pub fn digest(&self) -> String {
        let mut text = format!("{}\n{}\n", self.username, self.version);
        for acl in &self.acls {
            text.push_str(&acl.to_string());
            text.push('\n');
        }
        Sha256Hex::of_bytes(text.as_bytes()).to_string()
    }

    /// As Kafka writes it.
    pub fn principal(&self) -> String {
        format!("User:{}", self.username)
    }
}

/// A password that nobody has typed: hexadecimal, so that it is one word everywhere.
pub fn fresh_password() -> Result<Secret, getrandom::Error> {
    let mut bytes = [0; PASSWORD_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(Secret::new(crate::fleet::hex(&bytes)))
}

/// What the role comes to.
pub fn of(input: &GrantInput<'_>) -> Granted {
    let policies = match policies(input.role) {
        Ok(policies) => policies,
        Err(problem) => {
            return Granted {
                problems: vec![*problem],
                ..Granted::default()
            };
        }
    };
    let constant = constant(input);
    match runnel_iam::compile(&policies, input.cluster_arn, &constant) {
        Ok(compiled) => {
            let needs = needed(input);
            let report =
                runnel_iam::report(&runnel_iam::missing(&needs, &compiled), input.cluster_arn);
            let unneeded = runnel_iam::unneeded(&needs, &policies, input.cluster_arn, &constant);
            let warnings = compiled.warnings.iter().cloned().chain(unneeded);
            let mut acls = compiled.acls;
            acls.extend(needs.base);
            Granted {
                acls,
                warnings: warnings.map(on_connector).chain(report.warnings).collect(),
                problems: report.problems,
            }
        }
        Err(problems) => Granted {
            problems: problems.into_iter().map(of_role).collect(),
            ..Granted::default()
        },
    }
}

/// A problem of the role as it is told on a connector.
fn of_role(mut problem: Problem) -> Problem {
    if let Some(place) = problem.field.take() {
        problem.message = format!("the role's {place}: {}", problem.message);
    }
    problem.field(FIELD)
}

fn on_connector(warning: Warning) -> Warning {
    Warning {
        field: Some(FIELD.to_owned()),
        ..warning
    }
}

/// What the connector needs, by itself and of its role.
fn needed(input: &GrantInput<'_>) -> Needs {
    let topics = internal_topics(input.name, input.id);
    runnel_iam::needs(&NeedsInput {
        class: &input.class.class,
        version: input.class.version.as_deref(),
        kind: input.class.kind,
        name: input.name.as_str(),
        config: input.config,
        exactly_once: input.spec.delivery == Delivery::ExactlyOnce,
        group_id: &fleet_group(input.name, input.id),
        internal_topics: &[topics.offsets, topics.configs, topics.status],
        bootstrap_servers: &input.cluster.bootstrap_servers,
    })
}

/// The Connect group of a connector's fleet.
pub fn fleet_group(name: &Name, id: Uuid) -> String {
    format!("runnel-{name}-{id}")
}

/// Names of the internal topics: `__runnel_<offsets|configs|status>_<name>_<id>`.
pub fn internal_topics(name: &Name, id: Uuid) -> InternalTopics {
    let topic = |what: &str| format!("__runnel_{what}_{name}_{id}");
    InternalTopics {
        offsets: topic("offsets"),
        configs: topic("configs"),
        status: topic("status"),
    }
}

/// The role's policies by name; that they parse was checked when the role was written.
fn policies(role: Option<&RoleSpec>) -> Result<BTreeMap<String, PolicyDocument>, Box<Problem>> {
    let Some(role) = role else {
        let message = "the role does not exist any more";
        return Err(Box::new(
            Problem::new(ErrorCode::MissingReference, message).field(FIELD),
        ));
    };
    let mut policies = BTreeMap::new();
    for (name, text) in &role.policies {
        let parsed =
            PolicyDocument::parse(text).map_err(|problem| Box::new(problem.field(FIELD)))?;
        policies.insert(name.clone(), parsed);
    }
    Ok(policies)
}

/// What is the same for every request of a connector on this cluster.
fn constant(input: &GrantInput<'_>) -> Context {
    let encrypted = matches!(
        input.cluster.encryption_in_transit,
        EncryptionInTransit::Tls { .. }
    );
    let role = input.spec.service_execution_role_arn.to_string();
    Context::from([
        (ConditionKey::SecureTransport, encrypted.to_string()),
        (ConditionKey::PrincipalArn, role),
    ])
}
