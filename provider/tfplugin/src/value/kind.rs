//! The types of values, and their JSON text (`"string"`, `["list","number"]`, `["object",{"a":"bool"}]`).

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value as Json, json};

/// How deep a type may nest. Terraform has no such limit; deeper than this is an attack or a mistake.
const DEPTH_MAX: usize = 64;

/// What a value may be. `Dynamic` is "anything, the value carries its own type".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A number of any size and precision.
    Number,
    /// Unicode text.
    String,
    /// Ordered elements of one type.
    List(Box<Type>),
    /// Elements of one type without order or duplicates.
    Set(Box<Type>),
    /// Elements of one type by name.
    Map(Box<Type>),
    /// Named attributes, each with its type.
    Object(BTreeMap<String, Type>),
    /// Positional elements, each with its type.
    Tuple(Vec<Type>),
    /// Anything.
    Dynamic,
}

/// The JSON text is not a type.
#[derive(Debug, thiserror::Error)]
#[error("not a type: {0}")]
pub struct TypeError(String);

impl Type {
    /// A list of `element`.
    pub fn list(element: Type) -> Self {
        Self::List(Box::new(element))
    }

    /// A set of `element`.
    pub fn set(element: Type) -> Self {
        Self::Set(Box::new(element))
    }

    /// A map of `element`.
    pub fn map(element: Type) -> Self {
        Self::Map(Box::new(element))
    }

    /// An object with these attributes.
    pub fn object<N: Into<String>>(attributes: impl IntoIterator<Item = (N, Type)>) -> Self {
        Self::Object(
            attributes
                .into_iter()
                .map(|(name, ty)| (name.into(), ty))
                .collect(),
        )
    }

    /// Reads the JSON text of a type.
    pub fn from_json(text: &[u8]) -> Result<Self, TypeError> {
        let json: Json =
            serde_json::from_slice(text).map_err(|error| TypeError(error.to_string()))?;
        Self::parse(&json, 0)
    }

    /// The JSON text of this type, as schemas carry it.
    pub fn to_json(&self) -> Vec<u8> {
        self.json().to_string().into_bytes()
    }

    /// Whether a `Dynamic` is anywhere inside.
    pub fn has_dynamic(&self) -> bool {
        match self {
            Self::Dynamic => true,
            Self::Bool | Self::Number | Self::String => false,
            Self::List(element) | Self::Set(element) | Self::Map(element) => element.has_dynamic(),
            Self::Object(attributes) => attributes.values().any(Self::has_dynamic),
            Self::Tuple(elements) => elements.iter().any(Self::has_dynamic),
        }
    }

    fn json(&self) -> Json {
        match self {
            Self::Bool => json!("bool"),
            Self::Number => json!("number"),
            Self::String => json!("string"),
            Self::Dynamic => json!("dynamic"),
            Self::List(element) => json!(["list", element.json()]),
            Self::Set(element) => json!(["set", element.json()]),
            Self::Map(element) => json!(["map", element.json()]),
            Self::Tuple(elements) => {
                json!(["tuple", elements.iter().map(Self::json).collect::<Vec<_>>()])
            }
            Self::Object(attributes) => {
                let fields: serde_json::Map<String, Json> = attributes
                    .iter()
                    .map(|(name, ty)| (name.clone(), ty.json()))
                    .collect();
                json!(["object", fields])
            }
        }
    }

    fn parse(json: &Json, depth: usize) -> Result<Self, TypeError> {
        if depth > DEPTH_MAX {
            return Err(TypeError(format!("nested deeper than {DEPTH_MAX}")));
        }
        let refuse = || TypeError(format!("{json}"));
        match json {
            Json::String(name) => match name.as_str() {
                "bool" => Ok(Self::Bool),
                "number" => Ok(Self::Number),
                "string" => Ok(Self::String),
                "dynamic" => Ok(Self::Dynamic),
                _ => Err(refuse()),
            },
            Json::Array(parts) => {
                let (Some(Json::String(kind)), Some(inner)) = (parts.first(), parts.get(1)) else {
                    return Err(refuse());
                };
                Self::parse_compound(kind, inner, depth + 1)?.ok_or_else(refuse)
            }
            _ => Err(refuse()),
        }
    }

    fn parse_compound(kind: &str, inner: &Json, depth: usize) -> Result<Option<Self>, TypeError> {
        Ok(Some(match (kind, inner) {
            ("list", _) => Self::list(Self::parse(inner, depth)?),
            ("set", _) => Self::set(Self::parse(inner, depth)?),
            ("map", _) => Self::map(Self::parse(inner, depth)?),
            ("tuple", Json::Array(elements)) => Self::Tuple(
                elements
                    .iter()
                    .map(|each| Self::parse(each, depth))
                    .collect::<Result<_, _>>()?,
            ),
            // A third part may name optional attributes; a type constraint has them, a value's type does not.
            ("object", Json::Object(attributes)) => Self::Object(
                attributes
                    .iter()
                    .map(|(name, each)| Ok((name.clone(), Self::parse(each, depth)?)))
                    .collect::<Result<_, TypeError>>()?,
            ),
            _ => return Ok(None),
        }))
    }
}

/// Written as in HCL type constraints: `list(string)`, `object({a = bool})`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Number => f.write_str("number"),
            Self::String => f.write_str("string"),
            Self::Dynamic => f.write_str("any"),
            Self::List(element) => write!(f, "list({element})"),
            Self::Set(element) => write!(f, "set({element})"),
            Self::Map(element) => write!(f, "map({element})"),
            Self::Tuple(elements) => {
                f.write_str("tuple([")?;
                for (position, element) in elements.iter().enumerate() {
                    let comma = if position == 0 { "" } else { ", " };
                    write!(f, "{comma}{element}")?;
                }
                f.write_str("])")
            }
            Self::Object(attributes) => {
                f.write_str("object({")?;
                for (position, (name, ty)) in attributes.iter().enumerate() {
                    let comma = if position == 0 { "" } else { ", " };
                    write!(f, "{comma}{name} = {ty}")?;
                }
                f.write_str("})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_survives_its_json_text() {
        let ty = Type::object([
            ("names", Type::list(Type::String)),
            ("pair", Type::Tuple(vec![Type::Bool, Type::Dynamic])),
            ("sizes", Type::map(Type::set(Type::Number))),
        ]);
        assert_eq!(Type::from_json(&ty.to_json()).expect("own text"), ty);
        assert_eq!(
            ty.to_string(),
            "object({names = list(string), pair = tuple([bool, any]), sizes = map(set(number))})"
        );
    }

    #[test]
    fn text_that_is_no_type_is_refused() {
        for text in [
            &b"\"text\""[..],
            b"[]",
            b"[\"list\"]",
            b"{}",
            b"[\"object\",[]]",
            b"nonsense",
        ] {
            assert!(
                Type::from_json(text).is_err(),
                "{}",
                String::from_utf8_lossy(text)
            );
        }
        let deep = format!("{}\"bool\"{}", "[\"list\",".repeat(100), "]".repeat(100));
        assert!(Type::from_json(deep.as_bytes()).is_err());
    }
}
