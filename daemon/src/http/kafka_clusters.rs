//! `/api/v1/kafka-clusters`.

use super::access::Needs;
use super::cluster_look::{look, refused};
use super::error::ApiError;
use super::objects::{self, Checked, Noun};
use super::request::{self, ObjectName};
use super::{Api, Route, Shared, route};
use crate::clusters::DeclaredCluster;
use crate::kafka::Access;
use crate::store::{PutRequest, Store, Stored};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::routing::post;
use http::{HeaderMap, Method};
use runnel_api::connector::ConnectorSpec;
use runnel_api::kafka_cluster::{
    ClientAuthentication, EncryptionInTransit, Enforcement, KafkaClusterPreview,
    KafkaClusterPreviewed, KafkaClusterSpec, KafkaClusterStatus,
};
use runnel_api::{Arn, ErrorCode, Name, Object, Problem, Secret};
use std::collections::BTreeMap;

pub(super) fn routes() -> Vec<Route> {
    let path = "/api/v1/kafka-clusters/{name}";
    let mut routes = objects::routes::<KafkaClusterSpec>("/api/v1/kafka-clusters", path);
    let preview = "/api/v1/kafka-clusters/{name}/preview";
    routes.push(route(Method::POST, Needs::Planner, preview, post(preview_cluster)).reads());
    routes
}

impl Noun for KafkaClusterSpec {
    type Status = KafkaClusterStatus;

    async fn check(api: &Api, request: &PutRequest<Self>) -> Result<Checked<Self>, ApiError> {
        let spec = &request.spec;
        check_spec(spec)?;
        let secrets = secrets_of(api, &request.name, spec, request.secrets.clone()).await?;
        check_users(api, &request.name, spec).await?;
        let mut warnings = Vec::new();
        // A plain cluster that is away is found by the connectors on it, which wait for it.
        if has_way_in(spec) {
            let mut previewed = look(spec, &Access::of(spec, &secrets)).await;
            if previewed.problems.is_empty() && spec.enforcement() == Enforcement::Acl {
                previewed.problems.extend(refused(spec, &secrets).await);
            }
            if let Some(problem) = previewed.problems.into_iter().next() {
                return Err(problem.into());
            }
            warnings = previewed.warnings;
        }
        let enforcement = spec.enforcement();
        Ok(Checked {
            compute: Box::new(move |identity| status(&identity.arn, enforcement)),
            warnings,
        })
    }

    async fn show(_api: &Api, stored: Stored<Self>) -> Object<Self, Self::Status> {
        stored.object
    }
}

/// What would come of a cluster: is it there, does it let us in, does it check ACLs? Nothing is
/// changed on it.
async fn preview_cluster(
    State(api): Shared,
    ObjectName(name): ObjectName,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<KafkaClusterPreviewed>, ApiError> {
    let preview: KafkaClusterPreview = request::json(&api.limits, &headers, body).await?;
    let spec = preview.spec;
    let checked = match check_spec(&spec) {
        Ok(()) => secrets_of(&api, &name, &spec, preview.secrets)
            .await
            .map_err(ApiError::into_problem),
        Err(problem) => Err(problem),
    };
    Ok(Json(match checked {
        Ok(secrets) => look(&spec, &Access::of(&spec, &secrets)).await,
        Err(problem) => KafkaClusterPreviewed {
            problems: vec![problem],
            ..KafkaClusterPreviewed::default()
        },
    }))
}

/// The secrets of a cluster as they will be: those that come, else those that are sealed.
async fn secrets_of(
    api: &Api,
    name: &Name,
    spec: &KafkaClusterSpec,
    sent: Option<BTreeMap<String, Secret>>,
) -> Result<BTreeMap<String, Secret>, ApiError> {
    let secrets = if let Some(sent) = sent {
        sent
    } else {
        let name = name.clone();
        let declared = move |store: &Store| DeclaredCluster::read(store, &name);
        let declared = api.store.run(declared).await?;
        declared.map(|cluster| cluster.secrets).unwrap_or_default()
    };
    for (key, field) in spec.secrets_needed() {
        if secrets.get(key).is_none_or(|it| it.expose().is_empty()) {
            let message = format!("{field} is missing");
            return Err(Problem::new(ErrorCode::InvalidArgument, message)
                .hint("write it, from a variable that is sensitive and ephemeral")
                .field(field)
                .into());
        }
    }
    let needed: Vec<&str> = spec.secrets_needed().iter().map(|(key, _)| *key).collect();
    if let Some(key) = secrets.keys().find(|key| !needed.contains(&key.as_str())) {
        let message = format!("there is no use for the secret {key}");
        return Err(Problem::new(ErrorCode::InvalidArgument, message)
            .hint("leave it away: this login needs none")
            .field("client_authentication")
            .into());
    }
    Ok(secrets)
}

/// An admin cannot go while there are users that it made.
async fn check_users(api: &Api, name: &Name, spec: &KafkaClusterSpec) -> Result<(), ApiError> {
    if spec.admin.is_some() {
        return Ok(());
    }
    let cluster = name.clone();
    let with_users = move |store: &Store| {
        let mut found = Vec::new();
        for stored in store.list::<ConnectorSpec>(None, usize::MAX >> 2)? {
            let object = stored.object;
            if object.spec.kafka_cluster == cluster && store.principal(&object.name)?.is_some() {
                found.push(object.name.to_string());
            }
        }
        Ok(found)
    };
    let users = api.store.run(with_users).await?;
    if users.is_empty() {
        return Ok(());
    }
    let message = "the admin cannot be taken away while connectors have users that it made";
    Err(Problem::new(ErrorCode::InUse, message)
        .detail(format!("they are {}", users.join(", ")))
        .hint("destroy these connectors first, or keep admin")
        .field("admin")
        .into())
}

/// What follows from a cluster's ARN.
fn status(arn: &Arn, enforcement: Enforcement) -> KafkaClusterStatus {
    KafkaClusterStatus {
        topic_arn: arn.cluster_resources("topic"),
        group_arn: arn.cluster_resources("group"),
        transactional_id_arn: arn.cluster_resources("transactional-id"),
        enforcement,
    }
}

fn has_way_in(spec: &KafkaClusterSpec) -> bool {
    spec.encryption_in_transit != EncryptionInTransit::Plaintext
        || spec.client_authentication != ClientAuthentication::None
}

/// What is wrong with a cluster by itself.
pub(super) fn check_spec(spec: &KafkaClusterSpec) -> Result<(), Problem> {
    spec.servers().map_err(|message| {
        Problem::new(ErrorCode::InvalidArgument, message)
            .hint("write host:port pairs separated by commas")
            .field("bootstrap_servers")
    })?;
    match spec.invalid() {
        Some((field, message)) => {
            Err(Problem::new(ErrorCode::InvalidArgument, message).field(field))
        }
        None => Ok(()),
    }
}
