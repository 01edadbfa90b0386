//! Between HCL and the wire.

use super::KafkaCluster;
use crate::daemon_client::{KafkaClusters, ObjectOf};
use crate::lifecycle::Convert;
use runnel_api::kafka_cluster::{
    ADMIN_PASSWORD, Admin, ClientAuthentication, EncryptionInTransit, Enforcement,
    KafkaClusterSpec, PASSWORD, PRIVATE_KEY,
};
use runnel_api::{Arn, Secret};
use std::collections::BTreeMap;
use tfplugin::value::Value;
use tfplugin::{Diagnostic, Object, Path};

impl Convert<KafkaClusters> for KafkaCluster {
    fn spec(&self, values: &Object) -> Result<KafkaClusterSpec, Diagnostic> {
        Ok(KafkaClusterSpec {
            bootstrap_servers: values.get("bootstrap_servers")?,
            encryption_in_transit: encryption(values)?,
            client_authentication: authentication(values)?,
            admin: admin(values)?,
        })
    }

    fn state(&self, object: &ObjectOf<KafkaClusters>, carried: &Object) -> Object {
        let mut state = Object::new()
            .with("name", object.name.as_str())
            .with("bootstrap_servers", object.spec.bootstrap_servers.as_str())
            .with("encryption_in_transit", encryption_value(&object.spec))
            .with("client_authentication", authentication_value(&object.spec))
            .with("admin", admin_value(&object.spec))
            .with("topic_arn", object.status.topic_arn.as_str())
            .with("group_arn", object.status.group_arn.as_str())
            .with(
                "transactional_id_arn",
                object.status.transactional_id_arn.as_str(),
            )
            .with("arn", object.arn.as_str())
            .with("timeouts", carried.value("timeouts").clone());
        let enforcement = match object.status.enforcement {
            Enforcement::Acl => "ACL",
            Enforcement::None => "NONE",
        };
        state.set("enforcement", enforcement);
        state
    }
}

/// Everything that follows from the cluster's ARN.
pub(super) fn set_arns(planned: &mut Object, arn: &Arn) {
    planned.set("arn", arn.as_str());
    planned.set("topic_arn", arn.cluster_resources("topic"));
    planned.set("group_arn", arn.cluster_resources("group"));
    planned.set(
        "transactional_id_arn",
        arn.cluster_resources("transactional-id"),
    );
}

fn encryption(values: &Object) -> Result<EncryptionInTransit, Diagnostic> {
    let Some(block) = values.get::<Option<Object>>("encryption_in_transit")? else {
        return Ok(EncryptionInTransit::default());
    };
    match block.get::<String>("type")?.as_str() {
        "PLAINTEXT" => Ok(EncryptionInTransit::Plaintext),
        "TLS" => Ok(EncryptionInTransit::Tls {
            ca_certificate: block.get("ca_certificate")?,
        }),
        other => Err(stranger(other).at(block.path("type"))),
    }
}

fn authentication(values: &Object) -> Result<ClientAuthentication, Diagnostic> {
    let Some(block) = values.get::<Option<Object>>("client_authentication")? else {
        return Ok(ClientAuthentication::default());
    };
    match block.get::<String>("type")?.as_str() {
        "NONE" => Ok(ClientAuthentication::None),
        "SCRAM_SHA_512" => Ok(ClientAuthentication::ScramSha512 {
            username: block.get("username")?,
            password_wo_version: block.get("password_wo_version")?,
        }),
        "MTLS" => Ok(ClientAuthentication::Mtls {
            certificate: block
                .get::<Option<String>>("certificate")?
                .unwrap_or_default(),
            private_key_wo_version: block.get("private_key_wo_version")?,
        }),
        "AWS_MSK_IAM" => Ok(ClientAuthentication::AwsMskIam),
        other => Err(stranger(other).at(block.path("type"))),
    }
}

fn admin(values: &Object) -> Result<Option<Admin>, Diagnostic> {
    let Some(block) = values.get::<Option<Object>>("admin")? else {
        return Ok(None);
    };
    Ok(Some(Admin {
        username: block.get("username")?,
        password_wo_version: block.get("password_wo_version")?,
    }))
}

fn admin_value(spec: &KafkaClusterSpec) -> Value {
    spec.admin.as_ref().map_or(Value::Null, |admin| {
        Value::object([
            ("username", Value::from(admin.username.as_str())),
            ("password_wo_version", admin.password_wo_version.into()),
        ])
    })
}

/// The write-only values of a configuration, by their keys at the daemon; none while one of them is
/// not known.
pub(super) fn secrets(config: &Object) -> Option<BTreeMap<String, Secret>> {
    let mut secrets = BTreeMap::new();
    for (key, block, attribute) in [
        (PASSWORD, "client_authentication", "password_wo"),
        (PRIVATE_KEY, "client_authentication", "private_key_wo"),
        (ADMIN_PASSWORD, "admin", "password_wo"),
    ] {
        let path = Path::attr(block).attribute(attribute);
        match config.at(&path) {
            Some(value) if !value.is_wholly_known() => return None,
            Some(value) => {
                if let Some(text) = value.as_str() {
                    secrets.insert(key.to_owned(), Secret::new(text));
                }
            }
            None => {}
        }
    }
    Some(secrets)
}

fn stranger(kind: &str) -> Diagnostic {
    Diagnostic::error("Invalid value", format!("There is no type {kind:?}."))
}

fn encryption_value(spec: &KafkaClusterSpec) -> Value {
    match &spec.encryption_in_transit {
        EncryptionInTransit::Plaintext => Value::object([("type", "PLAINTEXT")]),
        EncryptionInTransit::Tls { ca_certificate } => Value::object([
            ("type", Value::from("TLS")),
            ("ca_certificate", ca_certificate.clone().into()),
        ]),
    }
}

fn authentication_value(spec: &KafkaClusterSpec) -> Value {
    match &spec.client_authentication {
        ClientAuthentication::None => Value::object([("type", "NONE")]),
        ClientAuthentication::ScramSha512 {
            username,
            password_wo_version,
        } => Value::object([
            ("type", Value::from("SCRAM_SHA_512")),
            ("username", username.clone().into()),
            ("password_wo_version", (*password_wo_version).into()),
        ]),
        ClientAuthentication::Mtls {
            certificate,
            private_key_wo_version,
        } => Value::object([
            ("type", Value::from("MTLS")),
            ("certificate", Value::from(certificate.as_str())),
            ("private_key_wo_version", (*private_key_wo_version).into()),
        ]),
        ClientAuthentication::AwsMskIam => Value::object([("type", "AWS_MSK_IAM")]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_reads_back_as_the_state_it_came_from() {
        let values = Object::new()
            .with("name", "shop")
            .with("bootstrap_servers", "127.0.0.1:9092")
            .with(
                "encryption_in_transit",
                Value::object([("type", "PLAINTEXT")]),
            );
        let spec = KafkaCluster.spec(&values).unwrap();
        let object: ObjectOf<KafkaClusters> = serde_json::from_value(serde_json::json!({
            "name": "shop", "id": "00000000-0000-0000-0000-000000000001", "arn": "arn:aws:kafka:r:a:cluster/shop/x-1",
            "generation": 1, "spec": spec,
            "status": {"topic_arn": "t/", "group_arn": "g/", "transactional_id_arn": "x/", "enforcement": "NONE"},
        }))
        .unwrap();
        let state = KafkaCluster.state(&object, &Object::new());
        assert_eq!(KafkaCluster.spec(&state), Ok(spec));
        assert_eq!(state.value("enforcement").as_str(), Some("NONE"));
    }

    #[test]
    fn a_type_that_nobody_knows_points_at_the_type() {
        let values = Object::new().with("bootstrap_servers", "a:1").with(
            "client_authentication",
            Value::object([("type", "KERBEROS")]),
        );
        let refused = KafkaCluster.spec(&values).unwrap_err();
        assert_eq!(refused.path.to_string(), "client_authentication.type");
    }
}
