//! What a role lacks, and the words for it.

use super::{Case, MYSQL, cases, cluster, policies, policy_of_the_article, role, statement};
use proptest::prelude::*;
use runnel_api::plugin::ClassKind;
use runnel_iam::needs::Cause;
use runnel_iam::{Action, Context, compile, missing, report, unneeded};

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
