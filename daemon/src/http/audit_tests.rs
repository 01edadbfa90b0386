//! What the audit log holds of requests, and what it must not.

use super::Limits;
use super::testing::{Rig, read};
use crate::store::AuditFilter;
use http::Method;
use runnel_api::audit::{Actor, AuditEntry, FieldChange};
use runnel_api::object::Generation;
use runnel_api::token::{CreateToken, TokenRole};
use runnel_api::{ErrorCode, Kind, Name};
use serde_json::{Value, json};

/// All records, oldest first.
fn records(rig: &Rig) -> Vec<AuditEntry> {
    let all = AuditFilter {
        limit: usize::MAX,
        ..AuditFilter::default()
    };
    let mut records = rig.store.audit_records(&all).unwrap();
    records.reverse();
    assert_eq!(rig.store.verify_audit().unwrap().fault, None);
    records.into_iter().map(|record| record.entry).collect()
}

fn last(rig: &Rig) -> AuditEntry {
    records(rig).pop().unwrap()
}

fn changed(entry: &AuditEntry) -> Vec<&str> {
    let fields = entry.changes.iter();
    fields.map(|change| change.field.as_str()).collect()
}

#[tokio::test]
async fn each_change_has_a_record_of_who_what_and_what_is_different_without_secrets() {
    let rig = Rig::start().await;
    let mut spec = rig.put_neighbours().await;
    let actions: Vec<String> = records(&rig).into_iter().map(|it| it.action).collect();
    assert_eq!(
        actions,
        [
            "PUT /api/v1/kafka-clusters/shop",
            "PUT /api/v1/roles/reader",
            "POST /api/v1/plugins/mysql/content",
            "PUT /api/v1/plugins/mysql",
        ]
    );
    let ci = rig.token("ci", TokenRole::Operator, &[]);
    let path = "/api/v1/connectors/orders";
    let put = |spec: &Value| {
        let secrets = json!({"database.password": "canary-correct-horse"});
        let request = rig.bare(Method::PUT, path).bearer_auth(&ci);
        read(request.json(&json!({"spec": spec, "secrets": secrets})))
    };
    assert_eq!(put(&spec).await.0, 201);
    let created = last(&rig);
    assert_eq!(
        (created.kind, created.name.as_ref().map(Name::as_str)),
        (Some(Kind::Connector), Some("orders"))
    );
    assert_eq!((created.status, created.code), (Some(201), None));
    assert_eq!(created.generation_before, None);
    assert_eq!(created.generation_after, Some(Generation(1)));
    assert_eq!(created.secret_keys, ["database.password"]);
    assert_eq!(created.peer.as_deref(), Some("127.0.0.1"));
    assert!(changed(&created).contains(&"config[\"connector.class\"]"));
    let Actor::Token { name, role, .. } = &created.actor else {
        panic!("{created:?}");
    };
    assert_eq!((name.as_str(), *role), ("ci", TokenRole::Operator));

    spec["config"]["connector.class"] = json!("y");
    assert_eq!(put(&spec).await.0, 200);
    let updated = last(&rig);
    let change = FieldChange {
        field: "config[\"connector.class\"]".to_owned(),
        before: Some(json!("x")),
        after: Some(json!("y")),
    };
    assert_eq!(updated.changes, [change]);
    assert_eq!(
        (updated.generation_before, updated.generation_after),
        (Some(Generation(1)), Some(Generation(2)))
    );
    let stale = rig.request(Method::PUT, path).header("if-match", "9");
    read(stale.json(&json!({"spec": spec}))).await;
    let refused = last(&rig);
    assert_eq!(refused.code, Some(ErrorCode::GenerationConflict));
    assert_eq!((refused.status, changed(&refused).len()), (Some(412), 0));

    read(rig.request(Method::DELETE, path)).await;
    let deleted = last(&rig);
    assert_eq!(deleted.generation_before, Some(Generation(2)));
    assert!(changed(&deleted).contains(&"kafka_cluster"));
    assert_eq!(deleted.generation_after, None);

    let count = records(&rig).len();
    rig.get(path).await;
    let preview = rig.request(Method::POST, &format!("{path}/preview"));
    read(preview.json(&json!({"spec": spec}))).await;
    assert_eq!(records(&rig).len(), count, "reading leaves no record");
    let all = format!("{:?}", records(&rig));
    assert!(!all.contains("canary") && !all.contains(&ci));
    rig.end().await;
}

#[tokio::test]
async fn tokens_are_recorded_without_their_texts_and_refusals_with_their_reason() {
    let rig = Rig::start().await;
    let asked = json!({"name": "ci", "role": "viewer"});
    let (_, made) = read(rig.request(Method::POST, "/api/v1/tokens").json(&asked)).await;
    let token = made["token"].as_str().unwrap().to_owned();
    let created = last(&rig);
    assert_eq!(created.name.as_ref().map(Name::as_str), Some("ci"));
    assert!(changed(&created).contains(&"role"));

    let delete = "/api/v1/roles/reader";
    let bare = |token: &str| rig.bare(Method::DELETE, delete).bearer_auth(token);
    assert_eq!(read(bare(&token)).await.0, 403);
    let refused = last(&rig);
    assert_eq!(refused.code, Some(ErrorCode::Forbidden));
    assert!(matches!(refused.actor, Actor::Token { .. }));
    assert_eq!(read(bare("rnl_wrong-canary")).await.0, 401);
    let refused = last(&rig);
    assert_eq!(refused.status, Some(401));
    assert_eq!(refused.actor, Actor::Stranger);

    let old = CreateToken {
        name: Name::parse("old").unwrap(),
        role: TokenRole::Admin,
        expires_seconds: Some(1),
        pass_roles: Vec::new(),
    };
    let old = rig.store.create_token(&old, 0).unwrap();
    assert_eq!(read(bare(old.token.expose())).await.0, 401);
    let refused = last(&rig);
    assert_eq!(refused.detail.as_deref(), Some("the token old has expired"));

    read(rig.request(Method::DELETE, "/api/v1/tokens/ci")).await;
    let revoked = last(&rig);
    assert_eq!(revoked.name.as_ref().map(Name::as_str), Some("ci"));
    let all = format!("{:?}", records(&rig));
    assert!(!all.contains(&token) && !all.contains("canary"), "{all}");
    rig.end().await;
}

#[tokio::test]
async fn refusals_do_not_push_changes_out() {
    let limits = Limits {
        failures_max: u32::MAX,
        ..Limits::default()
    };
    let rig = Rig::with_limits(limits).await;
    for _ in 0..70 {
        let wrong = rig.bare(Method::DELETE, "/api/v1/roles/reader");
        assert_eq!(read(wrong).await.0, 401);
    }
    assert_eq!(records(&rig).len(), 60);
    rig.end().await;
}

#[tokio::test]
async fn the_log_is_read_by_pages_and_filters_and_checked() {
    let rig = Rig::start().await;
    rig.put_neighbours().await;
    let (_, first) = rig.get("/api/v1/audit?limit=3&since=1h").await;
    assert_eq!(first["items"][0]["number"], 4);
    let next = first["next"].as_str().unwrap();
    let (_, rest) = rig.get(&format!("/api/v1/audit?before={next}")).await;
    assert_eq!(rest["items"][0]["number"], 1);
    assert_eq!(rest["next"], Value::Null);
    let (_, about) = rig.get("/api/v1/audit?name=reader&token=root").await;
    assert_eq!(about["items"].as_array().unwrap().len(), 1);
    assert_eq!(about["items"][0]["kind"], "role");
    for query in [
        "limit=0",
        "limit=1001",
        "since=soon",
        "name=-",
        "colour=red",
    ] {
        let (status, body) = rig.get(&format!("/api/v1/audit?{query}")).await;
        assert_eq!((status, &body["code"]), (400, &json!("INVALID_ARGUMENT")));
    }
    let (_, verdict) = rig.get("/api/v1/audit/verification").await;
    assert_eq!(
        (&verdict["last"], &verdict["fault"]),
        (&json!(4), &Value::Null)
    );
    rig.end().await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_change_without_a_record() {
    use tokio::io::AsyncWriteExt as _;
    let rig = Rig::start().await;
    let body = json!({"spec": {"bootstrap_servers": "a:1"}}).to_string();
    let head = format!(
        "PUT /api/v1/kafka-clusters/shop HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        rig.token,
        body.len()
    );
    let mut changes = rig.store.changes();
    let mut stream = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let name = Name::parse("shop").unwrap();
    let is_there = || {
        let kind = rig
            .store
            .get::<runnel_api::kafka_cluster::KafkaClusterSpec>(&name);
        kind.unwrap().is_some()
    };
    while !is_there() {
        changes.changed().await.unwrap();
    }
    drop(stream);
    while records(&rig).is_empty() {
        changes.changed().await.unwrap();
    }
    assert_eq!(last(&rig).status, Some(201));
    rig.end().await;
}
