use super::*;
use crate::daemon_client::{Connectors, DaemonClient, Roles};
use crate::responder::{Responder, Script};
use crate::role::Role;
use serde_json::json;
use std::sync::Arc;
use tfplugin::value::Value;
use tfplugin::{Action, CancellationToken, Private};

const ID: &str = "00000000-0000-0000-0000-000000000001";

fn context(endpoint: &str) -> Cx {
    let daemon = DaemonClient::new(endpoint.to_owned(), None).unwrap();
    Cx::new(
        Some(Arc::new(Session::new(daemon))),
        Private::default(),
        CancellationToken::new(),
    )
}

fn role() -> Object {
    Object::new()
        .with("name", "r")
        .with("policies", Value::map([("kafka", "{}")]))
}

fn operation(outcome: &str) -> serde_json::Value {
    json!({
        "id": ID, "object_kind": "role", "name": "r", "kind": "CREATE", "generation": 1, "outcome": outcome,
        "created_ms": 0, "warnings": [],
    })
}

fn failed(outcome: &str) -> String {
    let mut failed = operation(outcome);
    failed["problem"] = json!({
        "code": "CONNECTOR_FAILED", "message": "it failed", "detail": "the root line", "field": "policies[\"kafka\"]",
    });
    failed.to_string()
}

fn accepted(outcome: &str) -> String {
    let object = json!({
        "name": "r", "id": ID, "arn": "arn:aws:iam::000000000000:role/r", "generation": 1,
        "spec": {"policies": {"kafka": "{}"}}, "status": {},
    });
    json!({"object": object, "operation": operation(outcome)}).to_string()
}

async fn created(script: Script) -> (Result<Object, Failure>, Cx, Responder) {
    let responder = Responder::start(script);
    let mut cx = context(&responder.endpoint);
    let plan = role().with("timeouts", Value::object([("create", "2s")]));
    let result = create::<Roles>(&mut cx, &Role, &plan, &plan, None).await;
    (result, cx, responder)
}

fn only(failure: &Failure) -> &Diagnostic {
    let all: Vec<_> = failure.diagnostics.iter().collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0]
}

#[tokio::test]
async fn a_create_waits_until_its_operation_succeeded() {
    let (result, cx, responder) = created(vec![
        ("PUT", 200, accepted("PENDING")),
        (
            "GET /api/v1/operations",
            200,
            operation("IN_PROGRESS").to_string(),
        ),
        (
            "GET /api/v1/operations",
            200,
            operation("SUCCEEDED").to_string(),
        ),
    ])
    .await;
    assert_eq!(
        result.unwrap().value("arn").as_str(),
        Some("arn:aws:iam::000000000000:role/r")
    );
    assert_eq!(cx.private.get::<u64>(GENERATION), Some(1));
    assert!(responder.requests()[0].contains("[if-none-match: *]"));
}

#[tokio::test]
async fn a_create_that_failed_leaves_no_state_and_says_why_at_the_attribute() {
    let (result, _, _) = created(vec![
        ("PUT", 200, accepted("PENDING")),
        ("GET /api/v1/operations", 200, failed("FAILED")),
    ])
    .await;
    let failure = result.unwrap_err();
    assert!(failure.state.is_none());
    assert_eq!(only(&failure).path.to_string(), r#"policies["kafka"]"#);
    assert!(
        only(&failure).detail.starts_with("The root line."),
        "{}",
        only(&failure)
    );
}

#[tokio::test]
async fn a_create_that_takes_too_long_keeps_what_there_is() {
    let (result, _, _) = created(vec![
        ("PUT", 200, accepted("PENDING")),
        (
            "GET /api/v1/operations",
            200,
            operation("IN_PROGRESS").to_string(),
        ),
    ])
    .await;
    let failure = result.unwrap_err();
    assert_eq!(only(&failure).summary, "Time is up");
    assert!(failure.state.is_some());
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_repeated() {
    let (result, _, responder) = created(vec![
        ("PUT", 0, String::new()),
        ("PUT", 200, accepted("SUCCEEDED")),
    ])
    .await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(responder.requests().len(), 2);
}

#[tokio::test]
async fn a_daemon_that_is_away_during_the_wait_is_asked_again() {
    let (result, _, _) = created(vec![
        ("PUT", 200, accepted("PENDING")),
        ("GET /api/v1/operations", 0, String::new()),
        ("GET /api/v1/operations", 0, String::new()),
        (
            "GET /api/v1/operations",
            200,
            operation("SUCCEEDED").to_string(),
        ),
    ])
    .await;
    assert!(result.is_ok(), "{result:?}");
}

#[tokio::test]
async fn a_name_that_was_taken_meanwhile_is_to_be_imported() {
    let taken = json!({"code": "ALREADY_EXISTS", "message": "taken"}).to_string();
    let (result, _, _) = created(vec![("PUT", 409, taken)]).await;
    let failure = result.unwrap_err();
    assert_eq!(only(&failure).path.to_string(), "name");
    assert!(
        only(&failure)
            .detail
            .contains("terraform import runnel_role")
    );
}

#[tokio::test]
async fn ctrl_c_ends_the_wait_with_what_is_known() {
    let responder = Responder::start(vec![("PUT", 200, accepted("PENDING"))]);
    let mut cx = context(&responder.endpoint);
    cx.cancel.cancel();
    let result = create::<Roles>(&mut cx, &Role, &role(), &role(), None).await;
    let failure = result.unwrap_err();
    assert_eq!(only(&failure).summary, "Interrupted");
    assert!(failure.state.is_some());
}

#[tokio::test]
async fn an_update_names_its_generation_and_says_how_it_ended() {
    for (outcome, words) in [
        ("ROLLED_BACK", "the generation before it is in force"),
        ("FAILED", "left as it failed"),
    ] {
        let responder = Responder::start(vec![
            ("PUT", 200, accepted("PENDING")),
            ("GET /api/v1/operations", 200, failed(outcome)),
        ]);
        let mut cx = context(&responder.endpoint);
        cx.private.set(GENERATION, 7);
        let send = Update {
            secrets: None,
            write: true,
        };
        let result = update::<Roles>(&mut cx, &Role, &role(), &role(), send).await;
        let failure = result.unwrap_err();
        assert!(failure.state.is_none(), "the old state is kept");
        assert!(only(&failure).detail.contains(words), "{}", only(&failure));
        assert!(responder.requests()[0].contains("[if-match: 7]"));
    }
}

#[tokio::test]
async fn a_change_of_terraforms_own_attributes_writes_nothing() {
    let object = serde_json::from_str::<serde_json::Value>(&accepted("SUCCEEDED")).unwrap();
    let responder = Responder::start(vec![(
        "GET /api/v1/roles/r",
        200,
        object["object"].to_string(),
    )]);
    let mut cx = context(&responder.endpoint);
    let send = Update {
        secrets: None,
        write: false,
    };
    update::<Roles>(&mut cx, &Role, &role(), &role(), send)
        .await
        .unwrap();
    assert_eq!(responder.requests().len(), 1);
}

#[tokio::test]
async fn what_is_gone_already_is_deleted() {
    let responder = Responder::start(vec![]);
    let mut cx = context(&responder.endpoint);
    delete::<Roles>(&mut cx, &role()).await.unwrap();
}

#[tokio::test]
async fn remarks_of_a_delete_are_warnings() {
    let mut done = operation("SUCCEEDED");
    done["warnings"] = json!([{"message": "internal topics are left", "detail": "Kafka is away"}]);
    let accepted = json!({"operation": operation("PENDING")}).to_string();
    let responder = Responder::start(vec![
        ("DELETE", 202, accepted),
        ("GET /api/v1/operations", 200, done.to_string()),
    ]);
    let mut cx = context(&responder.endpoint);
    delete::<Roles>(&mut cx, &role()).await.unwrap();
    let warning = cx.diagnostics.iter().next().unwrap();
    assert_eq!(warning.summary, "Internal topics are left");
    assert_eq!(warning.severity, tfplugin::Severity::Warning);
}

fn identity(current: bool) -> String {
    let life = |number: u64| json!({"number": number, "id": ID, "arn": format!("arn:aws:x:y:z:connector/o/{number}")});
    let current = if current {
        life(1)
    } else {
        serde_json::Value::Null
    };
    json!({"current": current, "next": life(2)}).to_string()
}

/// A plan of a connector without a prior state.
async fn planned(current: bool, prepare: impl FnOnce(&mut Cx)) -> Result<Planned, Failure> {
    let responder = Responder::start(vec![(
        "GET /api/v1/identity/connector/orders",
        200,
        identity(current),
    )]);
    let mut cx = context(&responder.endpoint);
    prepare(&mut cx);
    let values = Object::new().with("name", "orders");
    let change = Change::new(Action::Create, values.clone(), None, values);
    super::identity::<Connectors>(&mut cx, &change).await
}

#[tokio::test]
async fn a_name_that_a_stranger_has_is_an_error_at_plan() {
    let failure = planned(true, |_| {}).await.unwrap_err();
    assert_eq!(only(&failure).path.to_string(), "name");
    assert!(matches!(
        planned(false, |_| {}).await.unwrap(),
        Planned::New {
            replacing: false,
            ..
        }
    ));
}

#[tokio::test]
async fn what_is_replaced_or_tainted_is_no_stranger() {
    let replaced = planned(true, |cx| cx.private.set(NAME, "orders")).await;
    let tainted = planned(true, |cx| {
        cx.client()
            .unwrap()
            .see(runnel_api::Kind::Connector, &Name::parse("orders").unwrap());
    })
    .await;
    for planned in [replaced, tainted] {
        let Planned::New { next, replacing } = planned.unwrap() else {
            panic!("it is new")
        };
        assert!(replacing);
        assert_eq!(next.number, 2);
    }
    let renamed = planned(true, |cx| cx.private.set(NAME, "old")).await;
    assert!(
        renamed.is_err(),
        "another name's private state says nothing of this one"
    );
}

#[tokio::test]
async fn a_name_that_is_unknown_or_no_name_is_dealt_with_before_any_call() {
    let mut cx = context("http://127.0.0.1:1");
    let unknown = Object::new().with("name", Value::unknown());
    let change = Change::new(Action::Create, unknown.clone(), None, unknown);
    assert_eq!(
        super::identity::<Connectors>(&mut cx, &change)
            .await
            .unwrap(),
        Planned::Open
    );
    let refused = name_of(&Object::new().with("name", "a/b")).unwrap_err();
    assert_eq!(refused.path.to_string(), "name");
    assert!(import::<Connectors>("a/b").is_err());
}
