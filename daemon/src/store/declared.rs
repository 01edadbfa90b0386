//! What the store must know about a kind of object to keep it.

use runnel_api::connector::{ConnectorSpec, Derived};
use runnel_api::kafka_cluster::{KafkaClusterSpec, KafkaClusterStatus};
use runnel_api::plugin::{PluginSpec, PluginStatus, Sha256Hex};
use runnel_api::role::{RoleSpec, RoleStatus};
use runnel_api::worker_configuration::{WorkerConfigurationSpec, WorkerConfigurationStatus};
use runnel_api::{Kind, Name};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A reference to another object and the attribute that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The attribute, as written in HCL: `kafka_cluster`, `plugins[0]`.
    pub field: String,
    /// What it refers to.
    pub kind: Kind,
    /// Its name; none when the text is no name of an object of this daemon.
    pub name: Option<Name>,
    /// The content it asks for, where references hold a digest.
    pub sha256: Option<Sha256Hex>,
    /// The reference as written, for messages.
    pub text: String,
}

/// A specification that the store keeps.
pub trait Declared:
    Serialize + DeserializeOwned + Clone + PartialEq + std::fmt::Debug + Send + Sync + 'static
{
    /// Its kind.
    const KIND: Kind;
    /// What is stored beside it: what follows from specifications, never what was observed.
    type Computed: Serialize
        + DeserializeOwned
        + Clone
        + PartialEq
        + std::fmt::Debug
        + Send
        + Sync
        + 'static;

    /// What it refers to.
    fn references(&self) -> Vec<Reference> {
        Vec::new()
    }

    /// The digest by which references find this content, if references to this kind hold one.
    fn digest(&self) -> Option<Sha256Hex> {
        None
    }
}

impl Declared for KafkaClusterSpec {
    const KIND: Kind = Kind::KafkaCluster;
    type Computed = KafkaClusterStatus;
}

impl Declared for PluginSpec {
    const KIND: Kind = Kind::Plugin;
    type Computed = PluginStatus;
    fn digest(&self) -> Option<Sha256Hex> {
        Some(self.sha256.clone())
    }
}

impl Declared for WorkerConfigurationSpec {
    const KIND: Kind = Kind::WorkerConfiguration;
    type Computed = WorkerConfigurationStatus;
    fn digest(&self) -> Option<Sha256Hex> {
        Some(self.sha256())
    }
}

impl Declared for RoleSpec {
    const KIND: Kind = Kind::Role;
    type Computed = RoleStatus;
}

impl Declared for ConnectorSpec {
    const KIND: Kind = Kind::Connector;
    type Computed = Derived;

    fn references(&self) -> Vec<Reference> {
        let mut references = vec![Reference {
            field: "kafka_cluster".to_owned(),
            kind: Kind::KafkaCluster,
            name: Some(self.kafka_cluster.clone()),
            sha256: None,
            text: self.kafka_cluster.to_string(),
        }];
        references.extend(
            self.plugins
                .iter()
                .enumerate()
                .map(|(index, plugin)| Reference {
                    field: format!("plugins[{index}]"),
                    kind: Kind::Plugin,
                    name: Some(plugin.name.clone()),
                    sha256: Some(plugin.sha256.clone()),
                    text: plugin.to_string(),
                }),
        );
        references.extend(self.worker_configuration.iter().map(|content| Reference {
            field: "worker_configuration".to_owned(),
            kind: Kind::WorkerConfiguration,
            name: Some(content.name.clone()),
            sha256: Some(content.sha256.clone()),
            text: content.to_string(),
        }));
        references.push(Reference {
            field: "service_execution_role_arn".to_owned(),
            kind: Kind::Role,
            name: self.service_execution_role_arn.role_name(),
            sha256: None,
            text: self.service_execution_role_arn.to_string(),
        });
        references
    }
}
