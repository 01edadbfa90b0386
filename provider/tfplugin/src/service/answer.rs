//! From an outcome to a response message: errors and panics become diagnostics.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;
use tfplugin_proto::tfplugin6 as wire;

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::path::Path;
use crate::schema::{Field, Schema};
use crate::serve::log;

/// A response that can carry diagnostics and nothing else.
pub(super) trait Answer: Default {
    /// Where its diagnostics are, if it has a place for them.
    fn diagnostics(&mut self) -> Option<&mut Vec<wire::Diagnostic>>;

    fn failed(diagnostics: &Diagnostics) -> Self {
        let mut answer = Self::default();
        if let Some(place) = answer.diagnostics() {
            *place = diagnostics.to_wire();
        }
        answer
    }
}

macro_rules! answers {
    ($($message:ident),* $(,)?) => {$(
        impl Answer for wire::$message::Response {
            fn diagnostics(&mut self) -> Option<&mut Vec<wire::Diagnostic>> {
                Some(&mut self.diagnostics)
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
    fn diagnostics(&mut self) -> Option<&mut Vec<wire::Diagnostic>> {
        None
    }

    fn failed(diagnostics: &Diagnostics) -> Self {
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

/// Runs a call to its answer, whose diagnostics are about a configuration with `schema`. There is no gRPC error.
pub(super) async fn answer<'a, R: Answer>(
    rpc: &'static str,
    subject: &str,
    schema: impl FnOnce() -> Option<&'a Schema>,
    call: impl Future<Output = Result<R, Diagnostics>>,
) -> Result<tonic::Response<R>, tonic::Status> {
    let started = Instant::now();
    let outcome = AssertUnwindSafe(call).catch_unwind().await;
    let mut response = match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(diagnostics)) => R::failed(&diagnostics),
        Err(panic) => R::failed(&crashed(rpc, subject, panic.as_ref()).into()),
    };
    // Asked for last: a schema that panics has done so in the call, and left no path.
    let pointing = response
        .diagnostics()
        .filter(|all| all.iter().any(|each| each.attribute.is_some()));
    if let Some(diagnostics) = pointing
        && let Some(schema) = schema()
    {
        for each in diagnostics {
            locate(schema, each);
        }
    }
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

/// Rewrites the path of a diagnostic so that Terraform underlines the right place.
///
/// Terraform finds its way through nested blocks, to an attribute, and to one element of that. Of a path that
/// leads deeper into an attribute it takes the last name and looks for it in the block: `size.name` would
/// underline the block's own `name`. So the way ends one step below the attribute, and that step is an element
/// key (which is how it finds `name` in `size = { name = … }`); what is cut off is said in the text.
fn locate(schema: &Schema, diagnostic: &mut wire::Diagnostic) {
    use wire::attribute_path::step::Selector;
    let Some(path) = &mut diagnostic.attribute else {
        return;
    };
    let mut fields = schema.fields();
    for at in 0..path.steps.len() {
        let Some(Selector::AttributeName(name)) = &path.steps[at].selector else {
            continue;
        };
        match fields.find(name) {
            Some(field @ Field::Block(_)) => {
                let Some((_, inner)) = field.nested() else {
                    return;
                };
                fields = inner;
            }
            Some(Field::Attribute(_)) => {
                let whole = Path::from_wire(path);
                if let Some(Selector::AttributeName(name)) = path
                    .steps
                    .get(at + 1)
                    .and_then(|step| step.selector.clone())
                {
                    path.steps[at + 1].selector = Some(Selector::ElementKeyString(name));
                }
                if path.steps.len() > at + 2 {
                    path.steps.truncate(at + 2);
                    diagnostic.detail = format!("At {whole}: {}", diagnostic.detail);
                }
                return;
            }
            None => return,
        }
    }
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
