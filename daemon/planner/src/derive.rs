//! What follows from a connector's specification: its runtime, its configuration as the worker gets
//! it, and everything that can be refused before a worker is asked.
//!
//! [`derive`] is pure and total: the same input gives the same answer, at plan and again at apply,
//! and no input makes it panic. It never sees a secret value, only the keys that have one.

mod capacity;
mod class;
mod delivery;
#[cfg(test)]
mod delivery_tests;
mod history;
mod hostile;
mod position;
mod runtime;
mod secrets;
#[cfg(test)]
mod tests;

pub use class::{BUILT_INS, BuiltIn, runs_one_task};
pub use hostile::check_secret_value;
use runnel_api::nearest::nearest;
pub use secrets::{is_secret, placeholder};

use runnel_api::connector::{ConnectorSpec, Derived};
use runnel_api::error::Warning;
use runnel_api::kafka_cluster::{ClientAuthentication, Enforcement, KafkaClusterSpec};
use runnel_api::plugin::{ClassKind, ContentRef, PluginStatus};
use runnel_api::secret::MASK;
use runnel_api::server::RuntimeInfo;
use runnel_api::worker_configuration::WorkerConfigurationSpec;
use runnel_api::{ErrorCode, Name, Problem};
use std::collections::{BTreeMap, BTreeSet};

/// The specification and everything it refers to; the caller has resolved the references.
#[derive(Clone, Copy, Debug)]
pub struct DeriveInput<'a> {
    /// The connector's name.
    pub name: &'a Name,
    /// What is wanted.
    pub spec: &'a ConnectorSpec,
    /// Keys that `config_wo` holds.
    pub secret_keys: &'a BTreeSet<String>,
    /// The user that an admin makes for it, from [`runnel_api::connector::user_of`].
    pub user: &'a str,
    /// The cluster it names.
    pub kafka_cluster: &'a KafkaClusterSpec,
    /// The plugins it names, in its order.
    pub plugins: &'a [(ContentRef, PluginStatus)],
    /// The worker configuration it names.
    pub worker_configuration: Option<&'a WorkerConfigurationSpec>,
    /// What is wrong with its role, from `runnel_iam::check_for_connector`: the role's policies and
    /// whether its trust policy lets this connector's ARN in.
    pub role_problems: &'a [Problem],
    /// Registered runtimes, oldest first.
    pub runtimes: &'a [RuntimeInfo],
    /// The connector that exists under this name and is kept.
    pub current: Option<Current<'a>>,
}

/// The connector as it is now.
#[derive(Clone, Copy, Debug)]
pub struct Current<'a> {
    /// What was wanted last.
    pub spec: &'a ConnectorSpec,
    /// The runtime it has.
    pub kafkaconnect_version: &'a str,
}

/// The answer. With a problem, `derived` is absent and `worker_config` empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Derivation {
    /// What is known at plan.
    pub derived: Option<Derived>,
    /// Reasons to refuse the specification, each with its field as in HCL.
    pub problems: Vec<Problem>,
    /// Remarks.
    pub warnings: Vec<Warning>,
    /// The configuration to send to Connect, secrets as [`placeholder`]s.
    pub worker_config: BTreeMap<String, String>,
    /// True for a class that is known to run one task, whatever `tasks.max` says.
    pub runs_one_task: bool,
    /// The class that was found under the name in `connector.class`.
    pub class: Option<FoundClass>,
}

/// A connector class, found in a plugin or among Kafka's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundClass {
    /// Its full name.
    pub class: String,
    /// As the plugin says; none where it does not.
    pub version: Option<String>,
    /// Source or sink.
    pub kind: Option<ClassKind>,
}

/// What stands for the key of the cluster's client certificate: no key of a connector.
pub const CLUSTER_KEY: &str = "(kafka cluster) private_key";

/// Problems and warnings as they are found.
#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl Findings {
    fn refuse(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn warn(&mut self, field: &str, message: impl Into<String>, detail: impl Into<String>) {
        self.warnings.push(Warning {
            message: message.into(),
            detail: Some(detail.into()),
            field: Some(field.to_owned()),
        });
    }
}

/// Derives; see the module.
pub fn derive(input: &DeriveInput<'_>) -> Derivation {
    let mut findings = Findings::default();
    let runtime = runtime::choose(input, &mut findings);
    let found = class::find(input, &mut findings);
    let class = found.as_ref().map(|found| found.class.as_str());
    check_keys(input, &mut findings);
    check_tasks(input, class, &mut findings);
    secrets::check(input, &mut findings);
    hostile::check(input, found.as_ref(), &mut findings);
    capacity::check(&input.spec.capacity, &mut findings);
    check_cluster(input, &mut findings);
    check_worker_configuration(input, &mut findings);
    findings
        .problems
        .extend(input.role_problems.iter().cloned());
    position::check(input, class, &mut findings);

    let mut config = input.spec.config.clone();
    if let Some(found) = &found {
        history::connect(input, found, &mut config, &mut findings);
    }
    delivery::apply(input, found.as_ref(), &mut config, &mut findings);
    config.insert(String::from("name"), input.name.to_string());
    match runtime {
        Some(runtime) if findings.problems.is_empty() => {
            let one_task = class.is_some_and(runs_one_task);
            Derivation {
                runs_one_task: one_task,
                class: found.as_ref().map(|found| class::told(input, found)),
                ..finish(input, runtime, one_task, config, findings)
            }
        }
        _ => Derivation {
            problems: findings.problems,
            warnings: findings.warnings,
            ..Derivation::default()
        },
    }
}

fn finish(
    input: &DeriveInput<'_>,
    runtime: String,
    one_task: bool,
    config: BTreeMap<String, String>,
    findings: Findings,
) -> Derivation {
    let mut effective_config = config.clone();
    let mut worker_config = config;
    for value in effective_config.values_mut() {
        if *value == placeholder(CLUSTER_KEY) {
            MASK.clone_into(value);
        }
    }
    for key in input.secret_keys {
        effective_config.insert(key.clone(), MASK.to_owned());
        worker_config.insert(key.clone(), placeholder(key));
    }
    Derivation {
        derived: Some(Derived {
            kafkaconnect_version: runtime,
            principal: principal(input),
            effective_config,
            kafka_acls: Vec::new(),
            enforcement: input.kafka_cluster.enforcement(),
            capacity_summary: capacity::summary(&input.spec.capacity, one_task),
        }),
        problems: findings.problems,
        warnings: findings.warnings,
        worker_config,
        runs_one_task: one_task,
        class: None,
    }
}

/// Who the connector is for the broker.
fn principal(input: &DeriveInput<'_>) -> String {
    match &input.kafka_cluster.client_authentication {
        ClientAuthentication::None => String::from("User:ANONYMOUS"),
        // What becomes of it is the broker's to say (`ssl.principal.mapping.rules`).
        ClientAuthentication::Mtls { .. } => String::from("User:(subject of the certificate)"),
        ClientAuthentication::ScramSha512 { username, .. } => {
            format!("User:{}", username.as_deref().unwrap_or(input.user))
        }
        ClientAuthentication::AwsMskIam => {
            format!("User:{}", input.spec.service_execution_role_arn)
        }
    }
}

/// Keys that have an argument of their own, or are no keys at all.
fn check_keys(input: &DeriveInput<'_>, findings: &mut Findings) {
    for (argument, key) in all_keys(input) {
        let field = format!("{argument}[{key:?}]");
        let odd = key.trim() != key || key.chars().any(char::is_control);
        let problem = if key.is_empty() || odd {
            Problem::new(ErrorCode::InvalidArgument, "this is no configuration key").detail(
                format!("{key:?} is empty, has white space around it or holds a control character"),
            )
        } else if key == "name" {
            Problem::new(
                ErrorCode::InvalidArgument,
                "the key name does not belong here",
            )
            .hint("the connector's name is its argument `name`; leave the key out")
        } else {
            continue;
        };
        findings.refuse(problem.field(field));
    }
}

/// Every key with the argument it stands in.
fn all_keys<'a>(input: &DeriveInput<'a>) -> impl Iterator<Item = (&'static str, &'a str)> {
    let config = input.spec.config.keys().map(|key| ("config", key.as_str()));
    config.chain(
        input
            .secret_keys
            .iter()
            .map(|key| ("config_wo", key.as_str())),
    )
}

/// `tasks.max` is a positive Java `int`. A class that is known to run one task is not refused here:
/// what it does with more is its own, and apply tells it.
fn check_tasks(input: &DeriveInput<'_>, class: Option<&str>, findings: &mut Findings) {
    const KEY: &str = "tasks.max";
    let Some(text) = input.spec.config.get(KEY) else {
        return;
    };
    match text.trim().parse::<i32>().ok().filter(|count| *count >= 1) {
        None => findings.refuse(
            Problem::new(
                ErrorCode::InvalidArgument,
                "tasks.max is not a positive integer",
            )
            .detail(format!("it is {:?}", cut(text)))
            .hint("write a number of tasks such as \"1\"")
            .config_key(KEY),
        ),
        Some(count) if count > 1 && class.is_some_and(runs_one_task) => {
            let class = class.unwrap_or_default();
            findings.warn(
                "config[\"tasks.max\"]",
                format!("{class} runs one task, and tasks.max is {count}"),
                "some releases of it fail with more than one; write \"1\"",
            );
        }
        Some(_) => {}
    }
}

fn check_cluster(input: &DeriveInput<'_>, findings: &mut Findings) {
    if let Some((field, message)) = input.kafka_cluster.invalid() {
        findings.refuse(
            Problem::new(ErrorCode::InvalidArgument, message)
                .detail(format!(
                    "in {field} of the Kafka cluster {}",
                    input.spec.kafka_cluster
                ))
                .field("kafka_cluster"),
        );
    }
    if input.kafka_cluster.enforcement() == Enforcement::Acl {
        return;
    }
    findings.warn(
        "service_execution_role_arn",
        "the role is stored and checked but not enforced: the cluster has no admin credentials",
        format!(
            "the connector may do on the Kafka cluster {} whatever the cluster lets its clients do \
             (enforcement = NONE)",
            input.spec.kafka_cluster
        ),
    );
}

fn check_worker_configuration(input: &DeriveInput<'_>, findings: &mut Findings) {
    let refused = input
        .worker_configuration
        .and_then(WorkerConfigurationSpec::refused);
    if let Some((_, reason)) = refused {
        findings.refuse(
            Problem::new(
                ErrorCode::InvalidArgument,
                "the worker configuration is refused",
            )
            .detail(reason)
            .field("worker_configuration"),
        );
    }
}

/// A text for a message, cut when it is long.
fn cut(text: &str) -> String {
    const MOST: usize = 120;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(['…']).collect()
}

/// At most twenty words, and how many more there are.
fn listed<T: AsRef<str>>(words: &[T]) -> String {
    const MOST: usize = 20;
    let shown: Vec<&str> = words.iter().take(MOST).map(AsRef::as_ref).collect();
    match words.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
