//! The worker's output on its way to the file: lines, limits, rotation.

use crate::fleet::secrets::Redactor;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes of a line in the log; what is longer is cut.
pub const LINE_LIMIT: usize = 32 << 10;
/// Bytes of one log file when the order says nothing.
const FILE_LIMIT: u64 = 10 << 20;
/// A log file is never smaller than the longest line and a little more.
const FILE_LIMIT_MIN: u64 = 64 << 10;
/// Files kept: the current one and four older.
pub const FILES: usize = 5;

/// Cuts a stream into lines. A line is kept a little beyond its limit, so that a secret that begins before the limit
/// is still whole when it is looked for.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    cut: bool,
}

impl Lines {
    /// Takes bytes and calls `each` for every complete line; `beyond` is how far past the limit a line is kept.
    pub fn push(&mut self, mut bytes: &[u8], beyond: usize, mut each: impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.append(&bytes[..end], beyond);
            self.finish(&mut each);
            bytes = &bytes[end + 1..];
        }
        self.append(bytes, beyond);
    }

    /// Hands out what has no newline at its end.
    pub fn flush(&mut self, mut each: impl FnMut(&[u8])) {
        if !self.line.is_empty() {
            self.finish(&mut each);
        }
    }

    fn append(&mut self, bytes: &[u8], beyond: usize) {
        let room = (LINE_LIMIT + beyond).saturating_sub(self.line.len());
        self.cut |= bytes.len() > room;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn finish(&mut self, each: &mut impl FnMut(&[u8])) {
        if !self.cut && self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        each(&self.line);
        self.line.clear();
        self.cut = false;
    }
}

/// A line as it goes to the file: secrets replaced first, then cut.
pub fn presentable(line: &[u8], redactor: &Redactor) -> String {
    let text = String::from_utf8_lossy(line);
    let mut text = redactor.redact(&text).into_owned();
    if text.len() > LINE_LIMIT {
        text.truncate(text.floor_char_boundary(LINE_LIMIT));
        text.push_str("… [cut]");
    }
    text
}

/// The log file and its older parts.
#[derive(Debug)]
pub struct RotatingLog {
    path: PathBuf,
    file: Option<File>,
    size: u64,
    limit: u64,
    dropped: u64,
}

impl RotatingLog {
    /// Appends to what is there; all parts together have about `bytes`, 50 MiB when it is not said.
    pub fn open(path: PathBuf, bytes: Option<u64>) -> Self {
        let each = bytes.map(|bytes| bytes / FILES as u64);
        Self::with_limit(path, each.unwrap_or(FILE_LIMIT).max(FILE_LIMIT_MIN))
    }

    fn with_limit(path: PathBuf, limit: u64) -> Self {
        Self {
            path,
            file: None,
            size: 0,
            limit,
            dropped: 0,
        }
    }

    /// Writes one line. It never fails: what cannot be written is counted, and the count is written when it can be.
    pub fn write_line(&mut self, line: &str) {
        if self.dropped > 0 {
            let notice = format!(
                "WARN runnel shim: {} lines dropped, the log could not be written",
                self.dropped
            );
            if self.try_write(&notice).is_err() {
                self.dropped += 1;
                return;
            }
            self.dropped = 0;
        }
        if self.try_write(line).is_err() {
            self.dropped += 1;
        }
    }

    fn try_write(&mut self, line: &str) -> io::Result<()> {
        if self.size >= self.limit {
            self.rotate()?;
        }
        if self.file.is_none() {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&self.path)?;
            self.size = file.metadata()?.len();
            self.file = Some(file);
        }
        let Some(file) = self.file.as_mut() else {
            return Ok(());
        };
        // One write a line, so that a reader who follows the file sees whole lines.
        let bytes = [line.as_bytes(), b"\n"].concat();
        let written = file.write_all(&bytes);
        self.size += bytes.len() as u64;
        written
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        for older in (1..FILES).rev() {
            let from = part(&self.path, older - 1);
            match fs::rename(&from, part(&self.path, older)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        self.size = 0;
        Ok(())
    }
}

/// The file of a log's `age`-th part; 0 is the one being written.
pub fn part(path: &Path, age: usize) -> PathBuf {
    if age == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{age}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        let mut each = |line: &[u8]| out.push(String::from_utf8_lossy(line).into_owned());
        for chunk in chunks {
            lines.push(chunk, 0, &mut each);
        }
        lines.flush(&mut each);
        out
    }

    #[test]
    fn lines_are_whole_however_the_bytes_arrive() {
        assert_eq!(
            collect(&[b"one\ntw", b"o\r\n\nlast"]),
            ["one", "two", "", "last"]
        );
        assert!(collect(&[b""]).is_empty());
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let long = vec![b'x'; LINE_LIMIT * 3];
        let lines = collect(&[&long, b"tail\nnext\n"]);
        assert_eq!(lines[0].len(), LINE_LIMIT);
        assert_eq!(lines[1], "next");
        let shown = presentable(&vec![b'y'; LINE_LIMIT + 9], &Redactor::default());
        assert!(shown.ends_with("… [cut]") && shown.len() < LINE_LIMIT + 16);
    }

    #[test]
    fn a_secret_across_the_cut_does_not_show_its_beginning() {
        let redactor = Redactor::new(["a-secret-of-some-length"]);
        let mut bytes = vec![b'x'; LINE_LIMIT - 8];
        bytes.extend_from_slice(b"a-secret-of-some-length and more\n");
        let mut lines = Lines::default();
        let mut shown = Vec::new();
        lines.push(&bytes, redactor.longest(), |line| {
            shown.push(presentable(line, &redactor));
        });
        assert!(
            !shown[0].contains("a-secret"),
            "{}",
            &shown[0][LINE_LIMIT - 20..]
        );
        assert!(shown[0].contains("x***"));
    }

    #[test]
    fn the_log_keeps_five_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("worker.log");
        let mut log = RotatingLog::with_limit(path.clone(), 100);
        for n in 0..100 {
            log.write_line(&format!("line number {n:03}"));
        }
        let mut names: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "worker.log",
                "worker.log.1",
                "worker.log.2",
                "worker.log.3",
                "worker.log.4"
            ]
        );
        let current = fs::read_to_string(&path).unwrap();
        assert!(current.ends_with("line number 099\n"));
        assert!(fs::read_to_string(part(&path, 1)).unwrap().len() <= 116);
    }

    #[test]
    fn all_parts_together_keep_to_the_limit_of_a_worker() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = RotatingLog::open(dir.path().join("worker.log"), Some(1 << 20));
        let line = "x".repeat(1000);
        for _ in 0..2_000 {
            log.write_line(&line);
        }
        let files = fs::read_dir(dir.path()).unwrap();
        let total: u64 = files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        assert!((800_000..(1 << 20) + 6 * 1001).contains(&total), "{total}");
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/worker.log");
        let mut log = RotatingLog::open(path.clone(), None);
        log.write_line("lost 1");
        log.write_line("lost 2");
        fs::create_dir(dir.path().join("sub")).unwrap();
        log.write_line("kept");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(" 3 lines dropped") || text.contains(" 2 lines dropped"));
        assert!(text.ends_with("kept\n"));
    }
}
