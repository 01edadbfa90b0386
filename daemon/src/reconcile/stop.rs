//! Stopping every worker, when people ask for it.

use super::Inner;
use crate::fleet::{Fleet, SeenWorker};
use std::time::{Duration, Instant};

/// What a shim may take beyond its own deadline.
const GRACE: Duration = Duration::from_secs(5);

/// Tells all workers to stop, waits for their end within the stop deadline, kills the rest.
pub(super) async fn all(inner: &Inner) {
    let fleet = inner.parts.fleet.clone();
    let limit = inner.parts.timing.stop_deadline + GRACE;
    let ended = tokio::task::spawn_blocking(move || stop(&fleet, limit)).await;
    if let Err(error) = ended {
        tracing::error!(%error, "stopping the workers was cut short");
    }
}

fn alive(fleet: &Fleet) -> Vec<SeenWorker> {
    match fleet.list() {
        Ok(listing) => listing
            .workers
            .into_iter()
            .filter(|seen| !seen.state.is_dead())
            .collect(),
        Err(error) => {
            tracing::error!(%error, "cannot list workers");
            Vec::new()
        }
    }
}

fn stop(fleet: &Fleet, limit: Duration) {
    let until = Instant::now() + limit;
    for seen in alive(fleet) {
        tracing::info!(worker = %seen.worker, connector = seen.launch.connector, "stopping");
        if let Err(error) = fleet.stop(seen.connector_id, &seen.worker) {
            tracing::warn!(worker = %seen.worker, %error, "cannot stop a worker");
        }
    }
    while !alive(fleet).is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    for seen in alive(fleet) {
        tracing::warn!(worker = %seen.worker, "killing a worker that did not stop");
        if let Err(error) = fleet.kill(seen.connector_id, &seen.worker) {
            tracing::error!(worker = %seen.worker, %error, "cannot kill a worker");
        }
    }
}
