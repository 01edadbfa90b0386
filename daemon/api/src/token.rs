//! Tokens of the API: who holds one, what its role lets it do, and how the API lists them.

use crate::name::Name;
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most tokens that a daemon keeps: each request compares all of them.
pub const TOKENS_MAX: usize = 256;
/// Most patterns of roles that one token may have.
pub const PASS_ROLES_MAX: usize = 32;
/// Longest pattern, in bytes. IAM's ARNs have at most 2048 characters.
pub const PASS_ROLE_BYTES_MAX: usize = 2048;
/// Longest life of a token that has an end, in seconds: ten years. Longer is a mistake in the unit.
pub const EXPIRES_SECONDS_MAX: u64 = 10 * 365 * 24 * 3600;

/// What a token may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenRole {
    /// Reads.
    Viewer,
    /// Plans: reads, asks for previews, stages the content of plugins.
    Planner,
    /// Changes, restarts and deletes objects.
    Operator,
    /// Everything: tokens, the audit log, the daemon's end.
    Admin,
}

impl TokenRole {
    /// Every role, from the least.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Planner, Self::Operator, Self::Admin];

    /// The role as it is written on the wire and in `runnel token create --role`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Planner => "planner",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Reads [`TokenRole::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for TokenRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A token as it is listed. Its text is nowhere but with its holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// Its name, unique.
    pub name: Name,
    /// How its text begins, to find it in a file or a vault.
    pub prefix: String,
    /// What it may do.
    pub role: TokenRole,
    /// Patterns of the role ARNs that its holder may give to connectors; all when there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_roles: Vec<String>,
    /// When it was made, milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it ends, milliseconds since the Unix epoch; never without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// When it was last used, to ten minutes, milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_ms: Option<u64>,
}

/// Body of `POST /api/v1/tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Its name, unique.
    pub name: Name,
    /// What it may do.
    pub role: TokenRole,
    /// Seconds from now to its end; never without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_seconds: Option<u64>,
    /// Patterns of role ARNs with `*` and `?`; none allows all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_roles: Vec<String>,
}

/// The answer to `POST /api/v1/tokens`, the only one that holds a token's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreatedToken {
    /// What will be listed.
    #[serde(flatten)]
    pub info: TokenInfo,
    /// The text. It cannot be asked for again.
    #[serde(serialize_with = "crate::secret::expose")]
    pub token: Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_written_alike_on_the_wire_and_in_text_and_grow() {
        for role in TokenRole::ALL {
            let wire = serde_json::to_value(role).unwrap();
            assert_eq!(wire.as_str(), Some(role.as_str()));
            assert_eq!(TokenRole::parse(role.as_str()), Some(role));
        }
        assert!(TokenRole::ALL.is_sorted());
        assert_eq!(TokenRole::parse("Admin"), None);
    }

    #[test]
    fn the_text_of_a_token_is_printed_nowhere_but_in_its_one_answer() {
        let created = CreatedToken {
            info: TokenInfo {
                name: Name::parse("ci").unwrap(),
                prefix: "rnl_0123".to_owned(),
                role: TokenRole::Planner,
                pass_roles: Vec::new(),
                created_ms: 1,
                expires_ms: None,
                last_used_ms: None,
            },
            token: Secret::new("rnl_secret"),
        };
        assert!(!format!("{created:?}").contains("rnl_secret"));
        let json = serde_json::to_string(&created).unwrap();
        assert!(json.contains("rnl_secret"));
        let back: CreatedToken = serde_json::from_str(&json).unwrap();
        assert_eq!(back.token.expose(), "rnl_secret");
    }
}
