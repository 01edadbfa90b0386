//! From values to bytes.

use std::collections::BTreeMap;

use rmp::encode;

use super::{CodecError, EXT_REFINED};
use crate::value::number::Wire;
use crate::value::{Number, Type, Unknown, Value};

/// Writing into memory cannot fail; `rmp` does not know where it writes.
fn done<T, E>(_: Result<T, E>) {}

fn length(count: usize) -> Result<u32, CodecError> {
    u32::try_from(count).map_err(|_| CodecError::Unexpected {
        expected: "fewer than 2^32 elements".into(),
        got: count.to_string(),
    })
}

pub(super) fn write(value: &Value, ty: &Type, out: &mut Vec<u8>) -> Result<(), CodecError> {
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
            write_each(elements.iter(), elements.len(), ty, out)?;
        }
        (Value::Set(elements), Type::Set(ty)) => {
            write_each(elements.iter(), elements.len(), ty, out)?;
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
