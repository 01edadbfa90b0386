//! An access in the words of librdkafka, for consuming and producing.

use super::access::{Access, Encryption, Login};
use super::error::Server;
use super::failure::Failure;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;

/// Settings of a client that goes in by `access`. They hold its secrets: never print them.
///
/// # Errors
/// [`Failure::IamLogin`]: librdkafka has no such mechanism.
pub(super) fn settings(access: &Access) -> Result<ClientConfig, Failure> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers(access));
    let encrypted = match &access.encryption {
        Encryption::Plaintext => false,
        Encryption::Tls { ca, client } => {
            // Without it OpenSSL's own place is used, the machine's.
            if let Some(ca) = ca {
                config.set("ssl.ca.pem", ca);
            }
            if let Some(client) = client {
                config
                    .set("ssl.certificate.pem", &client.chain)
                    .set("ssl.key.pem", client.key.expose());
            }
            config.set("ssl.endpoint.identification.algorithm", "https");
            true
        }
    };
    let has_login = match &access.login {
        Login::None => false,
        Login::AwsMskIam => return Err(Failure::IamLogin),
        Login::ScramSha512 { username, password } => {
            config
                .set("sasl.mechanisms", "SCRAM-SHA-512")
                .set("sasl.username", username)
                .set("sasl.password", password.expose());
            true
        }
    };
    let protocol = match (encrypted, has_login) {
        (false, false) => "plaintext",
        (false, true) => "sasl_plaintext",
        (true, false) => "ssl",
        (true, true) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    Ok(config)
}

fn servers(access: &Access) -> String {
    let servers: Vec<String> = access
        .servers
        .iter()
        .map(|(host, port)| {
            Server {
                host: host.clone(),
                port: *port,
            }
            .to_string()
        })
        .collect();
    servers.join(",")
}

/// Whether librdkafka says by this that it will not get in as it is told to. It would try again
/// until its time is up.
pub(super) fn is_locked_out(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::UnsupportedSASLMechanism
            | RDKafkaErrorCode::IllegalSASLState
            | RDKafkaErrorCode::SSL
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::ClientCertificate;
    use runnel_api::Secret;

    fn access(encryption: Encryption, login: Login) -> Access {
        Access {
            servers: vec![("a".into(), 1), ("::1".into(), 2)],
            encryption,
            login,
        }
    }

    #[test]
    fn each_way_in_has_its_protocol() {
        let tls = || Encryption::Tls {
            ca: Some("PEM".into()),
            client: None,
        };
        let scram = || Login::ScramSha512 {
            username: "me".into(),
            password: Secret::new("secret"),
        };
        for (encryption, login, protocol) in [
            (Encryption::Plaintext, Login::None, "plaintext"),
            (Encryption::Plaintext, scram(), "sasl_plaintext"),
            (tls(), Login::None, "ssl"),
            (tls(), scram(), "sasl_ssl"),
        ] {
            let config = settings(&access(encryption, login)).unwrap();
            assert_eq!(config.get("security.protocol"), Some(protocol));
            assert_eq!(config.get("bootstrap.servers"), Some("a:1,[::1]:2"));
        }
        let config = settings(&access(tls(), scram())).unwrap();
        assert_eq!(config.get("ssl.ca.pem"), Some("PEM"));
        assert_eq!(config.get("sasl.password"), Some("secret"));
        assert!(settings(&access(tls(), Login::AwsMskIam)).is_err());
    }

    #[test]
    fn a_client_certificate_is_shown_with_its_key() {
        let client = ClientCertificate {
            chain: "CHAIN".into(),
            key: Secret::new("KEY"),
        };
        let encryption = Encryption::Tls {
            ca: None,
            client: Some(client),
        };
        let config = settings(&access(encryption, Login::None)).unwrap();
        assert_eq!(config.get("ssl.certificate.pem"), Some("CHAIN"));
        assert_eq!(config.get("ssl.key.pem"), Some("KEY"));
        assert_eq!(config.get("ssl.ca.pem"), None);
    }
}
