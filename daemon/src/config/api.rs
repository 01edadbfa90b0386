//! `[tls]`, `[http]` and `[audit]`: how the API is reached, and what is kept of what it did.

use super::{ConfigError, absolute};
use crate::store::AUDIT_KEPT_DEFAULT;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Most records of the audit log; at some 700 bytes each, 7 GB.
const AUDIT_RECORDS_MAX: u64 = 10_000_000;
/// Most names by which the daemon may be called.
const HOSTS_MAX: usize = 32;

/// The API's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with the certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub private_key: PathBuf,
    /// PEM file with the authorities of clients; without it clients show no certificate.
    pub client_ca: Option<PathBuf>,
}

/// How the API is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http {
    /// Names, besides those of this machine's loopback, that a request's `Host` may have while the
    /// daemon listens on loopback only.
    pub hosts: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsEntry {
    certificate: PathBuf,
    private_key: PathBuf,
    client_ca: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpEntry {
    #[serde(default)]
    hosts: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditEntry {
    records: Option<u64>,
}

/// Relative paths are below the file's folder.
pub(super) fn tls(folder: &Path, entry: Option<TlsEntry>) -> Option<Tls> {
    let entry = entry?;
    let placed = |path: PathBuf| absolute(folder.join(path));
    Some(Tls {
        certificate: placed(entry.certificate),
        private_key: placed(entry.private_key),
        client_ca: entry.client_ca.map(placed),
    })
}

pub(super) fn http(path: &Path, entry: HttpEntry) -> Result<Http, ConfigError> {
    let is_name = |host: &String| {
        !host.is_empty() && host.len() <= 253 && !host.contains(['/', ':', '@', ' ', '*'])
    };
    if entry.hosts.len() > HOSTS_MAX || !entry.hosts.iter().all(is_name) {
        return Err(ConfigError::Invalid {
            origin: path.display().to_string(),
            key: "http.hosts".to_owned(),
            wrong: format!("is {:?}", entry.hosts),
            advice: "write up to 32 host names without port, such as \"runnel.example.org\"",
        });
    }
    let hosts = entry.hosts.into_iter();
    Ok(Http {
        hosts: hosts.map(|host| host.to_ascii_lowercase()).collect(),
    })
}

/// How many records of the audit log are kept.
pub(super) fn audit(path: &Path, entry: &AuditEntry) -> Result<u64, ConfigError> {
    match entry.records {
        None => Ok(AUDIT_KEPT_DEFAULT),
        Some(records @ 1..=AUDIT_RECORDS_MAX) => Ok(records),
        Some(records) => Err(ConfigError::Invalid {
            origin: path.display().to_string(),
            key: "audit.records".to_owned(),
            wrong: format!("is {records}"),
            advice: "write how many records are kept, 1 to 10000000",
        }),
    }
}
