//! Typed access that keeps null, unknown and known apart.
//!
//! ```
//! use tfplugin::{Object, Tri};
//! # fn main() -> Result<(), tfplugin::Diagnostic> {
//! let config = Object::new().with("name", "orders").with("size", 3);
//! let name: String = config.get("name")?; // null or unknown is an error that points at `name`
//! let size: Tri<u32> = config.get("size")?; // the caller decides
//! assert_eq!((name.as_str(), size), ("orders", Tri::Known(3)));
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;

use crate::diagnostics::Diagnostic;
use crate::path::Path;
use crate::value::{Misfit, Number, Type, Value};

/// A value that may be missing in two ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tri<T> {
    /// The user set nothing.
    #[default]
    Null,
    /// The user set something that is known after apply.
    Unknown,
    /// The value.
    Known(T),
}

impl<T> Tri<T> {
    /// The known value, if there is one.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Null | Self::Unknown => None,
        }
    }

    /// A reference to what is inside.
    pub fn as_ref(&self) -> Tri<&T> {
        match self {
            Self::Known(value) => Tri::Known(value),
            Self::Null => Tri::Null,
            Self::Unknown => Tri::Unknown,
        }
    }

    /// Changes a known value; null and unknown stay what they are.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Tri<U> {
        match self {
            Self::Known(value) => Tri::Known(change(value)),
            Self::Null => Tri::Null,
            Self::Unknown => Tri::Unknown,
        }
    }

    /// `default` in place of null. Unknown stays unknown: it is never silently defaulted.
    #[must_use]
    pub fn or(self, default: T) -> Self {
        match self {
            Self::Null => Self::Known(default),
            set => set,
        }
    }

    /// Whether nothing is set.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether it is known after apply only.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

impl<T: Into<Value>> From<Tri<T>> for Value {
    fn from(value: Tri<T>) -> Self {
        match value {
            Tri::Null => Value::Null,
            Tri::Unknown => Value::unknown(),
            Tri::Known(value) => value.into(),
        }
    }
}

/// What can be read from a [`Value`]. Errors point at the value.
pub trait FromValue: Sized {
    /// Reads `value`, which lies at `path`.
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic>;
}

fn unfit(value: &Value, path: &Path, expected: &str) -> Diagnostic {
    match value {
        Value::Null => Diagnostic::error(
            "Missing value",
            format!("{path} is not set, but {expected} is needed here."),
        ),
        Value::Unknown(_) => Diagnostic::error(
            "Value not known yet",
            format!("{path} is known only after apply, but {expected} is needed here already."),
        ),
        other => Diagnostic::error(
            "Unexpected value",
            format!(
                "{path} is {}, but {expected} is needed here.",
                other.kind_name()
            ),
        ),
    }
    .at(path)
}

/// Looks through the wrapper of a value of any type.
fn bare(value: &Value) -> &Value {
    match value {
        Value::Dynamic(typed) => &typed.value,
        other => other,
    }
}

impl<T: FromValue> FromValue for Tri<T> {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        match bare(value) {
            Value::Null => Ok(Self::Null),
            Value::Unknown(_) => Ok(Self::Unknown),
            known => T::from_value(known, path).map(Self::Known),
        }
    }
}

/// Null is `None`; unknown is an error.
impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        match bare(value) {
            Value::Null => Ok(None),
            known => T::from_value(known, path).map(Some),
        }
    }
}

impl FromValue for Value {
    fn from_value(value: &Value, _: &Path) -> Result<Self, Diagnostic> {
        Ok(value.clone())
    }
}

impl FromValue for bool {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        match bare(value) {
            Value::Bool(value) => Ok(*value),
            other => Err(unfit(other, path, "true or false")),
        }
    }
}

impl FromValue for String {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        match bare(value) {
            Value::String(text) => Ok(text.clone()),
            other => Err(unfit(other, path, "a string")),
        }
    }
}

impl FromValue for Number {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        match bare(value) {
            Value::Number(number) => Ok(number.clone()),
            other => Err(unfit(other, path, "a number")),
        }
    }
}

impl FromValue for f64 {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        Number::from_value(value, path).map(|number| number.as_f64())
    }
}

macro_rules! integer_from_value {
    ($($int:ty => $read:ident),*) => {$(
        impl FromValue for $int {
            fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
                let number = Number::from_value(value, path)?;
                number.$read().and_then(|whole| <$int>::try_from(whole).ok()).ok_or_else(|| {
                    let detail = format!(
                        "{path} is {number}, but a whole number from {} to {} is needed here.",
                        <$int>::MIN,
                        <$int>::MAX
                    );
                    Diagnostic::error("Number out of range", detail).at(path)
                })
            }
        }
    )*};
}
integer_from_value!(i32 => as_i64, i64 => as_i64, u16 => as_u64, u32 => as_u64, u64 => as_u64);

/// Lists, sets and tuples.
impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        match bare(value) {
            Value::List(elements) | Value::Tuple(elements) => elements
                .iter()
                .enumerate()
                .map(|(at, each)| T::from_value(each, &path.index(at)))
                .collect(),
            // The elements of a set have no address: errors point at the set.
            Value::Set(elements) => elements
                .iter()
                .map(|each| T::from_value(each, path))
                .collect(),
            other => Err(unfit(other, path, "a list")),
        }
    }
}

impl<T: FromValue> FromValue for BTreeMap<String, T> {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        match bare(value) {
            Value::Map(fields) => fields
                .iter()
                .map(|(key, each)| Ok((key.clone(), T::from_value(each, &path.key(key))?)))
                .collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, each)| Ok((key.clone(), T::from_value(each, &path.attribute(key))?)))
                .collect(),
            other => Err(unfit(other, path, "a map")),
        }
    }
}

/// The attributes of a resource, a data source, or a nested object, and where they lie.
#[derive(Clone, Debug, Default)]
pub struct Object {
    fields: BTreeMap<String, Value>,
    path: Path,
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

impl Object {
    /// An object without attributes; what the schema has and nobody sets becomes null.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads an attribute. Errors are diagnostics that point at it, ready for `?`.
    pub fn get<T: FromValue>(&self, name: &str) -> Result<T, Diagnostic> {
        T::from_value(self.value(name), &self.path.attribute(name))
    }

    /// The attribute as it is; null if there is none.
    pub fn value(&self, name: &str) -> &Value {
        self.fields.get(name).unwrap_or(&Value::Null)
    }

    /// What lies at a longer path, counted from this object.
    pub fn at(&self, path: &Path) -> Option<&Value> {
        let mut steps = path.steps().iter();
        let crate::path::Step::Attribute(name) = steps.next()? else {
            return None;
        };
        let rest = steps.fold(Path::root(), |rest, step| rest.then(step.clone()));
        self.fields.get(name)?.at(&rest)
    }

    /// Sets an attribute.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.fields.insert(name.into(), value.into());
    }

    /// This object with an attribute set.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Marks an attribute as known after apply.
    pub fn set_unknown(&mut self, name: impl Into<String>) {
        self.set(name, Value::unknown());
    }

    /// Where an attribute lies, for diagnostics.
    pub fn path(&self, name: &str) -> Path {
        self.path.attribute(name)
    }

    /// Each attribute.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.fields.iter()
    }

    pub(crate) fn into_fields(self) -> BTreeMap<String, Value> {
        self.fields
    }

    /// The object as a value that fits `ty`.
    pub(crate) fn into_value(self, ty: &Type) -> Result<Value, Misfit> {
        Value::Object(self.fields).conform(ty)
    }

    /// The root object of a decoded value; `None` if that is null or unknown.
    pub(crate) fn from_root(value: &Value) -> Option<Self> {
        value.fields().map(|fields| Self {
            fields: fields.clone(),
            path: Path::root(),
        })
    }
}

impl FromValue for Object {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        match bare(value) {
            Value::Object(fields) => Ok(Self {
                fields: fields.clone(),
                path: path.clone(),
            }),
            other => Err(unfit(other, path, "an object")),
        }
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object.into_fields())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Object {
        let plugins = Value::List(vec![Value::from("a"), Value::unknown()]);
        let capacity = Value::object([("workers", 2)]);
        Object::new()
            .with("name", "orders")
            .with("description", Value::Null)
            .with("token", Value::unknown())
            .with("plugins", plugins)
            .with("capacity", capacity)
    }

    #[test]
    fn null_unknown_and_known_stay_apart() {
        let config = config();
        assert_eq!(
            config.get::<Tri<String>>("name"),
            Ok(Tri::Known("orders".into()))
        );
        assert_eq!(config.get::<Tri<String>>("description"), Ok(Tri::Null));
        assert_eq!(config.get::<Tri<String>>("token"), Ok(Tri::Unknown));
        assert_eq!(config.get::<Option<String>>("description"), Ok(None));
        assert_eq!(
            config.get::<Vec<Tri<String>>>("plugins"),
            Ok(vec![Tri::Known("a".into()), Tri::Unknown])
        );
        assert_eq!(
            Tri::<u8>::Unknown.or(3),
            Tri::Unknown,
            "a default never hides an unknown"
        );
    }

    #[test]
    fn errors_point_into_nested_values() {
        let config = config();
        let plugins = config
            .get::<Vec<String>>("plugins")
            .expect_err("one is unknown");
        assert_eq!(plugins.path.to_string(), "plugins[1]");
        let capacity: Object = config.get("capacity").expect("an object");
        let workers = capacity.get::<String>("workers").expect_err("a number");
        assert_eq!(workers.path.to_string(), "capacity.workers");
        let range = Object::new()
            .with("port", 70_000)
            .get::<u16>("port")
            .expect_err("too big");
        assert!(range.detail.contains("from 0 to 65535"), "{}", range.detail);
    }
}
