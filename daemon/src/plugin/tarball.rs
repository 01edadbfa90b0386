//! tar.gz archives: one pass, every byte counted as it leaves the decompressor.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType, Header, PaxExtensions};

use super::entry::{Names, Rules};
use super::error::{EntryFault, PluginError};
use super::limits::{Budget, Limits, Overrun};
use super::unpack::{JarSink, overrun};

/// tar counts in blocks of this many bytes (POSIX.1-2017, pax).
const BLOCK: usize = 512;

/// Bytes of an extended header that we are willing to read; real ones are under 1 KiB.
const EXTENSION_BYTES: u64 = 64 * 1024;

/// Counts what is read from the file.
struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

/// Holds the budget over what comes out of the decompressor.
struct Metered<'a, R> {
    inner: R,
    compressed: Rc<Cell<u64>>,
    out: u64,
    budget: Budget<'a>,
    overrun: Rc<Cell<Option<Overrun>>>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.out += count as u64;
        self.budget
            .count(count as u64, self.compressed.get(), self.out)
            .map_err(|why| {
                self.overrun.set(Some(why));
                io::Error::other("over budget")
            })?;
        Ok(count)
    }
}

/// Copies the jars of the tar.gz at `path` to `sink`.
pub(super) fn unpack(
    path: &Path,
    sink: &mut JarSink<'_>,
    limits: &Limits,
) -> Result<(), PluginError> {
    let file = File::open(path).map_err(PluginError::io("open", path))?;
    let compressed = Rc::new(Cell::new(0));
    let stopped = Rc::new(Cell::new(None));
    let mut stream = Metered {
        inner: MultiGzDecoder::new(BufReader::with_capacity(
            64 * 1024,
            Counted {
                inner: file,
                count: Rc::clone(&compressed),
            },
        )),
        compressed,
        out: 0,
        budget: Budget::new(limits),
        overrun: Rc::clone(&stopped),
    };
    let mut current = Vec::new();
    let outcome = first_block(&mut stream).and_then(|block| match block {
        None => Err(Stop::Plugin(PluginError::NotATar)),
        Some(block) => copy_jars(
            io::Cursor::new(block).chain(stream),
            &mut current,
            sink,
            limits,
        ),
    });
    outcome.map_err(|stop| match (stopped.get(), stop) {
        (Some(why), _) => overrun(why, &current, limits),
        (None, Stop::Plugin(error)) => error,
        (None, Stop::Read(why)) => PluginError::Damaged {
            what: why.to_string(),
        },
    })
}

/// Why the pass ended early. A read error may stand for an overrun, which the caller knows.
enum Stop {
    Plugin(PluginError),
    Read(io::Error),
}

impl From<PluginError> for Stop {
    fn from(error: PluginError) -> Self {
        Self::Plugin(error)
    }
}

impl From<io::Error> for Stop {
    fn from(why: io::Error) -> Self {
        Self::Read(why)
    }
}

/// The first block, if it can be a tar header (its checksum fits) or the end of an empty archive.
fn first_block(stream: &mut impl Read) -> Result<Option<Vec<u8>>, Stop> {
    let mut block = Vec::with_capacity(BLOCK);
    stream.take(BLOCK as u64).read_to_end(&mut block)?;
    if block.len() < BLOCK {
        return Ok(None);
    }
    let header = Header::from_byte_slice(&block);
    // The checksum is taken with its own eight bytes (148..156) as blanks.
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                32
            } else {
                u32::from(*byte)
            }
        })
        .sum();
    let is_tar =
        block.iter().all(|byte| *byte == 0) || header.cksum().is_ok_and(|written| written == sum);
    Ok(is_tar.then_some(block))
}

fn copy_jars(
    stream: impl Read,
    current: &mut Vec<u8>,
    sink: &mut JarSink<'_>,
    limits: &Limits,
) -> Result<(), Stop> {
    let mut archive = Archive::new(stream);
    let mut names = Names::new(limits, Rules::Unpacked);
    let mut long_name: Option<Vec<u8>> = None;
    let mut chunk = vec![0; 128 * 1024];
    // Raw: extended headers come as entries of their own, and are read here with a bound.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => {
                let mut name = extension(&mut entry, current)?;
                name.truncate(name.iter().position(|b| *b == 0).unwrap_or(name.len()));
                long_name = Some(name);
                continue;
            }
            EntryType::XHeader => {
                long_name = pax_path(&extension(&mut entry, current)?, current)?.or(long_name);
                continue;
            }
            EntryType::XGlobalHeader => continue,
            _ => {}
        }
        *current = long_name
            .take()
            .unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let fault = |fault| PluginError::entry(current, fault);
        let folder = match kind {
            EntryType::Regular | EntryType::Continuous => current.ends_with(b"/"),
            EntryType::Directory => true,
            EntryType::Link | EntryType::Symlink | EntryType::GNULongLink => {
                return Err(fault(EntryFault::Link).into());
            }
            _ => return Err(fault(EntryFault::Special).into()),
        };
        if names.admit(current, Some(folder))?.is_jar() {
            let mut file = sink.create(current)?;
            loop {
                let count = entry.read(&mut chunk)?;
                if count == 0 {
                    break;
                }
                file.write(&chunk[..count])?;
            }
            file.close()?;
        }
    }
    // To the end of the stream, where gzip has its checksum: a download that was cut off there is
    // found, too.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(())
}

fn extension(entry: &mut tar::Entry<'_, impl Read>, previous: &[u8]) -> Result<Vec<u8>, Stop> {
    if entry.size() > EXTENSION_BYTES {
        let what = format!(
            "an extended header of {} bytes after `{}`",
            entry.size(),
            super::error::printable(previous)
        );
        return Err(PluginError::Damaged { what }.into());
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn pax_path(bytes: &[u8], previous: &[u8]) -> Result<Option<Vec<u8>>, PluginError> {
    let mut path = None;
    for record in PaxExtensions::new(bytes) {
        let record = record.map_err(|why| PluginError::Damaged {
            what: format!("an extended header: {why}"),
        })?;
        match record.key_bytes() {
            b"path" => path = Some(record.value_bytes().to_vec()),
            key if key.starts_with(b"GNU.sparse.") => {
                return Err(PluginError::entry(previous, EntryFault::Special));
            }
            _ => {}
        }
    }
    Ok(path)
}
