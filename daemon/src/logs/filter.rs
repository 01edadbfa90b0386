//! Which records are shown.

use super::record::{Level, Record};
use regex::{Regex, RegexBuilder};
use runnel_api::{ErrorCode, Problem};
use std::time::Duration;

/// Characters of a regular expression.
const PATTERN_MAX: usize = 1_000;
/// Bytes of a compiled regular expression; one that needs more is a mistake or an attack.
const COMPILED_MAX: usize = 1 << 20;
/// The longest `since`: a hundred years, so that no arithmetic overflows.
const SINCE_MAX: Duration = Duration::from_hours(100 * 366 * 24);

/// What a record must be to be shown.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Not older than this, milliseconds since the Unix epoch.
    pub since_ms: Option<i64>,
    /// At least so grave.
    pub level: Option<Level>,
    /// It holds this somewhere, in its head or its trace.
    pub grep: Option<Regex>,
}

impl Filter {
    /// Reads what a person typed; `now_ms` is what a duration counts back from.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` with the field `since`, `level` or `grep`.
    pub fn parse(
        since: Option<&str>,
        level: Option<&str>,
        grep: Option<&str>,
        now_ms: i64,
    ) -> Result<Self, Problem> {
        Ok(Self {
            since_ms: since.map(|text| moment(text, now_ms)).transpose()?,
            level: level.map(parse_level).transpose()?,
            grep: grep.map(pattern).transpose()?,
        })
    }

    /// Whether every record passes.
    pub fn is_open(&self) -> bool {
        self.since_ms.is_none() && self.level.is_none() && self.grep.is_none()
    }

    /// Judges a record; `before` is what became of the record before it, whose rest it may be.
    pub fn passes(&self, record: &Record, before: bool) -> bool {
        if !record.is_whole && before {
            return true;
        }
        let is_due = |since| record.time_ms.is_some_and(|time| time >= since);
        let is_grave = |least| record.level.is_some_and(|level| level >= least);
        self.since_ms.is_none_or(is_due)
            && self.level.is_none_or(is_grave)
            && self
                .grep
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(&record.text))
    }
}

fn invalid(field: &str, message: String) -> Problem {
    Problem::new(ErrorCode::InvalidArgument, message).field(field)
}

fn parse_level(text: &str) -> Result<Level, Problem> {
    Level::parse(text).ok_or_else(|| {
        let all = Level::ALL.map(|level| level.as_str().to_lowercase());
        invalid("level", format!("{text:?} is no level")).hint(format!("write {}", all.join(", ")))
    })
}

fn pattern(text: &str) -> Result<Regex, Problem> {
    if text.chars().count() > PATTERN_MAX {
        let message = format!("the expression is longer than {PATTERN_MAX} characters");
        return Err(invalid("grep", message));
    }
    RegexBuilder::new(text)
        .size_limit(COMPILED_MAX)
        .dfa_size_limit(COMPILED_MAX)
        .build()
        .map_err(|error| {
            invalid("grep", format!("{text:?} is no regular expression"))
                .detail(error.to_string())
                .hint("write a backslash before characters that are meant as they are")
        })
}

/// A time, or a duration before now.
pub fn moment(text: &str, now_ms: i64) -> Result<i64, Problem> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let back = duration(text).filter(|back| *back <= SINCE_MAX);
    let back = back.and_then(|back| i64::try_from(back.as_millis()).ok());
    back.map(|back| now_ms - back).ok_or_else(|| {
        invalid(
            "since",
            format!("{text:?} is neither a duration nor a time"),
        )
        .hint("write 30s, 10m, 2h or 7d, or a time such as 2026-11-22T17:40:00Z")
    })
}

/// `90s`, `10m`, `1h30m`, `7d`, `500ms`.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let milliseconds = match &rest[..unit] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        sum = sum.checked_add(Duration::from_millis(number.checked_mul(milliseconds)?))?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time_ms: i64, level: Level, text: &str) -> Record {
        Record {
            time_ms: Some(time_ms),
            level: Some(level),
            text: text.to_owned(),
            is_whole: true,
            end: 0,
        }
    }

    #[test]
    fn durations_and_times_are_read() {
        let now = 10_000_000_000;
        for (text, expected) in [
            ("10s", now - 10_000),
            ("1h30m", now - 5_400_000),
            ("7d", now - 604_800_000),
            ("5ms", now - 5),
            ("1970-01-01T00:00:01Z", 1_000),
            ("1970-01-01T01:00:01.5+01:00", 1_500),
        ] {
            let filter = Filter::parse(Some(text), None, None, now).unwrap();
            assert_eq!(filter.since_ms, Some(expected), "{text}");
        }
        for text in ["", "10", "m", "10x", "-5s", "99999999999999d", "yesterday"] {
            let problem = Filter::parse(Some(text), None, None, now).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some("since"), "{text}");
        }
    }

    #[test]
    fn levels_and_expressions_are_refused_by_name() {
        let problem = Filter::parse(None, Some("loud"), None, 0).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("level"));
        assert!(problem.hint.unwrap().contains("warn"));
        for bad in ["(", "a{1000}{1000}{1000}", &"x".repeat(PATTERN_MAX + 1)] {
            let problem = Filter::parse(None, None, Some(bad), 0).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some("grep"));
            assert_eq!(problem.code, ErrorCode::InvalidArgument);
        }
    }

    #[test]
    fn a_record_passes_when_all_agree() {
        let filter = |since, level, grep| Filter::parse(since, level, grep, 0).unwrap();
        let error = record(1_500, Level::Error, "head\nCaused by: root");
        for (filter, passes) in [
            (Filter::default(), true),
            (filter(Some("1970-01-01T00:00:01Z"), None, None), true),
            (filter(Some("1970-01-01T00:00:02Z"), None, None), false),
            (filter(None, Some("warn"), None), true),
            (filter(None, Some("Error"), None), true),
            (filter(None, Some("FATAL"), None), false),
            (filter(None, None, Some("^Caused|(?m)by: root$")), true),
            (filter(None, None, Some("absent")), false),
            (filter(None, Some("warn"), Some("absent")), false),
        ] {
            assert_eq!(filter.passes(&error, false), passes, "{filter:?}");
        }
        let mut rest = record(1, Level::Info, "rest of a record");
        rest.is_whole = false;
        let strict = filter(None, Some("error"), None);
        assert!(strict.passes(&rest, true) && !strict.passes(&rest, false));
        let mut bare = record(1, Level::Info, "x");
        (bare.level, bare.time_ms) = (None, None);
        assert!(!strict.passes(&bare, false) && Filter::default().passes(&bare, false));
    }
}
