//! A listener that looks enough like a Kafka broker for `ConnectStandalone` to start.
//!
//! It answers `ApiVersions` (version 0) and `Metadata` (versions 1 and 2) and nothing else; it has
//! one broker, itself, and no topics. So a worker that only validates, or that only loads its
//! classes, needs no cluster and no credentials. Message layouts: Kafka protocol guide.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;
/// (api, least, greatest version) that is announced.
const ANNOUNCED: [(i16, i16, i16); 2] = [(API_VERSIONS, 0, 0), (METADATA, 1, 2)];
const UNSUPPORTED_VERSION: i16 = 35;
/// The largest request that is read, in bytes; a client's are below 200.
const REQUEST_MAX: usize = 64 << 10;
/// One Connect process holds one or two connections; a validator's connectors some more.
const CONNECTIONS_MAX: usize = 64;
/// Kafka's clients close an idle connection after 9 minutes (`connections.max.idle.ms`).
const IDLE_MAX: Duration = Duration::from_mins(10);
const WRITE_MAX: Duration = Duration::from_secs(10);

/// A running stub. Dropping it closes the listener and all connections.
#[derive(Debug)]
pub struct StubBroker {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl StubBroker {
    /// Listens on a free loopback port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, address));
        Ok(Self { address, accepting })
    }

    /// Where it listens: the worker's `bootstrap.servers`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for StubBroker {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, address: SocketAddr) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Owned by this task, so that the connections end with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(async move {
                    let _place = place;
                    // A client that goes away or talks nonsense ends its own connection only.
                    if let Err(error) = serve(stream, address).await {
                        tracing::debug!(%error, "stub broker: connection ended");
                    }
                });
            }
            // Out of descriptors: others may be given back meanwhile.
            Err(error) => {
                tracing::debug!(%error, "stub broker: cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(mut stream: TcpStream, address: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let Some(request) = timeout(IDLE_MAX, read_request(&mut stream)).await?? else {
            return Ok(());
        };
        let Some(answer) = answer(&request, address) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a request that a stub does not answer",
            ));
        };
        timeout(WRITE_MAX, stream.write_all(&answer)).await??;
    }
}

/// One request without its length; `None` at the end of the stream.
async fn read_request(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u32().await {
        Ok(length) => length as usize,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > REQUEST_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a request above the limit",
        ));
    }
    let mut request = vec![0; length];
    stream.read_exact(&mut request).await?;
    Ok(Some(request))
}

/// The framed answer; `None` to a call or version that was not announced. Only the request's header
/// matters: api, version, correlation id.
fn answer(request: &[u8], address: SocketAddr) -> Option<Vec<u8>> {
    let api = i16::from_be_bytes(*request.first_chunk()?);
    let version = i16::from_be_bytes(*request.get(2..)?.first_chunk()?);
    let correlation: [u8; 4] = *request.get(4..)?.first_chunk()?;
    let body = match (api, version) {
        (API_VERSIONS, 0) => versions(0),
        // KIP-511: an unknown version of ApiVersions is answered in version 0, with the list.
        (API_VERSIONS, _) => versions(UNSUPPORTED_VERSION),
        (METADATA, 1 | 2) => metadata(version, address),
        _ => return None,
    };
    let length = u32::try_from(correlation.len() + body.len()).ok()?;
    Some([&length.to_be_bytes()[..], &correlation, &body].concat())
}

fn versions(error: i16) -> Vec<u8> {
    let mut body = error.to_be_bytes().to_vec();
    put_count(&mut body, ANNOUNCED.len());
    for (api, least, greatest) in ANNOUNCED {
        for number in [api, least, greatest] {
            body.extend(number.to_be_bytes());
        }
    }
    body
}

/// One broker with id 1, which is also the controller, and no topics.
fn metadata(version: i16, address: SocketAddr) -> Vec<u8> {
    let id = 1_i32.to_be_bytes();
    let null = (-1_i16).to_be_bytes();
    let mut body = Vec::new();
    put_count(&mut body, 1);
    body.extend(id);
    put_text(&mut body, &address.ip().to_string());
    body.extend(i32::from(address.port()).to_be_bytes());
    body.extend(null);
    if version >= 2 {
        put_text(&mut body, "runnel-stub");
    }
    body.extend(id);
    put_count(&mut body, 0);
    body
}

fn put_count(body: &mut Vec<u8>, count: usize) {
    body.extend(u32::try_from(count).unwrap_or_default().to_be_bytes());
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    body.extend(u16::try_from(text.len()).unwrap_or_default().to_be_bytes());
    body.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ADDRESS: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9092);

    async fn exchange(stream: &mut TcpStream, request: &[u8]) -> Vec<u8> {
        stream
            .write_u32(u32::try_from(request.len()).unwrap())
            .await
            .unwrap();
        stream.write_all(request).await.unwrap();
        read_request(stream).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn it_tells_its_versions_and_itself_and_hangs_up_on_the_rest() {
        let stub = StubBroker::start().await.unwrap();
        let mut stream = TcpStream::connect(stub.address()).await.unwrap();
        let newer = exchange(&mut stream, &[0, 18, 0, 4, 0, 0, 0, 7, 0, 0]).await;
        assert_eq!(newer[..6], [0, 0, 0, 7, 0, 35]);
        let plain = exchange(&mut stream, &[0, 18, 0, 0, 0, 0, 0, 8, 0xff, 0xff]).await;
        assert_eq!(
            plain[4..],
            [0, 0, 0, 0, 0, 2, 0, 18, 0, 0, 0, 0, 0, 3, 0, 1, 0, 2]
        );
        let itself = exchange(
            &mut stream,
            &[0, 3, 0, 1, 0, 0, 0, 9, 0xff, 0xff, 0, 0, 0, 0],
        )
        .await;
        assert!(itself.windows(9).any(|part| part == b"127.0.0.1"));
        stream
            .write_all(&[0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 1])
            .await
            .unwrap();
        assert_eq!(read_request(&mut stream).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_dropped_stub_listens_no_more() {
        let stub = StubBroker::start().await.unwrap();
        let address = stub.address();
        let mut stream = TcpStream::connect(address).await.unwrap();
        drop(stub);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
        assert!(TcpStream::connect(address).await.is_err());
    }

    proptest! {
        #[test]
        fn any_request_is_answered_or_refused(request in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = answer(&request, ADDRESS);
        }
    }
}
