//! Files and folders that only the daemon's user may read.

use super::StoreError;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Mode of the data folder.
const FOLDER_MODE: u32 = 0o700;
/// Mode of every file in it that holds a secret.
const FILE_MODE: u32 = 0o600;
/// Locked for as long as a daemon works in the folder.
const LOCK_FILE: &str = "daemon.lock";
/// Bits that let anyone but the owner in.
const OTHERS: u32 = 0o077;

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::File {
        action,
        path,
        source,
    }
}

/// Makes the folder with mode 0700. One that is there and open to others is closed if it is ours or
/// empty; anything else is somebody's folder and stays as it is.
pub(super) fn folder(path: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(path);
    made.map_err(failed("make the folder", path))?;
    let metadata = std::fs::metadata(path).map_err(failed("look at", path))?;
    if metadata.permissions().mode() & OTHERS == 0 {
        return Ok(());
    }
    let ours = path.join(super::DATABASE_FILE).exists();
    let mut entries = std::fs::read_dir(path).map_err(failed("look into", path))?;
    if !ours && entries.next().is_some() {
        return Err(StoreError::ForeignFolder(path.to_owned()));
    }
    let permissions = std::fs::Permissions::from_mode(FOLDER_MODE);
    std::fs::set_permissions(path, permissions).map_err(failed("close to others", path))
}

/// Takes the lock that says "a daemon works in this folder". The system drops it with the process,
/// however that ends.
pub(super) fn lock(data_dir: &Path) -> Result<File, StoreError> {
    let path = data_dir.join(LOCK_FILE);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::Locked(data_dir.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
    }
}

/// Whether a daemon works in this folder just now.
pub(super) fn is_locked(data_dir: &Path) -> bool {
    let file = OpenOptions::new()
        .write(true)
        .open(data_dir.join(LOCK_FILE));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
}

/// Makes an empty file with mode 0600 unless it is there, so that `SQLite`, which would use the
/// process's mask, finds one; its WAL takes the mode over.
pub(super) fn touch(path: &Path) -> Result<(), StoreError> {
    let opened = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(FILE_MODE)
        .open(path);
    opened.map(drop).map_err(failed("make", path))?;
    refuse_readable(path)
}

/// Reads a secret file; none when it is not there. One that others can read is refused, because
/// what it holds may be known already.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match std::fs::read(path) {
        Ok(bytes) => refuse_readable(path).map(|()| Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Writes a secret file so that after a crash there is either the whole file or none.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed("remove", &aside)(error));
        }
        _ => {}
    }
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(FILE_MODE)
        .open(&aside)
        .map_err(failed("make", &aside))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&aside, path))
        .map_err(failed("write", path))?;
    sync_folder(path)
}

/// Removes a secret file that never protected anything; one that is not there is fine.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_folder(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("remove", path)(error)),
    }
}

/// Writes zeros over the bytes of a secret file, in place. A file system that copies on write and
/// the wear levelling of an SSD may keep the old blocks; nothing can be done about that here.
pub(super) fn overwrite(path: &Path) -> Result<(), StoreError> {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at", path)(error)),
    };
    let length = usize::try_from(metadata.len()).unwrap_or(0).min(4096);
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| {
            file.write_all(&vec![0; length])?;
            file.sync_all()
        })
        .map_err(failed("overwrite", path))
}

/// Puts a file in the place of another one, for good.
pub(super) fn replace(from: &Path, to: &Path) -> Result<(), StoreError> {
    std::fs::rename(from, to).map_err(failed("replace", to))?;
    sync_folder(to)
}

fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(failed("write", folder))
}

fn refuse_readable(path: &Path) -> Result<(), StoreError> {
    let metadata = std::fs::metadata(path).map_err(failed("look at", path))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(StoreError::Readable {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}
