//! Data sources, ephemeral resources, functions, and what a provider says about itself.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use tfplugin_proto::tfplugin6 as wire;

use super::catalog::{Entry, decode, encode, root};
use super::{Service, judged, run_validators, unknown_type};
use crate::diagnostics::Diagnostics;
use crate::oracle;
use crate::plan;
use crate::provider::{DataSource, Ephemeral, Parameter, Provider, Signature};

impl<P: Provider> Service<P> {
    fn data_source(&self, name: &str) -> Result<&Entry<dyn DataSource<P::Client>>, Diagnostics> {
        self.catalog()
            .data_sources
            .get(name)
            .ok_or_else(|| unknown_type("data source", name))
    }

    fn ephemeral(&self, name: &str) -> Result<&Entry<dyn Ephemeral<P::Client>>, Diagnostics> {
        self.catalog()
            .ephemerals
            .get(name)
            .ok_or_else(|| unknown_type("ephemeral resource", name))
    }

    pub(super) fn schemas(&self) -> wire::get_provider_schema::Response {
        let catalog = self.catalog();
        wire::get_provider_schema::Response {
            provider: Some(catalog.provider.schema.to_wire()),
            resource_schemas: by_name(&catalog.resources, |entry| entry.described.schema.to_wire()),
            data_source_schemas: by_name(&catalog.data_sources, |entry| {
                entry.described.schema.to_wire()
            }),
            ephemeral_resource_schemas: by_name(&catalog.ephemerals, |entry| {
                entry.described.schema.to_wire()
            }),
            functions: self.functions(),
            server_capabilities: Some(capabilities()),
            diagnostics: catalog.defects.to_wire(),
            ..Default::default()
        }
    }

    pub(super) fn functions(&self) -> HashMap<String, wire::Function> {
        by_name(&self.catalog().functions, |(signature, _)| {
            function_to_wire(signature)
        })
    }

    pub(super) fn metadata(&self) -> wire::get_metadata::Response {
        use wire::get_metadata as meta;
        let catalog = self.catalog();
        let names = |name: &String| name.clone();
        wire::get_metadata::Response {
            server_capabilities: Some(capabilities()),
            resources: catalog
                .resources
                .keys()
                .map(names)
                .map(|type_name| meta::ResourceMetadata { type_name })
                .collect(),
            data_sources: catalog
                .data_sources
                .keys()
                .map(names)
                .map(|type_name| meta::DataSourceMetadata { type_name })
                .collect(),
            ephemeral_resources: catalog
                .ephemerals
                .keys()
                .map(names)
                .map(|type_name| meta::EphemeralMetadata { type_name })
                .collect(),
            functions: catalog
                .functions
                .keys()
                .map(names)
                .map(|name| meta::FunctionMetadata { name })
                .collect(),
            ..Default::default()
        }
    }

    pub(super) fn validate_provider(
        &self,
        config: Option<wire::DynamicValue>,
    ) -> Result<Diagnostics, Diagnostics> {
        let described = &self.catalog().provider;
        let config = described.decode(config)?;
        let mut diagnostics = Diagnostics::new();
        run_validators(&described.schema, &config, &mut diagnostics);
        self.0.provider.validate(&root(&config)?, &mut diagnostics);
        Ok(diagnostics)
    }

    pub(super) fn validate_data_source(
        &self,
        name: &str,
        config: Option<wire::DynamicValue>,
    ) -> Result<Diagnostics, Diagnostics> {
        let Entry { described, it } = self.data_source(name)?;
        let config = described.decode(config)?;
        let mut diagnostics = Diagnostics::new();
        run_validators(&described.schema, &config, &mut diagnostics);
        it.validate(&root(&config)?, &mut diagnostics);
        Ok(diagnostics)
    }

    pub(super) fn validate_ephemeral(
        &self,
        name: &str,
        config: Option<wire::DynamicValue>,
    ) -> Result<Diagnostics, Diagnostics> {
        let Entry { described, it } = self.ephemeral(name)?;
        let config = described.decode(config)?;
        let mut diagnostics = Diagnostics::new();
        run_validators(&described.schema, &config, &mut diagnostics);
        it.validate(&root(&config)?, &mut diagnostics);
        Ok(diagnostics)
    }

    pub(super) async fn read_data(
        &self,
        request: wire::read_data_source::Request,
    ) -> Result<wire::read_data_source::Response, Diagnostics> {
        let Entry { described, it } = self.data_source(&request.type_name)?;
        let config = described.decode(request.config)?;
        let filled = plan::with_defaults(&described.schema, &config);
        let (mut cx, _) = self.context(&[]);
        let read = it.read(&mut cx, &root(&filled)?).await;
        let mut diagnostics = std::mem::take(&mut cx.diagnostics);
        let state = match read {
            Ok(object) => {
                let value = described.fit(object)?;
                judged(
                    || oracle::check_state(&described.schema, &value),
                    &mut diagnostics,
                );
                Some(described.encode(&value)?)
            }
            Err(failure) => {
                diagnostics.extend(failure.diagnostics);
                None
            }
        };
        Ok(wire::read_data_source::Response {
            state,
            diagnostics: diagnostics.to_wire(),
            deferred: None,
        })
    }

    pub(super) async fn open(
        &self,
        request: wire::open_ephemeral_resource::Request,
    ) -> Result<wire::open_ephemeral_resource::Response, Diagnostics> {
        let Entry { described, it } = self.ephemeral(&request.type_name)?;
        let config = described.decode(request.config)?;
        let filled = plan::with_defaults(&described.schema, &config);
        let (mut cx, _) = self.context(&[]);
        let opened = it.open(&mut cx, &root(&filled)?).await;
        let mut diagnostics = std::mem::take(&mut cx.diagnostics);
        let mut response = wire::open_ephemeral_resource::Response::default();
        match opened {
            Ok(opened) => {
                let value = described.fit(opened.result)?;
                let nothing = crate::value::Value::Null;
                judged(
                    || oracle::check_plan(&described.schema, &nothing, &config, &value),
                    &mut diagnostics,
                );
                response.result = Some(described.encode(&value)?);
                response.renew_at = opened.renew_at.map(timestamp);
                response.private = Some(cx.private.encode());
            }
            Err(failure) => diagnostics.extend(failure.diagnostics),
        }
        response.diagnostics = diagnostics.to_wire();
        Ok(response)
    }

    pub(super) async fn renew(
        &self,
        request: wire::renew_ephemeral_resource::Request,
    ) -> Result<wire::renew_ephemeral_resource::Response, Diagnostics> {
        let Entry { it, .. } = self.ephemeral(&request.type_name)?;
        let (mut cx, _) = self.context(&request.private.unwrap_or_default());
        let renewed = it.renew(&mut cx).await;
        let mut diagnostics = std::mem::take(&mut cx.diagnostics);
        let renew_at = renewed.unwrap_or_else(|failure| {
            diagnostics.extend(failure.diagnostics);
            None
        });
        Ok(wire::renew_ephemeral_resource::Response {
            diagnostics: diagnostics.to_wire(),
            renew_at: renew_at.map(timestamp),
            private: Some(cx.private.encode()),
        })
    }

    pub(super) async fn close(
        &self,
        request: wire::close_ephemeral_resource::Request,
    ) -> Result<wire::close_ephemeral_resource::Response, Diagnostics> {
        let Entry { it, .. } = self.ephemeral(&request.type_name)?;
        let (mut cx, _) = self.context(&request.private.unwrap_or_default());
        let closed = it.close(&mut cx).await;
        let mut diagnostics = std::mem::take(&mut cx.diagnostics);
        if let Err(failure) = closed {
            diagnostics.extend(failure.diagnostics);
        }
        Ok(wire::close_ephemeral_resource::Response {
            diagnostics: diagnostics.to_wire(),
        })
    }

    pub(super) fn call(
        &self,
        request: wire::call_function::Request,
    ) -> Result<wire::call_function::Response, Diagnostics> {
        let (signature, function) = self
            .catalog()
            .functions
            .get(&request.name)
            .ok_or_else(|| unknown_type("function", &request.name))?;
        let mut arguments = Vec::new();
        for (at, value) in request.arguments.into_iter().enumerate() {
            let parameter = signature.parameters.get(at).or(signature.variadic.as_ref());
            let parameter = parameter
                .ok_or_else(|| unknown_type("argument of the function", &at.to_string()))?;
            arguments.push(decode(Some(value), &parameter.ty)?);
        }
        Ok(match function.call(&arguments) {
            Ok(result) => {
                let result = result.conform(&signature.returns).map_err(|misfit| {
                    crate::diagnostics::Diagnostic::error(
                        "The function returned a value of another type",
                        misfit.to_string(),
                    )
                })?;
                wire::call_function::Response {
                    result: Some(encode(&result, &signature.returns)?),
                    error: None,
                }
            }
            Err(error) => {
                let function_argument = error.argument.and_then(|at| i64::try_from(at).ok());
                let error = wire::FunctionError {
                    text: error.text,
                    function_argument,
                };
                wire::call_function::Response {
                    result: None,
                    error: Some(error),
                }
            }
        })
    }
}

fn by_name<K: Clone + Eq + std::hash::Hash, T, U>(
    all: &std::collections::BTreeMap<K, T>,
    make: impl Fn(&T) -> U,
) -> HashMap<K, U> {
    all.iter()
        .map(|(name, each)| (name.clone(), make(each)))
        .collect()
}

/// Terraform may keep our schemas for the run, and asks us before it destroys.
pub(super) fn capabilities() -> wire::ServerCapabilities {
    wire::ServerCapabilities {
        plan_destroy: true,
        get_provider_schema_optional: true,
        move_resource_state: false,
        generate_resource_config: false,
    }
}

fn function_to_wire(signature: &Signature) -> wire::Function {
    wire::Function {
        parameters: signature.parameters.iter().map(parameter_to_wire).collect(),
        variadic_parameter: signature.variadic.as_ref().map(parameter_to_wire),
        r#return: Some(wire::function::Return {
            r#type: signature.returns.to_json(),
        }),
        summary: signature.summary.clone(),
        description: signature.description.clone(),
        description_kind: wire::StringKind::Markdown.into(),
        deprecation_message: String::new(),
    }
}

fn parameter_to_wire(parameter: &Parameter) -> wire::function::Parameter {
    wire::function::Parameter {
        name: parameter.name.clone(),
        r#type: parameter.ty.to_json(),
        allow_null_value: parameter.allow_null,
        allow_unknown_values: parameter.allow_unknown,
        description: parameter.description.clone(),
        description_kind: wire::StringKind::Markdown.into(),
    }
}

fn timestamp(at: SystemTime) -> prost_types::Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    prost_types::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0),
    }
}
