//! A running API for tests: a real listener on loopback, a real store, and small stand-ins for what
//! the daemon's other rooms offer.

use super::seams::{
    ByteStream, DeriveRequest, Deriver, Figures, Host, Live, LiveStatus, PluginContents, Stop, Wake,
};
use super::{Api, Limits, Parts, Tls, bind, serve};
use crate::logs::{WorkerLog, WorkerLogs};
use crate::metrics::{Metrics, Snapshot};
use crate::store::{ROOT_TOKEN_FILE, Store, StoreError, now_ms};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use http::Method;
use reqwest::{Client, RequestBuilder, Response};
use runnel_api::capacity::CapacitySummary;
use runnel_api::connector::{Derived, Previewed};
use runnel_api::kafka_cluster::Enforcement;
use runnel_api::plugin::{PluginStatus, Sha256Hex, StagedContent};
use runnel_api::role::RoleSpec;
use runnel_api::server::{LogPlaces, RuntimeInfo};
use runnel_api::token::{CreateToken, TokenRole};
use runnel_api::{ErrorCode, Name, Problem};
use serde_json::{Value, json};
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// Stand-ins for the other rooms, with what they saw.
#[derive(Default)]
pub(crate) struct Rooms {
    pub wakes: AtomicUsize,
    pub contents: Mutex<BTreeMap<Sha256Hex, PluginStatus>>,
    pub stops: Mutex<Vec<bool>>,
    pub log_folder: Mutex<Option<PathBuf>>,
    pub log_places: Mutex<LogPlaces>,
    pub mcus: Mutex<Option<u32>>,
    pub live: Mutex<Option<LiveStatus>>,
}

impl Wake for Rooms {
    fn wake(&self) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
    }
}

impl Deriver for Rooms {
    /// A connector of class `refuse` is refused, `panic` panics; anything else is echoed.
    fn derive(&self, request: DeriveRequest) -> Previewed {
        let class = request.spec.config.get("connector.class");
        assert_ne!(class.map(String::as_str), Some("panic"), "asked to panic");
        if class.is_some_and(|class| class == "refuse") {
            let problem = Problem::new(ErrorCode::InvalidConfiguration, "refused");
            return Previewed {
                derived: None,
                problems: vec![problem.config_key("connector.class")],
                warnings: Vec::new(),
            };
        }
        let servers = request.kafka_cluster.spec.bootstrap_servers;
        let mut effective_config = request.spec.config;
        effective_config.insert("servers".to_owned(), servers);
        let masked = request
            .secret_keys
            .into_iter()
            .map(|key| (key, "***".to_owned()));
        effective_config.extend(masked);
        Previewed {
            derived: Some(Derived {
                kafkaconnect_version: "3.9".to_owned(),
                principal: "User:ANONYMOUS".to_owned(),
                effective_config,
                kafka_acls: Vec::new(),
                enforcement: Enforcement::None,
                capacity_summary: CapacitySummary {
                    mcus: "1".to_owned(),
                    memory: "4 GiB".to_owned(),
                    network: "1 worker".to_owned(),
                    scaling: "fixed".to_owned(),
                },
            }),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

impl PluginContents for Rooms {
    /// Accepts what begins with `PK`.
    fn receive(
        &self,
        mut stream: ByteStream,
        promised: Option<Sha256Hex>,
    ) -> BoxFuture<'_, Result<StagedContent, Problem>> {
        Box::pin(async move {
            let mut hash = sha2::Sha256::new();
            let mut size = 0;
            while let Some(chunk) = stream.next().await {
                let chunk =
                    chunk.map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))?;
                if size == 0 && !chunk.starts_with(b"PK") {
                    return Err(Problem::new(ErrorCode::BadArchive, "no archive"));
                }
                hash.update(&chunk);
                size += chunk.len() as u64;
            }
            let sha256 = Sha256Hex::of_digest(&hash.finalize().into());
            if promised.is_some_and(|promised| promised != sha256) {
                return Err(Problem::new(ErrorCode::ChecksumMismatch, "other bytes"));
            }
            let found = PluginStatus {
                size,
                classes: Vec::new(),
                runtimes: Vec::new(),
            };
            self.contents
                .lock()
                .unwrap()
                .insert(sha256.clone(), found.clone());
            Ok(StagedContent { sha256, found })
        })
    }

    fn found(&self, sha256: Sha256Hex) -> BoxFuture<'_, Option<PluginStatus>> {
        let found = self.contents.lock().unwrap().get(&sha256).cloned();
        Box::pin(std::future::ready(found))
    }

    fn remove(&self, sha256: Sha256Hex) -> BoxFuture<'_, Result<(), Problem>> {
        self.contents.lock().unwrap().remove(&sha256);
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Live for Rooms {
    fn status(&self, _connector: &Name) -> Option<LiveStatus> {
        self.live.lock().unwrap().clone()
    }
}

impl Figures for Rooms {
    fn snapshot(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        Box::pin(std::future::ready(Ok(Snapshot::default())))
    }
}

impl Host for Rooms {
    fn runtimes(&self) -> Vec<RuntimeInfo> {
        Vec::new()
    }
    fn isolation(&self) -> String {
        "NONE".to_owned()
    }
    fn mcus(&self) -> Option<u32> {
        *self.mcus.lock().unwrap()
    }
    fn log_places(&self) -> LogPlaces {
        *self.log_places.lock().unwrap()
    }
}

impl WorkerLogs for Rooms {
    fn of(&self, connector: &Name) -> Vec<WorkerLog> {
        let folder = self.log_folder.lock().unwrap().clone();
        let file = folder.map(|folder| folder.join(format!("{connector}.log")));
        file.filter(|file| file.exists())
            .map(|file| WorkerLog {
                worker: "w1".to_owned(),
                file,
                is_live: true,
            })
            .into_iter()
            .collect()
    }

    fn redactor(&self, _connector: &Name) -> crate::fleet::Redactor {
        crate::fleet::Redactor::new(["never-shown"])
    }
}

impl Stop for Rooms {
    fn stop(&self, stop_workers: bool) {
        self.stops.lock().unwrap().push(stop_workers);
    }
}

/// A running API.
pub(crate) struct Rig {
    pub api: Arc<Api>,
    pub rooms: Arc<Rooms>,
    pub store: Store,
    pub folder: tempfile::TempDir,
    pub address: std::net::SocketAddr,
    pub token: String,
    client: Client,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<()>,
}

impl Rig {
    pub async fn start() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub async fn with_limits(limits: Limits) -> Self {
        Self::with(limits, false).await
    }

    pub async fn with(limits: Limits, open_metrics: bool) -> Self {
        Self::made(limits, open_metrics, None).await
    }

    pub async fn with_tls(limits: Limits, tls: Tls) -> Self {
        Self::made(limits, false, Some(tls)).await
    }

    async fn made(limits: Limits, open_metrics: bool, tls: Option<Tls>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let store = Store::open(&data).unwrap();
        let rooms = Arc::new(Rooms::default());
        let check_role = |role: &RoleSpec| match role.policies.get("bad") {
            None => Ok(()),
            Some(_) => {
                Err(Problem::new(ErrorCode::InvalidPolicy, "bad").field("policies[\"bad\"]"))
            }
        };
        let api = Api::new(Parts {
            store: store.clone(),
            wake: rooms.clone(),
            deriver: rooms.clone(),
            contents: rooms.clone(),
            live: rooms.clone(),
            role_check: Arc::new(check_role),
            host: rooms.clone(),
            logs: rooms.clone(),
            stop: rooms.clone(),
            metrics: Metrics::new().unwrap(),
            figures: rooms.clone(),
            open_metrics,
            hosts: Some(vec!["runnel.example.org".to_owned()]),
            limits,
        });
        let any = "127.0.0.1:0".parse().unwrap();
        let bound = bind(any, &data.join("address")).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(serve(bound.listener, tls, api.clone(), async {
            let _ = stopped.await;
        }));
        let token = std::fs::read_to_string(data.join(ROOT_TOKEN_FILE)).unwrap();
        Self {
            api,
            rooms,
            store,
            folder,
            address: bound.address,
            token: token.trim().to_owned(),
            client: crate::http_client::plain().build().unwrap(),
            stop: Some(stop),
            served,
        }
    }

    pub async fn end(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.served.await.unwrap();
    }

    /// Makes a token and answers its text.
    pub fn token(&self, name: &str, role: TokenRole, pass_roles: &[&str]) -> String {
        let asked = CreateToken {
            name: Name::parse(name).unwrap(),
            role,
            expires_seconds: None,
            pass_roles: pass_roles.iter().map(|&it| it.to_owned()).collect(),
        };
        let created = self.store.create_token(&asked, now_ms()).unwrap();
        created.token.expose().to_owned()
    }

    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        read(self.request(Method::GET, path)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        read(self.request(Method::PUT, path).json(body)).await
    }

    pub async fn put_neighbours(&self) -> Value {
        let cluster = json!({"spec": {"bootstrap_servers": "127.0.0.1:9092"}});
        let (status, answer) = self.put("/api/v1/kafka-clusters/shop", &cluster).await;
        assert_eq!(status, 201, "{answer}");
        self.put("/api/v1/roles/reader", &json!({"spec": {}})).await;
        let staged = self
            .request(Method::POST, "/api/v1/plugins/mysql/content")
            .header("content-type", "application/octet-stream")
            .body("PK one");
        let (_, staged) = read(staged).await;
        let plugin = json!({"spec": {"sha256": staged["sha256"]}});
        let (status, answer) = self.put("/api/v1/plugins/mysql", &plugin).await;
        assert_eq!(status, 201, "{answer}");
        let sha256 = staged["sha256"].as_str().unwrap();
        json!({
            "kafka_cluster": "shop",
            "plugins": [format!("mysql@sha256:{sha256}")],
            "service_execution_role_arn": "arn:aws:iam::000000000000:role/reader",
            "config": {"connector.class": "x"},
            "capacity": {"provisioned": {"mcu_count": 1, "worker_count": 1}},
        })
    }
}

pub(crate) async fn read(request: RequestBuilder) -> (u16, Value) {
    read_response(request.send().await.unwrap()).await
}

async fn read_response(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, value)
}
