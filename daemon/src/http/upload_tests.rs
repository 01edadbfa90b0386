//! Contents of plugins on their way in and out.

use super::Limits;
use super::testing::{Rig, read};
use crate::store::now_ms;
use http::Method;
use runnel_api::plugin::Sha256Hex;
use serde_json::{Value, json};

const HOUR_MS: u64 = 3_600_000;

async fn upload(rig: &Rig, body: impl Into<reqwest::Body>, promised: Option<&str>) -> (u16, Value) {
    let mut request = rig
        .request(Method::POST, "/api/v1/plugins/mysql/content")
        .header("content-type", "application/zip");
    if let Some(promised) = promised {
        request = request.header("x-content-sha256", promised);
    }
    read(request.body(body)).await
}

fn streamed(chunks: usize, size: usize) -> reqwest::Body {
    let chunk = move |index| {
        let mut bytes = vec![b'x'; size];
        if index == 0 {
            bytes[..2].copy_from_slice(b"PK");
        }
        Ok::<_, std::io::Error>(bytes)
    };
    reqwest::Body::wrap_stream(futures_util::stream::iter((0..chunks).map(chunk)))
}

#[tokio::test]
async fn what_arrives_is_staged_and_can_be_asked_for() {
    let rig = Rig::start().await;
    let sha256 = Sha256Hex::of_bytes(b"PK one");
    let path = format!("/api/v1/plugins/mysql/content/{sha256}");
    assert_eq!(rig.get(&path).await.0, 404);
    let (status, staged) = upload(&rig, "PK one", Some(sha256.as_str())).await;
    assert_eq!((status, &staged["sha256"]), (200, &json!(sha256)));
    assert_eq!(rig.get(&path).await, (200, staged));
    let (status, big) = upload(&rig, streamed(64, 64 << 10), None).await;
    assert_eq!((status, &big["found"]["size"]), (200, &json!(4 << 20)));
    rig.end().await;
}

#[tokio::test]
async fn wrong_bytes_are_refused_and_nothing_is_staged() {
    let rig = Rig::start().await;
    let promised = "0".repeat(64);
    let (status, body) = upload(&rig, "PK one", Some(&promised)).await;
    assert_eq!((status, &body["code"]), (422, &json!("CHECKSUM_MISMATCH")));
    let (status, body) = upload(&rig, "PK one", Some("zero")).await;
    assert_eq!((status, &body["field"]), (400, &json!("sha256")));
    // Refused at the first bytes of a long upload: the client still gets the answer.
    let (status, body) = upload(&rig, vec![b'x'; 8 << 20], None).await;
    assert_eq!((status, &body["code"]), (422, &json!("BAD_ARCHIVE")));
    let wrong_type = rig
        .request(Method::POST, "/api/v1/plugins/mysql/content")
        .header("content-type", "application/json")
        .body("{}");
    assert_eq!(read(wrong_type).await.0, 415);
    assert!(rig.rooms.contents.lock().unwrap().is_empty());
    assert!(rig.store.unneeded_contents(u64::MAX).unwrap().is_empty());
    rig.end().await;
}

#[tokio::test]
async fn an_upload_has_a_limit_with_and_without_a_length() {
    let limits = Limits {
        content_max: 100_000,
        ..Limits::default()
    };
    let rig = Rig::with_limits(limits).await;
    let (status, body) = upload(&rig, vec![b'P'; 100_001], None).await;
    assert_eq!((status, &body["code"]), (413, &json!("TOO_LARGE")));
    let (status, body) = upload(&rig, streamed(11, 10_000), None).await;
    assert_eq!((status, &body["code"]), (413, &json!("TOO_LARGE")));
    assert_eq!(body["field"], "source");
    let (status, _) = upload(&rig, streamed(10, 10_000), None).await;
    assert_eq!(status, 200);
    rig.end().await;
}

#[tokio::test]
async fn the_sweep_takes_what_nobody_refers_to_after_an_hour() {
    let rig = Rig::start().await;
    upload(&rig, "PK stray", None).await;
    rig.put_neighbours().await;
    let in_an_hour = now_ms() + HOUR_MS;
    assert_eq!(rig.api.sweep(now_ms()).await.unwrap(), 0);
    assert_eq!(rig.api.sweep(in_an_hour + 60_000).await.unwrap(), 1);
    let kept: Vec<_> = rig.rooms.contents.lock().unwrap().keys().cloned().collect();
    assert_eq!(kept, [Sha256Hex::of_bytes(b"PK one")]);
    let gone = read(rig.request(Method::DELETE, "/api/v1/plugins/mysql")).await;
    assert_eq!(gone.0, 200);
    assert_eq!(rig.api.sweep(in_an_hour + 60_000).await.unwrap(), 1);
    assert!(rig.rooms.contents.lock().unwrap().is_empty());
    rig.end().await;
}
