//! Policies as people write them: what is accepted, what is refused and how, what they decide.

use proptest::prelude::*;
use runnel_api::ErrorCode;
use runnel_iam::{
    Action, ConditionKey, Context, Decision, PolicyDocument, TrustPolicy, Why, evaluate,
};

const TOPIC: &str = "arn:aws:kafka:us-east-1:000000000000:topic/shop/u-1/orders";

fn statement(body: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{{{body}}}]}}"#)
}

fn allow(action: &str, resource: &str) -> String {
    statement(&format!(
        r#""Effect":"Allow","Action":"kafka-cluster:{action}","Resource":"{resource}""#
    ))
}

#[test]
fn a_policy_of_the_msk_guide_is_accepted() {
    let text = r#"{
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow",
             "Action": ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster"],
             "Resource": ["arn:aws:kafka:us-east-1:000000000000:cluster/shop/*"]},
            {"Sid": "Topics", "Effect": "Allow",
             "Action": ["kafka-cluster:*Topic*", "kafka-cluster:WriteData", "kafka-cluster:ReadData"],
             "Resource": "arn:aws:kafka:us-east-1:000000000000:topic/shop/*"}
        ]}"#;
    let policy = PolicyDocument::parse(text).unwrap();
    assert_eq!(policy.statements.len(), 2);
    let decide = |action, resource: &str| {
        evaluate(
            std::slice::from_ref(&policy),
            action,
            resource,
            &Context::new(),
        )
    };
    assert_eq!(
        decide(Action::ReadData, TOPIC),
        Decision::Allowed {
            policy: 0,
            statement: "Statement[1] (Sid \"Topics\")".into()
        }
    );
    assert_eq!(decide(Action::AlterGroup, TOPIC), Decision::NotAllowed);
    let other = TOPIC.replace("shop", "shop2");
    assert_eq!(decide(Action::ReadData, &other), Decision::NotAllowed);
}

const BODY: &str = r#""Effect":"Allow","Action":"kafka-cluster:Connect","Resource":"*""#;

fn with(more: &str) -> String {
    statement(&format!("{BODY},{more}"))
}

fn swap(from: &str, to: &str) -> String {
    statement(BODY).replace(from, to)
}

fn check_refused(text: &str, parts: &[&str]) {
    let problem = PolicyDocument::parse(text).expect_err(text);
    assert_eq!(problem.code, ErrorCode::InvalidPolicy);
    let said = format!("{} / {}", problem.message, problem.hint.unwrap_or_default());
    for part in parts {
        assert!(
            said.contains(part),
            "{text:.200}\nsaid: {said}\nwithout: {part}"
        );
    }
    assert!(said.len() < 1_500, "{said}");
}

#[test]
fn what_is_no_policy_is_refused_with_the_reason() {
    check_refused("", &["no valid JSON"]);
    check_refused("[]", &["the policy: expected an object, found a list"]);
    check_refused("{}", &["Statement is missing"]);
    check_refused(r#"{"Statement":[]}"#, &["the list is empty"]);
    let number = &["Statement[0]: expected an object, found a number"];
    check_refused(r#"{"Statement":[3]}"#, number);
    check_refused(&" ".repeat(140_000), &["bytes are too many"]);
    let long = swap("*", &"a".repeat(20_000));
    check_refused(&long, &["characters are too many", "10240"]);
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    assert!(PolicyDocument::parse(&statement(BODY)).is_ok());
    check_refused(
        &swap("2012-10-17", "2012-10-18"),
        &["Version", "2012-10-17"],
    );
    let near = &["unknown element \"Versoin\"", "did you mean \"Version\""];
    check_refused(&swap("\"Version\"", "\"Versoin\""), near);
    check_refused(&with(r#""Effect":"Deny""#), &["\"Effect\" stands twice"]);
    let stranger = &["Statement[0]: unknown element \"Principal\"", "NotResource"];
    check_refused(&with(r#""Principal":"*""#), stranger);
    check_refused(
        &with(r#""Sid":"a b""#),
        &["Statement[0], Sid", "letters and digits"],
    );
    check_refused(&with(r#""NotAction":"*""#), &["exclude each other"]);
    check_refused(
        &swap("\"Action\"", "\"action\""),
        &["did you mean \"Action\""],
    );
    check_refused(
        &swap("Allow", "allow"),
        &["unknown effect \"allow\"", "Allow, Deny"],
    );
    check_refused(&swap("\"Effect\":\"Allow\",", ""), &["Effect is missing"]);
}

#[test]
fn actions_and_resources_must_exist() {
    let near = &["unknown action \"conect\"", "did you mean \"Connect\""];
    check_refused(&swap("Connect", "Conect"), near);
    check_refused(
        &swap("Connect", "*Topics"),
        &["selects no action", "CreateTopic"],
    );
    let foreign = swap("kafka-cluster:Connect", "s3:GetObject");
    check_refused(&foreign, &["actions of \"s3\" have no meaning"]);
    let bare = swap("kafka-cluster:Connect", "Connect");
    check_refused(&bare, &["is no action", "kafka-cluster:ReadData"]);
    let list = |to: &str| swap("\"kafka-cluster:Connect\"", to);
    check_refused(&list("[]"), &["Action: the list is empty"]);
    check_refused(&list("[1]"), &["Action", "found a number"]);
    let resource = |to: &str| swap("\"*\"", to);
    check_refused(&resource("\"\""), &["Resource: an empty string"]);
    check_refused(
        &resource("\"topic/x\""),
        &["Resource: \"topic/x\" is no ARN"],
    );
    check_refused(
        &resource("\"arn:aws:s3:::x\""),
        &["is no resource of Kafka"],
    );
    let kind = &["no type of resource", "transactional-id"];
    check_refused(&resource("\"arn:aws:kafka:r:a:topics/x\""), kind);
    check_refused(&resource("\"arn:aws:kafka:r:a:topic\""), kind);
    let variable = resource("\"arn:aws:kafka:r:a:topic/${aws:username}\"");
    check_refused(&variable, &["policy variables"]);
}

#[test]
fn conditions_are_a_closed_list() {
    let condition = |json: &str| with(&format!("\"Condition\":{json}"));
    let near = &[
        "unknown operator \"StringEqual\"",
        "did you mean \"StringEquals\"",
        "IpAddress",
    ];
    check_refused(&condition(r#"{"StringEqual":{}}"#), near);
    let key = condition(r#"{"Bool":{"aws:Secure":"true"}}"#);
    check_refused(
        &key,
        &[
            "unknown condition key \"aws:Secure\"",
            "aws:SecureTransport",
        ],
    );
    let misfit = condition(r#"{"Bool":{"aws:SourceIp":"true"}}"#);
    check_refused(&misfit, &["Bool does not fit", "IpAddress"]);
    let word = condition(r#"{"Bool":{"aws:SecureTransport":"yes"}}"#);
    check_refused(&word, &["\"yes\" is not \"true\" or \"false\""]);
    let range = condition(r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/40"}}"#);
    check_refused(&range, &["is not an IP address"]);
    let empty = condition(r#"{"IpAddress":{"aws:SourceIp":[]}}"#);
    check_refused(&empty, &["the list is empty"]);
    check_refused(&condition("[]"), &["Condition: expected an object"]);
}

#[test]
fn a_sid_stands_once() {
    let text = r#"{"Statement":[
        {"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"},
        {"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let problem = PolicyDocument::parse(text).unwrap_err();
    assert!(
        problem
            .message
            .contains("Statement[1], Sid: \"A\" stands twice"),
        "{problem}"
    );
}

#[test]
fn deny_wins_and_conditions_must_all_hold() {
    let parse = |text: &str| PolicyDocument::parse(text).unwrap();
    let all = parse(&allow("*", "*"));
    let deny = parse(&allow("DeleteTopic", TOPIC).replace("Allow", "Deny"));
    let context = Context::new();
    for policies in [[all.clone(), deny.clone()], [deny, all.clone()]] {
        let decision = evaluate(&policies, Action::DeleteTopic, TOPIC, &context);
        assert!(matches!(decision, Decision::Denied { .. }), "{decision:?}");
        assert!(evaluate(&policies, Action::ReadData, TOPIC, &context).is_allowed());
    }
    let conditional = parse(&statement(
        r#""Effect":"Allow","NotAction":"kafka-cluster:Delete*","Resource":"*","Condition":{
            "IpAddress":{"AWS:sourceip":["10.0.0.0/8","::1"]},"Bool":{"aws:SecureTransport":true}}"#,
    ));
    let decide = |action, pairs: &[(ConditionKey, &str)]| {
        let context = pairs.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        evaluate(std::slice::from_ref(&conditional), action, TOPIC, &context).is_allowed()
    };
    let (ip, tls) = (ConditionKey::SourceIp, ConditionKey::SecureTransport);
    assert!(decide(Action::ReadData, &[(ip, "10.1.1.1"), (tls, "true")]));
    assert!(decide(Action::ReadData, &[(ip, "::1"), (tls, "true")]));
    assert!(!decide(
        Action::DeleteTopic,
        &[(ip, "10.1.1.1"), (tls, "true")]
    ));
    assert!(!decide(
        Action::ReadData,
        &[(ip, "11.1.1.1"), (tls, "true")]
    ));
    assert!(!decide(
        Action::ReadData,
        &[(ip, "10.1.1.1"), (tls, "false")]
    ));
    assert!(!decide(Action::ReadData, &[(ip, "10.1.1.1")]));
    assert!(!decide(Action::ReadData, &[]));
}

const SERVICE: &str = "kafkaconnect.amazonaws.com";
const ACCOUNT: &str = "000000000000";
const CONNECTOR: &str = "arn:aws:kafkaconnect:us-east-1:000000000000:connector/orders/u-1";

#[test]
fn the_default_trust_policy_is_the_one_that_is_shown() {
    let default = TrustPolicy::default();
    assert_eq!(
        TrustPolicy::parse(TrustPolicy::DEFAULT_JSON).unwrap(),
        default
    );
    assert_eq!(default.trusts(SERVICE, ACCOUNT, CONNECTOR), Ok(()));
    let why = default
        .trusts("ec2.amazonaws.com", ACCOUNT, CONNECTOR)
        .unwrap_err();
    assert!(matches!(why, Why::NotNamed { .. }), "{why}");
}

#[test]
fn trust_follows_account_and_arn_of_the_connector() {
    let trust = |arn: &str, account: &str| {
        let text = TrustPolicy::DEFAULT_JSON.replace(
            "\"Action\"",
            &format!(
                r#""Condition":{{"StringEquals":{{"aws:SourceAccount":"{account}"}},
                    "ArnLike":{{"aws:SourceArn":"{arn}"}}}},"Action""#
            ),
        );
        TrustPolicy::parse(&text)
            .unwrap()
            .trusts(SERVICE, ACCOUNT, CONNECTOR)
    };
    let any = "arn:aws:kafkaconnect:*:*:connector/*";
    assert_eq!(trust(any, ACCOUNT), Ok(()));
    assert_eq!(trust(CONNECTOR, ACCOUNT), Ok(()));
    let why = trust(any, "111111111111").unwrap_err().to_string();
    assert!(
        why.contains("aws:SourceAccount is \"000000000000\""),
        "{why}"
    );
    let why = trust("arn:aws:kafkaconnect:*:*:connector/billing/*", ACCOUNT).unwrap_err();
    assert!(why.to_string().contains("connector/billing/*"), "{why}");
}

#[test]
fn a_deny_in_a_trust_policy_wins() {
    let text = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Principal":{"Service":["kafkaconnect.amazonaws.com"]},"Action":"sts:*"},
        {"Sid":"No","Effect":"Deny","Principal":"*","Action":"sts:AssumeRole",
         "Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:kafkaconnect:*:*:connector/orders/*"}}}]}"#;
    let policy = TrustPolicy::parse(text).unwrap();
    assert_eq!(
        policy.trusts(SERVICE, ACCOUNT, CONNECTOR),
        Err(Why::Denied {
            statement: "Statement[1] (Sid \"No\")".into()
        })
    );
    let other = CONNECTOR.replace("orders", "billing");
    assert_eq!(policy.trusts(SERVICE, ACCOUNT, &other), Ok(()));
}

#[test]
fn a_trust_policy_refuses_what_it_does_not_know() {
    let swap = |from: &str, to: &str| TrustPolicy::DEFAULT_JSON.replace(from, to);
    for (text, part) in [
        (
            swap("\"Service\"", "\"AWS\""),
            "unknown type of principal \"AWS\"",
        ),
        (
            swap("Principal", "NotPrincipal"),
            "unknown element \"NotPrincipal\"",
        ),
        (
            swap("sts:AssumeRole", "sts:AssumeRoles"),
            "did you mean \"sts:AssumeRole\"",
        ),
        (
            swap("\"kafkaconnect.amazonaws.com\"", "\"*\""),
            "\"*\" is no service",
        ),
        (
            swap("\"Action\"", "\"Resource\":\"*\",\"Action\""),
            "unknown element \"Resource\"",
        ),
        (
            swap(
                "\"Action\"",
                "\"Condition\":{\"Bool\":{\"aws:SecureTransport\":\"true\"}},\"Action\"",
            ),
            "aws:SourceArn",
        ),
    ] {
        let problem = TrustPolicy::parse(&text).expect_err(&text);
        let said = format!("{} / {}", problem.message, problem.hint.unwrap_or_default());
        assert!(said.contains(part), "{said} without {part}");
    }
}

fn any_statement(effect: &'static str) -> impl Strategy<Value = String> {
    let action = prop_oneof![
        Just("*".to_owned()),
        Just("kafka-cluster:*Topic*".to_owned()),
        prop::sample::select(Action::ALL).prop_map(|action| action.to_string()),
    ];
    let resource = prop_oneof![
        Just("*".to_owned()),
        Just(TOPIC.to_owned()),
        Just("arn:aws:kafka:*:*:topic/shop/*/ord?rs".to_owned()),
        Just("arn:aws:kafka:*:*:group/shop/*".to_owned()),
    ];
    let condition = prop_oneof![
        Just(String::new()),
        Just(r#","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#.to_owned()),
    ];
    (action, resource, condition, any::<bool>(), any::<bool>()).prop_map(
        move |(action, resource, condition, not_action, not_resource)| {
            let not = |yes: bool| if yes { "Not" } else { "" };
            format!(
                r#"{{"Effect":"{effect}","{}Action":"{action}","{}Resource":"{resource}"{condition}}}"#,
                not(not_action),
                not(not_resource)
            )
        },
    )
}

fn document(statements: &[String]) -> PolicyDocument {
    let text = format!(r#"{{"Statement":[{}]}}"#, statements.join(","));
    PolicyDocument::parse(&text).unwrap_or_else(|problem| panic!("{problem} in {text}"))
}

fn allowed_set(policy: &PolicyDocument) -> Vec<bool> {
    let group = TOPIC.replace(":topic/", ":group/");
    let inside = Context::from([(ConditionKey::SourceIp, "10.0.0.1".to_owned())]);
    let mut all = Vec::new();
    for action in Action::ALL {
        for resource in [TOPIC, group.as_str(), "arn:aws:kafka:x:y:topic/other/u/z"] {
            for context in [&inside, &Context::new()] {
                let policies = std::slice::from_ref(policy);
                all.push(evaluate(policies, *action, resource, context).is_allowed());
            }
        }
    }
    all
}

proptest! {
    #[test]
    fn a_deny_never_grants_and_an_allow_never_revokes(
        statements in prop::collection::vec(
            prop_oneof![any_statement("Allow"), any_statement("Deny")], 1..5),
        allow in any_statement("Allow"),
        deny in any_statement("Deny"),
        at in any::<prop::sample::Index>(),
    ) {
        let before = allowed_set(&document(&statements));
        let with = |statement: String| {
            let mut more = statements.clone();
            more.insert(at.index(statements.len() + 1), statement);
            allowed_set(&document(&more))
        };
        for (before, after) in before.iter().zip(with(deny)) {
            prop_assert!(!after || *before);
        }
        for (before, after) in before.iter().zip(with(allow)) {
            prop_assert!(after || !before);
        }
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in any::<String>()) {
        let _ = PolicyDocument::parse(&text);
        let _ = TrustPolicy::parse(&text);
        let _ = runnel_iam::equivalent(&text, "{}");
    }

    #[test]
    fn no_broken_policy_makes_the_parsers_panic(
        at in any::<prop::sample::Index>(), length in 0_usize..30, put in "[\\[\\]{}\",:a*1é]{0,5}",
    ) {
        let whole = r#"{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"A","Effect":"Allow","Action":["kafka-cluster:*"],"Resource":"arn:aws:kafka:*:*:topic/a/*","Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8"]}}}]}"#;
        let start = at.index(whole.len());
        let end = (start + length).min(whole.len());
        let broken = format!("{}{put}{}", &whole[..start], &whole[end..]);
        let _ = PolicyDocument::parse(&broken);
        let _ = TrustPolicy::parse(&broken);
    }
}
