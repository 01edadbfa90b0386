//! The audit log: who changed what, from where, and what came of it.

use crate::error::ErrorCode;
use crate::name::{Kind, Name};
use crate::object::Generation;
use crate::token::TokenRole;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most records of one answer.
pub const AUDIT_LIMIT_MAX: usize = 1_000;
/// Records of an answer when nobody says how many.
pub const AUDIT_LIMIT_DEFAULT: usize = 100;

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum Actor {
    /// Somebody without a token that counts.
    Stranger,
    /// The holder of a token.
    Token {
        /// The token's name.
        name: Name,
        /// How its text begins: a name may be given again after a token was revoked.
        prefix: String,
        /// Its role at the time.
        role: TokenRole,
    },
    /// The daemon by itself.
    Daemon,
}

/// One field that is different afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The field, as written in HCL: `config["tasks.max"]`, `capacity.provisioned.mcu_count`.
    pub field: String,
    /// What it was; none when there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is; none when it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What is written down of one act. Secrets appear by the names of their keys only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who.
    pub actor: Actor,
    /// From which address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// What: method and path of a request, or the daemon's own words.
    pub action: String,
    /// The kind of the object that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The name of the object or token that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// The HTTP status of the answer; below 300 it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// The object's generation before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation_before: Option<Generation>,
    /// And after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation_after: Option<Generation>,
    /// What is different in the specification.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
    /// How many changes found no place in the record.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changes_left_out: u64,
    /// Keys of the secrets that came with the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_keys: Vec<String>,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl AuditEntry {
    /// An act of somebody, with nothing else known of it yet.
    pub fn new(at_ms: u64, actor: Actor, action: impl Into<String>) -> Self {
        Self {
            at_ms,
            actor,
            peer: None,
            action: action.into(),
            kind: None,
            name: None,
            status: None,
            code: None,
            generation_before: None,
            generation_after: None,
            changes: Vec::new(),
            changes_left_out: 0,
            secret_keys: Vec::new(),
            detail: None,
        }
    }
}

/// An entry in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Its number; they have no gaps.
    pub number: u64,
    /// What was written down.
    #[serde(flatten)]
    pub entry: AuditEntry,
    /// SHA-256 over the record before it and this one, in hexadecimal.
    pub hash: String,
}

/// What came of checking the chain of hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditVerdict {
    /// Number of the oldest record that is kept; one more than the last when none is.
    pub first: u64,
    /// Number of the newest record, 0 before the first one.
    pub last: u64,
    /// The hash of the newest record, to be written down elsewhere.
    pub last_hash: String,
    /// The first thing that is wrong; the log is whole without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}
