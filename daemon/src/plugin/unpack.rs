//! From a file of unknown type to a folder of jars.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::entry::{check_name, common_folder};
use super::error::{EntryFault, PluginError, looks_like};
use super::limits::{Limits, Overrun};
use super::{tarball, zipfile};

/// What a single jar is called in the store. The upload's own name is not kept: the content decides.
const SINGLE_JAR: &str = "plugin.jar";

/// Takes the jars that an archive reader finds, below one fresh folder of ours.
pub(super) struct JarSink<'a> {
    root: &'a Path,
    limits: &'a Limits,
    jars: Vec<String>,
}

/// A jar being written.
pub(super) struct JarFile {
    file: File,
    path: PathBuf,
}

impl JarFile {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), PluginError> {
        self.file
            .write_all(bytes)
            .map_err(PluginError::io("write", &self.path))
    }

    pub(super) fn close(self) -> Result<(), PluginError> {
        self.file
            .sync_all()
            .map_err(PluginError::io("write", &self.path))
    }
}

impl JarSink<'_> {
    /// Begins a jar at an entry's name, which is checked here once more: this is the one place where
    /// a name from outside becomes a path.
    pub(super) fn create(&mut self, raw: &[u8]) -> Result<JarFile, PluginError> {
        let name = check_name(raw, self.limits).map_err(|fault| PluginError::entry(raw, fault))?;
        let path = self.root.join(&name.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(PluginError::io("make the folder", parent))?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(PluginError::io("make", &path))?;
        self.jars.push(name.path);
        Ok(JarFile { file, path })
    }

    /// Keeps the upload itself as the only jar.
    pub(super) fn keep_file(&mut self, source: &Path) -> Result<(), PluginError> {
        let mut input = File::open(source).map_err(PluginError::io("open", source))?;
        let mut jar = self.create(SINGLE_JAR.as_bytes())?;
        std::io::copy(&mut input, &mut jar.file).map_err(PluginError::io("write", &jar.path))?;
        jar.close()
    }
}

/// Unpacks the jars of `source` into the new folder `target`. `scratch` is a folder of ours on the
/// same file system. On an error both may hold part of it: the caller removes them.
pub(super) fn unpack(
    source: &Path,
    scratch: &Path,
    target: &Path,
    limits: &Limits,
) -> Result<(), PluginError> {
    let head = first_bytes(source)?;
    let mut sink = JarSink {
        root: scratch,
        limits,
        jars: Vec::new(),
    };
    if head.is_empty() {
        return Err(PluginError::Empty);
    } else if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        zipfile::unpack(source, &mut sink, limits)?;
    } else if head.starts_with(b"\x1f\x8b") {
        tarball::unpack(source, &mut sink, limits)?;
    } else {
        return Err(PluginError::NotAnArchive {
            first_bytes: show(&head),
            looks: looks_like(&head),
        });
    }
    if sink.jars.is_empty() {
        return Err(PluginError::NoJar);
    }
    let common = common_folder(sink.jars.iter().map(String::as_str));
    fs::rename(scratch.join(&common), target).map_err(PluginError::io("move the jars to", target))
}

fn first_bytes(source: &Path) -> Result<Vec<u8>, PluginError> {
    let mut head = Vec::new();
    File::open(source)
        .and_then(|file| file.take(512).read_to_end(&mut head))
        .map_err(PluginError::io("read", source))?;
    Ok(head)
}

/// The first eight bytes as a person would look at them.
fn show(head: &[u8]) -> String {
    let head = &head[..head.len().min(8)];
    let hex: Vec<String> = head.iter().map(|b| format!("{b:02x}")).collect();
    let text: String = head
        .iter()
        .map(|b| {
            if b.is_ascii_graphic() || *b == b' ' {
                char::from(*b)
            } else {
                '.'
            }
        })
        .collect();
    format!("{} \"{text}\"", hex.join(" "))
}

/// Says why inflating stopped.
pub(super) fn overrun(why: Overrun, entry: &[u8], limits: &Limits) -> PluginError {
    match why {
        Overrun::Expanded => PluginError::Expands {
            limit: limits.expanded_bytes,
        },
        Overrun::Ratio => PluginError::entry(entry, EntryFault::Ratio(limits.ratio)),
    }
}

/// Makes a tree read-only and durable: files 0444, folders 0555, each synced, children first.
pub(super) fn seal(folder: &Path) -> Result<(), PluginError> {
    for (path, is_folder) in tree(folder)? {
        let mode = if is_folder { 0o555 } else { 0o444 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .map_err(PluginError::io("set the mode of", &path))?;
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(PluginError::io("write", &path))?;
    }
    Ok(())
}

/// Removes a tree, read-only or not.
pub(super) fn remove_tree(folder: &Path) -> Result<(), PluginError> {
    for (path, is_folder) in tree(folder)? {
        if is_folder {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
                .map_err(PluginError::io("set the mode of", &path))?;
        }
    }
    fs::remove_dir_all(folder).map_err(PluginError::io("remove", folder))
}

/// Every file and folder of a tree that we made ourselves, children before their folder, sorted.
pub(super) fn tree(folder: &Path) -> Result<Vec<(PathBuf, bool)>, PluginError> {
    let mut found = vec![(folder.to_path_buf(), true)];
    let mut next = 0;
    while let Some((path, is_folder)) = found.get(next).cloned() {
        next += 1;
        if !is_folder {
            continue;
        }
        for entry in fs::read_dir(&path).map_err(PluginError::io("list", &path))? {
            let entry = entry.map_err(PluginError::io("list", &path))?;
            let kind = entry
                .file_type()
                .map_err(PluginError::io("look at", entry.path()))?;
            found.push((entry.path(), kind.is_dir()));
        }
    }
    found.sort();
    found.reverse();
    Ok(found)
}
