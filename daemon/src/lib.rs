//! The daemon that makes declared connectors run, and the commands people type.

pub mod config;
pub mod http;
pub mod kafka;
pub mod logs;
pub mod plugin;
pub mod runtime;
pub mod store;

#[cfg(test)]
mod rig;
