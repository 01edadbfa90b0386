use super::*;
use crate::connector::convert::tests::{declared, object};
use crate::daemon_client::DaemonClient;
use crate::resource::Declaration as _;
use crate::responder::Responder;
use runnel_api::Kind;
use std::sync::Arc;
use tfplugin::{CancellationToken, Private};

/// The state of a connector that was made of [`declared`].
fn state() -> Object {
    let spec = Connector.spec(&declared()).unwrap();
    Connector.state(&object(&spec, 3), &Object::new())
}

/// A plan without a daemon to ask.
async fn planned(prior: Option<Object>, config: &Object, private: Private) -> (Change, Cx) {
    let mut values = prior.clone().unwrap_or_default();
    for (name, value) in config.iter().filter(|(name, _)| *name != "config_wo") {
        values.set(name, value.clone());
    }
    let action = match &prior {
        None => Action::Create,
        Some(prior) if *prior == values => Action::NoOp,
        Some(_) => Action::Update,
    };
    let mut change = Change::new(action, config.clone(), prior, values);
    let mut cx = Cx::new(None, private, CancellationToken::new());
    plan(&mut cx, &mut change, Planned::Stays).await.unwrap();
    (change, cx)
}

fn version(change: &Change) -> Option<u64> {
    change.planned.get::<Tri<u64>>("version").unwrap().known()
}

#[tokio::test]
async fn the_version_is_the_next_one_exactly_if_something_is_written() {
    let (same, _) = planned(Some(state()), &declared(), Private::default()).await;
    assert_eq!(version(&same), Some(3));
    let edited = declared().with("description", "new");
    let (edited, _) = planned(Some(state()), &edited, Private::default()).await;
    assert_eq!(version(&edited), Some(4));
    let waiting = declared().with("timeouts", Value::object([("create", "1m")]));
    let (waiting, _) = planned(Some(state()), &waiting, Private::default()).await;
    assert_eq!(version(&waiting), Some(3));
    let open = declared().with("description", Value::unknown());
    let (open, _) = planned(Some(state()), &open, Private::default()).await;
    assert_eq!(version(&open), None);
    let (new, _) = planned(None, &declared(), Private::default()).await;
    assert_eq!(version(&new), Some(1));
}

#[tokio::test]
async fn what_follows_from_a_changed_cluster_is_written_with_an_open_version() {
    let planned = state().with("principal", "User:orders");
    assert!(writes(&state(), &planned, false, false).unwrap());
    assert!(!writes(&state(), &state(), false, false).unwrap());
    let mut change = Change::new(Action::NoOp, declared(), Some(state()), planned);
    set_version(&mut change, true, Sending::Keep, false).unwrap();
    assert_eq!(version(&change), None);
}

#[tokio::test]
async fn a_generation_that_failed_is_tried_again_without_an_edit() {
    let mut private = Private::default();
    private.set(UNSETTLED, true);
    let (change, _) = planned(Some(state()), &declared(), private).await;
    assert!(change.planned.value("version").is_unknown());
    assert!(writes(&state(), &state(), false, true).unwrap());
}

#[tokio::test]
async fn a_role_that_is_open_leaves_only_its_acls_open() {
    for (enforcement, known) in [("NONE", true), ("ACL", false)] {
        let spec = Connector.spec(&declared()).unwrap();
        let mut answer = serde_json::to_value(&object(&spec, 1).status.derived).unwrap();
        answer["enforcement"] = enforcement.into();
        let answer = serde_json::json!({ "derived": answer }).to_string();
        let responder = Responder::start(vec![(
            "POST /api/v1/connectors/orders/preview",
            200,
            answer,
        )]);
        let daemon = DaemonClient::new(responder.endpoint.clone(), None).unwrap();
        let session = Arc::new(Session::new(daemon));
        session.plan_open(Kind::Role, &Name::parse("ecommerce").unwrap());
        let mut cx = Cx::new(Some(session), Private::default(), CancellationToken::new());
        let mut change = Change::new(Action::Create, declared(), None, declared());
        plan(&mut cx, &mut change, Planned::Open).await.unwrap();
        assert_eq!(
            change.planned.value("principal").as_str(),
            Some("User:ANONYMOUS")
        );
        assert_eq!(
            change.planned.value("kafkaconnect_version").as_str(),
            Some("3.9")
        );
        assert_eq!(change.planned.value("kafka_acls").is_wholly_known(), known);
        assert!(
            responder.requests()[0].contains("kafka-cluster:*"),
            "nothing is found missing"
        );
    }
}

#[tokio::test]
async fn the_daemon_hears_of_the_capacity_of_every_connector_that_the_run_plans() {
    let answer = serde_json::json!({ "problems": [] }).to_string();
    let responder = Responder::start(vec![("POST", 200, answer)]);
    let daemon = DaemonClient::new(responder.endpoint.clone(), None).unwrap();
    let session = Arc::new(Session::new(daemon));
    let mut cx = Cx::new(
        Some(session.clone()),
        Private::default(),
        CancellationToken::new(),
    );
    Connector.leaves(&cx, &declared().with("name", "gone"));
    // Of this one the configuration is not known yet, but its capacity is.
    let open = declared()
        .with("name", "open")
        .with("description", Value::unknown());
    for values in [open, declared()] {
        let mut change = Change::new(Action::Create, values.clone(), None, values);
        plan(&mut cx, &mut change, Planned::Open).await.unwrap();
    }
    let requests = responder.requests();
    assert_eq!(requests.len(), 1);
    let body = &requests[0][requests[0].find('{').unwrap()..];
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let size = serde_json::json!({"provisioned": {"mcu_count": 1, "worker_count": 2}});
    assert_eq!(
        body["assumed"]["capacities"],
        serde_json::json!({"open": size, "orders": size})
    );
    assert_eq!(body["assumed"]["destroyed"], serde_json::json!(["gone"]));
}

#[tokio::test]
async fn a_cluster_that_is_open_leaves_everything_open_and_asks_nothing() {
    let responder = Responder::start(vec![]);
    let daemon = DaemonClient::new(responder.endpoint.clone(), None).unwrap();
    let session = Arc::new(Session::new(daemon));
    session.plan_open(Kind::KafkaCluster, &Name::parse("shop").unwrap());
    let mut cx = Cx::new(Some(session), Private::default(), CancellationToken::new());
    let mut change = Change::new(Action::Create, declared(), None, declared());
    plan(&mut cx, &mut change, Planned::Open).await.unwrap();
    assert!(
        DERIVED
            .iter()
            .all(|name| change.planned.value(name).is_unknown())
    );
    assert_eq!(responder.requests(), [] as [String; 0]);
}

#[tokio::test]
async fn what_the_daemon_would_refuse_is_an_error_at_the_key() {
    let problem = serde_json::json!({
        "code": "INVALID_CONFIGURATION", "message": "only one task", "field": "config[\"tasks.max\"]",
    });
    let answer = serde_json::json!({ "problems": [problem] }).to_string();
    let responder = Responder::start(vec![("POST", 200, answer)]);
    let daemon = DaemonClient::new(responder.endpoint.clone(), None).unwrap();
    let mut cx = Cx::new(
        Some(Arc::new(Session::new(daemon))),
        Private::default(),
        CancellationToken::new(),
    );
    let mut change = Change::new(Action::Create, declared(), None, declared());
    let failure = plan(&mut cx, &mut change, Planned::Open).await.unwrap_err();
    let place = failure.diagnostics.iter().next().unwrap().path.to_string();
    assert_eq!(place, r#"config["tasks.max"]"#);
}

#[tokio::test]
async fn another_class_replaces_and_another_setting_does_not() {
    let other = |class: &str, tasks: &str| {
        let config = Value::map([(CLASS, class), ("tasks.max", tasks)]);
        declared().with("config", config)
    };
    let (change, _) = planned(Some(state()), &other("io.B", "1"), Private::default()).await;
    let places: Vec<_> = change
        .requires_replace()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(places, [r#"config["connector.class"]"#]);
    let (change, _) = planned(Some(state()), &other("io.A", "2"), Private::default()).await;
    assert!(change.requires_replace().is_empty());
}

#[tokio::test]
async fn a_silent_edit_of_secrets_becomes_an_update_that_sends_them() {
    let with = |password: &str| declared().with("config_wo", Value::map([("password", password)]));
    let keys: BTreeSet<String> = ["password".to_owned()].into();
    let mut private = Private::default();
    let (_, first) = planned(Some(state()), &with("one"), private.clone()).await;
    let mut remembered: Remembered = first.private.get(SECRETS).unwrap();
    remembered.keys = Some(keys);
    private.set(SECRETS, &remembered);
    let (same, cx) = planned(Some(state()), &with("one"), private.clone()).await;
    assert_eq!(
        (version(&same), cx.private.get(SEND)),
        (Some(3), Some(false))
    );
    let (edited, cx) = planned(Some(state()), &with("two"), private.clone()).await;
    assert_eq!(
        (version(&edited), cx.private.get(SEND)),
        (Some(4), Some(true))
    );
    let (gone, cx) = planned(Some(state()), &declared(), private).await;
    assert_eq!(
        (version(&gone), cx.private.get(SEND)),
        (Some(4), Some(true))
    );
}

#[tokio::test]
async fn with_a_version_nothing_derived_from_a_secret_is_kept() {
    let config = declared()
        .with("config_wo", Value::map([("password", "one")]))
        .with("config_wo_version", 1);
    let (_, cx) = planned(None, &config, Private::default()).await;
    let remembered: Remembered = cx.private.get(SECRETS).unwrap();
    assert_eq!(remembered.fingerprint, None);
    assert_eq!(cx.private.get(SEND), Some(true));
}

#[tokio::test]
async fn other_keys_under_the_same_version_are_remarked() {
    let state = state().with("config_wo_version", 1);
    let config = declared()
        .with("config_wo", Value::map([("password", "one")]))
        .with("config_wo_version", 1);
    let mut private = Private::default();
    private.set(
        SECRETS,
        Remembered {
            fingerprint: None,
            keys: Some(BTreeSet::new()),
        },
    );
    let (change, cx) = planned(Some(state), &config, private).await;
    assert_eq!(version(&change), Some(3));
    let remark = cx.diagnostics.iter().next().unwrap();
    assert_eq!(remark.path.to_string(), "config_wo_version");
}
