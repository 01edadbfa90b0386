//! `/api/v1/kafka-clusters`.

use super::error::ApiError;
use super::objects::{self, Checked, Noun};
use super::{Api, Route};
use crate::store::{PutRequest, Stored};
use runnel_api::kafka_cluster::{
    ADMIN_PASSWORD, ClientAuthentication, EncryptionInTransit, Enforcement, KafkaClusterSpec,
    KafkaClusterStatus,
};
use runnel_api::{Arn, ErrorCode, Object, Problem};

pub(super) fn routes() -> Vec<Route> {
    objects::routes::<KafkaClusterSpec>("/api/v1/kafka-clusters", "/api/v1/kafka-clusters/{name}")
}

impl Noun for KafkaClusterSpec {
    type Status = KafkaClusterStatus;

    async fn check(_api: &Api, request: &PutRequest<Self>) -> Result<Checked<Self>, ApiError> {
        check_spec(&request.spec)?;
        if let Some(key) = request.secrets.iter().flatten().map(|(key, _)| key).next() {
            let field = if key == ADMIN_PASSWORD {
                "admin"
            } else {
                "client_authentication.password_wo"
            };
            return Err(Problem::new(
                ErrorCode::NotSupported,
                "logging in to Kafka is not supported yet, so there is no use for a password",
            )
            .hint("leave the password away")
            .field(field)
            .into());
        }
        Ok(Checked {
            compute: Box::new(|identity| status(&identity.arn)),
            warnings: Vec::new(),
        })
    }

    async fn show(_api: &Api, stored: Stored<Self>) -> Object<Self, Self::Status> {
        stored.object
    }
}

/// What follows from a cluster's ARN.
fn status(arn: &Arn) -> KafkaClusterStatus {
    KafkaClusterStatus {
        topic_arn: arn.cluster_resources("topic"),
        group_arn: arn.cluster_resources("group"),
        transactional_id_arn: arn.cluster_resources("transactional-id"),
        enforcement: Enforcement::None,
    }
}

/// What is wrong with a cluster by itself, and what this release cannot do.
pub(super) fn check_spec(spec: &KafkaClusterSpec) -> Result<(), Problem> {
    spec.servers().map_err(|message| {
        Problem::new(ErrorCode::InvalidArgument, message)
            .hint("write host:port pairs separated by commas")
            .field("bootstrap_servers")
    })?;
    let unsupported = |what: &str, instead: &str, field: &str| {
        let message = format!("{what} is not supported yet");
        Err(Problem::new(ErrorCode::NotSupported, message)
            .hint(format!(
                "this release connects with type = {instead:?} only"
            ))
            .field(field))
    };
    match spec.encryption_in_transit {
        EncryptionInTransit::Plaintext => {}
        EncryptionInTransit::Tls { .. } => {
            return unsupported("TLS", "PLAINTEXT", "encryption_in_transit.type");
        }
    }
    let field = "client_authentication.type";
    match spec.client_authentication {
        ClientAuthentication::None => Ok(()),
        ClientAuthentication::ScramSha512 { .. } => unsupported("SCRAM_SHA_512", "NONE", field),
        ClientAuthentication::Mtls { .. } => unsupported("MTLS", "NONE", field),
        ClientAuthentication::AwsMskIam => unsupported("AWS_MSK_IAM", "NONE", field),
    }
}
