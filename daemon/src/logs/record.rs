//! Records of a worker's log: a head line and what belongs to it.
//!
//! Both log systems write `[2026-11-22T17:40:47.746Z] LEVEL message (logger)` by the patterns of
//! `fleet::log_configuration`; lines of a trace or of a longer message follow without a head.

use std::fmt;

/// Bytes of one record. What is longer goes on as a record of the same time and level, so that
/// memory stays bounded whatever a connector prints.
pub const RECORD_MAX: usize = 128 << 10;
/// Bytes of a line without an end; the shim cuts lines far earlier.
const LINE_MAX: usize = 64 << 10;
/// Characters of a time with milliseconds in UTC, as the patterns write it.
const TIME_LENGTH: usize = "2026-11-22T17:40:47.746Z".len();

/// How grave a record is, as log4j orders its levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Each step.
    Trace,
    /// For who looks for a fault.
    Debug,
    /// The ordinary course.
    Info,
    /// It goes on, but somebody should look.
    Warn,
    /// Something failed.
    Error,
    /// The process ends.
    Fatal,
}

impl Level {
    /// All, the least first.
    pub const ALL: [Self; 6] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warn,
        Self::Error,
        Self::Fatal,
    ];

    /// As it stands in a log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }

    /// Reads a level in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A head line with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Milliseconds since the Unix epoch: its own, or that of the record before; none before the
    /// first time in a log.
    pub time_ms: Option<i64>,
    /// Its level; none for what the JVM prints beside the log.
    pub level: Option<Level>,
    /// Its lines, without the last line end.
    pub text: String,
    /// False for lines that belong to the record before, which was handed out already.
    pub is_whole: bool,
    /// Where it ends in its file, bytes.
    pub end: u64,
}

impl Record {
    /// How many lines it has.
    pub fn lines(&self) -> usize {
        1 + self.text.bytes().filter(|byte| *byte == b'\n').count()
    }

    /// The logger's name, which stands in brackets behind the message.
    pub fn logger(&self) -> Option<&str> {
        self.split().1
    }

    /// Message and trace, without time, level and logger.
    pub fn message(&self) -> String {
        let (head, logger, rest) = self.split();
        match (logger, rest) {
            (_, "") => head.to_owned(),
            _ => format!("{head}{rest}"),
        }
    }

    /// The message up to its logger, the logger, and what follows.
    fn split(&self) -> (&str, Option<&str>, &str) {
        let text = self.text.as_str();
        let is_ours = self.is_whole && head(text).is_some();
        let body = match text.split_once("] ") {
            Some((_, rest)) if is_ours => rest.split_once(' ').map_or("", |(_, body)| body),
            _ => return (text, None, ""),
        };
        let mut end = 0;
        for line in body.split_inclusive('\n') {
            let bare = line.trim_end_matches('\n');
            end += bare.len();
            // A later line of a message may end in brackets too; a class name has dots.
            if let Some(at) = logger_at(bare)
                && (end == bare.len() || bare[at..].contains('.'))
            {
                let begin = end - bare.len() + at;
                return (
                    &body[..begin],
                    Some(&body[begin + 2..end - 1]),
                    &body[end..],
                );
            }
            end += line.len() - bare.len();
        }
        (body, None, "")
    }
}

/// Where ` (logger)` begins at the end of a line.
fn logger_at(line: &str) -> Option<usize> {
    let inner = line.strip_suffix(')')?;
    let at = inner.rfind(" (")?;
    let name = &inner[at + 2..];
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'$' | b'-');
    (!name.is_empty() && name.bytes().all(fits)).then_some(at)
}

/// Time and level of a head line.
fn head(line: &str) -> Option<(i64, Level)> {
    let rest = line.strip_prefix('[')?;
    let time = rest.get(..TIME_LENGTH)?;
    let rest = rest.get(TIME_LENGTH..)?.strip_prefix("] ")?;
    let level = rest.split(' ').next().and_then(|word| {
        Level::ALL
            .into_iter()
            .find(|level| level.as_str() == word.trim_end())
    })?;
    let time: jiff::Timestamp = time.parse().ok()?;
    Some((time.as_millisecond(), level))
}

/// A line that begins a record without a time of its own: the shim's, or the JVM's last words.
fn timeless_head(line: &str) -> Option<Level> {
    const ERRORS: [&str; 6] = [
        "Terminating due to java.lang.OutOfMemoryError",
        "Exception in thread ",
        "Error: ",
        "Error occurred during initialization of VM",
        "# A fatal error has been detected",
        "runnel shim: ",
    ];
    if line.starts_with("WARN runnel shim: ") {
        return Some(Level::Warn);
    }
    ERRORS
        .iter()
        .any(|begin| line.starts_with(begin))
        .then_some(Level::Error)
}

/// Makes records of the bytes of one log, however they arrive.
#[derive(Debug, Default)]
pub struct Assembler {
    /// A line whose end has not come.
    partial: Vec<u8>,
    open: Option<Record>,
    /// Time and level of the newest head.
    last: Option<(Option<i64>, Level)>,
    time_ms: Option<i64>,
    /// Where the next line begins in the file, bytes.
    at: u64,
}

impl Assembler {
    /// Begins in the middle of a file.
    pub fn at(offset: u64) -> Self {
        Self {
            at: offset,
            ..Self::default()
        }
    }

    /// Takes bytes, gives the records that are complete.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<Record>) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            if self.partial.is_empty() {
                self.line(&bytes[..end], 1, out);
            } else {
                self.partial.extend_from_slice(&bytes[..end]);
                let line = std::mem::take(&mut self.partial);
                self.line(&line, 1, out);
            }
            bytes = &bytes[end + 1..];
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() > LINE_MAX {
            let line = std::mem::take(&mut self.partial);
            self.line(&line, 0, out);
        }
    }

    /// Hands out the record that is open: nothing more of it may come.
    pub fn flush(&mut self, out: &mut Vec<Record>) {
        out.extend(self.open.take());
    }

    /// The file has ended and another one begins.
    pub fn next_file(&mut self, out: &mut Vec<Record>) {
        if !self.partial.is_empty() {
            let line = std::mem::take(&mut self.partial);
            self.line(&line, 0, out);
        }
        self.flush(out);
        self.at = 0;
    }

    /// Whether a record or a line waits for its end.
    pub fn is_waiting(&self) -> bool {
        self.open.is_some() || !self.partial.is_empty()
    }

    fn line(&mut self, line: &[u8], ending: u64, out: &mut Vec<Record>) {
        self.at += line.len() as u64 + ending;
        let text = String::from_utf8_lossy(line);
        let begins = match head(&text) {
            Some((time_ms, level)) => {
                self.time_ms = Some(time_ms);
                Some(level)
            }
            None => timeless_head(&text),
        };
        if let Some(level) = begins {
            self.flush(out);
            self.last = Some((self.time_ms, level));
            self.open = Some(self.record(text.into_owned(), true));
            return;
        }
        match &mut self.open {
            Some(open) if open.text.len() + text.len() < RECORD_MAX => {
                open.text.push('\n');
                open.text.push_str(&text);
                open.end = self.at;
            }
            Some(_) => {
                self.flush(out);
                self.open = Some(self.record(text.into_owned(), false));
            }
            None if self.last.is_some() => {
                self.open = Some(self.record(text.into_owned(), false));
            }
            // Before the first head each line is for itself.
            None => out.push(self.record(text.into_owned(), true)),
        }
    }

    fn record(&self, text: String, is_whole: bool) -> Record {
        Record {
            time_ms: self.time_ms,
            level: self.last.map(|(_, level)| level),
            text,
            is_whole,
            end: self.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOG: &str = "Picked up options\n\
        [2026-11-22T17:40:47.746Z] INFO [orders|task-0] Started (org.x.Worker)\n\
        [2026-11-22T17:40:48.000Z] ERROR [orders|task-0] It failed (org.x.WorkerTask)\n\
        java.lang.RuntimeException: no\n\
        \tat x.Y.z(Y.java:1)\n\
        Caused by: why\n\
        [2026-11-22T17:40:49.001Z] WARN values:\n\
        \ta = 1 (default)\n\
        \tb = 2 (org.x.Config$Inner)\n\
        WARN runnel shim: 3 lines dropped, the log could not be written\n\
        Terminating due to java.lang.OutOfMemoryError: Java heap space\n";

    fn records(chunks: &[&[u8]]) -> Vec<Record> {
        let (mut assembler, mut out) = (Assembler::default(), Vec::new());
        for chunk in chunks {
            assembler.push(chunk, &mut out);
        }
        assembler.next_file(&mut out);
        out
    }

    #[test]
    fn a_trace_belongs_to_its_head() {
        let found = records(&[LOG.as_bytes()]);
        let levels: Vec<_> = found.iter().map(|record| record.level).collect();
        let expected = [
            None,
            Some(Level::Info),
            Some(Level::Error),
            Some(Level::Warn),
            Some(Level::Warn),
            Some(Level::Error),
        ];
        assert_eq!(levels, expected);
        assert_eq!(found[2].lines(), 4);
        assert_eq!(found[2].logger(), Some("org.x.WorkerTask"));
        assert_eq!(
            found[2].message(),
            "[orders|task-0] It failed\njava.lang.RuntimeException: no\n\tat x.Y.z(Y.java:1)\nCaused by: why"
        );
        assert_eq!(found[3].logger(), Some("org.x.Config$Inner"));
        assert_eq!(found[4].time_ms, found[3].time_ms);
        assert_eq!(found[0].message(), "Picked up options");
        assert_eq!(found.last().unwrap().end, LOG.len() as u64);
    }

    #[test]
    fn lines_after_a_record_was_handed_out_say_that_they_belong_to_it() {
        let (mut assembler, mut out) = (Assembler::default(), Vec::new());
        assembler.push(b"[2026-11-22T17:40:48.000Z] ERROR a (x)\n", &mut out);
        assert!(out.is_empty() && assembler.is_waiting());
        assembler.flush(&mut out);
        assembler.push(b"\tat b\n\tat c\n", &mut out);
        assembler.flush(&mut out);
        assert_eq!(out.len(), 2);
        assert!(!out[1].is_whole);
        assert_eq!(out[1].level, Some(Level::Error));
        assert_eq!(out[1].text, "\tat b\n\tat c");
    }

    #[test]
    fn what_only_looks_like_a_head_is_none() {
        for line in [
            "[2026-11-22T17:40:47.746Z] info x",
            "[2026-11-22T17:40:47.746Z]INFO x",
            "[2026-99-22T17:40:47.746Z] INFO x",
            "[x] INFO y",
            "[2026-11-22T17:40:47.7é6Z] INFO x",
            "[",
            "",
        ] {
            assert_eq!(head(line), None, "{line}");
        }
    }

    #[test]
    fn a_record_without_end_is_handed_out_in_pieces() {
        let line = format!("{}\n", "x".repeat(1000));
        let (mut assembler, mut out) = (Assembler::default(), Vec::new());
        assembler.push(b"[2026-11-22T17:40:48.000Z] ERROR a (x)\n", &mut out);
        for _ in 0..300 {
            assembler.push(line.as_bytes(), &mut out);
        }
        assembler.push(&vec![b'y'; 3 * LINE_MAX], &mut out);
        assembler.next_file(&mut out);
        assert!(out.len() > 3);
        assert!(out.iter().all(|record| record.text.len() <= 4 * LINE_MAX));
        assert!(out[1..].iter().all(|record| !record.is_whole));
    }

    proptest! {
        #[test]
        fn records_are_the_same_however_the_bytes_arrive(cuts in proptest::collection::vec(0..LOG.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts {
                chunks.push(&LOG.as_bytes()[from..cut]);
                from = cut;
            }
            chunks.push(&LOG.as_bytes()[from..]);
            let found = records(&chunks);
            prop_assert_eq!(&found, &records(&[LOG.as_bytes()]));
            let joined: Vec<String> = found.into_iter().map(|record| record.text).collect();
            prop_assert_eq!(joined.join("\n") + "\n", LOG);
        }
    }
}
