//! `GET /metrics` as Prometheus sees it.

use super::Limits;
use super::testing::{Rig, read};
use http::Method;

#[tokio::test]
async fn metrics_want_a_token_unless_they_are_configured_open_and_count_by_route() {
    let rig = Rig::start().await;
    assert_eq!(read(rig.bare(Method::GET, "/metrics")).await.0, 401);
    rig.get("/api/v1/connectors/no-such").await;
    let answer = rig.request(Method::GET, "/metrics").send().await.unwrap();
    let kind = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(kind, "text/plain; version=0.0.4");
    let text = answer.text().await.unwrap();
    for line in [
        r#"runnel_http_requests_total{method="GET",route="/metrics",status="401"} 1"#,
        r#"runnel_http_requests_total{method="GET",route="/api/v1/connectors/{name}",status="404"} 1"#,
        r#"runnel_connectors{state="running"} 0"#,
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(!text.contains("no-such"), "{text}");
    rig.end().await;

    let open = Rig::with(Limits::default(), true).await;
    let answer = open.bare(Method::GET, "/metrics").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(read(open.bare(Method::GET, "/api/v1/info")).await.0, 401);
    open.end().await;
}
