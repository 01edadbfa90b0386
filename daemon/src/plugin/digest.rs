//! The name of a plugin's bytes: a SHA-256 as 64 lower-case hexadecimal digits, parsed once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A SHA-256 as lower-case hexadecimal text. Safe as a file name by construction.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 is written as 64 hexadecimal digits")]
pub struct BadDigest;

impl Digest {
    /// Reads a digest; upper-case digits and a `sha256:` prefix are accepted, as tools print both.
    ///
    /// # Errors
    /// [`BadDigest`] for any other text.
    pub fn parse(text: &str) -> Result<Self, BadDigest> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        if digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(digits.to_ascii_lowercase()))
        } else {
            Err(BadDigest)
        }
    }

    /// The digest of a finished hash.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(
            bytes
                .iter()
                .flat_map(|b| [b >> 4, b & 15])
                .map(hex_digit)
                .collect(),
        )
    }

    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = BadDigest;
    fn try_from(text: String) -> Result<Self, BadDigest> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_hexadecimal_digits_and_nothing_that_could_be_a_path() {
        let zeros = "0".repeat(64);
        assert_eq!(Digest::from_bytes([0; 32]).as_str(), zeros);
        assert_eq!(
            Digest::parse(&format!("sha256:{}", "AB".repeat(32)))
                .unwrap()
                .as_str(),
            "ab".repeat(32)
        );
        for bad in [
            "",
            "..",
            "../etc",
            &zeros[1..],
            &format!("{zeros}0"),
            &"g".repeat(64),
        ] {
            assert_eq!(Digest::parse(bad), Err(BadDigest), "{bad}");
        }
    }
}
