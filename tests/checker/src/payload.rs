//! What a row carries: a text that its writer, its transaction and its place alone decide, so that a reader can tell a
//! true one from a damaged, a cut or an exchanged one.

use crate::dice::scramble;

/// Whose payload: a register's id, or the append table's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A row of the register table.
    Register(i64),
    /// A row of the append table.
    Append,
}

fn seed(writer: u32, wseq: u64, place: Place) -> u64 {
    let salt = match place {
        Place::Register(id) => scramble(id.cast_unsigned()),
        Place::Append => 0x5eed,
    };
    scramble(wseq ^ scramble(u64::from(writer)) ^ salt)
}

/// Every payload begins so, and so none is taken for a number.
const FIRST: char = 'p';

/// Words of 16 hexadecimal digits: 1 to 8, and 256 (4 KiB, over PostgreSQL's TOAST threshold) one time in 512.
fn words(seed: u64) -> u64 {
    if seed.is_multiple_of(512) {
        256
    } else {
        1 + seed % 8
    }
}

/// The payload of a row.
pub fn payload(writer: u32, wseq: u64, place: Place) -> String {
    let seed = seed(writer, wseq, place);
    let words = (0..words(seed)).map(|at| format!("{:016x}", scramble(seed ^ at)));
    std::iter::once(FIRST.to_string()).chain(words).collect()
}

/// Whether this is the payload of that row.
pub fn is_payload(text: &str, writer: u32, wseq: u64, place: Place) -> bool {
    let seed = seed(writer, wseq, place);
    let Some(text) = text.strip_prefix(FIRST) else {
        return false;
    };
    let bytes = text.as_bytes();
    bytes.len() as u64 == words(seed) * 16
        && (0..)
            .zip(bytes.chunks_exact(16))
            .all(|(at, chunk)| is_hex_of(chunk, scramble(seed ^ at)))
}

fn is_hex_of(chunk: &[u8], word: u64) -> bool {
    let digits = chunk.iter().rev().zip(0_u32..);
    digits.into_iter().all(|(digit, at)| {
        let nibble = u32::try_from((word >> (4 * at)) & 0xf).unwrap_or(0);
        char::from_digit(nibble, 16) == Some(char::from(*digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_known_again_and_a_changed_one_is_not() {
        for wseq in 0..2_000 {
            let text = payload(3, wseq, Place::Register(9));
            assert!(is_payload(&text, 3, wseq, Place::Register(9)));
            assert!(!is_payload(&text, 3, wseq + 1, Place::Register(9)));
            assert!(!is_payload(&text, 2, wseq, Place::Register(9)));
            assert!(!is_payload(&text, 3, wseq, Place::Append));
            assert!(!is_payload(&text[1..], 3, wseq, Place::Register(9)));
            assert!(!is_payload(
                &text
                    .to_uppercase()
                    .replace(|c: char| c.is_ascii_digit(), "0"),
                3,
                wseq,
                Place::Register(9)
            ));
        }
    }

    #[test]
    fn payloads_differ_in_length_and_some_are_long() {
        let lengths: std::collections::BTreeSet<usize> = (0..4_000)
            .map(|wseq| payload(0, wseq, Place::Append).len())
            .collect();
        assert!(lengths.len() == 9 && lengths.contains(&4097), "{lengths:?}");
    }
}
