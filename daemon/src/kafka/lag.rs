//! How far a sink is behind: what its group has committed against where its topics end.
//!
//! Kafka Connect's sinks read in the consumer group `connect-NAME`, and commit what they have
//! flushed (`offset.flush.interval.ms`, 60 s), so the lag of a sink that keeps pace still rises to what
//! arrives between two commits.
//!
//! There is nothing of the kind for sources: where a source stands in its own log, and where that
//! log ends, only the connector knows. Debezium tells it by JMX alone, which workers do not open; so
//! the lag of a source is not known, and nowhere guessed.

use super::admin::{KafkaAdmin, refusal, text, topic_name};
use super::call::Call;
use super::connection::Deadline;
use super::error::{Code, KafkaError, Server};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_response::MetadataResponse;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    BrokerId, GroupId, ListOffsetsRequest, MetadataRequest, OffsetFetchRequest,
};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// `ListOffsets`: the offset that the next record will get. With isolation level 0 this is the high
/// watermark, as a reader of uncommitted records sees it.
const END: i64 = -1;
/// `ListOffsets`: the offset of the first record that is kept.
const BEGIN: i64 = -2;
/// A client's replica id; other values belong to brokers.
const REPLICA_CLIENT: i32 = -1;
/// Topics that a subscription by pattern leaves out (`exclude.internal.topics`).
const INTERNAL: [&str; 2] = ["__consumer_offsets", "__transaction_state"];
/// A compiled pattern that is larger was not written to match topic names.
const PATTERN_MAX: usize = 1 << 20;

/// A partition of a topic.
type Partition = (String, i32);

/// What a sink reads.
#[derive(Clone, Debug)]
pub enum Subscription {
    /// `topics`.
    Named(BTreeSet<String>),
    /// `topics.regex`, which must match a whole name.
    Matching(Regex),
}

impl Subscription {
    /// Reads a sink's configuration; none when it names no topics, or by a pattern of Java's that
    /// cannot be followed here (look-around, back-references).
    pub fn of_sink(config: &BTreeMap<String, String>) -> Option<Self> {
        if let Some(list) = config.get("topics").filter(|list| !list.trim().is_empty()) {
            let names = list.split(',').map(str::trim).filter(|it| !it.is_empty());
            return Some(Self::Named(names.map(str::to_owned).collect()));
        }
        let pattern = config.get("topics.regex")?;
        regex::RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
            .size_limit(PATTERN_MAX)
            .build()
            .ok()
            .map(Self::Matching)
    }

    fn takes(&self, topic: &str) -> bool {
        match self {
            Self::Named(names) => names.contains(topic),
            Self::Matching(pattern) => !INTERNAL.contains(&topic) && pattern.is_match(topic),
        }
    }
}

/// The consumer group in which a sink reads.
pub fn sink_group(connector: &str, config: &BTreeMap<String, String>) -> String {
    config
        .get("consumer.override.group.id")
        .cloned()
        .unwrap_or_else(|| format!("connect-{connector}"))
}

/// How far a group is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Records between what is committed and the end, over all partitions. Of a partition without
    /// commit all that are kept count, because Connect's sinks begin at the earliest record.
    pub total: u64,
    /// How many partitions it reads.
    pub partitions: u32,
    /// Committed offsets, added up: it grows as the sink gets on.
    pub committed_total: u64,
}

impl KafkaAdmin {
    /// How many partitions a subscription has just now; topics that are not there have none.
    pub async fn partitions_of(&mut self, subscription: &Subscription) -> Result<u32, KafkaError> {
        let deadline = self.deadline();
        let (server, answer) = self.subscribed(subscription, deadline).await?;
        let leaders = leaders(&server, subscription, &answer)?;
        Ok(count(leaders.values().map(Vec::len).sum()))
    }

    /// How far a group is behind in what it subscribes to, within the time-out.
    ///
    /// # Errors
    /// Also when a partition has no leader or another one by now: a lag that is known in part is not
    /// known, and the next look is near.
    pub async fn lag(
        &mut self,
        group: &str,
        subscription: &Subscription,
    ) -> Result<Lag, KafkaError> {
        let deadline = self.deadline();
        let (server, answer) = self.subscribed(subscription, deadline).await?;
        let leaders = leaders(&server, subscription, &answer)?;
        // Committed first: what is committed meanwhile makes the lag too large, never negative.
        let committed = self.committed(group, &leaders).await?;
        let ends = self.offsets_at(&leaders, END, deadline).await?;
        let mut uncommitted = leaders;
        for partitions in uncommitted.values_mut() {
            partitions.retain(|partition| !committed.contains_key(partition));
        }
        uncommitted.retain(|_, partitions| !partitions.is_empty());
        let begins = self.offsets_at(&uncommitted, BEGIN, deadline).await?;
        Ok(behind(&committed, &begins, &ends))
    }

    async fn subscribed(
        &mut self,
        subscription: &Subscription,
        deadline: Deadline,
    ) -> Result<(Server, MetadataResponse), KafkaError> {
        match subscription {
            Subscription::Named(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                self.metadata(&names, deadline).await
            }
            Subscription::Matching(_) => {
                let request = MetadataRequest::default()
                    .with_topics(None)
                    .with_allow_auto_topic_creation(false);
                self.ask_any(&request, deadline).await
            }
        }
    }

    /// Committed offsets; partitions without one are left out.
    async fn committed(
        &mut self,
        group: &str,
        leaders: &Leaders,
    ) -> Result<BTreeMap<Partition, i64>, KafkaError> {
        let topics = by_topic(leaders.values().flatten())
            .into_iter()
            .map(|(topic, partitions)| {
                OffsetFetchRequestTopic::default()
                    .with_name(topic_name(topic))
                    .with_partition_indexes(partitions)
            });
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(Some(topics.collect()));
        let (server, answer) = self
            .at_coordinator(group, &request, |answer| Some(answer.error_code))
            .await?;
        let call = OffsetFetchRequest::NAME;
        refusal(
            &server,
            call,
            &format!("group {group}"),
            answer.error_code,
            None,
        )?;
        let mut committed = BTreeMap::new();
        for topic in &answer.topics {
            for partition in &topic.partitions {
                let name = topic.name.to_string();
                let subject = format!("partition {} of topic {name}", partition.partition_index);
                refusal(&server, call, &subject, partition.error_code, None)?;
                if partition.committed_offset >= 0 {
                    committed.insert(
                        (name, partition.partition_index),
                        partition.committed_offset,
                    );
                }
            }
        }
        Ok(committed)
    }

    /// An offset of each partition, asked of its leader.
    async fn offsets_at(
        &mut self,
        leaders: &Leaders,
        timestamp: i64,
        deadline: Deadline,
    ) -> Result<BTreeMap<Partition, i64>, KafkaError> {
        let mut offsets = BTreeMap::new();
        for (server, wanted) in leaders {
            let answer = self
                .ask(server, &offsets_request(wanted, timestamp), deadline)
                .await?;
            for topic in &answer.topics {
                for partition in &topic.partitions {
                    let key = (topic.name.to_string(), partition.partition_index);
                    let subject = format!("partition {} of topic {}", key.1, key.0);
                    refusal(
                        server,
                        ListOffsetsRequest::NAME,
                        &subject,
                        partition.error_code,
                        None,
                    )?;
                    offsets.insert(key, partition.offset);
                }
            }
            if let Some((topic, partition)) = wanted.iter().find(|it| !offsets.contains_key(it)) {
                return Err(KafkaError::LeftOut {
                    server: server.clone(),
                    call: ListOffsetsRequest::NAME,
                    subject: format!("partition {partition} of topic {topic}"),
                });
            }
        }
        Ok(offsets)
    }
}

/// Partitions by their leader.
type Leaders = BTreeMap<Server, Vec<Partition>>;

/// The leaders of every subscribed partition; a topic that is not there has none.
fn leaders(
    server: &Server,
    subscription: &Subscription,
    answer: &MetadataResponse,
) -> Result<Leaders, KafkaError> {
    let mut by_leader = Leaders::new();
    for topic in &answer.topics {
        let name = topic
            .name
            .as_ref()
            .map(|name| name.to_string())
            .unwrap_or_default();
        if !subscription.takes(&name) {
            continue;
        }
        let refused = |code| {
            let subject = format!("topic {name}");
            KafkaError::refused(server, MetadataRequest::NAME, subject, code, None)
        };
        match Code::of(topic.error_code) {
            None => {}
            Some(Code::UNKNOWN_TOPIC) => continue,
            Some(code) => return Err(refused(code)),
        }
        for partition in &topic.partitions {
            let leader = answer
                .brokers
                .iter()
                .find(|broker| broker.node_id == partition.leader_id)
                .and_then(|broker| {
                    Some(Server {
                        host: broker.host.to_string(),
                        port: u16::try_from(broker.port).ok()?,
                    })
                })
                .ok_or_else(|| refused(Code::LEADER_NOT_AVAILABLE))?;
            by_leader
                .entry(leader)
                .or_default()
                .push((name.clone(), partition.partition_index));
        }
    }
    Ok(by_leader)
}

fn by_topic<'a>(partitions: impl Iterator<Item = &'a Partition>) -> BTreeMap<&'a str, Vec<i32>> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    topics
}

fn offsets_request(partitions: &[Partition], timestamp: i64) -> ListOffsetsRequest {
    let topics = by_topic(partitions.iter())
        .into_iter()
        .map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|partition| {
                ListOffsetsPartition::default()
                    .with_partition_index(partition)
                    .with_timestamp(timestamp)
            });
            ListOffsetsTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(partitions.collect())
        });
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(REPLICA_CLIENT))
        .with_topics(topics.collect())
}

/// Adds up. A commit beyond the end (a topic made anew) is no lag below zero.
fn behind(
    committed: &BTreeMap<Partition, i64>,
    begins: &BTreeMap<Partition, i64>,
    ends: &BTreeMap<Partition, i64>,
) -> Lag {
    let mut lag = Lag {
        partitions: count(ends.len()),
        ..Lag::default()
    };
    for (partition, end) in ends {
        let read = committed.get(partition).or_else(|| begins.get(partition));
        let missing = end.saturating_sub(read.copied().unwrap_or(0));
        lag.total = lag
            .total
            .saturating_add(u64::try_from(missing).unwrap_or(0));
    }
    for offset in committed.values() {
        let offset = u64::try_from(*offset).unwrap_or(0);
        lag.committed_total = lag.committed_total.saturating_add(offset);
    }
    lag
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        entries.iter().map(owned).collect()
    }

    #[test]
    fn a_subscription_is_a_list_or_a_pattern_for_whole_names() {
        let named = Subscription::of_sink(&config(&[("topics", " a, b,,")])).unwrap();
        assert!(named.takes("a") && named.takes("b") && !named.takes("ab"));
        let pattern = |text| Subscription::of_sink(&config(&[("topics.regex", text)]));
        let matching = pattern(r"shop\.(orders|items)").unwrap();
        assert!(matching.takes("shop.orders"));
        assert!(!matching.takes("shop.orders.old") && !matching.takes("the.shop.orders"));
        let all = pattern(".*").unwrap();
        assert!(all.takes("x") && !all.takes("__consumer_offsets"));
        assert!(pattern("(?!a)b").is_none());
        assert!(pattern(&"a{1000}".repeat(50)).is_none());
        assert!(Subscription::of_sink(&config(&[("topics", "")])).is_none());
    }

    #[test]
    fn the_group_is_connect_s_unless_the_configuration_says_another() {
        assert_eq!(sink_group("orders", &config(&[])), "connect-orders");
        let other = config(&[("consumer.override.group.id", "mine")]);
        assert_eq!(sink_group("orders", &other), "mine");
    }

    #[test]
    fn a_partition_without_commit_counts_from_its_beginning_and_none_below_zero() {
        let at = |entries: &[(i32, i64)]| -> BTreeMap<Partition, i64> {
            let entry = |(partition, offset): &(i32, i64)| (("t".to_owned(), *partition), *offset);
            entries.iter().map(entry).collect()
        };
        let lag = behind(
            &at(&[(0, 10), (2, 50)]),
            &at(&[(1, 5)]),
            &at(&[(0, 12), (1, 9), (2, 40)]),
        );
        let expected = Lag {
            total: 2 + 4,
            partitions: 3,
            committed_total: 60,
        };
        assert_eq!(lag, expected);
        assert_eq!(behind(&at(&[]), &at(&[]), &at(&[])), Lag::default());
    }
}
