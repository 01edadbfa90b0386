//! Blocks, and the schema as a whole.

use super::attribute::Attribute;
use super::fields::{Fields, Nesting};
use crate::value::Type;

/// The schema of a provider, a resource, a data source or an ephemeral resource.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Counts the shapes that states have had; see `Resource::upgrade`.
    pub version: i64,
    /// What it is made of.
    pub block: Block,
}

/// Attributes and nested blocks.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Markdown.
    pub description: String,
    /// Why it should not be used any more, and what to use.
    pub deprecated: Option<String>,
    /// Written `name = value`.
    pub attributes: Vec<Attribute>,
    /// Written `name { … }`.
    pub blocks: Vec<NestedBlock>,
}

/// A block inside a block.
#[derive(Clone, Debug)]
pub struct NestedBlock {
    /// The word before the brace.
    pub name: String,
    /// How often it may stand there. [`Nesting::Map`] is for attributes only.
    pub nesting: Nesting,
    /// What it is made of.
    pub block: Block,
    /// At least so many; 0 is no limit.
    pub min_items: u32,
    /// At most so many; 0 is no limit.
    pub max_items: u32,
}

impl Schema {
    /// An empty schema with its Markdown description.
    pub fn new(description: impl Into<String>) -> Self {
        Self {
            version: 0,
            block: Block::new(description),
        }
    }

    /// Sets the version; a resource with a version above 0 implements `upgrade`.
    #[must_use]
    pub fn version(mut self, version: i64) -> Self {
        self.version = version;
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, attribute: Attribute) -> Self {
        self.block = self.block.attribute(attribute);
        self
    }

    /// Adds a nested block.
    #[must_use]
    pub fn block(mut self, block: NestedBlock) -> Self {
        self.block = self.block.block(block);
        self
    }

    /// Warns whoever uses it.
    #[must_use]
    pub fn deprecated(mut self, instead: impl Into<String>) -> Self {
        self.block.deprecated = Some(instead.into());
        self
    }

    /// Attributes and blocks, for a walk.
    pub fn fields(&self) -> Fields<'_> {
        self.block.fields()
    }

    /// The type of a configuration or state.
    pub fn ty(&self) -> Type {
        self.fields().object_type()
    }
}

impl Block {
    /// An empty block with its Markdown description.
    pub fn new(description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            ..Self::default()
        }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, attribute: Attribute) -> Self {
        self.attributes.push(attribute);
        self
    }

    /// Adds a nested block.
    #[must_use]
    pub fn block(mut self, block: NestedBlock) -> Self {
        self.blocks.push(block);
        self
    }

    /// Attributes and blocks, for a walk.
    pub fn fields(&self) -> Fields<'_> {
        Fields {
            attributes: &self.attributes,
            blocks: &self.blocks,
        }
    }
}

impl NestedBlock {
    /// A block that may stand once.
    pub fn single(name: impl Into<String>, block: Block) -> Self {
        Self::with(name, Nesting::Single, block)
    }

    /// A block that may be repeated; order matters.
    pub fn list(name: impl Into<String>, block: Block) -> Self {
        Self::with(name, Nesting::List, block)
    }

    /// A block that may be repeated; order does not matter.
    pub fn set(name: impl Into<String>, block: Block) -> Self {
        Self::with(name, Nesting::Set, block)
    }

    fn with(name: impl Into<String>, nesting: Nesting, block: Block) -> Self {
        Self {
            name: name.into(),
            nesting,
            block,
            min_items: 0,
            max_items: 0,
        }
    }

    /// At least so many.
    #[must_use]
    pub fn min_items(mut self, count: u32) -> Self {
        self.min_items = count;
        self
    }

    /// At most so many.
    #[must_use]
    pub fn max_items(mut self, count: u32) -> Self {
        self.max_items = count;
        self
    }
}
