//! Clients of HTTP: whom they trust, and what they show.
//!
//! Every client of this program begins here, because a client must be told how to speak TLS even
//! when it never does.

use runnel_api::{ErrorCode, Problem};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Whom a client trusts over TLS, and what it shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// PEM file with the only authorities that are trusted; those of the system without it.
    pub ca_certificate: Option<PathBuf>,
    /// PEM file with the client's own certificate and its private key.
    pub client_certificate: Option<PathBuf>,
}

/// A client of this machine's own servers, which speaks no TLS: it trusts nobody.
pub fn plain() -> reqwest::ClientBuilder {
    let client = reqwest::Client::builder();
    match configured(RootCertStore::empty(), None) {
        Ok(config) => client.tls_backend_preconfigured(config),
        // Building it will say why.
        Err(_) => client,
    }
}

/// A client of a daemon that may speak TLS.
///
/// # Errors
/// `INVALID_ARGUMENT` with the field `ca_certificate` or `client_certificate` when a file does not
/// hold what it should.
pub fn trusting(trust: &Trust) -> Result<reqwest::ClientBuilder, Problem> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &trust.ca_certificate {
        let field = "ca_certificate";
        for certificate in certificates(path, field)? {
            let added = roots.add(certificate);
            added.map_err(|error| unusable(path, field, &error.to_string()))?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let field = "client_certificate";
    let own = match &trust.client_certificate {
        None => None,
        Some(path) => {
            let key = PrivateKeyDer::from_pem_file(path);
            let key = key.map_err(|error| unusable(path, field, &error.to_string()))?;
            Some((certificates(path, field)?, key))
        }
    };
    let config = configured(roots, own).map_err(|error| {
        let path = trust.client_certificate.as_deref().unwrap_or(Path::new(""));
        unusable(path, field, &error.to_string())
    })?;
    Ok(reqwest::Client::builder().tls_backend_preconfigured(config))
}

type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn configured(roots: RootCertStore, own: Option<Own>) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    match own {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key),
    }
}

fn certificates(path: &Path, field: &str) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let read: Vec<_> = read.map_err(|error| unusable(path, field, &error.to_string()))?;
    if read.is_empty() {
        return Err(unusable(path, field, "it holds no certificate in PEM"));
    }
    Ok(read)
}

fn unusable(path: &Path, field: &str, detail: &str) -> Problem {
    let message = format!("{} cannot be used", path.display());
    Problem::new(ErrorCode::InvalidArgument, message)
        .detail(detail)
        .field(field)
}
