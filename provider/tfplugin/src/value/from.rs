//! Values from plain Rust.

use std::collections::BTreeMap;

use super::{Number, Value};

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}
impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::String(value.clone())
    }
}
impl From<Number> for Value {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}
macro_rules! from_number {
    ($($number:ty),*) => {$(
        impl From<$number> for Value {
            fn from(value: $number) -> Self {
                Self::Number(Number::from(value))
            }
        }
    )*};
}
from_number!(i8, i16, i32, i64, u8, u16, u32, u64, usize, f64);

/// `None` is null.
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
/// A list; [`Value::conform`] makes a set of it where the schema has one.
impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(elements: Vec<T>) -> Self {
        Self::list(elements)
    }
}
/// A map; [`Value::conform`] makes an object of it where the schema has one.
impl<T: Into<Value>> From<BTreeMap<String, T>> for Value {
    fn from(elements: BTreeMap<String, T>) -> Self {
        Self::map(elements)
    }
}
