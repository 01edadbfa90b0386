//! Paths into a value: what a diagnostic points at and what forces a replacement.

use std::fmt;

use tfplugin_proto::tfplugin6 as wire;

/// One step into a value. The elements of a set have no address, so a path into a set ends at the set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// An attribute of an object, or a nested block by its type.
    Attribute(String),
    /// An element of a map.
    Key(String),
    /// An element of a list or tuple, counted from zero.
    Index(i64),
}

/// Where a value sits inside a configuration or state; empty for the whole of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<Step>);

impl Path {
    /// The whole value.
    pub fn root() -> Self {
        Self::default()
    }

    /// A path of one attribute: `Path::attr("name")`.
    pub fn attr(name: impl Into<String>) -> Self {
        Self::root().attribute(name)
    }

    /// This path and an attribute below it.
    #[must_use]
    pub fn attribute(&self, name: impl Into<String>) -> Self {
        self.then(Step::Attribute(name.into()))
    }

    /// This path and a map element below it: `Path::attr("config").key("tasks.max")`.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.then(Step::Key(key.into()))
    }

    /// This path and a list element below it.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(i64::try_from(index).unwrap_or(i64::MAX)))
    }

    /// This path and one more step.
    #[must_use]
    pub fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The steps from the outside in.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether this is the whole value.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn from_wire(path: &wire::AttributePath) -> Self {
        use wire::attribute_path::step::Selector;
        let steps = path
            .steps
            .iter()
            .filter_map(|step| match step.selector.clone()? {
                Selector::AttributeName(name) => Some(Step::Attribute(name)),
                Selector::ElementKeyString(key) => Some(Step::Key(key)),
                Selector::ElementKeyInt(index) => Some(Step::Index(index)),
            });
        Self(steps.collect())
    }

    pub(crate) fn to_wire(&self) -> wire::AttributePath {
        use wire::attribute_path::step::Selector;
        let steps = self
            .0
            .iter()
            .map(|step| wire::attribute_path::Step {
                selector: Some(match step {
                    Step::Attribute(name) => Selector::AttributeName(name.clone()),
                    Step::Key(key) => Selector::ElementKeyString(key.clone()),
                    Step::Index(index) => Selector::ElementKeyInt(*index),
                }),
            })
            .collect();
        wire::AttributePath { steps }
    }
}

impl From<&str> for Path {
    /// One attribute; dots are not split.
    fn from(name: &str) -> Self {
        Self::attr(name)
    }
}

impl From<&Path> for Path {
    fn from(path: &Path) -> Self {
        path.clone()
    }
}

/// Written as in HCL: `capacity.provisioned`, `config["tasks.max"]`, `statement[0].actions`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Attribute(name) if position == 0 => f.write_str(name)?,
                Step::Attribute(name) => write!(f, ".{name}")?,
                Step::Key(key) => write!(f, "[{key:?}]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_the_users_file() {
        let path = Path::attr("statement")
            .index(2)
            .attribute("config")
            .key("tasks.max");
        assert_eq!(path.to_string(), r#"statement[2].config["tasks.max"]"#);
    }
}
