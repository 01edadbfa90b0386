//! The API's certificate: read from its files, and read again when they change.
//!
//! Whoever renews certificates replaces files and tells nobody. So the files are looked at when a
//! connection comes, though not more often than [`LOOK`]. New ones that do not work, such as a
//! certificate whose key is not written yet, change nothing: the old ones stay until the files
//! change again.

use crate::config;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

/// Least time between two looks at the files.
const LOOK: Duration = Duration::from_secs(2);
/// Bytes of a PEM file; a bundle of all public authorities has a quarter of that.
const FILE_MAX: u64 = 1 << 20;
/// The mode bit that lets everybody read a file.
const READ_BY_ALL: u32 = 0o004;

/// Why the files give no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// A file is too large to be what it should be.
    #[error("{} is larger than 1 MiB", .0.display())]
    TooLarge(PathBuf),
    /// Everybody can read the private key.
    #[error("{path} can be read by everybody; run: chmod 600 {path}", path = .0.display())]
    Open(PathBuf),
    /// A file is no PEM, or has not what it should have.
    #[error("{} holds no {what} in PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What was found.
        source: pem::Error,
    },
    /// A file of certificates has none.
    #[error("{} holds no certificate", .0.display())]
    Empty(PathBuf),
    /// The certificate and the key cannot be used together.
    #[error("the certificate cannot be used with its key")]
    Pair(#[source] rustls::Error),
    /// The authorities of clients cannot be used.
    #[error("the authorities of clients cannot be used")]
    ClientCa(#[source] VerifierBuilderError),
}

/// How a file looked: whoever replaces it changes one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// Certificate, key and authorities of clients as they looked; none for a file that is away.
type Stamps = [Option<Stamp>; 3];

struct Loaded {
    acceptor: TlsAcceptor,
    /// Of the files that were tried last, whether they worked or not.
    tried: Stamps,
    looked: Instant,
}

/// The certificate of this moment.
pub struct Tls {
    files: config::Tls,
    loaded: Mutex<Loaded>,
}

impl Tls {
    /// Reads the files. Unlike later ones the first must work.
    pub fn open(files: config::Tls) -> Result<Self, TlsError> {
        let tried = stamps(&files);
        let acceptor = load(&files)?;
        Ok(Self {
            files,
            loaded: Mutex::new(Loaded {
                acceptor,
                tried,
                looked: Instant::now(),
            }),
        })
    }

    /// What accepts a connection now. Looks at the files when the last look is long enough ago:
    /// three small local files, so that a thread of its own would cost more.
    pub fn acceptor(&self, now: Instant) -> TlsAcceptor {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(loaded.looked) < LOOK {
            return loaded.acceptor.clone();
        }
        loaded.looked = now;
        let found = stamps(&self.files);
        if found != loaded.tried {
            loaded.tried = found;
            match load(&self.files) {
                Ok(acceptor) => {
                    tracing::info!("the API has a new certificate");
                    loaded.acceptor = acceptor;
                }
                Err(error) => {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(%error, source, "the API keeps its old certificate");
                }
            }
        }
        loaded.acceptor.clone()
    }
}

fn stamps(files: &config::Tls) -> Stamps {
    let stamp = |path: &Path| std::fs::metadata(path).ok().as_ref().map(Stamp::of);
    [
        stamp(&files.certificate),
        stamp(&files.private_key),
        files.client_ca.as_deref().and_then(stamp),
    ]
}

fn load(files: &config::Tls) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = private_key(&files.private_key)?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(TlsError::Pair)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(TlsError::ClientCa)?)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn text(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |error| TlsError::Unreadable(path.to_owned(), error);
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.len() > FILE_MAX {
        return Err(TlsError::TooLarge(path.to_owned()));
    }
    std::fs::read(path).map_err(unreadable)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = text(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|source| TlsError::Pem {
        path: path.to_owned(),
        what: "certificate",
        source,
    })?;
    if certificates.is_empty() {
        return Err(TlsError::Empty(path.to_owned()));
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = zeroize::Zeroizing::new(text(path)?);
    let metadata = std::fs::metadata(path);
    let metadata = metadata.map_err(|error| TlsError::Unreadable(path.to_owned(), error))?;
    if metadata.mode() & READ_BY_ALL != 0 {
        return Err(TlsError::Open(path.to_owned()));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|source| TlsError::Pem {
        path: path.to_owned(),
        what: "private key",
        source,
    })
}
