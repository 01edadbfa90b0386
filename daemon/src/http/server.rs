//! The listener: bounded connections, bounded waits, an end that lets requests finish.

use super::access::Peer;
use super::tls::Tls;
use super::{Api, router};
use axum::Router;
use http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::Service as _;

/// Pause after a failed accept; out of file descriptors is the usual reason, and it passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener and where it really is.
#[derive(Debug)]
pub struct Bound {
    /// The listener.
    pub listener: TcpListener,
    /// Its address; the port is real where 0 was asked for.
    pub address: SocketAddr,
}

/// Binds, and writes the real address where the commands look for it.
pub async fn bind(listen: SocketAddr, address_file: &Path) -> io::Result<Bound> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let mut aside = address_file.as_os_str().to_owned();
    aside.push(".new");
    tokio::fs::write(&aside, format!("{address}\n")).await?;
    tokio::fs::rename(&aside, address_file).await?;
    Ok(Bound { listener, address })
}

/// Answers requests, over TLS where there is a certificate, until `shutdown`, then lets those under way finish for a bounded time.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    api: Arc<Api>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let router = router(api.clone());
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(api.limits.connections_max));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            let place = connections.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, (stream, peer)) = tokio::select! {
            () = &mut shutdown => break,
            (place, accepted) = accepted => match accepted {
                Ok((stream, peer)) => (place, (stream, Peer(peer))),
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        // Answers are small; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let acceptor = tls.as_ref().map(|tls| tls.acceptor(Instant::now()));
        let (router, api) = (router.clone(), api.clone());
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            let _place = place;
            let served = match acceptor {
                None => watcher.watch(connection(stream, peer, router, &api)).await,
                Some(acceptor) => {
                    let shaken = acceptor.accept(stream);
                    match tokio::time::timeout(api.limits.header_timeout, shaken).await {
                        Ok(Ok(stream)) => {
                            watcher.watch(connection(stream, peer, router, &api)).await
                        }
                        Ok(Err(error)) => {
                            tracing::debug!(peer = %peer.0, %error, "no TLS came about");
                            return;
                        }
                        Err(_) => {
                            tracing::debug!(peer = %peer.0, "TLS did not come about in time");
                            return;
                        }
                    }
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    api.close();
    if tokio::time::timeout(api.limits.drain, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests are still under way and are dropped");
    }
}

/// One connection: bounded in the size of a request's head and in the number of requests, so that
/// nobody holds one for good.
fn connection<Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: Stream,
    peer: Peer,
    router: Router,
    api: &Api,
) -> impl GracefulConnection<Error = hyper::Error> + Send + use<Stream> {
    let left = AtomicU32::new(api.limits.requests_max);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let is_last = left.fetch_sub(1, Ordering::Relaxed) <= 1;
        request.extensions_mut().insert(peer);
        let answered = router.clone().call(request);
        async move {
            let mut response = answered.await?;
            if is_last {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(api.limits.header_timeout)
        .max_headers(api.limits.headers_max)
        .max_buf_size(api.limits.head_max)
        .serve_connection(TokioIo::new(stream), service)
}
