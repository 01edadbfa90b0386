//! The daemon that makes declared connectors run, and the commands people type.

pub mod commands;
pub mod config;
pub mod http;
pub mod logs;
pub mod store;
