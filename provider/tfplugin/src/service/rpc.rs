//! One method per RPC: unwraps the request, names the call, wraps the answer. No decisions.

use std::pin::Pin;

use futures_util::Stream;
use tfplugin_proto::tfplugin6::{self as wire, provider_server};
use tonic::{Request, Response, Status, Streaming};

use super::Service;
use super::answer::{Answer, answer, unsupported};
use crate::provider::Provider;

type Answered<R> = Result<Response<R>, Status>;
type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A stream of exactly one event.
#[expect(clippy::unnecessary_wraps, reason = "the type of every method here")]
fn once<T: Send + 'static>(event: T) -> Answered<Events<T>> {
    Ok(Response::new(Box::pin(tokio_stream::once(Ok(event)))))
}

#[expect(clippy::unnecessary_wraps, reason = "the type of every method here")]
fn refuse<R: Answer>(what: &str) -> Answered<R> {
    Ok(Response::new(R::failed(&unsupported(what))))
}

#[tonic::async_trait]
impl<P: Provider> provider_server::Provider for Service<P> {
    async fn get_metadata(
        &self,
        _: Request<wire::get_metadata::Request>,
    ) -> Answered<wire::get_metadata::Response> {
        answer("GetMetadata", "", || None, async { Ok(self.metadata()) }).await
    }

    async fn get_provider_schema(
        &self,
        _: Request<wire::get_provider_schema::Request>,
    ) -> Answered<wire::get_provider_schema::Response> {
        answer("GetProviderSchema", "", || None, async {
            Ok(self.schemas())
        })
        .await
    }

    async fn get_resource_identity_schemas(
        &self,
        _: Request<wire::get_resource_identity_schemas::Request>,
    ) -> Answered<wire::get_resource_identity_schemas::Response> {
        Ok(Response::new(
            wire::get_resource_identity_schemas::Response::default(),
        ))
    }

    async fn get_functions(
        &self,
        _: Request<wire::get_functions::Request>,
    ) -> Answered<wire::get_functions::Response> {
        let call = async {
            Ok(wire::get_functions::Response {
                functions: self.functions(),
                diagnostics: vec![],
            })
        };
        answer("GetFunctions", "", || None, call).await
    }

    async fn call_function(
        &self,
        request: Request<wire::call_function::Request>,
    ) -> Answered<wire::call_function::Response> {
        let request = request.into_inner();
        let name = request.name.clone();
        answer("CallFunction", &name, || None, async { self.call(request) }).await
    }

    async fn validate_provider_config(
        &self,
        request: Request<wire::validate_provider_config::Request>,
    ) -> Answered<wire::validate_provider_config::Response> {
        let call = async {
            let diagnostics = self.validate_provider(request.into_inner().config)?;
            Ok(wire::validate_provider_config::Response {
                diagnostics: diagnostics.to_wire(),
            })
        };
        answer(
            "ValidateProviderConfig",
            "",
            || Some(self.provider_schema()),
            call,
        )
        .await
    }

    async fn validate_resource_config(
        &self,
        request: Request<wire::validate_resource_config::Request>,
    ) -> Answered<wire::validate_resource_config::Response> {
        let request = request.into_inner();
        let name = request.type_name.clone();
        answer(
            "ValidateResourceConfig",
            &name,
            || self.resource_schema(&name),
            async { self.validate_managed(request) },
        )
        .await
    }

    async fn validate_data_resource_config(
        &self,
        request: Request<wire::validate_data_resource_config::Request>,
    ) -> Answered<wire::validate_data_resource_config::Response> {
        let request = request.into_inner();
        let call = async {
            let diagnostics = self.validate_data_source(&request.type_name, request.config)?;
            Ok(wire::validate_data_resource_config::Response {
                diagnostics: diagnostics.to_wire(),
            })
        };
        answer(
            "ValidateDataResourceConfig",
            &request.type_name,
            || self.data_source_schema(&request.type_name),
            call,
        )
        .await
    }

    async fn validate_ephemeral_resource_config(
        &self,
        request: Request<wire::validate_ephemeral_resource_config::Request>,
    ) -> Answered<wire::validate_ephemeral_resource_config::Response> {
        let request = request.into_inner();
        let call = async {
            let diagnostics = self.validate_ephemeral(&request.type_name, request.config)?;
            Ok(wire::validate_ephemeral_resource_config::Response {
                diagnostics: diagnostics.to_wire(),
            })
        };
        answer(
            "ValidateEphemeralResourceConfig",
            &request.type_name,
            || self.ephemeral_schema(&request.type_name),
            call,
        )
        .await
    }

    async fn validate_list_resource_config(
        &self,
        _: Request<wire::validate_list_resource_config::Request>,
    ) -> Answered<wire::validate_list_resource_config::Response> {
        refuse("list resources")
    }

    async fn validate_action_config(
        &self,
        _: Request<wire::validate_action_config::Request>,
    ) -> Answered<wire::validate_action_config::Response> {
        refuse("actions")
    }

    async fn validate_state_store_config(
        &self,
        _: Request<wire::validate_state_store::Request>,
    ) -> Answered<wire::validate_state_store::Response> {
        refuse("state stores")
    }

    async fn configure_provider(
        &self,
        request: Request<wire::configure_provider::Request>,
    ) -> Answered<wire::configure_provider::Response> {
        let request = request.into_inner();
        let call = async {
            let config = self.catalog().provider.decode(request.config)?;
            let diagnostics = self.configure(request.terraform_version, &config).await?;
            Ok(wire::configure_provider::Response {
                diagnostics: diagnostics.to_wire(),
            })
        };
        answer(
            "ConfigureProvider",
            "",
            || Some(self.provider_schema()),
            call,
        )
        .await
    }

    async fn stop_provider(
        &self,
        _: Request<wire::stop_provider::Request>,
    ) -> Answered<wire::stop_provider::Response> {
        self.stop();
        Ok(Response::new(wire::stop_provider::Response::default()))
    }

    async fn upgrade_resource_state(
        &self,
        request: Request<wire::upgrade_resource_state::Request>,
    ) -> Answered<wire::upgrade_resource_state::Response> {
        let request = request.into_inner();
        let name = request.type_name.clone();
        answer(
            "UpgradeResourceState",
            &name,
            || self.resource_schema(&name),
            async { self.upgrade(request) },
        )
        .await
    }

    async fn upgrade_resource_identity(
        &self,
        _: Request<wire::upgrade_resource_identity::Request>,
    ) -> Answered<wire::upgrade_resource_identity::Response> {
        refuse("resource identities")
    }

    async fn move_resource_state(
        &self,
        request: Request<wire::move_resource_state::Request>,
    ) -> Answered<wire::move_resource_state::Response> {
        let request = request.into_inner();
        let what = format!(
            "moving a {} to a {}",
            request.source_type_name, request.target_type_name
        );
        refuse(&what)
    }

    async fn import_resource_state(
        &self,
        request: Request<wire::import_resource_state::Request>,
    ) -> Answered<wire::import_resource_state::Response> {
        let request = request.into_inner();
        let name = request.type_name.clone();
        answer(
            "ImportResourceState",
            &name,
            || self.resource_schema(&name),
            self.import(request),
        )
        .await
    }

    async fn read_resource(
        &self,
        request: Request<wire::read_resource::Request>,
    ) -> Answered<wire::read_resource::Response> {
        let request = request.into_inner();
        let name = request.type_name.clone();
        answer(
            "ReadResource",
            &name,
            || self.resource_schema(&name),
            self.read(request),
        )
        .await
    }

    async fn plan_resource_change(
        &self,
        request: Request<wire::plan_resource_change::Request>,
    ) -> Answered<wire::plan_resource_change::Response> {
        let request = request.into_inner();
        let name = request.type_name.clone();
        answer(
            "PlanResourceChange",
            &name,
            || self.resource_schema(&name),
            self.plan(request),
        )
        .await
    }

    async fn apply_resource_change(
        &self,
        request: Request<wire::apply_resource_change::Request>,
    ) -> Answered<wire::apply_resource_change::Response> {
        let request = request.into_inner();
        let name = request.type_name.clone();
        answer(
            "ApplyResourceChange",
            &name,
            || self.resource_schema(&name),
            self.apply(request),
        )
        .await
    }

    async fn generate_resource_config(
        &self,
        _: Request<wire::generate_resource_config::Request>,
    ) -> Answered<wire::generate_resource_config::Response> {
        refuse("generating configuration")
    }

    async fn read_data_source(
        &self,
        request: Request<wire::read_data_source::Request>,
    ) -> Answered<wire::read_data_source::Response> {
        let request = request.into_inner();
        let name = request.type_name.clone();
        answer(
            "ReadDataSource",
            &name,
            || self.data_source_schema(&name),
            self.read_data(request),
        )
        .await
    }

    type ListResourceStream = Events<wire::list_resource::Event>;

    async fn list_resource(
        &self,
        _: Request<wire::list_resource::Request>,
    ) -> Answered<Self::ListResourceStream> {
        let diagnostic = unsupported("list resources").to_wire();
        once(wire::list_resource::Event {
            diagnostic,
            ..Default::default()
        })
    }

    async fn open_ephemeral_resource(
        &self,
        request: Request<wire::open_ephemeral_resource::Request>,
    ) -> Answered<wire::open_ephemeral_resource::Response> {
        let request = request.into_inner();
        let name = request.type_name.clone();
        answer(
            "OpenEphemeralResource",
            &name,
            || self.ephemeral_schema(&name),
            self.open(request),
        )
        .await
    }

    async fn renew_ephemeral_resource(
        &self,
        request: Request<wire::renew_ephemeral_resource::Request>,
    ) -> Answered<wire::renew_ephemeral_resource::Response> {
        let request = request.into_inner();
        let name = request.type_name.clone();
        answer(
            "RenewEphemeralResource",
            &name,
            || self.ephemeral_schema(&name),
            self.renew(request),
        )
        .await
    }

    async fn close_ephemeral_resource(
        &self,
        request: Request<wire::close_ephemeral_resource::Request>,
    ) -> Answered<wire::close_ephemeral_resource::Response> {
        let request = request.into_inner();
        let name = request.type_name.clone();
        answer(
            "CloseEphemeralResource",
            &name,
            || self.ephemeral_schema(&name),
            self.close(request),
        )
        .await
    }

    async fn plan_action(
        &self,
        _: Request<wire::plan_action::Request>,
    ) -> Answered<wire::plan_action::Response> {
        refuse("actions")
    }

    type InvokeActionStream = Events<wire::invoke_action::Event>;

    async fn invoke_action(
        &self,
        _: Request<wire::invoke_action::Request>,
    ) -> Answered<Self::InvokeActionStream> {
        use wire::invoke_action::event::{Completed, Type};
        let completed = Completed {
            diagnostics: unsupported("actions").to_wire(),
        };
        once(wire::invoke_action::Event {
            r#type: Some(Type::Completed(completed)),
        })
    }

    async fn configure_state_store(
        &self,
        _: Request<wire::configure_state_store::Request>,
    ) -> Answered<wire::configure_state_store::Response> {
        refuse("state stores")
    }

    type ReadStateBytesStream = Events<wire::read_state_bytes::Response>;

    async fn read_state_bytes(
        &self,
        _: Request<wire::read_state_bytes::Request>,
    ) -> Answered<Self::ReadStateBytesStream> {
        once(Answer::failed(&unsupported("state stores")))
    }

    async fn write_state_bytes(
        &self,
        _: Request<Streaming<wire::write_state_bytes::RequestChunk>>,
    ) -> Answered<wire::write_state_bytes::Response> {
        refuse("state stores")
    }

    async fn lock_state(
        &self,
        _: Request<wire::lock_state::Request>,
    ) -> Answered<wire::lock_state::Response> {
        refuse("state stores")
    }

    async fn unlock_state(
        &self,
        _: Request<wire::unlock_state::Request>,
    ) -> Answered<wire::unlock_state::Response> {
        refuse("state stores")
    }

    async fn get_states(
        &self,
        _: Request<wire::get_states::Request>,
    ) -> Answered<wire::get_states::Response> {
        refuse("state stores")
    }

    async fn delete_state(
        &self,
        _: Request<wire::delete_state::Request>,
    ) -> Answered<wire::delete_state::Response> {
        refuse("state stores")
    }
}
