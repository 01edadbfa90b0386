//! Where plugins stand: `<folder>/<sha256>/plugin/` with the jars, read-only, complete or absent.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::PluginError;
use super::inspect::{self, Inspection};
use super::limits::Limits;
use super::link;
use super::manifest;
use super::receive::{Received, Receiver};
use super::runtime_index::RuntimeIndex;
use super::scan::{Scan, scan};
use super::unpack::{remove_tree, seal, unpack};
use runnel_api::plugin::PluginClass;
use runnel_api::plugin::Sha256Hex as Digest;

/// The folder below `<sha256>` that holds the jars. Connect takes each folder in an entry of
/// `plugin.path` for one plugin with a class loader of its own; jars directly in it would be
/// separated from each other.
const INNER: &str = "plugin";

/// Beginning of the names of folders that are being made or removed.
const ASIDE: &str = ".aside-";

/// The store of unpacked plugins. All calls block on disk and CPU: run them on a blocking thread.
#[derive(Debug, Clone)]
pub struct PluginFiles {
    folder: PathBuf,
    limits: Limits,
}

/// A folder that is removed when it was not renamed to its final place.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        if self.0.exists()
            && let Err(why) = remove_tree(&self.0)
        {
            tracing::warn!(folder = %self.0.display(), %why, "a folder that is not needed any more stays until the next start");
        }
    }
}

impl PluginFiles {
    /// Opens the store in `folder`, makes it if needed, and removes what an earlier process left
    /// unfinished. One process at a time may open a store.
    ///
    /// # Errors
    /// [`PluginError::Io`].
    pub fn open(folder: impl Into<PathBuf>, limits: Limits) -> Result<Self, PluginError> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(PluginError::io("make the folder", &folder))?;
        for entry in fs::read_dir(&folder).map_err(PluginError::io("list", &folder))? {
            let path = entry.map_err(PluginError::io("list", &folder))?.path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or("");
            if name.starts_with(ASIDE) {
                remove_tree(&path)?;
            } else if name.starts_with(".upload-") {
                fs::remove_file(&path).map_err(PluginError::io("remove", &path))?;
            }
        }
        Ok(Self { folder, limits })
    }

    /// The limits it was opened with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Where uploads are written before they are unpacked: give it to [`super::receive()`].
    pub fn staging(&self) -> &Path {
        &self.folder
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// [`PluginError::Io`].
    pub fn receiver(&self) -> Result<Receiver, PluginError> {
        Receiver::create(self.staging(), self.limits.compressed_bytes)
    }

    /// What to put into a worker's `plugin.path` for this plugin.
    pub fn plugin_path(&self, sha256: &Digest) -> PathBuf {
        self.folder.join(sha256.as_str())
    }

    /// The folder with the plugin's jars.
    pub fn jars_folder(&self, sha256: &Digest) -> PathBuf {
        self.plugin_path(sha256).join(INNER)
    }

    /// Whether the content is here, and so complete.
    pub fn contains(&self, sha256: &Digest) -> bool {
        self.jars_folder(sha256).is_dir()
    }

    /// Makes a plugin of an upload: unpacks, inspects, adds the manifest jar, and puts it in its
    /// place in one step. The same bytes again, also at the same time, are fine.
    ///
    /// # Errors
    /// [`PluginError`]; nothing of the upload is in the store then.
    pub fn register(
        &self,
        upload: &Received,
        runtimes: &[&RuntimeIndex],
    ) -> Result<Inspection, PluginError> {
        if self.contains(upload.sha256()) {
            return self.inspect(upload.sha256(), upload.size_bytes(), runtimes);
        }
        let (finished, scratch) = (self.aside()?, self.aside()?);
        let jars = finished.0.join(INNER);
        unpack(upload.path(), &scratch.0, &jars, &self.limits)?;
        let scan = scan(&jars, &self.limits)?;
        let classes = checked_classes(&scan, runtimes)?;
        manifest::write(&jars, &inspect::missing_services(&scan, &classes))?;
        self.publish(&finished.0, upload.sha256())?;
        Ok(inspection(
            upload.sha256(),
            upload.size_bytes(),
            &scan,
            classes,
            runtimes,
        ))
    }

    /// Looks again at a plugin that is stored, as after a runtime was added.
    ///
    /// # Errors
    /// [`PluginError::NotStored`], or what [`Self::register`] says of its jars.
    pub fn inspect(
        &self,
        sha256: &Digest,
        size_bytes: u64,
        runtimes: &[&RuntimeIndex],
    ) -> Result<Inspection, PluginError> {
        if !self.contains(sha256) {
            return Err(PluginError::NotStored(sha256.clone()));
        }
        let scan = scan(&self.jars_folder(sha256), &self.limits)?;
        let classes = checked_classes(&scan, runtimes)?;
        Ok(inspection(sha256, size_bytes, &scan, classes, runtimes))
    }

    /// Removes a plugin's content; one that is not there is fine. A worker that runs from it keeps
    /// the jars it has opened, and fails on the others: the caller makes sure that none does.
    ///
    /// # Errors
    /// [`PluginError::Io`].
    pub fn remove(&self, sha256: &Digest) -> Result<(), PluginError> {
        let place = self.plugin_path(sha256);
        if !place.exists() {
            return Ok(());
        }
        let aside = self.aside()?;
        // Renamed first, so that nobody sees half a plugin. The empty folder is replaced by it.
        fs::rename(&place, &aside.0).map_err(PluginError::io("move", &place))?;
        remove_tree(&aside.0)?;
        sync(&self.folder)
    }

    /// A new folder beside the final places: one without write permission can only be renamed
    /// within its parent.
    fn aside(&self) -> Result<Aside, PluginError> {
        let folder = tempfile::Builder::new()
            .prefix(ASIDE)
            .tempdir_in(&self.folder);
        folder
            .map(|folder| Aside(folder.keep()))
            .map_err(PluginError::io("make a folder in", &self.folder))
    }

    fn publish(&self, finished: &Path, sha256: &Digest) -> Result<(), PluginError> {
        seal(finished)?;
        let place = self.plugin_path(sha256);
        match fs::rename(finished, &place) {
            Ok(()) => sync(&self.folder),
            // Somebody registered the same bytes meanwhile: theirs is as good.
            Err(_) if self.contains(sha256) => Ok(()),
            Err(source) => Err(PluginError::Io {
                doing: "move the plugin to",
                path: place,
                source,
            }),
        }
    }
}

fn checked_classes(
    scan: &Scan,
    runtimes: &[&RuntimeIndex],
) -> Result<Vec<PluginClass>, PluginError> {
    let classes = inspect::classes(scan, runtimes);
    if classes.is_empty() {
        return Err(PluginError::NoPluginClass {
            jars: scan.jars,
            classes: scan.classes.len(),
        });
    }
    Ok(classes)
}

fn inspection(
    sha256: &Digest,
    size_bytes: u64,
    scan: &Scan,
    classes: Vec<PluginClass>,
    runtimes: &[&RuntimeIndex],
) -> Inspection {
    Inspection {
        sha256: sha256.clone(),
        size_bytes,
        classes,
        java_major: scan.java_major,
        runtimes: runtimes
            .iter()
            .map(|runtime| link::check(scan, runtime))
            .collect(),
    }
}

fn sync(folder: &Path) -> Result<(), PluginError> {
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(PluginError::io("write", folder))
}
