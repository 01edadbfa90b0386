//! How deliveries do: in memory, for the status and for metrics.

use super::PlaceKind;
use runnel_api::Name;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What became of records since this daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounters {
    /// Records that the place has taken; a repetition counts again.
    pub delivered: u64,
    /// Records that were not delivered: above the limit, or refused by the place one by one.
    pub dropped: u64,
    /// Attempts that failed.
    pub errors: u64,
}

/// How a delivery stands. Moved by its deliverer, after each attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeliveryState {
    /// It delivers, or has nothing to deliver.
    #[default]
    Delivering,
    /// The place does not answer; it is tried again, with growing pauses.
    Waiting {
        /// Why.
        reason: String,
    },
    /// The place refuses. It is tried again every five minutes and at each change.
    Stopped {
        /// Why.
        reason: String,
    },
}

/// A delivery of one connector to one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogDeliveryStatus {
    /// What became of records.
    pub counters: DeliveryCounters,
    /// How it stands.
    pub state: DeliveryState,
    /// The last error, also when it is over.
    pub last_error: Option<String>,
}

/// All deliveries. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Deliveries {
    all: Arc<Mutex<BTreeMap<(Name, PlaceKind), LogDeliveryStatus>>>,
}

impl Deliveries {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Name, PlaceKind), LogDeliveryStatus>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counters by connector and place, in their order.
    pub fn counters(&self) -> Vec<(Name, PlaceKind, DeliveryCounters)> {
        let all = self.lock();
        all.iter()
            .map(|((name, place), status)| (name.clone(), *place, status.counters))
            .collect()
    }

    /// Deliveries of one connector.
    pub fn of(&self, connector: &Name) -> Vec<(PlaceKind, LogDeliveryStatus)> {
        let all = self.lock();
        all.iter()
            .filter(|((name, _), _)| name == connector)
            .map(|((_, place), status)| (*place, status.clone()))
            .collect()
    }

    /// One line when a delivery of the connector does not get through. The connector itself is as
    /// well as before.
    pub fn warning(&self, connector: &Name) -> Option<String> {
        let lines = self
            .of(connector)
            .into_iter()
            .filter_map(|(place, status)| {
                let (what, reason) = match status.state {
                    DeliveryState::Delivering => return None,
                    DeliveryState::Waiting { reason } => ("waits", reason),
                    DeliveryState::Stopped { reason } => ("has stopped", reason),
                };
                Some(format!("log delivery to {place} {what}: {reason}"))
            });
        let lines: Vec<String> = lines.collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }

    pub(super) fn update(
        &self,
        connector: &Name,
        place: PlaceKind,
        change: impl FnOnce(&mut LogDeliveryStatus),
    ) {
        change(self.lock().entry((connector.clone(), place)).or_default());
    }

    pub(super) fn remove(&self, connector: &Name, place: PlaceKind) {
        self.lock().remove(&(connector.clone(), place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_that_does_not_get_through_warns() {
        let deliveries = Deliveries::default();
        let name = Name::parse("orders").unwrap();
        deliveries.update(&name, PlaceKind::File, |status| {
            status.counters.delivered = 3;
        });
        assert_eq!(deliveries.warning(&name), None);
        deliveries.update(&name, PlaceKind::Kafka, |status| {
            status.state = DeliveryState::Waiting {
                reason: "refused".to_owned(),
            };
        });
        let warning = deliveries.warning(&name).unwrap();
        assert_eq!(warning, "log delivery to kafka waits: refused");
        assert_eq!(deliveries.counters().len(), 2);
        deliveries.remove(&name, PlaceKind::Kafka);
        assert_eq!(deliveries.warning(&name), None);
    }
}
