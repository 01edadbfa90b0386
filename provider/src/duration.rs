//! Durations as Go writes them (package time, "ParseDuration"): `30s`, `2h45m`, `1.5h`.

use std::time::Duration;

/// Longest accepted duration: a week. Nothing here waits longer, and sums stay far from overflow.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// Units and their length in nanoseconds; longer names first where one starts with another.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Reads a positive duration, or says in a sentence what is wrong with it.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "{text:?} is no duration. Write numbers with units, such as \"30s\", \"10m\" or \"1h30m\"."
        )
    };
    let mut rest = text;
    let mut nanos = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let (unit, length) = UNITS
            .iter()
            .find(|(unit, _)| rest.starts_with(unit))
            .ok_or_else(wrong)?;
        rest = &rest[unit.len()..];
        nanos += number * length;
    }
    if nanos <= 0.0 {
        return Err(if text.is_empty() {
            wrong()
        } else {
            format!("{text:?} is no time at all; write a duration above zero.")
        });
    }
    let duration = Duration::try_from_secs_f64(nanos / 1e9).unwrap_or(Duration::MAX);
    if duration > LONGEST {
        return Err(format!("{text:?} is longer than a week (168h)."));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_go_reads_them() {
        for (text, millis) in [
            ("30s", 30_000),
            ("2h45m", 9_900_000),
            ("1.5h", 5_400_000),
            ("300ms", 300),
            ("1m30s", 90_000),
            ("2000us", 2),
            ("2000µs", 2),
            (".5s", 500),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_a_sentence() {
        for text in [
            "", "5", "s", "-5s", "+5s", "5 s", "5x", "1..5s", "0s", "200h", "9e9s", ".",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[0-9.smhuµn]{0,40}") {
            if let Ok(duration) = parse(&text) {
                prop_assert!(duration <= LONGEST);
            }
        }
    }
}
