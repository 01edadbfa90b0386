//! Planning: from configuration, prior state and Terraform's proposal to the plan that the user sees.

mod change;
mod pipeline;
mod walk;

pub use change::{Action, Change};
pub(crate) use pipeline::{Inputs, finish, keep_prior, prepare, with_defaults};
pub(crate) use walk::{each_known, each_set, null_write_only};
