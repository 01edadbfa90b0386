//! Topics: made, looked for, deleted.

use super::admin::{KafkaAdmin, Pause, refusal, text, topic_name};
use super::call::Call;
use super::connection::Deadline;
use super::error::{Code, KafkaError, Server};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest, MetadataRequest,
};
use std::collections::{BTreeMap, BTreeSet};

/// Resource type "topic" of `DescribeConfigs` (KIP-133).
const RESOURCE_TOPIC: i8 = 2;
/// The configuration key that decides whether old positions are forgotten.
const CLEANUP_POLICY: &str = "cleanup.policy";

/// A topic that shall be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicWanted {
    /// Its name.
    pub name: String,
    /// How many partitions a new one gets.
    pub partitions: i32,
    /// Configuration of a new one; of an existing one only `cleanup.policy` is compared.
    pub configs: BTreeMap<String, String>,
}

/// What became of a wanted topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicOutcome {
    /// It is new.
    Created,
    /// It was there, and will do.
    Existed {
        /// How many partitions it has.
        partitions: i32,
    },
    /// It was there, and will not do: another `cleanup.policy`, or several partitions where one is
    /// wanted. It was left as it is.
    Unfit {
        /// What differs: `cleanup.policy` or `partitions`.
        setting: &'static str,
        /// The wanted value.
        wanted: String,
        /// The value it has.
        found: String,
    },
}

/// What became of a topic that shall go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicDeletion {
    /// The cluster accepted the deletion.
    Deleted,
    /// There was none.
    Missing,
}

impl KafkaAdmin {
    /// Makes what is missing, with the brokers' default replication; what is there is success, too.
    /// The outcome has an entry per wanted topic.
    ///
    /// # Errors
    /// The first topic that was refused; others may have been made.
    pub async fn create_topics(
        &mut self,
        topics: &[TopicWanted],
    ) -> Result<BTreeMap<String, TopicOutcome>, KafkaError> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let deadline = self.deadline();
        let request = create_request(topics, deadline);
        let (server, results) = self
            .at_controller(&request, deadline, |answer| {
                answer.topics.iter().map(|topic| topic.error_code).collect()
            })
            .await
            .map(|(server, answer)| (server, answer.topics))?;
        let mut outcomes = BTreeMap::new();
        for wanted in topics {
            let outcome = match created(&server, wanted, &results)? {
                Creation::Made => TopicOutcome::Created,
                Creation::WasThere => self.judge_existing(wanted, deadline).await?,
            };
            outcomes.insert(wanted.name.clone(), outcome);
        }
        Ok(outcomes)
    }

    /// Which of `names` exist.
    pub async fn topics_exist(&mut self, names: &[&str]) -> Result<BTreeSet<String>, KafkaError> {
        let deadline = self.deadline();
        if names.is_empty() {
            return Ok(BTreeSet::new());
        }
        let (server, answer) = self.metadata(names, deadline).await?;
        let mut found = BTreeSet::new();
        for topic in answer.topics {
            let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
            match Code::of(topic.error_code) {
                None | Some(Code::LEADER_NOT_AVAILABLE) => {
                    found.insert(name);
                }
                Some(Code::UNKNOWN_TOPIC) => {}
                Some(code) => {
                    let subject = format!("topic {name}");
                    return Err(KafkaError::refused(
                        &server,
                        MetadataRequest::NAME,
                        subject,
                        code,
                        None,
                    ));
                }
            }
        }
        Ok(found)
    }

    /// Deletes topics; one that is not there is success.
    ///
    /// # Errors
    /// The first topic whose deletion was refused; others may be gone.
    pub async fn delete_topics(
        &mut self,
        names: &[&str],
    ) -> Result<BTreeMap<String, TopicDeletion>, KafkaError> {
        let deadline = self.deadline();
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let request = DeleteTopicsRequest::default()
            .with_topic_names(names.iter().map(|name| topic_name(name)).collect())
            .with_timeout_ms(broker_budget(deadline));
        let (server, answer) = self
            .at_controller(&request, deadline, |answer| {
                answer
                    .responses
                    .iter()
                    .map(|topic| topic.error_code)
                    .collect()
            })
            .await?;
        let mut outcomes = BTreeMap::new();
        for topic in answer.responses {
            let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
            let outcome = if Code::of(topic.error_code) == Some(Code::UNKNOWN_TOPIC) {
                TopicDeletion::Missing
            } else {
                let subject = format!("topic {name}");
                let text = topic.error_message.as_ref();
                refusal(
                    &server,
                    DeleteTopicsRequest::NAME,
                    &subject,
                    topic.error_code,
                    text,
                )?;
                TopicDeletion::Deleted
            };
            outcomes.insert(name, outcome);
        }
        match names.iter().find(|name| !outcomes.contains_key(**name)) {
            None => Ok(outcomes),
            Some(name) => Err(left_out(&server, DeleteTopicsRequest::NAME, name)),
        }
    }

    /// Asks the controller, and the next one if it has just changed.
    pub(super) async fn at_controller<C: Call>(
        &mut self,
        request: &C,
        deadline: Deadline,
        codes: fn(&C::Response) -> Vec<i16>,
    ) -> Result<(Server, C::Response), KafkaError> {
        let mut pause = Pause::until(deadline);
        loop {
            let server = self.controller(deadline).await?;
            let answer = self.ask(&server, request, deadline).await?;
            let has_moved = codes(&answer)
                .iter()
                .any(|code| Code::of(*code) == Some(Code::NOT_CONTROLLER));
            if !has_moved || !pause.once_more().await {
                return Ok((server, answer));
            }
        }
    }

    async fn judge_existing(
        &mut self,
        wanted: &TopicWanted,
        deadline: Deadline,
    ) -> Result<TopicOutcome, KafkaError> {
        let found = self.cleanup_policy(&wanted.name, deadline).await?;
        let partitions = self.partition_count(&wanted.name, deadline).await?;
        Ok(judge(wanted, found.as_deref(), partitions))
    }

    async fn partition_count(&mut self, name: &str, deadline: Deadline) -> Result<i32, KafkaError> {
        let (server, answer) = self.metadata(&[name], deadline).await?;
        let topic = answer
            .topics
            .first()
            .ok_or_else(|| left_out(&server, MetadataRequest::NAME, name))?;
        match Code::of(topic.error_code) {
            None | Some(Code::LEADER_NOT_AVAILABLE) => {
                Ok(i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX))
            }
            Some(code) => Err(KafkaError::refused(
                &server,
                MetadataRequest::NAME,
                format!("topic {name}"),
                code,
                None,
            )),
        }
    }

    /// `None` where the broker does not tell it.
    async fn cleanup_policy(
        &mut self,
        name: &str,
        deadline: Deadline,
    ) -> Result<Option<String>, KafkaError> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(RESOURCE_TOPIC)
            .with_resource_name(text(name))
            .with_configuration_keys(Some(vec![text(CLEANUP_POLICY)]));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let (server, answer) = self.ask_any(&request, deadline).await?;
        let call = DescribeConfigsRequest::NAME;
        let result = answer
            .results
            .first()
            .ok_or_else(|| left_out(&server, call, name))?;
        let subject = format!("topic {name}");
        refusal(
            &server,
            call,
            &subject,
            result.error_code,
            result.error_message.as_ref(),
        )?;
        let policy = result
            .configs
            .iter()
            .find(|config| &*config.name == CLEANUP_POLICY);
        Ok(policy
            .and_then(|config| config.value.as_ref())
            .map(ToString::to_string))
    }
}

/// What the controller says about one topic.
enum Creation {
    Made,
    WasThere,
}

fn created(
    server: &Server,
    wanted: &TopicWanted,
    results: &[CreatableTopicResult],
) -> Result<Creation, KafkaError> {
    let call = CreateTopicsRequest::NAME;
    let result = results
        .iter()
        .find(|result| result.name.as_str() == wanted.name)
        .ok_or_else(|| left_out(server, call, &wanted.name))?;
    if Code::of(result.error_code) == Some(Code::TOPIC_EXISTS) {
        return Ok(Creation::WasThere);
    }
    let subject = format!("topic {}", wanted.name);
    refusal(
        server,
        call,
        &subject,
        result.error_code,
        result.error_message.as_ref(),
    )?;
    Ok(Creation::Made)
}

/// Whether an existing topic will do. A policy that the broker does not tell is not held against it.
fn judge(wanted: &TopicWanted, policy: Option<&str>, partitions: i32) -> TopicOutcome {
    let wanted_policy = wanted.configs.get(CLEANUP_POLICY);
    if let (Some(wanted), Some(found)) = (wanted_policy, policy)
        && wanted != found
    {
        return TopicOutcome::Unfit {
            setting: CLEANUP_POLICY,
            wanted: wanted.clone(),
            found: found.to_owned(),
        };
    }
    if wanted.partitions == 1 && partitions > 1 {
        return TopicOutcome::Unfit {
            setting: "partitions",
            wanted: "1".into(),
            found: partitions.to_string(),
        };
    }
    TopicOutcome::Existed { partitions }
}

fn create_request(topics: &[TopicWanted], deadline: Deadline) -> CreateTopicsRequest {
    let topics = topics.iter().map(|topic| {
        let configs = topic.configs.iter().map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        });
        CreatableTopic::default()
            .with_name(topic_name(&topic.name))
            .with_num_partitions(topic.partitions)
            .with_replication_factor(-1)
            .with_configs(configs.collect())
    });
    CreateTopicsRequest::default()
        .with_topics(topics.collect())
        .with_timeout_ms(broker_budget(deadline))
}

/// How long the broker may take, in milliseconds: what is left of ours.
fn broker_budget(deadline: Deadline) -> i32 {
    let left = deadline
        .at
        .saturating_duration_since(tokio::time::Instant::now());
    i32::try_from(left.as_millis()).unwrap_or(i32::MAX).max(1)
}

fn left_out(server: &Server, call: &'static str, topic: &str) -> KafkaError {
    KafkaError::LeftOut {
        server: server.clone(),
        call,
        subject: format!("topic {topic}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(partitions: i32, policy: Option<&str>) -> TopicWanted {
        let configs = policy.map(|policy| (CLEANUP_POLICY.to_owned(), policy.to_owned()));
        TopicWanted {
            name: "t".into(),
            partitions,
            configs: configs.into_iter().collect(),
        }
    }

    #[test]
    fn an_existing_topic_must_be_compacted_where_that_is_wanted() {
        let compact = wanted(25, Some("compact"));
        assert_eq!(
            judge(&compact, Some("compact"), 5),
            TopicOutcome::Existed { partitions: 5 }
        );
        assert_eq!(
            judge(&compact, None, 5),
            TopicOutcome::Existed { partitions: 5 }
        );
        assert!(matches!(
            judge(&compact, Some("delete"), 5),
            TopicOutcome::Unfit {
                setting: CLEANUP_POLICY,
                ..
            }
        ));
        assert_eq!(
            judge(&wanted(3, None), Some("delete"), 5),
            TopicOutcome::Existed { partitions: 5 }
        );
    }

    #[test]
    fn one_partition_means_exactly_one() {
        assert!(matches!(
            judge(&wanted(1, None), None, 2),
            TopicOutcome::Unfit {
                setting: "partitions",
                ..
            }
        ));
        assert_eq!(
            judge(&wanted(1, None), None, 1),
            TopicOutcome::Existed { partitions: 1 }
        );
    }
}
