//! Java properties text, read as `java.util.Properties.load` reads it (Java SE API, "load(Reader)").

use std::collections::BTreeMap;

/// A malformed `\uXXXX` escape, the one thing that `load` refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: \\u is followed by something else than four hexadecimal digits")]
pub struct PropertiesError {
    /// Counted from 1, the first natural line of the logical one.
    pub line: usize,
}

/// Reads properties; of a key that stands twice the last one counts.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, PropertiesError> {
    let mut properties = BTreeMap::new();
    for (line, logical) in logical_lines(text) {
        let (key, value) = split(&logical);
        let key = unescape(key).ok_or(PropertiesError { line })?;
        let value = unescape(value).ok_or(PropertiesError { line })?;
        properties.insert(key, value);
    }
    Ok(properties)
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

/// Joins natural lines that end in an odd number of backslashes; drops blanks and comments.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, natural) in unified.split('\n').enumerate() {
        let natural = natural.trim_start_matches(is_blank);
        let (number, mut logical) = match open.take() {
            Some(begun) => begun,
            None if natural.is_empty() || natural.starts_with(['#', '!']) => continue,
            None => (index + 1, String::new()),
        };
        let backslashes = natural.chars().rev().take_while(|c| *c == '\\').count();
        if backslashes % 2 == 1 {
            logical.push_str(&natural[..natural.len() - 1]);
            open = Some((number, logical));
        } else {
            logical.push_str(natural);
            lines.push((number, logical));
        }
    }
    lines.extend(open);
    lines
}

/// Key up to the first unescaped `=`, `:` or blank; value after it and the blanks around it.
fn split(logical: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = logical
        .char_indices()
        .find(|(_, c)| {
            let ends = !escaped && (is_blank(*c) || matches!(c, '=' | ':'));
            escaped = *c == '\\' && !escaped;
            ends
        })
        .map_or(logical.len(), |(at, _)| at);
    let (key, rest) = logical.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(is_blank))
}

fn unescape(text: &str) -> Option<String> {
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text.chars();
    let mut buffer = [0; 2];
    while let Some(c) = chars.next() {
        let plain = match c {
            '\\' => match chars.next() {
                None => break,
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let valid = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                    units.push(u16::from_str_radix(valid.then_some(&digits)?, 16).ok()?);
                    continue;
                }
                Some(other) => other,
            },
            other => other,
        };
        units.extend_from_slice(plain.encode_utf16(&mut buffer));
    }
    Some(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, pairs: &[(&str, &str)]) {
        let expected = pairs
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        assert_eq!(parse(text), Ok(expected), "{text:?}");
    }

    #[test]
    fn separators_comments_and_continuations_follow_java() {
        check("a=b\n#c=d\n! e=f\n\n  g : h ", &[("a", "b"), ("g", "h ")]);
        check(
            "fruits  apple, \\\n   banana",
            &[("fruits", "apple, banana")],
        );
        check("a\\ b\\=c = d\\:e", &[("a b=c", "d:e")]);
        check("cheeses", &[("cheeses", "")]);
        check("a = \\u0041\\u00e9\\uD83D\\uDE00", &[("a", "Aé😀")]);
        check("a=1\r\na=2\rb=c\\\\", &[("a", "2"), ("b", "c\\")]);
        check("x==y", &[("x", "=y")]);
        assert_eq!(parse("ok=1\nbad=\\u12"), Err(PropertiesError { line: 2 }));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_escaped_reads_back(key in "[a-z.]{1,8}", value in "[ -~]{0,20}") {
            let escaped: String = value.chars().flat_map(|c| ['\\', c]).filter(|_| true).collect();
            // Escaping letters such as `n` would change them; only escape what is no letter.
            let escaped = if value.chars().any(char::is_alphanumeric) {
                value.replace('\\', "\\\\").replacen(' ', "\\ ", 1)
            } else {
                escaped
            };
            let read = parse(&format!("{key}={escaped}")).unwrap();
            prop_assert_eq!(read.get(&key), Some(&value));
        }
    }
}
