//! Logs of connectors that are gone: why a create failed is in them.

use super::{Fleet, logs};
use std::fs;
use std::path::PathBuf;

/// Characters of an id behind `NAME-`.
const ID_LENGTH: usize = 36;

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
