//! What a resource sees of a plan in the making.

use crate::access::Object;
use crate::path::Path;
use crate::value::Value;

/// What Terraform will do, as far as it is known before the resource had its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// There is no prior state.
    Create,
    /// The second plan of a replacement, in which there is no prior state any more. Terraform shows errors of it
    /// but no warnings (give them when [`Change::requires_replace`] is not empty), and during apply it plans a
    /// mere create, with the private state of nothing: so the planned values must be those of a create.
    Replace,
    /// Prior state and plan differ.
    Update,
    /// Prior state and plan are equal.
    NoOp,
}

/// A plan in the making: the resource may set computed attributes of `planned` and ask for a replacement.
#[derive(Clone, Debug)]
pub struct Change {
    /// What will happen, before the hook.
    pub action: Action,
    /// What the user wrote, with write-only values and unknowns.
    pub config: Object,
    /// What is, or `None` for something new. Null for the second plan of a replacement.
    pub prior: Option<Object>,
    /// What will be. Computed attributes are unknown where the outcome decides.
    pub planned: Object,
    requires_replace: Vec<Path>,
}

impl Change {
    /// A change for tests of a plan hook; the SDK makes its own.
    pub fn new(action: Action, config: Object, prior: Option<Object>, planned: Object) -> Self {
        Self {
            action,
            config,
            prior,
            planned,
            requires_replace: Vec::new(),
        }
    }

    pub(crate) fn with_replace(mut self, paths: Vec<Path>) -> Self {
        self.requires_replace = paths;
        self
    }

    /// The resource must be made anew because of the attribute at `path`. Terraform ignores it if the
    /// attribute does not change.
    pub fn require_replace(&mut self, path: impl Into<Path>) {
        self.requires_replace.push(path.into());
    }

    /// The attributes that make a new resource necessary so far.
    pub fn requires_replace(&self) -> &[Path] {
        &self.requires_replace
    }

    /// Whether an attribute differs between prior state and plan. True for everything that is set anew.
    pub fn changes(&self, name: &str) -> bool {
        let prior = self
            .prior
            .as_ref()
            .map_or(&Value::Null, |prior| prior.value(name));
        prior != self.planned.value(name)
    }

    pub(crate) fn into_parts(self) -> (Object, Vec<Path>) {
        (self.planned, self.requires_replace)
    }
}
