//! The daemon that makes declared connectors run, and the commands people type.

pub mod kafka;

#[cfg(test)]
mod rig;
