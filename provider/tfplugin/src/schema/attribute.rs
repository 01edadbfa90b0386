//! Attributes and how each behaves in a plan.

use super::fields::Nesting;
use super::validator::Validator;
use crate::value::{Type, Value};

/// Whether two known, different values mean the same: properties with another order, JSON with other spaces.
pub type Equal = fn(&Value, &Value) -> bool;

/// Who sets an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The user must.
    Required,
    /// The user may.
    Optional,
    /// Only the provider does.
    Computed,
    /// The user may; otherwise the provider does.
    OptionalComputed,
}

impl Presence {
    /// Whether the provider may set it.
    pub fn is_computed(self) -> bool {
        matches!(self, Self::Computed | Self::OptionalComputed)
    }
}

/// Whether a change of an attribute makes a new resource of an old one.
#[derive(Clone, Copy, Debug, Default)]
pub enum Replace {
    /// It is changed in place.
    #[default]
    Never,
    /// Every change replaces.
    Always,
    /// A change replaces if this says so of (prior, planned).
    If(fn(&Value, &Value) -> bool),
}

/// What an attribute holds.
#[derive(Clone, Debug)]
pub enum AttributeKind {
    /// A value of a type.
    Plain(Type),
    /// Objects with a schema of their own.
    Nested {
        /// How often.
        nesting: Nesting,
        /// What of.
        attributes: Vec<Attribute>,
    },
}

/// One attribute. Made by [`Attribute::string`] and its like and then told more by the methods in a chain;
/// it is optional unless something else is said. All is public, so that documentation can be made of it.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// The name in HCL.
    pub name: String,
    /// What it holds.
    pub kind: AttributeKind,
    /// Who sets it.
    pub presence: Presence,
    /// Markdown.
    pub description: String,
    /// Hidden in what Terraform prints; still in the state.
    pub sensitive: bool,
    /// Only in the configuration, never in plan or state; needs Terraform 1.11.
    pub write_only: bool,
    /// Why it should not be used any more, and what to use.
    pub deprecated: Option<String>,
    /// What it is if the user says nothing.
    pub default: Option<Value>,
    /// Checks of a known value.
    pub validators: Vec<Validator>,
    /// Whether a change replaces the resource.
    pub replace: Replace,
    /// Whether a computed value, once there, is kept by later plans instead of becoming unknown.
    pub use_state: bool,
    /// When two values mean the same; then the one in the state stays.
    pub equal: Option<Equal>,
}

impl Attribute {
    /// An attribute of any type.
    pub fn of(name: impl Into<String>, ty: Type) -> Self {
        Self::with_kind(name, AttributeKind::Plain(ty))
    }

    /// Text.
    pub fn string(name: impl Into<String>) -> Self {
        Self::of(name, Type::String)
    }

    /// A truth value.
    pub fn bool(name: impl Into<String>) -> Self {
        Self::of(name, Type::Bool)
    }

    /// A number; [`Validator::range`] makes it whole.
    pub fn number(name: impl Into<String>) -> Self {
        Self::of(name, Type::Number)
    }

    /// A list of values of one type.
    pub fn list(name: impl Into<String>, element: Type) -> Self {
        Self::of(name, Type::list(element))
    }

    /// A set of values of one type.
    pub fn set(name: impl Into<String>, element: Type) -> Self {
        Self::of(name, Type::set(element))
    }

    /// A map of values of one type.
    pub fn map(name: impl Into<String>, element: Type) -> Self {
        Self::of(name, Type::map(element))
    }

    /// One object with a schema of its own.
    pub fn single(
        name: impl Into<String>,
        attributes: impl IntoIterator<Item = Attribute>,
    ) -> Self {
        Self::nested(name, Nesting::Single, attributes)
    }

    /// A list of objects with a schema of their own.
    pub fn nested_list(
        name: impl Into<String>,
        attributes: impl IntoIterator<Item = Attribute>,
    ) -> Self {
        Self::nested(name, Nesting::List, attributes)
    }

    /// A set of objects with a schema of their own.
    pub fn nested_set(
        name: impl Into<String>,
        attributes: impl IntoIterator<Item = Attribute>,
    ) -> Self {
        Self::nested(name, Nesting::Set, attributes)
    }

    /// A map of objects with a schema of their own.
    pub fn nested_map(
        name: impl Into<String>,
        attributes: impl IntoIterator<Item = Attribute>,
    ) -> Self {
        Self::nested(name, Nesting::Map, attributes)
    }

    fn nested(
        name: impl Into<String>,
        nesting: Nesting,
        attributes: impl IntoIterator<Item = Attribute>,
    ) -> Self {
        Self::with_kind(
            name,
            AttributeKind::Nested {
                nesting,
                attributes: attributes.into_iter().collect(),
            },
        )
    }

    fn with_kind(name: impl Into<String>, kind: AttributeKind) -> Self {
        Self {
            name: name.into(),
            kind,
            presence: Presence::Optional,
            description: String::new(),
            sensitive: false,
            write_only: false,
            deprecated: None,
            default: None,
            validators: Vec::new(),
            replace: Replace::Never,
            use_state: false,
            equal: None,
        }
    }

    /// The user must set it.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.presence = Presence::Required;
        self
    }

    /// The user may set it. After [`Attribute::computed`]: the user or the provider sets it.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.presence = if self.presence.is_computed() {
            Presence::OptionalComputed
        } else {
            Presence::Optional
        };
        self
    }

    /// Only the provider sets it.
    #[must_use]
    pub fn computed(mut self) -> Self {
        self.presence = Presence::Computed;
        self
    }

    /// The user may set it; otherwise the provider does.
    #[must_use]
    pub fn optional_computed(mut self) -> Self {
        self.presence = Presence::OptionalComputed;
        self
    }

    /// What it is if the user says nothing. Makes it optional and computed, as Terraform demands.
    #[must_use]
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self.presence = Presence::OptionalComputed;
        self
    }

    /// Markdown for people.
    #[must_use]
    pub fn describe(mut self, markdown: impl Into<String>) -> Self {
        self.description = markdown.into();
        self
    }

    /// Hides it in what Terraform prints.
    #[must_use]
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// Keeps it out of plan and state: a resource reads it from its `config`.
    #[must_use]
    pub fn write_only(mut self) -> Self {
        self.write_only = true;
        self
    }

    /// Warns whoever uses it.
    #[must_use]
    pub fn deprecated(mut self, instead: impl Into<String>) -> Self {
        self.deprecated = Some(instead.into());
        self
    }

    /// Checks it.
    #[must_use]
    pub fn validate(mut self, validator: Validator) -> Self {
        self.validators.push(validator);
        self
    }

    /// A change makes a new resource.
    #[must_use]
    pub fn requires_replace(mut self) -> Self {
        self.replace = Replace::Always;
        self
    }

    /// A change makes a new resource if `decide(prior, planned)` says so; either may be null, and planned
    /// unknown.
    #[must_use]
    pub fn requires_replace_if(mut self, decide: fn(&Value, &Value) -> bool) -> Self {
        self.replace = Replace::If(decide);
        self
    }

    /// A computed value that never changes once the resource exists: plans show it instead of "known after
    /// apply".
    #[must_use]
    pub fn use_state_for_unknown(mut self) -> Self {
        self.use_state = true;
        self
    }

    /// When two values mean the same. A configuration that means what the state says is no change.
    #[must_use]
    pub fn equal_when(mut self, equal: Equal) -> Self {
        self.equal = Some(equal);
        self
    }

    /// The type as HCL writes it; nested attributes show their shape.
    pub fn type_text(&self) -> String {
        super::fields::Field::Attribute(self).ty().to_string()
    }
}
