//! The class-data archive of a runtime: recorded, and checked before each use.
//!
//! An archive holds the classes of a started worker as the JVM keeps them in memory; it halves a
//! worker's start. The JVM itself notices another class path or Java and goes on without; but it
//! crashes on a truncated file. So size and SHA-256 are recorded when it is made, and checked before
//! a worker is started with it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A class-data archive as it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// Why an archive must not be given to a JVM.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFault {
    /// It cannot be read, or is not there.
    #[error("the class-data archive {} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// It was truncated or appended to.
    #[error("the class-data archive {} has {found} bytes instead of {recorded}", .path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Bytes when it was made.
        recorded: u64,
        /// Bytes now.
        found: u64,
    },
    /// Its content changed.
    #[error("the class-data archive {} has changed since it was made", .0.display())]
    Changed(PathBuf),
}

/// What a file looked like when its content was last found right. A change of content changes the
/// change time, which cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Remembers which archives were found right, so that an untouched one is not hashed again.
/// One per daemon; holds one entry per archive.
#[derive(Debug, Default)]
pub struct ArchiveChecks {
    right: Mutex<HashMap<PathBuf, (Stamp, String)>>,
}

impl ArchiveChecks {
    /// Checks an archive; to be called before each start of a worker that uses it. Reads up to
    /// 50 MB at the first call and after each change, so not on an async thread.
    pub fn verify(&self, archive: &Archive) -> Result<(), ArchiveFault> {
        let unreadable = |error| ArchiveFault::Unreadable(archive.path.clone(), error);
        let mut file = File::open(&archive.path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.len() != archive.size {
            let (recorded, found) = (archive.size, metadata.len());
            return Err(ArchiveFault::Size {
                path: archive.path.clone(),
                recorded,
                found,
            });
        }
        let seen = (Stamp::of(&metadata), archive.sha256.clone());
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right.get(&archive.path) == Some(&seen) {
            return Ok(());
        }
        right.remove(&archive.path);
        if sha256(&mut file).map_err(unreadable)? != archive.sha256 {
            return Err(ArchiveFault::Changed(archive.path.clone()));
        }
        right.insert(archive.path.clone(), seen);
        Ok(())
    }
}

/// Size and digest of a file that was just made.
pub(super) fn measure(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    file.sync_all()?;
    Ok((file.metadata()?.len(), sha256(&mut file)?))
}

fn sha256(file: &mut File) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&buffer[..read]);
    }
}

/// What an archive depends on: the exact Java, and each jar's path, size and time.
pub(super) fn fingerprint(build: &str, jars: &[PathBuf]) -> io::Result<String> {
    let mut digest = Sha256::new();
    digest.update(build);
    for jar in jars {
        let metadata = std::fs::metadata(jar)?;
        let line = format!(
            "\n{}\0{}\0{}.{}",
            jar.display(),
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec()
        );
        digest.update(line);
    }
    Ok(hex(&digest.finalize()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, SeekFrom, Write};

    fn made(folder: &Path) -> Archive {
        let path = folder.join("4.3.jsa");
        std::fs::write(&path, vec![7; 3_000_000]).unwrap();
        let (size, sha256) = measure(&path).unwrap();
        Archive { path, size, sha256 }
    }

    #[test]
    fn an_untouched_archive_is_right_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let archive = made(folder.path());
        let checks = ArchiveChecks::default();
        checks.verify(&archive).unwrap();
        checks.verify(&archive).unwrap();
    }

    #[test]
    fn a_truncated_changed_or_absent_archive_is_caught_even_after_it_was_right() {
        let folder = tempfile::tempdir().unwrap();
        let archive = made(folder.path());
        let checks = ArchiveChecks::default();
        checks.verify(&archive).unwrap();
        let times = std::fs::metadata(&archive.path).unwrap();
        let mut file = File::options().write(true).open(&archive.path).unwrap();
        file.seek(SeekFrom::Start(1_000_000)).unwrap();
        file.write_all(&[8]).unwrap();
        // Even with its modification time put back.
        file.set_modified(times.modified().unwrap()).unwrap();
        assert!(matches!(
            checks.verify(&archive),
            Err(ArchiveFault::Changed(_))
        ));
        file.set_len(2_999_999).unwrap();
        assert!(matches!(
            checks.verify(&archive),
            Err(ArchiveFault::Size {
                found: 2_999_999,
                ..
            })
        ));
        std::fs::remove_file(&archive.path).unwrap();
        assert!(matches!(
            checks.verify(&archive),
            Err(ArchiveFault::Unreadable(..))
        ));
    }

    #[test]
    fn the_fingerprint_follows_java_and_each_jar() {
        let folder = tempfile::tempdir().unwrap();
        let jar = folder.path().join("a.jar");
        std::fs::write(&jar, "one").unwrap();
        let jars = [jar.clone()];
        let first = fingerprint("17.0.15", &jars).unwrap();
        assert_eq!(fingerprint("17.0.15", &jars).unwrap(), first);
        assert_ne!(fingerprint("17.0.16", &jars).unwrap(), first);
        std::fs::write(&jar, "three").unwrap();
        assert_ne!(fingerprint("17.0.15", &jars).unwrap(), first);
    }
}
