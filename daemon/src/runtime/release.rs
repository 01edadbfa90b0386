//! Releases of Apache Kafka, and which of them may run here.

use std::fmt;

/// A release of Apache Kafka: `4.3.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl Release {
    /// Three numbers; a release candidate, a snapshot or a vendor's build is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|part| {
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| part.parse::<u32>().ok()).flatten()
        });
        let release = Self {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next()??,
        };
        numbers.next().is_none().then_some(release)
    }

    /// The name a runtime of this release has: `4.3`.
    pub fn runtime_name(self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    /// The least Java that its Connect workers run on (Kafka's documentation, "Java Version").
    pub fn java_least(self) -> u32 {
        if self.major >= 4 { 17 } else { 11 }
    }

    /// Whether the release has the fix of CVE-2026-35554, and if not, where the fix is.
    pub fn check_fixed(self) -> Result<(), Unfixed> {
        let fixed_in = match (self.major, self.minor) {
            (3, 9) => "3.9.2",
            (4, 0) => "4.0.2",
            (4, 1) => "4.1.2",
            (0..=3, _) => {
                return Err(Unfixed {
                    release: self,
                    fixed_in: "3.9.2 and 4.3",
                });
            }
            _ => return Ok(()),
        };
        match Self::parse(fixed_in) {
            Some(fixed) if self < fixed => Err(Unfixed {
                release: self,
                fixed_in,
            }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A release with a known hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Kafka {release} is open to CVE-2026-35554, which {fixed_in} fixes")]
pub struct Unfixed {
    /// The release.
    pub release: Release,
    /// Where to go.
    pub fixed_in: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        Release::parse(text).unwrap()
    }

    #[test]
    fn only_three_plain_numbers_are_a_release() {
        assert_eq!(
            release("4.3.1"),
            Release {
                major: 4,
                minor: 3,
                patch: 1
            }
        );
        for text in [
            "",
            "4",
            "4.3",
            "4.3.1.2",
            "4.3.1-rc0",
            "4.3.x",
            "+4.3.1",
            "4..1",
            "4.3.99999999999",
        ] {
            assert_eq!(Release::parse(text), None, "{text}");
        }
    }

    #[test]
    fn releases_without_the_fix_are_refused() {
        for fixed in [
            "3.9.2", "3.9.10", "4.0.2", "4.1.2", "4.2.0", "4.3.1", "5.0.0",
        ] {
            assert_eq!(release(fixed).check_fixed(), Ok(()), "{fixed}");
        }
        for open in ["2.8.1", "3.8.1", "3.9.1", "4.0.1", "4.1.1"] {
            assert!(release(open).check_fixed().is_err(), "{open}");
        }
        let told = release("3.9.1").check_fixed().unwrap_err().to_string();
        assert_eq!(
            told,
            "Kafka 3.9.1 is open to CVE-2026-35554, which 3.9.2 fixes"
        );
    }
}
