//! Calls of the API: JSON 1.1 over HTTP, signed by Signature Version 4.

use crate::config::CloudWatchLogs;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use runnel_api::Secret;
use serde::Deserialize;
use serde_json::Value;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// For one call with everything; a request is at most 1 MiB.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of an answer; those of this API are a few hundred.
const ANSWER_MAX: usize = 64 << 10;
/// Bytes of a file with a secret.
const SECRET_MAX: u64 = 4 << 10;
/// The service's name in signatures.
const SERVICE: &str = "logs";

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No answer, or none that could be read.
    #[error("{0}")]
    NoAnswer(String),
    /// The request could not be made: a credential is missing or open to others.
    #[error("{0}")]
    Credential(String),
    /// The API refuses.
    #[error("{code}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The exception's name without its namespace.
        code: String,
        /// The API's words.
        message: String,
    },
}

/// Reads the secret of an access key. A file that others can read is refused.
pub fn read_secret(path: &Path) -> Result<Secret, CallError> {
    let wrong = |what: String| CallError::Credential(format!("{}: {what}", path.display()));
    let metadata = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(wrong(format!(
            "others can read it (mode {mode:03o}); chmod 600"
        )));
    }
    if metadata.len() > SECRET_MAX {
        return Err(wrong("it is too large for a secret access key".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let text = zeroize::Zeroizing::new(text);
    if text.trim().is_empty() {
        return Err(wrong("it is empty".to_owned()));
    }
    Ok(Secret::new(text.trim()))
}

/// Makes one call and gives its answer.
pub async fn call(
    server: &CloudWatchLogs,
    secret: &Secret,
    action: &str,
    body: &Value,
) -> Result<Value, CallError> {
    let request = signed(server, secret, action, body, SystemTime::now())?;
    tokio::time::timeout(CALL_TIMEOUT, exchange(request))
        .await
        .map_err(|_| {
            let seconds = CALL_TIMEOUT.as_secs();
            CallError::NoAnswer(format!(
                "no answer of {} within {seconds} s",
                server.endpoint
            ))
        })?
        .map_err(|error| CallError::NoAnswer(format!("{}: {error}", server.endpoint)))
        .and_then(|(status, bytes)| answer(status, &bytes))
}

fn signed(
    server: &CloudWatchLogs,
    secret: &Secret,
    action: &str,
    body: &Value,
    now: SystemTime,
) -> Result<Request<Full<Bytes>>, CallError> {
    let odd = |error: &dyn std::fmt::Display| {
        CallError::Credential(format!("the request cannot be signed: {error}"))
    };
    let uri: Uri = format!("{}/", server.endpoint)
        .parse()
        .map_err(|error| odd(&error))?;
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    let target = format!("Logs_20140328.{action}");
    let headers = [
        (header::CONTENT_TYPE.as_str(), "application/x-amz-json-1.1"),
        (header::HOST.as_str(), host.as_str()),
        ("x-amz-target", target.as_str()),
    ];
    let body = body.to_string();
    let identity = Credentials::new(
        server.access_key_id.clone(),
        secret.expose(),
        None,
        None,
        "runnel",
    )
    .into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(&server.region)
        .name(SERVICE)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| odd(&error))?
        .into();
    let signable = SignableRequest::new(
        Method::POST.as_str(),
        uri.to_string(),
        headers.into_iter(),
        SignableBody::Bytes(body.as_bytes()),
    )
    .map_err(|error| odd(&error))?;
    let (instructions, _) = sign(signable, &params)
        .map_err(|error| odd(&error))?
        .into_parts();
    let mut request = Request::post(uri);
    for (name, value) in headers.into_iter().chain(instructions.headers()) {
        request = request.header(name, value);
    }
    request.body(Full::from(body)).map_err(|error| odd(&error))
}

/// A connection for each call: there is one call in some seconds.
async fn exchange(mut request: Request<Full<Bytes>>) -> io::Result<(u16, Bytes)> {
    let uri = request.uri().clone();
    let is_tls = uri.scheme_str() == Some("https");
    let host = uri.host().unwrap_or_default();
    let bare = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let stream = TcpStream::connect((bare.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    // HTTP/1.1 asks for the path alone.
    *request.uri_mut() = Uri::from_static("/");
    if is_tls {
        let name = ServerName::try_from(bare).map_err(io::Error::other)?;
        let stream = TlsConnector::from(tls()?).connect(name, stream).await?;
        converse(stream, request).await
    } else {
        converse(stream, request).await
    }
}

async fn converse<S>(stream: S, request: Request<Full<Bytes>>) -> io::Result<(u16, Bytes)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
    let asking = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_MAX);
        let bytes = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok((status, bytes))
    };
    tokio::pin!(asking);
    tokio::select! {
        answered = &mut asking => answered,
        // The connection may end with the last byte of the answer.
        ended = connection => match ended {
            Ok(()) => asking.await,
            Err(error) => Err(io::Error::other(error)),
        },
    }
}

/// The machine's certificate authorities, read once.
fn tls() -> io::Result<Arc<ClientConfig>> {
    static TLS: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(tls) = TLS.get() {
        return Ok(tls.clone());
    }
    let mut roots = RootCertStore::empty();
    let (added, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        let message = "this machine has no certificate authorities; install ca-certificates";
        return Err(io::Error::other(message));
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TLS.get_or_init(|| Arc::new(config)).clone())
}

/// What an error of JSON 1.1 holds; the case of `message` differs between services.
#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(rename = "__type", default)]
    kind: String,
    #[serde(alias = "Message", default)]
    message: String,
}

fn answer(status: u16, bytes: &[u8]) -> Result<Value, CallError> {
    if (200..300).contains(&status) {
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        return serde_json::from_slice(bytes).map_err(|_| {
            CallError::NoAnswer("the server answers something that is no JSON".to_owned())
        });
    }
    let refusal: Refusal = serde_json::from_slice(bytes).unwrap_or_default();
    let code = refusal.kind.rsplit('#').next().unwrap_or_default();
    Err(CallError::Refused {
        status,
        code: if code.is_empty() {
            format!("HTTP {status}")
        } else {
            code.to_owned()
        },
        message: refusal.message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> CloudWatchLogs {
        CloudWatchLogs {
            endpoint: "https://logs.us-east-1.amazonaws.com".to_owned(),
            region: "us-east-1".to_owned(),
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key_file: "unused".into(),
        }
    }

    #[test]
    fn a_request_is_signed_over_host_target_type_and_date() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let body = serde_json::json!({"logGroupName": "g"});
        let request = signed(&server(), &secret, "CreateLogGroup", &body, at).unwrap();
        let headers = request.headers();
        assert_eq!(headers["x-amz-target"], "Logs_20140328.CreateLogGroup");
        assert_eq!(headers["x-amz-date"], "20270115T080000Z");
        let authorization = headers["authorization"].to_str().unwrap();
        for part in [
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20270115/us-east-1/logs/aws4_request",
            "SignedHeaders=content-type;host;x-amz-date;x-amz-target",
            "Signature=",
        ] {
            assert!(authorization.contains(part), "{authorization}");
        }
        assert!(!format!("{request:?}").contains("wJalr"));
    }

    #[test]
    fn refusals_are_read_with_and_without_a_namespace() {
        let read = |status, text: &str| answer(status, text.as_bytes()).unwrap_err().to_string();
        let named = r#"{"__type":"com.amazonaws.logs#ThrottlingException","message":"slow"}"#;
        assert_eq!(read(400, named), "ThrottlingException: slow");
        let upper = r#"{"__type":"AccessDeniedException","Message":"no"}"#;
        assert_eq!(read(400, upper), "AccessDeniedException: no");
        assert_eq!(read(503, "<html>"), "HTTP 503: ");
        assert_eq!(answer(200, b"").unwrap(), Value::Null);
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let is_missing = |error: CallError| error.to_string().contains("No such file");
        assert!(is_missing(read_secret(&path).unwrap_err()));
        std::fs::write(&path, "the-secret\n").unwrap();
        let mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(0o640);
        let refused = read_secret(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 600") && !refused.contains("the-secret"));
        mode(0o600);
        assert_eq!(read_secret(&path).unwrap().expose(), "the-secret");
        std::fs::write(&path, "\n").unwrap();
        assert!(read_secret(&path).is_err());
    }

    #[tokio::test]
    async fn the_machines_authorities_make_a_tls_client() {
        assert!(tls().is_ok());
        // A server that speaks no TLS: an error, no hang and no plaintext.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            drop(stream);
        });
        let server = CloudWatchLogs {
            endpoint,
            ..server()
        };
        let secret = Secret::new("x");
        let error = call(&server, &secret, "PutLogEvents", &Value::Null).await;
        assert!(matches!(error, Err(CallError::NoAnswer(_))));
    }
}
