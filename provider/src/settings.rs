//! Where the daemon is and which token it gets: the only reader of environment and token file.

use crate::trust::Trust;
use runnel_api::Secret;
use std::path::{Path as FilePath, PathBuf};
use tfplugin::schema::{Attribute, Schema};
use tfplugin::{Diagnostic, Object, Tri};

/// The port on which the daemon listens when nobody says otherwise.
pub const DEFAULT_PORT: u16 = 8083;
/// A token is one line; a longer file is another one.
const TOKEN_BYTES_MAX: u64 = 4096;

/// The provider's block.
pub fn schema() -> Schema {
    Schema::new(
        "Runnel runs Kafka Connect connectors as MSK Connect does, on your own machine: Kafka clusters, plugins, worker \
         configurations, roles and connectors are declared here, and the Runnel daemon makes them so.",
    )
    .attribute(Attribute::string("endpoint").describe(format!(
        "Address of the Runnel daemon, such as `http://127.0.0.1:{DEFAULT_PORT}`, which is the default. May also be set by \
         the environment variable `RUNNEL_ENDPOINT`. `https://` for a daemon with a certificate."
    )))
    .attribute(Attribute::string("ca_certificate").describe(
        "PEM file with the authority of the daemon's certificate, for an endpoint with `https://`. May also be set by the \
         environment variable `RUNNEL_CA_CERTIFICATE`. Without it the authorities of this system are trusted.",
    ))
    .attribute(Attribute::string("client_certificate").describe(
        "PEM file with a certificate and its private key, for a daemon that asks its clients for one. May also be set by \
         the environment variable `RUNNEL_CLIENT_CERTIFICATE`.",
    ))
    .attribute(Attribute::string("token").sensitive().describe(
        "Token for the daemon. May also be set by the environment variable `RUNNEL_TOKEN`. Prefer `token_file`.",
    ))
    .attribute(Attribute::string("token_file").describe(
        "File that holds the token, such as the one that the daemon writes into its data directory when it first \
         starts. Conflicts with `token`.",
    ))
}

/// What the provider works with.
#[derive(Debug)]
pub struct Settings {
    /// `http://host:port` or `https://host:port`, without a final slash.
    pub endpoint: String,
    /// Whom to trust, with https.
    pub trust: Option<Trust>,
    /// The token, if there is one.
    pub token: Option<Secret>,
}

/// What the environment says.
#[derive(Debug, Default)]
pub struct Environment {
    /// `RUNNEL_ENDPOINT`.
    pub endpoint: Option<String>,
    /// `RUNNEL_TOKEN`.
    pub token: Option<Secret>,
    /// `RUNNEL_CA_CERTIFICATE` and `RUNNEL_CLIENT_CERTIFICATE`.
    pub trust: Trust,
}

impl Environment {
    /// Of this process. An empty variable is as good as none.
    pub fn read() -> Self {
        let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            endpoint: read("RUNNEL_ENDPOINT"),
            token: read("RUNNEL_TOKEN").map(Secret::new),
            trust: Trust {
                ca_certificate: read("RUNNEL_CA_CERTIFICATE").map(PathBuf::from),
                client_certificate: read("RUNNEL_CLIENT_CERTIFICATE").map(PathBuf::from),
            },
        }
    }
}

/// What can be checked of the block before anything is known.
pub fn validate(config: &Object) -> Result<(), Diagnostic> {
    if let Tri::Known(endpoint) = config.get::<Tri<String>>("endpoint")? {
        checked(&endpoint).map_err(|refused| refused.at("endpoint"))?;
    }
    if !config.value("token").is_null() && !config.value("token_file").is_null() {
        return Err(Diagnostic::error(
            "Two tokens",
            "Set either `token` or `token_file`, not both.",
        )
        .at("token"));
    }
    Ok(())
}

/// Puts block and environment together; the block wins. `None` if the block has values that are
/// known only after apply.
pub fn resolve(config: &Object, environment: Environment) -> Result<Option<Settings>, Diagnostic> {
    validate(config)?;
    let endpoint = match config.get::<Tri<String>>("endpoint")? {
        Tri::Unknown => return Ok(None),
        Tri::Known(endpoint) => checked(&endpoint).map_err(|refused| refused.at("endpoint"))?,
        Tri::Null => match environment.endpoint {
            Some(endpoint) => checked(&endpoint).map_err(|mut refused| {
                refused.detail = format!(
                    "In the environment variable RUNNEL_ENDPOINT: {}",
                    refused.detail
                );
                refused
            })?,
            None => format!("http://127.0.0.1:{DEFAULT_PORT}"),
        },
    };
    let mut trust = environment.trust;
    for (name, place) in [
        ("ca_certificate", &mut trust.ca_certificate),
        ("client_certificate", &mut trust.client_certificate),
    ] {
        match config.get::<Tri<String>>(name)? {
            Tri::Unknown => return Ok(None),
            Tri::Known(file) => *place = Some(PathBuf::from(file)),
            Tri::Null => {}
        }
    }
    let trust = endpoint.starts_with("https://").then_some(trust);
    let file = config.get::<Tri<String>>("token_file")?;
    let token = match (config.get::<Tri<String>>("token")?, file) {
        (Tri::Unknown, _) | (_, Tri::Unknown) => return Ok(None),
        (Tri::Known(token), _) => Some(Secret::new(token)),
        (Tri::Null, Tri::Known(file)) => {
            Some(from_file(FilePath::new(&file)).map_err(|refused| refused.at("token_file"))?)
        }
        (Tri::Null, Tri::Null) => environment.token,
    };
    Ok(Some(Settings {
        endpoint,
        trust,
        token,
    }))
}

/// The endpoint without a final slash, or why it is none.
fn checked(endpoint: &str) -> Result<String, Diagnostic> {
    let refuse = |detail: String| Err(Diagnostic::error("Invalid endpoint", detail));
    let example = format!("Write it as http://127.0.0.1:{DEFAULT_PORT}.");
    let Ok(url) = reqwest::Url::parse(endpoint) else {
        return refuse(format!("{endpoint:?} is no address. {example}"));
    };
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        return refuse(format!(
            "{endpoint:?} is no http:// or https:// address. {example}"
        ));
    }
    if !bare || !url.username().is_empty() || url.password().is_some() {
        return refuse(format!(
            "{endpoint:?} has more than host and port. {example}"
        ));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn from_file(path: &FilePath) -> Result<Secret, Diagnostic> {
    let refuse = |detail: String| Diagnostic::error("Token file cannot be read", detail);
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| {
        refuse(format!(
            "{shown}: {error}. The daemon writes the file when it first starts."
        ))
    })?;
    if metadata.len() > TOKEN_BYTES_MAX {
        return Err(refuse(format!("{shown} is too large to hold a token.")));
    }
    let text =
        std::fs::read_to_string(path).map_err(|error| refuse(format!("{shown}: {error}.")))?;
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(refuse(format!(
            "{shown} does not hold one line with a token."
        )));
    }
    Ok(Secret::new(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfplugin::value::Value;

    fn environment(endpoint: &str, token: &str) -> Environment {
        Environment {
            endpoint: Some(endpoint.into()),
            token: Some(Secret::new(token)),
            trust: Trust::default(),
        }
    }

    #[test]
    fn the_block_wins_over_the_environment_and_that_over_the_default() {
        let empty = resolve(&Object::new(), Environment::default())
            .unwrap()
            .unwrap();
        assert_eq!(empty.endpoint, format!("http://127.0.0.1:{DEFAULT_PORT}"));
        assert!(empty.token.is_none());
        let from = environment("http://other:1/", "env");
        let config = Object::new().with("token", "block");
        let settings = resolve(&config, from).unwrap().unwrap();
        assert_eq!(settings.endpoint, "http://other:1");
        assert_eq!(settings.token.unwrap().expose(), "block");
    }

    #[test]
    fn what_is_unknown_at_plan_leaves_the_provider_without_a_client() {
        for name in [
            "endpoint",
            "token",
            "token_file",
            "ca_certificate",
            "client_certificate",
        ] {
            let config = Object::new().with(name, Value::unknown());
            assert!(
                resolve(&config, Environment::default()).unwrap().is_none(),
                "{name}"
            );
        }
    }

    #[test]
    fn files_of_trust_count_with_https_only_and_the_block_wins() {
        let from = || {
            let mut from = environment("https://other:1", "env");
            from.trust.ca_certificate = Some("/env/ca.pem".into());
            from.trust.client_certificate = Some("/env/me.pem".into());
            from
        };
        let config = Object::new().with("ca_certificate", "/block/ca.pem");
        let settings = resolve(&config, from()).unwrap().unwrap();
        assert_eq!(settings.endpoint, "https://other:1");
        let trust = settings.trust.unwrap();
        assert_eq!(trust.ca_certificate, Some("/block/ca.pem".into()));
        assert_eq!(trust.client_certificate, Some("/env/me.pem".into()));
        let plain = config.with("endpoint", "http://other:1");
        assert_eq!(resolve(&plain, from()).unwrap().unwrap().trust, None);
    }

    #[test]
    fn every_refusal_points_at_its_attribute() {
        for (name, value) in [
            ("endpoint", "https://127.0.0.1:1/path"),
            ("endpoint", "127.0.0.1:1"),
            ("endpoint", "http://host/path"),
            ("endpoint", "http://user:pw@host"),
            ("endpoint", "ftp://host"),
            ("endpoint", ""),
            ("token_file", "/nonexistent/token"),
        ] {
            let config = Object::new().with(name, value);
            let refused = resolve(&config, Environment::default()).unwrap_err();
            assert_eq!(refused.path.to_string(), name, "{value}");
        }
        let both = Object::new().with("token", "a").with("token_file", "b");
        assert_eq!(validate(&both).unwrap_err().path.to_string(), "token");
    }
}
