//! What Terraform would refuse in a schema, found at home: a test of a provider asks [`Schema::check`].

use super::attribute::{Attribute, AttributeKind, Presence};
use super::block::{Block, Schema};
use super::fields::{Field, Fields, Nesting};
use crate::path::Path;
use crate::value::Type;

/// A mistake in a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {rule}")]
pub struct Defect {
    /// The attribute or block.
    pub path: Path,
    /// What it breaks.
    pub rule: String,
}

/// Names that Terraform itself uses at the root of a resource or data source.
const RESERVED: [&str; 7] = [
    "connection",
    "count",
    "depends_on",
    "for_each",
    "lifecycle",
    "provider",
    "provisioner",
];

impl Schema {
    /// All mistakes; empty for a schema that Terraform accepts.
    pub fn check(&self) -> Vec<Defect> {
        let mut defects = Vec::new();
        if self.version < 0 {
            note(&mut defects, &Path::root(), "a version is not negative");
        }
        for name in RESERVED {
            if self.fields().find(name).is_some() {
                note(
                    &mut defects,
                    &Path::attr(name),
                    "the name is reserved by Terraform",
                );
            }
        }
        check_block(&self.block, &Path::root(), false, &mut defects);
        defects
    }
}

fn note(defects: &mut Vec<Defect>, path: &Path, rule: impl Into<String>) {
    defects.push(Defect {
        path: path.clone(),
        rule: rule.into(),
    });
}

fn check_block(block: &Block, path: &Path, in_set: bool, defects: &mut Vec<Defect>) {
    check_fields(block.fields(), path, in_set, defects);
    for nested in &block.blocks {
        let here = path.attribute(&nested.name);
        let (min, max) = (nested.min_items, nested.max_items);
        match nested.nesting {
            Nesting::Single if min > 1 || max > 1 || (max == 1 && min > max) => {
                note(defects, &here, "a single block occurs at most once");
            }
            Nesting::Map => note(
                defects,
                &here,
                "a block is single, a list or a set; a map is for attributes",
            ),
            _ if max > 0 && min > max => note(defects, &here, "min_items is above max_items"),
            _ => {}
        }
        check_block(
            &nested.block,
            &here,
            in_set || nested.nesting == Nesting::Set,
            defects,
        );
    }
}

fn check_fields(fields: Fields<'_>, path: &Path, in_set: bool, defects: &mut Vec<Defect>) {
    let mut names: Vec<&str> = fields.iter().map(Field::name).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        if pair[0] == pair[1] {
            note(defects, &path.attribute(pair[0]), "the name occurs twice");
        }
    }
    for field in fields.iter() {
        let name = field.name();
        let here = path.attribute(name);
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty()
            || !name.bytes().all(fits)
            || name.starts_with(|first: char| first.is_ascii_digit())
        {
            note(
                defects,
                &here,
                "a name has letters a to z, digits and underscores, and starts with no digit",
            );
        }
        if let Field::Attribute(attribute) = field {
            check_attribute(attribute, &here, in_set, defects);
        }
    }
}

fn check_attribute(attribute: &Attribute, path: &Path, in_set: bool, defects: &mut Vec<Defect>) {
    let presence = attribute.presence;
    if attribute.write_only && presence.is_computed() {
        note(defects, path, "a write-only attribute is never computed");
    }
    if attribute.write_only && in_set {
        note(
            defects,
            path,
            "a write-only attribute is never inside a set",
        );
    }
    if attribute.write_only && !matches!(attribute.replace, super::Replace::Never) {
        note(
            defects,
            path,
            "a write-only attribute has no state to compare, so it cannot replace",
        );
    }
    if attribute.use_state && !presence.is_computed() {
        note(
            defects,
            path,
            "only a computed attribute becomes unknown, so only it can use the state instead",
        );
    }
    if attribute.equal.is_some() && (presence == Presence::Computed || in_set) {
        note(
            defects,
            path,
            "values are compared for what is configured and not inside a set",
        );
    }
    if let Some(default) = &attribute.default {
        if presence != Presence::OptionalComputed {
            note(
                defects,
                path,
                "an attribute with a default is optional and computed",
            );
        }
        let ty = Field::Attribute(attribute).ty();
        if default.is_null() || !default.is_wholly_known() {
            note(defects, path, "a default is a known value");
        } else if let Err(misfit) = default.clone().conform(&ty) {
            note(defects, path, format!("the default does not fit: {misfit}"));
        }
    }
    match &attribute.kind {
        AttributeKind::Plain(ty) => check_type(ty, path, in_set, defects),
        AttributeKind::Nested {
            nesting,
            attributes,
        } => {
            let fields = Fields {
                attributes,
                blocks: &[],
            };
            check_fields(fields, path, in_set || *nesting == Nesting::Set, defects);
        }
    }
}

fn check_type(ty: &Type, path: &Path, in_set: bool, defects: &mut Vec<Defect>) {
    let set_of_any = matches!(ty, Type::Set(element) if element.has_dynamic());
    if set_of_any || (in_set && ty.has_dynamic()) {
        note(defects, path, "a set has no elements of any type");
    }
    if let Type::List(element) | Type::Map(element) = ty
        && element.has_dynamic()
    {
        note(
            defects,
            path,
            "a list or map has elements of one type; use any for the whole attribute",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NestedBlock, Validator};
    use super::*;

    #[test]
    fn a_sound_schema_has_no_defects() {
        let schema = Schema::new("x")
            .attribute(Attribute::string("name").required().requires_replace())
            .attribute(
                Attribute::string("mode")
                    .default("A")
                    .validate(Validator::one_of(["A", "B"])),
            )
            .attribute(Attribute::string("secret_wo").write_only().sensitive())
            .block(NestedBlock::set(
                "statement",
                Block::new("s").attribute(Attribute::string("sid").optional()),
            ));
        assert_eq!(schema.check(), []);
    }

    #[test]
    fn each_mistake_is_named() {
        let inner = Attribute::string("secret").write_only();
        let schema = Schema::new("x")
            .attribute(Attribute::string("Name"))
            .attribute(Attribute::string("count"))
            .attribute(Attribute::string("twice"))
            .attribute(Attribute::number("twice").default("text"))
            .attribute(Attribute::string("kept").use_state_for_unknown())
            .attribute(Attribute::nested_set("set", [inner]))
            .attribute(Attribute::set("bag", Type::Dynamic))
            .block(NestedBlock::single("one", Block::default()).max_items(2));
        let text: Vec<String> = schema.check().iter().map(ToString::to_string).collect();
        for expected in [
            "Name: a name",
            "count: the name is reserved",
            "twice: the name occurs twice",
            "twice: the default",
            "kept: only a computed",
            "set.secret: a write-only",
            "bag: a set",
            "one: a single",
        ] {
            assert!(
                text.iter().any(|each| each.starts_with(expected)),
                "{expected} not in {text:#?}"
            );
        }
    }
}
