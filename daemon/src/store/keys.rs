//! What is made on the first start: the daemon's identity, the sealing key and the root token.

use super::seal::{KEY_LENGTH, Sealer};
use super::{StoreError, now_ms, private};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use uuid::Uuid;
use zeroize::Zeroizing;

/// The sealing key's file in the data folder: 32 bytes as they are, mode 0600.
pub const SEALING_KEY_FILE: &str = "sealing.key";
/// The root token's file in the data folder, mode 0600. Whoever removes it gets a new token at the
/// next start, and the old one is void.
pub const ROOT_TOKEN_FILE: &str = "root.token";
/// What tokens begin with, so that people and secret scanners know one.
pub(super) const TOKEN_PREFIX: &str = "rnl_";
/// Random bytes of a token: nothing to guess, so that a plain hash is enough to store.
pub(super) const TOKEN_BYTES: usize = 32;
/// Characters of a token that are stored in the clear, to tell tokens apart in a list.
const TOKEN_SHOWN: usize = 8;
/// Name of the token that the first start makes.
pub(super) const ROOT: &str = "root";

fn meta(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    connection
        .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
            row.get(0)
        })
        .optional()
        .map_err(StoreError::Sql)
}

fn set_meta(connection: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2)",
            [key, value],
        )
        .map(drop)
        .map_err(StoreError::Sql)
}

/// The identity of this database.
pub(super) fn daemon(connection: &mut Connection) -> Result<Uuid, StoreError> {
    if let Some(text) = meta(connection, "daemon")? {
        return Uuid::parse_str(&text)
            .map_err(|_| StoreError::Damaged("meta.daemon is no UUID".to_owned()));
    }
    let daemon = Uuid::new_v4();
    set_meta(connection, "daemon", &daemon.to_string())?;
    Ok(daemon)
}

/// Reads the sealing key, or makes it for a new database. A database that was sealed with another
/// key is refused here rather than at the first secret.
pub(super) fn sealer(connection: &mut Connection, data_dir: &Path) -> Result<Sealer, StoreError> {
    let path = data_dir.join(SEALING_KEY_FILE);
    let known = meta(connection, "sealing_key_check")?;
    let secret = match private::read(&path)? {
        Some(bytes) => Zeroizing::new(bytes),
        None if known.is_some() => return Err(StoreError::WrongKey(path)),
        None => {
            let mut fresh = Zeroizing::new(vec![0; KEY_LENGTH]);
            random(&mut fresh)?;
            private::write(&path, &fresh)?;
            fresh
        }
    };
    let secret = <&[u8; KEY_LENGTH]>::try_from(secret.as_slice())
        .map_err(|_| StoreError::WrongKey(path.clone()))?;
    let sealer = Sealer::new(secret);
    let check = URL_SAFE_NO_PAD.encode(sealer.check());
    match known {
        None => set_meta(connection, "sealing_key_check", &check)?,
        Some(known) if known == check => {}
        Some(_) => return Err(StoreError::WrongKey(path)),
    }
    Ok(sealer)
}

/// Makes the token in [`ROOT_TOKEN_FILE`] the root token, after making that file if it is missing.
pub(super) fn root_token(connection: &mut Connection, data_dir: &Path) -> Result<(), StoreError> {
    let path = data_dir.join(ROOT_TOKEN_FILE);
    let token = if let Some(bytes) = private::read(&path)? {
        Zeroizing::new(String::from_utf8_lossy(&bytes).trim().to_owned())
    } else {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        random(bytes.as_mut_slice())?;
        let text = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        let token = Zeroizing::new(text);
        private::write(&path, format!("{}\n", token.as_str()).as_bytes())?;
        token
    };
    if !token.starts_with(TOKEN_PREFIX) || token.len() < TOKEN_PREFIX.len() + TOKEN_BYTES {
        return Err(StoreError::Damaged(format!(
            "{} holds no token; remove it to get a new one",
            path.display()
        )));
    }
    let prefix: String = token.chars().take(TOKEN_SHOWN).collect();
    connection
        .execute(
            "INSERT INTO tokens (hash, prefix, name, created_ms, role)
             VALUES (?1, ?2, ?3, ?4, 'admin')
             ON CONFLICT (name) DO UPDATE
             SET hash = ?1, prefix = ?2, created_ms = ?4, last_used_ms = NULL
             WHERE hash <> ?1",
            params![
                digest(&token).as_slice(),
                prefix,
                ROOT,
                super::rows::int(now_ms())
            ],
        )
        .map(drop)
        .map_err(StoreError::Sql)
}

/// What is stored of a token.
pub(super) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

pub(super) fn random(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes)
        .map_err(|_| StoreError::Secret("the system gives no random numbers".to_owned()))
}
