//! Whether what came out is what was planned.

use super::{Findings, Rule, Violation, elements, field, show};
use crate::path::Path;
use crate::schema::{Fields, Nesting, Schema};
use crate::value::{Number, Refinements, Unknown, Value};

/// Checks the state after create or update against its plan.
pub fn check_apply(schema: &Schema, planned: &Value, new: &Value) -> Vec<Violation> {
    let mut findings = Findings::default();
    let root = Path::root();
    match (planned.is_null(), new.is_null()) {
        (false, true) => findings.add(
            Rule::StateExists,
            &root,
            "A resource was planned, but there is no state.",
        ),
        (true, false) => findings.add(
            Rule::StateExists,
            &root,
            "A resource is gone by plan, but has a state.",
        ),
        (true, true) => {}
        (false, false) => object(schema.fields(), planned, new, &root, &mut findings),
    }
    findings.0
}

fn object(fields: Fields<'_>, planned: &Value, new: &Value, path: &Path, findings: &mut Findings) {
    for each in fields.iter() {
        let here = path.attribute(each.name());
        let hidden = each
            .attribute()
            .is_some_and(|attribute| attribute.sensitive || attribute.write_only);
        one(
            each.nested(),
            field(planned, each.name()),
            field(new, each.name()),
            hidden,
            &here,
            findings,
        );
    }
}

type Nested<'a> = Option<(Nesting, Fields<'a>)>;

fn one(
    nested: Nested<'_>,
    planned: &Value,
    new: &Value,
    hidden: bool,
    path: &Path,
    findings: &mut Findings,
) {
    match (planned, new) {
        (Value::Unknown(unknown), _) => {
            if !allows(unknown, new) {
                let detail = format!(
                    "{} breaks a promise that the plan made about it.",
                    show(new, hidden)
                );
                findings.add(Rule::AppliedIsPlanned, path, detail);
            }
        }
        // Unknown results are found by the check of states.
        (_, Value::Unknown(_)) | (Value::Null, Value::Null) => {}
        (Value::Dynamic(planned), new) => {
            one(None, &planned.value, bare(new), hidden, path, findings);
        }
        (Value::Null, _) | (_, Value::Null) => differs(planned, new, hidden, path, findings),
        (Value::List(wanted) | Value::Tuple(wanted), Value::List(made) | Value::Tuple(made)) => {
            if wanted.len() != made.len() {
                let detail = format!(
                    "{} elements were planned, {} came out.",
                    wanted.len(),
                    made.len()
                );
                return findings.add(Rule::AppliedCount, path, detail);
            }
            for (at, (planned, new)) in wanted.iter().zip(made).enumerate() {
                one(nested, planned, new, hidden, &path.index(at), findings);
            }
        }
        (Value::Map(wanted), Value::Map(made)) => {
            if !wanted.keys().eq(made.keys()) {
                return findings.add(
                    Rule::AppliedCount,
                    path,
                    "Other keys came out than were planned.",
                );
            }
            for (key, planned) in wanted {
                one(
                    nested,
                    planned,
                    &made[key],
                    hidden,
                    &path.key(key),
                    findings,
                );
            }
        }
        (Value::Object(wanted), Value::Object(made)) => match nested {
            Some((_, fields)) => object(fields, planned, new, path, findings),
            None => {
                for (name, planned) in wanted {
                    let new = made.get(name).unwrap_or(&Value::Null);
                    one(None, planned, new, hidden, &path.attribute(name), findings);
                }
            }
        },
        (Value::Set(_), Value::Set(_)) => set(nested, planned, new, path, findings),
        (planned, new) if planned == new => {}
        (planned, new) => differs(planned, new, hidden, path, findings),
    }
}

fn bare(value: &Value) -> &Value {
    match value {
        Value::Dynamic(typed) => &typed.value,
        other => other,
    }
}

fn differs(planned: &Value, new: &Value, hidden: bool, path: &Path, findings: &mut Findings) {
    let detail = format!(
        "Planned was {}, but now it is {}.",
        show(planned, hidden),
        show(new, hidden)
    );
    findings.add(Rule::AppliedIsPlanned, path, detail);
}

/// Each planned element must have become some element and each element must come of a planned one. Several
/// may have become equal, so a set may shrink but never grow.
fn set(nested: Nested<'_>, planned: &Value, new: &Value, path: &Path, findings: &mut Findings) {
    let (wanted, made) = (elements(planned), elements(new));
    let agree = |planned: &Value, new: &Value| {
        let mut findings = Findings::default();
        one(nested, planned, new, true, path, &mut findings);
        findings.0.is_empty()
    };
    if made.len() > wanted.len() {
        findings.add(
            Rule::AppliedCount,
            path,
            "The set has more elements than were planned.",
        );
    }
    if wanted
        .iter()
        .any(|planned| !made.iter().any(|new| agree(planned, new)))
    {
        findings.add(
            Rule::AppliedCount,
            path,
            "A planned element of the set did not come out.",
        );
    }
    if made
        .iter()
        .any(|new| !wanted.iter().any(|planned| agree(planned, new)))
    {
        findings.add(
            Rule::AppliedCount,
            path,
            "An element of the set was not planned.",
        );
    }
}

/// Whether a value keeps the promises that were made while it was unknown.
fn allows(unknown: &Unknown, value: &Value) -> bool {
    let Some(promised) = unknown.refinements() else {
        return true;
    };
    match bare(value) {
        Value::Null => !promised.not_null,
        Value::String(text) => promised
            .prefix
            .as_deref()
            .is_none_or(|prefix| text.starts_with(prefix)),
        Value::Number(number) => within(promised, number),
        Value::List(elements) => counts(promised, elements.len()),
        Value::Set(elements) => counts(promised, elements.len()),
        Value::Map(elements) => counts(promised, elements.len()),
        _ => true,
    }
}

fn within(promised: &Refinements, number: &Number) -> bool {
    // Floats are near enough for a promise: the values that need more digits are not what is bounded.
    let value = number.as_f64();
    let above = promised
        .min
        .as_ref()
        .is_none_or(|(min, equal)| value > min.as_f64() || (*equal && number == min));
    let below = promised
        .max
        .as_ref()
        .is_none_or(|(max, equal)| value < max.as_f64() || (*equal && number == max));
    above && below
}

fn counts(promised: &Refinements, count: usize) -> bool {
    let count = count as u64;
    promised.length_min.is_none_or(|min| count >= min)
        && promised.length_max.is_none_or(|max| count <= max)
}
