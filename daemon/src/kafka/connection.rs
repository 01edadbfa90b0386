//! One connection to one broker: opened, versions asked, logged in, then one exchange after the other.

use super::access::{Access, Login};
use super::call::Call;
use super::error::{Code, Server};
use super::failure::Failure;
use super::transport::Transport;
use super::{login, shape};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A connection idle for longer is opened anew: brokers close theirs after 10 minutes
/// (`connections.max.idle.ms`), load balancers earlier.
const IDLE_MAX: Duration = Duration::from_mins(1);

/// When the work in hand must have ended, and the budget it had, for the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    pub(super) at: Instant,
    pub(super) budget: Duration,
}

impl Deadline {
    pub(super) fn after(budget: Duration) -> Self {
        Self {
            at: Instant::now() + budget,
            budget,
        }
    }

    pub(super) fn has_passed(&self) -> bool {
        Instant::now() >= self.at
    }

    /// As this one, but `budget` from now if that is earlier.
    pub(super) fn at_most(&self, budget: Duration) -> Self {
        Self::after(budget.min(self.left()))
    }

    pub(super) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    async fn hold<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        timeout_at(self.at, work)
            .await
            .unwrap_or(Err(Failure::TimedOut(self.budget)))
    }
}

/// Whether the next bytes on the stream are the answer to the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    /// Nothing is under way. An exchange takes it to `Doubtful` before its first byte.
    InStep,
    /// An exchange has begun and not ended: it failed, or its future was dropped. Only a completed
    /// exchange leads back to `InStep`.
    Doubtful,
}

/// A connection whose broker has told its versions and, where a login is wanted, let us in.
#[derive(Debug)]
pub(super) struct Connection {
    transport: Transport,
    stream: Stream,
    versions: HashMap<i16, (i16, i16)>,
    last_correlation: i32,
    /// The last exchange of opening; a later one has a higher number.
    opened_at: i32,
    logged_in: bool,
    last_used: Instant,
}

impl Connection {
    /// Connects, asks for the versions and logs in, within `deadline` in all.
    pub(super) async fn open(
        server: &Server,
        access: &Access,
        deadline: Deadline,
    ) -> Result<Self, Failure> {
        deadline
            .hold(Self::open_unbounded(server, access, deadline))
            .await
    }

    async fn open_unbounded(
        server: &Server,
        access: &Access,
        deadline: Deadline,
    ) -> Result<Self, Failure> {
        let transport = Transport::open(server, access).await?;
        let versions =
            HashMap::from([(ApiVersionsRequest::KEY as i16, ApiVersionsRequest::VERSIONS)]);
        let mut connection = Self {
            transport,
            stream: Stream::InStep,
            versions,
            last_correlation: 0,
            opened_at: i32::MAX,
            logged_in: false,
            last_used: Instant::now(),
        };
        connection.ask_versions(deadline).await?;
        if access.login != Login::None {
            login::log_in(&mut connection, &access.login, deadline).await?;
            connection.logged_in = true;
        }
        connection.opened_at = connection.last_correlation;
        Ok(connection)
    }

    async fn ask_versions(&mut self, deadline: Deadline) -> Result<(), Failure> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("runnel"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let answer = match self.call(&request, deadline).await {
            Ok(answer) => answer,
            Err(failure) => return Err(self.transport.judge_first(failure)),
        };
        if let Some(code) = Code::of(answer.error_code) {
            return Err(Failure::Malformed(format!(
                "ApiVersions failed with {code}"
            )));
        }
        self.versions = answer
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        Ok(())
    }

    /// Whether it may be used for another call.
    pub(super) fn is_usable(&self) -> bool {
        self.stream == Stream::InStep && self.last_used.elapsed() < IDLE_MAX
    }

    /// Whether it has not been used since it was opened, so that it was hardly closed meanwhile.
    pub(super) fn is_fresh(&self) -> bool {
        self.last_correlation <= self.opened_at
    }

    /// One request and its answer. A future that is dropped halfway leaves the connection unusable.
    pub(super) async fn call<C: Call>(
        &mut self,
        request: &C,
        deadline: Deadline,
    ) -> Result<C::Response, Failure> {
        if self.stream == Stream::Doubtful {
            return Err(Failure::Closed);
        }
        let version = negotiate(C::VERSIONS, self.versions.get(&(C::KEY as i16)).copied())?;
        let correlation = self.last_correlation.wrapping_add(1);
        let frame = encode(request, version, correlation)?;
        self.last_correlation = correlation;
        self.stream = Stream::Doubtful;
        let is_first = self.last_correlation == self.opened_at.saturating_add(1);
        let answer = match deadline.hold(self.transport.exchange(&frame)).await {
            // A listener with SASL tells its versions to anybody, and hangs up at what comes next.
            Err(Failure::Closed) if is_first && !self.logged_in => {
                return Err(Failure::LoginWanted);
            }
            answer => answer?,
        };
        let answer = decode::<C>(answer, version, correlation)?;
        self.stream = Stream::InStep;
        self.last_used = Instant::now();
        Ok(answer)
    }
}

/// The greatest version that both speak.
fn negotiate(ours: (i16, i16), theirs: Option<(i16, i16)>) -> Result<i16, Failure> {
    theirs
        .map(|(least, greatest)| (ours.0.max(least), ours.1.min(greatest)))
        .filter(|(least, greatest)| least <= greatest)
        .map(|(_, greatest)| greatest)
        .ok_or(Failure::Unsupported { ours, theirs })
}

fn encode<C: Call>(request: &C, version: i16, correlation: i32) -> Result<Bytes, Failure> {
    let header = RequestHeader::default()
        .with_request_api_key(C::KEY as i16)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str("runnel")));
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    let written = header
        .encode(&mut frame, C::header_version(version))
        .and_then(|()| request.encode(&mut frame, version));
    written.map_err(|error| Failure::Encode(error.to_string()))?;
    let length = i32::try_from(frame.len() - 4)
        .map_err(|_| Failure::Encode("it is above 2 GiB".to_owned()))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

fn decode<C: Call>(
    mut answer: Bytes,
    version: i16,
    correlation: i32,
) -> Result<C::Response, Failure> {
    let malformed = |text: String| Failure::Malformed(text);
    let header_version = C::Response::header_version(version);
    let header = ResponseHeader::decode(&mut answer, header_version)
        .map_err(|error| malformed(error.to_string()))?;
    if header.correlation_id != correlation {
        return Err(malformed(format!(
            "it answers request {} instead of {correlation}",
            header.correlation_id
        )));
    }
    // A broker that does not know our version of ApiVersions answers in version 0, with error 35.
    if C::KEY as i16 == ApiVersionsRequest::KEY as i16
        && answer
            .first_chunk()
            .is_some_and(|code| Code(i16::from_be_bytes(*code)).is_unsupported_version())
    {
        return Err(Failure::Unsupported {
            ours: C::VERSIONS,
            theirs: None,
        });
    }
    shape::check(C::shape(version), answer.chunk())
        .map_err(|error| malformed(format!("{} version {version}: {error}", C::NAME)))?;
    C::Response::decode(&mut answer, version).map_err(|error| malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::MetadataRequest;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const SHORT: Duration = Duration::from_millis(300);

    async fn listener() -> (TcpListener, Server) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (
            listener,
            Server {
                host: "127.0.0.1".into(),
                port,
            },
        )
    }

    /// What opening ends with when a listener answers the first request with `bytes`.
    async fn opened_against(bytes: &'static [u8]) -> Failure {
        let (listener, server) = listener().await;
        let answering = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 512];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            // Open until the client has judged.
            let _ = stream.read(&mut request).await;
        });
        let failure = Connection::open(
            &server,
            &Access::plaintext(Vec::new()),
            Deadline::after(Duration::from_secs(10)),
        )
        .await
        .unwrap_err();
        answering.await.unwrap();
        failure
    }

    #[test]
    fn the_greatest_common_version_is_taken() {
        assert_eq!(negotiate((1, 4), Some((0, 9))).unwrap(), 4);
        assert_eq!(negotiate((1, 4), Some((2, 3))).unwrap(), 3);
        assert!(negotiate((1, 4), Some((5, 9))).is_err());
        assert!(negotiate((1, 4), None).is_err());
    }

    #[tokio::test]
    async fn a_listener_that_stays_silent_costs_the_budget_and_no_more() {
        let (_listener, server) = listener().await;
        let failure = Connection::open(
            &server,
            &Access::plaintext(Vec::new()),
            Deadline::after(SHORT),
        )
        .await
        .unwrap_err();
        assert!(matches!(failure, Failure::TimedOut(_)), "{failure:?}");
    }

    #[tokio::test]
    async fn a_closed_port_is_refused_at_once() {
        let (listener, server) = listener().await;
        drop(listener);
        let failure = Connection::open(
            &server,
            &Access::plaintext(Vec::new()),
            Deadline::after(Duration::from_mins(1)),
        )
        .await
        .unwrap_err();
        assert!(matches!(failure, Failure::Connect(_)), "{failure:?}");
    }

    #[tokio::test]
    async fn a_name_without_address_is_said_to_be_one() {
        let server = Server {
            host: "no-such-host.invalid".into(),
            port: 9092,
        };
        let failure = Connection::open(
            &server,
            &Access::plaintext(Vec::new()),
            Deadline::after(Duration::from_mins(1)),
        )
        .await
        .unwrap_err();
        assert!(matches!(failure, Failure::Resolve(_)), "{failure:?}");
    }

    #[tokio::test]
    async fn garbage_is_refused_by_its_length_correlation_or_shape() {
        // "HTTP" is a length of 1.2 GB.
        for bytes in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0xff; 16]] {
            let failure = opened_against(bytes).await;
            assert!(matches!(failure, Failure::FrameTooLarge(_)), "{failure:?}");
        }
        let alert = opened_against(&[0x15, 3, 3, 0, 2, 2, 80]).await;
        assert!(matches!(alert, Failure::SpeaksTls), "{alert:?}");
        let stranger = opened_against(&[0, 0, 0, 6, 0, 0, 0, 9, 0, 0]).await;
        assert!(matches!(stranger, Failure::Malformed(_)), "{stranger:?}");
        // A right header, then an array that claims four thousand million elements.
        let huge =
            opened_against(&[0, 0, 0, 11, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]).await;
        assert!(matches!(huge, Failure::Malformed(_)), "{huge:?}");
        let old = opened_against(&[0, 0, 0, 10, 0, 0, 0, 1, 0, 35, 0, 0, 0, 0]).await;
        assert!(matches!(old, Failure::Unsupported { .. }), "{old:?}");
    }

    /// Answers `ApiVersions` with Metadata alone, then stays silent.
    async fn answer_versions_only(listener: TcpListener) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 512];
        let _ = stream.read(&mut request).await.unwrap();
        let answer = [
            0, 0, 0, 19, 0, 0, 0, 1, 0, 0, 2, 0, 3, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0,
        ];
        stream.write_all(&answer).await.unwrap();
        while stream.read(&mut request).await.is_ok_and(|read| read > 0) {}
    }

    #[tokio::test]
    async fn a_cancelled_exchange_leaves_the_connection_unusable() {
        let (listener, server) = listener().await;
        let silent = tokio::spawn(answer_versions_only(listener));
        let deadline = Deadline::after(Duration::from_secs(10));
        let mut connection = Connection::open(&server, &Access::plaintext(Vec::new()), deadline)
            .await
            .unwrap();
        assert!(connection.is_usable());
        let request = MetadataRequest::default();
        let dropped = tokio::time::timeout(SHORT, connection.call(&request, deadline)).await;
        assert!(dropped.is_err());
        assert!(!connection.is_usable());
        assert!(matches!(
            connection.call(&request, deadline).await,
            Err(Failure::Closed)
        ));
        drop(connection);
        silent.await.unwrap();
    }
}
