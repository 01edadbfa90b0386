//! The runtime: the one asked for, else the current one, else the newest that fits all plugins.

use super::{DeriveInput, Findings, cut, listed, nearest};
use runnel_api::{ErrorCode, Problem};

const FIELD: &str = "kafkaconnect_version";

/// Chooses a runtime by name.
pub(super) fn choose(input: &DeriveInput<'_>, findings: &mut Findings) -> Option<String> {
    if input.runtimes.is_empty() {
        findings.refuse(
            Problem::new(ErrorCode::IncompatibleRuntime, "no runtime is registered")
                .hint("register one on the daemon's host: runnel runtime add NAME --home DIR")
                .field(FIELD),
        );
        return None;
    }
    match &input.spec.kafkaconnect_version {
        Some(asked) => match check_asked(input, asked) {
            Ok(()) => Some(asked.clone()),
            Err(problem) => {
                findings.refuse(*problem);
                None
            }
        },
        None => choose_default(input, findings),
    }
}

fn check_asked(input: &DeriveInput<'_>, asked: &str) -> Result<(), Box<Problem>> {
    let names: Vec<&str> = input.runtimes.iter().map(|r| r.name.as_str()).collect();
    if !names.contains(&asked) {
        let message = format!("there is no runtime {:?}", cut(asked));
        let guess = nearest(asked, names.iter().copied())
            .map(|near| format!("did you mean {near:?}? "))
            .unwrap_or_default();
        let problem = Problem::new(ErrorCode::InvalidArgument, message)
            .detail(format!("registered are {}", listed(&names)))
            .hint(format!(
                "{guess}leave the argument out to get the newest that fits the plugins"
            ))
            .field(FIELD);
        return Err(Box::new(problem));
    }
    let misfits = misfits(input, asked);
    if misfits.is_empty() {
        return Ok(());
    }
    let fitting = fitting(input);
    let hint = if fitting.is_empty() {
        String::from("no registered runtime fits all plugins of this connector")
    } else {
        format!("runtimes that fit all plugins are {}", listed(&fitting))
    };
    let message = format!("the plugins do not run on runtime {asked}");
    let problem = Problem::new(ErrorCode::IncompatibleRuntime, message)
        .detail(misfits.join("; "))
        .hint(hint)
        .field(FIELD);
    Err(Box::new(problem))
}

fn choose_default(input: &DeriveInput<'_>, findings: &mut Findings) -> Option<String> {
    let fitting = fitting(input);
    let current = input.current.map(|current| current.kafkaconnect_version);
    if let Some(kept) = current.filter(|current| fitting.contains(current)) {
        return Some(kept.to_owned());
    }
    let Some(newest) = fitting.last() else {
        let reasons: Vec<String> = input
            .runtimes
            .iter()
            .flat_map(|runtime| misfits(input, &runtime.name))
            .collect();
        findings.refuse(
            Problem::new(
                ErrorCode::IncompatibleRuntime,
                "no registered runtime fits all plugins of this connector",
            )
            .detail(reasons.join("; "))
            .hint("register a runtime that fits, or use another release of the plugin")
            .field("plugins"),
        );
        return None;
    };
    if let Some(left) = current {
        findings.warn(
            FIELD,
            format!("the connector moves from runtime {left} to {newest}"),
            format!("runtime {left} is no longer registered or does not fit the plugins"),
        );
    }
    Some((*newest).to_owned())
}

/// Names of runtimes that fit every plugin, oldest first.
fn fitting<'a>(input: &DeriveInput<'a>) -> Vec<&'a str> {
    let names = input.runtimes.iter().map(|runtime| runtime.name.as_str());
    names
        .filter(|name| misfits(input, name).is_empty())
        .collect()
}

/// One line for each plugin that does not fit the runtime, or of which it is not known.
fn misfits(input: &DeriveInput<'_>, runtime: &str) -> Vec<String> {
    let line = |(plugin, status): &(runnel_api::plugin::ContentRef, _)| {
        let status: &runnel_api::plugin::PluginStatus = status;
        match status.runtimes.iter().find(|fit| fit.runtime == runtime) {
            Some(fit) if fit.is_compatible() => None,
            Some(fit) => Some(format!(
                "runtime {runtime} does not have what {} calls: {}",
                plugin.name,
                listed(&fit.missing)
            )),
            None => Some(format!(
                "{} was never checked against runtime {runtime}",
                plugin.name
            )),
        }
    };
    input.plugins.iter().filter_map(line).collect()
}
