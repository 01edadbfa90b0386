//! From what Connect's validation says to the key that a person must change.

use runnel_api::{ErrorCode, Problem};
use std::collections::BTreeSet;

/// Texts by which databases refuse a login: MySQL and MariaDB error 1045, PostgreSQL 28P01/28000.
const LOGIN_REFUSALS: [&str; 4] = [
    "Access denied for user",
    "password authentication failed",
    "no password was provided",
    "role \"",
];

/// Texts of a source that could not be reached.
const REACH_FAILURES: [&str; 8] = [
    "Unable to connect",
    "Connection refused",
    "Communications link failure",
    "Could not connect",
    "Socket fail to connect",
    "UnknownHostException",
    "The connection attempt failed",
    "timed out",
];

/// Makes a problem of the errors of a validation; none when there are none.
///
/// Connect blames `database.hostname` for a refused login (measured); the password is what a
/// person must look at then.
pub(super) fn problem(
    errors: &[(String, Vec<String>)],
    secret_keys: &BTreeSet<String>,
) -> Option<Problem> {
    let (key, texts) = errors.iter().find(|(_, texts)| !texts.is_empty())?;
    // A driver's text has paragraphs; a reason is one line.
    let text = one_line(&texts.join("; "));
    let more: Vec<String> = errors
        .iter()
        .filter(|(other, texts)| other != key && !texts.is_empty())
        .map(|(other, texts)| format!("{other}: {}", texts.join("; ")))
        .collect();
    let login = LOGIN_REFUSALS.iter().any(|refusal| text.contains(refusal));
    let reach = login || REACH_FAILURES.iter().any(|failure| text.contains(failure));
    let blamed = if login {
        password_key(secret_keys).unwrap_or(key)
    } else {
        key
    };
    let code = if reach {
        ErrorCode::SourceUnreachable
    } else {
        ErrorCode::InvalidConfiguration
    };
    let message = if login {
        format!("the source refuses the login: {text}")
    } else if reach {
        format!("the source cannot be reached: {text}")
    } else {
        format!("{blamed}: {text}")
    };
    let mut problem = Problem::new(code, message).field(field(blamed, secret_keys));
    if login {
        problem = problem
            .hint("Check user and password; after a change of config_wo, raise config_wo_version");
    }
    if !more.is_empty() {
        problem = problem.detail(format!("Also: {}", more.join(", ")));
    }
    Some(problem)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn password_key(secret_keys: &BTreeSet<String>) -> Option<&String> {
    let preferred = ["database.password", "connection.password"];
    secret_keys
        .iter()
        .find(|key| preferred.contains(&key.as_str()))
        .or_else(|| secret_keys.iter().find(|key| key.contains("password")))
}

/// The field of a key: where its value stands in HCL.
pub(super) fn field(key: &str, secret_keys: &BTreeSet<String>) -> String {
    let map = if secret_keys.contains(key) {
        "config_wo"
    } else {
        "config"
    };
    format!("{map}[{key:?}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aimed(key: &str, text: &str) -> Problem {
        let secrets = BTreeSet::from(["database.password".to_owned()]);
        problem(&[(key.into(), vec![text.into()])], &secrets).unwrap()
    }

    #[test]
    fn a_refused_login_blames_the_password_and_names_the_user() {
        let text =
            "Unable to connect: Access denied for user 'u'@'localhost' (using password: YES)";
        let problem = aimed("database.hostname", text);
        assert_eq!(
            problem.field.as_deref(),
            Some("config_wo[\"database.password\"]")
        );
        assert_eq!(problem.code, ErrorCode::SourceUnreachable);
        assert!(problem.message.contains("Access denied for user 'u'"));
    }

    #[test]
    fn a_closed_port_stays_with_the_host() {
        let problem = aimed(
            "database.hostname",
            "Unable to connect: Communications link failure\n\nThe last packet",
        );
        assert!(problem.message.ends_with("link failure The last packet"));
        assert_eq!(
            problem.field.as_deref(),
            Some("config[\"database.hostname\"]")
        );
        assert_eq!(problem.code, ErrorCode::SourceUnreachable);
    }

    #[test]
    fn anything_else_is_the_configuration() {
        let problem = aimed("tasks.max", "Invalid value 0 for configuration tasks.max");
        assert_eq!(problem.code, ErrorCode::InvalidConfiguration);
        assert_eq!(problem.field.as_deref(), Some("config[\"tasks.max\"]"));
        assert_eq!(super::problem(&[], &BTreeSet::new()), None);
    }
}
