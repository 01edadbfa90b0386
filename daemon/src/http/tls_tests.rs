//! TLS of the API with real certificates and sockets.

use super::testing::Rig;
use super::{Limits, Tls};
use crate::config;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for 127.0.0.1 and its key, PEM.
fn issued(authority: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn write(folder: &Path, (certificate, key): &(String, String)) -> config::Tls {
    let files = config::Tls {
        certificate: folder.join("server.pem"),
        private_key: folder.join("server.key"),
        client_ca: None,
    };
    std::fs::write(&files.certificate, certificate).unwrap();
    std::fs::write(&files.private_key, key).unwrap();
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&files.private_key, private).unwrap();
    files
}

/// A client that trusts one authority and may show a certificate of its own.
fn client(trusts: &Authority, shows: Option<&Authority>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(trusts.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match shows {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(Vec::new()).unwrap();
            let certificate = params.signed_by(&key, authority).unwrap();
            let key = PrivatePkcs8KeyDer::from(key.serialize_der());
            let chain = vec![certificate.der().clone()];
            builder
                .with_client_auth_cert(chain, PrivateKeyDer::from(key))
                .unwrap()
        }
    };
    TlsConnector::from(Arc::new(config))
}

/// Asks for the daemon's health; an error when no answer comes.
async fn healthy(rig: &Rig, connector: &TlsConnector) -> std::io::Result<()> {
    let stream = TcpStream::connect(rig.address).await?;
    let name = rig.address.ip().into();
    let mut stream = connector.connect(name, stream).await?;
    let request = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    Ok(())
}

#[tokio::test]
async fn requests_come_over_tls_from_those_who_trust_the_certificate_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (authority("ours"), authority("other"));
    let files = write(folder.path(), &issued(&ours));
    let rig = Rig::with_tls(Limits::default(), Tls::open(files).unwrap()).await;
    healthy(&rig, &client(&ours, None)).await.unwrap();
    let refused = healthy(&rig, &client(&other, None)).await;
    assert!(refused.unwrap_err().to_string().contains("UnknownIssuer"));
    // Plain HTTP gets no answer, and no token goes anywhere.
    let plain = rig.bare(http::Method::GET, "/healthz").send().await;
    assert!(plain.is_err());
    healthy(&rig, &client(&ours, None)).await.unwrap();
    rig.end().await;
}

#[tokio::test]
async fn with_authorities_for_clients_only_those_with_a_certificate_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, clients) = (authority("ours"), authority("clients"));
    let mut files = write(folder.path(), &issued(&ours));
    let client_ca = folder.path().join("clients.pem");
    std::fs::write(&client_ca, clients.pem()).unwrap();
    files.client_ca = Some(client_ca);
    let rig = Rig::with_tls(Limits::default(), Tls::open(files).unwrap()).await;
    healthy(&rig, &client(&ours, Some(&clients))).await.unwrap();
    assert!(healthy(&rig, &client(&ours, None)).await.is_err());
    let foreign = client(&ours, Some(&authority("foreign")));
    assert!(healthy(&rig, &foreign).await.is_err());
    rig.end().await;
}

#[tokio::test]
async fn a_handshake_has_a_time_and_silence_takes_no_place_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let ours = authority("ours");
    let files = write(folder.path(), &issued(&ours));
    let limits = Limits {
        header_timeout: Duration::from_millis(50),
        connections_max: 1,
        ..Limits::default()
    };
    let rig = Rig::with_tls(limits, Tls::open(files).unwrap()).await;
    let mut silent = TcpStream::connect(rig.address).await.unwrap();
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    healthy(&rig, &client(&ours, None)).await.unwrap();
    rig.end().await;
}

/// The certificate that a connection at this time gets.
async fn shown(tls: &Tls, authority: &Authority, at: Instant) -> CertificateDer<'static> {
    let (one, other) = tokio::io::duplex(1 << 16);
    let acceptor = tls.acceptor(at);
    let accepting = tokio::spawn(async move { acceptor.accept(other).await.map(drop) });
    let name = std::net::IpAddr::from([127, 0, 0, 1]).into();
    let stream = client(authority, None).connect(name, one).await.unwrap();
    accepting.await.unwrap().unwrap();
    let (_, connection) = stream.get_ref();
    connection.peer_certificates().unwrap()[0]
        .clone()
        .into_owned()
}

#[tokio::test]
async fn new_files_are_taken_over_and_broken_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let ours = authority("ours");
    let (first, second) = (issued(&ours), issued(&ours));
    let files = write(folder.path(), &first);
    let tls = Tls::open(files.clone()).unwrap();
    let mut now = Instant::now();
    let begin = shown(&tls, &ours, now).await;
    let mut later = || {
        now += Duration::from_secs(3);
        now
    };
    // A renewal in two steps: the certificate is there before its key.
    std::fs::write(&files.certificate, &second.0).unwrap();
    assert_eq!(shown(&tls, &ours, later()).await, begin);
    std::fs::remove_file(&files.private_key).unwrap();
    assert_eq!(shown(&tls, &ours, later()).await, begin);
    std::fs::write(&files.private_key, "no key").unwrap();
    assert_eq!(shown(&tls, &ours, later()).await, begin);
    write(folder.path(), &second);
    let renewed = shown(&tls, &ours, later()).await;
    assert_ne!(renewed, begin);
    std::fs::remove_file(&files.certificate).unwrap();
    assert_eq!(shown(&tls, &ours, later()).await, renewed);
}

#[test]
fn the_first_files_must_work() {
    let folder = tempfile::tempdir().unwrap();
    let ours = authority("ours");
    let pair = issued(&ours);
    let files = write(folder.path(), &pair);
    let told = |files: &config::Tls| Tls::open(files.clone()).err().unwrap().to_string();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&files.private_key, open).unwrap();
    assert!(told(&files).contains("chmod 600"));
    write(folder.path(), &(pair.0.clone(), issued(&ours).1));
    assert!(told(&files).contains("with its key"));
    write(folder.path(), &(String::new(), pair.1.clone()));
    assert!(told(&files).contains("holds no certificate"));
    write(folder.path(), &(pair.0.clone(), String::new()));
    assert!(told(&files).contains("holds no private key"));
    write(folder.path(), &(" ".repeat(2 << 20), pair.1));
    assert!(told(&files).contains("larger than"));
    std::fs::remove_file(&files.certificate).unwrap();
    assert!(told(&files).contains("cannot read"));
}

#[tokio::test]
async fn commands_trust_the_authority_they_are_given_and_show_their_certificate() {
    use crate::commands::{Client, Connection};
    use crate::http_client::Trust;
    use runnel_api::server::Info;
    let folder = tempfile::tempdir().unwrap();
    let (ours, clients) = (authority("ours"), authority("clients"));
    let mut files = write(folder.path(), &issued(&ours));
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    files.client_ca = Some(file("clients.pem", &clients.pem()));
    let ca_certificate = Some(file("ca.pem", &ours.pem()));
    let (certificate, key) = issued(&clients);
    let client_certificate = Some(file("client.pem", &format!("{certificate}{key}")));
    let rig = Rig::with_tls(Limits::default(), Tls::open(files).unwrap()).await;
    let client = |trust: Trust| {
        Client::new(Connection {
            endpoint: format!("https://{}", rig.address),
            trust,
            token: runnel_api::Secret::new(rig.token.clone()),
            token_from: "here".to_owned(),
            data_dir: None,
        })
    };
    let both = Trust {
        ca_certificate: ca_certificate.clone(),
        client_certificate,
    };
    let info: Info = client(both.clone())
        .unwrap()
        .get("/api/v1/info")
        .await
        .unwrap();
    assert_eq!(info.daemon, rig.store.daemon());
    let no_certificate = Trust {
        client_certificate: None,
        ..both.clone()
    };
    let without = client(no_certificate).unwrap();
    assert!(without.get::<Info>("/api/v1/info").await.is_err());
    let nobody_trusted = Trust {
        ca_certificate: None,
        ..both.clone()
    };
    let distrustful = client(nobody_trusted).unwrap();
    let refused = distrustful.get::<Info>("/api/v1/info").await;
    let refused = refused.unwrap_err();
    assert!(refused.message.contains("cannot be trusted"), "{refused:?}");
    let odd = Trust {
        ca_certificate: Some(file("odd.pem", "")),
        ..both
    };
    let odd = client(odd).unwrap_err();
    assert_eq!(odd.field.as_deref(), Some("ca_certificate"));
    rig.end().await;
}
