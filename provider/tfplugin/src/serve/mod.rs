//! From `main` to the last answer: the handshake with Terraform, the socket, the end of the process.
//!
//! Terraform starts this process, reads one line from its standard output and then speaks gRPC over a unix
//! socket with mutual TLS. It starts three to five such processes for one command, so starting and ending are
//! what users wait for: nothing is done before the handshake line that can be done after it.

mod go_plugin;
mod handshake;
mod listener;
pub mod log;
mod pinned;

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tfplugin_proto::go_plugin::grpc_broker_server::GrpcBrokerServer;
use tfplugin_proto::go_plugin::grpc_controller_server::GrpcControllerServer;
use tfplugin_proto::go_plugin::grpc_stdio_server::GrpcStdioServer;
use tfplugin_proto::tfplugin6::provider_server::ProviderServer;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::provider::Provider;
use crate::service::Service;
use handshake::Invitation;

/// The largest message in either direction. Go's plugin library has the same; tonic's own default of 4 MiB is
/// less than the state of a large resource.
const MESSAGE_MAX: usize = 256 << 20;
/// How long the last answer may take to leave after Terraform said stop. Terraform itself kills after 2 s.
const FAREWELL_MAX: Duration = Duration::from_millis(200);

/// Why the provider could not start.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("cannot listen on a unix socket in {}", dir.display())]
    Listen {
        dir: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot prepare TLS with Terraform's certificate")]
    Tls(#[from] pinned::TlsError),
    #[error("cannot write the handshake line")]
    Handshake(#[source] std::io::Error),
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("the connection to Terraform failed")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves `provider` to the Terraform that started this process, until it says stop. Call it from `main` and
/// return what it returns.
///
/// Run by hand, it says what it is and fails.
pub fn serve<P: Provider>(provider: P) -> ExitCode {
    let program = program_name();
    let Some(invitation) = Invitation::read(|name| env::var(name).ok()) else {
        eprintln!("{}", handshake::by_hand(&program));
        return ExitCode::FAILURE;
    };
    log::init(&program);
    report_panics();
    match run(provider, &invitation) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn run<P: Provider>(provider: P, invitation: &Invitation) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let outcome = runtime.block_on(serve_once(provider, invitation));
    // Calls that Terraform does not wait for any more end with the process.
    runtime.shutdown_background();
    outcome
}

async fn serve_once<P: Provider>(provider: P, invitation: &Invitation) -> Result<(), ServeError> {
    let mut interrupts = signal(SignalKind::interrupt()).map_err(ServeError::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Runtime)?;
    let dir = &invitation.socket_dir;
    let (listener, socket) = SocketFile::bind(dir).map_err(|source| ServeError::Listen {
        dir: dir.clone(),
        source,
    })?;
    let (acceptor, certificate) = match &invitation.client_certificate {
        Some(pem) => {
            let (config, certificate) = pinned::server_config(pem)?;
            (Some(TlsAcceptor::from(Arc::new(config))), Some(certificate))
        }
        None => (None, None),
    };
    let line = handshake::line(invitation, &socket.0, certificate.as_deref());
    say(&line).map_err(ServeError::Handshake)?;

    let stop = CancellationToken::new();
    let provider = ProviderServer::new(Service::new(provider))
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX);
    let server = tonic::transport::Server::builder()
        .add_service(provider)
        .add_service(GrpcControllerServer::new(go_plugin::Controller::new(
            stop.clone(),
        )))
        .add_service(GrpcStdioServer::new(go_plugin::Stdio::new(stop.clone())))
        .add_service(GrpcBrokerServer::new(go_plugin::Broker::new(stop.clone())))
        .serve_with_incoming_shutdown(
            listener::Connections::new(listener, acceptor),
            stop.clone().cancelled_owned(),
        );
    tokio::pin!(server);
    loop {
        tokio::select! {
            ended = &mut server => return Ok(ended?),
            () = stop.cancelled() => break,
            // Ctrl-C reaches the whole process group; Terraform tells us with StopProvider what to do.
            _ = interrupts.recv() => log::debug("interrupt ignored", &[]),
            _ = terminate.recv() => return Ok(()),
        }
    }
    // The answer to Shutdown is on its way; Terraform then closes the connection.
    let _ = tokio::time::timeout(FAREWELL_MAX, server).await;
    Ok(())
}

/// The socket file, removed when it goes out of scope.
struct SocketFile(PathBuf);

impl SocketFile {
    fn bind(dir: &Path) -> std::io::Result<(UnixListener, Self)> {
        use std::os::unix::fs::PermissionsExt;
        let (listener, path) = listener::bind(dir)?;
        let file = Self(path);
        std::fs::set_permissions(&file.0, std::fs::Permissions::from_mode(0o600))?;
        Ok((listener, file))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may be gone already; nobody is left to tell.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Terraform shows what follows a line that starts with `panic: ` as a crash report.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(|place| format!(" at {}:{}", place.file(), place.line()))
            .unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("no reason given");
        eprintln!(
            "panic: {text}{place}\n\n{}",
            std::backtrace::Backtrace::capture()
        );
    }));
}

fn program_name() -> String {
    let path = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    path.file_name().map_or_else(
        || "provider".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
