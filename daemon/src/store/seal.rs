//! Sealing of secrets: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) under a key file, and a keyed
//! fingerprint (HMAC-SHA-256, RFC 2104) by which two sets of secrets are compared without opening
//! the sealed ones.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use runnel_api::object::Generation;
use runnel_api::{Kind, Name, Secret};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Bytes of the key file's secret.
pub(super) const KEY_LENGTH: usize = 32;
/// Bytes of a nonce; long enough that random ones never meet.
const NONCE_LENGTH: usize = 24;
/// Block of SHA-256 in bytes.
const BLOCK: usize = 64;

/// Where a sealed secret belongs. It is authenticated with the ciphertext, so that a row moved to
/// another object, generation or key does not open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub kind: Kind,
    pub name: &'a Name,
    pub incarnation: u64,
    pub generation: Generation,
}

impl Place<'_> {
    fn aad(&self, key: &str) -> Vec<u8> {
        // None of the first four parts can hold a slash; the key is last and may hold anything.
        format!(
            "{}/{}/{}/{}/{key}",
            self.kind.singular(),
            self.name,
            self.incarnation,
            self.generation
        )
        .into_bytes()
    }
}

/// A sealed secret as it is stored.
#[derive(Debug)]
pub(super) struct Sealed {
    pub nonce: Vec<u8>,
    pub ciphertext: Vec<u8>,
}

/// Why sealing or opening failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealError {
    #[error("the system gives no random numbers")]
    Random,
    #[error("the secret cannot be sealed")]
    Seal,
    #[error("a sealed secret does not open: it was altered, moved, or sealed under another key")]
    Open,
}

/// Seals and opens. Holds the two keys that derive from the key file.
pub(super) struct Sealer {
    cipher: XChaCha20Poly1305,
    fingerprint_key: Zeroizing<[u8; 32]>,
    check: [u8; 32],
}

impl Sealer {
    pub fn new(secret: &[u8; KEY_LENGTH]) -> Self {
        let cipher_key = Zeroizing::new(hmac(secret, &[b"runnel sealing 1"]));
        Self {
            cipher: XChaCha20Poly1305::new(&Key::from(*cipher_key)),
            fingerprint_key: Zeroizing::new(hmac(secret, &[b"runnel fingerprint 1"])),
            check: hmac(secret, &[b"runnel check 1"]),
        }
    }

    /// Says which key this is without telling anything about it; stored beside the sealed rows so
    /// that a foreign key file is noticed at start.
    pub fn check(&self) -> &[u8; 32] {
        &self.check
    }

    pub fn seal(&self, place: Place<'_>, key: &str, secret: &Secret) -> Result<Sealed, SealError> {
        let mut nonce = [0; NONCE_LENGTH];
        getrandom::fill(&mut nonce).map_err(|_| SealError::Random)?;
        let payload = Payload {
            msg: secret.expose().as_bytes(),
            aad: &place.aad(key),
        };
        let ciphertext = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SealError::Seal)?;
        Ok(Sealed {
            nonce: nonce.to_vec(),
            ciphertext,
        })
    }

    pub fn open(&self, place: Place<'_>, key: &str, sealed: &Sealed) -> Result<Secret, SealError> {
        let nonce: [u8; NONCE_LENGTH] = sealed
            .nonce
            .as_slice()
            .try_into()
            .map_err(|_| SealError::Open)?;
        let payload = Payload {
            msg: &sealed.ciphertext,
            aad: &place.aad(key),
        };
        let bytes = self
            .cipher
            .decrypt(&XNonce::from(nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| SealError::Open)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| SealError::Open)?;
        Ok(Secret::new(text))
    }

    /// A fingerprint of a whole set of secrets, each part with its length.
    pub fn fingerprint(&self, secrets: &BTreeMap<String, Secret>) -> [u8; 32] {
        let mut parts: Vec<&[u8]> = Vec::new();
        let lengths: Vec<([u8; 8], [u8; 8])> = secrets
            .iter()
            .map(|(key, value)| (length(key), length(value.expose())))
            .collect();
        for ((key, value), (key_length, value_length)) in secrets.iter().zip(&lengths) {
            parts.extend([
                key_length.as_slice(),
                key.as_bytes(),
                value_length.as_slice(),
                value.expose().as_bytes(),
            ]);
        }
        hmac(&self.fingerprint_key, &parts)
    }
}

fn length(text: &str) -> [u8; 8] {
    (text.len() as u64).to_be_bytes()
}

/// HMAC-SHA-256 over the parts one after the other; the key is shorter than a block.
fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let pad = |byte: u8| {
        let mut block = Zeroizing::new([byte; BLOCK]);
        block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
        block
    };
    let mut inner = Sha256::new_with_prefix(pad(0x36).as_slice());
    for part in parts {
        inner.update(part);
    }
    let mut outer = Sha256::new_with_prefix(pad(0x5c).as_slice());
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &Name, generation: u64) -> Place<'_> {
        Place {
            kind: Kind::Connector,
            name,
            incarnation: 1,
            generation: Generation(generation),
        }
    }

    #[test]
    fn what_is_sealed_opens_in_its_own_place_only() {
        let sealer = Sealer::new(&[7; 32]);
        let name = Name::parse("orders").unwrap();
        let sealed = sealer
            .seal(
                place(&name, 1),
                "database.password",
                &Secret::new("hunter2"),
            )
            .unwrap();
        assert!(!sealed.ciphertext.windows(7).any(|w| w == b"hunter2"));
        let opened = sealer.open(place(&name, 1), "database.password", &sealed);
        assert_eq!(opened.unwrap().expose(), "hunter2");
        assert!(
            sealer
                .open(place(&name, 2), "database.password", &sealed)
                .is_err()
        );
        assert!(sealer.open(place(&name, 1), "other", &sealed).is_err());
        assert!(
            Sealer::new(&[8; 32])
                .open(place(&name, 1), "database.password", &sealed)
                .is_err()
        );
    }

    #[test]
    fn fingerprints_tell_sets_apart_and_depend_on_the_key() {
        let set = |pairs: &[(&str, &str)]| -> BTreeMap<String, Secret> {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), Secret::new(*v)))
                .collect()
        };
        let sealer = Sealer::new(&[7; 32]);
        let one = sealer.fingerprint(&set(&[("a", "bc")]));
        assert_eq!(one, sealer.fingerprint(&set(&[("a", "bc")])));
        assert_ne!(one, sealer.fingerprint(&set(&[("ab", "c")])));
        assert_ne!(one, sealer.fingerprint(&set(&[])));
        assert_ne!(one, Sealer::new(&[8; 32]).fingerprint(&set(&[("a", "bc")])));
    }

    #[test]
    fn the_keyed_hash_is_that_of_rfc_4231() {
        // Test case 1 with its 20-byte key, which zero-pads to the same block.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        let digest = runnel_api::plugin::Sha256Hex::of_digest(&hmac(&key, &[b"Hi There"]));
        assert_eq!(digest.as_str(), expected);
    }
}
