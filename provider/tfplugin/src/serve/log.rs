//! Log lines for `TF_LOG`, in the form that Terraform reads (hclog JSON on standard error).
//!
//! Nothing is written unless `TF_LOG` or `TF_LOG_PROVIDER` is set: older releases of Terraform parse every
//! line even if they drop it. A user sees these lines only when debugging; what everyone should see is a
//! diagnostic. Secrets never belong here.

use std::fmt::Display;
use std::io::Write;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

static MODULE: OnceLock<String> = OnceLock::new();

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Every step.
    Trace,
    /// What helps to find a mistake.
    Debug,
    /// What happened.
    Info,
    /// What may hurt later.
    Warn,
    /// What went wrong.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Switches logging on if Terraform's environment asks for it.
pub(crate) fn init(module: &str) {
    let asked = ["TF_LOG", "TF_LOG_PROVIDER"].iter().any(|name| {
        std::env::var_os(name)
            .is_some_and(|value| !value.is_empty() && !value.eq_ignore_ascii_case("off"))
    });
    if asked {
        MODULE.get_or_init(|| module.to_owned());
    }
}

/// Writes one line: a sentence and what belongs to it.
pub fn write(level: Level, message: &str, fields: &[(&str, &dyn Display)]) {
    let Some(module) = MODULE.get() else { return };
    let line = format(level, module, message, fields, SystemTime::now());
    // Nobody is left to tell if standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A line at level debug.
pub fn debug(message: &str, fields: &[(&str, &dyn Display)]) {
    write(Level::Debug, message, fields);
}

/// A line at level info.
pub fn info(message: &str, fields: &[(&str, &dyn Display)]) {
    write(Level::Info, message, fields);
}

/// A line at level warn.
pub fn warn(message: &str, fields: &[(&str, &dyn Display)]) {
    write(Level::Warn, message, fields);
}

fn format(
    level: Level,
    module: &str,
    message: &str,
    fields: &[(&str, &dyn Display)],
    now: SystemTime,
) -> String {
    let mut line = serde_json::Map::new();
    for (name, value) in fields {
        line.insert((*name).to_owned(), value.to_string().into());
    }
    line.insert("@level".to_owned(), level.name().into());
    line.insert("@message".to_owned(), message.into());
    line.insert("@module".to_owned(), module.into());
    line.insert("@timestamp".to_owned(), timestamp(now).into());
    serde_json::Value::Object(line).to_string()
}

/// `2006-01-02T15:04:05.000000Z`: microseconds and UTC, or the line is not taken as JSON.
fn timestamp(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let micro = since.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z")
}

/// The Gregorian date of a day counted from 1970-01-01. Years are counted from March, so that the leap day
/// is the last of a year, in eras of 400 years (146,097 days) that are all alike.
fn civil(days: u64) -> (u64, u64, u64) {
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_line_has_the_form_that_terraform_reads() {
        let now = UNIX_EPOCH + Duration::new(1_709_210_096, 5_000);
        let line = format(
            Level::Warn,
            "provider",
            "slow \"call\"",
            &[("rpc", &"Plan"), ("ms", &7)],
            now,
        );
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(line["@level"], "warn");
        assert_eq!(line["@message"], "slow \"call\"");
        assert_eq!(line["@timestamp"], "2024-02-29T12:34:56.000005Z");
        assert_eq!(line["ms"], "7");
    }

    #[test]
    fn days_become_dates() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil(days), date, "{days}");
        }
    }
}
