//! The wire schema of Terraform's plugin protocol (6.10) and of go-plugin's helper services, and what is
//! generated from it. Nothing here decides anything; the crate `tfplugin` gives it meaning.

/// `tfplugin6.Provider`: the service that Terraform calls, with its messages.
#[expect(
    missing_docs,
    clippy::pedantic,
    reason = "generated; the wire schema is where names and numbers are explained"
)]
pub mod tfplugin6 {
    tonic::include_proto!("tfplugin6");
}

/// go-plugin's `GRPCController`, `GRPCStdio` and `GRPCBroker`.
#[expect(
    missing_docs,
    clippy::pedantic,
    reason = "generated; the wire schema is where names and numbers are explained"
)]
pub mod go_plugin {
    tonic::include_proto!("plugin");
}
