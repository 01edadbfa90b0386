//! Objects for tests of the store, which open a real file each.

use super::*;
use runnel_api::arn::Incarnation;
use runnel_api::capacity::{Capacity, CapacitySummary};
use runnel_api::connector::{ConnectorSpec, Derived, DesiredState, OnDestroy};
use runnel_api::kafka_cluster::{
    ClientAuthentication, EncryptionInTransit, Enforcement, KafkaClusterSpec, KafkaClusterStatus,
};
use runnel_api::plugin::{ContentRef, PluginSpec, PluginStatus, Sha256Hex, StagedContent};
use runnel_api::role::{RoleSpec, RoleStatus};
use runnel_api::{Arn, Name, Operation, Secret};
use std::collections::BTreeMap;

pub(super) const PASSWORD: &str = "correct-horse-battery-staple";

pub(super) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(super) fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("data")).unwrap();
    (folder, store)
}

pub(super) fn cluster(servers: &str) -> KafkaClusterSpec {
    KafkaClusterSpec {
        bootstrap_servers: servers.to_owned(),
        encryption_in_transit: EncryptionInTransit::default(),
        client_authentication: ClientAuthentication::default(),
        admin: None,
    }
}

pub(super) fn cluster_status(identity: &Incarnation) -> KafkaClusterStatus {
    KafkaClusterStatus {
        topic_arn: identity.arn.cluster_resources("topic"),
        group_arn: String::new(),
        transactional_id_arn: String::new(),
        enforcement: Enforcement::None,
    }
}

pub(super) fn content(bytes: &str) -> StagedContent {
    StagedContent {
        sha256: Sha256Hex::of_bytes(bytes.as_bytes()),
        found: PluginStatus {
            size: 1,
            classes: Vec::new(),
            runtimes: Vec::new(),
        },
    }
}

pub(super) fn put_plugin(store: &Store, bytes: &str) -> ContentRef {
    let staged = content(bytes);
    store.stage_content(&staged, 0).unwrap();
    let request = PutRequest {
        name: name("mysql"),
        spec: PluginSpec {
            description: String::new(),
            sha256: staged.sha256.clone(),
            source: None,
        },
        secrets: None,
        precondition: Precondition::None,
    };
    store.put(&request, |_| staged.found.clone()).unwrap();
    ContentRef {
        name: name("mysql"),
        sha256: staged.sha256,
    }
}

pub(super) fn connector(plugin: &ContentRef) -> ConnectorSpec {
    ConnectorSpec {
        description: String::new(),
        kafka_cluster: name("shop"),
        plugins: vec![plugin.clone()],
        worker_configuration: None,
        service_execution_role_arn: Arn::parse("arn:aws:iam::000000000000:role/reader").unwrap(),
        kafkaconnect_version: None,
        config: BTreeMap::new(),
        capacity: Capacity::Provisioned {
            mcu_count: 1,
            worker_count: 1,
        },
        log_delivery: None,
        delivery: runnel_api::connector::Delivery::default(),
        desired_state: DesiredState::Running,
        on_destroy: OnDestroy::DeleteInternalTopics,
        accept_position_loss: false,
        allow_plaintext_secrets: false,
        config_wo_version: None,
    }
}

pub(super) fn derived() -> Derived {
    Derived {
        kafkaconnect_version: "3.9".to_owned(),
        principal: "User:ANONYMOUS".to_owned(),
        effective_config: BTreeMap::new(),
        kafka_acls: Vec::new(),
        enforcement: Enforcement::None,
        capacity_summary: CapacitySummary {
            mcus: String::new(),
            memory: String::new(),
            network: String::new(),
            scaling: String::new(),
        },
    }
}

/// Cluster, role and plugin that the connector of these tests refers to.
pub(super) fn with_neighbours(store: &Store) -> ConnectorSpec {
    put_cluster(store, "shop", "a:1", Precondition::None).unwrap();
    let role = PutRequest {
        name: name("reader"),
        spec: RoleSpec {
            assume_role_policy: None,
            policies: BTreeMap::new(),
        },
        secrets: None,
        precondition: Precondition::None,
    };
    store.put(&role, |_| RoleStatus {}).unwrap();
    connector(&put_plugin(store, "one"))
}

pub(super) fn put_cluster(
    store: &Store,
    named: &str,
    servers: &str,
    precondition: Precondition,
) -> Result<PutOutcome<KafkaClusterSpec>, StoreError> {
    let request = PutRequest {
        name: name(named),
        spec: cluster(servers),
        secrets: None,
        precondition,
    };
    store.put(&request, cluster_status)
}

pub(super) fn secrets(password: &str) -> BTreeMap<String, Secret> {
    let pair = ("database.password".to_owned(), Secret::new(password));
    BTreeMap::from([pair])
}

pub(super) fn put_connector(
    store: &Store,
    spec: &ConnectorSpec,
    secrets: Option<BTreeMap<String, Secret>>,
) -> PutOutcome<ConnectorSpec> {
    let request = PutRequest {
        name: name("orders"),
        spec: spec.clone(),
        secrets,
        precondition: Precondition::None,
    };
    store.put(&request, |_| derived()).unwrap()
}

pub(super) fn code(error: &StoreError) -> runnel_api::ErrorCode {
    error.problem().code
}

pub(super) fn operation_of(outcome: PutOutcome<ConnectorSpec>) -> Operation {
    outcome.into_parts().1
}
