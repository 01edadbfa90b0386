//! The record of runtimes: one JSON file each, replaced as a whole.

use super::{Release, Runtime, is_file_name};
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A record is below 2 KB; a longer file is something else. A reason for a missing archive holds at
/// most 15 lines of 8 KiB.
const RECORD_MAX: u64 = 256 << 10;
/// Nobody has more runtimes.
const RUNTIMES_MAX: usize = 100;

/// The registered runtimes, and the records that could not be read.
#[derive(Debug, Default)]
pub struct RuntimeRegistry {
    /// By release, oldest first.
    pub runtimes: Vec<Runtime>,
    /// Each is told to people and otherwise left alone; `runnel runtime add` replaces it.
    pub faults: Vec<RegistryFault>,
}

/// A record that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the runtime record {} cannot be used: {reason}", .path.display())]
pub struct RegistryFault {
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

impl RuntimeRegistry {
    /// Reads the records of a daemon. No folder means no runtimes.
    pub fn load(data_dir: &Path) -> Self {
        let folder = folder(data_dir);
        let mut registry = Self::default();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return registry,
            Err(error) => {
                registry.faults.push(RegistryFault {
                    path: folder,
                    reason: error.to_string(),
                });
                return registry;
            }
        };
        let records = entries.filter_map(Result::ok).map(|entry| entry.path());
        let records = records.filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        });
        for path in records.take(RUNTIMES_MAX) {
            match read(&path) {
                Ok(runtime) => registry.runtimes.push(runtime),
                Err(reason) => registry.faults.push(RegistryFault { path, reason }),
            }
        }
        registry
            .runtimes
            .sort_by_key(|runtime| Release::parse(&runtime.kafka_version));
        registry
    }

    /// The runtime of a name.
    pub fn get(&self, name: &str) -> Option<&Runtime> {
        self.runtimes.iter().find(|runtime| runtime.name == name)
    }
}

/// Where records and archives are.
fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("runtimes")
}

pub(super) fn create_folder(data_dir: &Path) -> io::Result<PathBuf> {
    let folder = folder(data_dir);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)?;
    std::fs::canonicalize(folder)
}

/// Writes a record aside and renames it, so that a reader finds the old or the new one whole.
pub(super) fn save(folder: &Path, runtime: &Runtime) -> io::Result<()> {
    let mut aside = tempfile::Builder::new()
        .prefix(".record-")
        .tempfile_in(folder)?;
    serde_json::to_writer_pretty(&mut aside, runtime)?;
    aside.write_all(b"\n")?;
    aside.as_file().sync_all()?;
    aside.persist(folder.join(format!("{}.json", runtime.name)))?;
    File::open(folder)?.sync_all()
}

fn read(path: &Path) -> Result<Runtime, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(RECORD_MAX)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    let runtime: Runtime = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if !is_file_name(&runtime.name)
        || path.file_stem().and_then(|stem| stem.to_str()) != Some(&runtime.name)
    {
        return Err(format!("it describes a runtime named {:?}", runtime.name));
    }
    if Release::parse(&runtime.kafka_version).is_none() {
        return Err(format!("{:?} is no release", runtime.kafka_version));
    }
    Ok(runtime)
}
