//! Worker logs as people read them: the last lines of all workers of a connector, then what comes.
//!
//! The shim writes `worker.log` and renames it to `worker.log.1` when it is full, older parts to
//! `.2` and so on. Lines of different workers are told apart by a heading when the worker changes.

use runnel_api::Name;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Lines that are answered when nobody says how many.
pub const TAIL_DEFAULT: usize = 100;
/// Most lines of one answer.
pub const TAIL_MAX: usize = 10_000;
/// Most bytes of the past in one answer, whatever the number of lines.
const PAST_MAX: u64 = 8 << 20;
/// Bytes that are read at once.
const BLOCK: usize = 64 << 10;
/// Older parts of a log are looked for up to this number.
const PARTS_MAX: u32 = 16;

/// The log of one worker process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerLog {
    /// The daemon's id of the process.
    pub worker: String,
    /// The file that is written; older parts stand beside it.
    pub file: PathBuf,
}

/// Where the logs of a connector are.
pub trait WorkerLogs: Send + Sync {
    /// Logs of all workers that the connector has or had, oldest worker first. Also of a connector
    /// that is gone: why it failed is in them.
    fn of(&self, connector: &Name) -> Vec<WorkerLog>;
}

/// Reads logs from the past into the present; keeps its place between calls.
#[derive(Debug, Default)]
pub struct Reader {
    open: BTreeMap<String, Place>,
    /// The worker whose lines came last.
    heading: Option<String>,
}

#[derive(Debug)]
struct Place {
    file: File,
    inode: u64,
    read_to: u64,
}

impl Reader {
    /// The last `lines` lines of all workers together. Afterwards the reader stands at the end.
    pub fn tail(&mut self, logs: &[WorkerLog], lines: usize) -> io::Result<Vec<u8>> {
        let mut wanted = lines.min(TAIL_MAX);
        let mut budget = PAST_MAX;
        let mut chunks: Vec<(&WorkerLog, Vec<u8>)> = Vec::new();
        for log in logs.iter().rev() {
            let Some(mut place) = Place::open(&log.file)? else {
                continue;
            };
            place.read_to = place.file.metadata()?.len();
            let end = place.read_to;
            let mut newest_first = vec![last_lines(&mut place.file, end, wanted, budget)?];
            self.open.insert(log.worker.clone(), place);
            wanted = wanted.saturating_sub(count_lines(&newest_first[0]));
            budget = budget.saturating_sub(newest_first[0].len() as u64);
            for number in 1..=PARTS_MAX {
                if wanted == 0 || budget == 0 {
                    break;
                }
                let Some(mut part) = Place::open(&part(&log.file, number))? else {
                    break;
                };
                let end = part.file.metadata()?.len();
                let chunk = last_lines(&mut part.file, end, wanted, budget)?;
                wanted = wanted.saturating_sub(count_lines(&chunk));
                budget = budget.saturating_sub(chunk.len() as u64);
                newest_first.push(chunk);
            }
            chunks.extend(newest_first.into_iter().map(|chunk| (log, chunk)));
        }
        let mut text = Vec::new();
        for (log, chunk) in chunks.into_iter().rev() {
            self.append(&mut text, &log.worker, &chunk, logs.len() > 1);
        }
        Ok(text)
    }

    /// What was written since the last call, at most 64 KiB of each worker; new workers are read
    /// from their beginning.
    pub fn more(&mut self, logs: &[WorkerLog]) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        for log in logs {
            if !self.open.contains_key(&log.worker) {
                let Some(place) = Place::open(&log.file)? else {
                    continue;
                };
                self.open.insert(log.worker.clone(), place);
            }
            let mut chunk = Vec::new();
            if let Some(place) = self.open.get_mut(&log.worker) {
                place.advance(&log.file, &mut chunk)?;
            }
            self.append(&mut text, &log.worker, &chunk, logs.len() > 1);
        }
        self.open
            .retain(|worker, _| logs.iter().any(|log| log.worker == *worker));
        Ok(text)
    }

    fn append(&mut self, text: &mut Vec<u8>, worker: &str, chunk: &[u8], several: bool) {
        if chunk.is_empty() {
            return;
        }
        if self.heading.as_deref() != Some(worker) {
            if several || self.heading.is_some() {
                text.extend_from_slice(format!("==> worker {worker}\n").as_bytes());
            }
            self.heading = Some(worker.to_owned());
        }
        text.extend_from_slice(chunk);
    }
}

impl Place {
    /// Opens a file at its beginning; none when it is not there.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self {
                inode: file.metadata()?.ino(),
                file,
                read_to: 0,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads on, at most a block; goes over to the new file when the old one was renamed and is
    /// read to its end.
    fn advance(&mut self, path: &Path, chunk: &mut Vec<u8>) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.read_to))?;
        let read = (&self.file).take(BLOCK as u64).read_to_end(chunk)?;
        self.read_to += read as u64;
        if read == 0
            && let Some(current) = Self::open(path)?
            && current.inode != self.inode
        {
            *self = current;
            let read = (&self.file).take(BLOCK as u64).read_to_end(chunk)?;
            self.read_to = read as u64;
        }
        Ok(())
    }
}

fn part(file: &Path, number: u32) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn count_lines(chunk: &[u8]) -> usize {
    let ends = chunk.split(|byte| *byte == b'\n').count() - 1;
    ends + usize::from(chunk.last().is_some_and(|byte| *byte != b'\n'))
}

/// The bytes of the last `lines` lines before `end`, at most `budget` bytes (then without the line
/// that the budget cut).
fn last_lines(file: &mut File, end: u64, lines: usize, budget: u64) -> io::Result<Vec<u8>> {
    if lines == 0 {
        return Ok(Vec::new());
    }
    let floor = end.saturating_sub(budget);
    let mut start = end;
    let mut bytes: Vec<u8> = Vec::new();
    while start > floor && newlines_before_last(&bytes) < lines {
        let from = start.saturating_sub(BLOCK as u64).max(floor);
        let mut block = Vec::with_capacity(BLOCK);
        file.seek(SeekFrom::Start(from))?;
        (&*file).take(start - from).read_to_end(&mut block)?;
        block.extend_from_slice(&bytes);
        bytes = block;
        start = from;
    }
    let cut = start > 0 && newlines_before_last(&bytes) < lines;
    let body = bytes.len() - usize::from(bytes.last() == Some(&b'\n'));
    let mut ends = bytes[..body]
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1);
    let total = newlines_before_last(&bytes);
    let from = if cut {
        ends.next().unwrap_or(0)
    } else if total >= lines {
        ends.nth(total - lines).unwrap_or(0)
    } else {
        0
    };
    Ok(bytes.split_off(from))
}

/// Line ends, without the one that ends the last line.
fn newlines_before_last(bytes: &[u8]) -> usize {
    count_lines(bytes).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn log(folder: &Path, worker: &str, text: &str) -> WorkerLog {
        let file = folder.join(format!("{worker}.log"));
        std::fs::write(&file, text).unwrap();
        WorkerLog {
            worker: worker.to_owned(),
            file,
        }
    }

    fn add(log: &WorkerLog, text: &str) {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&log.file)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn text(bytes: io::Result<Vec<u8>>) -> String {
        String::from_utf8(bytes.unwrap()).unwrap()
    }

    #[test]
    fn the_last_lines_are_counted_over_parts_and_workers() {
        let folder = tempfile::tempdir().unwrap();
        let one = log(folder.path(), "w1", "c\nd\n");
        std::fs::write(folder.path().join("w1.log.1"), "a\nb\n").unwrap();
        let tail = |logs: &[WorkerLog], lines| text(Reader::default().tail(logs, lines));
        assert_eq!(tail(std::slice::from_ref(&one), 1), "d\n");
        assert_eq!(tail(std::slice::from_ref(&one), 2), "c\nd\n");
        assert_eq!(tail(std::slice::from_ref(&one), 3), "b\nc\nd\n");
        assert_eq!(tail(std::slice::from_ref(&one), 9), "a\nb\nc\nd\n");
        assert_eq!(tail(std::slice::from_ref(&one), 0), "");
        let two = log(folder.path(), "w2", "e\nunfinished");
        let both = [one, two];
        assert_eq!(
            tail(&both, 3),
            "==> worker w1\nd\n==> worker w2\ne\nunfinished"
        );
        assert_eq!(tail(&both, 1), "==> worker w2\nunfinished");
    }

    #[test]
    fn lines_longer_than_a_block_come_whole() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(3 * BLOCK);
        let log = log(folder.path(), "w1", &format!("a\n{long}\nb\n"));
        let tail = text(Reader::default().tail(&[log], 2));
        assert_eq!(tail, format!("{long}\nb\n"));
    }

    #[test]
    fn following_goes_over_rotation_and_new_workers() {
        let folder = tempfile::tempdir().unwrap();
        let one = log(folder.path(), "w1", "a\n");
        let mut reader = Reader::default();
        let mut logs = vec![one.clone()];
        assert_eq!(text(reader.tail(&logs, 10)), "a\n");
        assert_eq!(text(reader.more(&logs)), "");
        add(&one, "b\n");
        assert_eq!(text(reader.more(&logs)), "b\n");
        add(&one, "c\n");
        std::fs::rename(&one.file, part(&one.file, 1)).unwrap();
        add(&one, "d\n");
        assert_eq!(text(reader.more(&logs)), "c\n");
        assert_eq!(text(reader.more(&logs)), "d\n");
        logs.push(log(folder.path(), "w2", "e\n"));
        assert_eq!(text(reader.more(&logs)), "==> worker w2\ne\n");
        std::fs::remove_file(&one.file).unwrap();
        logs.remove(0);
        assert_eq!(text(reader.more(&logs)), "");
    }
}
