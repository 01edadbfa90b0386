//! Users that a probe of a cluster made and a death of the daemon left there.

use super::Inner;
use crate::clusters::DeclaredCluster;
use crate::kafka::sweep_probe_users;
use crate::store::StoreError;
use runnel_api::kafka_cluster::KafkaClusterSpec;
use std::time::Duration;

/// Time between sweeps. What is left has no ACL and a password that nobody knows, so it is no hurry.
const PERIOD: Duration = Duration::from_hours(1);

/// Sweeps at once and once in a period, for ever.
pub(super) async fn sweep_now_and_then(inner: &Inner) {
    let mut ticks = tokio::time::interval(PERIOD);
    loop {
        ticks.tick().await;
        sweep(inner).await;
    }
}

/// Looks at every cluster whose users are ours to make; one that is away is looked at the next time.
async fn sweep(inner: &Inner) {
    let clusters = match with_admin(inner).await {
        Ok(clusters) => clusters,
        Err(error) => {
            tracing::error!(%error, "cannot read which Kafka clusters have an admin");
            return;
        }
    };
    for cluster in clusters {
        let arn = &cluster.arn;
        match sweep_probe_users(&cluster.access(), inner.parts.timing.kafka_timeout).await {
            Ok(swept) if swept.is_empty() => {}
            Ok(swept) => tracing::info!(%arn, users = ?swept, "deleted users of probes cut short"),
            Err(error) => tracing::debug!(%arn, %error, "users of probes stay for now"),
        }
    }
}

async fn with_admin(inner: &Inner) -> Result<Vec<DeclaredCluster>, StoreError> {
    let store = &inner.parts.store;
    let read = store.run(|store| {
        let mut clusters = Vec::new();
        for stored in store.list::<KafkaClusterSpec>(None, usize::MAX >> 2)? {
            if stored.object.spec.admin.is_some() {
                clusters.extend(DeclaredCluster::read(store, &stored.object.name)?);
            }
        }
        Ok(clusters)
    });
    read.await
}
