//! The process itself: who may connect, what a person sees, how it ends.

use std::process::Stdio;
use std::sync::Arc;

use base64::Engine;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;

use crate::workspace::echo_binary;

const COOKIE: &str = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2";
/// What an HTTP/2 client says first, with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

struct Identity {
    pem: String,
    der: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let parameters =
            rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            key: key.serialize_der(),
        }
    }
}

/// A provider process as Terraform would start it.
struct Served {
    child: Child,
    socket: String,
    certificate: Vec<u8>,
    dir: TempDir,
}

async fn serve(client: &Identity) -> Served {
    let dir = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(echo_binary())
        .env("TF_PLUGIN_MAGIC_COOKIE", COOKIE)
        .env("PLUGIN_PROTOCOL_VERSIONS", "5,6")
        .env("PLUGIN_CLIENT_CERT", &client.pem)
        .env("PLUGIN_UNIX_SOCKET_DIR", dir.path())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the example");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .await
        .expect("a line");
    let fields: Vec<&str> = line.trim_end().split('|').collect();
    assert_eq!(
        [fields[0], fields[1], fields[2], fields[4]],
        ["1", "6", "unix", "grpc"],
        "{line}"
    );
    let certificate = base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(fields[5])
        .expect("base64");
    Served {
        child,
        socket: fields[3].to_owned(),
        certificate,
        dir,
    }
}

/// Trusts one server, as Terraform does.
#[derive(Debug)]
struct OnlyThis(Vec<u8>);

impl ServerCertVerifier for OnlyThis {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if end_entity.as_ref() == self.0 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &provider().signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &provider().signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn provider() -> CryptoProvider {
    ring::default_provider()
}

/// Whether the server talks HTTP/2 with this client.
async fn is_served(served: &Served, identity: Option<&Identity>) -> bool {
    let config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OnlyThis(served.certificate.clone())));
    let mut config = match identity {
        Some(identity) => {
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key.clone()));
            config
                .with_client_auth_cert(vec![identity.der.clone()], key)
                .expect("a key")
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = UnixStream::connect(&served.socket)
        .await
        .expect("the socket");
    let name = ServerName::try_from("localhost").expect("a name");
    let Ok(mut stream) = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
    else {
        return false;
    };
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    if stream.write_all(PREFACE).await.is_err() {
        return false;
    }
    // In TLS 1.3 a client learns with its first read whether it was accepted.
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.is_ok() && frame[3] == 4
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(test);
}

#[test]
fn only_the_client_that_was_announced_is_served() {
    block_on(async {
        let (announced, other) = (Identity::new(), Identity::new());
        let mut served = serve(&announced).await;
        assert!(!is_served(&served, None).await, "no certificate");
        assert!(
            !is_served(&served, Some(&other)).await,
            "another certificate"
        );
        assert!(
            is_served(&served, Some(&announced)).await,
            "refusals leave the server alive"
        );
        served.child.kill().await.expect("the example");
    });
}

#[test]
fn a_terminated_provider_removes_its_socket() {
    block_on(async {
        let mut served = serve(&Identity::new()).await;
        let pid = served.child.id().expect("alive").to_string();
        let interrupted = Command::new("kill").args(["-INT", &pid]).status().await;
        assert!(interrupted.is_ok_and(|status| status.success()));
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await;
        assert!(sent.is_ok_and(|status| status.success()));
        let ended = served.child.wait().await.expect("the example");
        assert_eq!(ended.code(), Some(0), "the interrupt before was ignored");
        assert_eq!(
            std::fs::read_dir(served.dir.path())
                .expect("a folder")
                .count(),
            0
        );
    });
}

#[test]
fn run_by_hand_it_says_what_it_is() {
    let output = std::process::Command::new(echo_binary())
        .env_remove("TF_PLUGIN_MAGIC_COOKIE")
        .output()
        .expect("the example");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("is a Terraform provider"));
}
