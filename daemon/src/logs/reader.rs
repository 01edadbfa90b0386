//! The logs of a connector's workers as one text: the past, then what comes.

use super::cursor::{Cursor, Step};
use super::filter::Filter;
use super::record::{Assembler, Record};
use super::{TAIL_MAX, WorkerLog};
use crate::fleet::Redactor;
use std::collections::{BTreeMap, VecDeque};
use std::io;

/// Most bytes of the past in one answer, whatever the number of lines.
const PAST_MAX: usize = 8 << 20;
/// Bytes that are read at once.
const BLOCK: usize = 64 << 10;
/// How far back a worker's log is looked at first, bytes; four times as far when that was too
/// little.
const LOOK_BACK: u64 = 256 << 10;
/// How far back all logs of one request together are looked at, bytes.
const SCAN_MAX: u64 = 256 << 20;

/// Reads logs from the past into the present; keeps its place between calls.
#[derive(Debug, Default)]
pub struct Reader {
    filter: Filter,
    tails: BTreeMap<String, Tail>,
    /// Lines are prefixed by their worker, from the moment on that there are several.
    is_several: bool,
}

/// One worker's log.
#[derive(Debug)]
struct Tail {
    cursor: Cursor,
    assembler: Assembler,
    /// Whether the newest record passed.
    passed: bool,
}

/// Records of one worker, the newest lines of them.
#[derive(Default)]
struct Recent {
    records: VecDeque<Record>,
    lines: usize,
    bytes: usize,
}

impl Recent {
    fn push(&mut self, record: Record, wanted: usize) {
        self.lines += record.lines();
        self.bytes += record.text.len();
        self.records.push_back(record);
        while let Some(oldest) = self.records.front() {
            // The oldest one comes whole, so it goes only when the others are enough.
            if self.lines - oldest.lines() < wanted && self.bytes <= PAST_MAX {
                break;
            }
            self.lines -= oldest.lines();
            self.bytes -= oldest.text.len();
            self.records.pop_front();
        }
    }
}

impl Reader {
    /// Shows what passes.
    pub fn new(filter: Filter) -> Self {
        Self {
            filter,
            ..Self::default()
        }
    }

    /// The last `lines` lines of all workers together, in the order of their times; the oldest
    /// record comes whole. Afterwards the reader stands at the end.
    pub fn past(
        &mut self,
        logs: &[WorkerLog],
        lines: usize,
        redactor: &Redactor,
    ) -> io::Result<String> {
        let wanted = lines.min(TAIL_MAX);
        self.is_several |= logs.len() > 1;
        let budget = SCAN_MAX / logs.len().max(1) as u64;
        let mut all = Vec::new();
        for log in logs {
            if let Some((tail, recent)) = self.past_of(log, wanted, budget, redactor)? {
                self.tails.insert(log.worker.clone(), tail);
                all.extend(in_order(recent.records.into()).map(|(at, record)| (at, log, record)));
            }
        }
        all.sort_by_key(|(at, ..)| *at);
        let (mut count, mut bytes) = (0, 0);
        let newest = all.iter().rev().take_while(|(_, _, record)| {
            let is_wanted = count < wanted && bytes < PAST_MAX;
            count += record.lines();
            bytes += record.text.len();
            is_wanted
        });
        let first = all.len() - newest.count();
        let mut text = String::new();
        for (_, log, record) in &all[first..] {
            self.append(&mut text, &log.worker, record);
        }
        Ok(text)
    }

    /// What was written since the last call, at most 64 KiB of each worker; new workers are read
    /// from their beginning.
    pub fn more(&mut self, logs: &[WorkerLog], redactor: &Redactor) -> io::Result<String> {
        self.is_several |= logs.len() > 1 || self.tails.keys().any(|it| !has(logs, it));
        let mut all = Vec::new();
        for log in logs {
            if !self.tails.contains_key(&log.worker) {
                let Some((cursor, _)) = Cursor::resume(&log.file, None)? else {
                    continue;
                };
                self.tails.insert(log.worker.clone(), Tail::new(cursor));
            }
            let Some(tail) = self.tails.get_mut(&log.worker) else {
                continue;
            };
            let mut records = tail.advance(log)?;
            redact(&mut records, redactor);
            let filter = &self.filter;
            let passed = records.into_iter().filter(|record| {
                tail.passed = filter.passes(record, tail.passed);
                tail.passed
            });
            all.extend(in_order(passed.collect()).map(|(at, record)| (at, log, record)));
        }
        all.sort_by_key(|(at, ..)| *at);
        let mut text = String::new();
        for (_, log, record) in &all {
            self.append(&mut text, &log.worker, record);
        }
        self.tails.retain(|worker, _| has(logs, worker));
        Ok(text)
    }

    /// Looks back farther and farther until there are enough records, or no more.
    fn past_of(
        &self,
        log: &WorkerLog,
        wanted: usize,
        budget: u64,
        redactor: &Redactor,
    ) -> io::Result<Option<(Tail, Recent)>> {
        let mut back = LOOK_BACK;
        loop {
            let mut parts = Cursor::parts(&log.file)?;
            let mut rest = back.min(budget);
            let mut begin = parts.len();
            for (index, part) in parts.iter_mut().enumerate() {
                let length = part.length()?;
                part.seek(length.saturating_sub(rest));
                begin = index;
                rest = rest.saturating_sub(length);
                if rest == 0 {
                    break;
                }
            }
            let is_all =
                parts.get(begin).is_none_or(|part| part.at() == 0) && begin + 1 >= parts.len();
            parts.truncate(begin + 1);
            let Some((tail, recent, first_ms)) = self.scan(parts, is_all, wanted, redactor)? else {
                return Ok(None);
            };
            let reaches_since = self
                .filter
                .since_ms
                .is_some_and(|since| first_ms.is_some_and(|first| first < since));
            if is_all || recent.lines >= wanted || reaches_since || back >= budget {
                return Ok(Some((tail, recent)));
            }
            back = back.saturating_mul(4);
        }
    }

    /// Reads parts (newest first) from where they stand to their ends. The third answer is the time
    /// of the first record.
    fn scan(
        &self,
        parts: Vec<Cursor>,
        is_all: bool,
        wanted: usize,
        redactor: &Redactor,
    ) -> io::Result<Option<(Tail, Recent, Option<i64>)>> {
        let mut recent = Recent::default();
        let (mut first_ms, mut passed) = (None, false);
        // A look that begins in the middle of a record begins with the next head.
        let mut begun = is_all;
        let mut last: Option<Tail> = None;
        let mut records = Vec::new();
        let mut chunk = Vec::new();
        for mut cursor in parts.into_iter().rev() {
            let mut assembler = match last.take() {
                None => Assembler::at(cursor.at()),
                Some(mut tail) => {
                    tail.assembler.next_file(&mut records);
                    tail.assembler
                }
            };
            loop {
                chunk.clear();
                let is_end = cursor.read(&mut chunk, BLOCK)? == 0;
                assembler.push(&chunk, &mut records);
                if is_end {
                    assembler.flush(&mut records);
                }
                redact(&mut records, redactor);
                for record in records.drain(..) {
                    begun |= record.level.is_some() && record.is_whole;
                    first_ms = first_ms.or(record.time_ms);
                    passed = begun && self.filter.passes(&record, passed);
                    if passed {
                        recent.push(record, wanted);
                    }
                }
                if is_end {
                    break;
                }
            }
            last = Some(Tail {
                cursor,
                assembler,
                passed,
            });
        }
        Ok(last.map(|tail| (tail, recent, first_ms)))
    }

    fn append(&self, text: &mut String, worker: &str, record: &Record) {
        for line in record.text.split('\n') {
            if self.is_several {
                text.push_str(worker);
                text.push(' ');
            }
            text.push_str(line);
            text.push('\n');
        }
    }
}

impl Tail {
    fn new(cursor: Cursor) -> Self {
        Self {
            assembler: Assembler::at(cursor.at()),
            cursor,
            passed: false,
        }
    }

    /// A block, over the end of a rotated file. A record after which nothing came is handed out.
    fn advance(&mut self, log: &WorkerLog) -> io::Result<Vec<Record>> {
        let (mut records, mut chunk) = (Vec::new(), Vec::new());
        loop {
            match self.cursor.step(&log.file, &mut chunk, BLOCK)? {
                Step::Read => {
                    self.assembler.push(&chunk, &mut records);
                    return Ok(records);
                }
                Step::NextFile { .. } => self.assembler.next_file(&mut records),
                Step::End => {
                    self.assembler.flush(&mut records);
                    return Ok(records);
                }
            }
        }
    }
}

fn has(logs: &[WorkerLog], worker: &str) -> bool {
    logs.iter().any(|log| log.worker == worker)
}

fn redact(records: &mut [Record], redactor: &Redactor) {
    for record in records {
        if let std::borrow::Cow::Owned(shown) = redactor.redact(&record.text) {
            record.text = shown;
        }
    }
}

/// Each record with a time by which workers are merged: never before that of the record before it,
/// so that a clock that is set back does not mix up one worker's log.
fn in_order(records: Vec<Record>) -> impl Iterator<Item = (i64, Record)> {
    let mut newest = i64::MIN;
    records.into_iter().map(move |record| {
        newest = newest.max(record.time_ms.unwrap_or(newest));
        (newest, record)
    })
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
