//! How everything stands at one moment, for the metrics.

use crate::fleet::usage;
use crate::http::seams::Figures;
use crate::log_delivery::{Deliveries, LogDeliveryStatus, PlaceKind};
use crate::metrics::{ConnectorFigures, DaemonFigures, LogFigures, Metrics, Snapshot};
use crate::reconcile::Reconciler;
use crate::sampling::{ConnectorSample, Lags, Sample, Samples};
use crate::store::{Store, StoreError, Stored, now_ms};
use futures_util::future::BoxFuture;
use runnel_api::connector::{ConnectorSpec, ConnectorState, Health};
use runnel_api::plugin::PluginSpec;
use runnel_api::{Operation, OperationId};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// An operation's end is written a moment after its time was taken; so long is looked back, so that
/// none is missed.
const LOOK_BACK_MS: u64 = 60_000;

/// Gathers figures.
pub(super) struct Gather {
    pub store: Store,
    pub reconciler: Reconciler,
    pub samples: Samples,
    pub lags: Lags,
    pub deliveries: Deliveries,
    pub metrics: Metrics,
    pub runtimes: usize,
    pub started_ms: u64,
    pub ended: Mutex<Ended>,
}

/// Which operations were counted.
#[derive(Default)]
pub(super) struct Ended {
    until_ms: u64,
    counted: BTreeSet<OperationId>,
}

impl Ended {
    /// Counts from a moment on.
    pub(super) fn since(now_ms: u64) -> Self {
        Self {
            until_ms: now_ms,
            counted: BTreeSet::new(),
        }
    }

    /// Those that were not counted yet.
    fn fresh(&mut self, ended: Vec<Operation>, begin_ms: u64, now_ms: u64) -> Vec<Operation> {
        let all: BTreeSet<OperationId> = ended.iter().map(|operation| operation.id).collect();
        let is_fresh = |operation: &Operation| {
            !self.counted.contains(&operation.id)
                && operation.ended_ms.is_some_and(|at_ms| at_ms >= begin_ms)
        };
        let fresh = ended.into_iter().filter(is_fresh).collect();
        self.counted = all;
        self.until_ms = now_ms;
        fresh
    }
}

impl Figures for Gather {
    fn snapshot(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        Box::pin(async move {
            self.count_operations().await?;
            let (connectors, plugins) = self
                .store
                .run(|store| {
                    let all = usize::MAX >> 2;
                    let connectors = store.list::<ConnectorSpec>(None, all)?;
                    Ok((connectors, store.list::<PluginSpec>(None, all)?.len()))
                })
                .await?;
            let sample = self.samples.latest();
            let daemon = DaemonFigures {
                runtimes: self.runtimes,
                plugins,
                last_sample_ms: Some(sample.at_ms).filter(|at_ms| *at_ms > 0),
                started_ms: self.started_ms,
                usage: usage::of_self().map(|it| (it.cpu_ns, it.rss_bytes)),
            };
            let connectors = connectors.iter().map(|it| self.connector(it, &sample));
            Ok(Snapshot {
                daemon,
                connectors: connectors.collect(),
            })
        })
    }
}

impl Gather {
    async fn count_operations(&self) -> Result<(), StoreError> {
        let until_ms = self.lock().until_ms;
        let from_ms = until_ms.saturating_sub(LOOK_BACK_MS);
        let now_ms = now_ms();
        let ended = self
            .store
            .run(move |store| store.operations_ended_since(from_ms))
            .await?;
        let fresh = self.lock().fresh(ended, self.started_ms, now_ms);
        for operation in fresh {
            let ended_ms = operation.ended_ms.unwrap_or(operation.created_ms);
            let took = Duration::from_millis(ended_ms.saturating_sub(operation.created_ms));
            let Operation {
                object_kind,
                kind,
                outcome,
                ..
            } = operation;
            self.metrics
                .operation_ended(object_kind, kind, outcome, took);
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ended> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connector(&self, stored: &Stored<ConnectorSpec>, sample: &Sample) -> ConnectorFigures {
        let object = &stored.object;
        let live = self.reconciler.live(&object.name);
        let unseen = if object.deleting {
            ConnectorState::Deleting
        } else {
            ConnectorState::Creating
        };
        let capacity = &object.spec.capacity;
        let is_sampled = sample.at_ms > 0;
        let workers = match sample.connectors.get(&object.id) {
            None => is_sampled.then(ConnectorSample::default),
            Some(found) => found.is_complete.then(|| found.clone()),
        };
        let size = workers.as_ref().map(|found| {
            let mcus = found.workers.values().map(|worker| worker.mcu_count).sum();
            (found.workers.len(), mcus)
        });
        let rss_bytes = workers.as_ref().and_then(|found| {
            let held = found.workers.values().map(|it| Some(it.usage?.rss_bytes));
            held.sum::<Option<u64>>()
        });
        ConnectorFigures {
            name: object.name.clone(),
            state: live.as_ref().map_or(unseen, |live| live.state),
            health: live.as_ref().map_or(Health::Unknown, |live| live.health),
            tasks: live.map_or_else(Vec::new, |live| {
                live.tasks.into_iter().map(|task| task.state).collect()
            }),
            size,
            mcus_limit: capacity.workers_max().saturating_mul(capacity.mcu_count()),
            mcu_ms: sample.mcu_ms.get(&object.id).copied(),
            cpu_ns: sample.cpu_ns.get(&object.id).copied(),
            rss_bytes,
            lag: self.lags.of(&object.name).map(|lag| lag.total),
            logs: self.deliveries.of(&object.name).iter().map(logs).collect(),
        }
    }
}

fn logs((place, status): &(PlaceKind, LogDeliveryStatus)) -> LogFigures {
    let counters = status.counters;
    LogFigures {
        place: place.to_string(),
        delivered: counters.delivered,
        dropped: counters.dropped,
        errors: counters.errors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runnel_api::{Generation, Kind, Name, OperationKind, Outcome};
    use uuid::Uuid;

    fn operation(number: u128, ended_ms: u64) -> Operation {
        Operation {
            id: OperationId(Uuid::from_u128(number)),
            object_kind: Kind::Connector,
            name: Name::parse("orders").unwrap(),
            kind: OperationKind::Create,
            restart: None,
            generation: Generation(1),
            outcome: Outcome::Succeeded,
            waiting_on: None,
            problem: None,
            warnings: Vec::new(),
            created_ms: 1,
            ended_ms: Some(ended_ms),
        }
    }

    #[test]
    fn an_operation_is_counted_once_also_when_it_is_written_late() {
        let mut ended = Ended::since(1_000);
        let count = |ended: &mut Ended, found: &[(u128, u64)]| {
            let found = found.iter().map(|(id, at)| operation(*id, *at)).collect();
            ended.fresh(found, 1_000, 2_000).len()
        };
        // The first ended before this daemon began.
        assert_eq!(count(&mut ended, &[(1, 900), (2, 1_100)]), 1);
        assert_eq!(count(&mut ended, &[(1, 900), (2, 1_100)]), 0);
        assert_eq!(count(&mut ended, &[(1, 900), (2, 1_100), (3, 1_050)]), 1);
        assert_eq!(count(&mut ended, &[(3, 1_050), (4, 3_000)]), 1);
    }
}
