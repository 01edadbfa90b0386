//! Walking a schema along with configuration, prior state and plan at once.

use std::collections::BTreeMap;

use crate::oracle::comes_from;
use crate::path::Path;
use crate::schema::{Attribute, Fields, Nesting};
use crate::value::Value;

/// One attribute on the way, in all three values.
pub(super) struct Spot<'a> {
    pub attribute: &'a Attribute,
    pub config: &'a Value,
    /// `None` where the object around the attribute is new.
    pub prior: Option<&'a Value>,
    pub planned: &'a mut Value,
    pub path: &'a Path,
    /// Inside a set: the path ends at the set, and elements are recognised, not addressed.
    pub in_set: bool,
}

/// The two values that the plan is compared with.
#[derive(Clone, Copy)]
pub(super) struct Beside<'a> {
    pub config: &'a Value,
    pub prior: Option<&'a Value>,
}

impl<'a> Beside<'a> {
    fn field(self, name: &str) -> Self {
        let of = |value: &'a Value| value.fields().and_then(|fields| fields.get(name));
        // Blocks and attributes of an object that exists do exist, if only as null.
        let prior = self.prior.filter(|prior| prior.fields().is_some());
        Self {
            config: of(self.config).unwrap_or(&Value::Null),
            prior: prior.map(|prior| of(prior).unwrap_or(&Value::Null)),
        }
    }

    fn key(self, key: &str) -> Self {
        let of = |value: &'a Value| value.fields().and_then(|fields| fields.get(key));
        Self {
            config: of(self.config).unwrap_or(&Value::Null),
            prior: self.prior.and_then(of),
        }
    }

    fn index(self, at: usize) -> Self {
        let of = |value: &'a Value| match value {
            Value::List(elements) => elements.get(at),
            _ => None,
        };
        Self {
            config: of(self.config).unwrap_or(&Value::Null),
            prior: self.prior.and_then(of),
        }
    }
}

/// What is inside an attribute that was visited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Visit what is inside.
    Inside,
    /// What is inside has been dealt with.
    Past,
}

/// Visits every attribute of a planned object, outer ones first.
pub(super) fn visit(
    fields: Fields<'_>,
    beside: Beside<'_>,
    planned: &mut BTreeMap<String, Value>,
    path: &Path,
    in_set: bool,
    visitor: &mut dyn FnMut(Spot<'_>) -> Next,
) {
    for each in fields.iter() {
        let Some(value) = planned.get_mut(each.name()) else {
            continue;
        };
        let beside = beside.field(each.name());
        let here = if in_set {
            path.clone()
        } else {
            path.attribute(each.name())
        };
        if let Some(attribute) = each.attribute() {
            let Beside { config, prior } = beside;
            let spot = Spot {
                attribute,
                config,
                prior,
                planned: value,
                path: &here,
                in_set,
            };
            if visitor(spot) == Next::Past {
                continue;
            }
        }
        if let Some((nesting, fields)) = each.nested() {
            visit_nested(nesting, fields, beside, value, &here, in_set, visitor);
        }
    }
}

fn visit_nested(
    nesting: Nesting,
    fields: Fields<'_>,
    beside: Beside<'_>,
    planned: &mut Value,
    path: &Path,
    in_set: bool,
    visitor: &mut dyn FnMut(Spot<'_>) -> Next,
) {
    let inner = |path: Path, outer: &Path| if in_set { outer.clone() } else { path };
    match (nesting, planned) {
        (Nesting::Single, Value::Object(object)) => {
            visit(fields, beside, object, path, in_set, visitor);
        }
        (Nesting::List, Value::List(elements)) => {
            for (at, element) in elements.iter_mut().enumerate() {
                if let Value::Object(object) = element {
                    visit(
                        fields,
                        beside.index(at),
                        object,
                        &inner(path.index(at), path),
                        in_set,
                        visitor,
                    );
                }
            }
        }
        (Nesting::Map, Value::Map(elements)) => {
            for (key, element) in elements {
                if let Value::Object(object) = element {
                    visit(
                        fields,
                        beside.key(key),
                        object,
                        &inner(path.key(key), path),
                        in_set,
                        visitor,
                    );
                }
            }
        }
        (Nesting::Set, planned @ Value::Set(_)) => {
            visit_set(fields, beside, planned, path, visitor);
        }
        _ => {}
    }
}

fn visit_set(
    fields: Fields<'_>,
    beside: Beside<'_>,
    planned: &mut Value,
    path: &Path,
    visitor: &mut dyn FnMut(Spot<'_>) -> Next,
) {
    let Value::Set(elements) = std::mem::take(planned) else {
        return;
    };
    let of = |value: Option<&Value>| match value {
        Some(Value::Set(elements)) => elements.as_slice().to_vec(),
        _ => Vec::new(),
    };
    let mut configured = of(Some(beside.config));
    let prior = of(beside.prior);
    let visited = elements.into_vec().into_iter().map(|mut element| {
        let config = configured
            .iter()
            .position(|config| comes_from(fields, config, &element));
        let config = config.map_or(Value::Null, |at| configured.swap_remove(at));
        let prior = prior.iter().find(|prior| **prior == element);
        if let Value::Object(object) = &mut element {
            visit(
                fields,
                Beside {
                    config: &config,
                    prior,
                },
                object,
                path,
                true,
                visitor,
            );
        }
        element
    });
    *planned = Value::set(visited.collect::<Vec<_>>());
}

/// Empties every write-only attribute.
pub(crate) fn null_write_only(fields: Fields<'_>, value: &mut Value) {
    let Value::Object(object) = value else { return };
    let nothing = Beside {
        config: &Value::Null,
        prior: None,
    };
    visit(fields, nothing, object, &Path::root(), false, &mut |spot| {
        if spot.attribute.write_only {
            *spot.planned = Value::Null;
        }
        Next::Inside
    });
}

/// Calls `each` for every attribute of a configuration that is set, known or not.
pub(crate) fn each_set(
    fields: Fields<'_>,
    config: &Value,
    each: &mut dyn FnMut(&Attribute, &Value, &Path),
) {
    let Value::Object(mut object) = config.clone() else {
        return;
    };
    let beside = Beside {
        config,
        prior: None,
    };
    visit(
        fields,
        beside,
        &mut object,
        &Path::root(),
        false,
        &mut |spot| {
            if !spot.planned.is_null() {
                each(spot.attribute, spot.planned, spot.path);
            }
            Next::Inside
        },
    );
}

/// Calls `each` for every attribute of a configuration that is set and known itself; elements may be unknown.
pub(crate) fn each_known(
    fields: Fields<'_>,
    config: &Value,
    each: &mut dyn FnMut(&Attribute, &Value, &Path),
) {
    each_set(fields, config, &mut |attribute, value, path| {
        if !value.is_unknown() {
            each(attribute, value, path);
        }
    });
}
