//! Schemas as messages.

use tfplugin_proto::tfplugin6 as wire;

use super::attribute::{Attribute, AttributeKind, Presence};
use super::block::{Block, NestedBlock, Schema};
use super::fields::Nesting;

impl Schema {
    pub(crate) fn to_wire(&self) -> wire::Schema {
        wire::Schema {
            version: self.version,
            block: Some(block_to_wire(&self.block)),
        }
    }
}

/// The protocol has only a flag; the reason goes where people read it.
fn description(text: &str, deprecated: Option<&str>) -> String {
    match deprecated {
        Some(instead) if text.is_empty() => format!("Deprecated: {instead}"),
        Some(instead) => format!("{text} Deprecated: {instead}"),
        None => text.to_owned(),
    }
}

fn block_to_wire(block: &Block) -> wire::schema::Block {
    wire::schema::Block {
        version: 0,
        attributes: block.attributes.iter().map(attribute_to_wire).collect(),
        block_types: block.blocks.iter().map(nested_block_to_wire).collect(),
        description: description(&block.description, block.deprecated.as_deref()),
        description_kind: wire::StringKind::Markdown.into(),
        deprecated: block.deprecated.is_some(),
    }
}

fn nested_block_to_wire(nested: &NestedBlock) -> wire::schema::NestedBlock {
    use wire::schema::nested_block::NestingMode;
    let mode = match nested.nesting {
        Nesting::Single => NestingMode::Single,
        Nesting::List => NestingMode::List,
        Nesting::Set => NestingMode::Set,
        Nesting::Map => NestingMode::Map,
    };
    wire::schema::NestedBlock {
        type_name: nested.name.clone(),
        block: Some(block_to_wire(&nested.block)),
        nesting: mode.into(),
        min_items: nested.min_items.into(),
        max_items: nested.max_items.into(),
    }
}

fn attribute_to_wire(attribute: &Attribute) -> wire::schema::Attribute {
    let (ty, nested_type) = match &attribute.kind {
        AttributeKind::Plain(ty) => (ty.to_json(), None),
        AttributeKind::Nested {
            nesting,
            attributes,
        } => (Vec::new(), Some(object_to_wire(*nesting, attributes))),
    };
    wire::schema::Attribute {
        name: attribute.name.clone(),
        r#type: ty,
        nested_type,
        description: description(&attribute.description, attribute.deprecated.as_deref()),
        required: attribute.presence == Presence::Required,
        optional: matches!(
            attribute.presence,
            Presence::Optional | Presence::OptionalComputed
        ),
        computed: attribute.presence.is_computed(),
        sensitive: attribute.sensitive,
        description_kind: wire::StringKind::Markdown.into(),
        deprecated: attribute.deprecated.is_some(),
        write_only: attribute.write_only,
    }
}

#[expect(deprecated, reason = "the message has two fields that nobody may fill")]
fn object_to_wire(nesting: Nesting, attributes: &[Attribute]) -> wire::schema::Object {
    use wire::schema::object::NestingMode;
    let mode = match nesting {
        Nesting::Single => NestingMode::Single,
        Nesting::List => NestingMode::List,
        Nesting::Set => NestingMode::Set,
        Nesting::Map => NestingMode::Map,
    };
    wire::schema::Object {
        attributes: attributes.iter().map(attribute_to_wire).collect(),
        nesting: mode.into(),
        min_items: 0,
        max_items: 0,
    }
}
