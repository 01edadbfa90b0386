//! One view over attributes and nested blocks, for everything that walks a schema along with values.

use std::collections::BTreeMap;

use super::attribute::{Attribute, AttributeKind};
use super::block::NestedBlock;
use crate::value::Type;

/// How often a nested object occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// Once, or null.
    Single,
    /// Any number of times, in order.
    List,
    /// Any number of times, without order.
    Set,
    /// Any number of times, by name. Attributes only.
    Map,
}

/// What a block or a nested attribute is made of.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// Attributes, written `name = value`.
    pub attributes: &'a [Attribute],
    /// Nested blocks, written `name { … }`.
    pub blocks: &'a [NestedBlock],
}

/// An attribute or a nested block.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    /// An attribute.
    Attribute(&'a Attribute),
    /// A nested block.
    Block(&'a NestedBlock),
}

impl<'a> Fields<'a> {
    /// Each attribute, then each nested block, in the order of the schema.
    pub fn iter(self) -> impl Iterator<Item = Field<'a>> {
        self.attributes
            .iter()
            .map(Field::Attribute)
            .chain(self.blocks.iter().map(Field::Block))
    }

    /// The attribute or nested block of this name.
    pub fn find(self, name: &str) -> Option<Field<'a>> {
        self.iter().find(|field| field.name() == name)
    }

    /// The type of an object with these fields.
    pub fn object_type(self) -> Type {
        let types: BTreeMap<String, Type> = self
            .iter()
            .map(|field| (field.name().to_owned(), field.ty()))
            .collect();
        Type::Object(types)
    }
}

impl<'a> Field<'a> {
    /// The name in HCL.
    pub fn name(self) -> &'a str {
        match self {
            Self::Attribute(attribute) => &attribute.name,
            Self::Block(block) => &block.name,
        }
    }

    /// The attribute, if it is one.
    pub fn attribute(self) -> Option<&'a Attribute> {
        match self {
            Self::Attribute(attribute) => Some(attribute),
            Self::Block(_) => None,
        }
    }

    /// The fields inside and how often they occur; `None` for an attribute without a schema of its own.
    pub fn nested(self) -> Option<(Nesting, Fields<'a>)> {
        match self {
            Self::Attribute(Attribute {
                kind:
                    AttributeKind::Nested {
                        nesting,
                        attributes,
                    },
                ..
            }) => Some((
                *nesting,
                Fields {
                    attributes,
                    blocks: &[],
                },
            )),
            Self::Attribute(_) => None,
            Self::Block(block) => Some((block.nesting, block.block.fields())),
        }
    }

    /// The type of its value.
    pub fn ty(self) -> Type {
        if let Self::Attribute(Attribute {
            kind: AttributeKind::Plain(ty),
            ..
        }) = self
        {
            return ty.clone();
        }
        let Some((nesting, fields)) = self.nested() else {
            return Type::Dynamic;
        };
        let object = fields.object_type();
        match nesting {
            Nesting::Single => object,
            Nesting::List => Type::list(object),
            Nesting::Set => Type::set(object),
            Nesting::Map => Type::map(object),
        }
    }
}
