//! What a connector needs on its Kafka cluster: what every connector gets by itself, and what its
//! role must allow, by its class and its effective configuration.
//!
//! Sources: the code of Kafka Connect 3.9 and 4.3 (KIP-158, KIP-298, KIP-618) and of Debezium 1.6 to
//! 3.7. What cannot be told from the configuration is doubted, not refused: see [`Severity`].

mod debezium;
mod finding;
mod mirror;

pub use finding::{Cause, Missing, Report, missing, report, unneeded};

use crate::acl::{Acl, CLUSTER_NAME, Operation, Pattern, Permission};
use crate::action::{Action, ResourceType};
use crate::names::Names;
use runnel_api::plugin::ClassKind;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a connector before it runs.
#[derive(Clone, Copy, Debug)]
pub struct NeedsInput<'a> {
    /// Its class, by the full name.
    pub class: &'a str,
    /// The plugin's version, where it has one.
    pub version: Option<&'a str>,
    /// Source or sink; none where that is not known.
    pub kind: Option<ClassKind>,
    /// Its name.
    pub name: &'a str,
    /// Its configuration as the worker gets it; secrets do not matter.
    pub config: &'a BTreeMap<String, String>,
    /// Whether a source writes in transactions.
    pub exactly_once: bool,
    /// The Connect group of its workers.
    pub group_id: &'a str,
    /// The topics in which its workers keep offsets, configuration and status.
    pub internal_topics: &'a [String],
    /// The bootstrap servers of its Kafka cluster.
    pub bootstrap_servers: &'a str,
}

/// What happens without a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The connector fails when it starts, or at its first record of a kind that it will have.
    Start,
    /// The first start works and a later one fails.
    Restart,
    /// It may be needed: that depends on what only the running cluster or a transform knows, such as
    /// whether a topic exists.
    Perhaps,
    /// It is asked for and can be done without.
    Optional,
}

/// A right that the role must grant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// What is done; it names the type of resource too.
    pub action: Action,
    /// On which names; of a prefix, not every name may come into being.
    pub names: Names,
    /// What for: the rest of a sentence that begins with "it is needed".
    pub why: &'static str,
    /// What happens without it.
    pub severity: Severity,
}

/// All that a connector needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// What every connector gets for its own workers; no role has to say it, but one may deny it.
    pub base: BTreeSet<Acl>,
    /// What the role must say.
    pub of_role: Vec<Need>,
    /// What could not be told, as sentences without a final stop.
    pub notes: Vec<String>,
    /// False for a class of which only the configuration keys of Connect itself were understood.
    pub class_is_known: bool,
}

impl Needs {
    fn add(&mut self, severity: Severity, action: Action, names: Names, why: &'static str) {
        let need = Need {
            action,
            names,
            why,
            severity,
        };
        let same = |other: &&mut Need| other.action == action && other.names == need.names;
        match self.of_role.iter_mut().find(same) {
            Some(other) if other.severity <= severity => {}
            Some(other) => *other = need,
            None => self.of_role.push(need),
        }
    }

    /// A topic that the connector writes, and that someone has to make.
    fn add_written(&mut self, severity: Severity, topic: Names, why: &'static str) {
        self.add(severity, Action::WriteData, topic.clone(), why);
        self.add(
            Severity::Perhaps.max(severity),
            Action::CreateTopic,
            topic.clone(),
            "to make the topic, unless it exists",
        );
        let why = "to look at the topic";
        self.add(Severity::Optional, Action::DescribeTopic, topic, why);
    }

    /// A topic that it reads.
    fn add_read(&mut self, severity: Severity, topic: Names, why: &'static str) {
        self.add(severity, Action::ReadData, topic.clone(), why);
        let why = "to look at the topic";
        self.add(Severity::Optional, Action::DescribeTopic, topic, why);
    }

    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

/// The configuration with blanks and empty values taken away.
impl<'a> NeedsInput<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        let text = self.config.get(key)?.trim();
        (!text.is_empty()).then_some(text)
    }

    fn first_of(&self, keys: &[&str]) -> Option<&'a str> {
        keys.iter().find_map(|key| self.get(key))
    }

    fn is(&self, key: &str, default: bool) -> bool {
        let is = |text: &str| text.eq_ignore_ascii_case("true");
        self.get(key).map_or(default, is)
    }

    fn list(&self, key: &str) -> Vec<&'a str> {
        let items = self.get(key).unwrap_or_default().split(',').map(str::trim);
        items.filter(|item| !item.is_empty()).collect()
    }

    /// Major and minor number of the plugin's version.
    fn release(&self) -> Option<(u32, u32)> {
        let mut numbers = self.version?.split('.').map(|part| part.parse().ok());
        Some((numbers.next()??, numbers.next().flatten().unwrap_or(0)))
    }

    /// Whether servers written for a client of the plugin's own are those of the connector's cluster.
    fn is_own_cluster(&self, servers: Option<&str>) -> bool {
        let set = |text: &str| -> BTreeSet<String> {
            text.split(',')
                .map(|server| server.trim().to_owned())
                .collect()
        };
        servers.is_none_or(|servers| set(servers) == set(self.bootstrap_servers))
    }

    /// Whether what the connector writes may end up in other topics than those it names.
    fn may_reroute(&self) -> bool {
        let transforms = self.list("transforms");
        let mut types = transforms
            .iter()
            .map(|name| self.get(&format!("transforms.{name}.type")));
        types.any(|class| !class.is_some_and(keeps_topics))
    }
}

/// Transforms of Kafka and of Debezium that leave the topic as it is.
fn keeps_topics(class: &str) -> bool {
    const KAFKA: [&str; 14] = [
        "Cast",
        "DropHeaders",
        "ExtractField",
        "Filter",
        "Flatten",
        "HeaderFrom",
        "HoistField",
        "InsertField",
        "InsertHeader",
        "MaskField",
        "ReplaceField",
        "SetSchemaMetadata",
        "TimestampConverter",
        "ValueToKey",
    ];
    let name = |prefix: &str| class.strip_prefix(prefix).unwrap_or_default();
    let of_kafka = name("org.apache.kafka.connect.transforms.");
    KAFKA.contains(&of_kafka.split('$').next().unwrap_or_default())
        || [
            "ExtractNewRecordState",
            "ExtractChangedRecordState",
            "Filter",
            "HeaderToValue",
        ]
        .contains(&name("io.debezium.transforms."))
}

/// Derives what the connector needs.
pub fn needs(input: &NeedsInput<'_>) -> Needs {
    let mut needs = Needs {
        base: base(input),
        class_is_known: true,
        ..Needs::default()
    };
    let cluster = Names::One(CLUSTER_NAME.to_owned());
    let why = "to log in at all: without it nothing else has effect";
    needs.add(Severity::Start, Action::Connect, cluster.clone(), why);
    let why = "to ask which brokers there are";
    needs.add(Severity::Optional, Action::DescribeCluster, cluster, why);
    if input.kind == Some(ClassKind::Sink) {
        of_sink(input, &mut needs);
    } else {
        of_source(input, &mut needs);
    }
    needs
}

fn base(input: &NeedsInput<'_>) -> BTreeSet<Acl> {
    let allow = |resource, pattern, name: String, operation| Acl {
        resource,
        pattern,
        name,
        operation,
        permission: Permission::Allow,
    };
    let literal = |resource, name: &str, operation| {
        allow(resource, Pattern::Literal, name.to_owned(), operation)
    };
    let mut base = BTreeSet::from([literal(
        ResourceType::Group,
        input.group_id,
        Operation::Read,
    )]);
    for topic in input.internal_topics {
        // Connect looks whether the topics are compacted (`TopicAdmin`).
        let operations = [
            Operation::Read,
            Operation::Write,
            Operation::Describe,
            Operation::DescribeConfigs,
        ];
        let of_topic = operations.map(|operation| literal(ResourceType::Topic, topic, operation));
        base.extend(of_topic);
    }
    if input.kind == Some(ClassKind::Sink) {
        let group = format!("connect-{}", input.name);
        // DELETE: an offset is taken back by deleting it from the group (KIP-875).
        let operations = [Operation::Read, Operation::Describe, Operation::Delete];
        base.extend(operations.map(|operation| literal(ResourceType::Group, &group, operation)));
    } else if input.exactly_once {
        // KIP-618: the leader's id, and one for each task, `<group>-<connector>-<task>`.
        let (leader, tasks) = (
            format!("connect-cluster-{}", input.group_id),
            format!("{}-{}-", input.group_id, input.name),
        );
        for operation in [Operation::Write, Operation::Describe] {
            let kind = ResourceType::TransactionalId;
            base.insert(literal(kind, &leader, operation));
            base.insert(allow(kind, Pattern::Prefixed, tasks.clone(), operation));
        }
    }
    base
}

fn of_sink(input: &NeedsInput<'_>, needs: &mut Needs) {
    for topic in input.list("topics") {
        let topic = Names::One(topic.to_owned());
        needs.add_read(Severity::Start, topic, "to read the topic (topics)");
    }
    if let Some(regex) = input.get("topics.regex") {
        match prefix_of_regex(regex) {
            Some(prefix) => {
                let why = "to read the topics (topics.regex): it sees those only that it may read";
                needs.add_read(Severity::Perhaps, Names::Prefix(prefix), why);
            }
            None => needs.note(
                "which topics fit topics.regex is not known before it runs; the connector sees \
                 those only that its role lets it read",
            ),
        }
    }
    if let Some(topic) = input.get("errors.deadletterqueue.topic.name") {
        let why = "to write records that failed (errors.deadletterqueue.topic.name)";
        needs.add_written(Severity::Start, Names::One(topic.to_owned()), why);
    }
}

/// The prefix, for a regular expression that is one and nothing else: `orders\..*`.
fn prefix_of_regex(regex: &str) -> Option<String> {
    let regex = regex.strip_prefix('^').unwrap_or(regex);
    let regex = regex.strip_suffix('$').unwrap_or(regex);
    let prefix = regex.strip_suffix(".*")?;
    plain(prefix)
}

/// The text that a regular expression without alternatives stands for. A bare dot is taken for a
/// dot, as people mean it.
fn plain(regex: &str) -> Option<String> {
    let text = regex.replace("\\.", ".").replace("\\-", "-");
    let is_plain = |c: char| c.is_alphanumeric() || "._-".contains(c);
    text.chars().all(is_plain).then_some(text)
}

const JDBC_SOURCES: [&str; 2] = [
    "io.aiven.connect.jdbc.JdbcSourceConnector",
    "io.confluent.connect.jdbc.JdbcSourceConnector",
];

const ONE_TOPIC_SOURCES: [(&str, &str); 4] = [
    (
        "io.confluent.kafka.connect.datagen.DatagenConnector",
        "kafka.topic",
    ),
    (
        "org.apache.kafka.connect.file.FileStreamSourceConnector",
        "topic",
    ),
    (
        "org.apache.kafka.connect.tools.SchemaSourceConnector",
        "topic",
    ),
    (
        "org.apache.kafka.connect.tools.VerifiableSourceConnector",
        "topic",
    ),
];

fn of_source(input: &NeedsInput<'_>, needs: &mut Needs) {
    const WHY: &str = "to write what it produces";
    let data = if input.may_reroute() {
        needs.note("a transform may send records to other topics than the connector's own");
        Severity::Perhaps
    } else {
        Severity::Start
    };
    let one_topic = ONE_TOPIC_SOURCES
        .iter()
        .find(|(class, _)| *class == input.class);
    if let Some((_, key)) = one_topic {
        if let Some(topic) = input.get(key) {
            needs.add_written(data, Names::One(topic.to_owned()), WHY);
        }
    } else if JDBC_SOURCES.contains(&input.class) {
        let prefix = input.get("topic.prefix").unwrap_or_default().to_owned();
        let names = match input.get("query") {
            Some(_) => Names::One(prefix),
            None => Names::Prefix(prefix),
        };
        needs.add_written(data, names, WHY);
    } else if debezium::is_source(input.class) {
        debezium::add(input, data, needs);
    } else if mirror::is_one(input.class) {
        mirror::add(input, data, needs);
    } else {
        needs.class_is_known = false;
        needs.note(format!(
            "{} is not known here: which topics it writes is taken from topic and topics alone",
            input.class
        ));
        for topic in input.list("topic").into_iter().chain(input.list("topics")) {
            needs.add_written(Severity::Perhaps, Names::One(topic.to_owned()), WHY);
        }
    }
    if let Some(topic) = input.get("offsets.storage.topic") {
        let (topic, why) = (
            Names::One(topic.to_owned()),
            "to keep offsets (offsets.storage.topic)",
        );
        needs.add_written(Severity::Start, topic.clone(), why);
        needs.add_read(Severity::Start, topic, why);
    }
}
