//! The daemon that makes declared connectors run, and the commands people type.

pub mod fleet;
