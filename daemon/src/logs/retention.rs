//! Which log files go: the decision alone, over what is known of the files.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How much of one connector's logs is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Bytes of all of them together.
    pub bytes: u64,
    /// How long after its last line a file stays.
    pub age: Duration,
}

/// A log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Where.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// When its last line was written.
    pub modified: SystemTime,
    /// A live worker writes it: it is never removed.
    pub is_live: bool,
}

/// The files to remove, oldest first: those that are too old, then the oldest until the rest fits.
/// A file of the future (a clock was set back) is not old.
pub fn removals(files: &[LogFile], keep: &Keep, now: SystemTime) -> Vec<PathBuf> {
    let mut oldest_first: Vec<&LogFile> = files.iter().collect();
    oldest_first.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
    let mut total: u64 = files
        .iter()
        .fold(0, |sum, file| sum.saturating_add(file.size));
    let mut removed = Vec::new();
    for file in oldest_first {
        let age = now.duration_since(file.modified).unwrap_or_default();
        if file.is_live || (age <= keep.age && total <= keep.bytes) {
            continue;
        }
        total = total.saturating_sub(file.size);
        removed.push(file.path.clone());
    }
    removed
}

/// What is in a folder of logs, none of them live. A file that goes away meanwhile is left out.
pub fn files_of(folder: &Path) -> Vec<LogFile> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| look(&entry.path(), false))
        .collect()
}

/// One file as it is; none when it is not there or no file.
pub fn look(path: &Path, is_live: bool) -> Option<LogFile> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    metadata.is_file().then(|| LogFile {
        path: path.to_owned(),
        size: metadata.len(),
        modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        is_live,
    })
}

/// Removes files; those that cannot be removed are told and stay.
pub fn remove(paths: &[PathBuf]) {
    for path in paths {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(file = %path.display(), %error, "an old log stays");
            }
            _ => tracing::debug!(file = %path.display(), "an old log is removed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn file(name: &str, size: u64, second: u64, is_live: bool) -> LogFile {
        LogFile {
            path: name.into(),
            size,
            modified: at(second),
            is_live,
        }
    }

    #[test]
    fn the_oldest_go_first_and_the_live_one_stays() {
        let files = [
            file("live", 50, 1, true),
            file("old", 10, 2, false),
            file("older", 10, 1, false),
            file("new", 10, 90, false),
            file("of-the-future", 10, 500, false),
        ];
        let of = |bytes, age| {
            let keep = Keep {
                bytes,
                age: Duration::from_secs(age),
            };
            removals(&files, &keep, at(100))
        };
        for (bytes, age, expected) in [
            (1_000, 1_000, vec![]),
            (90, 1_000, vec![]),
            (89, 1_000, vec!["older"]),
            (70, 1_000, vec!["older", "old"]),
            (1_000, 98, vec!["older"]),
            (1_000, 50, vec!["older", "old"]),
            (0, 0, vec!["older", "old", "new", "of-the-future"]),
        ] {
            let expected: Vec<PathBuf> = expected.into_iter().map(PathBuf::from).collect();
            assert_eq!(of(bytes, age), expected, "{bytes} {age}");
        }
    }

    proptest! {
        #[test]
        fn what_stays_fits_is_young_and_no_removed_file_is_newer(
            files in proptest::collection::vec((0..100u64, 0..100u64, any::<bool>()), 0..20),
            bytes in 0..500u64,
            age in 0..100u64,
        ) {
            let files: Vec<LogFile> = files
                .into_iter()
                .enumerate()
                .map(|(n, (size, second, is_live))| file(&format!("f{n:02}"), size, second, is_live))
                .collect();
            let keep = Keep { bytes, age: Duration::from_secs(age) };
            let removed = removals(&files, &keep, at(100));
            let is_removed = |file: &LogFile| removed.contains(&file.path);
            let stays: Vec<&LogFile> = files.iter().filter(|file| !is_removed(file)).collect();
            prop_assert!(files.iter().filter(|file| file.is_live).all(|file| !is_removed(file)));
            let dead: Vec<&&LogFile> = stays.iter().filter(|file| !file.is_live).collect();
            let total: u64 = stays.iter().map(|file| file.size).sum();
            prop_assert!(dead.is_empty() || total <= bytes);
            prop_assert!(dead.iter().all(|file| file.modified >= at(100 - age)));
            for gone in files.iter().filter(|file| is_removed(file)) {
                prop_assert!(dead.iter().all(|file| file.modified >= gone.modified));
                // Not one more than needed.
                let without = total + gone.size;
                let newest = removed.last() == Some(&gone.path);
                prop_assert!(!newest || without > bytes || gone.modified < at(100 - age));
            }
        }
    }
}
