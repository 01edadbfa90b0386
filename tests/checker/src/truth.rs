//! The end of a check: what was seen against what the history says.

use crate::check::{Found, add_holes};
use crate::event::RowKey;
use crate::history::{Attempt, History, Kind, Outcome};
use crate::rows::{Mark, Register, RowCheck};
use crate::timing;
use std::collections::{BTreeMap, HashMap};

/// The history, ready to be asked.
struct Truth<'a> {
    attempts: HashMap<(u32, u64), &'a Attempt>,
    /// Who may have deleted a register at a version.
    deletes: HashMap<(i64, u64), &'a Attempt>,
    /// By register: the last version that must have been seen.
    versions: BTreeMap<i64, (u64, Kind)>,
    /// By writer: the last append that must have been seen.
    appends: BTreeMap<u32, u64>,
}

/// What was seen of an attempt.
struct Sights {
    /// Its rows that were seen.
    seen: usize,
    /// Those among them that bear its name.
    named: usize,
    /// All of its rows that could be seen.
    rows: usize,
}

impl<'a> Truth<'a> {
    fn of(history: &'a History) -> Self {
        let mut truth = Self {
            attempts: HashMap::new(),
            deletes: HashMap::new(),
            versions: BTreeMap::new(),
            appends: BTreeMap::new(),
        };
        for attempt in &history.attempts {
            truth
                .attempts
                .insert((attempt.writer, attempt.wseq), attempt);
            if attempt.outcome == Outcome::Fail {
                continue;
            }
            for write in attempt.writes.iter().filter(|it| it.2 == Kind::Delete) {
                truth.deletes.insert((write.0, write.1), attempt);
            }
            if attempt.outcome == Outcome::Ok {
                truth.commits(attempt);
            }
        }
        for last in history.finals.iter().flat_map(|it| &it.registers) {
            let kind = last.by.map_or(Kind::Delete, |_| Kind::Update);
            truth.version(last.id, last.ver, kind);
        }
        for (writer, seq) in history.finals.iter().flat_map(|it| &it.appends) {
            truth.append(*writer, *seq);
        }
        truth
    }

    fn commits(&mut self, attempt: &Attempt) {
        for write in &attempt.writes {
            self.version(write.0, write.1, write.2);
        }
        self.append(attempt.writer, attempt.seq);
    }

    fn version(&mut self, id: i64, ver: u64, kind: Kind) {
        let last = self.versions.entry(id).or_insert((0, kind));
        if ver > last.0 {
            *last = (ver, kind);
        }
    }

    fn append(&mut self, writer: u32, seq: u64) {
        let last = self.appends.entry(writer).or_default();
        *last = seq.max(*last);
    }

    /// Why a version that was seen cannot be; none when it can.
    fn objection(&self, id: i64, ver: u64, mark: Mark) -> Option<String> {
        let (writer, wseq) = match mark {
            Mark::Deleted => {
                return (!self.deletes.contains_key(&(id, ver)))
                    .then(|| "nobody deleted it".to_owned());
            }
            Mark::Row(writer, wseq) => (writer, wseq),
        };
        let Some(attempt) = self.attempts.get(&(writer, wseq)) else {
            return Some(format!("writer {writer} made no attempt {wseq}"));
        };
        let wrote = attempt.writes.iter();
        let wrote = wrote.filter(|it| it.0 == id && it.1 == ver && it.2 != Kind::Delete);
        if attempt.outcome == Outcome::Fail {
            Some(format!("attempt {wseq} of writer {writer} was rolled back"))
        } else if wrote.count() == 0 {
            Some(format!(
                "attempt {wseq} of writer {writer} did not write it"
            ))
        } else {
            None
        }
    }

    /// The same for an appended row.
    fn append_objection(&self, writer: u32, seq: u64, wseq: u64) -> Option<String> {
        match self.attempts.get(&(writer, wseq)) {
            None => Some(format!("writer {writer} made no attempt {wseq}")),
            Some(attempt) if attempt.outcome == Outcome::Fail => {
                Some(format!("attempt {wseq} of writer {writer} was rolled back"))
            }
            Some(attempt) if attempt.seq != seq => Some(format!(
                "attempt {wseq} of writer {writer} appended {}",
                attempt.seq
            )),
            Some(_) => None,
        }
    }
}

impl RowCheck {
    /// Committed and not seen yet, and rewinds that have not come back.
    pub(crate) fn outstanding(&self, history: &History) -> u64 {
        let truth = Truth::of(history);
        let mut missing = 0;
        if self.rows.registers {
            for (id, (ver, kind)) in &truth.versions {
                missing += match self.registers.get(id) {
                    Some(register) => {
                        ver.saturating_sub(register.versions.max())
                            + u64::from(!register.versions.has_caught_up())
                            + u64::from(register.awaits_tombstone.is_some())
                    }
                    None => u64::from(*kind != Kind::Delete),
                };
            }
        }
        if self.rows.appends {
            for (writer, seq) in &truth.appends {
                let seen = self.appends.get(writer).map_or(0, |it| {
                    it.max() - u64::try_from(it.holes().count()).unwrap_or(0)
                });
                missing += seq.saturating_sub(seen);
            }
        }
        missing += self.ledgers.outstanding(history, |it| self.rows.reads(it));
        missing + self.behind().count() as u64
    }

    pub(crate) fn finish(&self, history: &History, mut found: Found) -> Found {
        let truth = Truth::of(history);
        if self.rows.registers {
            self.finish_registers(&truth, &mut found);
        }
        if self.rows.appends {
            self.finish_appends(&truth, &mut found);
        }
        for (key, ver, mark) in &self.others {
            let objection = match (key, mark) {
                (RowKey::Register(id), mark) => truth.objection(*id, *ver, *mark),
                (RowKey::Append { writer, seq }, Mark::Row(_, wseq)) => {
                    truth.append_objection(*writer, *seq, *wseq)
                }
                (RowKey::Append { .. }, Mark::Deleted) | (RowKey::Ledger(..), _) => None,
            };
            if let Some(objection) = objection {
                let example = || format!("{key}, version {ver}: {objection}");
                found.verdict.phantom.add(example);
            }
        }
        self.ledgers
            .finish(history, |it| self.rows.reads(it), &mut found);
        self.finish_state(history, &mut found);
        self.finish_transactions(history, &mut found);
        found.verdict.lag = self.lag(history);
        found
    }

    fn finish_registers(&self, truth: &Truth<'_>, found: &mut Found) {
        let lost = &mut found.verdict.lost;
        for (id, register) in &self.registers {
            let of = format!("register {id}, version");
            let max = register.versions.max();
            let last = truth.versions.get(id).map_or(max, |it| it.0);
            let missing = register.versions.holes().chain(max + 1..=last);
            add_holes(lost, missing, &of);
            if register.awaits_tombstone.is_some() {
                lost.add(|| format!("register {id}: the tombstone after its last delete"));
            }
            let base = register.versions.base();
            if register.born_later && !truth.deletes.contains_key(&(*id, base)) {
                lost.add_many(base, || {
                    format!("{of}s up to {base}: no snapshot held them")
                });
            }
            unfinished(*id, register, &mut found.verdict.reordered);
            for (ver, mark) in register.versions.iter() {
                let Some(mark) = mark else { continue };
                if let Some(objection) = truth.objection(*id, ver, *mark) {
                    let phantom = &mut found.verdict.phantom;
                    phantom.add(|| format!("register {id}, version {ver}: {objection}"));
                }
            }
        }
        let snapshot = found.verdict.snapshot > 0;
        for (id, (last, kind)) in &truth.versions {
            // Deleted before the snapshot and never made again: nothing of it need be seen.
            let gone = snapshot && *kind == Kind::Delete;
            if !self.registers.contains_key(id) && !gone {
                let of = format!("register {id}, version");
                add_holes(&mut found.verdict.lost, 1..=*last, &of);
            }
        }
    }

    fn finish_appends(&self, truth: &Truth<'_>, found: &mut Found) {
        for (writer, last) in &truth.appends {
            let of = format!("append of writer {writer}, number");
            let lost = &mut found.verdict.lost;
            match self.appends.get(writer) {
                Some(seen) => {
                    let tail = seen.max() + 1..=*last;
                    add_holes(lost, seen.holes().chain(tail), &of);
                }
                None => add_holes(lost, 1..=*last, &of),
            }
        }
        for (writer, partition) in self.behind() {
            let example = || {
                format!("writer {writer}, partition {partition}: the last rewind did not come back")
            };
            found.verdict.reordered.add(example);
        }
        for (writer, seen) in &self.appends {
            for (seq, appended) in seen.iter() {
                let Some(appended) = appended else { continue };
                if let Some(objection) = truth.append_objection(*writer, seq, appended.wseq) {
                    let example = || format!("append {seq} of writer {writer}: {objection}");
                    found.verdict.phantom.add(example);
                }
            }
        }
    }

    fn finish_transactions(&self, history: &History, found: &mut Found) {
        let torn = &mut found.verdict.torn;
        for attempt in &history.attempts {
            if attempt.outcome == Outcome::Fail {
                continue;
            }
            let Sights { seen, named, rows } = self.seen_of(attempt);
            // A delete does not say whose it is: alone it proves nothing of an attempt that may not have happened.
            let happened = attempt.outcome == Outcome::Ok || named > 0;
            if happened && seen > 0 && seen < rows {
                torn.add(|| {
                    let (writer, wseq) = (attempt.writer, attempt.wseq);
                    format!("attempt {wseq} of writer {writer}: {seen} of {rows} rows were seen")
                });
            }
        }
        if !self.rows.transactions {
            return;
        }
        if self.rows.session_order {
            self.commits.finish(&mut found.verdict.reordered);
        }
        let torn = &mut found.verdict.torn;
        for (id, transaction) in &self.transactions {
            let seen = transaction.orders.len() as u64;
            match transaction.expected {
                Some(expected) if seen >= expected => {}
                Some(expected) => {
                    torn.add(|| format!("transaction {id}: {seen} of {expected} events were seen"));
                }
                None => torn.add(|| format!("transaction {id}: its end was never seen")),
            }
        }
    }

    fn seen_of(&self, attempt: &Attempt) -> Sights {
        let (mut seen, mut named, mut rows) = (0, 0, 0);
        if self.rows.registers {
            for write in &attempt.writes {
                let Some(register) = self.registers.get(&write.0) else {
                    rows += 1;
                    continue;
                };
                if write.1 <= register.versions.base() {
                    continue;
                }
                let wanted = match write.2 {
                    Kind::Delete => Mark::Deleted,
                    Kind::Insert | Kind::Update => Mark::Row(attempt.writer, attempt.wseq),
                };
                rows += 1;
                let is_seen = register.versions.get(write.1) == Some(&wanted);
                seen += usize::from(is_seen);
                named += usize::from(is_seen && wanted != Mark::Deleted);
            }
        }
        if self.rows.appends && attempt.seq > 0 {
            rows += 1;
            let appended = self
                .appends
                .get(&attempt.writer)
                .and_then(|it| it.get(attempt.seq));
            let is_seen = appended.is_some_and(|it| it.wseq == attempt.wseq);
            seen += usize::from(is_seen);
            named += usize::from(is_seen);
        }
        let (legs, of) = self.ledgers.seen_of(attempt, |it| self.rows.reads(it));
        Sights {
            seen: seen + legs,
            named: named + legs,
            rows: rows + of,
        }
    }

    /// How long after their COMMIT the appended rows came.
    fn lag(&self, history: &History) -> Option<crate::verdict::Lags> {
        let committed = history
            .attempts
            .iter()
            .filter(|it| it.outcome == Outcome::Ok);
        let lags = committed.filter_map(|attempt| {
            let appended = self.appends.get(&attempt.writer)?.get(attempt.seq)?;
            (appended.at >= 0).then(|| (appended.at - attempt.at).max(0))
        });
        timing::lags(lags.collect())
    }
}

/// What a key's last record must not be.
fn unfinished(id: i64, register: &Register, reordered: &mut crate::verdict::Finding) {
    let versions = &register.versions;
    if !versions.has_caught_up() {
        reordered.add(|| {
            let (last, max) = (versions.current(), versions.max());
            format!("register {id}: its last record is version {last}, after version {max}")
        });
    }
    if register.buried_alive {
        reordered.add(|| format!("register {id}: its last record is a tombstone, its row lives"));
    }
}
