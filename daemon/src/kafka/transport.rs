//! Bytes to and from one broker: TCP, TLS over it, frames.

use super::access::{Access, ClientCertificate, Encryption};
use super::error::Server;
use super::failure::Failure;
use super::tls;
use bytes::Bytes;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Largest answer that is read, in bytes. We ask for named topics and groups only; the answer for a
/// thousand topics of 50 partitions is 2 MB.
const FRAME_MAX: u32 = 8 << 20;

/// What the bytes go through.
#[derive(Debug)]
pub(super) enum Transport {
    /// TCP alone.
    Plaintext(TcpStream),
    /// TLS; whether we show a certificate tells what a broker's alert is about.
    Tls {
        stream: Box<TlsStream<TcpStream>>,
        shows_certificate: bool,
    },
}

impl Transport {
    /// Connects, and agrees on TLS where that is wanted.
    pub(super) async fn open(server: &Server, access: &Access) -> Result<Self, Failure> {
        match &access.encryption {
            Encryption::Plaintext => connect(server).await.map(Self::Plaintext),
            Encryption::Tls { ca, client } => {
                Self::open_tls(server, ca.as_deref(), client.as_ref()).await
            }
        }
    }

    async fn open_tls(
        server: &Server,
        ca: Option<&str>,
        client: Option<&ClientCertificate>,
    ) -> Result<Self, Failure> {
        // Read before connecting: a certificate that is none must not look like a broker's fault.
        let config = tls::config(ca, client).await?;
        let stream = connect(server).await?;
        let stream = tls::handshake(config, stream, server, client.is_some()).await?;
        Ok(Self::Tls {
            stream: Box::new(stream),
            shows_certificate: client.is_some(),
        })
    }

    /// One frame out, one frame in.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Bytes, Failure> {
        match self {
            Self::Plaintext(stream) => exchange(stream, request).await,
            Self::Tls {
                stream,
                shows_certificate,
            } => exchange(&mut **stream, request)
                .await
                .map_err(|failure| match failure {
                    Failure::Io(error) => tls::broken(error, *shows_certificate),
                    other => other,
                }),
        }
    }

    /// What a failure of the very first exchange says about the listener.
    pub(super) fn judge_first(&self, failure: Failure) -> Failure {
        match (self, failure) {
            // A TLS record: its type (alert 21, handshake 22) and the first byte of its version are
            // what we take for the start of a length.
            (Self::Plaintext(_), Failure::FrameTooLarge(length))
                if matches!(length >> 16, 0x1503 | 0x1603) =>
            {
                Failure::SpeaksTls
            }
            (Self::Plaintext(_), Failure::Closed) => Failure::ClosedAtOnce,
            (_, other) => other,
        }
    }
}

async fn connect(server: &Server) -> Result<TcpStream, Failure> {
    let addresses = tokio::net::lookup_host((server.host.as_str(), server.port))
        .await
        .map_err(Failure::Resolve)?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(Failure::Io)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(Failure::Connect(last))
}

async fn exchange<S>(stream: &mut S, request: &[u8]) -> Result<Bytes, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(request).await.map_err(lost)?;
    stream.flush().await.map_err(lost)?;
    read_frame(stream).await
}

/// Reads one frame; memory grows with the bytes that arrive, not with the length that is claimed.
async fn read_frame<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Bytes, Failure> {
    let length = stream.read_u32().await.map_err(lost)?;
    if length > FRAME_MAX {
        return Err(Failure::FrameTooLarge(length));
    }
    let mut frame = Vec::new();
    stream
        .take(u64::from(length))
        .read_to_end(&mut frame)
        .await
        .map_err(lost)?;
    if frame.len() < length as usize {
        return Err(Failure::Closed);
    }
    Ok(frame.into())
}

fn lost(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::Io(error),
    }
}
