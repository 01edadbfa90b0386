//! Capacity, decisions and log delivery as a client sees them.

use super::testing::{Rig, read};
use http::Method;
use runnel_api::Name;
use runnel_api::scaling::{Evidence, HoldReason, ScalingDecision, Size, Verdict};
use serde_json::{Value, json};

fn sized(spec: &Value, worker_count: u32) -> Value {
    let mut spec = spec.clone();
    spec["capacity"]["provisioned"]["worker_count"] = worker_count.into();
    spec
}

async fn preview(rig: &Rig, name: &str, spec: &Value, assumed: Value) -> Vec<Value> {
    let path = format!("/api/v1/connectors/{name}/preview");
    let body = json!({"spec": spec, "assumed": assumed});
    let (status, answer) = read(rig.request(Method::POST, &path).json(&body)).await;
    assert_eq!(status, 200, "{answer}");
    let problems = answer["problems"].as_array().unwrap().clone();
    assert_eq!(
        answer["derived"].is_null(),
        !problems.is_empty(),
        "{answer}"
    );
    problems
}

#[tokio::test]
async fn what_does_not_fit_on_the_host_is_refused_at_plan_and_at_apply() {
    let rig = Rig::start().await;
    let spec = rig.put_neighbours().await;
    *rig.rooms.mcus.lock().unwrap() = Some(4);
    let put = async |name: &str, workers| {
        let body = json!({"spec": sized(&spec, workers)});
        rig.put(&format!("/api/v1/connectors/{name}"), &body).await
    };
    assert_eq!(put("a", 3).await.0, 201);

    let problems = preview(&rig, "b", &sized(&spec, 2), json!({})).await;
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0]["code"], "CAPACITY_EXCEEDED");
    assert_eq!(problems[0]["field"], "capacity");
    assert!(
        problems[0]["detail"]
            .as_str()
            .unwrap()
            .ends_with("others hold 3: a 3")
    );
    // With what the same run plans for the other one, it fits, or not even alone.
    let shrinks =
        json!({"capacities": {"a": {"provisioned": {"mcu_count": 1, "worker_count": 2}}}});
    assert!(
        preview(&rig, "b", &sized(&spec, 2), shrinks)
            .await
            .is_empty()
    );
    assert!(
        preview(&rig, "b", &sized(&spec, 2), json!({"destroyed": ["a"]}))
            .await
            .is_empty()
    );
    let more = json!({"capacities": {"c": {"provisioned": {"mcu_count": 1, "worker_count": 1}}}});
    assert_eq!(preview(&rig, "b", &sized(&spec, 1), more).await.len(), 1);

    let (status, body) = put("b", 2).await;
    assert_eq!((status, &body["code"]), (422, &json!("CAPACITY_EXCEEDED")));
    assert_eq!(rig.get("/api/v1/connectors/b").await.0, 404);
    let (_, capacity) = rig.get("/api/v1/capacity").await;
    assert_eq!(
        capacity,
        json!({"mcus": 4, "held": 3, "connectors": {"a": 3}})
    );

    // The same again, or less, is not refused when the limit was lowered; more is.
    *rig.rooms.mcus.lock().unwrap() = Some(1);
    assert_eq!(put("a", 3).await.0, 200);
    assert_eq!(put("a", 4).await.1["code"], "CAPACITY_EXCEEDED");
    assert_eq!(put("a", 2).await.0, 200);
    rig.end().await;
}

#[tokio::test]
async fn of_two_writes_that_fit_alone_but_not_together_one_is_refused() {
    let rig = Rig::start().await;
    let spec = rig.put_neighbours().await;
    *rig.rooms.mcus.lock().unwrap() = Some(3);
    let body = json!({"spec": sized(&spec, 2)});
    let (one, other) = tokio::join!(
        rig.put("/api/v1/connectors/a", &body),
        rig.put("/api/v1/connectors/b", &body)
    );
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 422]);
    // One that is being deleted holds nothing any more.
    let (first, second) = if one.0 == 201 { ("a", "b") } else { ("b", "a") };
    let path = format!("/api/v1/connectors/{first}");
    assert_eq!(read(rig.request(Method::DELETE, &path)).await.0, 200);
    let (status, _) = rig
        .put(&format!("/api/v1/connectors/{second}"), &body)
        .await;
    assert_eq!(status, 201);
    rig.end().await;
}

#[tokio::test]
async fn logs_go_only_where_the_daemon_has_a_place() {
    let rig = Rig::start().await;
    let spec = rig.put_neighbours().await;
    let with = |places: Value| {
        let mut spec = spec.clone();
        spec["log_delivery"] = json!({"worker_log_delivery": places});
        spec
    };
    let kafka = with(json!({
        "kafka": {"enabled": true, "topic": "logs"},
        "file": {"enabled": false},
    }));
    assert!(preview(&rig, "a", &kafka, json!({})).await.is_empty());
    let wrong = with(json!({"kafka": {"enabled": true, "topic": "__logs"}}));
    let problems = preview(&rig, "a", &wrong, json!({})).await;
    assert_eq!(
        problems[0]["field"],
        "log_delivery.worker_log_delivery.kafka.topic"
    );
    let file = with(json!({"file": {"enabled": true, "prefix": "a"}}));
    let problems = preview(&rig, "a", &file, json!({})).await;
    assert_eq!(
        problems[0]["field"],
        "log_delivery.worker_log_delivery.file"
    );
    assert!(
        problems[0]["detail"]
            .as_str()
            .unwrap()
            .contains("[log_delivery] directory")
    );
    let (_, info) = rig.get("/api/v1/info").await;
    assert_eq!(
        info["log_places"],
        json!({"file": false, "cloudwatch_logs": false})
    );
    rig.end().await;
}

#[tokio::test]
async fn decisions_are_answered_newest_first_as_many_as_asked_for() {
    let rig = Rig::start().await;
    let spec = rig.put_neighbours().await;
    let path = "/api/v1/connectors/orders/decisions";
    assert_eq!(rig.get(path).await.0, 404);
    rig.put("/api/v1/connectors/orders", &json!({"spec": spec}))
        .await;
    let name = Name::parse("orders").unwrap();
    for at_ms in 0..25 {
        let decision = ScalingDecision {
            at_ms,
            from: Size {
                workers: 1,
                mcu_count: 1,
            },
            verdict: Verdict::Hold {
                reason: HoldReason::CoolDown,
            },
            evidence: Evidence::default(),
        };
        rig.store.add_decision(&name, &decision).unwrap();
    }
    let (_, answer) = rig.get(path).await;
    let items = answer["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["at_ms"]), (20, &json!(24)));
    assert_eq!(items[0]["reason"], "COOL_DOWN");
    let (_, answer) = rig.get(&format!("{path}?limit=2")).await;
    assert_eq!(answer["items"].as_array().unwrap().len(), 2);
    for bad in ["0", "501", "x"] {
        assert_eq!(rig.get(&format!("{path}?limit={bad}")).await.0, 400);
    }
    rig.end().await;
}
