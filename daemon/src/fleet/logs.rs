//! A connector's log files: where they are, and what the newest error in them is.

use super::shim::log::{FILES, part};
use super::shim::sense::LastWords;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Dead workers of a connector whose logs are kept.
const KEPT_WORKERS: usize = 5;
/// How far back an error is looked for in one file, bytes.
const TAIL: u64 = 256 << 10;

/// The existing parts of a log, oldest first.
pub fn parts(log: &Path) -> Vec<PathBuf> {
    (0..FILES)
        .rev()
        .map(|age| part(log, age))
        .filter(|path| path.exists())
        .collect()
}

/// The log files in a folder of dead workers, with when they were last written.
fn dated(dir: &Path) -> Vec<(SystemTime, PathBuf)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| date(entry.path())).collect()
}

fn date(path: PathBuf) -> (SystemTime, PathBuf) {
    let modified = fs::metadata(&path).and_then(|file| file.modified());
    (modified.unwrap_or(SystemTime::UNIX_EPOCH), path)
}

/// All log files, the one written last at the end.
pub fn in_time_order(buried: &Path, current: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut files = dated(buried);
    files.extend(current.into_iter().flat_map(|log| parts(&log)).map(date));
    files.sort();
    files.into_iter().map(|(_, path)| path).collect()
}

/// Moves a dead worker's log to the others, and removes those of the oldest.
pub fn bury(log: &Path, buried: &Path, worker: &str) -> io::Result<()> {
    let to = buried.join(format!("{worker}.log"));
    for age in 0..FILES {
        match fs::rename(part(log, age), part(&to, age)) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    let mut workers: BTreeMap<String, (SystemTime, Vec<PathBuf>)> = BTreeMap::new();
    for (modified, path) in dated(buried) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.split('.').next().unwrap_or_default().to_owned();
        let entry = workers
            .entry(name)
            .or_insert((SystemTime::UNIX_EPOCH, Vec::new()));
        entry.0 = entry.0.max(modified);
        entry.1.push(path);
    }
    let mut by_age: Vec<_> = workers.into_values().collect();
    by_age.sort();
    let surplus = by_age.len().saturating_sub(KEPT_WORKERS);
    for path in by_age
        .into_iter()
        .take(surplus)
        .flat_map(|(_, paths)| paths)
    {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// The last error line at or after a moment (`YYYY-MM-DDTHH:MM:SS…`, as the log writes it), with its root cause.
pub fn last_error_since(log: &Path, since: &str) -> io::Result<Option<String>> {
    let mut file = match File::open(log) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(last_error_in(&String::from_utf8_lossy(&bytes), since))
}

fn last_error_in(text: &str, since: &str) -> Option<String> {
    let mut words = LastWords::default();
    let mut due = false;
    for line in text.lines() {
        // Lines of a trace have no time of their own: they belong to the line before.
        if let Some((time, _)) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("] "))
        {
            due = time >= since;
        }
        if due {
            words.hear(line);
        }
    }
    words.last_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_after_the_moment_count() {
        let text = "Caused by: of a line cut off\n\
            [2026-01-01T00:00:01.000Z] ERROR before (x)\nCaused by: old\n\
            [2026-01-01T00:00:03.000Z] ERROR after (x)\nCaused by: new\n\
            [2026-01-01T00:00:04.000Z] INFO fine (x)\n";
        assert_eq!(
            last_error_in(text, "2026-01-01T00:00:02").unwrap(),
            "[2026-01-01T00:00:03.000Z] ERROR after (x) — caused by: new"
        );
        assert_eq!(last_error_in(text, "2026-01-01T00:00:05"), None);
        assert_eq!(
            last_error_since(Path::new("/nonexistent"), "").unwrap(),
            None
        );
    }

    #[test]
    fn logs_of_the_five_youngest_dead_workers_stay_in_time_order() {
        let dir = tempfile::tempdir().unwrap();
        let buried = dir.path().join("logs");
        fs::create_dir(&buried).unwrap();
        let at = |second| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
        for n in 0..7 {
            let log = dir.path().join("worker.log");
            for (age, second) in [(1, 10 * n), (0, 10 * n + 1)] {
                let file = File::create(part(&log, age)).unwrap();
                file.set_modified(at(1000 + second)).unwrap();
            }
            bury(&log, &buried, &format!("w-{n}")).unwrap();
        }
        let names: Vec<String> = in_time_order(&buried, [])
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        let expected: Vec<String> = (2..7)
            .flat_map(|n| [format!("w-{n}.log.1"), format!("w-{n}.log")])
            .collect();
        assert_eq!(names, expected);
    }
}
