//! `config_wo`: when its values are sent, and how a silent edit is found without storing them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use runnel_api::plugin::Sha256Hex;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::collections::{BTreeMap, BTreeSet};
use tfplugin::Tri;

/// Rounds of the fingerprint's key stretching. They make each guess at a weak password cost about
/// 10 ms, and a plan as much for each connector without a `config_wo_version`.
const ROUNDS: u32 = 30_000;

/// What is remembered of the secrets that the daemon has, beside the state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Fingerprint of keys and values; absent with a version, and after an import.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// The keys that the daemon has sealed; absent before the first read.
    #[serde(default)]
    pub keys: Option<BTreeSet<String>>,
}

/// What a configuration says about secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// `config_wo_version`.
    pub version: Tri<i64>,
    /// The keys of `config_wo`; unknown only as a whole.
    pub keys: Tri<BTreeSet<String>>,
    /// Fingerprint of `config_wo`, unknown while one of its values is. Not needed with a version.
    pub fingerprint: Tri<String>,
}

/// Whether the values are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// They are: they are new.
    Send,
    /// They are not: the daemon keeps those that it has.
    Keep,
    /// They are not, although their keys are others: the version says that nothing changed.
    KeepAgainstKeys,
    /// To be decided when more is known.
    Open,
}

/// Decides for a connector that exists, whose state has `version`.
pub fn decide(version: Option<i64>, remembered: &Remembered, declared: &Declared) -> Sending {
    let declared_keys = match &declared.keys {
        Tri::Known(keys) => Some(keys.clone()),
        Tri::Null => Some(BTreeSet::new()),
        Tri::Unknown => None,
    };
    let other_keys = match (&remembered.keys, &declared_keys) {
        (Some(sealed), Some(keys)) => sealed != keys,
        _ => false,
    };
    match (&declared.version, version) {
        (Tri::Unknown, _) => Sending::Open,
        (Tri::Known(now), Some(before)) if *now == before => {
            if other_keys {
                Sending::KeepAgainstKeys
            } else {
                Sending::Keep
            }
        }
        (Tri::Known(_), _) | (Tri::Null, Some(_)) => Sending::Send,
        (Tri::Null, None) if other_keys => Sending::Send,
        (Tri::Null, None) => match (&remembered.fingerprint, &declared.fingerprint) {
            // Imported: what is sealed is not known, its keys are, and those are the same.
            (None, _) => Sending::Keep,
            (Some(_), Tri::Unknown) => Sending::Open,
            (Some(before), Tri::Known(now)) if before == now => Sending::Keep,
            (Some(_), _) => Sending::Send,
        },
    }
}

/// Fingerprint of keys and values, salted by the connector's ARN, which no other connector has.
pub fn fingerprint(salt: &str, secrets: &BTreeMap<String, String>) -> String {
    let mut password = Vec::new();
    for text in secrets.iter().flat_map(|(key, value)| [key, value]) {
        password.extend_from_slice(&(text.len() as u64).to_be_bytes());
        password.extend_from_slice(text.as_bytes());
    }
    Sha256Hex::of_digest(&stretch(&password, salt.as_bytes(), ROUNDS)).to_string()
}

/// The first block of PBKDF2-HMAC-SHA-256 (RFC 8018, section 5.2).
fn stretch(password: &[u8], salt: &[u8], rounds: u32) -> [u8; 32] {
    // HMAC takes keys of any length; the error is for MACs that do not.
    let Ok(keyed) = Hmac::<Sha256>::new_from_slice(password) else {
        return [0; 32];
    };
    let round = |input: &[u8]| -> [u8; 32] {
        let mut mac = keyed.clone();
        mac.update(input);
        mac.finalize().into_bytes().into()
    };
    let mut block = round(&[salt, &1_u32.to_be_bytes()].concat());
    let mut sum = block;
    for _ in 1..rounds {
        block = round(&block);
        sum.iter_mut()
            .zip(block)
            .for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn remembered(fingerprint: Option<&str>, names: &[&str]) -> Remembered {
        Remembered {
            fingerprint: fingerprint.map(str::to_owned),
            keys: Some(keys(names)),
        }
    }

    fn declared(version: Tri<i64>, fingerprint: Tri<&str>, names: &[&str]) -> Declared {
        Declared {
            version,
            keys: Tri::Known(keys(names)),
            fingerprint: fingerprint.map(str::to_owned),
        }
    }

    #[test]
    fn values_are_sent_when_the_version_or_without_one_the_fingerprint_changes() {
        use Sending::{Keep, KeepAgainstKeys, Open, Send};
        use Tri::{Known, Null, Unknown};
        let p = &["p"][..];
        for (before, memory, now, expected) in [
            (
                Some(1),
                remembered(None, p),
                declared(Known(1), Unknown, p),
                Keep,
            ),
            (
                Some(1),
                remembered(None, p),
                declared(Known(2), Unknown, p),
                Send,
            ),
            (
                Some(1),
                remembered(None, p),
                declared(Known(1), Unknown, &["q"]),
                KeepAgainstKeys,
            ),
            (
                Some(1),
                remembered(None, p),
                declared(Null, Known("a"), p),
                Send,
            ),
            (
                None,
                remembered(Some("a"), p),
                declared(Known(1), Unknown, p),
                Send,
            ),
            (
                None,
                remembered(Some("a"), p),
                declared(Null, Known("a"), p),
                Keep,
            ),
            (
                None,
                remembered(Some("a"), p),
                declared(Null, Known("b"), p),
                Send,
            ),
            (
                None,
                remembered(Some("a"), p),
                declared(Null, Unknown, p),
                Open,
            ),
            (
                None,
                remembered(Some("a"), p),
                declared(Null, Known("a"), &["p", "q"]),
                Send,
            ),
            (
                None,
                remembered(None, p),
                declared(Null, Known("a"), p),
                Keep,
            ),
            (
                None,
                remembered(None, p),
                declared(Null, Known("a"), &[]),
                Send,
            ),
            (
                Some(1),
                remembered(None, p),
                declared(Unknown, Unknown, p),
                Open,
            ),
        ] {
            assert_eq!(
                decide(before, &memory, &now),
                expected,
                "{before:?} {memory:?} {now:?}"
            );
        }
    }

    #[test]
    fn secrets_that_are_taken_out_are_sent_as_none() {
        let none = Declared {
            version: Tri::Null,
            keys: Tri::Null,
            fingerprint: Tri::Null,
        };
        assert_eq!(
            decide(None, &remembered(Some("a"), &["p"]), &none),
            Sending::Send
        );
    }

    #[test]
    fn the_stretching_is_that_of_the_test_vectors() {
        // RFC 7914, section 11: the first halves of the two vectors.
        let hex = |password: &str, salt: &str, rounds| {
            Sha256Hex::of_digest(&stretch(password.as_bytes(), salt.as_bytes(), rounds)).to_string()
        };
        assert_eq!(
            hex("passwd", "salt", 1),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
        );
        assert_eq!(
            hex("Password", "NaCl", 80_000),
            "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
        );
    }

    #[test]
    fn a_fingerprint_depends_on_salt_keys_and_values_and_shows_none_of_them() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect()
        };
        let one = fingerprint("arn", &map(&[("password", "hunter2")]));
        assert_eq!(one, fingerprint("arn", &map(&[("password", "hunter2")])));
        for other in [
            fingerprint("arn2", &map(&[("password", "hunter2")])),
            fingerprint("arn", &map(&[("password", "hunter3")])),
            fingerprint("arn", &map(&[("passwor", "dhunter2")])),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(one.len(), 64);
    }
}
