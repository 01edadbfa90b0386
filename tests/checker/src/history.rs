//! Ground truth: what the clients of the database did, and what they know of the outcome.
//!
//! On disk it is one JSON object a line: a head, for each transaction an *intent* before its COMMIT is sent and an
//! *outcome* after the answer, and at the end what the database holds. An intent without an outcome is `unknown`: that
//! is what a writer leaves that was killed in between.

use crate::event::{Ledger, RowKey};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

/// What a client knows of its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The database acknowledged the COMMIT, or said later that it had happened.
    Ok,
    /// It was rolled back, or refused.
    Fail,
    /// The connection was lost at the COMMIT, and nobody could say yet.
    Unknown,
}

/// What was done to a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Inserted, for the first time or after a delete.
    #[serde(rename = "i")]
    Insert,
    /// Updated.
    #[serde(rename = "u")]
    Update,
    /// Deleted.
    #[serde(rename = "d")]
    Delete,
}

/// One version of one register: id, version, what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write(pub i64, pub u64, pub Kind);

/// One version of one row of a ledger: table, id, version, and of an account its balance after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg(pub Ledger, pub i64, pub u64, pub Option<i64>);

/// A client transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which writer.
    pub writer: u32,
    /// Counts the writer's attempts, from 1; never used twice.
    pub wseq: u64,
    /// The number of the row it appended; 0 when it appended none.
    pub seq: u64,
    /// The registers it changed.
    pub writes: Vec<Write>,
    /// The accounts and lists it changed.
    pub legs: Vec<Leg>,
    /// What is known of its end.
    pub outcome: Outcome,
    /// When the outcome was known, milliseconds since 1970.
    pub at: i64,
}

impl Attempt {
    /// Every row it wrote.
    pub fn rows(&self) -> usize {
        self.writes.len() + self.legs.len() + usize::from(self.seq > 0)
    }

    /// The key of the row it appended.
    pub fn append_key(&self) -> Option<RowKey> {
        let (writer, seq) = (self.writer, self.seq);
        (seq > 0).then_some(RowKey::Append { writer, seq })
    }
}

/// A register in the database at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Final {
    /// Register.
    pub id: i64,
    /// Its last version.
    pub ver: u64,
    /// Who wrote it and in which attempt; none when the last version is a delete.
    pub by: Option<(u32, u64)>,
    /// [`Row::digest`](crate::event::Row::digest) of the row; none when there is none, or when nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
}

/// A stretch of one writer's rows in the append table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// Whose.
    pub writer: u32,
    /// The number of its first row.
    pub from: u64,
    /// The number of its last row.
    pub to: u64,
    /// The rows' [`Row::digest`](crate::event::Row::digest)s, added up modulo 2⁶⁴.
    pub sum: u64,
}

/// Rows of a stretch. The history tells so many of them in one number, and stays small.
const STRETCH: u64 = 100;

/// Adds a row to the stretches of its table; rows come by writer and number.
pub fn add_row(stretches: &mut Vec<Stretch>, (writer, seq): (u32, u64), digest: u64) {
    match stretches.last_mut() {
        Some(last) if last.writer == writer && seq / STRETCH == last.from / STRETCH => {
            last.to = seq;
            last.sum = last.sum.wrapping_add(digest);
        }
        _ => stretches.push(Stretch {
            writer,
            from: seq,
            to: seq,
            sum: digest,
        }),
    }
}

/// A row of a ledger in the database at the end, with all its columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// Table.
    pub ledger: Ledger,
    /// Primary key.
    pub id: i64,
    /// Its last version.
    pub ver: u64,
    /// Who wrote it and in which attempt; attempt 0 made the table.
    pub by: (u32, u64),
    /// An account's balance, a list's elements.
    pub value: String,
}

/// What the database held when the writers had ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finals {
    /// Every register that ever was.
    pub registers: Vec<Final>,
    /// Rows of each writer in the append table.
    pub appends: Vec<(u32, u64)>,
    /// What the append table holds, its oldest rows left out when there are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stretches: Vec<Stretch>,
    /// Every account and list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ledgers: Vec<LedgerRow>,
}

/// All that the writers know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Name of the workload, the first part of both tables' names.
    pub table: String,
    /// Transactions, in the order in which they were tried.
    pub attempts: Vec<Attempt>,
    /// The database at the end, when somebody could look.
    pub finals: Option<Finals>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Head {
        format: u32,
        table: String,
    },
    /// Writer, attempt, number of the appended row, registers.
    Try(u32, u64, u64, Vec<Write>),
    /// Writer, attempt, accounts and lists; after its `Try`, when there are any.
    Legs(u32, u64, Vec<Leg>),
    /// Writer, attempt, outcome, time.
    End(u32, u64, Outcome, i64),
    Finals(Finals),
}

/// The version of the file's format.
const FORMAT: u32 = 1;

/// A history could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file.
    #[error("history {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of it.
    #[error("history {path}, line {line}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// Another format, or not a history at all.
    #[error("{path} is not a history of format {FORMAT}")]
    Format {
        /// Which file.
        path: PathBuf,
    },
    /// The file belongs to another table.
    #[error("{path} is the history of table {found}, not of {wanted}")]
    OtherTable {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
}

impl History {
    /// Reads a history. A last line that was cut by a kill is left out.
    pub fn read(path: &Path) -> Result<Self, HistoryError> {
        let failed = |source| HistoryError::File {
            path: path.to_owned(),
            source,
        };
        let mut history = Self::default();
        let mut index = HashMap::new();
        let mut broken: Option<HistoryError> = None;
        let mut has_head = false;
        for (number, line) in BufReader::new(File::open(path).map_err(failed)?)
            .split(b'\n')
            .enumerate()
        {
            let line = line.map_err(failed)?;
            if let Some(error) = broken.take() {
                return Err(error);
            }
            match serde_json::from_slice(&line) {
                Ok(line) => has_head |= history.take(line, &mut index),
                Err(source) => {
                    broken = Some(HistoryError::Line {
                        path: path.to_owned(),
                        line: number + 1,
                        source,
                    });
                }
            }
        }
        if has_head {
            Ok(history)
        } else {
            Err(HistoryError::Format {
                path: path.to_owned(),
            })
        }
    }

    /// Takes in a line; true for a head of our format.
    fn take(&mut self, line: Line, index: &mut HashMap<(u32, u64), usize>) -> bool {
        match line {
            Line::Head { format, table } => {
                self.table = table;
                return format == FORMAT;
            }
            Line::Try(writer, wseq, seq, writes) => {
                index.insert((writer, wseq), self.attempts.len());
                self.attempts.push(Attempt {
                    writer,
                    wseq,
                    seq,
                    writes,
                    legs: Vec::new(),
                    outcome: Outcome::Unknown,
                    at: 0,
                });
            }
            Line::Legs(writer, wseq, legs) => {
                let attempt = index
                    .get(&(writer, wseq))
                    .and_then(|it| self.attempts.get_mut(*it));
                if let Some(attempt) = attempt {
                    attempt.legs = legs;
                }
            }
            Line::End(writer, wseq, outcome, at) => {
                let attempt = index
                    .get(&(writer, wseq))
                    .and_then(|it| self.attempts.get_mut(*it));
                if let Some(attempt) = attempt {
                    attempt.outcome = outcome;
                    attempt.at = at;
                }
            }
            Line::Finals(finals) => self.finals = Some(finals),
        }
        false
    }

    /// How many attempts ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        let attempts = self.attempts.iter();
        attempts.filter(|it| it.outcome == outcome).count()
    }
}

/// Keeps a history on disk; each line is handed to the system at once, so that a killed writer loses none.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    file: File,
}

impl Recorder {
    /// Goes on with a file, or begins one. What the file held is given back.
    pub fn open(path: &Path, table: &str) -> Result<(Self, History), HistoryError> {
        let earlier = path.metadata().is_ok_and(|it| it.len() > 0);
        let history = if earlier {
            History::read(path)?
        } else {
            History {
                table: table.to_owned(),
                ..History::default()
            }
        };
        if history.table != table {
            return Err(HistoryError::OtherTable {
                path: path.to_owned(),
                found: history.table,
                wanted: table.to_owned(),
            });
        }
        let failed = |source| HistoryError::File {
            path: path.to_owned(),
            source,
        };
        cut_half_line(path).map_err(failed)?;
        let file = File::options().create(true).append(true).open(path);
        let mut recorder = Self {
            path: path.to_owned(),
            file: file.map_err(failed)?,
        };
        if !earlier {
            recorder.line(&Line::Head {
                format: FORMAT,
                table: table.to_owned(),
            })?;
        }
        Ok((recorder, history))
    }

    fn line(&mut self, line: &Line) -> Result<(), HistoryError> {
        let failed = |source| HistoryError::File {
            path: self.path.clone(),
            source,
        };
        let mut text = serde_json::to_vec(line).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(failed)
    }

    /// A transaction is about to be tried to its end.
    pub fn intent(&mut self, attempt: &Attempt) -> Result<(), HistoryError> {
        self.line(&Line::Try(
            attempt.writer,
            attempt.wseq,
            attempt.seq,
            attempt.writes.clone(),
        ))?;
        if attempt.legs.is_empty() {
            return Ok(());
        }
        let (writer, wseq) = (attempt.writer, attempt.wseq);
        self.line(&Line::Legs(writer, wseq, attempt.legs.clone()))
    }

    /// What became of it.
    pub fn outcome(&mut self, attempt: &Attempt) -> Result<(), HistoryError> {
        self.line(&Line::End(
            attempt.writer,
            attempt.wseq,
            attempt.outcome,
            attempt.at,
        ))
    }

    /// What the database holds at the end.
    pub fn finals(&mut self, finals: &Finals) -> Result<(), HistoryError> {
        self.line(&Line::Finals(finals.clone()))
    }
}

/// Removes what a kill left after the last end of line.
fn cut_half_line(path: &Path) -> std::io::Result<()> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let whole = text
        .iter()
        .rposition(|it| *it == b'\n')
        .map_or(0, |at| at + 1);
    if whole < text.len() {
        File::options()
            .write(true)
            .open(path)?
            .set_len(whole as u64)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(wseq: u64, outcome: Outcome) -> Attempt {
        Attempt {
            writer: 2,
            wseq,
            seq: wseq,
            writes: vec![Write(5, wseq, Kind::Update)],
            legs: vec![Leg(Ledger::Vault, 3, wseq + 1, Some(-7))],
            outcome,
            at: 17,
        }
    }

    #[test]
    fn a_history_is_read_as_it_was_kept_and_goes_on_after_a_kill() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("history");
        let (mut recorder, _) = Recorder::open(&path, "t")?;
        recorder.intent(&attempt(1, Outcome::Ok))?;
        recorder.outcome(&attempt(1, Outcome::Ok))?;
        recorder.intent(&attempt(2, Outcome::Ok))?;
        drop(recorder);
        File::options()
            .append(true)
            .open(&path)?
            .write_all(b"{\"end\":[2,")?;

        let history = History::read(&path)?;
        assert_eq!(history.attempts[0], attempt(1, Outcome::Ok));
        assert_eq!(history.attempts[1].outcome, Outcome::Unknown);

        let (mut recorder, earlier) = Recorder::open(&path, "t")?;
        assert_eq!(earlier, history);
        recorder.outcome(&attempt(2, Outcome::Fail))?;
        recorder.finals(&Finals::default())?;
        let history = History::read(&path)?;
        assert_eq!(history.attempts[1].outcome, Outcome::Fail);
        assert_eq!(history.finals, Some(Finals::default()));
        assert_eq!(history.count(Outcome::Ok), 1);
        Ok(())
    }

    #[test]
    fn what_is_no_history_is_refused() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("history");
        for text in ["", "{\"head\":{\"format\":9,\"table\":\"t\"}}\n", "x\ny\n"] {
            std::fs::write(&path, text)?;
            assert!(History::read(&path).is_err(), "{text:?}");
        }
        drop(std::fs::remove_file(&path));
        drop(Recorder::open(&path, "t")?);
        let error = Recorder::open(&path, "u").unwrap_err().to_string();
        assert!(error.contains("of table t, not of u"), "{error}");
        Ok(())
    }
}
