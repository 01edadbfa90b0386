//! The Terraform provider `runnel`: declares Kafka clusters, plugins, worker configurations, roles
//! and connectors to the Runnel daemon.

mod attributes;
mod connector;
mod connector_data;
mod daemon_client;
mod docs;
mod duration;
mod field_path;
mod kafka_cluster;
mod lifecycle;
mod plugin;
mod policy_document;
mod properties_decode;
mod provider;
mod report;
mod resource;
#[cfg(test)]
mod responder;
mod role;
mod session;
mod settings;
mod timeouts;
mod trust;
mod waiting;
mod worker_configuration;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "docs") {
        let folder = arguments.next();
        let folder = folder.map_or_else(|| PathBuf::from("docs"), PathBuf::from);
        return match docs::write(&folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}: {error}", folder.display());
                ExitCode::FAILURE
            }
        };
    }
    tfplugin::serve(provider::Runnel)
}
