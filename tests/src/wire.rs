//! A connection of our own to the secured broker, one request at a time: what a stranger with a login could send.
//!
//! It shares nothing with the daemon's, so that it can judge it, and sees the broker's own error code of every item,
//! which client libraries hide behind retries.

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
};
use kafka_protocol::messages::{
    ApiKey, CreateAclsRequest, CreateAclsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, DescribeAclsRequest, DescribeAclsResponse,
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse, FetchRequest,
    FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, InitProducerIdRequest, InitProducerIdResponse,
    JoinGroupRequest, JoinGroupResponse, MetadataRequest, MetadataResponse, ProduceRequest,
    ProduceResponse, RequestHeader, ResponseHeader, SaslAuthenticateRequest,
    SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use ring::rand::SecureRandom as _;
use ring::{digest, hmac, pbkdf2};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A silent broker costs this much for each read and write.
const SILENCE: Duration = Duration::from_secs(10);
/// Largest answer that is read, in bytes.
const FRAME_MAX: u32 = 8 << 20;
/// More rounds than any broker here asks for.
const ROUNDS_MAX: u32 = 1 << 20;

/// A SCRAM user of a broker with TLS.
#[derive(Clone)]
pub struct Login {
    /// One `host:port`; the host is what the certificate must name.
    pub bootstrap: String,
    /// The authority, in PEM.
    pub ca: PathBuf,
    /// The user, and so the principal without `User:`.
    pub user: String,
    /// Its password.
    pub password: String,
}

/// A request in the version that is sent.
pub trait Call: Encodable + HeaderVersion {
    /// Which request it is.
    const KEY: ApiKey;
    /// The version, one that Kafka 4.x knows and that names topics by their names.
    const VERSION: i16;
    /// What comes back.
    type Answer: Decodable + HeaderVersion;
}

macro_rules! calls {
    ($($key:ident $version:literal $request:ty => $answer:ty;)*) => {
        $(impl Call for $request {
            const KEY: ApiKey = ApiKey::$key;
            const VERSION: i16 = $version;
            type Answer = $answer;
        })*
    };
}

calls! {
    Produce 11 ProduceRequest => ProduceResponse;
    Fetch 11 FetchRequest => FetchResponse;
    Metadata 9 MetadataRequest => MetadataResponse;
    FindCoordinator 4 FindCoordinatorRequest => FindCoordinatorResponse;
    JoinGroup 9 JoinGroupRequest => JoinGroupResponse;
    SaslHandshake 1 SaslHandshakeRequest => SaslHandshakeResponse;
    CreateTopics 6 CreateTopicsRequest => CreateTopicsResponse;
    DeleteTopics 5 DeleteTopicsRequest => DeleteTopicsResponse;
    InitProducerId 4 InitProducerIdRequest => InitProducerIdResponse;
    DescribeAcls 3 DescribeAclsRequest => DescribeAclsResponse;
    CreateAcls 3 CreateAclsRequest => CreateAclsResponse;
    SaslAuthenticate 2 SaslAuthenticateRequest => SaslAuthenticateResponse;
    IncrementalAlterConfigs 1 IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse;
    DescribeUserScramCredentials 0 DescribeUserScramCredentialsRequest => DescribeUserScramCredentialsResponse;
    AlterUserScramCredentials 0 AlterUserScramCredentialsRequest => AlterUserScramCredentialsResponse;
}

/// A connection that is logged in.
pub struct Wire {
    stream: StreamOwned<ClientConnection, TcpStream>,
    correlation: i32,
}

impl Wire {
    /// Connects, checks the certificate, logs in.
    pub fn open(login: &Login) -> Result<Self> {
        let (host, _) = login.bootstrap.rsplit_once(':').context("host:port")?;
        let tcp = TcpStream::connect(&login.bootstrap)
            .with_context(|| format!("connect to {}", login.bootstrap))?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(SILENCE))?;
        tcp.set_write_timeout(Some(SILENCE))?;
        let name = ServerName::try_from(host.to_owned())?;
        let tls = ClientConnection::new(Arc::new(trust(login)?), name)?;
        let mut wire = Self {
            stream: StreamOwned::new(tls, tcp),
            correlation: 0,
        };
        wire.log_in(login)
            .with_context(|| format!("log in as {}", login.user))?;
        Ok(wire)
    }

    /// One request and its answer.
    pub fn call<C: Call>(&mut self, request: &C) -> Result<C::Answer> {
        self.exchange(request)
            .with_context(|| format!("{:?} version {}", C::KEY, C::VERSION))
    }

    fn exchange<C: Call>(&mut self, request: &C) -> Result<C::Answer> {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(C::KEY as i16)
            .with_request_api_version(C::VERSION)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("probe")));
        let mut body = BytesMut::new();
        header.encode(&mut body, C::header_version(C::VERSION))?;
        request.encode(&mut body, C::VERSION)?;
        let length = u32::try_from(body.len())?;
        self.stream.write_all(&length.to_be_bytes())?;
        self.stream.write_all(&body)?;
        self.stream.flush()?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        ensure!(length <= FRAME_MAX, "an answer of {length} bytes");
        let mut answer = vec![0; length as usize];
        self.stream.read_exact(&mut answer)?;
        let mut answer = Bytes::from(answer);
        let header = ResponseHeader::decode(&mut answer, C::Answer::header_version(C::VERSION))?;
        ensure!(
            header.correlation_id == self.correlation,
            "it answers another request"
        );
        C::Answer::decode(&mut answer, C::VERSION)
    }

    /// SCRAM-SHA-512 (RFC 5802) in Kafka's frames (KIP-84).
    fn log_in(&mut self, login: &Login) -> Result<()> {
        let mechanism = StrBytes::from_static_str("SCRAM-SHA-512");
        let answer = self.call(&SaslHandshakeRequest::default().with_mechanism(mechanism))?;
        ensure!(
            answer.error_code == 0,
            "the broker knows the mechanisms {:?}",
            answer.mechanisms
        );
        let nonce = nonce()?;
        let user = login.user.replace('=', "=3D").replace(',', "=2C");
        let first = format!("n={user},r={nonce}");
        let challenge = self.authenticate(&format!("n,,{first}"))?;
        let step = answer_to(&challenge, &first, &nonce, &login.password)?;
        let last = self.authenticate(&step.message)?;
        ensure!(
            last == format!("v={}", step.signature),
            "the broker does not know the password itself"
        );
        Ok(())
    }

    fn authenticate(&mut self, message: &str) -> Result<String> {
        let bytes = Bytes::copy_from_slice(message.as_bytes());
        let answer = self.call(&SaslAuthenticateRequest::default().with_auth_bytes(bytes))?;
        if answer.error_code != 0 {
            let text = answer.error_message.unwrap_or_default();
            bail!("error {}: {text}", answer.error_code);
        }
        Ok(String::from_utf8(answer.auth_bytes.to_vec())?)
    }
}

fn trust(login: &Login) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&login.ca)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn nonce() -> Result<String> {
    let mut bytes = [0; 18];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .ok()
        .context("no randomness")?;
    Ok(BASE64.encode(bytes))
}

/// The client's last message, and the signature with which the server must answer it.
struct Step {
    message: String,
    signature: String,
}

fn answer_to(challenge: &str, first: &str, nonce: &str, password: &str) -> Result<Step> {
    let field = |name: &str| {
        let mut fields = challenge.split(',');
        fields
            .find_map(|field| field.strip_prefix(name))
            .with_context(|| format!("the challenge has no {name}"))
    };
    let joined = field("r=")?;
    ensure!(
        joined.len() > nonce.len() && joined.starts_with(nonce),
        "the broker answers somebody else"
    );
    let salt = BASE64.decode(field("s=")?)?;
    let rounds: NonZeroU32 = field("i=")?.parse()?;
    ensure!(rounds.get() <= ROUNDS_MAX, "{rounds} rounds");
    let mut salted = [0; digest::SHA512_OUTPUT_LEN];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA512,
        rounds,
        &salt,
        password.as_bytes(),
        &mut salted,
    );
    let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, key), text);
    let client = sign(&salted, b"Client Key");
    let stored = digest::digest(&digest::SHA512, client.as_ref());
    let bare = format!("c=biws,r={joined}");
    let signed = format!("{first},{challenge},{bare}");
    let signature = sign(stored.as_ref(), signed.as_bytes());
    let proof: Vec<u8> = std::iter::zip(client.as_ref(), signature.as_ref())
        .map(|(key, signature)| key ^ signature)
        .collect();
    let server = sign(&salted, b"Server Key");
    Ok(Step {
        message: format!("{bare},p={}", BASE64.encode(proof)),
        signature: BASE64.encode(sign(server.as_ref(), signed.as_bytes())),
    })
}
