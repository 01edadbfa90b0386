//! The daemon that makes declared connectors run, and the commands people type.

pub mod cluster_lookup;
pub mod clusters;
pub mod commands;
pub mod config;
pub mod failpoint;
pub mod fleet;
pub mod grants;
pub mod http;
pub mod http_client;
pub mod kafka;
pub mod log_delivery;
pub mod logs;
pub mod metrics;
pub mod plugin;
pub mod reconcile;
pub mod runtime;
pub mod sampling;
pub mod store;
pub mod wiring;

#[cfg(test)]
mod rig;
