//! Managed resources: upgrade, import, read, plan, apply.

use bytes::Bytes;
use tfplugin_proto::tfplugin6 as wire;

use super::catalog::{Described, Entry, root};
use super::{Service, judged, run_validators, unknown_type};
use crate::context::{Context, Failure};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::oracle;
use crate::plan::{self, Action, Change, Inputs};
use crate::provider::{Provider, Resource};
use crate::value::Value;

type Managed<C> = Entry<dyn Resource<C>>;

impl<P: Provider> Service<P> {
    fn managed(&self, name: &str) -> Result<&Managed<P::Client>, Diagnostics> {
        self.catalog()
            .resources
            .get(name)
            .ok_or_else(|| unknown_type("resource type", name))
    }

    pub(super) fn validate_managed(
        &self,
        request: wire::validate_resource_config::Request,
    ) -> Result<wire::validate_resource_config::Response, Diagnostics> {
        let Entry { described, it } = self.managed(&request.type_name)?;
        let config = described.decode(request.config)?;
        let mut diagnostics = Diagnostics::new();
        if !request
            .client_capabilities
            .is_some_and(|client| client.write_only_attributes_allowed)
        {
            refuse_write_only(described, &config, &mut diagnostics);
        }
        run_validators(&described.schema, &config, &mut diagnostics);
        it.validate(&root(&config)?, &mut diagnostics);
        Ok(wire::validate_resource_config::Response {
            diagnostics: diagnostics.to_wire(),
        })
    }

    pub(super) fn upgrade(
        &self,
        request: wire::upgrade_resource_state::Request,
    ) -> Result<wire::upgrade_resource_state::Response, Diagnostics> {
        let Entry { described, it } = self.managed(&request.type_name)?;
        let json = request.raw_state.map(|raw| raw.json).unwrap_or_default();
        if json.is_empty() {
            return Err(Diagnostic::error(
                "State of an unreadable form",
                "The state was written by a Terraform older than 0.12, which this provider does not read.",
            )
            .into());
        }
        let unreadable = |error: &dyn std::fmt::Display| {
            let detail = format!(
                "The state of this {} does not fit its schema: {error}.",
                request.type_name
            );
            Diagnostics::from(Diagnostic::error("Unreadable state", detail))
        };
        let same = request.version == described.schema.version;
        let (mut value, fit) = if same {
            Value::from_json(&json, &described.ty).map_err(|error| unreadable(&error))?
        } else {
            let old = serde_json::from_slice(&json).map_err(|error| unreadable(&error))?;
            let new = it.upgrade(request.version, old)?;
            Value::from_json_value(&new, &described.ty).map_err(|error| unreadable(&error))?
        };
        if let (false, Some(path)) = (same, fit.surplus.first()) {
            return Err(unreadable(&format!(
                "after the upgrade, it has {path}, which the schema does not know"
            )));
        }
        // The bytes of Terraform itself are the most exact copy there is.
        let upgraded_state = if same && fit == crate::value::Fit::default() {
            wire::DynamicValue {
                msgpack: Bytes::new(),
                json: json.into(),
            }
        } else {
            plan::null_write_only(described.schema.fields(), &mut value);
            described.encode(&value)?
        };
        Ok(wire::upgrade_resource_state::Response {
            upgraded_state: Some(upgraded_state),
            diagnostics: vec![],
        })
    }

    pub(super) async fn import(
        &self,
        request: wire::import_resource_state::Request,
    ) -> Result<wire::import_resource_state::Response, Diagnostics> {
        let Entry { described, it } = self.managed(&request.type_name)?;
        let (mut cx, _) = self.context(&[]);
        let imported = it.import(&mut cx, &request.id).await;
        let mut diagnostics = std::mem::take(&mut cx.diagnostics);
        let imported_resources = match imported {
            Ok(object) => {
                let value = described.fit(object)?;
                judged(
                    || oracle::check_state(&described.schema, &value),
                    &mut diagnostics,
                );
                vec![wire::import_resource_state::ImportedResource {
                    type_name: request.type_name,
                    state: Some(described.encode(&value)?),
                    private: cx.private.encode(),
                    identity: None,
                }]
            }
            Err(failure) => {
                diagnostics.extend(failure.diagnostics);
                vec![]
            }
        };
        Ok(wire::import_resource_state::Response {
            imported_resources,
            diagnostics: diagnostics.to_wire(),
            deferred: None,
        })
    }

    pub(super) async fn read(
        &self,
        request: wire::read_resource::Request,
    ) -> Result<wire::read_resource::Response, Diagnostics> {
        let Entry { described, it } = self.managed(&request.type_name)?;
        let state = described.decode(request.current_state)?;
        let (mut cx, _) = self.context(&request.private);
        let read = it.read(&mut cx, &root(&state)?).await;
        let mut diagnostics = std::mem::take(&mut cx.diagnostics);
        let new = match read {
            Ok(None) => Value::Null,
            Ok(Some(object)) => {
                let mut new = described.fit(object)?;
                plan::keep_prior(&described.schema, &state, &mut new);
                judged(
                    || oracle::check_state(&described.schema, &new),
                    &mut diagnostics,
                );
                new
            }
            Err(failure) => {
                diagnostics.extend(failure.diagnostics);
                state
            }
        };
        Ok(wire::read_resource::Response {
            new_state: Some(described.encode(&new)?),
            diagnostics: diagnostics.to_wire(),
            private: cx.private.encode(),
            ..Default::default()
        })
    }

    pub(super) async fn plan(
        &self,
        request: wire::plan_resource_change::Request,
    ) -> Result<wire::plan_resource_change::Response, Diagnostics> {
        let Entry { described, it } = self.managed(&request.type_name)?;
        let prior = described.decode(request.prior_state)?;
        let proposed = described.decode(request.proposed_new_state)?;
        let (mut cx, replacing) = self.context(&request.prior_private);
        if proposed.is_null() {
            return plan_destroy(described, it.as_ref(), &mut cx, &prior).await;
        }
        let config = described.decode(request.config)?;
        let schema = &described.schema;
        let prepared = plan::prepare(Inputs {
            schema,
            prior: &prior,
            config: &config,
            proposed,
        });
        let action = match (prior.is_null(), replacing) {
            (true, true) => Action::Replace,
            (true, false) => Action::Create,
            (false, _) if prepared.value == prior => Action::NoOp,
            (false, _) => Action::Update,
        };
        let prior_object = crate::access::Object::from_root(&prior);
        let mut change = Change::new(action, root(&config)?, prior_object, root(&prepared.value)?)
            .with_replace(prepared.requires_replace);
        let hook = it.plan(&mut cx, &mut change).await;
        let mut diagnostics = std::mem::take(&mut cx.diagnostics);
        if let Err(failure) = hook {
            diagnostics.extend(failure.diagnostics);
        }
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        let (planned, requires_replace) = change.into_parts();
        let finished = plan::finish(
            schema,
            &described.ty,
            &prior,
            planned.into(),
            requires_replace,
        )
        .map_err(|misfit| {
            Diagnostic::error(
                "Provider planned a value that does not fit",
                misfit.to_string(),
            )
        })?;
        judged(
            || oracle::check_plan(schema, &prior, &config, &finished.value),
            &mut diagnostics,
        );
        if !finished.requires_replace.is_empty() {
            cx.private.mark_replacing();
        }
        Ok(wire::plan_resource_change::Response {
            planned_state: Some(described.encode(&finished.value)?),
            requires_replace: finished
                .requires_replace
                .iter()
                .map(crate::path::Path::to_wire)
                .collect(),
            planned_private: cx.private.encode(),
            diagnostics: diagnostics.to_wire(),
            ..Default::default()
        })
    }

    pub(super) async fn apply(
        &self,
        request: wire::apply_resource_change::Request,
    ) -> Result<wire::apply_resource_change::Response, Diagnostics> {
        let Entry { described, it } = self.managed(&request.type_name)?;
        let prior = described.decode(request.prior_state)?;
        let planned = described.decode(request.planned_state)?;
        let config = described.decode(request.config)?;
        let (mut cx, _) = self.context(&request.planned_private);
        let outcome = carry_out(it.as_ref(), &mut cx, &prior, &planned, &config).await;
        let mut diagnostics = std::mem::take(&mut cx.diagnostics);
        let new = match outcome {
            Ok(None) => Value::Null,
            Ok(Some(object)) => {
                let mut new = described.fit(object)?;
                plan::keep_prior(&described.schema, &planned, &mut new);
                if !diagnostics.has_errors() {
                    judged(
                        || oracle::check_apply(&described.schema, &planned, &new),
                        &mut diagnostics,
                    );
                    judged(
                        || oracle::check_state(&described.schema, &new),
                        &mut diagnostics,
                    );
                }
                new
            }
            Err(failure) => {
                diagnostics.extend(failure.diagnostics);
                if !diagnostics.has_errors() {
                    diagnostics.error(
                        "The provider failed",
                        "It gave no reason. This is a mistake in the provider.",
                    );
                }
                match failure.state.map(|state| described.fit(state)).transpose() {
                    Ok(Some(state)) => state.unknown_to_null(),
                    Ok(None) => prior,
                    Err(misfit) => {
                        diagnostics.extend(misfit);
                        prior
                    }
                }
            }
        };
        Ok(wire::apply_resource_change::Response {
            new_state: Some(described.encode(&new)?),
            private: cx.private.encode(),
            diagnostics: diagnostics.to_wire(),
            new_identity: None,
        })
    }
}

/// Create, update or delete, as prior state and plan say.
async fn carry_out<C: Send + Sync + 'static>(
    it: &dyn Resource<C>,
    cx: &mut Context<C>,
    prior: &Value,
    planned: &Value,
    config: &Value,
) -> Result<Option<crate::access::Object>, Failure> {
    if planned.is_null() {
        return it.delete(cx, &root(prior)?).await.map(|()| None);
    }
    let (planned, config) = (root(planned)?, root(config)?);
    if prior.is_null() {
        it.create(cx, &planned, &config).await.map(Some)
    } else {
        it.update(cx, &root(prior)?, &planned, &config)
            .await
            .map(Some)
    }
}

async fn plan_destroy<C: Send + Sync + 'static>(
    described: &Described,
    it: &dyn Resource<C>,
    cx: &mut Context<C>,
    prior: &Value,
) -> Result<wire::plan_resource_change::Response, Diagnostics> {
    let hook = it.plan_destroy(cx, &root(prior)?).await;
    let mut diagnostics = std::mem::take(&mut cx.diagnostics);
    if let Err(failure) = hook {
        diagnostics.extend(failure.diagnostics);
    }
    Ok(wire::plan_resource_change::Response {
        planned_state: Some(described.encode(&Value::Null)?),
        planned_private: cx.private.encode(),
        diagnostics: diagnostics.to_wire(),
        ..Default::default()
    })
}

fn refuse_write_only(described: &Described, config: &Value, diagnostics: &mut Diagnostics) {
    plan::each_set(
        described.schema.fields(),
        config,
        &mut |attribute, _, path| {
            if attribute.write_only {
                let detail = format!(
                    "{path} is a write-only argument, which needs Terraform 1.11 or newer."
                );
                diagnostics.error_at(path, "Write-only argument not supported", detail);
            }
        },
    );
}
