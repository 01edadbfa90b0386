//! From a connector's specification to what follows from it: references are resolved here, stored
//! or planned, and the deriver does the rest. Plan, put and reconciler go the same way.

use super::kafka_clusters;
use super::objects::check_description;
use super::seams::{
    Current, DerivePlugin, DeriveRequest, Deriver, Host, Neighbour, PluginContents,
};
use crate::store::{Declared, Reference, Store, StoreError};
use runnel_api::connector::{Assumed, ConnectorSpec, Previewed};
use runnel_api::kafka_cluster::KafkaClusterSpec;
use runnel_api::log_delivery::LogDelivery;
use runnel_api::plugin::ContentRef;
use runnel_api::role::RoleSpec;
use runnel_api::worker_configuration::WorkerConfigurationSpec;
use runnel_api::{ErrorCode, Identity, Kind, Name, Problem};
use runnel_planner::admission::{self, Admission};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a preview may assume besides what is stored.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Keys of secrets; none means those that are sealed.
    pub secret_keys: Option<BTreeSet<String>>,
    /// Planned objects.
    pub assumed: Assumed,
    /// The existing connector goes first.
    pub replacing: bool,
}

/// Resolves references of connectors and derives what follows from them.
#[derive(Clone)]
pub struct Resolver {
    /// What is stored.
    pub store: Store,
    /// What is in plugins.
    pub contents: Arc<dyn PluginContents>,
    /// What follows.
    pub deriver: Arc<dyn Deriver>,
    /// What the machine has.
    pub host: Arc<dyn Host>,
}

struct Neighbours {
    kafka_cluster: Neighbour<KafkaClusterSpec>,
    plugins: Vec<DerivePlugin>,
    worker_configuration: Option<WorkerConfigurationSpec>,
    role: Neighbour<RoleSpec>,
}

impl Resolver {
    /// What would come of this specification.
    pub async fn preview(
        &self,
        name: &Name,
        spec: ConnectorSpec,
        inputs: Inputs,
    ) -> Result<Previewed, StoreError> {
        let no_place = self.no_place(name, &spec, &inputs.assumed).await?;
        let mut previewed = match self.resolve(name, spec, inputs).await? {
            Ok(request) => self.deriver.derive(request),
            Err(problems) => Previewed {
                derived: None,
                problems,
                warnings: Vec::new(),
            },
        };
        if !no_place.is_empty() {
            previewed.problems.extend(no_place);
            previewed.derived = None;
        }
        Ok(previewed)
    }

    /// What the host does not have: MCUs for its workers, places for its logs.
    async fn no_place(
        &self,
        name: &Name,
        spec: &ConnectorSpec,
        assumed: &Assumed,
    ) -> Result<Vec<Problem>, StoreError> {
        let mut problems = Vec::new();
        if let Some(limit) = self.host.mcus() {
            let held = self.store.run(Store::mcus_held).await?;
            let refused = admission::admit(&Admission {
                limit: Some(limit),
                name,
                capacity: &spec.capacity,
                held: &held,
                assumed,
            });
            problems.extend(refused.err().map(|problem| *problem));
        }
        if let Some(delivery) = &spec.log_delivery {
            let places = delivery.unavailable(self.host.log_places());
            problems.extend(places.into_iter().map(unavailable));
        }
        Ok(problems)
    }

    /// Derives a stored connector anew from its neighbours of this moment; none when there is no
    /// such connector.
    pub async fn derive_stored(&self, name: &Name) -> Result<Option<Previewed>, StoreError> {
        let Some(connector) = self.store.fetch::<ConnectorSpec>(name).await? else {
            return Ok(None);
        };
        let spec = connector.object.spec;
        self.preview(name, spec, Inputs::default()).await.map(Some)
    }

    /// A specification with everything that it refers to, or all that is wrong with it. Also for
    /// an earlier generation.
    pub async fn resolve(
        &self,
        name: &Name,
        spec: ConnectorSpec,
        inputs: Inputs,
    ) -> Result<Result<DeriveRequest, Vec<Problem>>, StoreError> {
        let mut problems = wrong_by_itself(&spec);
        let neighbours = self
            .neighbours(&spec, &inputs.assumed, &mut problems)
            .await?;
        let Some(neighbours) = neighbours.filter(|_| problems.is_empty()) else {
            return Ok(Err(problems));
        };
        let identity = self.identity(Kind::Connector, name).await?;
        let existing = self.store.fetch::<ConnectorSpec>(name).await?;
        let existing = existing.filter(|_| !inputs.replacing);
        let current = existing.map(|stored| Current {
            spec: stored.object.spec,
            derived: stored.object.status,
            secret_keys: stored.secret_keys,
            generation: stored.object.generation,
        });
        let sealed = current.as_ref().map(|current| current.secret_keys.clone());
        Ok(Ok(DeriveRequest {
            name: name.clone(),
            identity: match identity.current {
                Some(current) if !inputs.replacing => current,
                _ => identity.next,
            },
            secret_keys: inputs.secret_keys.or(sealed).unwrap_or_default(),
            kafka_cluster: neighbours.kafka_cluster,
            plugins: neighbours.plugins,
            worker_configuration: neighbours.worker_configuration,
            role: neighbours.role,
            current,
            spec,
        }))
    }

    /// Finds what the specification refers to; what is missing goes to `problems`.
    async fn neighbours(
        &self,
        spec: &ConnectorSpec,
        assumed: &Assumed,
        problems: &mut Vec<Problem>,
    ) -> Result<Option<Neighbours>, StoreError> {
        let open: Vec<Reference> = spec
            .references()
            .into_iter()
            .filter(|reference| !is_planned(reference, assumed))
            .collect();
        let missing = move |store: &Store| store.missing_references(&open);
        problems.extend(self.store.run(missing).await?);
        let kafka_cluster = self
            .neighbour(&spec.kafka_cluster, &assumed.kafka_clusters)
            .await?;
        if let Some(cluster) = &kafka_cluster
            && let Err(problem) = kafka_clusters::check_spec(&cluster.spec)
        {
            // The cluster's own plan says where in the cluster.
            problems.push(problem.field("kafka_cluster"));
        }
        let role = match spec.service_execution_role_arn.role_name() {
            Some(name) => self.neighbour(&name, &assumed.roles).await?,
            None => None,
        };
        let mut plugins = Vec::new();
        for (index, reference) in spec.plugins.iter().enumerate() {
            match self.contents.found(reference.sha256.clone()).await {
                Some(found) => plugins.push(DerivePlugin {
                    reference: reference.clone(),
                    found,
                }),
                // A reference that leads nowhere has been said already.
                None if problems
                    .iter()
                    .any(|p| p.field == Some(plugin_field(index))) => {}
                None => problems.push(content_gone(index, reference)),
            }
        }
        let worker_configuration = match &spec.worker_configuration {
            Some(reference) => self.worker_configuration(reference, assumed).await?,
            None => None,
        };
        let (Some(kafka_cluster), Some(role)) = (kafka_cluster, role) else {
            return Ok(None);
        };
        Ok(Some(Neighbours {
            kafka_cluster,
            plugins,
            worker_configuration,
            role,
        }))
    }

    /// A neighbour as it is planned, else as it is stored.
    async fn neighbour<S: Declared>(
        &self,
        name: &Name,
        planned: &BTreeMap<Name, S>,
    ) -> Result<Option<Neighbour<S>>, StoreError> {
        let spec = if let Some(planned) = planned.get(name) {
            Some(planned.clone())
        } else {
            let stored = self.store.fetch::<S>(name).await?;
            stored.map(|stored| stored.object.spec)
        };
        let Some(spec) = spec else {
            return Ok(None);
        };
        let identity = self.identity(S::KIND, name).await?;
        Ok(Some(Neighbour {
            name: name.clone(),
            identity: identity.current.unwrap_or(identity.next),
            spec,
        }))
    }

    async fn worker_configuration(
        &self,
        reference: &ContentRef,
        assumed: &Assumed,
    ) -> Result<Option<WorkerConfigurationSpec>, StoreError> {
        let planned = assumed.worker_configurations.get(&reference.name);
        if let Some(planned) = planned.filter(|planned| planned.sha256() == reference.sha256) {
            return Ok(Some(planned.clone()));
        }
        let reference = reference.clone();
        self.store
            .run(move |store| store.content_of::<WorkerConfigurationSpec>(&reference))
            .await
    }

    async fn identity(&self, kind: Kind, name: &Name) -> Result<Identity, StoreError> {
        let name = name.clone();
        let work = move |store: &Store| store.identity(kind, &name);
        self.store.run(work).await
    }
}

fn wrong_by_itself(spec: &ConnectorSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(check_description(&spec.description).err());
    if let Some((field, message)) = spec.capacity.invalid() {
        let problem = Problem::new(ErrorCode::InvalidArgument, message);
        problems.push(problem.field(format!("capacity.{field}")));
    }
    if let Some((field, message)) = spec.log_delivery.as_ref().and_then(LogDelivery::invalid) {
        let problem = Problem::new(ErrorCode::InvalidArgument, message);
        problems.push(problem.field(format!("log_delivery.{field}")));
    }
    if spec.plugins.is_empty() {
        let problem = Problem::new(ErrorCode::InvalidArgument, "a connector needs a plugin")
            .hint("put the attribute ref of a runnel_plugin into plugins");
        problems.push(problem.field("plugins"));
    }
    problems
}

fn unavailable((field, key): (&'static str, &'static str)) -> Problem {
    let message = "this daemon does not deliver logs there";
    Problem::new(ErrorCode::InvalidArgument, message)
        .detail(format!("its runnel.toml has no {key}"))
        .hint("set it and start the daemon again, or leave this place out")
        .field(format!("log_delivery.{field}"))
}

fn plugin_field(index: usize) -> String {
    format!("plugins[{index}]")
}

fn content_gone(index: usize, reference: &ContentRef) -> Problem {
    let message = format!("the content of the plugin {} is not here", reference.name);
    Problem::new(ErrorCode::MissingReference, message)
        .detail(format!("asked for: {reference}"))
        .hint("plan again: content that is not used is kept for an hour")
        .field(plugin_field(index))
}

fn is_planned(reference: &Reference, assumed: &Assumed) -> bool {
    let Some(name) = &reference.name else {
        return false;
    };
    match reference.kind {
        Kind::KafkaCluster => assumed.kafka_clusters.contains_key(name),
        Kind::Role => assumed.roles.contains_key(name),
        Kind::Plugin => {
            let planned = assumed.plugins.get(name);
            planned.is_some_and(|plugin| reference.sha256.as_ref() == Some(&plugin.sha256))
        }
        Kind::WorkerConfiguration => {
            let planned = assumed.worker_configurations.get(name);
            planned.is_some_and(|planned| reference.sha256 == Some(planned.sha256()))
        }
        Kind::Connector => false,
    }
}
