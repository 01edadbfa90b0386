//! Java properties text from pairs, for states that were declared as a map.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One `key=value` line for each pair, in the order of the keys. What has a meaning in properties
/// text is escaped, so that [`runnel_api::properties::parse`] gives the pairs back.
pub fn write(properties: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in properties {
        escape(key, true, &mut text);
        text.push('=');
        escape(value, false, &mut text);
        text.push('\n');
    }
    text
}

fn escape(part: &str, is_key: bool, text: &mut String) {
    for (position, c) in part.chars().enumerate() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\x0c' => text.push_str("\\f"),
            '\\' => text.push_str("\\\\"),
            // A value may have blanks inside, but not before its first other character.
            ' ' if is_key || position == 0 => text.push_str("\\ "),
            '=' | ':' | '#' | '!' if is_key => {
                text.push('\\');
                text.push(c);
            }
            c if c.is_control() => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_properties_look_ordinary() {
        let pairs = [("a.b", "1"), ("c", "x = y")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(write(&pairs.into()), "a.b=1\nc=x = y\n");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(pairs in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..5)) {
            prop_assert_eq!(runnel_api::properties::parse(&write(&pairs)), Ok(pairs));
        }
    }
}
