//! Fitting what a provider made to its schema.

use std::collections::BTreeMap;

use super::{Type, Typed, Value};
use crate::path::Path;

/// A value does not fit the type that the schema gives its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: expected {expected}, got {got}")]
pub struct Misfit {
    /// Where.
    pub path: Path,
    /// What the schema says.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl Value {
    /// Fits a value that a provider made to a type: lists become sets or tuples where the type says so, maps
    /// become objects and objects maps, attributes that are left out become null. What cannot be fitted is a
    /// [`Misfit`]; text is never made of numbers or the reverse.
    pub fn conform(self, ty: &Type) -> Result<Value, Misfit> {
        self.fit(ty, &Path::root())
    }

    fn fit(self, ty: &Type, path: &Path) -> Result<Value, Misfit> {
        let each = |elements: Vec<Value>, ty: &Type| -> Result<Vec<Value>, Misfit> {
            elements
                .into_iter()
                .enumerate()
                .map(|(at, value)| value.fit(ty, &path.index(at)))
                .collect()
        };
        match (self, ty) {
            (value @ (Value::Null | Value::Unknown(_)), _)
            | (value @ Value::Bool(_), Type::Bool)
            | (value @ Value::Number(_), Type::Number)
            | (value @ Value::String(_), Type::String) => Ok(value),
            (Value::Dynamic(typed), Type::Dynamic) => {
                let Typed { ty, value } = *typed;
                Ok(Value::Dynamic(Box::new(Typed {
                    value: value.fit(&ty, path)?,
                    ty,
                })))
            }
            (Value::Dynamic(typed), ty) => typed.value.fit(ty, path),
            (value, Type::Dynamic) => {
                let ty = value.implied_type();
                Ok(Value::Dynamic(Box::new(Typed {
                    value: value.fit(&ty, path)?,
                    ty,
                })))
            }
            (Value::List(elements) | Value::Tuple(elements), Type::List(ty)) => {
                Ok(Value::List(each(elements, ty)?))
            }
            (Value::Set(elements), Type::List(ty)) => {
                Ok(Value::List(each(elements.into_vec(), ty)?))
            }
            (Value::List(elements) | Value::Tuple(elements), Type::Set(ty)) => {
                Ok(Value::set(each(elements, ty)?))
            }
            (Value::Set(elements), Type::Set(ty)) => Ok(Value::set(each(elements.into_vec(), ty)?)),
            (Value::List(elements) | Value::Tuple(elements), Type::Tuple(types))
                if elements.len() == types.len() =>
            {
                let fitted = elements.into_iter().zip(types).enumerate();
                Ok(Value::Tuple(
                    fitted
                        .map(|(at, (value, ty))| value.fit(ty, &path.index(at)))
                        .collect::<Result<_, _>>()?,
                ))
            }
            (Value::Map(fields) | Value::Object(fields), Type::Map(ty)) => Ok(Value::Map(
                fields
                    .into_iter()
                    .map(|(key, value)| Ok((key.clone(), value.fit(ty, &path.key(key))?)))
                    .collect::<Result<_, Misfit>>()?,
            )),
            (Value::Object(fields) | Value::Map(fields), Type::Object(types)) => {
                fit_object(fields, types, path)
            }
            (value, ty) => Err(Misfit {
                path: path.clone(),
                expected: ty.to_string(),
                got: value.kind_name().to_owned(),
            }),
        }
    }
}

fn fit_object(
    mut fields: BTreeMap<String, Value>,
    types: &BTreeMap<String, Type>,
    path: &Path,
) -> Result<Value, Misfit> {
    let mut fitted = BTreeMap::new();
    for (name, ty) in types {
        let value = fields.remove(name).unwrap_or_default();
        fitted.insert(name.clone(), value.fit(ty, &path.attribute(name))?);
    }
    match fields.into_iter().next() {
        None => Ok(Value::Object(fitted)),
        Some((name, value)) => Err(Misfit {
            path: path.attribute(name),
            expected: "no such attribute in the schema".to_owned(),
            got: value.kind_name().to_owned(),
        }),
    }
}
