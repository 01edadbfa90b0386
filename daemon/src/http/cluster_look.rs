//! A look at a Kafka cluster before anything depends on it.

use crate::kafka::{Access, Everyone, KafkaAdmin, KafkaError, lets_everyone_in};
use runnel_api::error::Warning;
use runnel_api::kafka_cluster::{
    Authorizer, ClientAuthentication, KafkaClusterPreviewed, KafkaClusterSeen, KafkaClusterSpec,
};
use runnel_api::{ErrorCode, Problem, Secret};
use std::collections::BTreeMap;
use std::time::Duration;

/// For the whole look: people wait for it at plan.
const LIMIT: Duration = Duration::from_secs(6);

/// Reaches the cluster, logs in, and finds out what it is.
pub(super) async fn look(spec: &KafkaClusterSpec, access: &Access) -> KafkaClusterPreviewed {
    match seen(access).await {
        Ok(seen) => judge(spec, seen),
        Err(error) if error.is_login_by_iam() => not_seen(),
        Err(error) => KafkaClusterPreviewed {
            problems: vec![aim(spec, &error)],
            ..KafkaClusterPreviewed::default()
        },
    }
}

/// A cluster that only workers can log in to.
fn not_seen() -> KafkaClusterPreviewed {
    let warning = Warning {
        message: "the Kafka cluster was reached, and its login was not tried".into(),
        detail: Some(
            "it accepts AWS_MSK_IAM, by which workers log in and the daemon cannot: whether their credentials are \
             good shows when the first worker starts; Connect makes the internal topics itself, and they stay after a \
             destroy"
                .into(),
        ),
        field: Some("client_authentication".into()),
    };
    KafkaClusterPreviewed {
        warnings: vec![warning],
        ..KafkaClusterPreviewed::default()
    }
}

async fn seen(access: &Access) -> Result<KafkaClusterSeen, KafkaError> {
    let mut admin = KafkaAdmin::connect(access, LIMIT).await?;
    let cluster = admin.describe_cluster().await?;
    Ok(KafkaClusterSeen {
        cluster_id: cluster.id,
        brokers: u32::try_from(cluster.brokers.len()).unwrap_or(u32::MAX),
        authorizer: admin.authorizer().await?,
    })
}

fn judge(spec: &KafkaClusterSpec, seen: KafkaClusterSeen) -> KafkaClusterPreviewed {
    let mut previewed = KafkaClusterPreviewed::default();
    match (&spec.admin, seen.authorizer) {
        (Some(_), Authorizer::Off) => {
            let message = "the Kafka cluster has no authorizer: ACLs would have no effect";
            previewed.problems.push(
                Problem::new(ErrorCode::InvalidArgument, message)
                    .hint(
                        "set authorizer.class.name and allow.everyone.if.no.acl.found=false on \
                         its brokers, or leave admin out and go on without enforcement",
                    )
                    .field("admin"),
            );
        }
        (Some(admin), Authorizer::Unknown) => {
            let message = format!("{} may not see ACLs on the Kafka cluster", admin.username);
            previewed.problems.push(
                Problem::new(ErrorCode::InvalidArgument, message)
                    .hint("make it a super user, or allow it DESCRIBE and ALTER on the cluster")
                    .field("admin.username"),
            );
        }
        (None, Authorizer::On) if spec.client_authentication == ClientAuthentication::None => {
            previewed.warnings.push(Warning {
                message: "the Kafka cluster checks ACLs, and workers log in as nobody".into(),
                detail: Some("what User:ANONYMOUS may not do there, no connector can".into()),
                field: Some("client_authentication".into()),
            });
        }
        _ => {}
    }
    previewed.seen = Some(seen);
    previewed
}

/// Whether the brokers let everybody in where there is no ACL: the first ACL that we make would lock
/// others out. Tried with a user that is made for it and removed.
pub(super) async fn refused(
    spec: &KafkaClusterSpec,
    secrets: &BTreeMap<String, Secret>,
) -> Option<Problem> {
    match lets_everyone_in(&Access::of(spec, secrets), LIMIT).await {
        Everyone::Refused => None,
        Everyone::LetIn => {
            let message = "the brokers let everybody in where there is no ACL";
            Some(
                Problem::new(ErrorCode::InvalidArgument, message)
                    .detail("the first ACL on a topic or group would lock everybody else out of it")
                    .hint("set allow.everyone.if.no.acl.found=false on the brokers first")
                    .field("admin"),
            )
        }
        Everyone::Unknown(error) => Some(aim(spec, &error)),
    }
}

/// Points at the argument that is to blame.
fn aim(spec: &KafkaClusterSpec, error: &KafkaError) -> Problem {
    let blame = error.blame();
    let field = blame.map_or("bootstrap_servers", |blame| blame.field(spec));
    error.to_problem().field(field)
}
