//! ZIP archives: looked through before anything is written, then copied out under a budget.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

use zip::CompressionMethod;
use zip::read::{Config, ZipArchive};
use zip::result::ZipError;
// Reads a directory entry by entry, so that it can be refused before it fills the memory.
use zip::unstable::read::ZipIterable;

use super::entry::{Names, Rules, SafeName, ends_with_ignore_case};
use super::error::{EntryFault, PluginError};
use super::limits::{Budget, Limits};
use super::unpack::{JarSink, overrun};

/// A jar up to this size is read into memory at once: its directory makes the reader jump to each
/// entry, and a jump costs a buffer otherwise. Nearly all jars are smaller.
const IN_MEMORY: u64 = 64 * 1024 * 1024;

/// What a ZIP file is, told by its content and never by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ZipKind {
    /// Holds jars: a plugin archive, also one made by the `jar` tool with a manifest of its own.
    Archive,
    /// Holds classes: itself a jar.
    Jar,
    /// Neither.
    Other,
}

pub(super) trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

/// Opens a ZIP after its number of entries was checked: the reader keeps all of them in memory.
pub(super) fn open(
    path: &Path,
    most_entries: u64,
) -> Result<ZipArchive<Box<dyn ReadSeek>>, OpenFault> {
    ZipArchive::new(source(counted(path, most_entries)?)?).map_err(OpenFault::Zip)
}

/// Why a ZIP cannot be opened.
#[derive(Debug)]
pub(super) enum OpenFault {
    Io(std::io::Error),
    Zip(ZipError),
    TooManyEntries,
}

impl From<std::io::Error> for OpenFault {
    fn from(why: std::io::Error) -> Self {
        Self::Io(why)
    }
}

fn counted(path: &Path, most_entries: u64) -> Result<File, OpenFault> {
    let iterable = ZipIterable::try_new(BufReader::new(File::open(path)?), Config::default())
        .map_err(OpenFault::Zip)?;
    if iterable.len() as u64 > most_entries {
        return Err(OpenFault::TooManyEntries);
    }
    Ok(File::open(path)?)
}

fn source(mut file: File) -> std::io::Result<Box<dyn ReadSeek>> {
    let size = file.metadata()?.len();
    if size > IN_MEMORY {
        return Ok(Box::new(BufReader::new(file)));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.read_to_end(&mut bytes)?;
    Ok(Box::new(Cursor::new(bytes)))
}

/// Copies the jars of the ZIP at `path` to `sink`, or the whole file if it is a jar.
pub(super) fn unpack(
    path: &Path,
    sink: &mut JarSink<'_>,
    limits: &Limits,
) -> Result<(), PluginError> {
    let mut iterable = ZipIterable::try_new(
        BufReader::new(File::open(path).map_err(PluginError::io("open", path))?),
        Config::default(),
    )
    .map_err(|why| damaged(&why))?;
    if iterable.len() as u64 > limits.jar_entries {
        return Err(PluginError::TooManyEntries {
            limit: limits.jar_entries,
            jar: None,
        });
    }
    let kind = kind_of(&mut iterable)?;
    if kind == ZipKind::Archive && iterable.len() as u64 > limits.entries {
        return Err(PluginError::TooManyEntries {
            limit: limits.entries,
            jar: None,
        });
    }
    let jars = check_entries(&mut iterable, kind, limits)?;
    let mut archive = open(path, limits.jar_entries).map_err(|fault| match fault {
        OpenFault::Io(source) => PluginError::Io {
            doing: "read",
            path: path.to_path_buf(),
            source,
        },
        OpenFault::Zip(why) => damaged(&why),
        OpenFault::TooManyEntries => PluginError::TooManyEntries {
            limit: limits.jar_entries,
            jar: None,
        },
    })?;
    if archive
        .has_overlapping_entries()
        .map_err(|why| damaged(&why))?
    {
        return Err(PluginError::Overlap);
    }
    match kind {
        ZipKind::Other => Err(PluginError::NoJar),
        ZipKind::Jar => sink.keep_file(path),
        ZipKind::Archive => copy_jars(&mut archive, &jars, sink, limits),
    }
}

fn kind_of(iterable: &mut ZipIterable<BufReader<File>>) -> Result<ZipKind, PluginError> {
    let (mut jars, mut classes, mut manifest) = (false, false, false);
    for entry in iterable.files().map_err(|why| damaged(&why))? {
        let entry = entry.map_err(|why| damaged(&why))?;
        let name = String::from_utf8_lossy(entry.name_raw());
        jars |= ends_with_ignore_case(&name, ".jar");
        classes |= name.ends_with(".class");
        manifest |= name == "META-INF/MANIFEST.MF";
    }
    Ok(match (jars, classes) {
        // A fat jar may carry nested jars, which the JVM ignores.
        (true, true) if manifest => ZipKind::Jar,
        (true, _) => ZipKind::Archive,
        (false, true) => ZipKind::Jar,
        (false, false) => ZipKind::Other,
    })
}

/// Looks at each entry of the directory, duplicates included; returns the names of the jars.
fn check_entries(
    iterable: &mut ZipIterable<BufReader<File>>,
    kind: ZipKind,
    limits: &Limits,
) -> Result<Vec<SafeName>, PluginError> {
    const TYPE_MASK: u32 = 0o170_000;
    let rules = if kind == ZipKind::Jar {
        Rules::Kept
    } else {
        Rules::Unpacked
    };
    let (mut names, mut jars, mut total) = (Names::new(limits, rules), Vec::new(), 0_u64);
    for entry in iterable.files().map_err(|why| damaged(&why))? {
        let entry = entry.map_err(|why| damaged(&why))?;
        let fault = |fault| PluginError::entry(entry.name_raw(), fault);
        let name = names.admit(entry.name_raw(), None)?;
        match entry.unix_mode().unwrap_or(0) & TYPE_MASK {
            // No type, regular file, folder.
            0 | 0o100_000 | 0o040_000 => {}
            0o120_000 => return Err(fault(EntryFault::Link)),
            _ => return Err(fault(EntryFault::Special)),
        }
        if entry.encrypted() {
            return Err(fault(EntryFault::Encrypted));
        }
        if !matches!(
            entry.compression(),
            CompressionMethod::Stored | CompressionMethod::Deflated
        ) {
            return Err(fault(EntryFault::Method));
        }
        // What the directory says is checked first, for an early and exact answer; what really
        // comes out is counted again in `copy_jars`, because the directory may lie.
        total = total.saturating_add(entry.size());
        if total > limits.expanded_bytes {
            return Err(PluginError::Expands {
                limit: limits.expanded_bytes,
            });
        }
        if entry.size() > limits.ratio_slack_bytes
            && entry.size() > entry.compressed_size().saturating_mul(limits.ratio)
        {
            return Err(fault(EntryFault::Ratio(limits.ratio)));
        }
        if name.is_jar() {
            jars.push(SafeName {
                path: String::from_utf8_lossy(entry.name_raw()).into_owned(),
                ..name
            });
        }
    }
    Ok(jars)
}

fn copy_jars(
    archive: &mut ZipArchive<Box<dyn ReadSeek>>,
    jars: &[SafeName],
    sink: &mut JarSink<'_>,
    limits: &Limits,
) -> Result<(), PluginError> {
    let mut budget = Budget::new(limits);
    let mut chunk = vec![0; 128 * 1024];
    for jar in jars {
        let index = archive.index_for_name_raw(jar.path.as_bytes());
        let index = index.ok_or_else(|| PluginError::Damaged {
            what: format!("{} is listed and not there", jar.path),
        })?;
        let mut entry = archive.by_index(index).map_err(|why| damaged(&why))?;
        let compressed = entry.compressed_size();
        // The path in `jar` is the archive's own spelling; the checked one is made again from it.
        let mut file = sink.create(jar.path.as_bytes())?;
        let mut out = 0_u64;
        loop {
            let count = entry.read(&mut chunk).map_err(|why| PluginError::Damaged {
                what: format!("{}: {why}", jar.path),
            })?;
            if count == 0 {
                break;
            }
            out += count as u64;
            budget
                .count(count as u64, compressed, out)
                .map_err(|why| overrun(why, jar.path.as_bytes(), limits))?;
            file.write(&chunk[..count])?;
        }
        file.close()?;
    }
    Ok(())
}

pub(super) fn damaged(why: &ZipError) -> PluginError {
    PluginError::Damaged {
        what: why.to_string(),
    }
}
