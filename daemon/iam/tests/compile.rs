//! Policies compiled to ACLs, against a naive model of Kafka's authorizer and the policies' own
//! decision.

use proptest::prelude::*;
use runnel_api::role::RoleSpec;
use runnel_api::{Arn, ErrorCode, Problem};
use runnel_iam::compile::{action_of, operation};
use runnel_iam::{
    Acl, Action, CLUSTER_NAME, Compiled, ConditionKey, Context, Decision, Operation, Pattern,
    Permission, PolicyDocument, ResourceType, check_role, compile, evaluate, expressible,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

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

// --- the model -----------------------------------------------------------------------------------

/// A request to the authorizer.
#[derive(Clone, Debug)]
struct Request {
    resource: ResourceType,
    name: String,
    operation: Operation,
}

/// Kafka's authorizer as simply as it can be said (`StandardAuthorizer`, one principal, any host).
fn authorizes(acls: &BTreeSet<Acl>, request: &Request) -> bool {
    use Operation::{Alter, AlterConfigs, Delete, Describe, DescribeConfigs, Read, Write};
    let about = |acl: &&Acl| {
        acl.resource == request.resource
            && match acl.pattern {
                Pattern::Literal => acl.name == "*" || acl.name == request.name,
                Pattern::Prefixed => request.name.starts_with(&acl.name),
            }
    };
    let mut denies = acls.iter().filter(|acl| acl.permission == Permission::Deny);
    if denies.any(|acl| about(&acl) && acl.operation == request.operation) {
        return false;
    }
    let sufficient: &[Operation] = match request.operation {
        Describe => &[Describe, Read, Write, Delete, Alter],
        DescribeConfigs => &[DescribeConfigs, AlterConfigs],
        _ => std::slice::from_ref(&request.operation),
    };
    let mut allows = acls
        .iter()
        .filter(|acl| acl.permission == Permission::Allow);
    allows.any(|acl| about(&acl) && sufficient.contains(&acl.operation))
}

/// The rule at the head of `compile`, by `evaluate` alone.
fn policies_allow(documents: &[PolicyDocument], request: &Request) -> bool {
    use Operation::{Alter, AlterConfigs, Delete, Describe, DescribeConfigs, Read, Write};
    let on = |name: &str, action: Action| {
        let arn = match request.resource {
            ResourceType::Cluster => CLUSTER.to_owned(),
            other => format!("{}{name}", cluster().cluster_resources(other.as_str())),
        };
        evaluate(documents, action, &arn, &tls())
    };
    if !evaluate(documents, Action::Connect, CLUSTER, &tls()).is_allowed() {
        return false;
    }
    let Some(own) = action_of(request.resource, request.operation) else {
        return false;
    };
    let decision = on(&request.name, own);
    if matches!(decision, Decision::Denied { .. }) {
        return false;
    }
    let implying: &[Operation] = match request.operation {
        Describe => &[Read, Write, Delete, Alter],
        DescribeConfigs => &[AlterConfigs],
        _ => &[],
    };
    let more = implying
        .iter()
        .filter_map(|operation| action_of(request.resource, *operation));
    decision.is_allowed() || more.into_iter().any(|a| on(&request.name, a).is_allowed())
}

static REQUESTS: LazyLock<Vec<Request>> = LazyLock::new(requests);

/// Every operation on every name over a small alphabet, and on some that patterns are likely to hit
/// by mistake.
fn requests() -> Vec<Request> {
    let mut names: Vec<String> = vec![String::new()];
    for _ in 0..3 {
        let longer: Vec<String> = names
            .iter()
            .flat_map(|name| ["a", "b", "."].map(|c| format!("{name}{c}")))
            .collect();
        names.extend(longer);
    }
    names.retain(|name| !name.is_empty());
    names.extend(["aaaaa", "u-1", "shop"].map(str::to_owned));
    let strange = ["a/b", "x/a", "shop/u-1/a", "/a", "ab/", "é"].map(str::to_owned);
    let mut requests = Vec::new();
    for action in Action::ALL {
        let Some(operation) = operation(*action) else {
            continue;
        };
        let resource = action.resource_type();
        let of_type: Vec<String> = match resource {
            ResourceType::Cluster => vec![CLUSTER_NAME.to_owned()],
            ResourceType::Topic => names.clone(),
            _ => names.iter().chain(&strange).cloned().collect(),
        };
        requests.extend(of_type.into_iter().map(|name| Request {
            resource,
            name,
            operation,
        }));
    }
    requests
}

fn any_resource() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec!["topic", "topic", "group", "transactional-id", "*"]);
    let path = prop::sample::select(vec![
        "shop/u-1/",
        "shop/u-1/",
        "shop/u-1/",
        "shop/*/",
        "*/*/",
        "sh?p/u-1/",
        "other/u-2/",
        "shop/",
    ]);
    let name = prop_oneof![
        8 => "[ab.]{1,3}",
        8 => "[ab.]{0,2}\\*",
        1 => "[ab.*?]{1,4}",
        1 => Just("a/b".to_owned()),
    ];
    prop_oneof![
        1 => Just("*".to_owned()),
        1 => Just(CLUSTER.to_owned()),
        1 => Just("arn:aws:kafka:*:*:cluster/shop*".to_owned()),
        8 => (kind, path, name).prop_map(|(k, p, n)| full(&format!("{k}/{p}{n}"))),
    ]
}

fn any_statement(effect: &'static str) -> impl Strategy<Value = String> {
    let action = prop_oneof![
        1 => Just("*".to_owned()),
        1 => Just("kafka-cluster:*Topic*".to_owned()),
        1 => Just("kafka-cluster:Describe*".to_owned()),
        6 => prop::sample::select(Action::ALL).prop_map(|action| action.to_string()),
    ];
    let condition = prop_oneof![
        8 => Just(""),
        1 => Just(r#","Condition":{"Bool":{"aws:SecureTransport":"true"}}"#),
        1 => Just(r#","Condition":{"Bool":{"aws:SecureTransport":"false"}}"#),
    ];
    let not = prop::sample::select(vec!["", "", "", "Not"]);
    let resources = prop::collection::vec(any_resource(), 1..3);
    (action, resources, condition, not).prop_map(move |(action, resources, condition, not)| {
        let resources = resources.join("\",\"");
        format!(
            r#"{{"Effect":"{effect}","{not}Action":"{action}","Resource":["{resources}"]{condition}}}"#
        )
    })
}

fn any_statements() -> impl Strategy<Value = Vec<String>> {
    let some = prop_oneof![2 => any_statement("Allow"), 1 => any_statement("Deny")];
    (prop::collection::vec(some, 1..7), 0..10).prop_map(|(mut statements, dice)| {
        if dice > 0 {
            statements.push(connect());
        }
        statements
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_compiles_allows_exactly_what_the_policies_allow(statements in any_statements()) {
        let Ok(compiled) = compiled(&statements) else {
            return Err(TestCaseError::reject("not expressible"));
        };
        let documents: Vec<_> = policies(&statements).into_values().collect();
        for request in REQUESTS.iter() {
            prop_assert_eq!(
                authorizes(&compiled.acls, request),
                policies_allow(&documents, request),
                "{:?} by {:?}", request, compiled.acls
            );
        }
    }

    #[test]
    fn no_entry_lies_in_another_and_the_order_of_statements_does_not_matter(
        statements in any_statements(),
    ) {
        let Ok(one) = compiled(&statements) else {
            return Err(TestCaseError::reject("not expressible"));
        };
        let reversed: Vec<String> = statements.iter().rev().cloned().collect();
        prop_assert_eq!(&compiled(&reversed).unwrap().acls, &one.acls);
        for acl in &one.acls {
            let mut without = one.acls.clone();
            without.remove(acl);
            let same = |other: &Acl| (other.resource, other.operation, other.permission)
                == (acl.resource, acl.operation, acl.permission);
            let covers = |other: &Acl| match other.pattern {
                Pattern::Literal => other.name == "*",
                Pattern::Prefixed => acl.name.starts_with(&other.name),
            };
            prop_assert!(!without.iter().any(|other| same(other) && covers(other)), "{acl}");
        }
    }

    #[test]
    fn a_deny_never_grants_and_an_allow_never_revokes(
        statements in any_statements(),
        allow in any_statement("Allow"),
        deny in any_statement("Deny"),
    ) {
        let with = |more: &String| {
            let all: Vec<String> = statements.iter().chain([more]).cloned().collect();
            compiled(&all)
        };
        let Ok(before) = compiled(&statements) else {
            return Err(TestCaseError::reject("not expressible"));
        };
        let decide = |compiled: &Compiled| -> Vec<bool> {
            REQUESTS.iter().map(|request| authorizes(&compiled.acls, request)).collect()
        };
        let was = decide(&before);
        if let Ok(less) = with(&deny) {
            prop_assert!(was.iter().zip(decide(&less)).all(|(was, is)| *was || !is));
        }
        if let Ok(more) = with(&allow) {
            prop_assert!(was.iter().zip(decide(&more)).all(|(was, is)| !*was || is));
        }
    }

    #[test]
    fn a_pattern_is_refused_only_when_no_acl_says_it(rest in "[ab*?]{1,5}") {
        let refused = compiled(&[connect(), allow("ReadData", &format!("topic/shop/u-1/{rest}"))]);
        prop_assume!(refused.is_err());
        // Any one character and then anything is everything; only this is refused without need.
        let is_everything = rest.matches('?').count() == 1 && !rest.contains(['a', 'b']);
        prop_assume!(!is_everything || !rest.contains('*'));
        let names = (1..=7_u32).flat_map(|length| (0..1_u32 << length).map(move |bits| (length, bits)));
        let name = |(length, bits): (u32, u32)| -> String {
            (0..length).map(|at| if bits >> at & 1 == 0 { 'a' } else { 'b' }).collect()
        };
        let (hit, missed): (Vec<String>, Vec<String>) =
            names.map(name).partition(|name| runnel_iam::glob::matches(&rest, name));
        prop_assert!(hit.len() > 1, "{rest}");
        let shared = |n: &usize| hit.iter().all(|name| name.starts_with(&hit[0][..*n]));
        let prefix = &hit[0][..(0..=hit[0].len()).rev().find(shared).unwrap_or(0)];
        prop_assert!(missed.iter().any(|name| name.starts_with(prefix)), "{rest} is {prefix}*");
    }
}
