//! The block `timeouts { create = "10m" }` that every resource has.

use crate::duration;
use std::time::Duration;
use tfplugin::schema::{Attribute, Block, NestedBlock, Validator};
use tfplugin::{Object, Tri};

/// How long Terraform waits when nobody says otherwise.
const DEFAULT: Duration = Duration::from_mins(5);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A new object.
    Create,
    /// A change.
    Update,
    /// A removal.
    Delete,
}

impl Phase {
    const fn attribute(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// The block's schema.
pub fn block() -> NestedBlock {
    let limit = |name: &str, text: &str| {
        Attribute::string(name)
            .describe(format!(
                "How long to wait for {text}, such as `30s` or `1h30m`. Default: `5m`."
            ))
            .validate(Validator::new("a duration such as 30s or 1h30m", |value| {
                value
                    .as_str()
                    .map_or(Ok(()), |text| duration::parse(text).map(|_| ()))
            }))
    };
    let block = Block::new("How long Terraform waits for the daemon to finish a change.")
        .attribute(limit("create", "a new object to be ready"))
        .attribute(limit("update", "a change to take effect"))
        .attribute(limit("delete", "the object to be gone"));
    NestedBlock::single("timeouts", block)
}

/// The bound that a plan or state sets for a phase.
pub fn limit(values: &Object, phase: Phase) -> Duration {
    values
        .get::<Option<Object>>("timeouts")
        .ok()
        .flatten()
        .and_then(|block| block.get::<Tri<String>>(phase.attribute()).ok()?.known())
        .and_then(|text| duration::parse(&text).ok())
        .unwrap_or(DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfplugin::value::Value;

    #[test]
    fn the_limit_is_what_the_block_says_or_five_minutes() {
        let with = Object::new().with("timeouts", Value::object([("create", "30s")]));
        assert_eq!(limit(&with, Phase::Create), Duration::from_secs(30));
        assert_eq!(limit(&with, Phase::Delete), DEFAULT);
        assert_eq!(limit(&Object::new(), Phase::Update), DEFAULT);
    }
}
