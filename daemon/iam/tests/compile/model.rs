//! What compiles, against a naive model of Kafka's authorizer and the policies' own decision.

use super::{CLUSTER, allow, cluster, compiled, connect, full, policies, tls};
use proptest::prelude::*;
use runnel_iam::compile::{action_of, operation};
use runnel_iam::{
    Acl, Action, CLUSTER_NAME, Compiled, Decision, Operation, Pattern, Permission, PolicyDocument,
    ResourceType, evaluate,
};
use std::collections::BTreeSet;
use std::sync::LazyLock;

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
