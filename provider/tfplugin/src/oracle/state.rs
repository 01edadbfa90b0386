//! What holds for every state: known, and without write-only values.

use super::{Findings, Rule, Violation, elements, field};
use crate::path::Path;
use crate::schema::{Fields, Nesting, Schema};
use crate::value::Value;

/// Checks a state that was created, updated, read, imported or upgraded.
pub fn check_state(schema: &Schema, state: &Value) -> Vec<Violation> {
    let mut findings = Findings::default();
    known(state, &Path::root(), &mut findings);
    write_only(schema.fields(), state, &Path::root(), &mut findings);
    findings.0
}

fn known(value: &Value, path: &Path, findings: &mut Findings) {
    match value {
        Value::Unknown(_) => findings.add(Rule::StateKnown, path, "A state has an unknown value."),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        Value::List(elements) | Value::Tuple(elements) => {
            for (at, each) in elements.iter().enumerate() {
                known(each, &path.index(at), findings);
            }
        }
        Value::Set(elements) => elements.iter().for_each(|each| known(each, path, findings)),
        Value::Map(fields) => fields
            .iter()
            .for_each(|(key, each)| known(each, &path.key(key), findings)),
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, each)| known(each, &path.attribute(name), findings)),
        Value::Dynamic(typed) => known(&typed.value, path, findings),
    }
}

pub(super) fn write_only(fields: Fields<'_>, value: &Value, path: &Path, findings: &mut Findings) {
    for each in fields.iter() {
        let here = path.attribute(each.name());
        let inner = field(value, each.name());
        if each
            .attribute()
            .is_some_and(|attribute| attribute.write_only)
            && !inner.is_null()
        {
            findings.add(
                Rule::WriteOnlyNull,
                &here,
                "A write-only attribute has a value.",
            );
            continue;
        }
        let Some((nesting, fields)) = each.nested() else {
            continue;
        };
        match nesting {
            Nesting::Single => write_only(fields, inner, &here, findings),
            Nesting::List => {
                for (at, object) in elements(inner).iter().enumerate() {
                    write_only(fields, object, &here.index(at), findings);
                }
            }
            Nesting::Set => elements(inner)
                .iter()
                .for_each(|object| write_only(fields, object, &here, findings)),
            Nesting::Map => {
                for (key, object) in inner.fields().into_iter().flatten() {
                    write_only(fields, object, &here.key(key), findings);
                }
            }
        }
    }
}
