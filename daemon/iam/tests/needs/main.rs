//! What connectors of each class need; what a role lacks for them is in `missing`.

mod missing;

use runnel_api::Arn;
use runnel_api::plugin::ClassKind;
use runnel_iam::{
    Compiled, Context, Names, Needs, NeedsInput, PolicyDocument, Severity, compile, needs,
};
use std::collections::BTreeMap;

const CLUSTER: &str = "arn:aws:kafka:us-east-1:000000000000:cluster/shop/u-1";
const MYSQL: &str = "io.debezium.connector.mysql.MySqlConnector";
const SERVERS: &str = "127.0.0.1:9092";

/// The connector of the announcement, as its article configures it and the daemon completes it.
const SEED: &[(&str, &str)] = &[
    ("connector.class", MYSQL),
    ("tasks.max", "1"),
    ("database.server.name", "ecommerce-server"),
    ("database.include.list", "ecommerce"),
    ("database.history.kafka.topic", "dbhistory.ecommerce"),
    ("database.history.kafka.bootstrap.servers", SERVERS),
    ("include.schema.changes", "true"),
];

struct Case {
    class: &'static str,
    version: Option<&'static str>,
    kind: ClassKind,
    config: BTreeMap<String, String>,
    exactly_once: bool,
}

impl Case {
    fn new(class: &'static str, kind: ClassKind, config: &[(&str, &str)]) -> Self {
        let pairs = config
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Self {
            class,
            version: None,
            kind,
            config: pairs.collect(),
            exactly_once: false,
        }
    }

    fn source(class: &'static str, config: &[(&str, &str)]) -> Self {
        Self::new(class, ClassKind::Source, config)
    }

    fn sink(config: &[(&str, &str)]) -> Self {
        Self::new("org.example.Sink", ClassKind::Sink, config)
    }

    fn version(self, version: &'static str) -> Self {
        Self {
            version: Some(version),
            ..self
        }
    }

    fn seed() -> Self {
        Self::source(MYSQL, SEED).version("1.6.1.Final")
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        self.config.insert(key.to_owned(), value.to_owned());
        self
    }

    fn needs(&self) -> Needs {
        let topics = ["offsets", "configs", "status"].map(|what| format!("__runnel_{what}_orders"));
        needs(&NeedsInput {
            class: self.class,
            version: self.version,
            kind: Some(self.kind),
            name: "orders",
            config: &self.config,
            exactly_once: self.exactly_once,
            group_id: "runnel-orders-1",
            internal_topics: &topics,
            bootstrap_servers: SERVERS,
        })
    }

    /// `Start WriteData orders`; optional ones left out.
    fn lines(&self) -> Vec<String> {
        let needs = self.needs().of_role.into_iter();
        let asked = needs.filter(|need| need.severity != Severity::Optional);
        let mut lines: Vec<String> = asked
            .map(|need| {
                let name = match need.names {
                    Names::One(name) => name,
                    Names::Prefix(prefix) => format!("{prefix}*"),
                };
                format!("{:?} {} {name}", need.severity, need.action.name())
            })
            .collect();
        lines.sort();
        lines
    }
}

fn cluster() -> Arn {
    Arn::parse(CLUSTER).unwrap()
}

fn policies(statements: &[serde_json::Value]) -> BTreeMap<String, PolicyDocument> {
    let text = serde_json::json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    let parsed = PolicyDocument::parse(&text).unwrap_or_else(|problem| panic!("{problem}: {text}"));
    BTreeMap::from([("kafka".to_owned(), parsed)])
}

fn role(statements: &[serde_json::Value]) -> Compiled {
    compile(&policies(statements), &cluster(), &Context::new()).unwrap()
}

fn statement(effect: &str, actions: &str, resources: &[&str]) -> serde_json::Value {
    let actions = actions
        .split(' ')
        .map(|action| format!("kafka-cluster:{action}"));
    let full = |resource: &&str| match *resource {
        "*" => String::from("*"),
        "cluster" => CLUSTER.to_owned(),
        resource => {
            let (kind, name) = resource.split_once('/').unwrap();
            format!("{}{name}", cluster().cluster_resources(kind))
        }
    };
    serde_json::json!({
        "Effect": effect,
        "Action": actions.collect::<Vec<_>>(),
        "Resource": resources.iter().map(full).collect::<Vec<_>>(),
    })
}

/// The first two statements of `examples/seed`: the cluster and the topics, and no group.
fn policy_of_the_article() -> Vec<serde_json::Value> {
    vec![
        statement(
            "Allow",
            "Connect DescribeCluster DescribeClusterDynamicConfiguration",
            &["cluster"],
        ),
        statement(
            "Allow",
            "CreateTopic DescribeTopic DescribeTopicDynamicConfiguration ReadData WriteData",
            &[
                "topic/ecommerce-server",
                "topic/ecommerce-server.*",
                "topic/dbhistory.ecommerce",
            ],
        ),
    ]
}

#[test]
fn the_seed_needs_its_topics_and_a_group_that_no_setting_shows() {
    assert_eq!(
        Case::seed().lines(),
        [
            "Perhaps CreateTopic dbhistory.ecommerce",
            "Perhaps CreateTopic ecommerce-server",
            "Perhaps CreateTopic ecommerce-server.ecommerce.*",
            "Perhaps DescribeClusterDynamicConfiguration kafka-cluster",
            "Restart AlterGroup ecommerce-server-dbhistory",
            "Restart ReadData dbhistory.ecommerce",
            "Start Connect kafka-cluster",
            "Start WriteData dbhistory.ecommerce",
            "Start WriteData ecommerce-server",
            "Start WriteData ecommerce-server.ecommerce.*",
        ]
    );
}

fn cases() -> Vec<Case> {
    let three = |case: Case| case.version("3.4.0.Final");
    let postgres = "io.debezium.connector.postgresql.PostgresConnector";
    let mirror = "org.apache.kafka.connect.mirror.MirrorSourceConnector";
    let prefix = [("topic.prefix", "shop")];
    vec![
        Case::seed(),
        three(Case::source(MYSQL, &prefix))
            .with("schema.history.internal.kafka.topic", "history")
            .with("heartbeat.interval.ms", "1000")
            .with("provide.transaction.metadata", "true")
            .with("signal.enabled.channels", "source,kafka")
            .with("signal.kafka.topic", "signals")
            .with("notification.enabled.channels", "sink")
            .with("notification.sink.topic.name", "notes"),
        three(Case::source(postgres, &prefix)).with("table.include.list", "public.a,public\\.b"),
        Case::source(mirror, &[("source.cluster.alias", "west")]),
        Case::source(
            "io.confluent.connect.jdbc.JdbcSourceConnector",
            &[("topic.prefix", "db-")],
        ),
        Case::source(
            "org.apache.kafka.connect.file.FileStreamSourceConnector",
            &[("topic", "t")],
        ),
        Case::source("org.example.Unknown", &[("topic", "t")]),
        Case::sink(&[
            ("topics", "a, b"),
            ("errors.deadletterqueue.topic.name", "dead"),
        ]),
        Case::sink(&[("topics.regex", "orders\\..*")]),
    ]
}

#[test]
fn debezium_since_2_has_other_names() {
    let case = &cases()[1];
    let lines = case.lines();
    for expected in [
        "Start WriteData shop",
        "Start WriteData shop.*",
        "Start WriteData shop.transaction",
        "Start WriteData __debezium-heartbeat.shop",
        "Start WriteData notes",
        "Start ReadData signals",
        "Start AlterGroup kafka-signal",
        "Restart ReadData history",
        "Restart AlterGroup shop-schemahistory",
    ] {
        assert!(
            lines.iter().any(|line| line == expected),
            "{expected} in {lines:#?}"
        );
    }
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("DynamicConfiguration"))
    );
    let newer = Case {
        version: Some("3.6.1.Final"),
        ..Case::source(MYSQL, &[("topic.prefix", "shop")])
    };
    let newer = newer
        .with("schema.history.internal.kafka.topic", "history")
        .lines();
    assert!(
        !newer.iter().any(|line| line.contains("AlterGroup")),
        "{newer:#?}"
    );
}

#[test]
fn a_history_kept_elsewhere_needs_nothing_here() {
    let file = Case::seed().with(
        "database.history",
        "io.debezium.relational.history.FileDatabaseHistory",
    );
    let other = Case::seed().with("database.history.kafka.bootstrap.servers", "other:9092");
    for case in [file, other] {
        let lines = case.lines();
        assert!(
            !lines.iter().any(|line| line.contains("history")),
            "{lines:#?}"
        );
    }
}

#[test]
fn listed_tables_are_topics_and_patterns_are_not() {
    let lines = cases()[2].lines();
    assert!(
        lines.contains(&"Start WriteData shop.public.a".to_owned()),
        "{lines:#?}"
    );
    assert!(lines.contains(&"Start WriteData shop.public.b".to_owned()));
    assert!(!lines.iter().any(|line| line.ends_with('*')));
    let seed = |tables: &str| Case::seed().with("table.include.list", tables).lines();
    let one = "Start WriteData ecommerce-server.ecommerce.orders".to_owned();
    assert!(seed("ecommerce.orders").contains(&one));
    let all = "Start WriteData ecommerce-server.ecommerce.*".to_owned();
    assert!(seed("ecommerce.(orders|items)").contains(&all));
}

#[test]
fn where_a_transform_may_rename_topics_nothing_is_sure() {
    let routed = |class: &str| {
        let case = Case::seed()
            .with("transforms", "t")
            .with("transforms.t.type", class);
        let lines = case.lines();
        lines.contains(&"Start WriteData ecommerce-server.ecommerce.*".to_owned())
    };
    assert!(routed("io.debezium.transforms.ExtractNewRecordState"));
    assert!(routed(
        "org.apache.kafka.connect.transforms.ReplaceField$Value"
    ));
    assert!(!routed("org.apache.kafka.connect.transforms.RegexRouter"));
    assert!(!routed("io.debezium.transforms.outbox.EventRouter"));
}

fn base_of(case: &Case) -> Vec<String> {
    case.needs().base.iter().map(ToString::to_string).collect()
}

#[test]
fn every_connector_has_its_group_and_topics_and_no_one_elses() {
    let mut case = Case::source("org.example.Unknown", &[]);
    let base = base_of(&case);
    assert_eq!(base.len(), 13, "{base:#?}");
    assert!(base.contains(&"ALLOW READ group runnel-orders-1".to_owned()));
    assert!(base.contains(&"ALLOW WRITE topic __runnel_offsets_orders".to_owned()));
    case.exactly_once = true;
    let more = base_of(&case);
    let ids: Vec<_> = more.iter().filter(|line| !base.contains(line)).collect();
    assert_eq!(
        ids,
        [
            "ALLOW WRITE transactional-id connect-cluster-runnel-orders-1",
            "ALLOW DESCRIBE transactional-id connect-cluster-runnel-orders-1",
            "ALLOW WRITE transactional-id runnel-orders-1-orders-*",
            "ALLOW DESCRIBE transactional-id runnel-orders-1-orders-*",
        ]
    );
    let sink = base_of(&Case::sink(&[("topics", "a")]));
    assert!(sink.contains(&"ALLOW READ group connect-orders".to_owned()));
}
