//! What trials and benchmarks share: real servers, the daemon as a process, the real terraform.

pub mod canary;
pub mod daemon;
pub mod deeds;
pub mod hcl;
pub mod probe;
pub mod process;
pub mod rig;
pub mod secured;
pub mod standing;
pub mod terraform;
pub mod wire;
pub mod world;
