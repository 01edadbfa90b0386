//! `Struct{a=1,b=Struct{c=x}}`: how Connect's `StringConverter` writes a record, as JSON.
//!
//! Fields that are null are left out by Connect. Values are not quoted, so a text that holds `,` or `}` outside of
//! brackets cannot be told from the end of its field; the workload writes none.

use serde_json::{Map, Value};

/// How deep structures may be nested.
const DEPTH: usize = 32;

/// The same record as a JSON object; none when the text is not of this form.
pub(crate) fn parse(text: &str) -> Option<Value> {
    let (value, rest) = structure(text, 0)?;
    rest.is_empty().then_some(value)
}

fn structure(text: &str, depth: usize) -> Option<(Value, &str)> {
    let mut rest = text.strip_prefix("Struct{")?;
    if depth > DEPTH {
        return None;
    }
    let mut fields = Map::new();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((Value::Object(fields), rest));
        }
        let (name, value) = rest.split_once('=')?;
        let (value, after) = if value.starts_with("Struct{") {
            structure(value, depth + 1)?
        } else if value.starts_with("[Struct{") || value.starts_with("[]") {
            list(value, depth + 1)?
        } else {
            let end = end_of_scalar(value)?;
            (scalar(&value[..end]), &value[end..])
        };
        fields.insert(name.to_owned(), value);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
}

/// `[Struct{…}, Struct{…}]`, as Java prints a list.
fn list(text: &str, depth: usize) -> Option<(Value, &str)> {
    let mut rest = text.strip_prefix('[')?;
    let mut items = Vec::new();
    loop {
        if let Some(rest) = rest.strip_prefix(']') {
            return Some((Value::Array(items), rest));
        }
        let (item, after) = structure(rest, depth)?;
        items.push(item);
        rest = after.strip_prefix(", ").unwrap_or(after);
    }
}

/// Where a value ends: at `,` or `}` outside of brackets.
fn end_of_scalar(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '[' | '{' => depth += 1,
            ',' | '}' if depth == 0 => return Some(at),
            ']' | '}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

/// A whole number is one; all else stays text.
fn scalar(text: &str) -> Value {
    text.parse::<i64>()
        .map_or_else(|_| Value::from(text), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_struct_becomes_the_object_that_it_was() {
        let text = "Struct{after=Struct{id=5,payload=00ff},source=Struct{db=a,sequence=[\"1\",\"2\"],pos=7},op=u}";
        let expected = json!({
            "after": {"id": 5, "payload": "00ff"},
            "source": {"db": "a", "sequence": "[\"1\",\"2\"]", "pos": 7},
            "op": "u"
        });
        assert_eq!(parse(text), Some(expected));
        assert_eq!(parse("Struct{}"), Some(json!({})));
        let lists = "Struct{a=[Struct{n=1}, Struct{n=2}],b=[]}";
        let expected = json!({"a": [{"n": 1}, {"n": 2}], "b": []});
        assert_eq!(parse(lists), Some(expected));
    }

    #[test]
    fn a_text_that_ends_too_early_or_is_no_struct_is_refused() {
        for text in [
            "",
            "Struct{",
            "Struct{a=1",
            "Struct{a}",
            "{\"a\":1}",
            "Struct{a=1}x",
            "Struct{a=]}",
            "Struct{a=[Struct{}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"Struct{a=".repeat(1000)), None);
    }
}
