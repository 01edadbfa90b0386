//! What deletes had to leave on a cluster that was away; removed when it is back.

use super::{Inner, granting};
use crate::clusters::DeclaredCluster;
use crate::kafka::{Access, KafkaAdmin, KafkaError};
use crate::store::{Store, StoreError};
use runnel_api::Name;
use runnel_api::kafka_cluster::KafkaClusterSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Time between attempts.
pub(super) const PERIOD_MS: u64 = 5_000;

/// Topics and groups of a connector that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remains {
    /// Name of the connector, for the log.
    pub connector: String,
    /// The cluster's name; notes of older releases have none.
    #[serde(default)]
    pub kafka_cluster: Option<Name>,
    /// Its cluster as it was declared.
    pub cluster: KafkaClusterSpec,
    /// Its user there.
    #[serde(default)]
    pub principal: Option<String>,
    /// Its internal topics.
    pub topics: Vec<String>,
    /// Its Connect group, and a sink's consumer group.
    pub groups: Vec<String>,
}

impl Remains {
    /// Deletes topics and groups; what is not there is fine.
    pub(super) async fn delete(
        &self,
        access: &Access,
        timeout: Duration,
    ) -> Result<(), KafkaError> {
        let mut admin = KafkaAdmin::connect(access, timeout).await?;
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

/// The way into the cluster of a leftover: as it is declared now, else as it was declared then.
async fn access(store: &Store, remains: &Remains) -> Result<Access, StoreError> {
    let name = remains.kafka_cluster.clone();
    let declared = store
        .run(move |store| match name {
            Some(name) => DeclaredCluster::read(store, &name),
            None => Ok(None),
        })
        .await?;
    Ok(declared.map_or_else(
        || Access::of(&remains.cluster, &BTreeMap::new()),
        |cluster| cluster.access(),
    ))
}

/// Removes user and ACLs, then topics and groups.
async fn whole(remains: &Remains, access: &Access, timeout: Duration) -> Result<(), KafkaError> {
    if let Some(username) = &remains.principal {
        granting::remove(access, username, timeout).await?;
    }
    remains.delete(access, timeout).await
}

/// Tries each leftover once.
pub(super) async fn remove(inner: &Inner) {
    let store = &inner.parts.store;
    let all = match store.run(Store::leftovers::<Remains>).await {
        Ok(all) => all,
        Err(error) => {
            tracing::error!(%error, "cannot read what is left to remove");
            return;
        }
    };
    for leftover in all {
        let remains = leftover.note;
        let access = match access(store, &remains).await {
            Ok(access) => access,
            Err(error) => {
                tracing::error!(%error, "cannot read how to get into a Kafka cluster");
                continue;
            }
        };
        match whole(&remains, &access, inner.parts.timing.kafka_timeout).await {
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
