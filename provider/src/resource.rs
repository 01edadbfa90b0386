//! The one implementation of a resource behind all five types.

use crate::daemon_client::{Noun, ObjectOf};
use crate::lifecycle::{self, Convert, Cx, Planned, Update};
use crate::session::Session;
use crate::timeouts;
use runnel_api::Secret;
use std::collections::BTreeMap;
use tfplugin::schema::Schema;
use tfplugin::{Change, Diagnostics, Failure, Object, Resource, async_trait};

/// What a resource type has of its own.
#[async_trait]
pub trait Declaration: Convert<Self::Noun> + Send + Sync + 'static {
    /// The kind of object that it declares.
    type Noun: Noun;

    /// Arguments and computed attributes, without `timeouts`.
    fn schema(&self) -> Schema;

    /// Checks a configuration beyond its attributes.
    fn validate(&self, _config: &Object, _diagnostics: &mut Diagnostics) {}

    /// Sets the computed attributes that are known already. Not called for an object that is about
    /// to be replaced.
    async fn plan(
        &self,
        cx: &mut Cx,
        change: &mut Change,
        identity: Planned,
    ) -> Result<(), Failure>;

    /// Takes note that the object goes: it is destroyed, or replaced by another one.
    fn leaves(&self, _cx: &Cx, _prior: &Object) {}

    /// What has to happen before the object is written.
    async fn prepare(
        &self,
        _cx: &mut Cx,
        _state: Option<&Object>,
        _plan: &Object,
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// Secrets to send with a create.
    fn secrets(
        &self,
        _cx: &mut Cx,
        _config: &Object,
    ) -> Result<Option<BTreeMap<String, Secret>>, Failure> {
        Ok(None)
    }

    /// What to send for an update. By default: the specification, if it is another one.
    fn update(
        &self,
        _cx: &mut Cx,
        state: &Object,
        plan: &Object,
        _config: &Object,
    ) -> Result<Update, Failure> {
        Ok(Update {
            secrets: None,
            write: self.spec(state)? != self.spec(plan)?,
        })
    }

    /// Notes beside the state what was read.
    fn noted(&self, _cx: &mut Cx, _object: &ObjectOf<Self::Noun>) {}
}

/// A resource type made of its declaration.
#[derive(Debug)]
pub struct Declared<D>(pub D);

#[async_trait]
impl<D: Declaration> Resource<Session> for Declared<D> {
    fn type_name(&self) -> &'static str {
        D::Noun::KIND.terraform_type()
    }

    fn schema(&self) -> Schema {
        self.0.schema().block(timeouts::block())
    }

    fn validate(&self, config: &Object, diagnostics: &mut Diagnostics) {
        if let Err(diagnostic) = lifecycle::name_of(config) {
            diagnostics.push(diagnostic);
        }
        self.0.validate(config, diagnostics);
    }

    async fn plan(&self, cx: &mut Cx, change: &mut Change) -> Result<(), Failure> {
        match lifecycle::identity::<D::Noun>(cx, change).await? {
            Planned::Leaves => {
                if let Some(prior) = &change.prior {
                    self.0.leaves(cx, prior);
                }
                Ok(())
            }
            identity => self.0.plan(cx, change, identity).await,
        }
    }

    async fn plan_destroy(&self, cx: &mut Cx, prior: &Object) -> Result<(), Failure> {
        self.0.leaves(cx, prior);
        Ok(())
    }

    async fn create(&self, cx: &mut Cx, plan: &Object, config: &Object) -> Result<Object, Failure> {
        self.0.prepare(cx, None, plan).await?;
        let secrets = self.0.secrets(cx, config)?;
        lifecycle::create::<D::Noun>(cx, &self.0, plan, config, secrets).await
    }

    async fn read(&self, cx: &mut Cx, state: &Object) -> Result<Option<Object>, Failure> {
        let found = lifecycle::read::<D::Noun>(cx, &self.0, state).await?;
        Ok(found.map(|(object, state)| {
            self.0.noted(cx, &object);
            state
        }))
    }

    async fn update(
        &self,
        cx: &mut Cx,
        state: &Object,
        plan: &Object,
        config: &Object,
    ) -> Result<Object, Failure> {
        self.0.prepare(cx, Some(state), plan).await?;
        let update = self.0.update(cx, state, plan, config)?;
        lifecycle::update::<D::Noun>(cx, &self.0, plan, config, update).await
    }

    async fn delete(&self, cx: &mut Cx, state: &Object) -> Result<(), Failure> {
        lifecycle::delete::<D::Noun>(cx, state).await
    }

    async fn import(&self, _cx: &mut Cx, id: &str) -> Result<Object, Failure> {
        lifecycle::import::<D::Noun>(id)
    }
}
