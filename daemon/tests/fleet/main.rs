//! The fleet with real processes: shims of the real binary, and workers that are Kafka Connect on a real broker, or a
//! shell script where only the shim matters.

mod confined;
mod ground;
mod with_connect;
mod with_script;
