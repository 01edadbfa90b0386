//! Secrets: which keys hold one, and that none stands where it would be stored in the clear.

use super::{DeriveInput, Findings, cut};
use runnel_api::{ErrorCode, Problem};

/// Words at whose end a key names a secret.
const SECRET_WORDS: [&str; 3] = ["password", "secret", "token"];

/// Last words of keys that say that the value is about a secret, not the secret itself:
/// `ssl.key.password` is one, `password.file`, `token.endpoint.url`, `secret.name` are none.
const ABOUT_WORDS: [&str; 50] = [
    "algorithm",
    "arn",
    "cache",
    "class",
    "column",
    "count",
    "enable",
    "enabled",
    "encoder",
    "endpoint",
    "expiration",
    "expiry",
    "field",
    "fields",
    "file",
    "format",
    "header",
    "id",
    "interval",
    "iterations",
    "length",
    "lifetime",
    "limit",
    "location",
    "mode",
    "ms",
    "name",
    "path",
    "pattern",
    "policy",
    "prefix",
    "provider",
    "refresh",
    "regex",
    "required",
    "rotation",
    "scope",
    "sec",
    "seconds",
    "size",
    "suffix",
    "timeout",
    "topic",
    "ttl",
    "type",
    "uri",
    "url",
    "username",
    "user",
    "version",
];

/// Prefixes whose next part is a name that people choose (an alias of a transform, a topic group).
const ALIAS_PREFIXES: [&str; 3] = ["transforms.", "predicates.", "topic.creation."];

/// Prefixes whose rest is made of table or column names.
const FREE_PREFIXES: [&str; 2] = ["column.", "snapshot.select.statement.overrides."];

/// What stands for the secret value of a key in a configuration; the executor puts a reference to
/// the worker's own secret file in its place.
pub fn placeholder(key: &str) -> String {
    format!("${{secret:{key}}}")
}

/// Whether a key with this value holds a secret: by its name, or because it is a JAAS configuration
/// with options. The keys that Debezium types as PASSWORD are all found by their names.
pub fn is_secret(key: &str, value: &str) -> bool {
    let value = value.trim();
    let harmless = value.is_empty()
        || value.eq_ignore_ascii_case("true")
        || value.eq_ignore_ascii_case("false");
    if harmless {
        return false;
    }
    if key.ends_with("jaas.config") {
        return value.contains('=');
    }
    names_a_secret(key)
}

fn names_a_secret(key: &str) -> bool {
    if FREE_PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
        return false;
    }
    let alias = ALIAS_PREFIXES
        .iter()
        .find_map(|prefix| key.strip_prefix(prefix));
    let named = match alias {
        Some(rest) => rest.split_once('.').map_or("", |(_, own)| own),
        None => key,
    };
    let words = words(named);
    let ends_secret = |word: &String| SECRET_WORDS.iter().any(|secret| word.ends_with(secret));
    let about = |word: &String| ABOUT_WORDS.contains(&word.as_str());
    words.iter().any(ends_secret) && !words.last().is_some_and(about)
}

/// The words of a key in lower case: parted by punctuation and where a capital follows a small
/// letter.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_small = false;
    for c in key.chars() {
        let parts = !c.is_alphanumeric() || (c.is_uppercase() && before_small);
        if parts {
            words.push(String::new());
        }
        before_small = c.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

pub(super) fn check(input: &DeriveInput<'_>, findings: &mut Findings) {
    for key in input.secret_keys {
        if let Some(problem) = check_secret_key(input, key) {
            findings.refuse(problem.field(format!("config_wo[{key:?}]")));
        }
    }
    for (key, value) in &input.spec.config {
        if let Some(problem) = check_reference(input, value) {
            findings.refuse(problem.config_key(key));
        } else if is_secret(key, value) {
            let ours = is_placeholder(value);
            if !ours && !input.spec.allow_plaintext_secrets {
                findings.refuse(plaintext(key));
            }
        } else if holds_credentials(value) && !input.spec.allow_plaintext_secrets {
            findings.warn(
                &format!("config[{key:?}]"),
                format!("the value of {} seems to hold a password", cut(key)),
                "it would be stored in state, plan and the worker's topic as it is; put the key \
                 into config_wo",
            );
        }
    }
}

fn plaintext(key: &str) -> Problem {
    let message = format!("{} is a secret and would be stored in the clear", cut(key));
    Problem::new(ErrorCode::PlaintextSecret, message)
        .detail("values of config stand in Terraform's state and plan; those of config_wo do not")
        .hint(format!(
            "move it: config_wo = {{ {key:?} = … }}; or say allow_plaintext_secrets = true"
        ))
        .config_key(key)
}

/// Keys that plan must read, or that cannot be written into a placeholder.
fn check_secret_key(input: &DeriveInput<'_>, key: &str) -> Option<Problem> {
    const READ_AT_PLAN: [&str; 7] = [
        "connector.class",
        "exactly.once.support",
        "tasks.max",
        "transaction.boundary",
        "topic.prefix",
        "database.server.name",
        "slot.name",
    ];
    if input.spec.config.contains_key(key) {
        let message = format!("{} stands in config and in config_wo", cut(key));
        let problem = Problem::new(ErrorCode::InvalidArgument, message);
        return Some(problem.hint("leave one of them out"));
    }
    if READ_AT_PLAN.contains(&key) {
        let message = format!("{key} is no secret: plan must be able to read it");
        return Some(Problem::new(ErrorCode::InvalidArgument, message).hint("move it to config"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (!key.chars().all(fits)).then(|| {
        Problem::new(
            ErrorCode::InvalidArgument,
            "a key of config_wo has a character too many",
        )
        .detail("keys of config_wo hold letters, digits, `.`, `_` and `-`")
    })
}

/// References to config providers (KIP-297): `${provider:key}` or `${provider:path:key}`. Without a
/// colon it is none; `${topic}` is a template of some connector's own.
fn references(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value.split("${").skip(1).filter_map(|rest| {
        let (inside, _) = rest.split_once('}')?;
        inside.split_once(':')
    })
}

/// The first provider that a value refers to and that some release of Connect, or a plugin of it,
/// brings under this name.
pub(super) fn well_known_provider(value: &str) -> Option<&str> {
    const NAMES: [&str; 14] = [
        "azure",
        "dir",
        "directory",
        "env",
        "envvar",
        "file",
        "gcp",
        "jndi",
        "secretManager",
        "secretsmanager",
        "secrets",
        "ssm",
        "sys",
        "vault",
    ];
    references(value)
        .map(|(provider, _)| provider)
        .find(|provider| NAMES.iter().any(|name| name.eq_ignore_ascii_case(provider)))
}

pub(super) fn is_placeholder(value: &str) -> bool {
    let inside = value.trim().strip_prefix("${secret:");
    inside
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|key| !key.contains(['{', '}']))
}

fn check_reference(input: &DeriveInput<'_>, value: &str) -> Option<Problem> {
    let (provider, key) = references(value)
        .find(|(provider, key)| *provider != "secret" || !input.secret_keys.contains(*key))?;
    if provider == "secret" {
        let message = format!(
            "the value refers to {:?}, which config_wo does not hold",
            cut(key)
        );
        let problem = Problem::new(ErrorCode::InvalidArgument, message);
        return Some(problem.hint("add the key to config_wo"));
    }
    let message = format!(
        "config providers beyond files are refused, and those are Runnel's own: {:?}",
        cut(provider)
    );
    Some(
        Problem::new(ErrorCode::InvalidArgument, message)
            .detail(
                "references are resolved on the worker, where they could read other files and the \
                 environment (CVE-2024-31141)",
            )
            .hint("put the key with its value into config_wo; workers get it as a private file"),
    )
}

/// An address with user and password, or a connection string with a password.
fn holds_credentials(value: &str) -> bool {
    let lower = value.to_lowercase();
    let parameter = ["password=", "pwd="].iter().any(|word| {
        lower.match_indices(word).any(|(at, _)| {
            let before = lower[..at].chars().next_back();
            let after = lower[at + word.len()..].chars().next();
            before.is_some_and(|c| matches!(c, '?' | '&' | ';' | ' ' | ','))
                && after.is_some_and(|c| c != '$' && c != '&' && c != ';')
        })
    });
    let user_info = lower.split("://").skip(1).any(|rest| {
        let authority = rest
            .split(['/', '?', '#', ' ', ','])
            .next()
            .unwrap_or_default();
        authority
            .rsplit_once('@')
            .and_then(|(login, _)| login.split_once(':'))
            .is_some_and(|(_, password)| !password.is_empty() && !password.starts_with('$'))
    });
    parameter || user_info
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_found_by_the_words_of_their_keys() {
        for key in [
            "database.password",
            "database.ssl.keystore.password",
            "connection.password",
            "aws.secret.access.key",
            "azure.client.secret",
            "oauth_token",
            "sasl.oauthbearer.client.secret",
            "clientSecret",
            "authToken",
            "s3.secretKey",
            "accesstoken",
            "driver.sslpassword",
            "schema.history.internal.producer.ssl.key.password",
            "transforms.seal.password",
            "token.value",
            "PASSWORD",
        ] {
            assert!(is_secret(key, "x"), "{key}");
        }
    }

    #[test]
    fn what_only_sounds_like_a_secret_is_none() {
        for key in [
            "database.user",
            "key.converter",
            "tokenizer",
            "tokenizer.class",
            "max.tokens",
            "secretary.name",
            "passwordless",
            "ssl.truststore.password.file",
            "sasl.oauthbearer.token.endpoint.url",
            "token.ttl.ms",
            "secret.name",
            "aws.secretsmanager.region",
            "transforms.password.type",
            "transforms.token.fields",
            "predicates.secret.pattern",
            "topic.creation.password.partitions",
            "column.mask.with.length.chars",
            "snapshot.select.statement.overrides.shop.password",
            "database.history.kafka.topic",
            "aws.access.key.id",
            "",
        ] {
            assert!(!is_secret(key, "x"), "{key}");
        }
        assert!(!is_secret("database.password", ""));
        assert!(!is_secret("mask.password", "true"));
    }

    #[test]
    fn the_keys_that_debezium_types_as_password_are_found_by_name() {
        // By Connect's validation: MySQL and MariaDB the first three, PostgreSQL the first and last.
        for key in [
            "database.password",
            "database.ssl.keystore.password",
            "database.ssl.truststore.password",
            "database.sslpassword",
        ] {
            assert!(is_secret(key, "x"), "{key}");
        }
    }

    #[test]
    fn a_jaas_configuration_is_secret_when_it_has_options() {
        let iam = "software.amazon.msk.auth.iam.IAMLoginModule required;";
        let scram = "org.x.ScramLoginModule required username=\"a\" password=\"b\";";
        for key in [
            "sasl.jaas.config",
            "database.history.producer.sasl.jaas.config",
        ] {
            assert!(!is_secret(key, iam), "{key}");
            assert!(is_secret(key, scram), "{key}");
        }
    }

    #[test]
    fn templates_are_not_references() {
        let all = |value| references(value).collect::<Vec<_>>();
        assert_eq!(all("${topic}-${table}"), []);
        assert_eq!(all("a ${file:/x:y} b"), [("file", "/x:y")]);
        assert_eq!(all("${env:A"), []);
        assert!(is_placeholder("${secret:a.b}"));
        assert!(!is_placeholder("${secret:a}b${secret:c}"));
    }

    #[test]
    fn addresses_with_a_login_are_noticed() {
        for value in [
            "mongodb://app:hunter2@db:27017/?x=y",
            "jdbc:postgresql://db/shop?user=a&password=b",
            "jdbc:sqlserver://db;user=a;password=b",
        ] {
            assert!(holds_credentials(value), "{value}");
        }
        for value in [
            "http://registry:8081",
            "jdbc:mysql://db:3306/shop?user=app",
            "mongodb://app@db:27017",
            "mongodb://app:${secret:p}@db",
            "jdbc:postgresql://db/shop?password=${secret:p}",
            "a@b:c",
        ] {
            assert!(!holds_credentials(value), "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_key_or_value_makes_it_panic(key in any::<String>(), value in any::<String>()) {
            let _ = is_secret(&key, &value);
            let _ = holds_credentials(&value);
            let _ = references(&value).count();
        }
    }
}
