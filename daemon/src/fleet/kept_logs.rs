//! What is kept of logs: of live connectors, and of those that are gone, because why a create
//! failed is in them.

use super::run_dir::LOG;
use super::{Fleet, logs};
use crate::logs::retention::{Keep, files_of, look, removals, remove};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Connectors that are gone and whose logs are kept; older ones go. Each has at most five workers
/// of 50 MB.
const KEPT_CONNECTORS: usize = 50;
/// Characters of an id behind `NAME-`.
const ID_LENGTH: usize = 36;

/// Removes the logs of connectors that have been gone longest.
pub(super) fn prune(all: &Path) {
    let mut folders: Vec<_> = fs::read_dir(all)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|folder| Some((folder.metadata().ok()?.modified().ok()?, folder.path())))
        .collect();
    folders.sort();
    let surplus = folders.len().saturating_sub(KEPT_CONNECTORS);
    for (_, folder) in folders.into_iter().take(surplus) {
        if let Err(error) = fs::remove_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "old logs stay");
        }
    }
}

impl Fleet {
    /// Workers that are started from now on keep so many bytes of their log. The first call counts.
    pub fn set_worker_log_bytes(&self, bytes: u64) {
        let _ = self.inner.log_bytes.set(bytes);
    }

    /// Removes logs that are too old or too many, connector by connector, also of those that are
    /// gone. What a worker writes stays.
    pub fn sweep_logs(&self, keep: &Keep, now: SystemTime) {
        let runs = self.run_dirs().unwrap_or_default();
        for home in folders(&self.inner.root) {
            let mut files = files_of(&home.join("logs"));
            // A worker that is dead and not buried yet counts as live: its burial is near.
            for run in runs.iter().filter(|run| run.starts_with(&home)) {
                let live = run.join(LOG);
                let parts = logs::parts(&live).into_iter();
                files.extend(parts.filter_map(|part| look(&part, part == live)));
            }
            remove(&removals(&files, keep, now));
        }
        for folder in folders(&self.gone()) {
            remove(&removals(&files_of(&folder), keep, now));
            // Succeeds only when nothing is left.
            let _ = fs::remove_dir(&folder);
        }
    }

    /// The folder of logs of connectors that are gone.
    fn gone(&self) -> PathBuf {
        let root = &self.inner.root;
        root.parent().unwrap_or(root).join("logs")
    }

    /// The log files that [`Fleet::remove_connector`] kept under this name, of its last connector.
    pub fn kept_logs(&self, name: &str) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.gone()).into_iter().flatten().flatten();
        let last = folders
            .filter(|folder| {
                let folder = folder.file_name();
                let id = folder
                    .to_str()
                    .and_then(|text| text.strip_prefix(name)?.strip_prefix('-'));
                id.is_some_and(|id| id.len() == ID_LENGTH)
            })
            .max_by_key(|folder| folder.metadata().and_then(|it| it.modified()).ok());
        last.map_or_else(Vec::new, |folder| logs::in_time_order(&folder.path(), []))
    }
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Isolation;
    use std::time::Duration;

    #[test]
    fn a_sweep_leaves_what_a_worker_writes_and_what_is_young_enough() {
        let top = tempfile::tempdir().unwrap();
        let root = top.path().join("fleets");
        let id = uuid::Uuid::max();
        let isolation = Isolation::none();
        let fleet = Fleet::with_isolation(root.clone(), "runnel".into(), isolation).unwrap();
        let run = root.join(id.to_string()).join("workers/w-1");
        let buried = root.join(id.to_string()).join("logs");
        let gone = top.path().join(format!("logs/orders-{id}"));
        let now = SystemTime::now();
        let write = |folder: &Path, name: &str, days: u64| {
            fs::create_dir_all(folder).unwrap();
            let path = folder.join(name);
            fs::write(&path, "x".repeat(100)).unwrap();
            let at = now - Duration::from_hours(24 * days);
            fs::File::options()
                .append(true)
                .open(&path)
                .unwrap()
                .set_modified(at)
                .unwrap();
            path
        };
        let live = write(&run, "worker.log", 90);
        let rotated = write(&run, "worker.log.1", 3);
        let old = write(&buried, "w-0.log", 20);
        let young = write(&buried, "w-2.log", 1);
        let of_gone = write(&gone, "w-0.log", 20);
        let mut keep = Keep {
            bytes: 1_000,
            age: Duration::from_hours(14 * 24),
        };
        fleet.sweep_logs(&keep, now);
        assert!(live.exists() && rotated.exists() && young.exists());
        assert!(!old.exists() && !of_gone.exists() && !gone.exists());
        keep.bytes = 250;
        fleet.sweep_logs(&keep, now);
        assert!(live.exists() && !rotated.exists() && young.exists());
    }

    #[test]
    fn logs_of_the_connectors_gone_longest_are_removed() {
        let all = tempfile::tempdir().unwrap();
        for n in 0..KEPT_CONNECTORS + 3 {
            let folder = all.path().join(format!("c{n:03}"));
            fs::create_dir(&folder).unwrap();
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(n as u64);
            fs::File::open(&folder).unwrap().set_modified(at).unwrap();
        }
        prune(all.path());
        let left = fs::read_dir(all.path()).unwrap().count();
        assert_eq!(left, KEPT_CONNECTORS);
        assert!(!all.path().join("c002").exists() && all.path().join("c003").exists());
    }
}
