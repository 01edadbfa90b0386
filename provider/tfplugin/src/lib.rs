//! Terraform's plugin protocol (version 6), as a kit for providers.
//!
//! An author implements [`Provider`] and one [`Resource`] (or [`DataSource`], [`Function`], [`Ephemeral`]) per
//! type, describes each by a [`schema::Schema`], and calls [`serve`] from `main`. What lies between is done
//! here: the handshake with mutual TLS, values with null and unknown, planning by Terraform's rules, messages
//! that point into the user's file. This crate knows nothing of any particular provider.
//!
//! - [`value`]: values, types and their encodings.
//! - [`schema`]: what a configuration may say and how each attribute behaves in a plan.
//! - [`Object`], [`Tri`]: typed access that keeps null, unknown and known apart.
//! - [`oracle`]: Terraform's own rules for answers, which check ours in tests and debug builds.

mod access;
mod context;
mod diagnostics;
pub mod oracle;
mod path;
mod plan;
mod provider;
pub mod schema;
mod serve;
mod service;
pub mod value;

pub use access::{FromValue, Object, Tri};
pub use async_trait::async_trait;
pub use context::{Context, Failure, Private};
pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use path::{Path, Step};
pub use plan::{Action, Change};
pub use provider::{
    DataSource, Ephemeral, Function, FunctionError, Opened, Parameter, Provider, Resource, Setup,
    Signature,
};
pub use serve::{log, serve};
pub use tokio_util::sync::CancellationToken;
