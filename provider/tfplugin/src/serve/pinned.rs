//! Mutual TLS with exactly one client.
//!
//! Terraform makes a P-521 certificate per process and hands us its PEM; we make a P-256 one and hand back its
//! DER. Neither is signed by anybody, so trust is equality of bytes. Two things are unusual enough to need
//! code of our own: `ring` cannot verify P-521 (without it, Go silently sends no certificate at all), and
//! Terraform's certificate says that it is an authority, which the usual verifier refuses in a client.

use std::sync::{Arc, LazyLock};

use p521::ecdsa::signature::Verifier;
use p521::ecdsa::{Signature, VerifyingKey};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, PrivateKeyDer, PrivatePkcs8KeyDer,
    SignatureVerificationAlgorithm, UnixTime, alg_id,
};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("PLUGIN_CLIENT_CERT holds no certificate")]
    ClientCertificate(#[source] rustls::pki_types::pem::Error),
    #[error("cannot make a certificate")]
    OwnCertificate(#[from] rcgen::Error),
    #[error("the TLS settings are refused")]
    Settings(#[from] rustls::Error),
}

/// Settings of a server that talks to the owner of `client_pem` only, and the server's certificate (DER).
pub(super) fn server_config(client_pem: &str) -> Result<(ServerConfig, Vec<u8>), TlsError> {
    let client = CertificateDer::from_pem_slice(client_pem.as_bytes())
        .map_err(TlsError::ClientCertificate)?;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?;
    parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = parameters.self_signed(&key)?.der().clone();

    let mut config = ServerConfig::builder_with_provider(Arc::new(crypto()))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(Pinned(client)))
        .with_single_cert(
            vec![certificate.clone()],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )?;
    // grpc-go refuses a server that does not negotiate HTTP/2 (from Terraform 1.12 on).
    config.alpn_protocols = vec![b"h2".to_vec()];
    // There is one connection: nothing to resume, and nothing that could skip the certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok((config, certificate.to_vec()))
}

/// ring, and P-521 beside what it has.
fn crypto() -> CryptoProvider {
    CryptoProvider {
        signature_verification_algorithms: *ALGORITHMS,
        ..ring::default_provider()
    }
}

static P521: &dyn SignatureVerificationAlgorithm = &P521Sha512;

/// Made once and kept for the life of the process, as rustls wants it.
static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| {
    let ring = ring::default_provider().signature_verification_algorithms;
    let mut all = vec![P521];
    all.extend(ring.all);
    let mut mapping: Vec<(
        SignatureScheme,
        &'static [&'static dyn SignatureVerificationAlgorithm],
    )> = vec![(
        SignatureScheme::ECDSA_NISTP521_SHA512,
        std::slice::from_ref(&P521),
    )];
    mapping.extend(ring.mapping);
    WebPkiSupportedAlgorithms {
        all: all.leak(),
        mapping: mapping.leak(),
    }
});

/// ECDSA over P-521 with SHA-512, verified by the crate `p521`.
#[derive(Debug)]
struct P521Sha512;

impl SignatureVerificationAlgorithm for P521Sha512 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        key.verify(message, &signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA512
    }
}

/// Accepts one certificate and no other.
#[derive(Debug)]
struct Pinned(CertificateDer<'static>);

impl ClientCertVerifier for Pinned {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // Both are public, so the time that comparing takes tells nothing.
        if end_entity.as_ref() == self.0.as_ref() {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &ALGORITHMS)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &ALGORITHMS)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }
}
