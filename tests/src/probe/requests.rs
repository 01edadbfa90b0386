//! The requests that the probes send.

use bytes::Bytes;
use kafka_protocol::messages::alter_user_scram_credentials_request::ScramCredentialUpsertion;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, CreateAclsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    FetchRequest, GroupId, IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest,
    MetadataRequest, ProduceRequest, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

/// Timeout that requests carry for the broker, in milliseconds.
const BROKER_TIMEOUT: i32 = 10_000;

fn text(of: &str) -> StrBytes {
    StrBytes::from_string(of.to_owned())
}

fn topic_name(of: &str) -> TopicName {
    TopicName(text(of))
}

pub(super) fn produce(topic: &str) -> ProduceRequest {
    let partition = PartitionProduceData::default().with_records(Some(Bytes::new()));
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(BROKER_TIMEOUT)
        .with_topic_data(vec![
            TopicProduceData::default()
                .with_name(topic_name(topic))
                .with_partition_data(vec![partition]),
        ])
}

pub(super) fn fetch(topic: &str) -> FetchRequest {
    let partition = FetchPartition::default().with_partition_max_bytes(1024);
    FetchRequest::default().with_topics(vec![
        FetchTopic::default()
            .with_topic(topic_name(topic))
            .with_partitions(vec![partition]),
    ])
}

pub(super) fn metadata(topic: &str) -> MetadataRequest {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
    MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(false)
}

pub(super) fn create(topic: &str) -> CreateTopicsRequest {
    let topic = CreatableTopic::default()
        .with_name(topic_name(topic))
        .with_num_partitions(1)
        .with_replication_factor(1);
    CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(BROKER_TIMEOUT)
}

pub(super) fn delete(topic: &str) -> DeleteTopicsRequest {
    DeleteTopicsRequest::default()
        .with_topic_names(vec![topic_name(topic)])
        .with_timeout_ms(BROKER_TIMEOUT)
}

pub(super) fn alter_configs(topic: &str) -> IncrementalAlterConfigsRequest {
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_static_str("retention.ms"))
        .with_value(Some(StrBytes::from_static_str("3600000")));
    // Resource type 2 is a topic (KIP-133), operation 0 sets (KIP-339).
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(topic))
        .with_configs(vec![config]);
    IncrementalAlterConfigsRequest::default()
        .with_resources(vec![resource])
        .with_validate_only(true)
}

pub(super) fn join_group(group: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(StrBytes::from_static_str("range"))
        .with_metadata(Bytes::new());
    JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_session_timeout_ms(6_000)
        .with_rebalance_timeout_ms(6_000)
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol])
}

pub(super) fn transact(id: &str) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(text(id))))
        .with_transaction_timeout_ms(10_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1)
}

/// Everything (2) on a cluster (4) of a name that none has, literally (3), allowed (3): numbers of KIP-140.
pub(super) fn create_acls() -> CreateAclsRequest {
    let creation = AclCreation::default()
        .with_resource_type(4)
        .with_resource_name(StrBytes::from_static_str("no-such-cluster"))
        .with_resource_pattern_type(3)
        .with_principal(StrBytes::from_static_str("User:probe"))
        .with_host(StrBytes::from_static_str("*"))
        .with_operation(2)
        .with_permission_type(3);
    CreateAclsRequest::default().with_creations(vec![creation])
}

/// SCRAM-SHA-512 (2) with one round; Kafka wants 4096 at least (KIP-554).
pub(super) fn alter_users() -> AlterUserScramCredentialsRequest {
    let upsertion = ScramCredentialUpsertion::default()
        .with_name(StrBytes::from_static_str("probe"))
        .with_mechanism(2)
        .with_iterations(1)
        .with_salt(Bytes::from_static(b"salt"))
        .with_salted_password(Bytes::from_static(b"password"));
    AlterUserScramCredentialsRequest::default().with_upsertions(vec![upsertion])
}
