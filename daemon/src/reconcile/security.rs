//! How the Kafka clients of a worker get into the cluster. Passwords are not among it: they are in
//! the worker's login configuration.

use crate::clusters::DeclaredCluster;
use crate::fleet::KafkaLogin;
use crate::store::Principal;
use runnel_api::kafka_cluster::{ClientAuthentication, EncryptionInTransit, KafkaClusterSpec};
use runnel_api::{ErrorCode, Problem};
use std::collections::BTreeMap;
use std::path::Path;

/// Who the workers of a connector are, and the count of its passwords.
pub(super) fn login(cluster: &DeclaredCluster, principal: Option<&Principal>) -> (KafkaLogin, u64) {
    let own = principal.map(|it| (it.username.clone(), it.password.clone()));
    let login = KafkaLogin {
        scram: own.or_else(|| cluster.shared_login()),
        certificate: cluster.client_certificate(),
    };
    let version = match principal {
        Some(principal) => principal.version,
        None if login == KafkaLogin::default() => 0,
        // A new password is a new generation of the cluster.
        None => cluster.generation.0,
    };
    (login, version)
}

/// The library that workers need besides the runtime, out of what the settings name; a cluster that needs one that
/// nobody has named is refused.
pub(crate) fn login_library<'a>(
    cluster: &KafkaClusterSpec,
    aws_msk_iam_auth: Option<&'a Path>,
) -> Result<Option<&'a Path>, Box<Problem>> {
    if cluster.client_authentication != ClientAuthentication::AwsMskIam {
        return Ok(None);
    }
    aws_msk_iam_auth.map(Some).ok_or_else(|| {
        let message = "workers have no library to log in by AWS_MSK_IAM";
        let problem = Problem::new(ErrorCode::InvalidArgument, message)
            .detail("the daemon's runnel.toml has no [kafka] aws_msk_iam_auth")
            .hint(
                "download software.amazon.msk:aws-msk-iam-auth with the classifier `all`, name the jar there, and \
                 start the daemon again",
            );
        Box::new(problem.field("kafka_cluster"))
    })
}

/// Client settings by the names of Kafka's documentation. `keystore` holds key and certificate.
pub(super) fn client_security(
    cluster: &KafkaClusterSpec,
    keystore: Option<&Path>,
) -> BTreeMap<String, String> {
    let mut set: Vec<(&str, String)> = Vec::new();
    let encrypted = matches!(
        cluster.encryption_in_transit,
        EncryptionInTransit::Tls { .. }
    );
    match &cluster.client_authentication {
        ClientAuthentication::None if !encrypted => {}
        ClientAuthentication::None => set.push(("security.protocol", "SSL".into())),
        ClientAuthentication::ScramSha512 { .. } => {
            set.push(("security.protocol", "SASL_SSL".into()));
            set.push(("sasl.mechanism", "SCRAM-SHA-512".into()));
        }
        ClientAuthentication::Mtls { .. } => {
            set.push(("security.protocol", "SSL".into()));
            if let Some(path) = keystore {
                set.push(("ssl.keystore.type", "PEM".into()));
                set.push(("ssl.keystore.location", path.to_string_lossy().into()));
            }
        }
        ClientAuthentication::AwsMskIam => {
            set.push(("security.protocol", "SASL_SSL".into()));
            set.push(("sasl.mechanism", "AWS_MSK_IAM".into()));
            let module = "software.amazon.msk.auth.iam.IAMLoginModule required;";
            set.push(("sasl.jaas.config", module.into()));
            let handler = "software.amazon.msk.auth.iam.IAMClientCallbackHandler";
            set.push(("sasl.client.callback.handler.class", handler.into()));
        }
    }
    if let EncryptionInTransit::Tls {
        ca_certificate: Some(pem),
    } = &cluster.encryption_in_transit
    {
        // PEM text as a value: KIP-651, since Kafka 2.7.
        set.push(("ssl.truststore.type", "PEM".into()));
        set.push(("ssl.truststore.certificates", pem.clone()));
    }
    set.into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use runnel_api::kafka_cluster::Admin;

    fn cluster(encrypted: bool, client_authentication: ClientAuthentication) -> KafkaClusterSpec {
        KafkaClusterSpec {
            bootstrap_servers: "b:1".into(),
            encryption_in_transit: if encrypted {
                EncryptionInTransit::Tls {
                    ca_certificate: Some("PEM".into()),
                }
            } else {
                EncryptionInTransit::Plaintext
            },
            client_authentication,
            admin: None::<Admin>,
        }
    }

    #[test]
    fn each_way_in_has_its_protocol_and_no_password() {
        let scram = ClientAuthentication::ScramSha512 {
            username: Some("u".into()),
            password_wo_version: None,
        };
        let mtls = ClientAuthentication::Mtls {
            certificate: "c".into(),
            private_key_wo_version: None,
        };
        for (spec, protocol) in [
            (cluster(false, ClientAuthentication::None), None),
            (cluster(true, ClientAuthentication::None), Some("SSL")),
            (cluster(true, scram), Some("SASL_SSL")),
            (cluster(true, mtls), Some("SSL")),
            (
                cluster(true, ClientAuthentication::AwsMskIam),
                Some("SASL_SSL"),
            ),
        ] {
            let set = client_security(&spec, Some(Path::new("/s/client.pem")));
            let found = set.get("security.protocol").map(String::as_str);
            assert_eq!(found, protocol, "{spec:?}");
            assert!(!set.keys().any(|key| key.contains("password")));
            let trusts = set.contains_key("ssl.truststore.certificates");
            assert_eq!(trusts, protocol.is_some());
        }
    }

    #[test]
    fn a_login_by_iam_brings_its_module_its_handler_and_its_library() {
        let iam = cluster(true, ClientAuthentication::AwsMskIam);
        let set = client_security(&iam, None);
        for (key, value) in [
            ("sasl.mechanism", "AWS_MSK_IAM"),
            (
                "sasl.jaas.config",
                "software.amazon.msk.auth.iam.IAMLoginModule required;",
            ),
            (
                "sasl.client.callback.handler.class",
                "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
            ),
        ] {
            assert_eq!(set[key], value);
        }
        let jar = Path::new("/lib/iam.jar");
        assert_eq!(login_library(&iam, Some(jar)).unwrap(), Some(jar));
        let refused = login_library(&iam, None).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("kafka_cluster"));
        assert!(refused.hint.unwrap().contains("classifier `all`"));
        let plain = cluster(false, ClientAuthentication::None);
        assert_eq!(login_library(&plain, Some(jar)).unwrap(), None);
        assert_eq!(login_library(&plain, None).unwrap(), None);
    }
}
