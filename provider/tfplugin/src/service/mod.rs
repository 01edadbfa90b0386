//! `tfplugin6.Provider`: what Terraform asks, answered by a [`Provider`].
//!
//! Every answer is a message of the protocol, never a gRPC error: Terraform shows those to people as little
//! more than "plugin error". A panic of a resource is a diagnostic too, so the other calls go on.

mod answer;
mod catalog;
mod managed;
mod others;
mod rpc;

use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::provider::{Provider, Setup};
use crate::schema::Schema;
use crate::value::Value;
use catalog::Catalog;

/// The provider and what it has been told so far. Cheap to clone.
pub(crate) struct Service<P: Provider>(Arc<Shared<P>>);

struct Shared<P: Provider> {
    provider: P,
    /// Built by the first call that needs it, so that the handshake does not wait for it.
    catalog: OnceLock<Catalog<P::Client>>,
    /// Set by a configure call whose configuration was known.
    client: RwLock<Option<Arc<P::Client>>>,
    /// Parent of every running call's token; cancelled and replaced by stop.
    running: Mutex<CancellationToken>,
}

impl<P: Provider> Clone for Service<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Provider> Service<P> {
    pub(crate) fn new(provider: P) -> Self {
        Self(Arc::new(Shared {
            provider,
            catalog: OnceLock::new(),
            client: RwLock::new(None),
            running: Mutex::new(CancellationToken::new()),
        }))
    }

    fn catalog(&self) -> &Catalog<P::Client> {
        self.0.catalog.get_or_init(|| Catalog::of(&self.0.provider))
    }

    fn provider_schema(&self) -> &Schema {
        &self.catalog().provider.schema
    }

    fn resource_schema(&self, name: &str) -> Option<&Schema> {
        self.catalog()
            .resources
            .get(name)
            .map(|entry| &entry.described.schema)
    }

    fn data_source_schema(&self, name: &str) -> Option<&Schema> {
        self.catalog()
            .data_sources
            .get(name)
            .map(|entry| &entry.described.schema)
    }

    fn ephemeral_schema(&self, name: &str) -> Option<&Schema> {
        self.catalog()
            .ephemerals
            .get(name)
            .map(|entry| &entry.described.schema)
    }

    fn client(&self) -> Option<Arc<P::Client>> {
        self.0
            .client
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn cancel_token(&self) -> CancellationToken {
        self.0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .child_token()
    }

    /// Cancels the calls that run; later calls get a fresh token.
    fn stop(&self) {
        let mut running = self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *running, CancellationToken::new()).cancel();
    }

    /// A context and whether the private state carries the mark of a replacement.
    fn context(&self, private: &[u8]) -> (Context<P::Client>, bool) {
        Context::decoded(self.client(), private, self.cancel_token())
    }

    async fn configure(
        &self,
        terraform_version: String,
        config: &Value,
    ) -> Result<Diagnostics, Diagnostics> {
        let mut setup = Setup {
            diagnostics: Diagnostics::new(),
            cancel: self.cancel_token(),
            terraform_version,
        };
        let outcome = self
            .0
            .provider
            .configure(&mut setup, &catalog::root(config)?)
            .await;
        let mut diagnostics = setup.diagnostics;
        match outcome {
            Ok(client) => {
                *self
                    .0
                    .client
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = client.map(Arc::new);
            }
            Err(failure) => diagnostics.extend(failure.diagnostics),
        }
        Ok(diagnostics)
    }
}

/// The message for a name that the schema does not have; Terraform never sends one.
fn unknown_type(kind: &str, name: &str) -> Diagnostics {
    Diagnostic::error(
        format!("Unknown {kind}"),
        format!("This provider has no {kind} {name:?}."),
    )
    .into()
}

/// In debug builds, what the oracle says of an answer; in release builds Terraform is the only judge.
fn judged(check: impl FnOnce() -> Vec<crate::oracle::Violation>, diagnostics: &mut Diagnostics) {
    if cfg!(debug_assertions) {
        for violation in check() {
            diagnostics.push(violation.to_diagnostic());
        }
    }
}

/// Runs the validators of every known attribute.
fn run_validators(schema: &Schema, config: &Value, diagnostics: &mut Diagnostics) {
    crate::plan::each_known(schema.fields(), config, &mut |attribute, value, path| {
        for validator in &attribute.validators {
            validator.run(value, path, diagnostics);
        }
    });
}

#[cfg(test)]
mod tests;
