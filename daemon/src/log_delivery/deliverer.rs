//! One delivery: read a batch, bring it to the place, write down how far it came.

use super::PlaceKind;
use super::limit::Limit;
use super::place::{Place, PlaceError, Taken};
use super::source::{Batch, Positions, Source};
use super::status::{Deliveries, DeliveryState};
use crate::logs::{WorkerLog, WorkerLogs};
use crate::store::now_ms;
use runnel_api::Name;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Between two looks for something new.
const LOOK: Duration = Duration::from_millis(500);
/// First and longest pause after a place did not answer.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Pause after a place refused: until somebody has changed something.
const PAUSE_REFUSED: Duration = Duration::from_mins(5);
/// How long an attempt may go on when the deliverer is to end.
const GRACE: Duration = Duration::from_secs(2);
/// How long the last words of a deleted connector are tried to be delivered.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// Whether a deliverer goes on. Moved by the specification and the daemon's end, never back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It goes on.
    No,
    /// When everything is read and delivered, or after 15 s.
    WhenRead,
    /// Now; what was not delivered is the next one's.
    Now,
}

/// A delivery of one connector to one place.
pub struct Deliverer {
    /// Whose logs.
    pub connector: Name,
    /// Which place, for the status.
    pub kind: PlaceKind,
    /// Where they go.
    pub place: Place,
    /// How much.
    pub limit: Limit,
    /// The file of positions.
    pub positions: PathBuf,
    /// For secrets to replace.
    pub worker_logs: Arc<dyn WorkerLogs>,
    /// Where to tell how it goes.
    pub deliveries: Deliveries,
    /// The log files there are.
    pub logs: watch::Receiver<Arc<Vec<WorkerLog>>>,
    /// Whether to go on.
    pub ending: watch::Receiver<Ending>,
}

impl Deliverer {
    /// Runs until it is told to end.
    pub async fn run(mut self) {
        let limit = self.limit.clone();
        let mut source = Source::new(Positions::load(&self.positions), limit);
        let mut last_words: Option<Instant> = None;
        let mut empty_looks = 0;
        loop {
            let ending = *self.ending.borrow_and_update();
            if ending == Ending::Now {
                break;
            }
            if ending == Ending::WhenRead {
                let began = *last_words.get_or_insert_with(Instant::now);
                if began.elapsed() > LAST_WORDS || empty_looks > 3 {
                    break;
                }
            }
            let batch;
            (source, batch) = match self.read(source).await {
                Some((source, Ok(batch))) => (source, batch),
                Some((source, Err(error))) => {
                    self.failed(&PlaceError::Away(format!(
                        "the worker logs cannot be read: {error}"
                    )));
                    self.pause(PAUSE.1).await;
                    (source, Batch::default())
                }
                None => break,
            };
            if !batch.is_progress && batch.entries.is_empty() {
                empty_looks += 1;
                self.pause(LOOK).await;
                continue;
            }
            empty_looks = 0;
            if !self.bring(&batch).await {
                break;
            }
        }
        tracing::info!(connector = %self.connector, place = %self.kind, "log delivery ends");
    }

    /// A batch, off the async threads; none when reading panicked.
    async fn read(&self, mut source: Source) -> Option<(Source, io::Result<Batch>)> {
        let (logs, worker_logs) = (self.logs.borrow().clone(), self.worker_logs.clone());
        let connector = self.connector.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let redactor = worker_logs.redactor(&connector);
            let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
            let batch = source.next(&logs, &redactor, now);
            (source, batch)
        });
        match reading.await {
            Ok(read) => Some(read),
            Err(error) => {
                self.failed(&PlaceError::Refused(format!(
                    "the worker logs cannot be read: {error}"
                )));
                None
            }
        }
    }

    /// Tries until the batch is there; false when the deliverer is to end before.
    async fn bring(&mut self, batch: &Batch) -> bool {
        let began = Instant::now();
        let mut pause = PAUSE.0;
        loop {
            let mut ending = self.ending.clone();
            let attempt = tokio::select! {
                attempt = attempt(&mut self.place, batch) => attempt,
                () = ended(&mut ending, GRACE) => return false,
            };
            let error = match attempt {
                Ok(taken) => {
                    self.delivered(batch, &taken);
                    return true;
                }
                Err(error) => error,
            };
            self.failed(&error);
            let is_refused = matches!(error, PlaceError::Refused(_));
            if gives_up(*self.ending.borrow(), is_refused, began) {
                return false;
            }
            self.pause(if is_refused { PAUSE_REFUSED } else { pause })
                .await;
            pause = (pause * 2).min(PAUSE.1);
            if *self.ending.borrow() == Ending::Now {
                return false;
            }
        }
    }

    fn delivered(&self, batch: &Batch, taken: &Taken) {
        // After the place has it, so that nothing is lost; a death in between repeats the batch.
        if let Err(error) = batch.positions.save(&self.positions) {
            let file = self.positions.display();
            tracing::warn!(%error, %file, "a restart will deliver logs again");
        }
        let (connector, place) = (&self.connector, self.kind);
        self.deliveries.update(connector, place, |status| {
            status.counters.delivered += taken.delivered;
            status.counters.dropped += batch.dropped + taken.refused;
            if let Some(reason) = &taken.reason {
                status.counters.errors += 1;
                status.last_error = Some(reason.clone());
                tracing::warn!(%connector, %place, reason, "log records were refused");
            }
            if status.state != DeliveryState::Delivering {
                status.state = DeliveryState::Delivering;
                tracing::info!(%connector, %place, "log delivery goes on");
            }
        });
    }

    fn failed(&self, error: &PlaceError) {
        let (connector, place, reason) = (&self.connector, self.kind, error.to_string());
        let state = match error {
            PlaceError::Away(_) => DeliveryState::Waiting {
                reason: reason.clone(),
            },
            PlaceError::Refused(_) => DeliveryState::Stopped {
                reason: reason.clone(),
            },
        };
        self.deliveries.update(connector, place, |status| {
            status.counters.errors += 1;
            if status.state != state {
                tracing::warn!(%connector, %place, reason, "logs are not delivered");
            }
            status.state = state;
            status.last_error = Some(reason);
        });
    }

    /// Waits, unless the deliverer is told to end or a change of that is known.
    async fn pause(&mut self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = self.ending.changed() => {
                if changed.is_err() {
                    // Nobody can tell us to end any more: the daemon ends.
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

async fn attempt(place: &mut Place, batch: &Batch) -> Result<Taken, PlaceError> {
    if batch.entries.is_empty() {
        return Ok(Taken::default());
    }
    place.deliver(&batch.entries).await
}

/// Nobody waits long for the last words of a connector that is gone.
fn gives_up(ending: Ending, is_refused: bool, began: Instant) -> bool {
    match ending {
        Ending::No => false,
        Ending::WhenRead => is_refused || began.elapsed() > LAST_WORDS,
        Ending::Now => true,
    }
}

/// Some time after the deliverer was told to end at once.
async fn ended(ending: &mut watch::Receiver<Ending>, grace: Duration) {
    if ending
        .wait_for(|ending| *ending == Ending::Now)
        .await
        .is_err()
    {
        // Nobody can tell any more; the runtime ends by itself.
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(grace).await;
}
