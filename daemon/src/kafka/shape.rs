//! Checks an answer's lengths before it is decoded.
//!
//! The decoders of `kafka-protocol` reserve memory by an array's received count, so four bytes can
//! ask for hundreds of gigabytes and end the process. Here the answer is walked along a written
//! shape first: every array's elements and every string's bytes must be there, so what is decoded
//! afterwards is never larger than what was received. Shapes follow the message schemas of the
//! Apache Kafka protocol guide; flexible encodings are those of KIP-482.

/// One field, or a run of fields.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// So many bytes: integers, booleans, ids.
    Fixed(usize),
    /// 16-bit length and bytes, or −1.
    Str,
    /// 32-bit length and bytes, or −1.
    Bytes,
    /// 32-bit count and elements, or −1.
    Array(&'static [Shape]),
    /// Length plus one as a varint and bytes, or 0.
    CompactStr,
    /// Count plus one as a varint and elements, or 0.
    CompactArray(&'static [Shape]),
    /// Tagged fields: count, then tag, length and bytes each. A decoder reads the tags listed here
    /// as fields and does not look at their length, so they must fill it exactly.
    Tagged(&'static [(u32, &'static [Shape])]),
}

/// Why bytes do not have their shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misshapen {
    #[error("it ends too early")]
    Short,
    #[error("a length is negative")]
    Negative,
    #[error("a number has too many bytes")]
    Varint,
    #[error("{0} bytes are left over")]
    LeftOver(usize),
    #[error("a tagged field comes twice")]
    TaggedTwice,
}

/// Whether `bytes` are exactly the fields of `shape`. Reads only, reserves nothing.
pub(super) fn check(shape: &[Shape], bytes: &[u8]) -> Result<(), Misshapen> {
    let mut rest = bytes;
    walk(shape, &mut rest)?;
    if rest.is_empty() {
        Ok(())
    } else {
        Err(Misshapen::LeftOver(rest.len()))
    }
}

fn walk(shape: &[Shape], rest: &mut &[u8]) -> Result<(), Misshapen> {
    for field in shape {
        match *field {
            Shape::Fixed(size) => skip(rest, size)?,
            Shape::Str => {
                let length = i16::from_be_bytes(take(rest)?);
                skip(rest, signed(i32::from(length))?)?;
            }
            Shape::Bytes => {
                let length = i32::from_be_bytes(take(rest)?);
                skip(rest, signed(length)?)?;
            }
            Shape::Array(element) => {
                let count = i32::from_be_bytes(take(rest)?);
                for _ in 0..signed(count)? {
                    walk(element, rest)?;
                }
            }
            Shape::CompactStr => {
                let length = varint(rest)?;
                skip(rest, length.saturating_sub(1) as usize)?;
            }
            Shape::CompactArray(element) => {
                for _ in 1..varint(rest)? {
                    walk(element, rest)?;
                }
            }
            Shape::Tagged(known) => walk_tagged(known, rest)?,
        }
    }
    Ok(())
}

fn walk_tagged(known: &[(u32, &[Shape])], rest: &mut &[u8]) -> Result<(), Misshapen> {
    let mut last = None;
    for _ in 0..varint(rest)? {
        let tag = varint(rest)?;
        // KIP-482: tags come in ascending order, each once.
        if last.is_some_and(|last| last >= tag) {
            return Err(Misshapen::TaggedTwice);
        }
        last = Some(tag);
        let size = varint(rest)? as usize;
        let (field, after) = rest.split_at_checked(size).ok_or(Misshapen::Short)?;
        if let Some((_, shape)) = known.iter().find(|(number, _)| *number == tag) {
            check(shape, field)?;
        }
        *rest = after;
    }
    Ok(())
}

fn skip(rest: &mut &[u8], size: usize) -> Result<(), Misshapen> {
    *rest = rest.get(size..).ok_or(Misshapen::Short)?;
    Ok(())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Misshapen> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(Misshapen::Short)?;
    *rest = tail;
    Ok(*head)
}

/// A length where −1 means null.
fn signed(length: i32) -> Result<usize, Misshapen> {
    match length {
        -1 => Ok(0),
        _ => usize::try_from(length).map_err(|_| Misshapen::Negative),
    }
}

/// An unsigned varint of up to 32 bits.
fn varint(rest: &mut &[u8]) -> Result<u32, Misshapen> {
    let mut value = 0_u32;
    for shift in [0, 7, 14, 21, 28] {
        let [byte] = take(rest)?;
        if shift == 28 && byte > 0x0f {
            return Err(Misshapen::Varint);
        }
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Misshapen::Varint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOPICS: &[Shape] = &[
        Shape::Fixed(4),
        Shape::Array(&[Shape::Str, Shape::Bytes]),
        Shape::CompactArray(&[Shape::CompactStr, Shape::Tagged(&[])]),
        Shape::Tagged(&[(0, &[Shape::CompactArray(&[Shape::Fixed(2)])])]),
    ];

    #[test]
    fn a_count_without_its_elements_is_refused() {
        for (shape, bytes) in [
            (
                &[Shape::Array(&[Shape::Fixed(1)])][..],
                &[0x7f, 0xff, 0xff, 0xff, 1][..],
            ),
            (
                &[Shape::CompactArray(&[Shape::Fixed(1)])],
                &[0xff, 0xff, 0xff, 0xff, 0x0f, 1],
            ),
            (&[Shape::Bytes], &[0x7f, 0xff, 0xff, 0xff]),
            (&[Shape::Str], &[0x7f, 0xff, b'a']),
            (&[Shape::CompactStr], &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            (&[Shape::Tagged(&[])], &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]),
        ] {
            assert_eq!(check(shape, bytes), Err(Misshapen::Short), "{shape:?}");
        }
        assert_eq!(
            check(&[Shape::Array(&[])], &[0xff, 0xff, 0xff, 0xfe]),
            Err(Misshapen::Negative)
        );
        assert_eq!(
            check(&[Shape::CompactStr], &[0xff; 6]),
            Err(Misshapen::Varint)
        );
    }

    #[test]
    fn a_known_tagged_field_must_fill_its_length_exactly() {
        const KNOWN: &[Shape] = &[Shape::Tagged(&[(1, &[Shape::Fixed(2)])])];
        assert_eq!(check(KNOWN, &[1, 1, 2, 0, 0]), Ok(()));
        assert_eq!(check(KNOWN, &[2, 1, 2, 0, 0, 9, 1, 0]), Ok(()));
        assert_eq!(
            check(KNOWN, &[1, 1, 3, 0, 0, 0]),
            Err(Misshapen::LeftOver(1))
        );
        assert_eq!(check(KNOWN, &[1, 1, 1, 0]), Err(Misshapen::Short));
        assert_eq!(
            check(KNOWN, &[2, 1, 2, 0, 0, 1, 2, 0, 0]),
            Err(Misshapen::TaggedTwice)
        );
    }

    #[test]
    fn null_is_a_length_and_leftovers_are_not() {
        assert_eq!(
            check(&[Shape::Str, Shape::Array(&[Shape::Str])], &[0xff; 6]),
            Ok(())
        );
        assert_eq!(
            check(
                &[Shape::CompactStr, Shape::CompactArray(&[Shape::Str])],
                &[0, 0]
            ),
            Ok(())
        );
        assert_eq!(
            check(&[Shape::Fixed(1)], &[1, 2]),
            Err(Misshapen::LeftOver(1))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = check(TOPICS, &bytes);
        }
    }
}
