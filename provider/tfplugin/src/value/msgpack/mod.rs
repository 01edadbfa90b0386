//! Values as msgpack, the form in which they cross the wire.
//!
//! The rules are those of Terraform's object wire format: an object is a map with *every* attribute; a number
//! is an integer, a float or decimal text; null is nil; an unknown value is an extension, of type 12 if it
//! comes with refinements. Input is hostile until it is decoded: nothing is allocated by a length that the
//! bytes at hand could not fill, and nesting is limited.

mod read;
mod write;

use super::{Type, Value};

/// How deep values may nest. Types nest at most 64 deep, and "any" may add a level of its own.
const DEPTH_MAX: usize = 100;
/// The extension type of an unknown value with refinements; its payload is a map.
const EXT_REFINED: i8 = 12;

/// The bytes are not a value of the type, or the value does not fit its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end inside a value.
    #[error("the value ends too early")]
    Truncated,
    /// Bytes follow the value.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
    /// Something else than the type says.
    #[error("expected {expected}, got {got}")]
    Unexpected {
        /// What the type says.
        expected: String,
        /// What came.
        got: String,
    },
    /// An object has an attribute that its type does not know.
    #[error("unknown attribute {0:?}")]
    Surplus(String),
    /// An object lacks an attribute of its type.
    #[error("attribute {0:?} is missing")]
    Missing(String),
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    Text,
    /// A number that is none.
    #[error("not a number")]
    Number,
    /// Nested too deep.
    #[error("nested deeper than {DEPTH_MAX}")]
    Depth,
    /// The type beside a value of any type is none.
    #[error("a value of any type comes without a type")]
    Type,
}

impl Value {
    /// Reads one value of `ty` from all of `bytes`.
    pub fn from_msgpack(bytes: &[u8], ty: &Type) -> Result<Value, CodecError> {
        read::read_all(bytes, ty)
    }

    /// Writes this value, which must fit `ty` (see [`Value::conform`]).
    pub fn to_msgpack(&self, ty: &Type) -> Result<Vec<u8>, CodecError> {
        let mut out = Vec::new();
        write::write(self, ty, &mut out)?;
        Ok(out)
    }
}
