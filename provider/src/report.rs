//! From errors of the daemon and of the way to it to messages in the user's file.

use crate::daemon_client::ClientError;
use crate::field_path;
use runnel_api::error::Warning;
use runnel_api::server::API_VERSION;
use runnel_api::{Kind, Name, Problem};
use tfplugin::{Diagnostic, Object, Path};

/// The daemon's problem at the place in `config` that it names.
pub fn problem(problem: &Problem, config: &Object) -> Diagnostic {
    let path = place(problem.field.as_deref(), config);
    let mut paragraphs = Vec::new();
    paragraphs.extend(problem.detail.as_deref().map(sentence));
    paragraphs.extend(problem.hint.as_deref().map(sentence));
    paragraphs.extend(unseen_field(problem.field.as_deref(), &path));
    Diagnostic::error(headline(&problem.message), paragraphs.join("\n\n")).at(path)
}

/// The daemon's remark at the place in `config` that it names.
pub fn warning(warning: &Warning, config: &Object) -> Diagnostic {
    let path = place(warning.field.as_deref(), config);
    let mut paragraphs = Vec::new();
    paragraphs.extend(warning.detail.as_deref().map(sentence));
    paragraphs.extend(unseen_field(warning.field.as_deref(), &path));
    Diagnostic::warning(headline(&warning.message), paragraphs.join("\n\n")).at(path)
}

/// A call that failed, with what to do.
pub fn call(error: &ClientError, config: &Object) -> Diagnostic {
    let headline = headline(&error.to_string());
    let detail = match error {
        ClientError::Refused(refused) => return problem(refused, config),
        ClientError::NotRunning { endpoint, reason } => format!(
            "Nothing answers at {endpoint} ({reason}).\n\nStart it with `runnel daemon`. If it runs elsewhere, say \
             where: `endpoint` in the provider block, or the environment variable RUNNEL_ENDPOINT."
        ),
        ClientError::Lost { endpoint, reason } => format!(
            "The call to {endpoint} had no answer ({reason}); whether it took effect is unknown.\n\nSee whether the \
             daemon runs (`runnel doctor`) and whether `endpoint` is its address; then plan again."
        ),
        ClientError::Untrusted { endpoint, reason } => format!(
            "What answers at {endpoint} shows a certificate that is not trusted ({reason}).\n\nName the file of its \
             authority: `ca_certificate` in the provider block, or the environment variable RUNNEL_CA_CERTIFICATE. \
             `endpoint` must have a name that stands in the certificate."
        ),
        ClientError::Unauthenticated {
            endpoint,
            token_sent,
            hint,
        } => unauthenticated(endpoint, *token_sent, hint.as_deref()),
        ClientError::NotRunnel { endpoint, answer } => format!(
            "Something answers at {endpoint}, but not as a Runnel daemon of this version does: {answer}.\n\nCorrect \
             `endpoint` in the provider block, or the environment variable RUNNEL_ENDPOINT. It is the daemon's \
             address without a path, such as http://127.0.0.1:{}.",
            crate::settings::DEFAULT_PORT
        ),
        ClientError::Skew {
            daemon,
            api_version,
        } => format!(
            "The daemon (release {daemon}) speaks version {api_version} of the API, this provider (release {}) \
             version {API_VERSION}.\n\nInstall the {} of the same release as the other.",
            env!("CARGO_PKG_VERSION"),
            if *api_version < API_VERSION {
                "daemon"
            } else {
                "provider"
            }
        ),
        ClientError::File(error) => format!("Reading it failed: {error}."),
    };
    Diagnostic::error(headline, detail)
}

fn unauthenticated(endpoint: &str, token_sent: bool, hint: Option<&str>) -> String {
    let what = if token_sent {
        "The token is not one of the daemon's"
    } else {
        "No token was given"
    };
    let place = hint.map_or_else(
        || "The daemon wrote its root token into the file root.token of its data directory when it first started.".to_owned(),
        sentence,
    );
    format!(
        "{what} ({endpoint}).\n\n{place} Name that file with `token_file` in the provider block, or give the token itself \
         with `token` or the environment variable RUNNEL_TOKEN."
    )
}

/// An object is there that the state knows nothing of.
pub fn exists(kind: Kind, name: &Name) -> Diagnostic {
    let resource = kind.terraform_type();
    Diagnostic::error(
        format!("The {kind} {:?} exists already", name.as_str()),
        format!(
            "It is not in this state: it was made by someone else, or by a run that was cut off. Import it:\n\n  import \
             {{\n    to = {resource}.THIS\n    id = {:?}\n  }}\n\nor, on the command line: terraform import \
             {resource}.THIS {name}\n\nwhere THIS is the name of the resource block. Or choose another name.",
            name.as_str()
        ),
    )
    .at("name")
}

fn place(field: Option<&str>, config: &Object) -> Path {
    field
        .map(|field| field_path::locate(field, config))
        .unwrap_or_default()
}

/// What the daemon blames, where the user's file has no such place to underline.
fn unseen_field(field: Option<&str>, path: &Path) -> Option<String> {
    field
        .filter(|field| path.to_string() != *field)
        .map(|field| format!("This is about {field}."))
}

/// A message as a headline: with a capital, without a final stop.
fn headline(message: &str) -> String {
    let message = message.trim_end_matches('.');
    let mut chars = message.chars();
    match chars.next() {
        // A word such as `tasks.max` or a quoted name stays as it is.
        Some(first) if message.split(' ').next().is_some_and(is_plain_word) => {
            first.to_uppercase().chain(chars).collect()
        }
        _ => message.to_owned(),
    }
}

fn is_plain_word(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_lowercase())
}

/// A text as a sentence: with a capital where it starts with a word, and a final stop.
fn sentence(text: &str) -> String {
    let text = text.trim();
    let ends = text.is_empty() || text.ends_with(['.', '!', '?', ':', '}']);
    let stop = if ends || text.contains('\n') { "" } else { "." };
    let (first, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
    format!("{}{rest}{stop}", headline(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use runnel_api::ErrorCode;
    use tfplugin::value::Value;

    fn config() -> Object {
        Object::new()
            .with("name", "orders")
            .with("config", Value::map([("tasks.max", "2")]))
            .with("config_wo", Value::Null)
    }

    #[test]
    fn a_problem_points_at_the_key_and_keeps_all_its_parts() {
        let refused = Problem::new(ErrorCode::ConnectorFailed, "the connector failed")
            .detail("only 1 task is allowed")
            .hint("set it to 1")
            .config_key("tasks.max");
        let diagnostic = problem(&refused, &config());
        assert_eq!(diagnostic.summary, "The connector failed");
        assert_eq!(diagnostic.detail, "Only 1 task is allowed.\n\nSet it to 1.");
        assert_eq!(diagnostic.path.to_string(), r#"config["tasks.max"]"#);
    }

    #[test]
    fn a_field_that_the_file_does_not_show_is_named_in_words() {
        let refused = Problem::new(ErrorCode::SourceUnreachable, "access denied")
            .field(r#"config_wo["database.password"]"#);
        let diagnostic = problem(&refused, &config());
        assert_eq!(diagnostic.path.to_string(), "config_wo");
        assert!(
            diagnostic
                .detail
                .contains(r#"config_wo["database.password"]"#)
        );
        let remark = Warning {
            message: "tasks.max is ignored".into(),
            detail: None,
            field: None,
        };
        let diagnostic = warning(&remark, &config());
        assert_eq!(diagnostic.summary, "tasks.max is ignored");
        assert!(diagnostic.path.is_root());
    }

    #[test]
    fn each_way_to_miss_the_daemon_says_what_to_do() {
        let endpoint = || "http://127.0.0.1:1".to_owned();
        for (error, advice) in [
            (
                ClientError::NotRunning {
                    endpoint: endpoint(),
                    reason: "refused".into(),
                },
                "runnel daemon",
            ),
            (
                ClientError::Lost {
                    endpoint: endpoint(),
                    reason: "reset".into(),
                },
                "plan again",
            ),
            (
                ClientError::Unauthenticated {
                    endpoint: endpoint(),
                    token_sent: true,
                    hint: None,
                },
                "token_file",
            ),
            (
                ClientError::Unauthenticated {
                    endpoint: endpoint(),
                    token_sent: false,
                    hint: None,
                },
                "No token was given",
            ),
            (
                ClientError::NotRunnel {
                    endpoint: endpoint(),
                    answer: "404".into(),
                },
                "RUNNEL_ENDPOINT",
            ),
            (
                ClientError::Skew {
                    daemon: "9".into(),
                    api_version: 9,
                },
                "Install the provider",
            ),
            (
                ClientError::Skew {
                    daemon: "0".into(),
                    api_version: 0,
                },
                "Install the daemon",
            ),
        ] {
            let diagnostic = call(&error, &config());
            assert!(diagnostic.detail.contains(advice), "{diagnostic}");
        }
    }

    #[test]
    fn a_stranger_under_the_name_is_to_be_imported() {
        let diagnostic = exists(Kind::Connector, &Name::parse("orders").unwrap());
        assert_eq!(diagnostic.path.to_string(), "name");
        assert!(diagnostic.detail.contains("import {"), "{diagnostic}");
        assert!(
            diagnostic
                .detail
                .contains("terraform import runnel_connector.THIS orders")
        );
    }
}
