//! Values from JSON: the form that state files have.

use serde_json::Value as Json;

use super::{Number, Type, Typed, Value};
use crate::path::Path;

/// How JSON and type met: what the state lacked and what the schema does not know.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// Attributes of the schema that the JSON lacks; they became null.
    pub missing: Vec<Path>,
    /// Attributes of the JSON that the schema lacks; they were dropped.
    pub surplus: Vec<Path>,
}

/// The JSON does not fit the type.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON at all.
    #[error("the stored state is not JSON")]
    Syntax(#[source] serde_json::Error),
    /// JSON of another shape.
    #[error("{path}: expected {expected}")]
    Shape {
        /// Where.
        path: Path,
        /// What the type says.
        expected: String,
    },
}

impl Value {
    /// Reads JSON text as a value of `ty`.
    pub fn from_json(text: &[u8], ty: &Type) -> Result<(Value, Fit), JsonError> {
        let json: Json = serde_json::from_slice(text).map_err(JsonError::Syntax)?;
        Self::from_json_value(&json, ty)
    }

    /// Reads a parsed JSON document as a value of `ty`.
    pub fn from_json_value(json: &Json, ty: &Type) -> Result<(Value, Fit), JsonError> {
        let mut fit = Fit::default();
        let value = read(json, ty, &Path::root(), &mut fit)?;
        Ok((value, fit))
    }

    /// This value as JSON. Unknown has no JSON form and becomes null, as does an infinite number.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null | Self::Unknown(_) => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Number(number) => number_to_json(number),
            Self::String(text) => Json::String(text.clone()),
            Self::List(elements) | Self::Tuple(elements) => {
                elements.iter().map(Self::to_json).collect()
            }
            Self::Set(elements) => elements.iter().map(Self::to_json).collect(),
            Self::Map(fields) | Self::Object(fields) => Json::Object(
                fields
                    .iter()
                    .map(|(name, value)| (name.clone(), value.to_json()))
                    .collect(),
            ),
            Self::Dynamic(typed) => {
                let ty: Json = serde_json::from_slice(&typed.ty.to_json()).unwrap_or_default();
                serde_json::json!({"value": typed.value.to_json(), "type": ty})
            }
        }
    }
}

fn number_to_json(number: &Number) -> Json {
    if let Some(whole) = number.as_i64() {
        return Json::from(whole);
    }
    if let Some(whole) = number.as_u64() {
        return Json::from(whole);
    }
    serde_json::Number::from_f64(number.as_f64()).map_or(Json::Null, Json::Number)
}

fn read(json: &Json, ty: &Type, path: &Path, fit: &mut Fit) -> Result<Value, JsonError> {
    let refuse = || JsonError::Shape {
        path: path.clone(),
        expected: ty.to_string(),
    };
    match (json, ty) {
        (Json::Null, _) => Ok(Value::Null),
        (_, Type::Dynamic) => read_dynamic(json, path, fit),
        (Json::Bool(value), Type::Bool) => Ok(Value::Bool(*value)),
        // The text of a JSON number is decimal; its shortest form is what was written.
        (Json::Number(number), Type::Number) => Number::parse(&number.to_string())
            .map(Value::Number)
            .map_err(|_| refuse()),
        (Json::String(text), Type::Number) => {
            Number::parse(text).map(Value::Number).map_err(|_| refuse())
        }
        (Json::String(text), Type::String) => Ok(Value::String(text.clone())),
        (Json::Array(elements), Type::List(element)) => {
            Ok(Value::List(read_each(elements, element, path, fit)?))
        }
        (Json::Array(elements), Type::Set(element)) => {
            Ok(Value::set(read_each(elements, element, path, fit)?))
        }
        (Json::Array(elements), Type::Tuple(types)) if elements.len() == types.len() => {
            let pairs = elements.iter().zip(types).enumerate();
            let read = pairs.map(|(at, (json, ty))| read(json, ty, &path.index(at), fit));
            Ok(Value::Tuple(read.collect::<Result<_, _>>()?))
        }
        (Json::Object(fields), Type::Map(element)) => {
            let read = fields
                .iter()
                .map(|(key, json)| Ok((key.clone(), read(json, element, &path.key(key), fit)?)));
            Ok(Value::Map(read.collect::<Result<_, JsonError>>()?))
        }
        (Json::Object(fields), Type::Object(types)) => {
            fit.surplus.extend(
                fields
                    .keys()
                    .filter(|name| !types.contains_key(*name))
                    .map(|name| path.attribute(name)),
            );
            let mut read_fields = std::collections::BTreeMap::new();
            for (name, ty) in types {
                let at = path.attribute(name);
                let value = if let Some(json) = fields.get(name) {
                    read(json, ty, &at, fit)?
                } else {
                    fit.missing.push(at);
                    Value::Null
                };
                read_fields.insert(name.clone(), value);
            }
            Ok(Value::Object(read_fields))
        }
        _ => Err(refuse()),
    }
}

fn read_each(
    elements: &[Json],
    ty: &Type,
    path: &Path,
    fit: &mut Fit,
) -> Result<Vec<Value>, JsonError> {
    elements
        .iter()
        .enumerate()
        .map(|(at, json)| read(json, ty, &path.index(at), fit))
        .collect()
}

/// A value of any type is stored as `{"value": …, "type": …}`.
fn read_dynamic(json: &Json, path: &Path, fit: &mut Fit) -> Result<Value, JsonError> {
    let refuse = || JsonError::Shape {
        path: path.clone(),
        expected: "a value with its type".to_owned(),
    };
    let (Some(value), Some(ty)) = (json.get("value"), json.get("type")) else {
        return Err(refuse());
    };
    let ty = Type::from_json(ty.to_string().as_bytes()).map_err(|_| refuse())?;
    // "Any" inside "any" would let a short text recurse without end.
    if ty == Type::Dynamic {
        return if value.is_null() {
            Ok(Value::Null)
        } else {
            Err(refuse())
        };
    }
    let value = read(value, &ty, path, fit)?;
    Ok(Value::Dynamic(Box::new(Typed { ty, value })))
}
