//! Delivery into files `PREFIX/CONNECTOR/WORKER.log` below the configured folder.

use super::place::{PlaceError, Taken};
use super::source::Entry;
use crate::logs::cursor::part;
use crate::logs::retention::{Keep, files_of, removals, remove};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Parts of one worker's file: the one that is written and four older.
const PARTS: u32 = 5;
/// Between two looks at what is too old or too much.
const SWEEP_PERIOD: Duration = Duration::from_mins(10);

/// Where the files of a connector go; none when the prefix leads out of the folder.
pub fn folder_of(directory: &Path, prefix: &str, connector: &str) -> Option<PathBuf> {
    let prefix = Path::new(prefix);
    let stays = prefix
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    stays.then(|| directory.join(prefix).join(connector))
}

/// The folder of one connector.
#[derive(Debug)]
pub struct FilePlace {
    folder: PathBuf,
    /// Bytes of one part.
    part_bytes: u64,
    keep: Keep,
    swept: Option<Instant>,
}

impl FilePlace {
    /// Writes into a folder, which is made when there is something to write. `worker_bytes` are
    /// those of one worker's parts together.
    pub fn new(folder: PathBuf, worker_bytes: u64, keep: Keep) -> Self {
        Self {
            folder,
            part_bytes: worker_bytes / u64::from(PARTS),
            keep,
            swept: None,
        }
    }

    /// Appends the records and syncs the files.
    pub fn deliver(&mut self, entries: &[Entry]) -> Result<Taken, PlaceError> {
        let folder = self.folder.clone();
        let away = |error: io::Error| {
            PlaceError::Away(format!("cannot write below {}: {error}", folder.display()))
        };
        fs::create_dir_all(&self.folder).map_err(away)?;
        let mut open: Option<(Arc<str>, Appending)> = None;
        for entry in entries {
            if open
                .as_ref()
                .is_none_or(|(worker, _)| *worker != entry.worker)
            {
                if let Some((_, file)) = open.take() {
                    file.finish().map_err(away)?;
                }
                let path = self.folder.join(format!("{}.log", entry.worker));
                open = Some((entry.worker.clone(), Appending::open(path).map_err(away)?));
            }
            if let Some((_, file)) = &mut open {
                file.write(&entry.record.text, self.part_bytes)
                    .map_err(away)?;
            }
        }
        if let Some((_, file)) = open {
            file.finish().map_err(away)?;
        }
        self.sweep();
        Ok(Taken::all(entries))
    }

    /// The newest file of each worker of the batch was just written, so it is the youngest; only
    /// more than the whole limit would make it go.
    fn sweep(&mut self) {
        if self.swept.is_some_and(|at| at.elapsed() < SWEEP_PERIOD) {
            return;
        }
        self.swept = Some(Instant::now());
        let mut files = files_of(&self.folder);
        files.retain(|file| is_ours(&file.path));
        for file in &mut files {
            let young = SystemTime::now().duration_since(file.modified);
            file.is_live = young.unwrap_or_default() < SWEEP_PERIOD;
        }
        remove(&removals(&files, &self.keep, SystemTime::now()));
    }
}

/// `WORKER.log` and `WORKER.log.N`: what else lies in the folder is not ours to remove.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| {
        name.split_once(".log").is_some_and(|(worker, rest)| {
            worker.starts_with("w-")
                && (rest.is_empty()
                    || rest
                        .strip_prefix('.')
                        .is_some_and(|number| number.parse::<u32>().is_ok()))
        })
    })
}

/// A file that is appended to.
struct Appending {
    path: PathBuf,
    file: File,
    size: u64,
    buffer: Vec<u8>,
}

impl Appending {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path,
            file,
            size,
            buffer: Vec::new(),
        })
    }

    fn write(&mut self, text: &str, part_bytes: u64) -> io::Result<()> {
        if self.size >= part_bytes {
            self.flush()?;
            for older in (1..PARTS).rev() {
                match fs::rename(part(&self.path, older - 1), part(&self.path, older)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            *self = Self::open(std::mem::take(&mut self.path))?;
        }
        self.size += text.len() as u64 + 1;
        self.buffer.extend_from_slice(text.as_bytes());
        self.buffer.push(b'\n');
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        self.file.sync_data()
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Record;

    fn entry(worker: &str, text: &str) -> Entry {
        Entry {
            worker: worker.into(),
            time_ms: 0,
            record: Record {
                time_ms: None,
                level: None,
                text: text.to_owned(),
                is_whole: true,
                end: 0,
            },
        }
    }

    const KEEP: Keep = Keep {
        bytes: 1 << 30,
        age: Duration::from_hours(24),
    };

    #[test]
    fn each_worker_has_a_file_that_is_rotated() {
        let top = tempfile::tempdir().unwrap();
        let folder = folder_of(top.path(), "a/b", "orders").unwrap();
        let mut place = FilePlace::new(folder.clone(), 50, KEEP);
        let entries: Vec<Entry> = (0..20)
            .map(|n| entry(if n % 2 == 0 { "w-1" } else { "w-2" }, &format!("line {n}")))
            .collect();
        place.deliver(&entries[..2]).unwrap();
        assert_eq!(
            fs::read_to_string(folder.join("w-1.log")).unwrap(),
            "line 0\n"
        );
        place.deliver(&entries[2..]).unwrap();
        let last = fs::read_to_string(folder.join("w-2.log")).unwrap();
        assert!(last.ends_with("line 19\n"), "{last}");
        assert!(folder.join("w-1.log.4").exists() && !folder.join("w-1.log.5").exists());
    }

    #[test]
    fn a_prefix_cannot_lead_out_of_the_folder() {
        let top = Path::new("/var/log/runnel");
        for prefix in ["../x", "/etc", "a/../../b"] {
            assert_eq!(folder_of(top, prefix, "orders"), None, "{prefix}");
        }
        let plain = folder_of(top, "", "orders").unwrap();
        assert_eq!(plain, top.join("orders"));
    }

    #[test]
    fn only_own_files_are_removed_by_age() {
        let top = tempfile::tempdir().unwrap();
        let past = SystemTime::now() - Duration::from_hours(48);
        for name in ["w-0.log", "w-0.log.3", "notes.log", "w-0.txt"] {
            let file = File::create(top.path().join(name)).unwrap();
            file.set_modified(past).unwrap();
        }
        let mut place = FilePlace::new(top.path().to_owned(), 1_000, KEEP);
        place.deliver(&[entry("w-1", "x")]).unwrap();
        let mut left: Vec<String> = fs::read_dir(top.path())
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["notes.log", "w-0.txt", "w-1.log"]);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_away_with_its_reason() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("taken"), "").unwrap();
        let mut place = FilePlace::new(top.path().join("taken/orders"), 1_000, KEEP);
        let error = place.deliver(&[entry("w-1", "x")]).unwrap_err();
        assert!(matches!(error, PlaceError::Away(reason) if reason.contains("taken/orders")));
    }
}
