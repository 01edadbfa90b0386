//! go-plugin's own services. Only [`Controller`] matters: without it Terraform waits two seconds for the end of
//! each process.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use tfplugin_proto::go_plugin::{
    ConnInfo, Empty, StdioData, grpc_broker_server, grpc_controller_server, grpc_stdio_server,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

type Silence<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A stream without items that ends with the process.
fn silence<T: Send + 'static>(stop: CancellationToken) -> Silence<T> {
    Box::pin(futures_util::stream::once(stop.cancelled_owned()).filter_map(|()| async { None }))
}

/// Ends the process.
pub(super) struct Controller(CancellationToken);

/// Would mirror what is printed.
pub(super) struct Stdio(CancellationToken);

/// Would announce further sockets.
pub(super) struct Broker(CancellationToken);

impl Controller {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self(stop)
    }
}

impl Stdio {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self(stop)
    }
}

impl Broker {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self(stop)
    }
}

#[tonic::async_trait]
impl grpc_controller_server::GrpcController for Controller {
    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        self.0.cancel();
        Ok(Response::new(Empty {}))
    }
}

#[tonic::async_trait]
impl grpc_stdio_server::GrpcStdio for Stdio {
    type StreamStdioStream = Silence<StdioData>;

    async fn stream_stdio(
        &self,
        _: Request<()>,
    ) -> Result<Response<Self::StreamStdioStream>, Status> {
        Ok(Response::new(silence(self.0.clone())))
    }
}

#[tonic::async_trait]
impl grpc_broker_server::GrpcBroker for Broker {
    type StartStreamStream = Silence<ConnInfo>;

    async fn start_stream(
        &self,
        _: Request<Streaming<ConnInfo>>,
    ) -> Result<Response<Self::StartStreamStream>, Status> {
        Ok(Response::new(silence(self.0.clone())))
    }
}
