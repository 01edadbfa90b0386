//! A place in a log that is being written and rotated.
//!
//! The shim writes `worker.log` and renames it to `worker.log.1` when it is full, older parts to
//! `.2` and so on; a dead worker's files move to another folder. A file is known by its inode and
//! its first bytes, so that neither loses the place.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Older parts of a log are looked for up to this number.
pub const PARTS_MAX: u32 = 16;
/// First bytes of a file that tell it from another with the same inode; they hold the time of its
/// first line.
const FINGERPRINT_BYTES: u64 = 128;

/// The `number`-th older part; 0 is the file that is written.
pub fn part(file: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return file.to_owned();
    }
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// Where reading stands, fit to be written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The file's inode.
    pub inode: u64,
    /// Bytes before it are done with.
    pub offset: u64,
    /// Digest of the file's first bytes, of at most `offset` of them.
    pub fingerprint: String,
}

/// What a reading gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes of the same file.
    Read,
    /// Nothing new.
    End,
    /// The file is read to its end and the next newer one is open; nothing of it is read yet.
    NextFile {
        /// Files in between are gone, so lines may have been lost.
        is_gap: bool,
    },
}

/// An open file of a log and how far it is read.
#[derive(Debug)]
pub struct Cursor {
    file: File,
    inode: u64,
    at: u64,
}

impl Cursor {
    /// At the beginning of a file; none when it is not there.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self {
                inode: file.metadata()?.ino(),
                file,
                at: 0,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The parts of a log that are there, the newest first, each once although a rotation may
    /// happen meanwhile.
    pub fn parts(log: &Path) -> io::Result<Vec<Self>> {
        let mut parts: Vec<Self> = Vec::new();
        for number in 0..=PARTS_MAX {
            if let Some(cursor) = Self::open(&part(log, number))?
                && parts.iter().all(|known| known.inode != cursor.inode)
            {
                parts.push(cursor);
            }
        }
        Ok(parts)
    }

    /// Goes on at a position. Without one, or when its file is gone, at the oldest part; the second
    /// answer is true when the file is gone.
    pub fn resume(log: &Path, position: Option<&Position>) -> io::Result<Option<(Self, bool)>> {
        let mut parts = Self::parts(log)?;
        if let Some(position) = position {
            for index in 0..parts.len() {
                if parts[index].is_at(position)? {
                    let mut found = parts.swap_remove(index);
                    found.at = position.offset;
                    return Ok(Some((found, false)));
                }
            }
        }
        Ok(parts.pop().map(|oldest| (oldest, position.is_some())))
    }

    fn is_at(&self, position: &Position) -> io::Result<bool> {
        Ok(self.inode == position.inode
            && self.file.metadata()?.len() >= position.offset
            && self.fingerprint(position.offset)? == position.fingerprint)
    }

    fn fingerprint(&self, offset: u64) -> io::Result<String> {
        let length = usize::try_from(offset.min(FINGERPRINT_BYTES)).unwrap_or(0);
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, 0)?;
        let mut text = String::new();
        for byte in &Sha256::digest(&bytes)[..8] {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Ok(text)
    }

    /// The position at an offset of the open file.
    pub fn position(&self, offset: u64) -> io::Result<Position> {
        Ok(Position {
            inode: self.inode,
            offset,
            fingerprint: self.fingerprint(offset)?,
        })
    }

    /// How far the open file is read, bytes.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Goes to a place of the open file.
    pub fn seek(&mut self, at: u64) {
        self.at = at;
    }

    /// Bytes of the open file.
    pub fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Reads on, at most `most` bytes, which are appended to `chunk`.
    pub fn read(&mut self, chunk: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        let begin = chunk.len();
        chunk.resize(begin + most, 0);
        let mut filled = begin;
        let mut result = Ok(());
        while filled < chunk.len() {
            match self.file.read_at(&mut chunk[filled..], self.at) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    self.at += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        chunk.truncate(filled);
        result.map(|()| filled - begin)
    }

    /// Reads on, and goes over to the next newer file when this one is done with.
    pub fn step(&mut self, log: &Path, chunk: &mut Vec<u8>, most: usize) -> io::Result<Step> {
        if self.read(chunk, most)? > 0 {
            return Ok(Step::Read);
        }
        let current = Self::open(log)?;
        if current.is_none_or(|current| current.inode == self.inode) {
            return Ok(Step::End);
        }
        // It was renamed; what was written before that and after our look is still to be read.
        if self.read(chunk, most)? > 0 {
            return Ok(Step::Read);
        }
        let mut parts = Self::parts(log)?;
        let ours = parts.iter().position(|part| part.inode == self.inode);
        let (next, is_gap) = match ours {
            Some(0) => return Ok(Step::End),
            Some(ours) => (parts.swap_remove(ours - 1), false),
            None => match parts.pop() {
                Some(oldest) => (oldest, true),
                None => return Ok(Step::End),
            },
        };
        *self = next;
        Ok(Step::NextFile { is_gap })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;

    fn add(log: &Path, text: &str) {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(log)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rotate(log: &Path) {
        for number in (0..3).rev() {
            let _ = fs::rename(part(log, number), part(log, number + 1));
        }
    }

    fn rest(cursor: &mut Cursor, log: &Path) -> (String, usize) {
        let (mut chunk, mut gaps) = (Vec::new(), 0);
        loop {
            match cursor.step(log, &mut chunk, 3).unwrap() {
                Step::Read => {}
                Step::NextFile { is_gap } => gaps += usize::from(is_gap),
                Step::End => return (String::from_utf8(chunk).unwrap(), gaps),
            }
        }
    }

    #[test]
    fn reading_goes_on_over_several_rotations_and_a_burial() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("worker.log");
        add(&log, "one\n");
        let mut cursor = Cursor::open(&log).unwrap().unwrap();
        assert_eq!(rest(&mut cursor, &log), ("one\n".to_owned(), 0));
        add(&log, "two\n");
        rotate(&log);
        add(&log, "three\n");
        rotate(&log);
        add(&log, "four\n");
        let all = rest(&mut cursor, &log);
        assert_eq!(all, ("two\nthree\nfour\n".to_owned(), 0));
        let buried = folder.path().join("w-1.log");
        add(&log, "five\n");
        fs::rename(&log, &buried).unwrap();
        assert_eq!(rest(&mut cursor, &buried), ("five\n".to_owned(), 0));
    }

    #[test]
    fn a_position_is_found_again_and_a_lost_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("worker.log");
        add(&log, "one\ntwo\n");
        let cursor = Cursor::open(&log).unwrap().unwrap();
        let position = cursor.position(4).unwrap();
        rotate(&log);
        add(&log, "three\n");
        let (mut cursor, is_lost) = Cursor::resume(&log, Some(&position)).unwrap().unwrap();
        assert!(!is_lost);
        assert_eq!(rest(&mut cursor, &log).0, "two\nthree\n");
        let (mut first, _) = Cursor::resume(&log, None).unwrap().unwrap();
        assert_eq!(rest(&mut first, &log).0, "one\ntwo\nthree\n");
        // Another file with the same inode is not taken for it.
        let other = Position {
            fingerprint: "0".repeat(16),
            ..position.clone()
        };
        assert!(Cursor::resume(&log, Some(&other)).unwrap().unwrap().1);
        fs::remove_file(part(&log, 1)).unwrap();
        let (mut cursor, is_lost) = Cursor::resume(&log, Some(&position)).unwrap().unwrap();
        assert!(is_lost);
        assert_eq!(rest(&mut cursor, &log).0, "three\n");
        fs::remove_file(&log).unwrap();
        assert!(Cursor::resume(&log, Some(&position)).unwrap().is_none());
    }

    #[test]
    fn a_file_that_was_removed_while_it_was_read_leaves_a_gap() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("worker.log");
        add(&log, "one\n");
        let mut cursor = Cursor::open(&log).unwrap().unwrap();
        rotate(&log);
        add(&log, "two\n");
        fs::remove_file(part(&log, 1)).unwrap();
        assert_eq!(rest(&mut cursor, &log), ("one\ntwo\n".to_owned(), 1));
    }
}
