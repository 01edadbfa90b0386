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
    use crate::daemon_client::{ClientError, DaemonClient};
    use runnel_api::Secret;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

    /// Answers every request over TLS as the daemon answers `GET /api/v1/info`.
    async fn daemon(pair: &rcgen::CertifiedKey<rcgen::KeyPair>) -> String {
        let key = PrivatePkcs8KeyDer::from(pair.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![pair.cert.der().clone()], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
                }
                let info = serde_json::json!({
                    "version": "x", "api_version": runnel_api::server::API_VERSION,
                    "daemon": "00000000-0000-0000-0000-000000000000", "abilities": [],
                    "runtimes": [], "isolation": "NONE",
                });
                let info = info.to_string();
                let length = info.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{info}");
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        format!("https://{address}")
    }

    #[tokio::test]
    async fn a_daemon_is_asked_over_tls_when_its_certificate_is_trusted_and_never_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, pair.cert.pem()).unwrap();
        let endpoint = daemon(&pair).await;
        let token = Secret::new("rnl_x");
        let trust = Trust {
            ca_certificate: Some(ca),
            client_certificate: None,
        };
        let client = DaemonClient::trusting(&trust, endpoint.clone(), Some(&token)).unwrap();
        assert_eq!(client.info().await.unwrap().version, "x");
        let nobody = Trust::default();
        let client = DaemonClient::trusting(&nobody, endpoint, Some(&token)).unwrap();
        let refused = client.info().await.unwrap_err();
        assert!(
            matches!(refused, ClientError::Untrusted { .. }),
            "{refused:?}"
        );
    }

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
