//! Whom the provider trusts over TLS, and what it shows.

use runnel_api::{ErrorCode, Problem};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Files of the provider's block, for an endpoint with https.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The only authorities that are trusted; those of the system without it.
    pub ca_certificate: Option<PathBuf>,
    /// The provider's own certificate with its private key.
    pub client_certificate: Option<PathBuf>,
}

impl Trust {
    /// What the files say, or which attribute names one that cannot be used.
    pub fn tls(&self) -> Result<ClientConfig, Problem> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = &self.ca_certificate {
            let attribute = "ca_certificate";
            for certificate in certificates(path, attribute)? {
                let added = roots.add(certificate);
                added.map_err(|error| unusable(path, attribute, &error.to_string()))?;
            }
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let Some(path) = &self.client_certificate else {
            return configured(roots, None).map_err(|error| internal(&error));
        };
        let attribute = "client_certificate";
        let key = PrivateKeyDer::from_pem_file(path);
        let key = key.map_err(|error| unusable(path, attribute, &error.to_string()))?;
        let chain = certificates(path, attribute)?;
        configured(roots, Some((chain, key)))
            .map_err(|error| unusable(path, attribute, &error.to_string()))
    }
}

/// For an endpoint without TLS, which the client must be told of all the same: trusts nobody.
pub fn nobody() -> Result<ClientConfig, Problem> {
    configured(RootCertStore::empty(), None).map_err(|error| internal(&error))
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

fn certificates(path: &Path, attribute: &str) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let read: Vec<_> = read.map_err(|error| unusable(path, attribute, &error.to_string()))?;
    if read.is_empty() {
        return Err(unusable(path, attribute, "it holds no certificate in PEM"));
    }
    Ok(read)
}

fn unusable(path: &Path, attribute: &str, detail: &str) -> Problem {
    let message = format!("the file {} cannot be used", path.display());
    Problem::new(ErrorCode::InvalidArgument, message)
        .detail(detail)
        .field(attribute)
}

fn internal(error: &rustls::Error) -> Problem {
    Problem::new(ErrorCode::Internal, "TLS cannot be set up").detail(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_is_said_at_its_attribute() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        for path in [empty, folder.path().join("missing.pem")] {
            let ca = Trust {
                ca_certificate: Some(path.clone()),
                client_certificate: None,
            };
            assert_eq!(
                ca.tls().unwrap_err().field.as_deref(),
                Some("ca_certificate")
            );
            let own = Trust {
                ca_certificate: None,
                client_certificate: Some(path),
            };
            let refused = own.tls().unwrap_err();
            assert_eq!(refused.field.as_deref(), Some("client_certificate"));
        }
        assert!(Trust::default().tls().is_ok());
        assert!(nobody().is_ok());
    }
}
