//! TLS towards a broker: what is trusted, what we show, and what it means when it fails.

use super::access::ClientCertificate;
use super::error::Server;
use super::failure::Failure;
use std::io;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, ClientConfig, RootCertStore};

/// The machine's authorities; none is an empty store.
static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();

/// What a connection is made with; host names are always checked.
pub(super) async fn config(
    ca: Option<&str>,
    client: Option<&ClientCertificate>,
) -> Result<Arc<ClientConfig>, Failure> {
    let roots = match ca {
        Some(ca) => Arc::new(authorities(ca)?),
        None => system_authorities().await?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Tls(error.to_string()))?
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let (chain, key) = identity(client)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| Failure::ClientCertificate(error.to_string()))?
        }
    };
    Ok(Arc::new(config))
}

/// The certificates in `ca`, all of which must be ones.
fn authorities(ca: &str) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca).map_err(Failure::Authorities)? {
        roots
            .add(certificate)
            .map_err(|error| Failure::Authorities(error.to_string()))?;
    }
    Ok(roots)
}

/// Reads the machine's files once; they are many, so not on an async thread.
async fn system_authorities() -> Result<Arc<RootCertStore>, Failure> {
    if let Some(system) = SYSTEM.get() {
        return Ok(system.clone());
    }
    let roots = tokio::task::spawn_blocking(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    })
    .await
    .unwrap_or_else(|_| RootCertStore::empty());
    if roots.is_empty() {
        return Err(Failure::Authorities(
            "none is declared, and this machine has none (package ca-certificates)".to_owned(),
        ));
    }
    Ok(SYSTEM.get_or_init(|| Arc::new(roots)).clone())
}

fn identity(
    client: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Failure> {
    let chain = certificates(&client.chain).map_err(Failure::ClientCertificate)?;
    // What is wrong with a key is not told in more words: they might hold some of it.
    let key = PrivateKeyDer::from_pem_slice(client.key.expose().as_bytes())
        .map_err(|_| Failure::ClientCertificate("the key is no private key in PEM".to_owned()))?;
    Ok((chain, key))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err("it holds no certificate in PEM".to_owned())
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("it is no PEM: {error}")),
    }
}

/// Agrees on TLS with `server` over a fresh connection.
pub(super) async fn handshake(
    config: Arc<ClientConfig>,
    stream: TcpStream,
    server: &Server,
    shows_certificate: bool,
) -> Result<TlsStream<TcpStream>, Failure> {
    let name = ServerName::try_from(server.host.clone())
        .map_err(|_| Failure::Tls(format!("{} is no host name", server.host)))?;
    TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| match error.kind() {
            // A listener without TLS takes the first bytes for a frame of 369 MB and hangs up.
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Failure::NoTls,
            _ => broken(error, shows_certificate),
        })
}

/// What an error of a TLS stream means. With TLS 1.3 a client certificate is judged after our side
/// has finished, so its refusal comes with the first read.
pub(super) fn broken(error: io::Error, shows_certificate: bool) -> Failure {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        Some(inner) => judge(inner, shows_certificate),
        None => Failure::Io(error),
    }
}

fn judge(error: &rustls::Error, shows_certificate: bool) -> Failure {
    match error {
        rustls::Error::InvalidCertificate(reason) => judge_certificate(reason),
        rustls::Error::NoCertificatesPresented => Failure::Certificate("it has none".to_owned()),
        rustls::Error::AlertReceived(alert) => judge_alert(*alert, shows_certificate),
        // The bytes are no TLS records.
        rustls::Error::InvalidMessage(_) => Failure::NoTls,
        other => Failure::Tls(other.to_string()),
    }
}

fn judge_certificate(reason: &CertificateError) -> Failure {
    match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Failure::UnknownAuthority
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Failure::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Failure::NotYetValid
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => Failure::HostName {
            wanted: expected.to_str().into_owned(),
            found: presented.iter().map(|name| plain_name(name)).collect(),
        },
        other => Failure::Certificate(other.to_string()),
    }
}

/// A name as the library shows it, `DnsName("a")`, as people write it.
fn plain_name(shown: &str) -> String {
    let inside = shown
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(shown).trim_matches('"').to_owned()
}

/// Alerts of RFC 8446 §6.2 that are about a client's certificate. JSSE, the brokers' TLS, says
/// `bad_certificate` where none came.
fn judge_alert(alert: AlertDescription, shows_certificate: bool) -> Failure {
    let is_about_certificate = matches!(
        alert,
        AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    );
    let said = format!("alert {alert:?}");
    match (is_about_certificate, shows_certificate) {
        (true, true) => Failure::ClientCertificateRefused(said),
        (true, false) => Failure::ClientCertificateWanted(said),
        (false, _) => Failure::Tls(format!("the broker sent {said}")),
    }
}
