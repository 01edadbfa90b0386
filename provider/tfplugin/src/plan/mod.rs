//! Planning: from configuration, prior state and Terraform's proposal to the plan that the user sees.

mod change;
mod pipeline;
mod walk;

pub use change::{Action, Change};
pub(crate) use pipeline::{Inputs, finish, keep_prior, prepare};
pub(crate) use walk::null_write_only;
