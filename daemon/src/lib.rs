//! The daemon that makes declared connectors run, and the commands people type.

pub mod kafka;
pub mod plugin;
pub mod runtime;

#[cfg(test)]
mod rig;
