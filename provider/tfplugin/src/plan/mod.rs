//! Planning.
mod change;
pub use change::{Action, Change};
