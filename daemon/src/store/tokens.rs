//! Tokens of the API: made, listed, revoked, and compared with what a request brings.
//!
//! Stored is the SHA-256 of a token's text. The text has 256 random bits, so that there is nothing
//! to guess and a slow hash would only slow down every request.

use super::rows::{from_json, from_word, int, to_json, to_word, uint};
use super::{Store, StoreError, keys};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runnel_api::token::{
    CreateToken, CreatedToken, EXPIRES_SECONDS_MAX, PASS_ROLE_BYTES_MAX, PASS_ROLES_MAX,
    TOKENS_MAX, TokenInfo, TokenRole,
};
use runnel_api::{ErrorCode, Name, Problem, Secret};
use rusqlite::{Connection, params};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Random bytes of a token's public part, which lists and logs show.
const ID_BYTES: usize = 6;
/// How exactly the last use is kept, in milliseconds: a write for each request would cost more than
/// the request.
const USE_GRAIN_MS: u64 = 10 * 60 * 1000;

struct Token {
    hash: [u8; 32],
    info: TokenInfo,
    /// The last use that was or is being written.
    used_ms: AtomicU64,
}

/// A token that a request showed: whose it is and what it may do.
#[derive(Clone)]
pub struct Holder(Arc<Token>);

impl Holder {
    /// The token's name.
    pub fn name(&self) -> &Name {
        &self.0.info.name
    }

    /// The public begin of the token's text, which tells two tokens of one name apart.
    pub fn prefix(&self) -> &str {
        &self.0.info.prefix
    }

    /// What it may do.
    pub fn role(&self) -> TokenRole {
        self.0.info.role
    }

    /// Patterns of the role ARNs that it may pass; all when there is none.
    pub fn pass_roles(&self) -> &[String] {
        &self.0.info.pass_roles
    }
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Holder({}, {})", self.name(), self.role())
    }
}

/// What a text is that came as a token.
#[derive(Clone, Debug)]
pub enum Login {
    /// A token that counts.
    Known(Holder),
    /// One whose time is over. The API answers as to [`Login::Unknown`].
    Expired(Holder),
    /// None, or a revoked one.
    Unknown,
}

impl Store {
    /// Whose token this text is. Every stored hash is compared, each in constant time; no I/O.
    pub fn authenticate(&self, token: &str, now_ms: u64) -> Login {
        let hash = keys::digest(token);
        let tokens = self.inner.tokens.read();
        let tokens = tokens.unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for token in tokens.iter() {
            if bool::from(token.0.hash.ct_eq(&hash)) {
                found = Some(token.clone());
            }
        }
        match found {
            None => Login::Unknown,
            Some(holder) if holder.0.info.expires_ms.is_some_and(|end| end <= now_ms) => {
                Login::Expired(holder)
            }
            Some(holder) => Login::Known(holder),
        }
    }

    /// Whether [`Store::note_use`] has something to write; true once in ten minutes for a token.
    pub fn claims_use(&self, holder: &Holder, now_ms: u64) -> bool {
        let used = &holder.0.used_ms;
        let known = used.load(Ordering::Relaxed);
        now_ms >= known.saturating_add(USE_GRAIN_MS)
            && used
                .compare_exchange(known, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Writes when a token was last used.
    pub fn note_use(&self, holder: &Holder, now_ms: u64) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute(
                "UPDATE tokens SET last_used_ms = ?2 WHERE hash = ?1",
                params![holder.0.hash.as_slice(), int(now_ms)],
            )
            .map(drop)
            .map_err(StoreError::Sql)
        })
    }

    /// Makes a token. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with `INVALID_ARGUMENT` (name the field), or `ALREADY_EXISTS`.
    pub fn create_token(
        &self,
        asked: &CreateToken,
        now_ms: u64,
    ) -> Result<CreatedToken, StoreError> {
        check(asked).map_err(StoreError::refused)?;
        let mut id = [0; ID_BYTES];
        keys::random(&mut id)?;
        let mut bytes = Zeroizing::new([0; keys::TOKEN_BYTES]);
        keys::random(bytes.as_mut_slice())?;
        let mut prefix = keys::TOKEN_PREFIX.to_owned();
        for byte in id {
            let _ = write!(prefix, "{byte:02x}");
        }
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        let token = Secret::new(format!("{prefix}_{}", secret.as_str()));
        let life_ms = asked
            .expires_seconds
            .map(|seconds| seconds.saturating_mul(1000));
        let info = TokenInfo {
            name: asked.name.clone(),
            prefix,
            role: asked.role,
            pass_roles: asked.pass_roles.clone(),
            created_ms: now_ms,
            expires_ms: life_ms.map(|life| now_ms.saturating_add(life)),
            last_used_ms: None,
        };
        let hash = keys::digest(token.expose());
        self.write(|tx| insert(tx, &info, &hash))?;
        self.reload_tokens()?;
        Ok(CreatedToken { info, token })
    }

    /// Every token, in the order of their names.
    pub fn tokens(&self) -> Result<Vec<TokenInfo>, StoreError> {
        let found = self.read(|tx| load(tx))?;
        let mut infos: Vec<TokenInfo> = found.iter().map(|token| token.0.info.clone()).collect();
        infos.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(infos)
    }

    /// Revokes a token: the next request with it is refused. Answers what it was.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with `NOT_FOUND`, or `INVALID_ARGUMENT` for the root token.
    pub fn revoke_token(&self, name: &Name) -> Result<TokenInfo, StoreError> {
        if name.as_str() == keys::ROOT {
            let message = "the root token cannot be revoked, the daemon makes it at its start";
            let problem = Problem::new(ErrorCode::InvalidArgument, message).field("name");
            let hint = "remove root.token in the data folder and start the daemon again: it makes \
                        a new one, and the old one is void";
            return Err(StoreError::refused(problem.hint(hint)));
        }
        let revoked = self.write(|tx| {
            let all = load(tx)?;
            let found = all.iter().find(|token| token.name() == name);
            let Some(found) = found else {
                let message = format!("there is no token named {name}");
                let problem = Problem::new(ErrorCode::NotFound, message);
                return Err(StoreError::refused(problem));
            };
            tx.execute("DELETE FROM tokens WHERE name = ?1", [name.as_str()])
                .map_err(StoreError::Sql)?;
            Ok(found.0.info.clone())
        })?;
        self.reload_tokens()?;
        Ok(revoked)
    }

    /// Makes the tokens in memory those of the file. The lock is taken before the file is read, so
    /// that of two changes at once the later look wins. With a file that does not read nobody is
    /// let in any more.
    fn reload_tokens(&self) -> Result<(), StoreError> {
        let tokens = self.inner.tokens.write();
        let mut tokens = tokens.unwrap_or_else(PoisonError::into_inner);
        let loaded = self.read(|tx| load(tx));
        match loaded {
            Ok(fresh) => *tokens = fresh,
            Err(error) => {
                tokens.clear();
                return Err(error);
            }
        }
        Ok(())
    }
}

fn check(asked: &CreateToken) -> Result<(), Problem> {
    let wrong = |field: &str, message: String| {
        Err(Problem::new(ErrorCode::InvalidArgument, message).field(field))
    };
    if let Some(seconds) = asked.expires_seconds
        && !(1..=EXPIRES_SECONDS_MAX).contains(&seconds)
    {
        let message = format!("a token lives 1 to {EXPIRES_SECONDS_MAX} seconds, not {seconds}");
        return wrong("expires_seconds", message);
    }
    if asked.pass_roles.len() > PASS_ROLES_MAX {
        let message = format!("a token has at most {PASS_ROLES_MAX} patterns of roles");
        return wrong("pass_roles", message);
    }
    for (index, pattern) in asked.pass_roles.iter().enumerate() {
        let is_plausible = (pattern == "*" || pattern.starts_with("arn:"))
            && pattern.len() <= PASS_ROLE_BYTES_MAX
            && !pattern.chars().any(char::is_whitespace);
        if !is_plausible {
            let message = format!(
                "{pattern:?} is no pattern of role ARNs; write one such as \
                 arn:aws:iam::*:role/orders-*"
            );
            return wrong(&format!("pass_roles[{index}]"), message);
        }
    }
    Ok(())
}

fn insert(tx: &Connection, info: &TokenInfo, hash: &[u8; 32]) -> Result<(), StoreError> {
    let all = load(tx)?;
    if all.iter().any(|token| *token.name() == info.name) {
        let message = format!("there is a token named {} already", info.name);
        let problem = Problem::new(ErrorCode::AlreadyExists, message).field("name");
        let hint = format!(
            "choose another name, or revoke it: runnel token revoke {}",
            info.name
        );
        return Err(StoreError::refused(problem.hint(hint)));
    }
    if all.len() >= TOKENS_MAX {
        let message = format!("the daemon keeps at most {TOKENS_MAX} tokens");
        let problem = Problem::new(ErrorCode::InvalidArgument, message);
        return Err(StoreError::refused(
            problem.hint("revoke those that nobody uses"),
        ));
    }
    tx.execute(
        "INSERT INTO tokens (hash, prefix, name, created_ms, role, expires_ms, pass_roles)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            hash.as_slice(),
            info.prefix,
            info.name.as_str(),
            int(info.created_ms),
            to_word(info.role)?,
            info.expires_ms.map(int),
            to_json(&info.pass_roles)?,
        ],
    )
    .map(drop)
    .map_err(StoreError::Sql)
}

/// Reads all tokens.
pub(super) fn load(connection: &Connection) -> Result<Vec<Holder>, StoreError> {
    let sql = "SELECT hash, prefix, name, created_ms, role, expires_ms, last_used_ms, pass_roles
               FROM tokens";
    let mut statement = connection.prepare_cached(sql).map_err(StoreError::Sql)?;
    let mut rows = statement.query([]).map_err(StoreError::Sql)?;
    let mut tokens = Vec::new();
    while let Some(row) = rows.next().map_err(StoreError::Sql)? {
        let name: String = row.get(2).map_err(StoreError::Sql)?;
        let role: String = row.get(4).map_err(StoreError::Sql)?;
        let pass_roles: String = row.get(7).map_err(StoreError::Sql)?;
        let time = |index| -> Result<Option<u64>, StoreError> {
            let time: Option<i64> = row.get(index).map_err(StoreError::Sql)?;
            Ok(time.map(uint))
        };
        let last_used_ms = time(6)?;
        tokens.push(Holder(Arc::new(Token {
            hash: row.get(0).map_err(StoreError::Sql)?,
            info: TokenInfo {
                name: Name::parse(&name).map_err(|_| {
                    StoreError::Damaged("tokens.name does not read back".to_owned())
                })?,
                prefix: row.get(1).map_err(StoreError::Sql)?,
                role: from_word::<TokenRole>("tokens.role", role)?,
                pass_roles: from_json("tokens.pass_roles", &pass_roles)?,
                created_ms: time(3)?.unwrap_or(0),
                expires_ms: time(5)?,
                last_used_ms,
            },
            used_ms: AtomicU64::new(last_used_ms.unwrap_or(0)),
        })));
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{name, open};
    use super::*;

    fn asked(text: &str) -> CreateToken {
        CreateToken {
            name: name(text),
            role: TokenRole::Planner,
            expires_seconds: Some(60),
            pass_roles: vec!["arn:aws:iam::*:role/orders-*".to_owned()],
        }
    }

    #[test]
    fn a_token_is_known_until_it_expires_or_is_revoked_and_over_a_restart() {
        let (folder, store) = open();
        let created = store.create_token(&asked("ci"), 1_000).unwrap();
        let text = created.token.expose();
        assert!(text.starts_with(&format!("{}_", created.info.prefix)));
        assert_eq!(text.len(), 4 + 12 + 1 + 43);
        assert_eq!(created.info.expires_ms, Some(61_000));
        let Login::Known(holder) = store.authenticate(text, 60_999) else {
            panic!("refused");
        };
        assert_eq!(
            (holder.name(), holder.role()),
            (&name("ci"), TokenRole::Planner)
        );
        assert!(matches!(
            store.authenticate(text, 61_000),
            Login::Expired(_)
        ));
        for wrong in [&text[..text.len() - 1], &created.info.prefix, "", "rnl_"] {
            assert!(matches!(store.authenticate(wrong, 1_000), Login::Unknown));
        }
        let data = folder.path().join("data");
        drop(store);
        let store = Store::open(&data).unwrap();
        assert!(matches!(store.authenticate(text, 1_000), Login::Known(_)));
        let file = std::fs::read(data.join(super::super::DATABASE_FILE)).unwrap();
        let secret = &text[created.info.prefix.len() + 1..];
        assert!(!file.windows(43).any(|bytes| bytes == secret.as_bytes()));
        assert_eq!(store.revoke_token(&name("ci")).unwrap(), created.info);
        assert!(matches!(store.authenticate(text, 1_000), Login::Unknown));
        assert!(store.revoke_token(&name("ci")).is_err());
        assert!(store.revoke_token(&name("root")).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_token_is_said_at_its_field() {
        let (_folder, store) = open();
        store.create_token(&asked("ci"), 0).unwrap();
        let with = |change: &dyn Fn(&mut CreateToken)| {
            let mut asked = asked("other");
            change(&mut asked);
            let StoreError::Refused(problem) = store.create_token(&asked, 0).unwrap_err() else {
                panic!("another error");
            };
            problem.field.unwrap()
        };
        assert_eq!(with(&|asked| asked.name = name("ci")), "name");
        assert_eq!(with(&|asked| asked.name = name("root")), "name");
        let field = "expires_seconds";
        assert_eq!(with(&|asked| asked.expires_seconds = Some(0)), field);
        assert_eq!(with(&|asked| asked.expires_seconds = Some(u64::MAX)), field);
        for pattern in [
            "",
            "orders",
            "arn:a b",
            &format!("arn:{}", "x".repeat(2048)),
        ] {
            let field = with(&|asked| asked.pass_roles = vec![pattern.to_owned()]);
            assert_eq!(field, "pass_roles[0]");
        }
        let many = vec!["*".to_owned(); PASS_ROLES_MAX + 1];
        assert_eq!(
            with(&|asked| asked.pass_roles.clone_from(&many)),
            "pass_roles"
        );
        assert_eq!(store.tokens().unwrap().len(), 2);
    }

    #[test]
    fn tokens_are_bounded() {
        let (_folder, store) = open();
        for number in 1..TOKENS_MAX {
            store
                .create_token(&asked(&format!("t{number}")), 0)
                .unwrap();
        }
        assert!(store.create_token(&asked("more"), 0).is_err());
    }

    #[test]
    fn the_last_use_is_written_once_in_a_while() {
        let (_folder, store) = open();
        let created = store.create_token(&asked("ci"), 0).unwrap();
        let text = created.token.expose();
        let Login::Known(holder) = store.authenticate(text, 1) else {
            panic!("refused");
        };
        assert!(!store.claims_use(&holder, USE_GRAIN_MS - 1));
        assert!(store.claims_use(&holder, USE_GRAIN_MS));
        assert!(!store.claims_use(&holder, USE_GRAIN_MS + 1));
        store.note_use(&holder, USE_GRAIN_MS).unwrap();
        let infos = store.tokens().unwrap();
        assert_eq!(infos[0].last_used_ms, Some(USE_GRAIN_MS));
    }
}
