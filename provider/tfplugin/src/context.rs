//! What every call of a resource, data source or ephemeral resource gets, and how it fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use crate::access::Object;
use crate::diagnostics::{Diagnostic, Diagnostics};

/// The surroundings of one call. `C` is what the provider made of its configuration, a client as a rule.
pub struct Context<C> {
    /// Messages besides an error that ends the call: warnings, and errors to go on after.
    pub diagnostics: Diagnostics,
    /// What is stored beside the state and never shown. In a plan: what apply will get.
    pub private: Private,
    /// Cancelled when the user presses Ctrl-C: save what there is and return.
    pub cancel: CancellationToken,
    client: Option<Arc<C>>,
}

impl<C> Context<C> {
    /// A context for tests of a resource; the SDK makes its own.
    pub fn new(client: Option<Arc<C>>, private: Private, cancel: CancellationToken) -> Self {
        Self {
            diagnostics: Diagnostics::new(),
            private,
            cancel,
            client,
        }
    }

    /// The provider's client; an error if the provider's configuration is not known yet.
    pub fn client(&self) -> Result<Arc<C>, Diagnostic> {
        self.client.clone().ok_or_else(|| {
            Diagnostic::error(
                "Provider not configured",
                "The configuration of the provider has values that are known only after apply, so nothing can be \
                 asked of it yet. Apply what it depends on first, or give it values that are known.",
            )
        })
    }

    /// The provider's client, if its configuration is known.
    pub fn client_if_known(&self) -> Option<Arc<C>> {
        self.client.clone()
    }
}

/// Keys that start so belong to the SDK.
const RESERVED: char = '.';
/// Marks that the plan which follows at once, without a prior state, plans the replacement.
const REPLACING: &str = ".replacing";

/// JSON values by key that Terraform keeps beside the state. Not encrypted, not shown: good for etags and
/// fingerprints, not for secrets. Keys that start with a dot are the SDK's own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Private(BTreeMap<String, Json>);

impl Private {
    /// Reads a value; `None` if there is none or it has another shape.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_value(self.0.get(key)?.clone()).ok()
    }

    /// Stores a value. What cannot be JSON is stored as null.
    pub fn set(&mut self, key: impl Into<String>, value: impl Serialize) {
        self.0
            .insert(key.into(), serde_json::to_value(value).unwrap_or_default());
    }

    /// Removes a value.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of another provider or a newer version read as nothing: private state is a help, not a promise.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).map(Self).unwrap_or_default()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        Json::Object(self.0.clone().into_iter().collect())
            .to_string()
            .into_bytes()
    }

    pub(crate) fn mark_replacing(&mut self) {
        self.0.insert(REPLACING.to_owned(), Json::Bool(true));
    }

    /// Removes what the SDK stored; whether the mark of a replacement was among it.
    pub(crate) fn take_marks(&mut self) -> bool {
        let replacing = self.0.contains_key(REPLACING);
        self.0.retain(|key, _| !key.starts_with(RESERVED));
        replacing
    }
}

/// Why a call failed, and what there is all the same. `?` makes one of a [`Diagnostic`].
#[derive(Clone, Debug, Default)]
pub struct Failure {
    /// At least one error, as a rule.
    pub diagnostics: Diagnostics,
    /// What exists in spite of the failure. After a create, Terraform stores it and marks it tainted; after an
    /// update, it replaces the old state. `None`: nothing was made, nothing has changed.
    pub state: Option<Object>,
}

impl Failure {
    /// The same failure, with what exists in spite of it.
    #[must_use]
    pub fn with_state(mut self, state: Object) -> Self {
        self.state = Some(state);
        self
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self {
            diagnostics: diagnostic.into(),
            state: None,
        }
    }
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self {
            diagnostics,
            state: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_state_survives_and_hides_the_marks_of_the_sdk() {
        let mut private = Private::default();
        assert_eq!(private.encode(), b"");
        private.set("etag", 7);
        private.mark_replacing();
        let mut again = Private::decode(&private.encode());
        assert!(again.take_marks());
        assert!(!again.take_marks());
        assert_eq!(again.get::<u32>("etag"), Some(7));
        assert_eq!(again.get::<String>("etag"), None);
        assert_eq!(Private::decode(b"\x00not json"), Private::default());
    }
}
