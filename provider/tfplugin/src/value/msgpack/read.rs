//! From bytes to values.

use std::collections::BTreeMap;

use rmp::Marker;

use super::{CodecError, DEPTH_MAX, EXT_REFINED};
use crate::value::{Number, Refinements, Type, Typed, Unknown, Value};

/// Reads one value of `ty` from all of `bytes`.
pub(super) fn read_all(bytes: &[u8], ty: &Type) -> Result<Value, CodecError> {
    let mut reader = Reader { rest: bytes };
    let value = read(&mut reader, ty, 0)?;
    match reader.rest.len() {
        0 => Ok(value),
        left => Err(CodecError::Trailing(left)),
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
