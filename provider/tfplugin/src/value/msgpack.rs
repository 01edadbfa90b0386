//! Values as msgpack, the form in which they cross the wire.
//!
//! The rules are those of Terraform's object wire format: an object is a map with *every* attribute; a number
//! is an integer, a float or decimal text; null is nil; an unknown value is an extension, of type 12 if it
//! comes with refinements. Input is hostile until it is decoded: nothing is allocated by a length that the
//! bytes at hand could not fill, and nesting is limited.

use std::collections::BTreeMap;

use rmp::{Marker, encode};

use super::number::Wire;
use super::{Number, Refinements, Type, Typed, Unknown, Value};

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
        let mut reader = Reader { rest: bytes };
        let value = read(&mut reader, ty, 0)?;
        match reader.rest.len() {
            0 => Ok(value),
            left => Err(CodecError::Trailing(left)),
        }
    }

    /// Writes this value, which must fit `ty` (see [`Value::conform`]).
    pub fn to_msgpack(&self, ty: &Type) -> Result<Vec<u8>, CodecError> {
        let mut out = Vec::new();
        write(self, ty, &mut out)?;
        Ok(out)
    }
}

/// One item as the bytes say it, before a type gives it meaning.
enum Item<'a> {
    Nil,
    Bool(bool),
    Number(Number),
    Text(&'a str),
    Bytes(&'a [u8]),
    Array(usize),
    Map(usize),
    Ext(i8, &'a [u8]),
}

impl Item<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "a bool",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Ext(..) => "an extension",
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(CodecError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn be<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        self.take(N)?.try_into().map_err(|_| CodecError::Truncated)
    }

    fn len8(&mut self) -> Result<usize, CodecError> {
        Ok(usize::from(self.be::<1>()?[0]))
    }

    fn len16(&mut self) -> Result<usize, CodecError> {
        Ok(usize::from(u16::from_be_bytes(self.be()?)))
    }

    fn len32(&mut self) -> Result<usize, CodecError> {
        usize::try_from(u32::from_be_bytes(self.be()?)).map_err(|_| CodecError::Truncated)
    }

    fn text(&mut self, length: usize) -> Result<Item<'a>, CodecError> {
        std::str::from_utf8(self.take(length)?)
            .map(Item::Text)
            .map_err(|_| CodecError::Text)
    }

    fn ext(&mut self, length: usize) -> Result<Item<'a>, CodecError> {
        let [kind] = self.be::<1>()?;
        Ok(Item::Ext(i8::from_be_bytes([kind]), self.take(length)?))
    }

    /// A count of elements, each of which takes at least `bytes_each` of what is left.
    fn counted(&self, count: usize, bytes_each: usize) -> Result<usize, CodecError> {
        if count.saturating_mul(bytes_each) > self.rest.len() {
            return Err(CodecError::Truncated);
        }
        Ok(count)
    }

    fn array(&self, count: usize) -> Result<Item<'a>, CodecError> {
        self.counted(count, 1).map(Item::Array)
    }

    fn map(&self, count: usize) -> Result<Item<'a>, CodecError> {
        self.counted(count, 2).map(Item::Map)
    }

    fn float(value: f64) -> Result<Item<'a>, CodecError> {
        Number::from_binary(value)
            .map(Item::Number)
            .ok_or(CodecError::Number)
    }

    fn item(&mut self) -> Result<Item<'a>, CodecError> {
        let [first] = self.be::<1>()?;
        match Marker::from_u8(first) {
            Marker::Null => Ok(Item::Nil),
            Marker::True => Ok(Item::Bool(true)),
            Marker::False => Ok(Item::Bool(false)),
            Marker::FixStr(length) => self.text(usize::from(length)),
            Marker::Str8 => self.len8().and_then(|length| self.text(length)),
            Marker::Str16 => self.len16().and_then(|length| self.text(length)),
            Marker::Str32 => self.len32().and_then(|length| self.text(length)),
            Marker::Bin8 => self
                .len8()
                .and_then(|length| self.take(length))
                .map(Item::Bytes),
            Marker::Bin16 => self
                .len16()
                .and_then(|length| self.take(length))
                .map(Item::Bytes),
            Marker::Bin32 => self
                .len32()
                .and_then(|length| self.take(length))
                .map(Item::Bytes),
            Marker::FixArray(count) => self.array(usize::from(count)),
            Marker::Array16 => self.len16().and_then(|count| self.array(count)),
            Marker::Array32 => self.len32().and_then(|count| self.array(count)),
            Marker::FixMap(count) => self.map(usize::from(count)),
            Marker::Map16 => self.len16().and_then(|count| self.map(count)),
            Marker::Map32 => self.len32().and_then(|count| self.map(count)),
            Marker::FixExt1 => self.ext(1),
            Marker::FixExt2 => self.ext(2),
            Marker::FixExt4 => self.ext(4),
            Marker::FixExt8 => self.ext(8),
            Marker::FixExt16 => self.ext(16),
            Marker::Ext8 => self.len8().and_then(|length| self.ext(length)),
            Marker::Ext16 => self.len16().and_then(|length| self.ext(length)),
            Marker::Ext32 => self.len32().and_then(|length| self.ext(length)),
            Marker::Reserved => Err(CodecError::Unexpected {
                expected: "a value".into(),
                got: "byte 0xc1".into(),
            }),
            number => self
                .number(number)
                .map(|number| number.unwrap_or(Item::Nil)),
        }
    }

    fn number(&mut self, marker: Marker) -> Result<Option<Item<'a>>, CodecError> {
        let number = match marker {
            Marker::FixPos(value) => Number::from(value),
            Marker::FixNeg(value) => Number::from(value),
            Marker::U8 => Number::from(u8::from_be_bytes(self.be()?)),
            Marker::U16 => Number::from(u16::from_be_bytes(self.be()?)),
            Marker::U32 => Number::from(u32::from_be_bytes(self.be()?)),
            Marker::U64 => Number::from(u64::from_be_bytes(self.be()?)),
            Marker::I8 => Number::from(i8::from_be_bytes(self.be()?)),
            Marker::I16 => Number::from(i16::from_be_bytes(self.be()?)),
            Marker::I32 => Number::from(i32::from_be_bytes(self.be()?)),
            Marker::I64 => Number::from(i64::from_be_bytes(self.be()?)),
            Marker::F32 => return Self::float(f64::from(f32::from_be_bytes(self.be()?))).map(Some),
            Marker::F64 => return Self::float(f64::from_be_bytes(self.be()?)).map(Some),
            _ => return Ok(None),
        };
        Ok(Some(Item::Number(number)))
    }

    fn key(&mut self) -> Result<String, CodecError> {
        match self.item()? {
            Item::Text(key) => Ok(key.to_owned()),
            other => Err(CodecError::Unexpected {
                expected: "a key".into(),
                got: other.name().into(),
            }),
        }
    }
}

fn read(reader: &mut Reader<'_>, ty: &Type, depth: usize) -> Result<Value, CodecError> {
    if depth > DEPTH_MAX {
        return Err(CodecError::Depth);
    }
    match (reader.item()?, ty) {
        (Item::Nil, _) => Ok(Value::Null),
        (Item::Ext(kind, payload), _) => Ok(Value::Unknown(read_unknown(kind, payload))),
        (Item::Array(2), Type::Dynamic) => read_dynamic(reader, depth + 1),
        (Item::Bool(value), Type::Bool) => Ok(Value::Bool(value)),
        (Item::Number(number), Type::Number) => Ok(Value::Number(number)),
        (Item::Text(text), Type::Number) => Number::parse(text)
            .map(Value::Number)
            .map_err(|_| CodecError::Number),
        (Item::Text(text), Type::String) => Ok(Value::String(text.to_owned())),
        (Item::Array(count), Type::List(element)) => {
            Ok(Value::List(read_each(reader, count, element, depth)?))
        }
        (Item::Array(count), Type::Set(element)) => {
            Ok(Value::set(read_each(reader, count, element, depth)?))
        }
        (Item::Array(count), Type::Tuple(types)) if count == types.len() => {
            let read = types.iter().map(|ty| read(reader, ty, depth + 1));
            Ok(Value::Tuple(read.collect::<Result<_, _>>()?))
        }
        (Item::Map(count), Type::Map(element)) => {
            let mut fields = BTreeMap::new();
            for _ in 0..count {
                fields.insert(reader.key()?, read(reader, element, depth + 1)?);
            }
            Ok(Value::Map(fields))
        }
        (Item::Map(count), Type::Object(types)) => read_object(reader, count, types, depth),
        (other, ty) => Err(CodecError::Unexpected {
            expected: ty.to_string(),
            got: other.name().to_owned(),
        }),
    }
}

fn read_each(
    reader: &mut Reader<'_>,
    count: usize,
    ty: &Type,
    depth: usize,
) -> Result<Vec<Value>, CodecError> {
    // Growing step by step: a claim of many elements costs nothing until they are there.
    let mut elements = Vec::new();
    for _ in 0..count {
        elements.push(read(reader, ty, depth + 1)?);
    }
    Ok(elements)
}

fn read_object(
    reader: &mut Reader<'_>,
    count: usize,
    types: &BTreeMap<String, Type>,
    depth: usize,
) -> Result<Value, CodecError> {
    let mut fields = BTreeMap::new();
    for _ in 0..count {
        let name = reader.key()?;
        let Some(ty) = types.get(&name) else {
            return Err(CodecError::Surplus(name));
        };
        fields.insert(name, read(reader, ty, depth + 1)?);
    }
    match types.keys().find(|name| !fields.contains_key(*name)) {
        Some(name) => Err(CodecError::Missing(name.clone())),
        None => Ok(Value::Object(fields)),
    }
}

fn read_dynamic(reader: &mut Reader<'_>, depth: usize) -> Result<Value, CodecError> {
    let ty = match reader.item()? {
        Item::Bytes(text) => Type::from_json(text),
        Item::Text(text) => Type::from_json(text.as_bytes()),
        _ => return Err(CodecError::Type),
    };
    let ty = ty.map_err(|_| CodecError::Type)?;
    let value = read(reader, &ty, depth)?;
    // A null or unknown that is "any" even inside carries no more than a bare one.
    if ty == Type::Dynamic {
        return Ok(value);
    }
    Ok(Value::Dynamic(Box::new(Typed { ty, value })))
}

/// Any extension is an unknown value, whatever its payload: a newer Terraform may say more than we know.
fn read_unknown(kind: i8, payload: &[u8]) -> Unknown {
    if kind != EXT_REFINED {
        return Unknown::default();
    }
    read_refinements(payload)
        .map(Unknown::refined)
        .unwrap_or_default()
}

fn read_refinements(payload: &[u8]) -> Result<Refinements, CodecError> {
    let mut reader = Reader { rest: payload };
    let mut refinements = Refinements::default();
    let Item::Map(count) = reader.item()? else {
        return Err(CodecError::Type);
    };
    for _ in 0..count {
        let Item::Number(key) = reader.item()? else {
            return Err(CodecError::Type);
        };
        match key.as_i64() {
            Some(1) => refinements.not_null = matches!(reader.item()?, Item::Bool(false)),
            Some(2) => {
                if let Item::Text(prefix) = reader.item()? {
                    refinements.prefix = Some(prefix.to_owned());
                }
            }
            Some(3) => refinements.min = Some(read_bound(&mut reader)?),
            Some(4) => refinements.max = Some(read_bound(&mut reader)?),
            Some(5) => refinements.length_min = read_length(&mut reader)?,
            Some(6) => refinements.length_max = read_length(&mut reader)?,
            // What follows an unknown key cannot be told without reading it; none of what is known is lost.
            _ => break,
        }
    }
    Ok(refinements)
}

fn read_bound(reader: &mut Reader<'_>) -> Result<(Number, bool), CodecError> {
    let Item::Array(2) = reader.item()? else {
        return Err(CodecError::Type);
    };
    let number = match reader.item()? {
        Item::Number(number) => number,
        Item::Text(text) => Number::parse(text).map_err(|_| CodecError::Number)?,
        _ => return Err(CodecError::Number),
    };
    Ok((number, matches!(reader.item()?, Item::Bool(true))))
}

fn read_length(reader: &mut Reader<'_>) -> Result<Option<u64>, CodecError> {
    Ok(match reader.item()? {
        Item::Number(number) => number.as_u64(),
        _ => None,
    })
}

/// Writing into memory cannot fail; `rmp` does not know where it writes.
fn done<T, E>(_: Result<T, E>) {}

fn length(count: usize) -> Result<u32, CodecError> {
    u32::try_from(count).map_err(|_| CodecError::Unexpected {
        expected: "fewer than 2^32 elements".into(),
        got: count.to_string(),
    })
}

fn write(value: &Value, ty: &Type, out: &mut Vec<u8>) -> Result<(), CodecError> {
    match (value, ty) {
        (Value::Null, _) => done(encode::write_nil(out)),
        (Value::Unknown(unknown), _) => write_unknown(unknown, out)?,
        (Value::Dynamic(typed), Type::Dynamic) => write_dynamic(&typed.value, &typed.ty, out)?,
        (Value::Dynamic(typed), ty) => write(&typed.value, ty, out)?,
        (value, Type::Dynamic) => write_dynamic(value, &value.implied_type(), out)?,
        (Value::Bool(value), Type::Bool) => done(encode::write_bool(out, *value)),
        (Value::Number(number), Type::Number) => write_number(number, out)?,
        (Value::String(text), Type::String) => write_text(text, out)?,
        (Value::List(elements), Type::List(ty)) => {
            write_each(elements.iter(), elements.len(), ty, out)?
        }
        (Value::Set(elements), Type::Set(ty)) => {
            write_each(elements.iter(), elements.len(), ty, out)?
        }
        (Value::Tuple(elements), Type::Tuple(types)) if elements.len() == types.len() => {
            done(encode::write_array_len(out, length(elements.len())?));
            for (value, ty) in elements.iter().zip(types) {
                write(value, ty, out)?;
            }
        }
        (Value::Map(fields), Type::Map(ty)) => {
            done(encode::write_map_len(out, length(fields.len())?));
            for (key, value) in fields {
                write_text(key, out)?;
                write(value, ty, out)?;
            }
        }
        (Value::Object(fields), Type::Object(types)) => write_object(fields, types, out)?,
        (value, ty) => {
            return Err(CodecError::Unexpected {
                expected: ty.to_string(),
                got: value.kind_name().to_owned(),
            });
        }
    }
    Ok(())
}

fn write_each<'a>(
    elements: impl Iterator<Item = &'a Value>,
    count: usize,
    ty: &Type,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    done(encode::write_array_len(out, length(count)?));
    for value in elements {
        write(value, ty, out)?;
    }
    Ok(())
}

fn write_object(
    fields: &BTreeMap<String, Value>,
    types: &BTreeMap<String, Type>,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    if let Some(name) = fields.keys().find(|name| !types.contains_key(*name)) {
        return Err(CodecError::Surplus(name.clone()));
    }
    done(encode::write_map_len(out, length(types.len())?));
    for (name, ty) in types {
        write_text(name, out)?;
        write(fields.get(name).unwrap_or(&Value::Null), ty, out)?;
    }
    Ok(())
}

fn write_dynamic(value: &Value, ty: &Type, out: &mut Vec<u8>) -> Result<(), CodecError> {
    done(encode::write_array_len(out, 2));
    let text = ty.to_json();
    done(encode::write_bin_len(out, length(text.len())?));
    out.extend_from_slice(&text);
    write(value, ty, out)
}

fn write_text(text: &str, out: &mut Vec<u8>) -> Result<(), CodecError> {
    done(encode::write_str_len(out, length(text.len())?));
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn write_number(number: &Number, out: &mut Vec<u8>) -> Result<(), CodecError> {
    match number.to_wire() {
        Wire::Int(whole) => done(encode::write_sint(out, whole)),
        Wire::Float(float) => done(encode::write_f64(out, float)),
        Wire::Text(text) => write_text(&text, out)?,
    }
    Ok(())
}

fn write_unknown(unknown: &Unknown, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let Some(refinements) = unknown.refinements() else {
        out.extend_from_slice(&[0xd4, 0x00, 0x00]);
        return Ok(());
    };
    let mut payload = Vec::new();
    let mut count = 0;
    let mut entry = |key: u8, payload: &mut Vec<u8>| {
        count += 1;
        done(encode::write_pfix(payload, key));
    };
    if refinements.not_null {
        entry(1, &mut payload);
        done(encode::write_bool(&mut payload, false));
    }
    if let Some(prefix) = &refinements.prefix {
        entry(2, &mut payload);
        write_text(prefix, &mut payload)?;
    }
    for (key, bound) in [(3, &refinements.min), (4, &refinements.max)] {
        if let Some((number, inclusive)) = bound {
            entry(key, &mut payload);
            done(encode::write_array_len(&mut payload, 2));
            write_number(number, &mut payload)?;
            done(encode::write_bool(&mut payload, *inclusive));
        }
    }
    for (key, bound) in [(5, refinements.length_min), (6, refinements.length_max)] {
        if let Some(bound) = bound {
            entry(key, &mut payload);
            write_number(&Number::from(bound), &mut payload)?;
        }
    }
    let mut map = Vec::with_capacity(payload.len() + 1);
    done(encode::write_map_len(&mut map, count));
    map.extend_from_slice(&payload);
    done(encode::write_ext_meta(out, length(map.len())?, EXT_REFINED));
    out.extend_from_slice(&map);
    Ok(())
}
