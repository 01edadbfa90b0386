//! The API as a client sees it.

use super::Limits;
use super::testing::{Rig, read};
use crate::store::Advance;
use futures_util::StreamExt as _;
use http::Method;
use runnel_api::{Name, Operation, OperationId, Outcome};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let rig = Rig::start().await;
    for path in [
        "/",
        "/api/v1/nothing",
        "/v1/connectors",
        "/api/v1/roles/a/b",
    ] {
        let (status, body) = rig.get(path).await;
        assert_eq!(
            (status, &body["code"]),
            (404, &json!("UNKNOWN_ENDPOINT")),
            "{path}"
        );
    }
    let (status, body) = read(rig.request(Method::PATCH, "/api/v1/roles/a")).await;
    assert_eq!((status, &body["code"]), (405, &json!("UNKNOWN_ENDPOINT")));
    let (status, body) = rig.get("/api/v1/roles/%ff").await;
    assert_eq!((status, &body["code"]), (400, &json!("INVALID_ARGUMENT")));
    let (status, body) = rig.get("/api/v1/roles/-x").await;
    assert_eq!((status, &body["field"]), (400, &json!("name")));
    let (status, body) = rig.get("/api/v1/roles?limit=0").await;
    assert_eq!((status, &body["code"]), (400, &json!("INVALID_ARGUMENT")));
    let (status, body) = rig.get("/api/v1/roles?limt=1").await;
    assert_eq!((status, &body["code"]), (400, &json!("INVALID_ARGUMENT")));
    rig.end().await;
}

#[tokio::test]
async fn bodies_are_refused_with_the_reason() {
    let rig = Rig::start().await;
    let put = |body: String, content_type: &'static str| {
        rig.request(Method::PUT, "/api/v1/kafka-clusters/shop")
            .header("content-type", content_type)
            .body(body)
    };
    let (status, body) = read(put("{}".to_owned(), "text/plain")).await;
    assert_eq!((status, &body["code"]), (415, &json!("INVALID_ARGUMENT")));
    let (status, body) = read(put("{".to_owned(), "application/json")).await;
    assert_eq!((status, &body["code"]), (400, &json!("INVALID_ARGUMENT")));
    let wrong_type = json!({"spec": {"bootstrap_servers": 1}}).to_string();
    let (status, body) = read(put(wrong_type, "application/json; charset=utf-8")).await;
    assert_eq!((status, &body["field"]), (400, &json!("bootstrap_servers")));
    let huge = json!({"spec": {"bootstrap_servers": "a".repeat(1 << 20)}}).to_string();
    let (status, body) = read(put(huge, "application/json")).await;
    assert_eq!((status, &body["code"]), (413, &json!("TOO_LARGE")));
    rig.end().await;
}

#[tokio::test]
async fn specifications_are_checked_before_anything_is_stored() {
    let rig = Rig::start().await;
    let long = "x".repeat(1025);
    for (path, spec, code, field) in [
        (
            "kafka-clusters/a",
            json!({"bootstrap_servers": "nowhere"}),
            "INVALID_ARGUMENT",
            "bootstrap_servers",
        ),
        (
            "kafka-clusters/a",
            json!({"bootstrap_servers": "127.0.0.1:1", "encryption_in_transit": {"type": "TLS"}}),
            "KAFKA_UNREACHABLE",
            "bootstrap_servers",
        ),
        (
            "kafka-clusters/a",
            json!({"bootstrap_servers": "a:1", "client_authentication": {"type": "AWS_MSK_IAM"}}),
            "INVALID_ARGUMENT",
            "encryption_in_transit.type",
        ),
        (
            "worker-configurations/a",
            json!({"properties": {"key.converter": "x"}}),
            "INVALID_ARGUMENT",
            "properties[\"value.converter\"]",
        ),
        (
            "worker-configurations/a",
            json!({"description": long, "properties": {}}),
            "INVALID_ARGUMENT",
            "description",
        ),
        (
            "roles/a",
            json!({"policies": {"bad": "{}"}}),
            "INVALID_POLICY",
            "policies[\"bad\"]",
        ),
        (
            "plugins/a",
            json!({"sha256": "0".repeat(64)}),
            "MISSING_REFERENCE",
            "source",
        ),
        (
            "plugins/a",
            json!({"sha256": "0"}),
            "INVALID_ARGUMENT",
            "sha256",
        ),
    ] {
        let path = format!("/api/v1/{path}");
        let (status, body) = rig.put(&path, &json!({"spec": spec})).await;
        assert!(status >= 400 && status != 500, "{body}");
        assert_eq!(
            (&body["code"], &body["field"]),
            (&json!(code), &json!(field)),
            "{body}"
        );
        assert_eq!(rig.get(&path).await.0, 404);
    }
    let secret = json!({"spec": {"bootstrap_servers": "a:1"}, "secrets": {"password": "x"}});
    let (status, body) = rig.put("/api/v1/kafka-clusters/a", &secret).await;
    assert_eq!((status, &body["code"]), (400, &json!("INVALID_ARGUMENT")));
    assert_eq!(rig.rooms.wakes.load(Ordering::SeqCst), 0);
    rig.end().await;
}

#[tokio::test]
async fn a_connector_lives_from_put_to_delete() {
    let rig = Rig::start().await;
    let spec = rig.put_neighbours().await;
    let path = "/api/v1/connectors/orders";
    let (_, before) = rig.get("/api/v1/identity/connector/orders").await;
    let body = json!({"spec": spec, "secrets": {"database.password": "correct-horse"}});
    let create = rig
        .request(Method::PUT, path)
        .header("if-none-match", "*")
        .json(&body);
    let (status, created) = read(create).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(created["object"]["id"], before["next"]["id"]);
    assert_eq!(created["operation"]["outcome"], "PENDING");
    assert_eq!(
        created["object"]["status"]["secret_keys"],
        json!(["database.password"])
    );
    let effective = &created["object"]["status"]["derived"]["effective_config"];
    assert_eq!(effective["database.password"], "***");
    assert!(!created.to_string().contains("correct-horse"));

    let (status, again) = rig.put(path, &body).await;
    assert_eq!((status, &again["operation"]), (200, &created["operation"]));
    let wakes = rig.rooms.wakes.load(Ordering::SeqCst);
    rig.put(path, &body).await;
    assert_eq!(rig.rooms.wakes.load(Ordering::SeqCst), wakes);

    let stale = rig
        .request(Method::PUT, path)
        .header("if-match", "7")
        .json(&body);
    let (status, stale) = read(stale).await;
    assert_eq!(
        (status, &stale["code"]),
        (412, &json!("GENERATION_CONFLICT"))
    );
    let response = rig.request(Method::GET, path).send().await.unwrap();
    assert_eq!(response.headers()["etag"], "\"1\"");

    let (status, used) = read(rig.request(Method::DELETE, "/api/v1/roles/reader")).await;
    assert_eq!((status, &used["code"]), (409, &json!("IN_USE")));
    let (status, deleted) = read(rig.request(Method::DELETE, path)).await;
    assert_eq!(status, 200);
    let id = deleted["operation"]["id"].as_str().unwrap();
    let (_, object) = rig.get(path).await;
    assert_eq!(
        (&object["deleting"], &object["status"]["state"]),
        (&json!(true), &json!("DELETING"))
    );
    let (status, busy) = rig.put(path, &body).await;
    assert_eq!(
        (status, &busy["code"]),
        (409, &json!("OPERATION_IN_PROGRESS"))
    );
    let id = OperationId(id.parse().unwrap());
    let name = Name::parse("orders").unwrap();
    rig.store.finish_delete(&name, id, Vec::new()).unwrap();
    assert_eq!(rig.get(path).await.0, 404);
    let (_, listed) = rig
        .get("/api/v1/operations?kind=connector&name=orders")
        .await;
    assert_eq!(listed["items"][0]["outcome"], "SUCCEEDED");
    assert_eq!(listed["items"][1]["outcome"], "SUPERSEDED");
    let (status, role) = read(rig.request(Method::DELETE, "/api/v1/roles/reader")).await;
    assert_eq!(
        (status, &role["operation"]["outcome"]),
        (200, &json!("SUCCEEDED"))
    );
    rig.end().await;
}

#[tokio::test]
async fn a_preview_resolves_what_is_planned_and_stores_nothing() {
    let rig = Rig::start().await;
    let mut spec = rig.put_neighbours().await;
    spec["kafka_cluster"] = json!("new");
    let path = "/api/v1/connectors/orders/preview";
    let preview = |body: Value| read(rig.request(Method::POST, path).json(&body));
    let (status, body) = preview(json!({"spec": spec})).await;
    assert_eq!(status, 200);
    assert_eq!(body["problems"][0]["field"], "kafka_cluster");
    let assumed = json!({"kafka_clusters": {"new": {"bootstrap_servers": "b:2"}}});
    let keys = json!(["database.password"]);
    let (_, body) = preview(json!({"spec": spec, "assumed": assumed, "secret_keys": keys})).await;
    let effective = &body["derived"]["effective_config"];
    assert_eq!(
        (&effective["servers"], &effective["database.password"]),
        (&json!("b:2"), &json!("***"))
    );
    spec["kafka_cluster"] = json!("shop");
    spec["capacity"] = json!({"provisioned": {"mcu_count": 3, "worker_count": 1}});
    spec["plugins"] = json!([]);
    let (_, body) = preview(json!({"spec": spec})).await;
    let fields: Vec<_> = body["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["field"])
        .collect();
    assert_eq!(fields, ["capacity.provisioned.mcu_count", "plugins"]);
    assert_eq!(rig.get("/api/v1/connectors/orders").await.0, 404);
    rig.end().await;
}

#[tokio::test]
async fn a_put_refuses_what_the_deriver_refuses_and_survives_its_panic() {
    let rig = Rig::start().await;
    let mut spec = rig.put_neighbours().await;
    spec["config"]["connector.class"] = json!("refuse");
    let (status, body) = rig
        .put("/api/v1/connectors/orders", &json!({"spec": spec}))
        .await;
    assert_eq!(
        (status, &body["field"]),
        (422, &json!("config[\"connector.class\"]"))
    );
    spec["config"]["connector.class"] = json!("panic");
    let (status, body) = rig
        .put("/api/v1/connectors/orders", &json!({"spec": spec}))
        .await;
    assert_eq!((status, &body["code"]), (500, &json!("INTERNAL")));
    spec["config"]["connector.class"] = json!("fine");
    let (status, _) = rig
        .put("/api/v1/connectors/orders", &json!({"spec": spec}))
        .await;
    assert_eq!(status, 201);
    rig.end().await;
}

#[tokio::test]
async fn lists_are_paged() {
    let rig = Rig::start().await;
    for number in 0..3 {
        let spec = json!({"spec": {"bootstrap_servers": "a:1"}});
        rig.put(&format!("/api/v1/kafka-clusters/c{number}"), &spec)
            .await;
    }
    let (_, first) = rig.get("/api/v1/kafka-clusters?limit=2").await;
    assert_eq!(
        (first["items"].as_array().unwrap().len(), &first["next"]),
        (2, &json!("c1"))
    );
    let (_, last) = rig.get("/api/v1/kafka-clusters?limit=2&after=c1").await;
    assert_eq!(
        (&last["items"][0]["name"], last.get("next")),
        (&json!("c2"), None)
    );
    rig.end().await;
}

#[tokio::test]
async fn a_long_poll_ends_with_the_operation_or_with_the_daemon() {
    let rig = Rig::start().await;
    let spec = rig.put_neighbours().await;
    let (_, put) = rig
        .put("/api/v1/connectors/orders", &json!({"spec": spec}))
        .await;
    let operation: Operation = serde_json::from_value(put["operation"].clone()).unwrap();
    let path = format!("/api/v1/operations/{}?wait=60", operation.id);
    let waiting = tokio::spawn(read(rig.request(Method::GET, &path)));
    rig.store
        .update_operation(operation.id, Advance::succeeded())
        .unwrap();
    let (_, ended) = waiting.await.unwrap();
    assert_eq!(ended["outcome"], "SUCCEEDED");

    let (status, restart) =
        read(rig.request(Method::POST, "/api/v1/connectors/orders/restart")).await;
    assert_eq!((status, &restart["kind"]), (202, &json!("RESTART")));
    let path = format!(
        "/api/v1/operations/{}?wait=60",
        restart["id"].as_str().unwrap()
    );
    let request = rig.request(Method::GET, &path);
    let waiting = tokio::spawn(read(request));
    let none = rig
        .get(&format!("/api/v1/operations/{}", uuid::Uuid::nil()))
        .await;
    assert_eq!(none.0, 404);
    rig.end().await;
    let (status, body) = waiting.await.unwrap();
    assert_eq!((status, &body["outcome"]), (200, &json!(Outcome::Pending)));
}

#[tokio::test]
async fn health_info_and_shutdown_answer() {
    let rig = Rig::start().await;
    let health = rig.bare(Method::GET, "/healthz").send().await.unwrap();
    assert_eq!(health.text().await.unwrap(), "ok\n");
    let (_, info) = rig.get("/api/v1/info").await;
    assert_eq!(info["api_version"], 1);
    assert_eq!(info["daemon"], json!(rig.store.daemon()));
    let body = json!({"stop_workers": true});
    let (status, _) = read(rig.request(Method::POST, "/api/v1/shutdown").json(&body)).await;
    assert_eq!(status, 202);
    assert_eq!(*rig.rooms.stops.lock().unwrap(), [true]);
    let written = std::fs::read_to_string(rig.folder.path().join("data/address")).unwrap();
    assert_eq!(written.trim(), rig.address.to_string());
    rig.end().await;
}

#[tokio::test]
async fn logs_are_read_and_followed() {
    let rig = Rig::start().await;
    assert_eq!(rig.get("/api/v1/connectors/orders/logs").await.0, 404);
    let folder = rig.folder.path().to_owned();
    std::fs::write(folder.join("orders.log"), "one\ntwo\n").unwrap();
    *rig.rooms.log_folder.lock().unwrap() = Some(folder.clone());
    // The connector is gone, its log is not.
    let (status, text) = rig.get("/api/v1/connectors/orders/logs?tail=1").await;
    assert_eq!((status, text), (200, json!("two\n")));
    let path = "/api/v1/connectors/orders/logs?tail=0&follow=true";
    let following = rig.request(Method::GET, path).send().await.unwrap();
    let mut stream = following.bytes_stream();
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(folder.join("orders.log"))
        .unwrap();
    std::io::Write::write_all(&mut file, b"three\n").unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), "three\n");
    rig.end().await;
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn logs_are_filtered_here_and_odd_filters_are_refused() {
    let rig = Rig::start().await;
    let folder = rig.folder.path().to_owned();
    let text = "[2026-11-22T17:00:01.000Z] INFO fine (x)\n\
                [2026-11-22T17:00:02.000Z] ERROR bad never-shown (x)\n\tat y\n";
    std::fs::write(folder.join("orders.log"), text).unwrap();
    *rig.rooms.log_folder.lock().unwrap() = Some(folder);
    let path = |query: &str| format!("/api/v1/connectors/orders/logs?{query}");
    let bad = json!("[2026-11-22T17:00:02.000Z] ERROR bad *** (x)\n\tat y\n");
    for query in [
        "level=warn",
        "grep=at.y",
        "since=2026-11-22T17:00:02Z",
        "worker=w&level=ERROR&tail=1",
    ] {
        assert_eq!(rig.get(&path(query)).await, (200, bad.clone()), "{query}");
    }
    for (query, field) in [
        ("level=loud", json!("level")),
        ("grep=%28", json!("grep")),
        ("since=soon", json!("since")),
        ("tail=10001", json!(null)),
        ("colour=red", json!(null)),
    ] {
        let (status, problem) = rig.get(&path(query)).await;
        assert_eq!((status, &problem["field"]), (400, &field), "{problem}");
        assert_eq!(problem["code"], "INVALID_ARGUMENT");
    }
    assert_eq!(rig.get(&path("worker=w2")).await.0, 404);
    rig.end().await;
}

#[tokio::test]
async fn a_slow_client_is_cut_off() {
    let limits = Limits {
        header_timeout: Duration::from_millis(50),
        body_timeout: Duration::from_millis(50),
        connections_max: 1,
        ..Limits::default()
    };
    let rig = Rig::with_limits(limits).await;
    // Half a request head: the connection is closed, and the only place is free again.
    let mut slow = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nho")
        .await
        .unwrap();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest).await;
    // Half a body.
    let mut slow = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    let head = format!(
        "PUT /api/v1/roles/a HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 10\r\n\r\n{{",
        rig.token
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
    drop(slow);
    assert_eq!(rig.get("/api/v1/info").await.0, 200);
    rig.end().await;
}
