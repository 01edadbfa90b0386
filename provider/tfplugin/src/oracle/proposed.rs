//! Terraform's proposal: the configuration, with prior values where the provider decides and the user is
//! silent.

use std::collections::BTreeMap;

use super::{elements, field};
use crate::schema::{Field, Fields, Nesting, Schema};
use crate::value::Value;

/// What Terraform proposes for a configuration and a prior state (null for none).
pub fn proposed_new(schema: &Schema, prior: &Value, config: &Value) -> Value {
    if config.fields().is_none() {
        return config.clone();
    }
    object(schema.fields(), prior, config)
}

fn object(fields: Fields<'_>, prior: &Value, config: &Value) -> Value {
    let proposed: BTreeMap<String, Value> = fields
        .iter()
        .map(|each| {
            (
                each.name().to_owned(),
                one(each, field(prior, each.name()), field(config, each.name())),
            )
        })
        .collect();
    Value::Object(proposed)
}

fn one(each: Field<'_>, prior: &Value, config: &Value) -> Value {
    if let Some(attribute) = each.attribute()
        && attribute.presence.is_computed()
        && config.is_null()
    {
        // An optional object whose prior value the user must have written was removed by the user.
        return if was_configured(each, prior) {
            Value::Null
        } else {
            prior.clone()
        };
    }
    match each.nested() {
        Some((nesting, fields)) if !config.is_null() && !config.is_unknown() => {
            nested(nesting, fields, prior, config)
        }
        _ => config.clone(),
    }
}

/// Whether a value has something inside that only a user could have set.
fn was_configured(each: Field<'_>, value: &Value) -> bool {
    let Some((nesting, fields)) = each.nested() else {
        return false;
    };
    if each
        .attribute()
        .is_none_or(|attribute| attribute.presence != crate::schema::Presence::OptionalComputed)
    {
        return false;
    }
    let objects: Vec<&Value> = match nesting {
        Nesting::Single => vec![value],
        Nesting::List | Nesting::Set => elements(value).iter().collect(),
        Nesting::Map => value
            .fields()
            .map(|fields| fields.values().collect())
            .unwrap_or_default(),
    };
    objects.into_iter().any(|object| {
        fields.iter().any(|inner| {
            let value = field(object, inner.name());
            inner
                .attribute()
                .is_some_and(|attribute| !attribute.presence.is_computed() && !value.is_null())
        })
    })
}

fn nested(nesting: Nesting, fields: Fields<'_>, prior: &Value, config: &Value) -> Value {
    match (nesting, config) {
        (Nesting::Single, Value::Object(_)) => object(fields, prior, config),
        (Nesting::List, Value::List(configured)) => {
            let prior = elements(prior);
            let proposed = configured.iter().enumerate().map(|(at, each)| {
                if each.fields().is_none() {
                    return each.clone();
                }
                object(fields, prior.get(at).unwrap_or(&Value::Null), each)
            });
            Value::List(proposed.collect())
        }
        (Nesting::Map, Value::Map(configured)) => {
            let proposed = configured.iter().map(|(key, each)| {
                let value = if each.fields().is_none() {
                    each.clone()
                } else {
                    object(fields, field(prior, key), each)
                };
                (key.clone(), value)
            });
            Value::Map(proposed.collect())
        }
        (Nesting::Set, Value::Set(configured)) => {
            let mut candidates: Vec<&Value> = elements(prior).iter().collect();
            let proposed = configured.iter().map(|each| {
                if each.fields().is_none() {
                    return each.clone();
                }
                let matching = candidates
                    .iter()
                    .position(|prior| comes_from(fields, each, prior));
                let prior = matching.map_or(&Value::Null, |at| candidates.remove(at));
                object(fields, prior, each)
            });
            Value::set(proposed.collect::<Vec<_>>())
        }
        _ => config.clone(),
    }
}

/// Whether `value` could be made of `config` by filling in computed attributes only: how elements of sets,
/// which have no address, are recognised.
pub(crate) fn comes_from(fields: Fields<'_>, config: &Value, value: &Value) -> bool {
    if config.fields().is_none() || value.fields().is_none() {
        return config == value;
    }
    fields.iter().all(|each| {
        let (config, value) = (field(config, each.name()), field(value, each.name()));
        if let Some(attribute) = each.attribute()
            && (attribute.write_only || (attribute.presence.is_computed() && config.is_null()))
        {
            return true;
        }
        match (each.nested(), config, value) {
            (Some((Nesting::Single, fields)), Value::Object(_), Value::Object(_)) => {
                comes_from(fields, config, value)
            }
            (Some((Nesting::List | Nesting::Set, fields)), _, _) => {
                let (config, value) = (elements(config), elements(value));
                config.len() == value.len()
                    && config
                        .iter()
                        .zip(value)
                        .all(|(config, value)| comes_from(fields, config, value))
            }
            (Some((Nesting::Map, fields)), Value::Map(config), Value::Map(value)) => {
                config.keys().eq(value.keys())
                    && config
                        .values()
                        .zip(value.values())
                        .all(|(config, value)| comes_from(fields, config, value))
            }
            _ => config == value,
        }
    })
}
