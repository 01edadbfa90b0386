//! Values as Terraform has them: known, null, or not known yet.
//!
//! A [`Value`] says what it is; a [`Type`] says what a place in a schema accepts. Decoding goes by type, so a
//! decoded value always fits its schema. Values that a provider makes are fitted by [`Value::conform`].

mod fit;
mod from;
mod json;
mod kind;
mod msgpack;
mod number;

use std::collections::BTreeMap;

pub use fit::Misfit;
pub use json::{Fit, JsonError};
pub use kind::{Type, TypeError};
pub use msgpack::CodecError;
pub use number::{Number, NumberError};

use crate::path::{Path, Step};

/// A value of any kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Not set. Nulls of all types are equal.
    #[default]
    Null,
    /// Set, but known only after apply. Unknowns with equal refinements are equal.
    Unknown(Unknown),
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    String(String),
    /// Ordered elements of one type.
    List(Vec<Value>),
    /// Elements without order; make one with [`Value::set`].
    Set(SetElements),
    /// Elements by name.
    Map(BTreeMap<String, Value>),
    /// Named attributes.
    Object(BTreeMap<String, Value>),
    /// Positional elements of different types.
    Tuple(Vec<Value>),
    /// A value where the schema accepts any type, with the type it came with.
    Dynamic(Box<Typed>),
}

/// A value and its type, for places where the schema says "any".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Typed {
    /// What the value is.
    pub ty: Type,
    /// The value itself.
    pub value: Value,
}

/// What is known about a value that is not known. Empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unknown(Option<Box<Refinements>>);

/// Promises about an unknown value; who makes one must keep it at apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refinements {
    /// It will not be null.
    pub not_null: bool,
    /// The string will start so.
    pub prefix: Option<String>,
    /// The number will not be below this; `true` if it may be equal.
    pub min: Option<(Number, bool)>,
    /// The number will not be above this; `true` if it may be equal.
    pub max: Option<(Number, bool)>,
    /// The collection will have at least so many elements.
    pub length_min: Option<u64>,
    /// The collection will have at most so many elements.
    pub length_max: Option<u64>,
}

impl Unknown {
    /// An unknown value with promises.
    pub fn refined(refinements: Refinements) -> Self {
        Self((refinements != Refinements::default()).then(|| Box::new(refinements)))
    }

    /// What is promised, if anything is.
    pub fn refinements(&self) -> Option<&Refinements> {
        self.0.as_deref()
    }
}

/// The elements of a set: sorted, and equal ones only once. Elements that are not wholly known are never
/// equal, as they may become different.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetElements(Vec<Value>);

impl SetElements {
    /// Sorts and removes duplicates.
    pub fn new(elements: impl IntoIterator<Item = Value>) -> Self {
        let mut elements: Vec<Value> = elements.into_iter().collect();
        elements.sort();
        elements.dedup_by(|left, right| left == right && left.is_wholly_known());
        Self(elements)
    }

    /// Each element.
    pub fn iter(&self) -> std::slice::Iter<'_, Value> {
        self.0.iter()
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The elements in the set's own order.
    pub fn as_slice(&self) -> &[Value] {
        &self.0
    }

    /// The elements in the set's own order.
    pub fn into_vec(self) -> Vec<Value> {
        self.0
    }
}

impl<'a> IntoIterator for &'a SetElements {
    type Item = &'a Value;
    type IntoIter = std::slice::Iter<'a, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Value {
    /// A value that is known after apply.
    pub fn unknown() -> Self {
        Self::Unknown(Unknown::default())
    }

    /// A set of these elements.
    pub fn set(elements: impl IntoIterator<Item = Value>) -> Self {
        Self::Set(SetElements::new(elements))
    }

    /// A list of these elements.
    pub fn list<T: Into<Value>>(elements: impl IntoIterator<Item = T>) -> Self {
        Self::List(elements.into_iter().map(Into::into).collect())
    }

    /// A map of these elements.
    pub fn map<K: Into<String>, T: Into<Value>>(
        elements: impl IntoIterator<Item = (K, T)>,
    ) -> Self {
        Self::Map(
            elements
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }

    /// An object of these attributes.
    pub fn object<K: Into<String>, T: Into<Value>>(
        attributes: impl IntoIterator<Item = (K, T)>,
    ) -> Self {
        Self::Object(
            attributes
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether it is unknown itself; its elements may be, see [`Value::is_wholly_known`].
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// Whether nothing inside is unknown.
    pub fn is_wholly_known(&self) -> bool {
        match self {
            Self::Unknown(_) => false,
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => true,
            Self::List(elements) | Self::Tuple(elements) => {
                elements.iter().all(Self::is_wholly_known)
            }
            Self::Set(elements) => elements.iter().all(Self::is_wholly_known),
            Self::Map(elements) | Self::Object(elements) => {
                elements.values().all(Self::is_wholly_known)
            }
            Self::Dynamic(typed) => typed.value.is_wholly_known(),
        }
    }

    /// The text, if it is a known string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The attributes of an object or the elements of a map.
    pub fn fields(&self) -> Option<&BTreeMap<String, Value>> {
        match self {
            Self::Object(fields) | Self::Map(fields) => Some(fields),
            _ => None,
        }
    }

    /// What lies at `path`: `None` where the way leads through null, unknown or an element that is not there.
    pub fn at(&self, path: &Path) -> Option<&Value> {
        let mut here = self;
        for step in path.steps() {
            if let Self::Dynamic(typed) = here {
                here = &typed.value;
            }
            here = match (step, here) {
                (Step::Attribute(name), Self::Object(fields))
                | (Step::Key(name), Self::Map(fields)) => fields.get(name)?,
                (Step::Index(index), Self::List(elements) | Self::Tuple(elements)) => {
                    elements.get(usize::try_from(*index).ok()?)?
                }
                _ => return None,
            };
        }
        Some(here)
    }

    /// The place at `path`, to be changed. Maps get the element if they have none yet.
    pub fn at_mut(&mut self, path: &Path) -> Option<&mut Value> {
        let mut here = self;
        for step in path.steps() {
            here = match (step, here) {
                (Step::Attribute(name), Self::Object(fields)) => fields.get_mut(name)?,
                (Step::Key(name), Self::Map(fields)) => fields.entry(name.clone()).or_default(),
                (Step::Index(index), Self::List(elements) | Self::Tuple(elements)) => {
                    elements.get_mut(usize::try_from(*index).ok()?)?
                }
                _ => return None,
            };
        }
        Some(here)
    }

    /// The same value without promises about what is unknown, for comparisons that must not see them.
    #[must_use]
    pub fn unrefined(&self) -> Value {
        match self {
            Self::Unknown(_) => Self::unknown(),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => self.clone(),
            Self::List(elements) => Self::List(elements.iter().map(Self::unrefined).collect()),
            Self::Tuple(elements) => Self::Tuple(elements.iter().map(Self::unrefined).collect()),
            Self::Set(elements) => Self::set(elements.iter().map(Self::unrefined)),
            Self::Map(fields) => Self::Map(unrefined_fields(fields)),
            Self::Object(fields) => Self::Object(unrefined_fields(fields)),
            Self::Dynamic(typed) => Self::Dynamic(Box::new(Typed {
                ty: typed.ty.clone(),
                value: typed.value.unrefined(),
            })),
        }
    }

    /// The same value with null in place of what is unknown, for states of something half done.
    #[must_use]
    pub fn unknown_to_null(self) -> Value {
        let each = |elements: Vec<Value>| elements.into_iter().map(Self::unknown_to_null);
        let fields = |fields: BTreeMap<String, Value>| -> BTreeMap<String, Value> {
            fields
                .into_iter()
                .map(|(name, value)| (name, value.unknown_to_null()))
                .collect()
        };
        match self {
            Self::Unknown(_) => Self::Null,
            Self::List(elements) => Self::List(each(elements).collect()),
            Self::Tuple(elements) => Self::Tuple(each(elements).collect()),
            Self::Set(elements) => Self::set(each(elements.into_vec())),
            Self::Map(elements) => Self::Map(fields(elements)),
            Self::Object(attributes) => Self::Object(fields(attributes)),
            Self::Dynamic(typed) => {
                let Typed { ty, value } = *typed;
                Self::Dynamic(Box::new(Typed {
                    ty,
                    value: value.unknown_to_null(),
                }))
            }
            known => known,
        }
    }

    /// The type that a value shows by itself. Empty collections have elements of any type.
    pub fn implied_type(&self) -> Type {
        let element = |first: Option<&Value>| first.map_or(Type::Dynamic, Value::implied_type);
        match self {
            Self::Null | Self::Unknown(_) => Type::Dynamic,
            Self::Bool(_) => Type::Bool,
            Self::Number(_) => Type::Number,
            Self::String(_) => Type::String,
            Self::List(elements) => Type::list(element(elements.first())),
            Self::Set(elements) => Type::set(element(elements.iter().next())),
            Self::Map(elements) => Type::map(element(elements.values().next())),
            Self::Tuple(elements) => Type::Tuple(elements.iter().map(Self::implied_type).collect()),
            Self::Object(fields) => Type::Object(
                fields
                    .iter()
                    .map(|(name, value)| (name.clone(), value.implied_type()))
                    .collect(),
            ),
            Self::Dynamic(typed) => typed.ty.clone(),
        }
    }

    pub(crate) fn kind_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Unknown(_) => "an unknown value",
            Self::Bool(_) => "a bool",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Set(_) => "a set",
            Self::Map(_) => "a map",
            Self::Object(_) => "an object",
            Self::Tuple(_) => "a tuple",
            Self::Dynamic(typed) => typed.value.kind_name(),
        }
    }
}

fn unrefined_fields(fields: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    fields
        .iter()
        .map(|(name, value)| (name.clone(), value.unrefined()))
        .collect()
}

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
mod tests;
