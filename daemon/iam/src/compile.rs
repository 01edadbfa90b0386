//! From the policies of a role to the ACLs of one principal on one cluster: exactly, or not at all.
//!
//! **Rule.** An operation is allowed when the policies allow [`Action::Connect`] on the cluster,
//! do not deny the operation's own action, and allow that action or one that implies it (see
//! [`implied`]): `ReadData` on a topic lets its metadata be read, as READ does in Kafka, whether
//! `DescribeTopic` is granted or not. What ACLs cannot say so is refused (`INVALID_POLICY`), never
//! widened and never narrowed.
//!
//! **Kafka's side** (`StandardAuthorizer`): a DENY of the very operation wins; else an ALLOW of the
//! operation, or of one that implies it, allows; else no. A DENY implies nothing: DENY READ leaves
//! DESCRIBE, and an ALLOW READ beside it still implies DESCRIBE. Where that grants more than the
//! rule does, the compiler adds a DENY of its own.

use crate::acl::{Acl, CLUSTER_NAME, Operation, Permission};
use crate::action::{Action, ResourceType};
use crate::condition::{ArnPattern, ConditionKey, Context};
use crate::element::short;
use crate::evaluate::evaluate;
use crate::glob;
use crate::grants::{Grants, Said};
use crate::names::{self, Inexact, Names};
use crate::policy::{Effect, PolicyDocument, Selector, Statement, label};
use runnel_api::error::Warning;
use runnel_api::role::RoleSpec;
use runnel_api::{Arn, ErrorCode, Problem};
use std::collections::{BTreeMap, BTreeSet};

/// What policies come to on one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// The entries of the principal, all of them: none lies in another of the same kind.
    pub acls: BTreeSet<Acl>,
    /// What is allowed but dangerous, or has no effect; `field` is `policies["NAME"]` or `policies`.
    pub warnings: Vec<Warning>,
    /// Whether [`Action::Connect`] is allowed on the cluster.
    pub connects: bool,
    /// What the entries would be if it were.
    pub(crate) granted: BTreeSet<Acl>,
}

/// The operation that an action stands for, on resources of the action's type; none for
/// [`Action::Connect`], which Kafka checks by the login alone.
///
/// Source: MSK developer guide, "Semantics of IAM authorization policy actions and resources".
pub const fn operation(action: Action) -> Option<Operation> {
    Some(match action {
        Action::Connect => return None,
        Action::DescribeCluster
        | Action::DescribeTopic
        | Action::DescribeGroup
        | Action::DescribeTransactionalId => Operation::Describe,
        Action::AlterCluster | Action::AlterTopic => Operation::Alter,
        Action::DescribeClusterDynamicConfiguration | Action::DescribeTopicDynamicConfiguration => {
            Operation::DescribeConfigs
        }
        Action::AlterClusterDynamicConfiguration | Action::AlterTopicDynamicConfiguration => {
            Operation::AlterConfigs
        }
        Action::WriteDataIdempotently => Operation::IdempotentWrite,
        Action::CreateTopic => Operation::Create,
        Action::DeleteTopic | Action::DeleteGroup => Operation::Delete,
        Action::ReadData | Action::AlterGroup => Operation::Read,
        Action::WriteData | Action::AlterTransactionalId => Operation::Write,
    })
}

/// The action that stands for an operation on a type of resource: the other direction of
/// [`operation`].
pub fn action_of(resource: ResourceType, wanted: Operation) -> Option<Action> {
    let fits = |a: &&Action| a.resource_type() == resource && operation(**a) == Some(wanted);
    Action::ALL.iter().find(fits).copied()
}

/// The operation that comes with an allowed one (KIP-11, KIP-133; `AclEntry` in Kafka).
pub const fn implied(allowed: Operation) -> Option<Operation> {
    match allowed {
        Operation::Read | Operation::Write | Operation::Delete | Operation::Alter => {
            Some(Operation::Describe)
        }
        Operation::AlterConfigs => Some(Operation::DescribeConfigs),
        Operation::Create
        | Operation::Describe
        | Operation::DescribeConfigs
        | Operation::IdempotentWrite => None,
    }
}

/// Compiles the policies of a role, by name, for one cluster (`arn:aws:kafka:…:cluster/NAME/UUID`).
///
/// `constant` holds what is the same for every request of the principal (whether the cluster speaks
/// TLS, its role's ARN): conditions on these keys are decided here, any other is refused. Statements
/// about other clusters come to nothing. Every [`Problem`] points at `policies["NAME"]`.
pub fn compile(
    policies: &BTreeMap<String, PolicyDocument>,
    cluster: &Arn,
    constant: &Context,
) -> Result<Compiled, Vec<Problem>> {
    let place = Cluster::parse(cluster.as_str()).ok_or_else(|| {
        let message = format!("{cluster} is no Kafka cluster's ARN");
        vec![Problem::new(ErrorCode::InvalidArgument, message)]
    })?;
    let mut grants = Grants::default();
    let mut problems = Vec::new();
    for source in sources(policies) {
        match source.decided(constant) {
            Ok(false) => {}
            Ok(true) => match source.collect(&place, &mut grants) {
                Ok(()) => {}
                Err(problem) => problems.push(problem),
            },
            Err(problem) => problems.push(problem),
        }
    }
    let overshoot = grants.deny_what_overshoots();
    problems.extend(overshoot);
    if !problems.is_empty() {
        return Err(problems);
    }
    let documents: Vec<PolicyDocument> = policies.values().cloned().collect();
    let connect = evaluate(&documents, Action::Connect, cluster.as_str(), constant);
    let granted = grants.acls();
    Ok(if connect.is_allowed() {
        Compiled {
            acls: granted.clone(),
            warnings: grants.warnings(),
            connects: true,
            granted,
        }
    } else {
        Compiled {
            acls: BTreeSet::new(),
            warnings: vec![without_connect(cluster)],
            connects: false,
            granted,
        }
    })
}

/// Reasons why no cluster could express the role's policies by ACLs, each on `policies["NAME"]`.
/// Policies that do not parse are left to [`crate::check_role`].
///
/// What depends on the cluster is left to [`compile`]: a pattern is tried on a cluster made up to
/// fit it.
pub fn expressible(spec: &RoleSpec) -> Vec<Problem> {
    let parsed = spec.policies.iter().filter_map(|(name, text)| {
        let document = PolicyDocument::parse(text).ok()?;
        Some((name.clone(), document))
    });
    let policies: BTreeMap<String, PolicyDocument> = parsed.collect();
    let problems = sources(&policies).flat_map(|source| source.inexpressible());
    problems.collect()
}

/// What each statement allows on the cluster by itself, with where it stands; what could not be
/// compiled is left out.
pub(crate) fn allowed_by_statement(
    policies: &BTreeMap<String, PolicyDocument>,
    cluster: &Arn,
    constant: &Context,
) -> Vec<(Said, BTreeSet<Acl>)> {
    let Some(place) = Cluster::parse(cluster.as_str()) else {
        return Vec::new();
    };
    let allows = sources(policies).filter(|source| source.statement.effect == Effect::Allow);
    let effective = allows.filter(|source| source.decided(constant) == Ok(true));
    let granted = effective.filter_map(|source| {
        let mut grants = Grants::default();
        source.collect(&place, &mut grants).ok()?;
        Some((source.said(), grants.acls()))
    });
    granted.collect()
}

fn without_connect(cluster: &Arn) -> Warning {
    Warning {
        message: format!(
            "without {} nothing that the role allows has effect",
            Action::Connect
        ),
        detail: Some(format!(
            "the policies do not allow it on {cluster}; add it to a statement"
        )),
        field: Some(String::from("policies")),
    }
}

/// Where problems of a policy point.
pub(crate) fn field(policy: &str) -> String {
    format!("policies[{policy:?}]")
}

/// A statement with where it stands.
struct Source<'a> {
    policy: &'a str,
    label: String,
    statement: &'a Statement,
}

fn sources(policies: &BTreeMap<String, PolicyDocument>) -> impl Iterator<Item = Source<'_>> {
    policies.iter().flat_map(|(policy, document)| {
        let statements = document.statements.iter().enumerate();
        statements.map(move |(index, statement)| Source {
            policy,
            label: label(index, statement.sid.as_deref()),
            statement,
        })
    })
}

/// Keys whose value may be the same for every request of a principal.
const CONSTANT: [ConditionKey; 2] = [ConditionKey::SecureTransport, ConditionKey::PrincipalArn];

impl Source<'_> {
    fn said(&self) -> Said {
        Said {
            policy: self.policy.to_owned(),
            statement: self.label.clone(),
        }
    }

    fn refuse(&self, element: &str, what: &str, hint: impl Into<String>) -> Problem {
        let message = format!("{}, {element}: {what}", self.label);
        let problem = Problem::new(ErrorCode::InvalidPolicy, message);
        problem.hint(hint).field(field(self.policy))
    }

    fn refuse_condition(&self, key: ConditionKey) -> Problem {
        let what = format!("Kafka's ACLs cannot ask about {key} at each request");
        let hint = match key {
            ConditionKey::SourceIp => "leave the condition out; a firewall can do what it says",
            _ => "leave the condition out",
        };
        self.refuse("Condition", &what, hint)
    }

    /// Whether the statement's conditions hold for all requests; or for none of them.
    fn decided(&self, constant: &Context) -> Result<bool, Problem> {
        let conditions = &self.statement.conditions;
        if let Some(open) = conditions.iter().find(|c| !constant.contains_key(&c.key)) {
            return Err(self.refuse_condition(open.key));
        }
        Ok(conditions.iter().all(|condition| condition.holds(constant)))
    }

    fn patterns(&self) -> Result<&BTreeSet<ArnPattern>, Problem> {
        match &self.statement.resources {
            Selector::Only(patterns) => Ok(patterns),
            Selector::AllBut(_) => Err(self.refuse(
                "NotResource",
                "Kafka's ACLs cannot say \"everything but\"",
                "name what is meant in Resource; to take something out, add a statement with \
                 Effect Deny",
            )),
        }
    }

    fn selected_actions(&self) -> impl Iterator<Item = Action> {
        let all = Action::ALL.iter().copied();
        all.filter(|action| self.statement.selects_action(*action))
    }

    /// Adds what the statement says about the cluster.
    fn collect(&self, cluster: &Cluster, grants: &mut Grants) -> Result<(), Problem> {
        let patterns = self.patterns()?;
        for action in self.selected_actions() {
            let Some(operation) = operation(action) else {
                continue;
            };
            let kind = action.resource_type();
            for pattern in patterns {
                let selected = cluster.selected(pattern, kind);
                let names = selected.map_err(|inexact| self.inexact(pattern, kind, &inexact))?;
                let permission = match self.statement.effect {
                    Effect::Allow => Permission::Allow,
                    Effect::Deny => Permission::Deny,
                };
                for names in names {
                    grants.add((kind, operation, permission), names, || self.said());
                }
            }
        }
        Ok(())
    }

    /// Everything about the statement that no cluster could express.
    fn inexpressible(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let conditions = self.statement.conditions.iter();
        for key in conditions.map(|condition| condition.key) {
            if !CONSTANT.contains(&key) {
                problems.push(self.refuse_condition(key));
            }
        }
        let patterns = match self.patterns() {
            Ok(patterns) => patterns,
            Err(problem) => {
                problems.push(problem);
                return problems;
            }
        };
        let kinds: BTreeSet<ResourceType> =
            self.selected_actions().map(Action::resource_type).collect();
        for pattern in patterns {
            let made_up = Cluster::made_up_for(pattern);
            let refused = made_up.iter().find_map(|cluster| {
                kinds.iter().find_map(|kind| {
                    let inexact = cluster.selected(pattern, *kind).err()?;
                    Some(self.inexact(pattern, *kind, &inexact))
                })
            });
            problems.extend(refused);
        }
        problems
    }

    fn inexact(&self, pattern: &ArnPattern, kind: ResourceType, found: &Inexact) -> Problem {
        let element = "Resource";
        let (pattern, kind, rest) = (pattern.to_string(), kind.as_str(), &found.rest);
        let what = format!(
            "{} stands for {kind}s like {}, which Kafka's ACLs cannot name",
            short(&pattern),
            short(rest)
        );
        let last = rest.rsplit('/').next().unwrap_or_default();
        if rest.starts_with("*/") && !last.is_empty() && !last.contains(['*', '?']) {
            // The wildcard for the cluster's id reaches into names with a slash.
            let hint = format!(
                "a * reaches over /, also into a {kind} called \"x/{last}\"; write name and id of \
                 the cluster (its attributes topic_arn, group_arn and transactional_id_arn) \
                 before {last:?}"
            );
            return self.refuse(element, &what, hint);
        }
        let head = rest.split(['*', '?']).next().unwrap_or_default();
        let hint = format!(
            "ACLs name one {kind}, those with a prefix (* at the end and nowhere else), or all \
             (*): write each name, or {:?}, which is more",
            format!("{head}*")
        );
        self.refuse(element, &what, hint)
    }
}

/// The cluster's ARN, taken apart.
struct Cluster {
    /// Partition to account: the first five parts.
    head: [String; 5],
    /// `NAME/UUID`.
    path: String,
}

impl Cluster {
    fn parse(arn: &str) -> Option<Self> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let (resource, head) = parts.split_last()?;
        Some(Self {
            head: <[&str; 5]>::try_from(head).ok()?.map(str::to_owned),
            path: resource.strip_prefix("cluster/")?.to_owned(),
        })
    }

    /// Clusters that the pattern is likely to fit: wildcards become a letter. The second is for a
    /// star that reaches over name and id.
    fn made_up_for(pattern: &ArnPattern) -> [Self; 2] {
        let plain = |text: &str| text.replace(['*', '?'], "x");
        let (head, resource) = taken_apart(pattern);
        let mut words = resource.split('/').skip(1).map(plain);
        let mut word = || words.next().unwrap_or_else(|| String::from("x"));
        let path = format!("{}/{}", word(), word());
        [path, String::from("x/x")].map(|path| Self {
            head: head.map(plain),
            path,
        })
    }

    /// Which resources of the kind the pattern selects on this cluster.
    fn selected(
        &self,
        pattern: &ArnPattern,
        kind: ResourceType,
    ) -> Result<BTreeSet<Names>, Inexact> {
        let (head, resource) = taken_apart(pattern);
        let mut parts = head.iter().zip(&self.head);
        if !parts.all(|(pattern, part)| glob::matches(pattern, part)) {
            return Ok(BTreeSet::new());
        }
        let path = format!("{}/{}", kind.as_str(), self.path);
        if kind == ResourceType::Cluster {
            let fits = glob::matches(resource, &path);
            let name = fits.then(|| Names::One(CLUSTER_NAME.to_owned()));
            return Ok(name.into_iter().collect());
        }
        names::behind(resource, &format!("{path}/"), kind)
    }
}

/// The first five parts of the pattern, and what it says of resources.
fn taken_apart(pattern: &ArnPattern) -> ([&str; 5], &str) {
    match pattern {
        ArnPattern::Any => (["*"; 5], "*"),
        ArnPattern::Parts([arn, partition, service, region, account, resource]) => {
            ([arn, partition, service, region, account], resource)
        }
    }
}
