//! Rows of a list in columns, for a terminal.

use std::fmt::Write as _;

/// Columns as wide as their widest cell; the last one is as long as it is.
pub fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A time in UTC, to the second (RFC 3339).
pub fn time(ms: u64) -> String {
    i64::try_from(ms / 1_000)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| "?".to_owned(), |time| time.to_string())
}
