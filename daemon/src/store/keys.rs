//! What is made on the first start: the daemon's identity, the sealing key and the root token; and
//! which of two sealing keys is the right one when a rotation was cut off.

use super::seal::{KEY_LENGTH, Sealer};
use super::{StoreError, now_ms, private};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use uuid::Uuid;
use zeroize::Zeroizing;

/// The sealing key's file in the data folder: 32 bytes as they are, mode 0600.
pub const SEALING_KEY_FILE: &str = "sealing.key";
/// The key that a rotation is about to use, or uses already; see [`Standing`].
pub(super) const NEXT_KEY_FILE: &str = "sealing.key.next";
/// Where the database keeps the check value of its key.
const CHECK: &str = "sealing_key_check";
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
            "INSERT INTO meta (key, value) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET value = ?2",
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

/// What the key files are to a database, by the check value that it keeps of its key. A rotation
/// goes through these from [`Settled`](Standing::Settled) back to it; wherever it is cut off, the
/// next start (or the next rotation) finds one of them and finishes or forgets it. At each moment
/// the key that opens the rows is whole in one of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// No key anywhere and none known: a new database. The start makes the key.
    Fresh,
    /// A key file, and a database that does not know it yet: the first start ended between the two.
    /// This start makes it known.
    Unmarked,
    /// [`SEALING_KEY_FILE`] is the key, and there is no other. Rests here.
    Settled,
    /// [`SEALING_KEY_FILE`] is the key, and another one lies aside that seals nothing yet: a rotation
    /// wrote it and was not committed. Whoever finds this removes the other one.
    Prepared,
    /// [`NEXT_KEY_FILE`] is the key: the rotation was committed. What is in [`SEALING_KEY_FILE`] (the
    /// old key, zeros, or nothing) opens no row; whoever finds this puts the new file in its place.
    Committed,
    /// Neither is the key. Nothing is touched: somebody must bring the right file.
    Foreign,
}

impl Standing {
    /// From the check values: that which the database knows, and those of the two files; a file that
    /// is there and holds no key has one that nothing equals.
    pub(super) fn of(known: Option<&str>, current: Option<&str>, next: Option<&str>) -> Self {
        match (known, current, next) {
            (None, None, None) => Self::Fresh,
            (None, Some(current), None) if current != NO_KEY => Self::Unmarked,
            (Some(known), Some(current), None) if known == current => Self::Settled,
            (Some(known), Some(current), Some(_)) if known == current => Self::Prepared,
            (Some(known), _, Some(next)) if known == next => Self::Committed,
            (None | Some(_), _, _) => Self::Foreign,
        }
    }
}

/// The check value of a file that holds no key; no real one is empty.
const NO_KEY: &str = "";

/// A key file as it was found.
enum Found {
    Nothing,
    /// A file that holds no key.
    NoKey,
    Key(Box<Sealer>),
}

impl Found {
    fn read(path: &Path) -> Result<Self, StoreError> {
        let Some(bytes) = private::read(path)?.map(Zeroizing::new) else {
            return Ok(Self::Nothing);
        };
        let secret = <&[u8; KEY_LENGTH]>::try_from(bytes.as_slice());
        Ok(secret.map_or(Self::NoKey, |secret| {
            Self::Key(Box::new(Sealer::new(secret)))
        }))
    }

    fn check(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::NoKey => Some(NO_KEY.to_owned()),
            Self::Key(sealer) => Some(check_of(sealer)),
        }
    }

    fn sealer(self, path: PathBuf) -> Result<Sealer, StoreError> {
        match self {
            Self::Key(sealer) => Ok(*sealer),
            Self::Nothing | Self::NoKey => Err(StoreError::WrongKey(path)),
        }
    }
}

/// How a check value is written.
pub(super) fn check_of(sealer: &Sealer) -> String {
    URL_SAFE_NO_PAD.encode(sealer.check())
}

/// The check value of the key that the rows are sealed with.
pub(super) fn known_check(connection: &Connection) -> Result<Option<String>, StoreError> {
    meta(connection, CHECK)
}

/// Says which key the rows are sealed with from now on.
pub(super) fn record_check(connection: &Connection, sealer: &Sealer) -> Result<(), StoreError> {
    set_meta(connection, CHECK, &check_of(sealer))
}

/// Reads the sealing key, or makes it for a new database, and ends a rotation that was cut off. A
/// database that was sealed with another key is refused here rather than at the first secret.
pub(super) fn sealer(connection: &Connection, data_dir: &Path) -> Result<Sealer, StoreError> {
    let path = data_dir.join(SEALING_KEY_FILE);
    let aside = data_dir.join(NEXT_KEY_FILE);
    let known = known_check(connection)?;
    let (current, next) = (Found::read(&path)?, Found::read(&aside)?);
    let checks = (current.check(), next.check());
    let standing = Standing::of(known.as_deref(), checks.0.as_deref(), checks.1.as_deref());
    match standing {
        Standing::Fresh => {
            let sealer = make_key(&path)?;
            record_check(connection, &sealer)?;
            Ok(sealer)
        }
        Standing::Unmarked => {
            let sealer = current.sealer(path)?;
            record_check(connection, &sealer)?;
            Ok(sealer)
        }
        Standing::Settled => current.sealer(path),
        Standing::Prepared => {
            private::remove(&aside)?;
            current.sealer(path)
        }
        Standing::Committed => {
            overwrite_old_key(data_dir);
            replace_old_key(data_dir)?;
            tracing::info!("a rotation of the sealing key that was cut off is finished");
            next.sealer(path)
        }
        Standing::Foreign => Err(StoreError::WrongKey(path)),
    }
}

/// Makes a key in a file of its own: the whole key is there, safe from a crash, or no file.
pub(super) fn make_key(path: &Path) -> Result<Sealer, StoreError> {
    let mut secret = Zeroizing::new([0; KEY_LENGTH]);
    random(secret.as_mut_slice())?;
    private::write(path, secret.as_slice())?;
    Ok(Sealer::new(&secret))
}

/// Overwrites the key that opens nothing any more. If that fails it is still put out of its place.
pub(super) fn overwrite_old_key(data_dir: &Path) {
    if let Err(error) = private::overwrite(&data_dir.join(SEALING_KEY_FILE)) {
        tracing::warn!(%error, "the old sealing key is not overwritten, only removed");
    }
}

/// Puts the new key in the old one's place.
pub(super) fn replace_old_key(data_dir: &Path) -> Result<(), StoreError> {
    private::replace(
        &data_dir.join(NEXT_KEY_FILE),
        &data_dir.join(SEALING_KEY_FILE),
    )
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
