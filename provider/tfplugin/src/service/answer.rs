//! From an outcome to a response message: errors and panics become diagnostics.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;
use tfplugin_proto::tfplugin6 as wire;

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::serve::log;

/// A response that can carry diagnostics and nothing else.
pub(super) trait Answer: Sized {
    fn failed(diagnostics: Diagnostics) -> Self;
}

macro_rules! answers {
    ($($message:ident),* $(,)?) => {$(
        impl Answer for wire::$message::Response {
            fn failed(diagnostics: Diagnostics) -> Self {
                Self { diagnostics: diagnostics.to_wire(), ..Default::default() }
            }
        }
    )*};
}

answers!(
    get_metadata,
    get_provider_schema,
    get_resource_identity_schemas,
    get_functions,
    validate_provider_config,
    validate_resource_config,
    validate_data_resource_config,
    validate_ephemeral_resource_config,
    validate_list_resource_config,
    validate_action_config,
    validate_state_store,
    configure_provider,
    upgrade_resource_state,
    upgrade_resource_identity,
    move_resource_state,
    import_resource_state,
    read_resource,
    plan_resource_change,
    apply_resource_change,
    generate_resource_config,
    read_data_source,
    open_ephemeral_resource,
    renew_ephemeral_resource,
    close_ephemeral_resource,
    plan_action,
    configure_state_store,
    read_state_bytes,
    write_state_bytes,
    lock_state,
    unlock_state,
    get_states,
    delete_state,
);

impl Answer for wire::call_function::Response {
    fn failed(diagnostics: Diagnostics) -> Self {
        let text: Vec<String> = diagnostics
            .iter()
            .map(|each| format!("{}: {}", each.summary, each.detail))
            .collect();
        let error = wire::FunctionError {
            text: text.join(" "),
            function_argument: None,
        };
        Self {
            result: None,
            error: Some(error),
        }
    }
}

/// Runs a call to its answer. There is no gRPC error.
pub(super) async fn answer<R: Answer>(
    rpc: &'static str,
    subject: &str,
    call: impl Future<Output = Result<R, Diagnostics>>,
) -> Result<tonic::Response<R>, tonic::Status> {
    let started = Instant::now();
    let outcome = AssertUnwindSafe(call).catch_unwind().await;
    let response = match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(diagnostics)) => R::failed(diagnostics),
        Err(panic) => R::failed(crashed(rpc, subject, panic.as_ref()).into()),
    };
    let elapsed = started.elapsed();
    log::debug(
        "answered",
        &[
            ("tf_rpc", &rpc),
            ("tf_resource_type", &subject),
            ("tf_req_duration_ms", &elapsed.as_millis()),
        ],
    );
    Ok(tonic::Response::new(response))
}

fn crashed(rpc: &str, subject: &str, panic: &(dyn Any + Send)) -> Diagnostic {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no reason given".to_owned());
    let of = if subject.is_empty() {
        String::new()
    } else {
        format!(" of {subject}")
    };
    Diagnostic::error(
        "The provider has crashed",
        format!(
            "{rpc}{of} stopped at an error inside the provider: {text}\n\nThis is a mistake in the provider: please \
             report it. Whatever was going on may be half done."
        ),
    )
}

/// The answer to a question that this kit has no trait for.
pub(super) fn unsupported(what: &str) -> Diagnostics {
    Diagnostic::error(
        "Not supported",
        format!("This provider does not support {what}."),
    )
    .into()
}
