//! Against a real server of the API: moto, by `tests/rig/rig up DIR --moto`.

use super::*;
use crate::logs::Record;
use std::os::unix::fs::PermissionsExt as _;

struct Ground {
    folder: tempfile::TempDir,
    server: CloudWatchLogs,
}

impl Ground {
    async fn new() -> Self {
        let endpoint = tokio::task::spawn_blocking(crate::rig::moto).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "any-secret-will-do").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let server = CloudWatchLogs {
            endpoint,
            region: "us-east-1".to_owned(),
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key_file: file,
        };
        Self { folder, server }
    }

    fn place(&self, group: &str) -> CloudWatchPlace {
        CloudWatchPlace::new(self.server.clone(), group.to_owned(), "orders".to_owned())
    }

    async fn ask(&self, action: &str, body: Value) -> Value {
        let secret = Secret::new("any-secret-will-do");
        call(&self.server, &secret, action, &body).await.unwrap()
    }

    async fn messages(&self, group: &str, worker: &str) -> Vec<String> {
        let body = json!({
            "logGroupName": group, "logStreamName": format!("orders/{worker}"),
            "startFromHead": true, "limit": 10_000,
        });
        let answer = self.ask("GetLogEvents", body).await;
        let events = answer["events"].as_array().cloned().unwrap_or_default();
        events
            .iter()
            .map(|event| event["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

fn entry(worker: &str, time_ms: i64, text: &str) -> Entry {
    Entry {
        worker: worker.into(),
        time_ms,
        record: Record {
            time_ms: Some(time_ms),
            level: None,
            text: text.to_owned(),
            is_whole: true,
            end: 0,
        },
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[tokio::test]
async fn each_worker_gets_a_stream_in_the_order_of_time() {
    let ground = Ground::new().await;
    let now = now_ms();
    let mut place = ground.place("of-order");
    let entries = [
        entry("w-1", now + 2, "two"),
        entry("w-2", now, "other\n\tat x"),
        entry("w-1", now + 1, "one"),
    ];
    let taken = place.deliver(&entries).await.unwrap();
    assert_eq!((taken.delivered, taken.refused), (3, 0));
    assert_eq!(ground.messages("of-order", "w-1").await, ["one", "two"]);
    assert_eq!(ground.messages("of-order", "w-2").await, ["other\n\tat x"]);
    // A new daemon finds group and stream made.
    let mut place = ground.place("of-order");
    place
        .deliver(&[entry("w-1", now + 3, "three")])
        .await
        .unwrap();
    let all = ground.messages("of-order", "w-1").await;
    assert_eq!(all, ["one", "two", "three"]);
}

#[tokio::test]
async fn a_big_batch_is_cut_into_requests_that_are_taken() {
    let ground = Ground::new().await;
    let now = now_ms();
    let entries: Vec<Entry> = (0..12_000)
        .map(|n| entry("w-1", now + n, &format!("{n} {}", "x".repeat(100))))
        .collect();
    let taken = ground.place("of-size").deliver(&entries).await.unwrap();
    assert_eq!(taken.delivered, 12_000);
}

#[tokio::test]
async fn events_that_are_too_old_are_counted_and_hold_up_nothing() {
    let ground = Ground::new().await;
    let now = now_ms();
    let old = now - 20 * 86_400_000;
    let entries = [entry("w-1", old, "old"), entry("w-1", now, "new")];
    let taken = ground.place("of-age").deliver(&entries).await.unwrap();
    assert_eq!((taken.delivered, taken.refused), (1, 1));
    assert!(taken.reason.unwrap().contains("age"));
    assert_eq!(ground.messages("of-age", "w-1").await, ["new"]);
}

#[tokio::test]
async fn a_group_that_was_deleted_is_made_again() {
    let ground = Ground::new().await;
    let mut place = ground.place("of-deletion");
    place.deliver(&[entry("w-1", now_ms(), "a")]).await.unwrap();
    ground
        .ask("DeleteLogGroup", json!({"logGroupName": "of-deletion"}))
        .await;
    let batch = [entry("w-1", now_ms(), "b")];
    let error = place.deliver(&batch).await.unwrap_err();
    assert!(matches!(error, PlaceError::Away(_)), "{error}");
    place.deliver(&batch).await.unwrap();
    assert_eq!(ground.messages("of-deletion", "w-1").await, ["b"]);
}

#[tokio::test]
async fn a_bad_name_and_an_open_secret_stop_with_their_reason() {
    let ground = Ground::new().await;
    let batch = [entry("w-1", now_ms(), "a")];
    let error = ground.place("x".repeat(600).as_str()).deliver(&batch).await;
    assert!(matches!(error, Err(PlaceError::Refused(_))), "{error:?}");
    let file = ground.folder.path().join("secret");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = ground
        .place("of-secrets")
        .deliver(&batch)
        .await
        .unwrap_err();
    assert!(matches!(error, PlaceError::Refused(reason) if reason.contains("chmod 600")));
}
