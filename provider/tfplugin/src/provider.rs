//! What an author writes: a provider and its resources, data sources, functions and ephemeral resources.

use std::time::SystemTime;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::access::Object;
use crate::context::{Context, Failure, Private};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::plan::Change;
use crate::schema::Schema;
use crate::value::{Type, Value};

/// A provider. One process serves one configuration of it.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// What [`Provider::configure`] makes and every resource gets: a client of the service, as a rule.
    type Client: Send + Sync + 'static;

    /// The configuration block `provider "name" { … }`.
    fn schema(&self) -> Schema;

    /// Checks a configuration, which may have unknown values. Runs without network.
    fn validate(&self, _config: &Object, _diagnostics: &mut Diagnostics) {}

    /// Makes the client. `None` says that what it needs is known only after apply; then each resource decides
    /// whether it can plan without.
    async fn configure(
        &self,
        setup: &mut Setup,
        config: &Object,
    ) -> Result<Option<Self::Client>, Failure>;

    /// The managed resource types.
    fn resources(&self) -> Vec<Box<dyn Resource<Self::Client>>>;

    /// The data sources.
    fn data_sources(&self) -> Vec<Box<dyn DataSource<Self::Client>>> {
        Vec::new()
    }

    /// The functions, called `provider::NAME::FUNCTION(…)`.
    fn functions(&self) -> Vec<Box<dyn Function>> {
        Vec::new()
    }

    /// The ephemeral resources.
    fn ephemerals(&self) -> Vec<Box<dyn Ephemeral<Self::Client>>> {
        Vec::new()
    }
}

/// The surroundings of [`Provider::configure`].
#[derive(Debug)]
pub struct Setup {
    /// Messages besides an error that ends the call.
    pub diagnostics: Diagnostics,
    /// Cancelled when the user presses Ctrl-C.
    pub cancel: CancellationToken,
    /// The version of Terraform that asks, such as `1.11.4`.
    pub terraform_version: String,
}

/// A managed resource type.
///
/// States and plans are [`Object`]s that fit the schema: an attribute that is left out is null, a list becomes
/// a set where the schema says so, and write-only attributes are emptied by the SDK.
#[async_trait]
pub trait Resource<C: Send + Sync + 'static>: Send + Sync {
    /// The full name in HCL: `runnel_connector`.
    fn type_name(&self) -> &'static str;

    /// Attributes and blocks. Called once.
    fn schema(&self) -> Schema;

    /// Checks a configuration, which may have unknown values, after the validators of its attributes. Runs in
    /// a process that is not configured.
    fn validate(&self, _config: &Object, _diagnostics: &mut Diagnostics) {}

    /// Has the last word on a plan: sets computed values that are known already, asks for a replacement,
    /// warns, stores private state for apply. Called for create, update and no change alike; Terraform calls
    /// it again during apply, and it must then say the same.
    async fn plan(&self, _cx: &mut Context<C>, _change: &mut Change) -> Result<(), Failure> {
        Ok(())
    }

    /// Warns before a destroy.
    async fn plan_destroy(&self, _cx: &mut Context<C>, _prior: &Object) -> Result<(), Failure> {
        Ok(())
    }

    /// Makes the resource. `plan` has the wanted values, unknown where the outcome decides; `config` also has
    /// the write-only ones. Returns the whole state; where the plan was known, it must say the same.
    async fn create(
        &self,
        cx: &mut Context<C>,
        plan: &Object,
        config: &Object,
    ) -> Result<Object, Failure>;

    /// What the resource is now, or `None` if it is gone. `state` is what Terraform remembers, or what
    /// [`Resource::import`] made.
    async fn read(&self, cx: &mut Context<C>, state: &Object) -> Result<Option<Object>, Failure>;

    /// Changes the resource in place from `state` to `plan`.
    async fn update(
        &self,
        cx: &mut Context<C>,
        state: &Object,
        plan: &Object,
        config: &Object,
    ) -> Result<Object, Failure>;

    /// Removes the resource. What is gone already is no error.
    async fn delete(&self, cx: &mut Context<C>, state: &Object) -> Result<(), Failure>;

    /// Turns the id that the user gives to `terraform import` into what [`Resource::read`] needs.
    async fn import(&self, _cx: &mut Context<C>, _id: &str) -> Result<Object, Failure> {
        Err(Diagnostic::error(
            "Import is not supported",
            format!("The resource type {} cannot be imported.", self.type_name()),
        )
        .into())
    }

    /// Turns the state of an older schema version, as JSON, into that of the current one. Called only if the
    /// versions differ.
    fn upgrade(
        &self,
        version: i64,
        _state: serde_json::Value,
    ) -> Result<serde_json::Value, Diagnostic> {
        Err(Diagnostic::error(
            "State of an unknown version",
            format!(
                "The state of this {} was written with schema version {version}, which this provider cannot read.",
                self.type_name()
            ),
        ))
    }
}

/// A data source.
#[async_trait]
pub trait DataSource<C: Send + Sync + 'static>: Send + Sync {
    /// The full name in HCL.
    fn type_name(&self) -> &'static str;

    /// Arguments and results.
    fn schema(&self) -> Schema;

    /// Checks a configuration, which may have unknown values.
    fn validate(&self, _config: &Object, _diagnostics: &mut Diagnostics) {}

    /// Reads. `config` is wholly known, defaults are filled in; returns all attributes.
    async fn read(&self, cx: &mut Context<C>, config: &Object) -> Result<Object, Failure>;
}

/// An ephemeral resource: opened in plan and in apply, never stored.
#[async_trait]
pub trait Ephemeral<C: Send + Sync + 'static>: Send + Sync {
    /// The full name in HCL.
    fn type_name(&self) -> &'static str;

    /// Arguments and results.
    fn schema(&self) -> Schema;

    /// Checks a configuration, which may have unknown values.
    fn validate(&self, _config: &Object, _diagnostics: &mut Diagnostics) {}

    /// Opens it. What `cx.private` holds on return comes back in renew and close.
    async fn open(&self, cx: &mut Context<C>, config: &Object) -> Result<Opened, Failure>;

    /// Keeps it alive; returns when to call again, if ever.
    async fn renew(&self, _cx: &mut Context<C>) -> Result<Option<SystemTime>, Failure> {
        Ok(None)
    }

    /// Ends it.
    async fn close(&self, _cx: &mut Context<C>) -> Result<(), Failure> {
        Ok(())
    }
}

/// An open ephemeral resource.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// All attributes; what the configuration set must be the same.
    pub result: Object,
    /// When Terraform shall call [`Ephemeral::renew`].
    pub renew_at: Option<SystemTime>,
}

/// A function. Pure and offline: the same arguments give the same result, in an unconfigured process.
pub trait Function: Send + Sync {
    /// Name, parameters and result.
    fn signature(&self) -> Signature;

    /// Computes. `arguments` has one value per parameter, then the variadic ones.
    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError>;
}

/// What a function is called and takes.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The name in HCL, without prefix.
    pub name: String,
    /// One line.
    pub summary: String,
    /// Markdown.
    pub description: String,
    /// In order.
    pub parameters: Vec<Parameter>,
    /// Any number of further arguments.
    pub variadic: Option<Parameter>,
    /// What comes back.
    pub returns: Type,
}

impl Signature {
    /// A function without parameters that returns a `returns`.
    pub fn new(name: impl Into<String>, summary: impl Into<String>, returns: Type) -> Self {
        Self {
            name: name.into(),
            summary: summary.into(),
            description: String::new(),
            parameters: Vec::new(),
            variadic: None,
            returns,
        }
    }

    /// Markdown for people.
    #[must_use]
    pub fn describe(mut self, markdown: impl Into<String>) -> Self {
        self.description = markdown.into();
        self
    }

    /// Adds a parameter.
    #[must_use]
    pub fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// Takes any number of further arguments.
    #[must_use]
    pub fn variadic(mut self, parameter: Parameter) -> Self {
        self.variadic = Some(parameter);
        self
    }
}

/// A parameter of a function.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Shown to people.
    pub name: String,
    /// What it takes.
    pub ty: Type,
    /// Markdown.
    pub description: String,
    /// Whether null may be passed; otherwise Terraform refuses it.
    pub allow_null: bool,
    /// Whether unknown values may be passed; otherwise Terraform answers unknown by itself.
    pub allow_unknown: bool,
}

impl Parameter {
    /// A parameter that is neither null nor unknown.
    pub fn new(name: impl Into<String>, ty: Type, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ty,
            description: description.into(),
            allow_null: false,
            allow_unknown: false,
        }
    }
}

/// Why a function has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    /// A full sentence.
    pub text: String,
    /// The argument to blame, counted from zero.
    pub argument: Option<usize>,
}

impl FunctionError {
    /// An error of the call as a whole.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            argument: None,
        }
    }

    /// An error that points at an argument, counted from zero.
    pub fn at(argument: usize, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            argument: Some(argument),
        }
    }
}

/// Private state by its reserved bytes, for calls that only carry it.
impl<C> Context<C> {
    pub(crate) fn decoded(
        client: Option<std::sync::Arc<C>>,
        private: &[u8],
        cancel: CancellationToken,
    ) -> (Self, bool) {
        let mut private = Private::decode(private);
        let replacing = private.take_marks();
        (Self::new(client, private, cancel), replacing)
    }
}
