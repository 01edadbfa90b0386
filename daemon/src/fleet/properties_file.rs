//! Writes Java properties files (Java SE API, `Properties.load`); reading is in `runnel_api::properties`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The text of a properties file, one `key=value` a line, in plain ASCII.
///
/// Kafka reads worker properties as ISO 8859-1 and secret files as UTF-8; ASCII with `\uXXXX` is the same in both.
pub fn render(properties: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in properties {
        escape(key, Part::Key, &mut text);
        text.push('=');
        escape(value, Part::Value, &mut text);
        text.push('\n');
    }
    text
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Key,
    Value,
}

fn escape(text: &str, part: Part, out: &mut String) {
    let mut leading = true;
    for unit in text.encode_utf16() {
        match char::from_u32(u32::from(unit)) {
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some('\x0c') => out.push_str("\\f"),
            // A blank ends a key anywhere, and is dropped at the beginning of a value.
            Some(' ') if part == Part::Key || leading => out.push_str("\\ "),
            Some(c @ ('=' | ':' | '#' | '!')) if part == Part::Key || leading => {
                out.push('\\');
                out.push(c);
            }
            Some(c @ ' '..='~') => out.push(c),
            // Control characters, everything outside ASCII, and each half of a surrogate pair.
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
        leading = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn awkward_values_are_escaped_as_java_writes_them() {
        let map = BTreeMap::from([
            ("a b=c".to_owned(), " x=y\\z\n#é😀 ".to_owned()),
            ("empty".to_owned(), String::new()),
        ]);
        assert_eq!(
            render(&map),
            "a\\ b\\=c=\\ x=y\\\\z\\n#\\u00e9\\ud83d\\ude00 \nempty=\n"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(map in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..6)) {
            let read = runnel_api::properties::parse(&render(&map)).unwrap();
            prop_assert_eq!(read, map);
        }
    }
}
