//! What is different between two specifications, field by field, for the audit log.

use runnel_api::audit::FieldChange;
use serde_json::Value;
use std::collections::BTreeSet;

/// Bytes of JSON that one record may hold of changes; what is beyond is counted only.
const CHANGES_BYTES_MAX: usize = 16 << 10;

/// The fields that differ, in the order of their names, and how many found no place. Specifications
/// hold no secrets, so nothing here has to be hidden.
pub fn between(before: Option<&Value>, after: Option<&Value>) -> (Vec<FieldChange>, u64) {
    let mut all = Vec::new();
    compare(String::new(), before, after, &mut all);
    let mut room = CHANGES_BYTES_MAX;
    let mut left_out = 0;
    all.retain(|change| {
        let size = serde_json::to_string(change).map_or(usize::MAX, |json| json.len());
        let fits = size <= room;
        if fits {
            room -= size;
        } else {
            left_out += 1;
        }
        fits
    });
    (all, left_out)
}

fn compare(
    field: String,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<FieldChange>,
) {
    // An attribute that is null is one that is not set.
    let before = before.filter(|value| !value.is_null());
    let after = after.filter(|value| !value.is_null());
    if before == after {
        return;
    }
    let is_object = |value: Option<&Value>| value.is_none_or(Value::is_object);
    if !is_object(before) || !is_object(after) {
        changes.push(FieldChange {
            field,
            before: before.cloned(),
            after: after.cloned(),
        });
        return;
    }
    let maps = [before, after].map(|value| value.and_then(Value::as_object));
    let keys: BTreeSet<&String> = maps
        .into_iter()
        .flatten()
        .flat_map(serde_json::Map::keys)
        .collect();
    for key in keys {
        let [before, after] = maps.map(|map| map.and_then(|map| map.get(key)));
        compare(below(&field, key), before, after, changes);
    }
}

/// As in HCL: an attribute by a dot, a key that is none in brackets.
fn below(field: &str, key: &str) -> String {
    let is_word = key
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    match (field.is_empty(), is_word && !key.is_empty()) {
        (true, _) => key.to_owned(),
        (false, true) => format!("{field}.{key}"),
        (false, false) => format!("{field}[{key:?}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_told_with_its_field() {
        let before = json!({
            "config": {"tasks.max": "1", "name": "x", "gone": "y"},
            "plugins": ["a"],
            "capacity": {"provisioned": {"mcu_count": 1}},
            "description": null,
        });
        let after = json!({
            "config": {"tasks.max": "2", "name": "x", "new": "z"},
            "plugins": ["a", "b"],
            "capacity": {"provisioned": {"mcu_count": 1}},
        });
        let (changes, left_out) = between(Some(&before), Some(&after));
        let told: Vec<(&str, Option<Value>, Option<Value>)> = changes
            .iter()
            .map(|change| {
                let FieldChange {
                    field,
                    before,
                    after,
                } = change;
                (field.as_str(), before.clone(), after.clone())
            })
            .collect();
        assert_eq!(
            told,
            [
                ("config.gone", Some(json!("y")), None),
                ("config.new", None, Some(json!("z"))),
                ("config[\"tasks.max\"]", Some(json!("1")), Some(json!("2"))),
                ("plugins", Some(json!(["a"])), Some(json!(["a", "b"]))),
            ]
        );
        assert_eq!(left_out, 0);
        assert_eq!(between(Some(&after), Some(&after)), (Vec::new(), 0));
    }

    #[test]
    fn a_new_or_deleted_object_is_all_its_fields() {
        let spec = json!({"a": 1, "b": {"c": {}, "d": 2}});
        let fields = |(changes, _): (Vec<FieldChange>, u64)| -> Vec<String> {
            changes.into_iter().map(|change| change.field).collect()
        };
        assert_eq!(fields(between(None, Some(&spec))), ["a", "b.d"]);
        assert_eq!(fields(between(Some(&spec), None)), ["a", "b.d"]);
    }

    #[test]
    fn large_changes_are_counted() {
        let spec = json!({"big": "x".repeat(CHANGES_BYTES_MAX), "small": 1});
        let (changes, left_out) = between(None, Some(&spec));
        assert_eq!((changes.len(), left_out), (1, 1));
        assert_eq!(changes[0].field, "small");
    }
}
