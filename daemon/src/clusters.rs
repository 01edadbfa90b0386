//! Declared Kafka clusters with their secrets opened: what it takes to get in.

use crate::kafka::Access;
use crate::store::{Store, StoreError};
use runnel_api::kafka_cluster::{ClientAuthentication, KafkaClusterSpec, PASSWORD, PRIVATE_KEY};
use runnel_api::{Arn, Generation, Kind, Name, Secret};
use std::collections::BTreeMap;

/// A declared cluster of this moment.
#[derive(Clone, Debug)]
pub struct DeclaredCluster {
    /// Its ARN.
    pub arn: Arn,
    /// What was declared.
    pub spec: KafkaClusterSpec,
    /// Counts changes, of secrets too.
    pub generation: Generation,
    /// Passwords and keys.
    pub secrets: BTreeMap<String, Secret>,
}

impl DeclaredCluster {
    /// Reads it; none when there is no such cluster.
    pub fn read(store: &Store, name: &Name) -> Result<Option<Self>, StoreError> {
        let Some(stored) = store.get::<KafkaClusterSpec>(name)? else {
            return Ok(None);
        };
        let object = stored.object;
        let secrets = if stored.secret_keys.is_empty() {
            BTreeMap::new()
        } else {
            store.unseal(Kind::KafkaCluster, name, object.generation)?
        };
        Ok(Some(Self {
            arn: object.arn,
            spec: object.spec,
            generation: object.generation,
            secrets,
        }))
    }

    /// The daemon's own way in.
    pub fn access(&self) -> Access {
        Access::of(&self.spec, &self.secrets)
    }

    /// The user that all workers share where no admin makes one for each connector.
    pub fn shared_login(&self) -> Option<(String, Secret)> {
        match &self.spec.client_authentication {
            ClientAuthentication::ScramSha512 {
                username: Some(username),
                ..
            } => Some((username.clone(), self.secrets.get(PASSWORD)?.clone())),
            _ => None,
        }
    }

    /// Certificate and key that workers show.
    pub fn client_certificate(&self) -> Option<(String, Secret)> {
        match &self.spec.client_authentication {
            ClientAuthentication::Mtls { certificate, .. } => {
                Some((certificate.clone(), self.secrets.get(PRIVATE_KEY)?.clone()))
            }
            _ => None,
        }
    }
}
