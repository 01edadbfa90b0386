//! What is still to be delivered of a connector's logs, read from the files; never from a worker's
//! pipe, so that no place can hold up a worker.

use super::limit::Limit;
use crate::fleet::Redactor;
use crate::logs::cursor::{Cursor, Position, Step};
use crate::logs::record::Assembler;
use crate::logs::{Level, Record, WorkerLog};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are read at once.
const BLOCK: usize = 64 << 10;
/// Bytes of records in one batch, about; one record may be beyond it.
const BATCH_BYTES: usize = 512 << 10;
/// Bytes that are read for one batch: under a flood most of them are dropped.
const SCAN_BYTES: usize = 8 << 20;
/// A file of positions that is larger was not written by us.
const POSITIONS_MAX: u64 = 1 << 20;

/// One record on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The daemon's id of the worker.
    pub worker: Arc<str>,
    /// Its time, milliseconds since the Unix epoch; that of the reading when the log told none.
    pub time_ms: i64,
    /// The record, secrets replaced.
    pub record: Record,
}

/// Records to deliver together, and where reading stands after them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The records, in the order of each worker's log.
    pub entries: Vec<Entry>,
    /// Records that were dropped while this was read.
    pub dropped: u64,
    /// Where to go on, by worker.
    pub positions: Positions,
    /// Something was read: the positions are new even if nothing is to be delivered.
    pub is_progress: bool,
}

/// Where reading stands, as it is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Positions {
    /// By worker.
    pub workers: BTreeMap<String, Position>,
}

impl Positions {
    /// Reads a file of positions. One that is missing or damaged means: from the beginning, which
    /// repeats records and loses none.
    pub fn load(path: &Path) -> Self {
        let is_ours = std::fs::metadata(path).is_ok_and(|it| it.len() <= POSITIONS_MAX);
        let text = is_ours.then(|| std::fs::read(path).ok()).flatten();
        let Some(text) = text else {
            return Self::default();
        };
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "logs are delivered again from their beginning");
            Self::default()
        })
    }

    /// Writes them aside and renames. Not synced: after a loss of power an older position repeats
    /// records.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            crate::fleet::run_dir::create_private_dir(folder)?;
        }
        let aside = path.with_extension("new");
        std::fs::write(&aside, serde_json::to_vec(self)?)?;
        std::fs::rename(&aside, path)
    }
}

/// Reads the logs of one connector for one place.
#[derive(Debug)]
pub struct Source {
    limit: Limit,
    positions: Positions,
    tails: BTreeMap<String, Tail>,
    /// Dead workers whose logs are read to their end; they do not grow.
    finished: BTreeSet<String>,
}

#[derive(Debug)]
struct Tail {
    worker: Arc<str>,
    cursor: Cursor,
    assembler: Assembler,
    /// Nothing came at the last look: what is open is complete.
    is_quiet: bool,
}

impl Source {
    /// Goes on at these positions.
    pub fn new(positions: Positions, limit: Limit) -> Self {
        Self {
            limit,
            positions,
            tails: BTreeMap::new(),
            finished: BTreeSet::new(),
        }
    }

    /// What comes next, at most about 512 KiB. `now_ms` is for records without a time.
    pub fn next(
        &mut self,
        logs: &[WorkerLog],
        redactor: &Redactor,
        now_ms: i64,
    ) -> io::Result<Batch> {
        let is_there = |worker: &str| logs.iter().any(|log| log.worker == worker);
        self.tails.retain(|worker, _| is_there(worker));
        self.finished.retain(|worker| is_there(worker));
        let mut reading = Reading {
            batch: Batch::default(),
            bytes: 0,
            scanned: 0,
            redactor,
            now_ms,
        };
        for log in logs {
            if self.finished.contains(&log.worker) {
                continue;
            }
            self.read(log, &mut reading)?;
            if reading.is_full() {
                break;
            }
        }
        self.positions.workers.retain(|worker, _| is_there(worker));
        reading.batch.positions = self.positions.clone();
        Ok(reading.batch)
    }

    fn read(&mut self, log: &WorkerLog, reading: &mut Reading<'_>) -> io::Result<()> {
        let worker = &log.worker;
        if !self.tails.contains_key(worker) {
            let position = self.positions.workers.get(worker);
            let Some((cursor, is_lost)) = Cursor::resume(&log.file, position)? else {
                return Ok(());
            };
            let tail = Tail {
                worker: worker.as_str().into(),
                assembler: Assembler::at(cursor.at()),
                cursor,
                is_quiet: false,
            };
            if is_lost {
                reading.gap(&tail.worker);
            }
            self.tails.insert(worker.clone(), tail);
        }
        let Some(tail) = self.tails.get_mut(worker) else {
            return Ok(());
        };
        let dropped_before = reading.batch.dropped;
        let (mut records, mut chunk) = (Vec::new(), Vec::new());
        loop {
            chunk.clear();
            let step = tail.cursor.step(&log.file, &mut chunk, BLOCK)?;
            match step {
                Step::Read => {
                    reading.scanned += chunk.len();
                    tail.is_quiet = false;
                    tail.assembler.push(&chunk, &mut records);
                }
                Step::NextFile { is_gap } => {
                    tail.assembler.next_file(&mut records);
                    if is_gap {
                        reading.gap(&tail.worker);
                    }
                }
                Step::End => {
                    if tail.is_quiet || !log.is_live {
                        tail.assembler.flush(&mut records);
                    }
                    tail.is_quiet = true;
                }
            }
            let done = match step {
                Step::NextFile { .. } => Some(0),
                Step::Read | Step::End => records.last().map(|record| record.end),
            };
            reading.take(&tail.worker, &mut records, &mut self.limit);
            if let Some(done) = done {
                reading.batch.is_progress = true;
                let position = tail.cursor.position(done)?;
                self.positions.workers.insert(worker.clone(), position);
            }
            if step == Step::End || reading.is_full() {
                break;
            }
            // Elsewhere there may be something to read, too.
            if step == Step::Read && reading.scanned > SCAN_BYTES {
                break;
            }
        }
        let dropped = reading.batch.dropped - dropped_before;
        if dropped > 0 {
            let worker = tail.worker.clone();
            reading.notice(
                &worker,
                &format!("{dropped} records were dropped: there were more than are delivered"),
            );
        }
        if !log.is_live && !tail.assembler.is_waiting() && tail.is_quiet {
            self.tails.remove(worker);
            self.finished.insert(worker.clone());
        }
        Ok(())
    }
}

/// A batch while it grows.
struct Reading<'a> {
    batch: Batch,
    bytes: usize,
    scanned: usize,
    redactor: &'a Redactor,
    now_ms: i64,
}

impl Reading<'_> {
    fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.scanned >= SCAN_BYTES
    }

    fn take(&mut self, worker: &Arc<str>, records: &mut Vec<Record>, limit: &mut Limit) {
        for mut record in records.drain(..) {
            let time_ms = record.time_ms.unwrap_or(self.now_ms);
            if !limit.admits(time_ms, record.text.len() as u64) {
                self.batch.dropped += 1;
                continue;
            }
            if let std::borrow::Cow::Owned(shown) = self.redactor.redact(&record.text) {
                record.text = shown;
            }
            self.bytes += record.text.len();
            self.batch.entries.push(Entry {
                worker: worker.clone(),
                time_ms,
                record,
            });
        }
    }

    fn gap(&mut self, worker: &Arc<str>) {
        self.notice(
            worker,
            "records were lost: files of the log were removed before they could be delivered",
        );
    }

    /// A record of our own among the others, in the form of the log.
    fn notice(&mut self, worker: &Arc<str>, message: &str) {
        let last = self.batch.entries.last();
        let time_ms = last.map_or(self.now_ms, |entry| entry.time_ms);
        let time = jiff::Timestamp::from_millisecond(time_ms).unwrap_or_default();
        let time = time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
        self.batch.entries.push(Entry {
            worker: worker.clone(),
            time_ms,
            record: Record {
                time_ms: Some(time_ms),
                level: Some(Level::Warn),
                text: format!("[{time}] WARN {message} (runnel.log_delivery)"),
                is_whole: true,
                end: 0,
            },
        });
    }
}

/// The file of positions of one delivery.
pub fn positions_file(data_dir: &Path, connector: uuid::Uuid, place: super::PlaceKind) -> PathBuf {
    positions_folder(data_dir)
        .join(connector.to_string())
        .join(format!("{place}.json"))
}

/// A folder for each connector with deliveries.
pub fn positions_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("log_delivery")
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
