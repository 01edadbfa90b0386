//! Checks of one value, with a sentence that documentation can show.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::diagnostics::Diagnostics;
use crate::path::Path;
use crate::value::Value;

type Check = dyn Fn(&Value, &Path, &mut Diagnostics) + Send + Sync;

/// A check of one value. It is called for known values only; elements inside may still be unknown.
#[derive(Clone)]
pub struct Validator {
    /// The rule as a sentence fragment after "must be": `one of RUNNING, STOPPED`.
    pub describe: String,
    check: Arc<Check>,
}

impl Validator {
    /// A rule for the whole value; the error text becomes the detail of a diagnostic at the attribute.
    pub fn new(
        describe: impl Into<String>,
        check: impl Fn(&Value) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self::with_path(describe, move |value, path, diagnostics| {
            if let Err(detail) = check(value) {
                diagnostics.error_at(path, "Invalid value", detail);
            }
        })
    }

    /// A rule that looks inside and says itself where it hurts.
    pub fn with_path(
        describe: impl Into<String>,
        check: impl Fn(&Value, &Path, &mut Diagnostics) + Send + Sync + 'static,
    ) -> Self {
        Self {
            describe: describe.into(),
            check: Arc::new(check),
        }
    }

    /// The text is one of these.
    pub fn one_of<T: Into<String>>(allowed: impl IntoIterator<Item = T>) -> Self {
        let allowed: Vec<String> = allowed.into_iter().map(Into::into).collect();
        let list = allowed.join(", ");
        Self::new(format!("one of {list}"), move |value| {
            match value.as_str() {
                Some(text) if !allowed.iter().any(|each| each == text) => {
                    Err(format!("{text:?} is not one of {}.", allowed.join(", ")))
                }
                _ => Ok(()),
            }
        })
    }

    /// The text has so many characters.
    pub fn length(range: RangeInclusive<usize>) -> Self {
        let describe = format!("{} to {} characters long", range.start(), range.end());
        Self::new(describe, move |value| {
            match value.as_str().map(|text| text.chars().count()) {
                Some(count) if !range.contains(&count) => Err(format!(
                    "The text has {count} characters; it must have {} to {}.",
                    range.start(),
                    range.end()
                )),
                _ => Ok(()),
            }
        })
    }

    /// The number is whole and lies in this range.
    pub fn range(range: RangeInclusive<i64>) -> Self {
        let describe = format!("a whole number from {} to {}", range.start(), range.end());
        Self::new(describe, move |value| match value {
            Value::Number(number)
                if !number.as_i64().is_some_and(|whole| range.contains(&whole)) =>
            {
                Err(format!(
                    "{number} is not a whole number from {} to {}.",
                    range.start(),
                    range.end()
                ))
            }
            _ => Ok(()),
        })
    }

    pub(crate) fn run(&self, value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
        (self.check)(value, path, diagnostics);
    }
}

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Validator({:?})", self.describe)
    }
}
