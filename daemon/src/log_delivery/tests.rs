//! What is wanted follows from specifications; deliverers follow what is wanted.

use super::*;
use crate::fleet::Redactor;
use crate::http::testing::Rig;
use runnel_api::server::LogPlaces;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

/// Logs in a folder, one file for each worker.
struct Files(Mutex<Vec<WorkerLog>>);

impl WorkerLogs for Files {
    fn of(&self, _connector: &Name) -> Vec<WorkerLog> {
        self.0.lock().unwrap().clone()
    }

    fn redactor(&self, _connector: &Name) -> Redactor {
        Redactor::new(["hunter2-long"])
    }
}

struct Ground {
    rig: Rig,
    files: Arc<Files>,
    deliveries: Deliveries,
    end: CancellationToken,
    task: Option<JoinHandle<()>>,
    spec: Value,
}

impl Ground {
    async fn new() -> Self {
        let rig = Rig::start().await;
        // As if the daemon had both, so that specifications are accepted.
        *rig.rooms.log_places.lock().unwrap() = LogPlaces {
            file: true,
            cloudwatch_logs: true,
        };
        let spec = rig.put_neighbours().await;
        let folder = rig.folder.path().join("logs");
        std::fs::create_dir(&folder).unwrap();
        let log = WorkerLog {
            worker: "w-1".to_owned(),
            file: folder.join("worker.log"),
            is_live: true,
        };
        let mut ground = Self {
            rig,
            files: Arc::new(Files(Mutex::new(vec![log]))),
            deliveries: Deliveries::default(),
            end: CancellationToken::new(),
            task: None,
            spec,
        };
        ground.start();
        ground
    }

    fn start(&mut self) {
        self.end = CancellationToken::new();
        let parts = Parts {
            store: self.rig.store.clone(),
            logs: self.files.clone(),
            settings: Settings {
                directory: Some(self.delivered()),
                records_per_second: 1_000,
                bytes_per_second: 1 << 20,
                cloudwatch_logs: None,
            },
            keep: Keep {
                bytes: 1 << 30,
                age: Duration::from_hours(24),
            },
            worker_bytes: 1 << 20,
            data_dir: self.rig.folder.path().join("data"),
            kafka_timeout: Duration::from_secs(1),
            deliveries: self.deliveries.clone(),
        };
        self.task = Some(tokio::spawn(run(parts, self.end.clone())));
    }

    async fn stop(&mut self) {
        self.end.cancel();
        self.task.take().unwrap().await.unwrap();
    }

    fn delivered(&self) -> PathBuf {
        self.rig.folder.path().join("delivered")
    }

    fn file(&self, prefix: &str) -> PathBuf {
        self.delivered().join(prefix).join("orders/w-1.log")
    }

    fn write(&self, text: &str) {
        let path = self.files.0.lock().unwrap()[0].file.clone();
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Puts the connector with places, or without.
    async fn put(&self, places: Value) {
        let mut spec = self.spec.clone();
        if !places.is_null() {
            spec["log_delivery"] = json!({"worker_log_delivery": places});
        }
        let body = json!({"spec": spec});
        let (status, answer) = self.rig.put("/api/v1/connectors/orders", &body).await;
        assert!(status < 300, "{answer}");
    }
}

fn name() -> Name {
    Name::parse("orders").unwrap()
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(tokio::time::Instant::now() < limit, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn line(second: u32, message: &str) -> String {
    format!("[2026-11-22T17:00:{second:02}.000Z] INFO {message} (x.Y)\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_begins_moves_ends_and_goes_on_with_the_specification() {
    let mut ground = Ground::new().await;
    ground.write(&line(1, "before hunter2-long"));
    ground
        .put(json!({"file": {"enabled": true, "prefix": "a"}}))
        .await;
    let file = ground.file("a");
    until("the first line", || text(&file).contains("before ***")).await;
    // To another folder, from where it was.
    ground
        .put(json!({"file": {"enabled": true, "prefix": "b"}}))
        .await;
    ground.write(&line(2, "moved"));
    let moved = ground.file("b");
    until("the move", || text(&moved) == line(2, "moved")).await;
    // Off: nothing comes any more, and its place is forgotten.
    ground.put(json!(null)).await;
    until("the end", || ground.deliveries.of(&name()).is_empty()).await;
    ground.write(&line(3, "meanwhile"));
    // On again, by a new daemon: what was written meanwhile comes, once.
    ground.stop().await;
    ground
        .put(json!({"file": {"enabled": true, "prefix": "b"}}))
        .await;
    ground.start();
    let both = line(2, "moved") + &line(3, "meanwhile");
    until("the rest", || text(&moved) == both).await;
    ground.stop().await;
    ground.start();
    ground.write(&line(4, "last"));
    until("the last", || {
        text(&moved) == both.clone() + &line(4, "last")
    })
    .await;
    assert!(!text(&file).contains("moved"));
    ground.stop().await;
    ground.rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_away_holds_up_no_other_and_is_told() {
    let mut ground = Ground::new().await;
    ground.write(&line(1, "a"));
    // The cluster of the rig is at a port where nobody listens.
    let cluster = json!({"spec": {"bootstrap_servers": "127.0.0.1:1"}});
    let (status, answer) = ground
        .rig
        .put("/api/v1/kafka-clusters/shop", &cluster)
        .await;
    assert!(status < 300, "{answer}");
    ground
        .put(json!({
            "file": {"enabled": true, "prefix": ""},
            "kafka": {"enabled": true, "topic": "logs"},
            "cloudwatch_logs": {"enabled": true, "log_group": "g"},
        }))
        .await;
    let file = ground.file("");
    until("the file", || text(&file) == line(1, "a")).await;
    let warning = || ground.deliveries.warning(&name()).unwrap_or_default();
    until("both warnings", || {
        warning().contains("kafka waits") && warning().contains("has stopped")
    })
    .await;
    assert!(
        warning().contains("[log_delivery] cloudwatch_logs"),
        "{}",
        warning()
    );
    let counters = ground.deliveries.counters();
    assert_eq!(counters.len(), 3);
    assert!(
        counters
            .iter()
            .any(|(_, place, it)| *place == PlaceKind::File && it.delivered == 1)
    );
    ground.stop().await;
    ground.rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_words_of_a_deleted_connector_are_delivered() {
    let mut ground = Ground::new().await;
    ground
        .put(json!({"file": {"enabled": true, "prefix": ""}}))
        .await;
    ground.write(&line(1, "a"));
    let file = ground.file("");
    until("the first line", || text(&file) == line(1, "a")).await;
    let store = ground.rig.store.clone();
    let deleted = store.begin_delete(runnel_api::Kind::Connector, &name(), None);
    ground.write(&line(2, "last"));
    store
        .finish_delete(&name(), deleted.unwrap().into_operation().id, Vec::new())
        .unwrap();
    let both = line(1, "a") + &line(2, "last");
    until("the last words", || text(&file) == both).await;
    until("the end", || ground.deliveries.of(&name()).is_empty()).await;
    let positions = positions_folder(&ground.rig.folder.path().join("data"));
    until("no position", || {
        std::fs::read_dir(&positions).unwrap().count() == 0
    })
    .await;
    ground.stop().await;
    ground.rig.end().await;
}
