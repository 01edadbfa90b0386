//! Debezium's source connectors, 1.6 to 3.7. Up to 1.9 the keys are `database.server.name` and
//! `database.history.*`, since 2.0 `topic.prefix` and `schema.history.internal.*`.

use super::{Needs, NeedsInput, Severity, plain};
use crate::acl::CLUSTER_NAME;
use crate::action::Action;
use crate::names::Names;

const PACKAGE: &str = "io.debezium.connector.";
/// Of these, the ones that keep a schema history.
const WITH_HISTORY: [&str; 6] = ["db2", "informix", "mariadb", "mysql", "oracle", "sqlserver"];

/// The word in the package: `mysql`.
fn database(class: &str) -> Option<&str> {
    class.strip_prefix(PACKAGE)?.split('.').next()
}

pub fn is_source(class: &str) -> bool {
    database(class).is_some_and(|database| database != "jdbc")
}

/// What the names of topics are made from.
struct Naming<'a> {
    /// Keys as they were before 2.0.
    old: bool,
    prefix: &'a str,
    delimiter: &'a str,
}

impl<'a> Naming<'a> {
    fn of(input: &NeedsInput<'a>) -> Option<Self> {
        let (old, new) = (
            input.first_of(&["database.server.name", "mongodb.name"]),
            input.get("topic.prefix"),
        );
        let is_old = match input.release() {
            Some((major, _)) => major < 2,
            None => old.is_some() && new.is_none(),
        };
        let prefix = if is_old { old.or(new) } else { new.or(old) };
        Some(Self {
            old: is_old,
            prefix: prefix?,
            delimiter: input.get("topic.delimiter").unwrap_or("."),
        })
    }

    /// `<prefix>.<rest>`, with what no topic's name may hold as `_`.
    fn join(&self, rest: &str) -> String {
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let name = format!("{}{}{rest}", self.prefix, self.delimiter);
        name.chars()
            .map(|c| if legal(c) { c } else { '_' })
            .collect()
    }
}

pub fn add(input: &NeedsInput<'_>, data: Severity, needs: &mut Needs) {
    let Some(naming) = Naming::of(input) else {
        needs.note("the prefix of its topics is not set: which ones it writes is not known");
        return;
    };
    data_topics(input, &naming, data, needs);
    side_topics(input, &naming, data, needs);
    signals(input, &naming, needs);
    let has_history = database(input.class).is_some_and(|db| WITH_HISTORY.contains(&db));
    if !has_history {
        return;
    }
    if input.is("include.schema.changes", true) {
        let why = "to write changes of the schema (include.schema.changes)";
        needs.add_written(data, Names::One(naming.prefix.to_owned()), why);
    }
    history(input, &naming, needs);
}

/// One prefix for everything, or one topic or prefix for each that is listed by its plain name.
fn data_topics(input: &NeedsInput<'_>, naming: &Naming<'_>, data: Severity, needs: &mut Needs) {
    const WHY: &str = "to write change events";
    let strategy = input.get("topic.naming.strategy").unwrap_or_default();
    let known = ["DefaultTopicNamingStrategy", "SchemaTopicNamingStrategy"];
    let severity = if strategy.is_empty() || known.iter().any(|known| strategy.ends_with(known)) {
        data
    } else {
        needs.note("which topics topic.naming.strategy makes is not known");
        Severity::Perhaps
    };
    // How many parts a table's entry has, and the lists of what holds tables.
    let (parts, holders): (usize, &[&str]) = match database(input.class) {
        Some("mysql" | "mariadb") => (2, &["database.include.list", "database.whitelist"]),
        Some("postgresql") => (2, &["schema.include.list", "schema.whitelist"]),
        _ => (0, &[]),
    };
    let tables = listed(input, &["table.include.list", "table.whitelist"], parts);
    let holders = listed(input, holders, 1);
    let all: Vec<Names> = match (tables, holders) {
        (Some(tables), _) if parts > 0 => {
            let topics = tables.iter().map(|table| Names::One(naming.join(table)));
            topics.collect()
        }
        (_, Some(holders)) => {
            let of = |holder: &String| naming.join(&format!("{holder}{}", naming.delimiter));
            holders
                .iter()
                .map(|holder| Names::Prefix(of(holder)))
                .collect()
        }
        _ => vec![Names::Prefix(naming.join(""))],
    };
    for names in all {
        needs.add_written(severity, names, WHY);
    }
}

/// The entries of a list of regular expressions, when all are plain names of so many parts.
fn listed(input: &NeedsInput<'_>, keys: &[&str], parts: usize) -> Option<Vec<String>> {
    let key = keys.iter().find(|key| input.get(key).is_some())?;
    let name = |entry: &&str| plain(entry).filter(|name| name.split('.').count() == parts);
    input.list(key).iter().map(name).collect()
}

fn side_topics(input: &NeedsInput<'_>, naming: &Naming<'_>, data: Severity, needs: &mut Needs) {
    let interval = input.get("heartbeat.interval.ms").unwrap_or("0");
    if interval.parse::<u64>().is_ok_and(|interval| interval > 0) {
        let prefix = input
            .first_of(&["topic.heartbeat.prefix", "heartbeat.topics.prefix"])
            .unwrap_or("__debezium-heartbeat");
        let made = || format!("{prefix}{}{}", naming.delimiter, naming.prefix);
        let topic = input
            .get("topic.heartbeat.name")
            .map_or_else(made, str::to_owned);
        let why = "to write heartbeats (heartbeat.interval.ms)";
        needs.add_written(data, Names::One(topic), why);
    }
    if input.is("provide.transaction.metadata", false) {
        let topic = if naming.old {
            let pattern = input.get("transaction.topic");
            let pattern = pattern.unwrap_or("${database.server.name}.transaction");
            pattern.replace("${database.server.name}", naming.prefix)
        } else {
            naming.join(input.get("topic.transaction").unwrap_or("transaction"))
        };
        let why = "to write where transactions begin and end (provide.transaction.metadata)";
        needs.add_written(data, Names::One(topic), why);
    }
    let notified = input.get("notification.sink.topic.name");
    if let Some(topic) = notified.filter(|_| {
        input
            .list("notification.enabled.channels")
            .contains(&"sink")
    }) {
        let why = "to write notifications (notification.sink.topic.name)";
        needs.add_written(data, Names::One(topic.to_owned()), why);
    }
}

/// The signal channel over Kafka: a consumer of the plugin's own.
fn signals(input: &NeedsInput<'_>, naming: &Naming<'_>, needs: &mut Needs) {
    let channels = input.list("signal.enabled.channels");
    let topic = input.get("signal.kafka.topic");
    let enabled = channels.contains(&"kafka") || (channels.is_empty() && topic.is_some());
    let servers = input.get("signal.kafka.bootstrap.servers");
    if !enabled || !input.is_own_cluster(servers) {
        return;
    }
    let made = || format!("{}-signal", naming.prefix);
    let topic = Names::One(topic.map_or_else(made, str::to_owned));
    needs.add_read(
        Severity::Start,
        topic,
        "to read signals (signal.kafka.topic)",
    );
    let group = input
        .first_of(&["signal.consumer.group.id", "signal.kafka.groupId"])
        .unwrap_or("kafka-signal");
    let group = Names::One(group.to_owned());
    let why = "to keep its place among the signals (signal.kafka.groupId)";
    needs.add(Severity::Start, Action::AlterGroup, group.clone(), why);
    needs.add(Severity::Optional, Action::DescribeGroup, group, why);
}

fn history(input: &NeedsInput<'_>, naming: &Naming<'_>, needs: &mut Needs) {
    let key = if naming.old {
        "database.history"
    } else {
        "schema.history.internal"
    };
    let of = |rest: &str| input.get(&format!("{key}.{rest}"));
    let elsewhere = input
        .get(key)
        .is_some_and(|class| !class.contains(".Kafka"));
    if elsewhere || !input.is_own_cluster(of("kafka.bootstrap.servers")) {
        return;
    }
    if let Some(topic) = of("kafka.topic") {
        let topic = Names::One(topic.to_owned());
        needs.add_written(
            Severity::Start,
            topic.clone(),
            "to write the schema history",
        );
        let why = "to read the schema history again when the connector restarts";
        needs.add_read(Severity::Restart, topic.clone(), why);
        let why = "to check how the history's topic is kept; without it that is only logged";
        let action = Action::DescribeTopicDynamicConfiguration;
        needs.add(Severity::Optional, action, topic, why);
    }
    let suffix = if naming.old {
        "dbhistory"
    } else {
        "schemahistory"
    };
    let made = || format!("{}-{suffix}", naming.prefix);
    let group = of("consumer.group.id").map_or_else(made, str::to_owned);
    let group = Names::One(group);
    let release = input.release();
    // Since 3.6 the history's partition is assigned, and no group joined.
    let joins = if release.is_some_and(|release| release >= (3, 6)) {
        Severity::Optional
    } else {
        Severity::Restart
    };
    let why = "to read the schema history again when the connector restarts: Debezium joins this \
               group for it, which no setting shows";
    needs.add(joins, Action::AlterGroup, group.clone(), why);
    needs.add(Severity::Optional, Action::DescribeGroup, group, why);
    // Before 1.9 the topic could not be made without naming a replication factor.
    let asks = match release {
        Some(release) if release < (1, 9) => Severity::Perhaps,
        None if naming.old => Severity::Perhaps,
        _ => Severity::Optional,
    };
    let why = "to read the brokers' default replication factor, with which the schema history's \
               topic is made, unless it exists";
    let cluster = Names::One(CLUSTER_NAME.to_owned());
    needs.add(
        asks,
        Action::DescribeClusterDynamicConfiguration,
        cluster,
        why,
    );
}
