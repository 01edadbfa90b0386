//! Which brokers `runnel tail` reads from, and how it gets in: those that were named, else those of
//! a declared cluster. The daemon never tells secrets, so a password comes from the command line.

use crate::commands::{self, Client, Common};
use crate::config::Environment;
use crate::kafka::tail::TailArgs;
use crate::kafka::{Access, Encryption, Login};
use runnel_api::kafka_cluster::{
    ClientAuthentication, EncryptionInTransit, KafkaCluster, KafkaClusterSpec,
};
use runnel_api::{ErrorCode, Page, Problem, Secret};
use std::path::Path;
use zeroize::Zeroizing;

/// Longest file of a password or of authorities that is read, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// The way into the cluster.
pub async fn access(
    common: &Common,
    arguments: &TailArgs,
    environment: &Environment,
) -> Result<Access, Problem> {
    let given = Given::read(arguments)?;
    let spec = match &arguments.bootstrap_servers {
        Some(text) => given.named(text),
        None => declared(common, arguments.cluster.as_deref(), environment).await?,
    };
    decide(&spec, given)
}

/// What the command line says about the login.
#[derive(Debug, Default)]
struct Given {
    username: Option<String>,
    password: Option<Secret>,
    authorities: Option<String>,
}

impl Given {
    fn read(arguments: &TailArgs) -> Result<Self, Problem> {
        let password = match &arguments.password_file {
            // An editor's end of line is no part of a password.
            Some(file) => Some(Secret::new(
                read("password_file", file)?.trim_end_matches(['\r', '\n']),
            )),
            None => None,
        };
        let authorities = match &arguments.ca_certificate {
            Some(file) => Some(read("ca_certificate", file)?.to_string()),
            None => None,
        };
        Ok(Self {
            username: arguments.username.clone(),
            password,
            authorities,
        })
    }

    /// Brokers that were named are what the rest of the command line says: a password is never sent
    /// in the clear.
    fn named(&self, bootstrap_servers: &str) -> KafkaClusterSpec {
        let is_encrypted = self.authorities.is_some() || self.password.is_some();
        KafkaClusterSpec {
            bootstrap_servers: bootstrap_servers.to_owned(),
            encryption_in_transit: if is_encrypted {
                EncryptionInTransit::Tls {
                    ca_certificate: None,
                }
            } else {
                EncryptionInTransit::Plaintext
            },
            client_authentication: ClientAuthentication::None,
            admin: None,
        }
    }
}

fn read(field: &str, file: &Path) -> Result<Zeroizing<String>, Problem> {
    let wrong = |why: String| {
        let message = format!("{} cannot be read", file.display());
        Problem::new(ErrorCode::InvalidArgument, message)
            .detail(why)
            .field(field)
    };
    let length = std::fs::metadata(file)
        .map_err(|error| wrong(error.to_string()))?
        .len();
    if length > FILE_MAX {
        return Err(wrong(format!(
            "it has {length} bytes, more than {FILE_MAX}"
        )));
    }
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    Ok(Zeroizing::new(text))
}

/// Encryption as declared, the login as far as it was given or is not needed.
fn decide(spec: &KafkaClusterSpec, given: Given) -> Result<Access, Problem> {
    let servers = spec.servers().map_err(|wrong| {
        Problem::new(ErrorCode::InvalidArgument, wrong).field("bootstrap_servers")
    })?;
    let encryption = match (&spec.encryption_in_transit, given.authorities) {
        (EncryptionInTransit::Plaintext, None) => Encryption::Plaintext,
        (EncryptionInTransit::Plaintext, Some(_)) => {
            return Err(invalid(
                "ca_certificate",
                "the Kafka cluster is declared as unencrypted, so there is no certificate to check",
            ));
        }
        (EncryptionInTransit::Tls { ca_certificate }, authorities) => Encryption::Tls {
            ca: authorities.or_else(|| ca_certificate.clone()),
            client: None,
        },
    };
    let login = match given.password {
        None => no_login(spec)?,
        Some(_) if encryption == Encryption::Plaintext => {
            return Err(invalid(
                "password_file",
                "the Kafka cluster is declared as unencrypted: the login could be read and replayed",
            ));
        }
        Some(password) => {
            let username = given
                .username
                .or_else(|| declared_user(spec).map(str::to_owned));
            Login::ScramSha512 {
                username: username
                    .ok_or_else(|| invalid("username", "the password is there, the user is not"))?,
                password,
            }
        }
    };
    Ok(Access {
        servers,
        encryption,
        login,
    })
}

/// Whom a declared cluster names; the admin, where it makes the others.
fn declared_user(spec: &KafkaClusterSpec) -> Option<&str> {
    match (&spec.admin, &spec.client_authentication) {
        (Some(admin), _) => Some(&admin.username),
        (None, ClientAuthentication::ScramSha512 { username, .. }) => username.as_deref(),
        _ => None,
    }
}

/// Without a password, where the cluster asks for none.
fn no_login(spec: &KafkaClusterSpec) -> Result<Login, Problem> {
    let hint = match &spec.client_authentication {
        ClientAuthentication::None => return Ok(Login::None),
        ClientAuthentication::ScramSha512 { .. } => {
            "give --username and --password-file of a user that may read the topic"
        }
        ClientAuthentication::Mtls { .. } | ClientAuthentication::AwsMskIam => {
            "give --username and --password-file, and with --bootstrap-servers and --ca-certificate a listener that \
             lets users in by SCRAM-SHA-512"
        }
    };
    Err(Problem::new(
        ErrorCode::InvalidArgument,
        "the Kafka cluster lets nobody in without a login, and the daemon does not tell secrets",
    )
    .hint(hint)
    .field("password_file"))
}

fn invalid(field: &str, message: &str) -> Problem {
    Problem::new(ErrorCode::InvalidArgument, message).field(field)
}

async fn declared(
    common: &Common,
    name: Option<&str>,
    environment: &Environment,
) -> Result<KafkaClusterSpec, Problem> {
    let client = Client::new(commands::connection(common, environment)?)?;
    if let Some(name) = name {
        let cluster: KafkaCluster = client
            .get(&format!("/api/v1/kafka-clusters/{name}"))
            .await?;
        return Ok(cluster.spec);
    }
    let mut page: Page<KafkaCluster> = client.get("/api/v1/kafka-clusters?limit=2").await?;
    match (page.items.pop(), page.items.is_empty()) {
        (Some(only), true) => Ok(only.spec),
        (Some(_), false) => Err(Problem::new(
            ErrorCode::InvalidArgument,
            "there are several Kafka clusters",
        )
        .hint("Name one: --cluster NAME, or --bootstrap-servers HOST:PORT")),
        (None, _) => Err(
            Problem::new(ErrorCode::NotFound, "no Kafka cluster is declared")
                .hint("Name brokers: --bootstrap-servers HOST:PORT"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runnel_api::kafka_cluster::Admin;

    fn with_password(username: Option<&str>) -> Given {
        Given {
            username: username.map(str::to_owned),
            password: Some(Secret::new("secret")),
            authorities: None,
        }
    }

    fn secured() -> KafkaClusterSpec {
        KafkaClusterSpec {
            bootstrap_servers: "a:1".into(),
            encryption_in_transit: EncryptionInTransit::Tls {
                ca_certificate: Some("DECLARED".into()),
            },
            client_authentication: ClientAuthentication::ScramSha512 {
                username: None,
                password_wo_version: None,
            },
            admin: Some(Admin {
                username: "admin".into(),
                password_wo_version: None,
            }),
        }
    }

    fn user_of(access: &Access) -> Option<&str> {
        match &access.login {
            Login::ScramSha512 { username, .. } => Some(username),
            _ => None,
        }
    }

    #[test]
    fn a_declared_cluster_gives_encryption_and_user_and_the_command_line_wins() {
        let access = decide(&secured(), with_password(None)).unwrap();
        assert_eq!(user_of(&access), Some("admin"));
        assert!(
            matches!(&access.encryption, Encryption::Tls { ca: Some(ca), .. } if ca == "DECLARED")
        );
        let given = Given {
            authorities: Some("GIVEN".into()),
            ..with_password(Some("reader"))
        };
        let access = decide(&secured(), given).unwrap();
        assert_eq!(user_of(&access), Some("reader"));
        assert!(
            matches!(&access.encryption, Encryption::Tls { ca: Some(ca), .. } if ca == "GIVEN")
        );
    }

    #[test]
    fn what_is_missing_for_a_login_is_told_before_anything_is_connected() {
        let problem = decide(&secured(), Given::default()).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("password_file"));
        assert!(problem.hint.unwrap().contains("--password-file"));
        let named = with_password(None).named("a:1");
        let problem = decide(&named, with_password(None)).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("username"));
    }

    #[test]
    fn a_password_is_never_sent_in_the_clear() {
        let given = with_password(Some("reader"));
        let access = decide(&given.named("a:1"), given).unwrap();
        assert_eq!(
            access.encryption,
            Encryption::Tls {
                ca: None,
                client: None
            }
        );
        let mut plain = secured();
        plain.encryption_in_transit = EncryptionInTransit::Plaintext;
        let problem = decide(&plain, with_password(None)).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("password_file"));
    }

    #[test]
    fn named_brokers_without_more_are_read_in_plain() {
        let given = Given::default();
        let access = decide(&given.named("a:1,b:2"), given).unwrap();
        let servers = vec![("a".to_owned(), 1), ("b".to_owned(), 2)];
        assert_eq!(access, Access::plaintext(servers));
    }
}
