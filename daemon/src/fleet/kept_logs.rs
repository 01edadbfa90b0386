//! Logs of connectors that are gone: why a create failed is in them.

use super::{Fleet, logs};
use std::fs;
use std::path::{Path, PathBuf};

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
    /// The log files that [`Fleet::remove_connector`] kept under this name, of its last connector.
    pub fn kept_logs(&self, name: &str) -> Vec<PathBuf> {
        let all = self
            .inner
            .root
            .parent()
            .unwrap_or(&self.inner.root)
            .join("logs");
        let folders = fs::read_dir(all).into_iter().flatten().flatten();
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

#[cfg(test)]
mod tests {
    use super::*;

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
