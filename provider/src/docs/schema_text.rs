//! The section "Schema" of a page: attributes by who sets them, nested ones below with anchors.

use std::fmt::Write as _;
use tfplugin::schema::{
    Attribute, AttributeKind, Field, Fields, NestedBlock, Nesting, Presence, Schema,
};
use tfplugin::value::Type;

/// Who sets an attribute, in the order in which pages say it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Required,
    Optional,
    ReadOnly,
}

impl Group {
    const ALL: [Self; 3] = [Self::Required, Self::Optional, Self::ReadOnly];

    const fn title(self) -> &'static str {
        match self {
            Self::Required => "Required",
            Self::Optional => "Optional",
            Self::ReadOnly => "Read-Only",
        }
    }

    fn of(field: Field<'_>) -> Self {
        match field {
            Field::Attribute(attribute) => match attribute.presence {
                Presence::Required => Self::Required,
                Presence::Optional | Presence::OptionalComputed => Self::Optional,
                Presence::Computed => Self::ReadOnly,
            },
            Field::Block(block) if block.min_items > 0 => Self::Required,
            Field::Block(_) => Self::Optional,
        }
    }
}

/// The whole section.
pub fn section(schema: &Schema) -> String {
    let mut text = "\n## Schema\n".to_owned();
    let mut nested = Vec::new();
    for group in Group::ALL {
        list(schema.fields(), group, "", "### ", &mut text, &mut nested);
    }
    // Each nested schema may bring further ones, which follow it.
    let mut position = 0;
    while position < nested.len() {
        let (path, fields): (String, Fields<'_>) = nested[position].clone();
        let mut deeper = Vec::new();
        let _ = write!(
            text,
            "\n<a id=\"{}\"></a>\n### Nested Schema for `{path}`\n",
            anchor(&path)
        );
        for group in Group::ALL {
            list(fields, group, &path, "", &mut text, &mut deeper);
        }
        position += 1;
        nested.splice(position..position, deeper);
    }
    text
}

fn anchor(path: &str) -> String {
    format!("nested--{}", path.replace('.', "--"))
}

fn list<'a>(
    fields: Fields<'a>,
    group: Group,
    above: &str,
    mark: &str,
    text: &mut String,
    nested: &mut Vec<(String, Fields<'a>)>,
) {
    let mut members: Vec<Field<'a>> = fields
        .iter()
        .filter(|field| Group::of(*field) == group)
        .collect();
    members.sort_by_key(|field| field.name());
    if members.is_empty() {
        return;
    }
    let colon = if mark.is_empty() { ":" } else { "" };
    let _ = write!(text, "\n{mark}{}{colon}\n\n", group.title());
    for field in members {
        let name = field.name();
        let path = if above.is_empty() {
            name.to_owned()
        } else {
            format!("{above}.{name}")
        };
        let link = match field.nested() {
            None => String::new(),
            Some((_, inside)) => {
                nested.push((path.clone(), inside));
                format!(" (see [below for nested schema](#{}))", anchor(&path))
            }
        };
        let line = match field {
            Field::Attribute(attribute) => attribute_line(attribute),
            Field::Block(block) => block_line(block),
        };
        let _ = writeln!(text, "- {line}{link}");
    }
}

fn attribute_line(attribute: &Attribute) -> String {
    let mut traits = vec![match &attribute.kind {
        AttributeKind::Plain(ty) => type_words(ty),
        AttributeKind::Nested { nesting, .. } => nesting_words("Attributes", *nesting),
    }];
    if attribute.sensitive {
        traits.push("Sensitive".to_owned());
    }
    if attribute.write_only {
        traits.push("Write-only".to_owned());
    }
    if attribute.deprecated.is_some() {
        traits.push("Deprecated".to_owned());
    }
    let description = &attribute.description;
    let deprecated = attribute.deprecated.as_ref();
    let deprecated = deprecated
        .map(|instead| format!(" Deprecated: {instead}"))
        .unwrap_or_default();
    format!(
        "`{}` ({}) {description}{deprecated}",
        attribute.name,
        traits.join(", ")
    )
}

fn block_line(block: &NestedBlock) -> String {
    let mut words = nesting_words("Block", block.nesting);
    if block.min_items > 0 {
        let _ = write!(words, ", Min: {}", block.min_items);
    }
    if block.max_items > 0 {
        let _ = write!(words, ", Max: {}", block.max_items);
    }
    format!("`{}` ({words}) {}", block.name, block.block.description)
}

fn nesting_words(what: &str, nesting: Nesting) -> String {
    match nesting {
        Nesting::Single => what.to_owned(),
        Nesting::List => format!("{what} List"),
        Nesting::Set => format!("{what} Set"),
        Nesting::Map => format!("{what} Map"),
    }
}

/// A type in words: "Map of String".
pub fn type_words(ty: &Type) -> String {
    match ty {
        Type::Bool => "Boolean".to_owned(),
        Type::Number => "Number".to_owned(),
        Type::String => "String".to_owned(),
        Type::List(element) => format!("List of {}", type_words(element)),
        Type::Set(element) => format!("Set of {}", type_words(element)),
        Type::Map(element) => format!("Map of {}", type_words(element)),
        Type::Object(_) => "Object".to_owned(),
        Type::Tuple(_) => "Tuple".to_owned(),
        Type::Dynamic => "Dynamic".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfplugin::schema::Block;

    #[test]
    fn a_section_has_its_groups_and_an_anchor_for_what_is_nested() {
        let schema = Schema::new("x")
            .attribute(Attribute::string("name").required().describe("The name."))
            .attribute(
                Attribute::map("secret", Type::String)
                    .write_only()
                    .sensitive()
                    .describe("Hidden."),
            )
            .attribute(Attribute::string("arn").computed().describe("The ARN."))
            .attribute(
                Attribute::single(
                    "outer",
                    [Attribute::single(
                        "inner",
                        [Attribute::bool("on").describe("On.")],
                    )],
                )
                .describe("Nested."),
            )
            .block(NestedBlock::list("rule", Block::new("A rule.")).min_items(1));
        let text = section(&schema);
        for line in [
            "### Required\n\n- `name` (String) The name.\n- `rule` (Block List, Min: 1) A rule.",
            "- `secret` (Map of String, Sensitive, Write-only) Hidden.",
            "### Read-Only\n\n- `arn` (String) The ARN.",
            "- `outer` (Attributes) Nested. (see [below for nested schema](#nested--outer))",
            "<a id=\"nested--outer--inner\"></a>\n### Nested Schema for `outer.inner`\n\nOptional:\n\n- `on` (Boolean) On.",
        ] {
            assert!(text.contains(line), "{line}\nnot in\n{text}");
        }
    }
}
