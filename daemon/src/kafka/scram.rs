//! SCRAM as a client (RFC 5802, RFC 7677, KIP-84), without I/O.
//!
//! Three messages of ours and two of the server's: [`Hello`] → [`Challenge`] → [`Answer`]. Channel
//! binding is not offered, as Kafka has none. Names and passwords are taken as UTF-8 as they are,
//! which is what Kafka's brokers do (no `SASLprep`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac, pbkdf2};
use runnel_api::Secret;
use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use zeroize::Zeroizing;

/// Rounds that a server may ask for. Kafka's least is 4,096 (KIP-84); a thousand rounds more cost a
/// millisecond, so the greatest keeps a hostile server from holding us for long.
const ITERATIONS: RangeInclusive<u32> = 4_096..=65_536;
/// Longest message of a server that is read, in bytes. Kafka's have about 120.
const MESSAGE_MAX: usize = 4_096;
/// Header of a client that does not bind channels, and the same in base64.
const GS2_HEADER: (&str, &str) = ("n,,", "biws");

/// The hash function in a mechanism's name.
#[derive(Clone, Copy)]
pub(super) struct Hash {
    hmac: hmac::Algorithm,
    digest: &'static digest::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
}

/// SCRAM-SHA-512's.
pub(super) static SHA_512: Hash = Hash {
    hmac: hmac::HMAC_SHA512,
    digest: &digest::SHA512,
    pbkdf2: pbkdf2::PBKDF2_HMAC_SHA512,
};

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digest.fmt(f)
    }
}

impl Hash {
    /// The salted password of RFC 5802 §3 (`Hi`). Takes milliseconds: not for an async thread.
    pub(super) fn salt(
        &self,
        password: &Secret,
        salt: &[u8],
        iterations: NonZeroU32,
    ) -> Zeroizing<Vec<u8>> {
        let mut salted = Zeroizing::new(vec![0; self.digest.output_len()]);
        let password = password.expose().as_bytes();
        pbkdf2::derive(self.pbkdf2, iterations, salt, password, &mut salted);
        salted
    }

    fn sign(&self, key: &[u8], text: &[u8]) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(self.hmac, key), text)
    }
}

/// Why a server's message is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// Not the fields of RFC 5802 §7 in their order.
    #[error("the broker's SCRAM message is malformed")]
    Malformed,
    /// The nonce does not begin with ours, or adds nothing.
    #[error("the broker's SCRAM nonce does not continue ours")]
    Nonce,
    /// Rounds out of bounds.
    #[error("the broker asks for {0} rounds; 4096 to 65536 are accepted")]
    Iterations(u32),
    /// The server refused in its last message.
    #[error("the broker refused the SCRAM proof")]
    Refused,
    /// The server does not know the password's keys.
    #[error("the broker did not prove that it knows the user")]
    Signature,
}

/// Our first message has gone out.
#[derive(Debug)]
pub(super) struct Hello {
    hash: &'static Hash,
    nonce: String,
    bare: String,
}

impl Hello {
    /// Begins. The nonce is printable ASCII without a comma, and never used before.
    pub(super) fn new(hash: &'static Hash, username: &str, nonce: String) -> Self {
        let name = username.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={name},r={nonce}");
        Self { hash, nonce, bare }
    }

    /// Our first message.
    pub(super) fn message(&self) -> String {
        format!("{}{}", GS2_HEADER.0, self.bare)
    }

    /// Reads the server's first message.
    pub(super) fn challenged(self, message: &[u8]) -> Result<Challenge, ScramError> {
        let text = readable(message)?;
        let mut fields = text.split(',');
        let mut next = |name| {
            fields
                .next()
                .and_then(|field| field.strip_prefix(name))
                .ok_or(ScramError::Malformed)
        };
        let (nonce, salt, iterations) = (next("r=")?, next("s=")?, next("i=")?);
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(ScramError::Nonce);
        }
        let salt = BASE64.decode(salt).map_err(|_| ScramError::Malformed)?;
        let count: u32 = iterations.parse().map_err(|_| ScramError::Malformed)?;
        let iterations = NonZeroU32::new(count)
            .filter(|_| ITERATIONS.contains(&count))
            .ok_or(ScramError::Iterations(count))?;
        let without_proof = format!("c={},r={nonce}", GS2_HEADER.1);
        Ok(Challenge {
            hash: self.hash,
            signed: format!("{},{text},{without_proof}", self.bare),
            salt,
            iterations,
            without_proof,
        })
    }
}

/// The server has asked for a proof.
#[derive(Debug)]
pub(super) struct Challenge {
    hash: &'static Hash,
    salt: Vec<u8>,
    iterations: NonZeroU32,
    without_proof: String,
    /// `AuthMessage` of RFC 5802 §3.
    signed: String,
}

impl Challenge {
    /// Proves that we know the password. Takes milliseconds: not for an async thread.
    pub(super) fn answer(self, password: &Secret) -> Answer {
        let hash = self.hash;
        let salted = hash.salt(password, &self.salt, self.iterations);
        let client_key = hash.sign(&salted, b"Client Key");
        let stored_key = digest::digest(hash.digest, client_key.as_ref());
        let signature = hash.sign(stored_key.as_ref(), self.signed.as_bytes());
        let proof: Vec<u8> = client_key
            .as_ref()
            .iter()
            .zip(signature.as_ref())
            .map(|(key, signature)| key ^ signature)
            .collect();
        let server_key = hash.sign(&salted, b"Server Key");
        Answer {
            message: format!("{},p={}", self.without_proof, BASE64.encode(proof)),
            server_key: hmac::Key::new(hash.hmac, server_key.as_ref()),
            signed: self.signed,
        }
    }
}

/// Our proof has gone out.
#[derive(Debug)]
pub(super) struct Answer {
    message: String,
    server_key: hmac::Key,
    signed: String,
}

impl Answer {
    /// Our last message.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Whether the server's last message proves that it knows the user, too.
    pub(super) fn accepted(&self, message: &[u8]) -> Result<(), ScramError> {
        let first = readable(message)?.split(',').next().unwrap_or_default();
        if first.starts_with("e=") {
            return Err(ScramError::Refused);
        }
        let signature = first.strip_prefix("v=").ok_or(ScramError::Malformed)?;
        let signature = BASE64
            .decode(signature)
            .map_err(|_| ScramError::Malformed)?;
        hmac::verify(&self.server_key, self.signed.as_bytes(), &signature)
            .map_err(|_| ScramError::Signature)
    }
}

fn readable(message: &[u8]) -> Result<&str, ScramError> {
    std::str::from_utf8(message)
        .ok()
        .filter(|text| text.len() <= MESSAGE_MAX)
        .ok_or(ScramError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    static SHA_256: Hash = Hash {
        hmac: hmac::HMAC_SHA256,
        digest: &digest::SHA256,
        pbkdf2: pbkdf2::PBKDF2_HMAC_SHA256,
    };

    fn pencil() -> Secret {
        Secret::new("pencil")
    }

    /// The exchange of RFC 7677 §3.
    #[test]
    fn the_published_exchange_is_spoken_word_for_word() {
        let hello = Hello::new(&SHA_256, "user", "rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(hello.message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = hello
            .challenged(
                b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            )
            .unwrap();
        let answer = challenge.answer(&pencil());
        assert_eq!(
            answer.message(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let last = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(answer.accepted(last), Ok(()));
    }

    /// The same inputs with the other hash; the expected texts were computed by Python's `hashlib`
    /// and `hmac` from the formulas of RFC 5802 §3.
    #[test]
    fn the_longer_hash_gives_the_proof_that_another_implementation_gives() {
        let hello = Hello::new(&SHA_512, "user", "rOprNGfwEbeRWgbNEkqO".into());
        let challenge = hello
            .challenged(
                b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            )
            .unwrap();
        let answer = challenge.answer(&pencil());
        let proof = "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==";
        assert_eq!(
            answer.message(),
            format!("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p={proof}")
        );
        let last = "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==";
        assert_eq!(answer.accepted(last.as_bytes()), Ok(()));
    }

    #[test]
    fn commas_and_equal_signs_in_a_name_are_escaped() {
        let hello = Hello::new(&SHA_512, "a=b,c=2C", "n".into());
        assert_eq!(hello.message(), "n,,n=a=3Db=2Cc=3D2C,r=n");
    }

    fn challenged(message: &str) -> Result<(), ScramError> {
        let hello = Hello::new(&SHA_512, "user", "mine".into());
        hello.challenged(message.as_bytes()).map(drop)
    }

    #[test]
    fn a_challenge_that_does_not_fit_is_refused() {
        assert_eq!(challenged("r=mine+,s=AAAA,i=4096"), Ok(()));
        assert_eq!(challenged("r=mine+,s=AAAA,i=65536,x=later"), Ok(()));
        for (message, error) in [
            ("r=mine,s=AAAA,i=4096", ScramError::Nonce),
            ("r=yours+,s=AAAA,i=4096", ScramError::Nonce),
            ("r=mine+,s=AAAA,i=4095", ScramError::Iterations(4_095)),
            ("r=mine+,s=AAAA,i=65537", ScramError::Iterations(65_537)),
            ("r=mine+,s=AAAA,i=0", ScramError::Iterations(0)),
            ("r=mine+,s=AAAA,i=-1", ScramError::Malformed),
            ("r=mine+,s=A*AA,i=4096", ScramError::Malformed),
            ("s=AAAA,r=mine+,i=4096", ScramError::Malformed),
            ("m=ext,r=mine+,s=AAAA,i=4096", ScramError::Malformed),
            ("", ScramError::Malformed),
        ] {
            assert_eq!(challenged(message), Err(error), "{message}");
        }
    }

    fn answer() -> Answer {
        let hello = Hello::new(&SHA_512, "user", "mine".into());
        let challenge = hello.challenged(b"r=mine+,s=AAAA,i=4096").unwrap();
        challenge.answer(&pencil())
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let answer = answer();
        assert_eq!(answer.accepted(b"v=AAAA"), Err(ScramError::Signature));
        assert_eq!(answer.accepted(b"v="), Err(ScramError::Signature));
        assert_eq!(
            answer.accepted(b"e=invalid-proof"),
            Err(ScramError::Refused)
        );
        assert_eq!(answer.accepted(b""), Err(ScramError::Malformed));
        assert_eq!(answer.accepted(&[0xff]), Err(ScramError::Malformed));
    }

    #[test]
    fn no_state_prints_the_password() {
        let hello = Hello::new(&SHA_512, "user", "mine".into());
        let challenge = hello.challenged(b"r=mine+,s=AAAA,i=4096").unwrap();
        let printed = format!("{challenge:?} {:?}", challenge_answered());
        assert!(!printed.contains("pencil"), "{printed}");
    }

    fn challenge_answered() -> Answer {
        answer()
    }

    proptest! {
        #[test]
        fn any_message_of_a_server_is_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Hello::new(&SHA_512, "user", "mine".into()).challenged(&bytes);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let _ = challenged(&format!("r=mine{text}"));
        }
    }
}
