//! Where a topic ends.

use super::admin::{KafkaAdmin, Pause, refusal, topic_name};
use super::call::Call;
use super::connection::Deadline;
use super::error::{Code, KafkaError, Server};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsResponse;
use kafka_protocol::messages::metadata_response::MetadataResponse;
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, MetadataRequest};
use std::collections::BTreeMap;

/// `ListOffsets`: the offset that the next record will get.
const TIMESTAMP_END: i64 = -1;
/// A client's replica id; other values belong to brokers.
const REPLICA_CLIENT: i32 = -1;

/// Partition → offset that its next record will get.
type Ends = BTreeMap<i32, i64>;

/// What one round over the leaders gave.
enum Round {
    Complete(Ends),
    /// A partition has no leader, or another one by now.
    Moving(KafkaError),
}

impl KafkaAdmin {
    /// The offset after the last record of each partition, or `None` if there is no such topic.
    /// Waits, within the time-out, for partitions that have no leader at the moment.
    pub async fn list_offsets_end(
        &mut self,
        topic: &str,
    ) -> Result<Option<BTreeMap<i32, i64>>, KafkaError> {
        let deadline = self.deadline();
        let mut pause = Pause::until(deadline);
        loop {
            let (server, answer) = self.metadata(&[topic], deadline).await?;
            let Some(leaders) = leaders(&server, topic, &answer)? else {
                return Ok(None);
            };
            match self.ask_leaders(topic, leaders, deadline).await? {
                Round::Complete(ends) => return Ok(Some(ends)),
                Round::Moving(error) if !pause.once_more().await => return Err(error),
                Round::Moving(_) => {}
            }
        }
    }

    async fn ask_leaders(
        &mut self,
        topic: &str,
        leaders: Leaders,
        deadline: Deadline,
    ) -> Result<Round, KafkaError> {
        let mut ends = Ends::new();
        let by_leader = match leaders {
            Leaders::Missing(error) => return Ok(Round::Moving(error)),
            Leaders::All(by_leader) => by_leader,
        };
        for (server, partitions) in by_leader {
            let answer = self
                .ask(&server, &end_request(topic, &partitions), deadline)
                .await?;
            if let Some(moving) = read_ends(&server, topic, &answer, &mut ends)? {
                return Ok(Round::Moving(moving));
            }
            if let Some(missing) = partitions
                .iter()
                .find(|partition| !ends.contains_key(partition))
            {
                let subject = format!("partition {missing} of topic {topic}");
                return Err(KafkaError::LeftOut {
                    server,
                    call: ListOffsetsRequest::NAME,
                    subject,
                });
            }
        }
        Ok(Round::Complete(ends))
    }
}

enum Leaders {
    All(BTreeMap<Server, Vec<i32>>),
    Missing(KafkaError),
}

/// Partitions by their leader; `None` if there is no such topic.
fn leaders(
    server: &Server,
    topic: &str,
    answer: &MetadataResponse,
) -> Result<Option<Leaders>, KafkaError> {
    let call = MetadataRequest::NAME;
    let subject = format!("topic {topic}");
    let Some(found) = answer.topics.first() else {
        return Err(KafkaError::LeftOut {
            server: server.clone(),
            call,
            subject,
        });
    };
    let refused = |code| KafkaError::refused(server, call, subject.clone(), code, None);
    match Code::of(found.error_code) {
        None => {}
        Some(Code::UNKNOWN_TOPIC) => return Ok(None),
        Some(code @ Code::LEADER_NOT_AVAILABLE) => {
            return Ok(Some(Leaders::Missing(refused(code))));
        }
        Some(code) => return Err(refused(code)),
    }
    let mut by_leader: BTreeMap<Server, Vec<i32>> = BTreeMap::new();
    for partition in &found.partitions {
        let leader = answer
            .brokers
            .iter()
            .find(|broker| broker.node_id == partition.leader_id);
        let address = leader
            .and_then(|broker| Some((broker.host.to_string(), u16::try_from(broker.port).ok()?)));
        let Some((host, port)) = address else {
            return Ok(Some(Leaders::Missing(refused(Code::LEADER_NOT_AVAILABLE))));
        };
        by_leader
            .entry(Server { host, port })
            .or_default()
            .push(partition.partition_index);
    }
    Ok(Some(Leaders::All(by_leader)))
}

fn end_request(topic: &str, partitions: &[i32]) -> ListOffsetsRequest {
    let partitions = partitions.iter().map(|partition| {
        ListOffsetsPartition::default()
            .with_partition_index(*partition)
            .with_timestamp(TIMESTAMP_END)
    });
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(partitions.collect());
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(REPLICA_CLIENT))
        .with_topics(vec![topic])
}

/// Adds the answer's offsets; gives the refusal of a partition whose leader has moved.
fn read_ends(
    server: &Server,
    topic: &str,
    answer: &ListOffsetsResponse,
    ends: &mut Ends,
) -> Result<Option<KafkaError>, KafkaError> {
    for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
        let subject = format!("partition {} of topic {topic}", partition.partition_index);
        let result = refusal(
            server,
            ListOffsetsRequest::NAME,
            &subject,
            partition.error_code,
            None,
        );
        match (result, Code::of(partition.error_code)) {
            (
                Err(error),
                Some(Code::UNKNOWN_TOPIC | Code::LEADER_NOT_AVAILABLE | Code::NOT_LEADER),
            ) => {
                return Ok(Some(error));
            }
            (result, _) => result?,
        }
        ends.insert(partition.partition_index, partition.offset);
    }
    Ok(None)
}
