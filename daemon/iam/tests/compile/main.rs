//! Policies compiled to ACLs: by example here, against a model in `model`.

mod model;

use runnel_api::role::RoleSpec;
use runnel_api::{Arn, ErrorCode, Problem};
use runnel_iam::compile::{action_of, operation};
use runnel_iam::{
    Action, Compiled, ConditionKey, Context, PolicyDocument, check_role, compile, expressible,
};
use std::collections::{BTreeMap, BTreeSet};

const CLUSTER: &str = "arn:aws:kafka:us-east-1:000000000000:cluster/shop/u-1";

fn cluster() -> Arn {
    Arn::parse(CLUSTER).unwrap()
}

fn tls() -> Context {
    Context::from([(ConditionKey::SecureTransport, "true".to_owned())])
}

type Policies = BTreeMap<String, PolicyDocument>;

fn policies(statements: &[String]) -> Policies {
    let text = format!(r#"{{"Statement":[{}]}}"#, statements.join(","));
    let parsed = PolicyDocument::parse(&text).unwrap_or_else(|problem| panic!("{problem}: {text}"));
    BTreeMap::from([("kafka".to_owned(), parsed)])
}

fn statement(effect: &str, actions: &str, resource: &str) -> String {
    let actions: Vec<String> = actions
        .split_whitespace()
        .map(|action| format!("\"kafka-cluster:{action}\""))
        .collect();
    let (actions, arn) = (actions.join(","), full(resource));
    format!(r#"{{"Effect":"{effect}","Action":[{actions}],"Resource":"{arn}"}}"#)
}

fn full(resource: &str) -> String {
    match resource {
        "*" => resource.to_owned(),
        resource if resource.starts_with("arn:") => resource.to_owned(),
        resource => format!("arn:aws:kafka:us-east-1:000000000000:{resource}"),
    }
}

fn allow(actions: &str, resource: &str) -> String {
    statement("Allow", actions, resource)
}

fn deny(actions: &str, resource: &str) -> String {
    statement("Deny", actions, resource)
}

fn connect() -> String {
    allow("Connect", "*")
}

fn compiled(statements: &[String]) -> Result<Compiled, Vec<Problem>> {
    compile(&policies(statements), &cluster(), &tls())
}

fn lines(statements: &[String]) -> Vec<String> {
    let compiled = compiled(statements).unwrap_or_else(|problems| panic!("{problems:?}"));
    compiled.acls.iter().map(ToString::to_string).collect()
}

fn refused(statements: &[String]) -> Problem {
    let problems = compiled(statements).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].code, ErrorCode::InvalidPolicy);
    assert_eq!(problems[0].field.as_deref(), Some("policies[\"kafka\"]"));
    problems[0].clone()
}

fn check_says(problem: &Problem, parts: &[&str]) {
    let hint = problem.hint.as_deref().unwrap_or_default();
    for part in parts {
        let said = format!("{} / {hint}", problem.message);
        assert!(said.contains(part), "{said}\nwithout: {part}");
    }
}

#[test]
fn every_action_but_connect_is_one_operation_and_back() {
    for action in Action::ALL {
        match operation(*action) {
            None => assert_eq!(*action, Action::Connect),
            Some(operation) => {
                assert_eq!(action_of(action.resource_type(), operation), Some(*action));
            }
        }
    }
}

#[test]
fn a_policy_becomes_a_readable_list() {
    assert_eq!(
        lines(&[
            allow(
                "Connect DescribeCluster DescribeClusterDynamicConfiguration",
                "cluster/shop/u-1"
            ),
            allow("ReadData WriteData CreateTopic", "topic/shop/u-1/orders.*"),
            allow("ReadData", "topic/shop/u-1/orders.eu"),
            allow("AlterGroup", "group/shop/*"),
            deny("DeleteTopic", "*"),
            allow("ReadData", "topic/billing/u-2/invoices"),
        ]),
        [
            "ALLOW DESCRIBE cluster kafka-cluster",
            "ALLOW DESCRIBE_CONFIGS cluster kafka-cluster",
            "DENY DELETE topic *",
            "ALLOW READ topic orders.*",
            "ALLOW WRITE topic orders.*",
            "ALLOW CREATE topic orders.*",
            "ALLOW READ group *",
        ]
    );
}

#[test]
fn clusters_may_be_written_with_wildcards() {
    let of = |resource: &str| lines(&[connect(), allow("ReadData", resource)]);
    let orders = ["ALLOW READ topic orders"];
    assert_eq!(of("arn:aws:kafka:*:*:topic/*/*/orders"), orders);
    assert_eq!(of("arn:*:kafka:*:*:*/shop/*/orders"), orders);
    assert_eq!(of("topic/sho?/u-?/orders"), orders);
    assert_eq!(of("topic/shop*"), ["ALLOW READ topic *"]);
    assert_eq!(of("*"), ["ALLOW READ topic *"]);
    let none: [&str; 0] = [];
    assert_eq!(of("arn:aws:kafka:eu-west-1:*:topic/*"), none);
    assert_eq!(of("topic/shop/u-2/*"), none);
    assert_eq!(of("topic/shopping/*"), none);
}

#[test]
fn what_acls_cannot_name_is_refused_with_what_to_write() {
    let of = |actions: &str, resource: &str| refused(&[connect(), allow(actions, resource)]);
    check_says(
        &of("ReadData", "topic/shop/u-1/or*s"),
        &[
            "Statement[1], Resource",
            "topics like \"or*s\"",
            "\"or*\", which is more",
        ],
    );
    check_says(&of("ReadData", "topic/shop/u-1/order?"), &["\"order?\""]);
    check_says(&of("ReadData", "topic/*-events"), &["\"*-events\""]);
    // A statement about all types is refused for those that it cannot name.
    check_says(&of("*", "topic/shop/u-1/a*b"), &["topics like \"a*b\""]);
    check_says(
        &of("AlterGroup", "group/*/*/orders"),
        &["reaches over /", "\"x/orders\"", "group_arn"],
    );
    check_says(
        &refused(&[connect(), deny("ReadData", "topic/*/*/a*b")]),
        &["\"a*b\""],
    );
    let not = allow("ReadData", "topic/shop/u-1/a").replace("Resource", "NotResource");
    check_says(&refused(&[connect(), not]), &["NotResource", "Effect Deny"]);
}

fn under(condition: &str, statement: &str) -> String {
    let end = format!(r#","Condition":{condition}}}"#);
    format!("{}{end}", statement.strip_suffix('}').unwrap())
}

#[test]
fn a_condition_is_decided_when_it_is_the_same_for_every_request() {
    let over = |value: &str| format!(r#"{{"Bool":{{"aws:SecureTransport":"{value}"}}}}"#);
    let read = allow("ReadData", "topic/shop/u-1/a");
    let deny_plain = under(&over("false"), &deny("*", "*"));
    let lines = lines(&[connect(), under(&over("true"), &read), deny_plain.clone()]);
    assert_eq!(lines, ["ALLOW READ topic a"]);
    let statements = policies(&[connect(), read.clone(), deny_plain]);
    let unknown = compile(&statements, &cluster(), &Context::new()).unwrap_err();
    check_says(
        &unknown[0],
        &["Statement[2], Condition", "aws:SecureTransport"],
    );
    let from = under(r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, &read);
    check_says(
        &refused(&[connect(), from]),
        &["aws:SourceIp", "at each request"],
    );
}

#[test]
fn without_connect_there_is_nothing() {
    let read = allow("ReadData", "topic/shop/u-1/a");
    for statements in [
        vec![read.clone()],
        vec![read.clone(), connect(), deny("Connect", "cluster/shop/*")],
        vec![read, allow("Connect", "cluster/billing/u-2")],
    ] {
        let compiled = compiled(&statements).unwrap();
        assert_eq!(compiled.acls, BTreeSet::new());
        assert!(
            compiled.warnings[0]
                .message
                .contains("kafka-cluster:Connect")
        );
    }
}

#[test]
fn the_right_to_change_acls_is_remarked() {
    let alter = allow("Connect AlterCluster", "cluster/shop/u-1");
    let compiled = compiled(&[alter]).unwrap();
    assert_eq!(compiled.acls.len(), 1);
    assert!(compiled.warnings[0].message.contains("change ACLs"));
}

#[test]
fn a_denied_action_takes_what_it_would_imply_with_it() {
    let all = allow("Connect ReadData", "*");
    let secret = |actions: &str| deny(actions, "topic/shop/u-1/secret*");
    assert_eq!(
        lines(&[all.clone(), secret("ReadData")]),
        [
            "ALLOW READ topic *",
            "DENY READ topic secret*",
            "DENY DESCRIBE topic secret*"
        ]
    );
    let describe = allow("DescribeTopic", "topic/shop/u-1/*");
    assert_eq!(
        lines(&[all.clone(), secret("ReadData"), describe]),
        [
            "ALLOW READ topic *",
            "ALLOW DESCRIBE topic *",
            "DENY READ topic secret*"
        ]
    );
    let only_one = allow("DescribeTopic", "topic/shop/u-1/secret-plan");
    check_says(
        &refused(&[all, secret("ReadData"), only_one]),
        &[
            "DESCRIBE from topic \"secret*\"",
            "\"secret-plan\"",
            "DescribeTopic",
        ],
    );
}

#[test]
fn a_role_is_refused_for_what_no_cluster_could_express() {
    let check = |statement: &str| {
        let text = format!(r#"{{"Statement":[{statement}]}}"#);
        let spec = RoleSpec {
            assume_role_policy: None,
            policies: BTreeMap::from([("kafka".to_owned(), text)]),
        };
        let problems = expressible(&spec);
        assert_eq!(check_role(&spec).problems, problems);
        problems
            .iter()
            .map(|p| p.message.clone())
            .collect::<Vec<_>>()
    };
    for fine in [
        "*",
        "topic/*",
        "topic/*/*/a",
        "topic/a*/b",
        "topic/x/*/a*",
        "topic/shop*",
    ] {
        assert_eq!(check(&allow("ReadData", fine)), [""; 0], "{fine}");
    }
    let tls = under(
        r#"{"Bool":{"aws:SecureTransport":"true"}}"#,
        &allow("*", "*"),
    );
    assert_eq!(check(&tls), [""; 0]);
    for bad in [
        "topic/x/y/a*b",
        "topic/*b",
        "topic/*/*/a?",
        "*/x/y/?",
        "topic/*/a*b",
    ] {
        assert_eq!(check(&allow("ReadData", bad)).len(), 1, "{bad}");
    }
    assert_eq!(
        check(&allow("*", "*").replace("Resource", "NotResource")).len(),
        1
    );
    let from = under(r#"{"IpAddress":{"aws:SourceIp":"::1"}}"#, &allow("*", "*"));
    assert_eq!(check(&from).len(), 1);
}

#[test]
fn a_pattern_of_any_length_costs_little() {
    for wild in ["*".repeat(9_000), "*a".repeat(4_500), "?*".repeat(4_500)] {
        let _ = compiled(&[connect(), allow("*", &format!("topic/{wild}"))]);
        let _ = compiled(&[connect(), allow("*", &format!("*/{wild}"))]);
    }
}
