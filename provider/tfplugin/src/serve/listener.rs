//! The unix socket, and connections that have shown who they are.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::log;

/// A client that does not finish its TLS handshake by then is dropped.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Connections that may wait to be served. Terraform makes one.
const WAITING_MAX: usize = 4;
/// Names tried for the socket before giving up.
const NAMES_MAX: u32 = 8;

/// Listens on a new socket in `dir`.
pub(super) fn bind(dir: &Path) -> io::Result<(UnixListener, PathBuf)> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for attempt in 0..NAMES_MAX {
        let name = format!(
            "tfplugin-{}-{:x}",
            std::process::id(),
            now.subsec_nanos().wrapping_add(attempt)
        );
        let path = dir.join(name);
        match UnixListener::bind(&path) {
            Ok(listener) => return Ok((listener, path)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Accepted connections. A client that fails its handshake is dropped and the next one is heard.
pub(super) struct Connections(mpsc::Receiver<Connection>);

impl Connections {
    pub(super) fn new(listener: UnixListener, acceptor: Option<TlsAcceptor>) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(accept_all(listener, acceptor, sender));
        Self(receiver)
    }
}

impl Stream for Connections {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|connection| connection.map(Ok))
    }
}

async fn accept_all(
    listener: UnixListener,
    acceptor: Option<TlsAcceptor>,
    sender: mpsc::Sender<Connection>,
) {
    loop {
        let stream = tokio::select! {
            () = sender.closed() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    log::warn("cannot accept a connection", &[("error", &error)]);
                    // Out of file descriptors, say; they come back.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
        };
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        tokio::spawn(async move {
            if let Some(connection) = greet(stream, acceptor).await {
                // Nobody receives any more: the process is about to end.
                let _ = sender.send(connection).await;
            }
        });
    }
}

async fn greet(stream: UnixStream, acceptor: Option<TlsAcceptor>) -> Option<Connection> {
    let Some(acceptor) = acceptor else {
        return Some(Connection::Plain(stream));
    };
    match tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(Connection::Tls(Box::new(stream))),
        Ok(Err(error)) => {
            log::warn("a client was refused", &[("error", &error)]);
            None
        }
        Err(_) => {
            log::warn("a client did not finish its TLS handshake", &[]);
            None
        }
    }
}

/// A client that may call.
pub(super) enum Connection {
    Plain(UnixStream),
    Tls(Box<TlsStream<UnixStream>>),
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
