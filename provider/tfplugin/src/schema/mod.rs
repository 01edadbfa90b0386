//! Schemas: what a configuration may say, what a state holds, and how each attribute behaves in a plan.
//!
//! ```
//! use tfplugin::schema::{Attribute, Block, NestedBlock, Schema, Validator};
//! use tfplugin::value::Type;
//!
//! let schema = Schema::new("A connector.")
//!     .attribute(Attribute::string("name").required().requires_replace().describe("Unique name."))
//!     .attribute(Attribute::map("config", Type::String).required())
//!     .attribute(Attribute::string("state").default("RUNNING").validate(Validator::one_of(["RUNNING", "STOPPED"])))
//!     .attribute(Attribute::string("arn").computed().use_state_for_unknown())
//!     .attribute(Attribute::single("capacity", [Attribute::number("workers").required()]).optional())
//!     .block(NestedBlock::single("timeouts", Block::new("Time limits.").attribute(Attribute::string("create").optional())));
//! assert!(schema.check().is_empty());
//! ```

mod attribute;
mod block;
mod check;
mod fields;
mod validator;
mod wire;

pub use attribute::{Attribute, AttributeKind, Equal, Presence, Replace};
pub use block::{Block, NestedBlock, Schema};
pub use check::Defect;
pub use fields::{Field, Fields, Nesting};
pub use validator::Validator;
