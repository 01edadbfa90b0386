//! What deletes had to leave on a cluster that was away; removed when it is back.

use super::Inner;
use crate::kafka::{Access, KafkaAdmin, KafkaError};
use runnel_api::kafka_cluster::KafkaClusterSpec;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Time between attempts.
pub(super) const PERIOD_MS: u64 = 5_000;

/// Topics and groups of a connector that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remains {
    /// Name of the connector, for the log.
    pub connector: String,
    /// Its cluster as it was declared.
    pub cluster: KafkaClusterSpec,
    /// Its internal topics.
    pub topics: Vec<String>,
    /// Its Connect group, and a sink's consumer group.
    pub groups: Vec<String>,
}

impl Remains {
    /// Deletes topics and groups; what is not there is fine.
    pub(super) async fn delete(&self, timeout: Duration) -> Result<(), KafkaError> {
        // A specification was checked when it was accepted.
        let servers = self.cluster.servers().unwrap_or_default();
        let mut admin = KafkaAdmin::connect(&Access::plaintext(servers), timeout).await?;
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        admin.delete_topics(&topics).await?;
        for group in &self.groups {
            if let Err(error) = admin.delete_group(group).await {
                tracing::warn!(group, %error, "a group stays on the cluster");
            }
        }
        Ok(())
    }
}

/// Tries each leftover once.
pub(super) async fn remove(inner: &Inner) {
    let store = &inner.parts.store;
    let all = match store
        .run(super::super::store::Store::leftovers::<Remains>)
        .await
    {
        Ok(all) => all,
        Err(error) => {
            tracing::error!(%error, "cannot read what is left to remove");
            return;
        }
    };
    for leftover in all {
        let remains = leftover.note;
        match remains.delete(inner.parts.timing.kafka_timeout).await {
            Ok(()) => {
                let number = leftover.number;
                tracing::info!(
                    connector = remains.connector,
                    "removed the internal topics that a delete had left"
                );
                if let Err(error) = store.run(move |store| store.remove_leftover(number)).await {
                    tracing::error!(%error, "cannot strike a leftover off");
                }
            }
            Err(error) => {
                tracing::debug!(connector = remains.connector, %error, "internal topics stay for now");
            }
        }
    }
}
