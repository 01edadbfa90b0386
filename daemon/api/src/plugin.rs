//! Plugins: archives of Connect classes, addressed by the SHA-256 of their bytes.

use crate::name::Name;
use crate::object::Object;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A SHA-256 in lower-case hexadecimal, 64 characters (FIPS 180-4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256Hex(String);

impl Sha256Hex {
    /// Reads 64 hexadecimal characters of either case.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()))
            .then(|| Self(text.to_ascii_lowercase()))
    }

    /// Writes a digest.
    pub fn of_digest(digest: &[u8; 32]) -> Self {
        use fmt::Write as _;
        let mut text = String::with_capacity(64);
        for byte in digest {
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// Digests bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        use sha2::{Digest as _, Sha256};
        Self::of_digest(&Sha256::digest(bytes).into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Sha256Hex {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
            .ok_or_else(|| format!("{text:?} is no SHA-256; write 64 hexadecimal characters"))
    }
}

impl From<Sha256Hex> for String {
    fn from(sha256: Sha256Hex) -> Self {
        sha256.0
    }
}

/// A reference to content by name and digest: `name@sha256:…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentRef {
    /// Name of the plugin or worker configuration.
    pub name: Name,
    /// Digest of its content.
    pub sha256: Sha256Hex,
}

impl fmt::Display for ContentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@sha256:{}", self.name, self.sha256)
    }
}

impl TryFrom<String> for ContentRef {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no reference; write NAME@sha256:DIGEST, as the attribute `ref` gives it"
            )
        };
        let (name, digest) = text.split_once("@sha256:").ok_or_else(wrong)?;
        Ok(Self {
            name: Name::parse(name).map_err(|error| format!("{}: {error}", wrong()))?,
            sha256: Sha256Hex::parse(digest).ok_or_else(wrong)?,
        })
    }
}

impl From<ContentRef> for String {
    fn from(content: ContentRef) -> Self {
        content.to_string()
    }
}

/// What a user declares; the bytes went ahead by `POST /api/v1/plugins/{name}/content`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginSpec {
    /// Free text, up to 1024 characters.
    #[serde(default)]
    pub description: String,
    /// Digest of the archive.
    pub sha256: Sha256Hex,
    /// Where the archive came from, as the user wrote it. Shown, and compared by Terraform after an
    /// import; the bytes alone count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What a class in a plugin is for; written as Connect writes it (`GET /connector-plugins`, `PluginType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassKind {
    /// Reads from a system into Kafka.
    Source,
    /// Writes from Kafka into a system.
    Sink,
    /// Keys and values.
    Converter,
    /// Headers.
    HeaderConverter,
    /// Single message transform.
    Transformation,
    /// Condition of a transform.
    Predicate,
    /// `ConfigProvider`, by service file only.
    #[serde(rename = "configprovider")]
    ConfigProvider,
    /// `ConnectRestExtension`, by service file only.
    RestExtension,
    /// `ConnectorClientConfigOverridePolicy`, by service file only.
    #[serde(rename = "connector_client_config_override_policy")]
    OverridePolicy,
}

/// A class that Connect could load from the plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PluginClass {
    /// Its Java name.
    pub class: String,
    /// What it is for.
    #[serde(rename = "type")]
    pub kind: ClassKind,
    /// Its version; `undefined` where the archive does not say.
    pub version: String,
    /// For a source connector: whether it says at all under which configuration it delivers exactly
    /// once (`SourceConnector.exactlyOnceSupport`, KIP-618). Connect refuses
    /// `exactly.once.support = required` of one that does not; one that does may still say no. None:
    /// unknown, or no source connector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exactly_once: Option<bool>,
}

/// Whether a plugin runs on a runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeFit {
    /// The runtime's name, as `kafkaconnect_version` takes it: `3.9`, `4.3`.
    pub runtime: String,
    /// Kafka members the plugin refers to that the runtime does not have; empty means compatible.
    #[serde(default)]
    pub missing: Vec<String>,
}

impl RuntimeFit {
    /// True when nothing is missing.
    pub fn is_compatible(&self) -> bool {
        self.missing.is_empty()
    }
}

/// What the daemon found in the bytes; also the answer to the upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginStatus {
    /// Size of the archive in bytes.
    pub size: u64,
    /// Classes in the order of their names.
    pub classes: Vec<PluginClass>,
    /// Each registered runtime and whether the plugin fits, newest last.
    pub runtimes: Vec<RuntimeFit>,
}

/// A plugin.
pub type Plugin = Object<PluginSpec, PluginStatus>;

/// The answer to `POST /api/v1/plugins/{name}/content` and to
/// `GET /api/v1/plugins/{name}/content/{sha256}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedContent {
    /// Digest of what arrived.
    pub sha256: Sha256Hex,
    /// What is in it.
    pub found: PluginStatus,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_reads_back_what_it_prints() {
        let text = format!("debezium@sha256:{}", "ab".repeat(32));
        let parsed = ContentRef::try_from(text.clone()).unwrap();
        assert_eq!(parsed.to_string(), text);
        for bad in ["debezium", "debezium@sha256:12", "@sha256:", "a/b@sha256:"] {
            assert!(ContentRef::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_digest_is_that_of_fips_180() {
        assert_eq!(
            Sha256Hex::of_bytes(b"abc").as_str(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
