//! What connectors of each class need, and what a role lacks for them.

use proptest::prelude::*;
use runnel_api::Arn;
use runnel_api::plugin::ClassKind;
use runnel_iam::needs::Cause;
use runnel_iam::{
    Action, Compiled, Context, Names, Needs, NeedsInput, PolicyDocument, Severity, compile,
    missing, needs, report, unneeded,
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

#[test]
fn with_the_articles_policy_the_group_is_missing_and_nothing_else() {
    let missing = missing(&Case::seed().needs(), &role(&policy_of_the_article()));
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert_eq!(missing[0].need.action, Action::AlterGroup);
    let report = report(&missing, &cluster());
    assert_eq!(report.warnings, []);
    let problem = &report.problems[0];
    assert_eq!(
        problem.message,
        "the role does not allow kafka-cluster:AlterGroup on group \"ecommerce-server-dbhistory\""
    );
    let detail = problem.detail.as_deref().unwrap();
    assert!(
        detail.contains("the first start works and a restart fails"),
        "{detail}"
    );
    assert_eq!(
        problem.hint.as_deref().unwrap(),
        "add to Statement in a policy of the role: {\"Action\":[\"kafka-cluster:DescribeGroup\",\
         \"kafka-cluster:AlterGroup\"],\"Effect\":\"Allow\",\"Resource\":\"arn:aws:kafka:us-east-1:\
         000000000000:group/shop/u-1/ecommerce-server-dbhistory\"}"
    );
}

#[test]
fn the_example_of_the_seed_lacks_nothing_and_has_nothing_idle() {
    let mut statements = policy_of_the_article();
    let group = ["group/ecommerce-server-dbhistory"];
    statements.push(statement("Allow", "DescribeGroup AlterGroup", &group));
    let needs = Case::seed().needs();
    assert_eq!(missing(&needs, &role(&statements)), []);
    let idle = |statements: &[serde_json::Value]| {
        unneeded(&needs, &policies(statements), &cluster(), &Context::new())
    };
    assert_eq!(idle(&statements), []);
    statements.push(statement(
        "Allow",
        "DeleteTopic",
        &["topic/ecommerce-server.*"],
    ));
    let warnings = idle(&statements);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].message.starts_with("Statement[3] "),
        "{}",
        warnings[0].message
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

/// The JSON in a hint.
fn pasted(text: &str) -> serde_json::Value {
    let start = text.find("{\"").unwrap_or_else(|| panic!("{text}"));
    serde_json::from_str(&text[start..]).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_statements_to_paste_are_all_that_is_missing() {
    for case in cases() {
        let needs = case.needs();
        let all = report(
            &missing(
                &needs,
                &role(&[statement("Deny", "DeleteGroup", &["group/x"])]),
            ),
            &cluster(),
        );
        let problems = all
            .problems
            .iter()
            .map(|problem| problem.hint.clone().unwrap());
        let warnings = all
            .warnings
            .iter()
            .map(|warning| warning.detail.clone().unwrap());
        let statements: Vec<_> = problems.chain(warnings).map(|text| pasted(&text)).collect();
        let role = role(&statements);
        assert_eq!(missing(&needs, &role), [], "{}", case.class);
        assert_eq!(role.warnings, []);
        let policies = policies(&statements);
        assert_eq!(unneeded(&needs, &policies, &cluster(), &Context::new()), []);
    }
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

#[test]
fn a_deny_shows_as_one_and_reaches_the_base_too() {
    let mut statements = vec![statement("Allow", "*", &["*"])];
    statements.push(statement(
        "Deny",
        "ReadData WriteData",
        &["topic/dbhistory.*"],
    ));
    statements.push(statement("Deny", "AlterGroup", &["group/runnel-*"]));
    let missing = missing(&Case::seed().needs(), &role(&statements));
    let all: Vec<_> = missing.iter().map(|m| (m.need.action, m.cause)).collect();
    assert_eq!(
        all,
        [
            (Action::WriteData, Cause::Denied),
            (Action::ReadData, Cause::Denied),
            (Action::AlterGroup, Cause::Denied),
        ]
    );
    let report = report(&missing, &cluster());
    assert_eq!(report.problems.len(), 2);
    for problem in &report.problems {
        assert!(problem.message.starts_with("the role denies "), "{problem}");
        assert!(problem.hint.as_deref().unwrap().contains("Effect Deny"));
    }
}

#[test]
fn a_part_of_a_prefix_may_be_enough() {
    let mut statements = policy_of_the_article();
    statements[1] = statement(
        "Allow",
        "CreateTopic ReadData WriteData",
        &[
            "topic/ecommerce-server",
            "topic/ecommerce-server.ecommerce.orders",
            "topic/dbhistory.ecommerce",
        ],
    );
    statements.push(statement("Allow", "AlterGroup", &["group/*"]));
    let missing = missing(&Case::seed().needs(), &role(&statements));
    assert!(
        missing.iter().all(|one| one.cause == Cause::Partly),
        "{missing:?}"
    );
    let report = report(&missing, &cluster());
    assert_eq!(report.problems, []);
    assert_eq!(report.warnings.len(), 1);
    assert!(report.warnings[0].message.starts_with("the role may lack"));
}

#[test]
fn a_neighbours_name_is_not_enough() {
    let sink = Case::sink(&[("topics", "orders2")]);
    let granted = |resource: &str| {
        let statements = [
            statement("Allow", "Connect", &["cluster"]),
            statement("Allow", "ReadData", &[resource]),
        ];
        missing(&sink.needs(), &role(&statements)).is_empty()
    };
    assert!(!granted("topic/orders"));
    assert!(granted("topic/orders*"));
    assert!(granted("topic/orders2"));
    assert!(!granted("topic/orders2.*"));
}

#[test]
fn without_connect_only_that_is_named_beside_what_is_missing() {
    let mut statements = policy_of_the_article();
    statements[0] = statement("Allow", "DescribeClusterDynamicConfiguration", &["cluster"]);
    statements.push(statement("Allow", "AlterGroup", &["group/*"]));
    let missing = missing(&Case::seed().needs(), &role(&statements));
    let actions: Vec<_> = missing.iter().map(|one| one.need.action).collect();
    assert_eq!(actions, [Action::Connect]);
}

/// Keys that are looked at, and some values that people write.
fn any_config() -> impl Strategy<Value = Vec<(String, String)>> {
    let key = prop::sample::select(vec![
        "topic.prefix",
        "database.server.name",
        "topic.delimiter",
        "database.include.list",
        "table.include.list",
        "schema.include.list",
        "include.schema.changes",
        "topics",
        "topics.regex",
        "topic",
        "heartbeat.interval.ms",
        "topic.heartbeat.name",
        "transforms",
        "transforms.a.type",
        "topic.naming.strategy",
        "provide.transaction.metadata",
        "transaction.topic",
        "signal.kafka.topic",
        "signal.enabled.channels",
        "source.cluster.alias",
        "replication.policy.class",
        "schema.history.internal.kafka.topic",
        "query",
        "database.history.kafka.topic",
        "errors.deadletterqueue.topic.name",
        "offsets.storage.topic",
    ]);
    let value = prop_oneof![
        3 => "[a-c.*,]{0,6}",
        1 => "(true|1000|kafka|a\\.b|\\$\\{a:b\\})",
        1 => any::<String>(),
    ];
    prop::collection::vec((key.prop_map(str::to_owned), value), 0..8)
}

proptest! {
    #[test]
    fn whatever_the_configuration_says_the_statements_to_paste_are_policies(
        config in any_config(),
        class in prop::sample::select(vec![
            MYSQL,
            "io.debezium.connector.postgresql.PostgresConnector",
            "org.apache.kafka.connect.mirror.MirrorSourceConnector",
            "io.confluent.connect.jdbc.JdbcSourceConnector",
            "org.example.Unknown",
        ]),
        kind in prop::sample::select(vec![ClassKind::Source, ClassKind::Sink]),
        version in prop::sample::select(vec![None, Some("1.6.1.Final"), Some("3.6.1.Final"), Some("x")]),
    ) {
        let config: Vec<(&str, &str)> = config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let case = Case { version, ..Case::new(class, kind, &config) };
        let none = role(&[statement("Deny", "DeleteGroup", &["group/x"])]);
        let missing = missing(&case.needs(), &none);
        let report = report(&missing, &cluster());
        let hints = report.problems.iter().filter_map(|problem| problem.hint.clone());
        let details = report.warnings.iter().filter_map(|warning| warning.detail.clone());
        for text in hints.chain(details) {
            match text.find("{\"Action\"") {
                Some(start) => {
                    let statement = serde_json::from_str(&text[start..]).unwrap();
                    prop_assert!(compile(&policies(&[statement]), &cluster(), &Context::new()).is_ok());
                }
                None => prop_assert!(text.contains("no policy can name it"), "{text}"),
            }
        }
    }
}
