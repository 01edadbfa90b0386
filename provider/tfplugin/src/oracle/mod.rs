//! Terraform's own rules for what a provider may answer, written down once more.
//!
//! Terraform checks every answer and blames the provider in front of its users. These are the same rules
//! (those of Terraform 1.11), so that a mistake shows in our tests, and in debug builds as a diagnostic that
//! names rule and path. [`proposed_new`] is Terraform's side of a plan, for tests that have no Terraform.

mod compatible;
mod planned;
mod proposed;
mod state;

use std::fmt;

use crate::diagnostics::Diagnostic;
use crate::path::Path;
use crate::value::Value;

pub use compatible::check_apply;
pub use planned::check_plan;
pub(crate) use proposed::comes_from;
pub use proposed::proposed_new;
pub use state::check_state;

/// A rule that an answer breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A planned value is the configured one, or the prior one, or computed.
    PlannedIsConfigured,
    /// Something is planned exactly where something is configured.
    PlannedExists,
    /// Nested objects are as many, under the same keys, as configured.
    PlannedCount,
    /// A configured nested object is not unknown as a whole.
    PlannedKnown,
    /// What was planned as known comes out the same.
    AppliedIsPlanned,
    /// No element appears or vanishes at apply.
    AppliedCount,
    /// A state has no unknown values.
    StateKnown,
    /// A write-only value is null everywhere but in the configuration.
    WriteOnlyNull,
    /// Create and update leave a state.
    StateExists,
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// Where.
    pub path: Path,
    /// What was seen; without values of sensitive attributes.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}: {}", self.rule, self.path, self.detail)
    }
}

impl Violation {
    /// The violation as an error for whoever develops the provider.
    pub fn to_diagnostic(&self) -> Diagnostic {
        Diagnostic::error(
            format!("Provider breaks the rule {:?}", self.rule),
            format!(
                "{} This is a mistake in the provider, found by its debug build.",
                self.detail
            ),
        )
        .at(&self.path)
    }
}

/// Collects violations on a walk.
#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, rule: Rule, path: &Path, detail: impl Into<String>) {
        self.0.push(Violation {
            rule,
            path: path.clone(),
            detail: detail.into(),
        });
    }
}

/// A value for a message: short, and hidden where the schema says so.
fn show(value: &Value, hidden: bool) -> String {
    const SHOWN_MAX: usize = 120;
    if hidden {
        return "(hidden)".to_owned();
    }
    if value.is_unknown() {
        return "(unknown)".to_owned();
    }
    let text = value.to_json().to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The attribute of an object; null where there is no object.
fn field<'a>(object: &'a Value, name: &str) -> &'a Value {
    object
        .fields()
        .and_then(|fields| fields.get(name))
        .unwrap_or(&Value::Null)
}

/// The elements of a list or set.
fn elements(value: &Value) -> &[Value] {
    match value {
        Value::List(elements) | Value::Tuple(elements) => elements,
        Value::Set(elements) => elements.as_slice(),
        _ => &[],
    }
}

#[cfg(test)]
mod tests;
