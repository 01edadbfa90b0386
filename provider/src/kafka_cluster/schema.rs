//! Arguments and computed attributes.

use crate::attributes;
use runnel_api::kafka_cluster::{ClientAuthentication, EncryptionInTransit, KafkaClusterSpec};
use tfplugin::schema::{Attribute, Schema, Validator};
use tfplugin::value::Value;

/// The types that the two blocks know.
const TYPES: [(&str, &[&str]); 2] = [
    ("encryption_in_transit", &["PLAINTEXT", "TLS"]),
    (
        "client_authentication",
        &["NONE", "SCRAM_SHA_512", "MTLS", "AWS_MSK_IAM"],
    ),
];

pub(super) fn schema() -> Schema {
    Schema::new(
        "A Kafka cluster that connectors read from or write to. Runnel does not run it; it connects to it.",
    )
    .attribute(attributes::name("Kafka cluster"))
    .attribute(bootstrap_servers())
    .attribute(encryption_in_transit())
    .attribute(client_authentication())
    .attribute(admin())
    .attribute(attributes::arn("Kafka cluster"))
    .attribute(prefix("topic_arn", "topics"))
    .attribute(prefix("group_arn", "consumer groups"))
    .attribute(prefix("transactional_id_arn", "transactional ids"))
    .attribute(
        Attribute::string("enforcement").computed().describe(
            "Whether the brokers enforce what a connector's role allows: `ACL` where there is an `admin`, else `NONE`.",
        ),
    )
}

fn bootstrap_servers() -> Attribute {
    Attribute::string("bootstrap_servers")
        .required()
        .describe("Brokers to begin with, as `host:port` pairs separated by commas.")
        .validate(Validator::new(
            "host:port pairs separated by commas",
            |value| {
                let spec = KafkaClusterSpec {
                    bootstrap_servers: value.as_str().unwrap_or_default().to_owned(),
                    encryption_in_transit: EncryptionInTransit::Plaintext,
                    client_authentication: ClientAuthentication::None,
                    admin: None,
                };
                spec.servers()
                    .map(|_| ())
                    .map_err(|error| format!("{error}."))
            },
        ))
}

fn kind(of: &'static str, text: &str) -> Attribute {
    let allowed = TYPES
        .iter()
        .find(|(block, _)| *block == of)
        .map_or(&[][..], |(_, types)| types);
    Attribute::string("type")
        .required()
        .describe(text)
        .validate(Validator::one_of(allowed.iter().copied()))
}

fn encryption_in_transit() -> Attribute {
    Attribute::single(
        "encryption_in_transit",
        [
            kind("encryption_in_transit", "`PLAINTEXT` or `TLS`."),
            Attribute::string("ca_certificate").describe(
                "Certificates of the authorities that sign the brokers', in PEM. Default: those that the machine \
                 trusts. Host names are always checked.",
            ),
        ],
    )
    .default(Value::object([("type", "PLAINTEXT")]))
    .describe("How the way to the brokers is encrypted. Default: not at all.")
}

fn client_authentication() -> Attribute {
    Attribute::single(
        "client_authentication",
        [
            kind(
                "client_authentication",
                "`NONE`; `SCRAM_SHA_512`, with an `admin` or a `username`; `MTLS`, with a `certificate`; or \
                 `AWS_MSK_IAM`. All but `NONE` need encryption in transit.",
            ),
            Attribute::string("username").describe(
                "User of all connectors, where no `admin` makes one for each of them. Type `SCRAM_SHA_512` only.",
            ),
            Attribute::string("password_wo")
                .write_only()
                .sensitive()
                .describe("Its password; never stored in plan or state."),
            Attribute::number("password_wo_version").describe("Raise it when `password_wo` changes."),
            Attribute::string("certificate").describe(
                "Certificate that workers show, with what leads to its authority, in PEM. Type `MTLS` only.",
            ),
            Attribute::string("private_key_wo")
                .write_only()
                .sensitive()
                .describe("Its key, PKCS#8 in PEM; never stored in plan or state."),
            Attribute::number("private_key_wo_version")
                .describe("Raise it when `private_key_wo` changes."),
        ],
    )
    .default(Value::object([("type", "NONE")]))
    .describe("How workers log in. Default: not at all.")
}

fn admin() -> Attribute {
    Attribute::single(
        "admin",
        [
            Attribute::string("username").required().describe(
                "User that may write users and ACLs: a super user, or one with ALTER and DESCRIBE on the cluster and \
                 what it takes to make and delete internal topics. It logs in by SCRAM-SHA-512.",
            ),
            Attribute::string("password_wo")
                .write_only()
                .sensitive()
                .describe("Its password; never stored in plan or state."),
            Attribute::number("password_wo_version").describe("Raise it when `password_wo` changes."),
        ],
    )
    .describe(
        "Login by which Runnel makes a user with ACLs for each connector, so that brokers enforce its role. Only with \
         `client_authentication` of type `SCRAM_SHA_512` without a `username`.",
    )
}

fn prefix(name: &str, of: &str) -> Attribute {
    Attribute::string(name).computed().use_state_for_unknown().describe(format!(
        "Prefix of the ARNs of this cluster's {of}, for policies; ends in `/` and is known at plan."
    ))
}
