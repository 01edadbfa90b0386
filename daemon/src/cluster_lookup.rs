//! Which brokers `runnel tail` reads from: those that were named, else those of a declared cluster.

use crate::commands::{self, Client, Common};
use crate::config::Environment;
use crate::kafka::tail::TailArgs;
use runnel_api::kafka_cluster::{
    ClientAuthentication, EncryptionInTransit, KafkaCluster, KafkaClusterSpec,
};
use runnel_api::{ErrorCode, Page, Problem};

/// Host and port of each bootstrap server.
pub async fn servers(
    common: &Common,
    arguments: &TailArgs,
    environment: &Environment,
) -> Result<Vec<(String, u16)>, Problem> {
    let spec = match &arguments.bootstrap_servers {
        Some(text) => KafkaClusterSpec {
            bootstrap_servers: text.clone(),
            encryption_in_transit: EncryptionInTransit::default(),
            client_authentication: ClientAuthentication::default(),
            admin: None,
        },
        None => declared(common, arguments.cluster.as_deref(), environment).await?,
    };
    spec.servers()
        .map_err(|wrong| Problem::new(ErrorCode::InvalidArgument, wrong).field("bootstrap_servers"))
}

async fn declared(
    common: &Common,
    name: Option<&str>,
    environment: &Environment,
) -> Result<KafkaClusterSpec, Problem> {
    let client = Client::new(commands::connection(common, environment)?)?;
    if let Some(name) = name {
        let cluster: KafkaCluster = client
            .get(&format!("/api/v1/kafka-clusters/{name}"))
            .await?;
        return Ok(cluster.spec);
    }
    let mut page: Page<KafkaCluster> = client.get("/api/v1/kafka-clusters?limit=2").await?;
    match (page.items.pop(), page.items.is_empty()) {
        (Some(only), true) => Ok(only.spec),
        (Some(_), false) => Err(Problem::new(
            ErrorCode::InvalidArgument,
            "there are several Kafka clusters",
        )
        .hint("Name one: --cluster NAME, or --bootstrap-servers HOST:PORT")),
        (None, _) => Err(
            Problem::new(ErrorCode::NotFound, "no Kafka cluster is declared")
                .hint("Name brokers: --bootstrap-servers HOST:PORT"),
        ),
    }
}
