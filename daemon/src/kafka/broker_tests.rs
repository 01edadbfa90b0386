//! Administration against a real broker.

use super::*;
use crate::rig;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::net::TcpListener;

const TIMEOUT: Duration = Duration::from_secs(20);

async fn admin() -> KafkaAdmin {
    let broker = tokio::task::spawn_blocking(rig::broker).await.unwrap();
    KafkaAdmin::connect(&Access::plaintext(vec![broker]), TIMEOUT)
        .await
        .unwrap()
}

fn wanted(name: &str, partitions: i32, configs: &[(&str, &str)]) -> TopicWanted {
    let configs = configs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    TopicWanted {
        name: name.into(),
        partitions,
        configs: configs.collect(),
    }
}

/// A change has reached the broker we ask once metadata say so.
async fn await_topic(admin: &mut KafkaAdmin, name: &str, is_there: bool) {
    let until = tokio::time::Instant::now() + TIMEOUT;
    while admin.topics_exist(&[name]).await.unwrap().contains(name) != is_there {
        assert!(
            tokio::time::Instant::now() < until,
            "topic {name} never became {is_there}"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_real_cluster_is_described() {
    let cluster = admin().await.describe_cluster().await.unwrap();
    assert_eq!(cluster.brokers.len(), 1);
    assert_eq!(cluster.controller, Some(cluster.brokers[0].id));
    assert_eq!(cluster.id.unwrap().len(), 22);
}

#[tokio::test]
async fn topics_are_made_found_and_deleted_and_each_step_can_be_repeated() {
    let mut admin = admin().await;
    let topics = [
        wanted("made-1", 1, &[("cleanup.policy", "compact")]),
        wanted("made-2", 3, &[]),
    ];
    let made = admin.create_topics(&topics).await.unwrap();
    assert_eq!(made["made-1"], TopicOutcome::Created);
    assert_eq!(made["made-2"], TopicOutcome::Created);
    await_topic(&mut admin, "made-1", true).await;
    await_topic(&mut admin, "made-2", true).await;
    let again = admin.create_topics(&topics).await.unwrap();
    assert_eq!(again["made-1"], TopicOutcome::Existed { partitions: 1 });
    assert_eq!(again["made-2"], TopicOutcome::Existed { partitions: 3 });
    assert_eq!(
        admin.list_offsets_end("made-2").await.unwrap(),
        Some(BTreeMap::from([(0, 0), (1, 0), (2, 0)]))
    );

    let found = admin
        .topics_exist(&["made-1", "made-2", "made-3"])
        .await
        .unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["made-1", "made-2"]);
    let gone = admin
        .delete_topics(&["made-1", "made-2", "made-3"])
        .await
        .unwrap();
    assert_eq!(gone["made-1"], TopicDeletion::Deleted);
    assert_eq!(gone["made-3"], TopicDeletion::Missing);
    await_topic(&mut admin, "made-1", false).await;
    assert_eq!(
        admin.delete_topics(&["made-1"]).await.unwrap()["made-1"],
        TopicDeletion::Missing
    );
    assert_eq!(admin.list_offsets_end("made-3").await.unwrap(), None);
}

#[tokio::test]
async fn an_existing_topic_that_will_not_do_is_told_and_left_alone() {
    let mut admin = admin().await;
    admin
        .create_topics(&[wanted("unfit", 1, &[("cleanup.policy", "delete")])])
        .await
        .unwrap();
    await_topic(&mut admin, "unfit", true).await;
    let again = admin
        .create_topics(&[wanted("unfit", 1, &[("cleanup.policy", "compact")])])
        .await
        .unwrap();
    let (setting, wanted, found) = ("cleanup.policy", "compact".to_owned(), "delete".to_owned());
    assert_eq!(
        again["unfit"],
        TopicOutcome::Unfit {
            setting,
            wanted,
            found
        }
    );
}

#[tokio::test]
async fn a_refused_topic_is_told_with_the_brokers_reason() {
    let mut admin = admin().await;
    let error = admin
        .create_topics(&[wanted("bad/name", 1, &[])])
        .await
        .unwrap_err();
    let problem = error.to_problem();
    assert!(problem.message.contains("topic bad/name"), "{problem:?}");
    assert!(
        problem.detail.unwrap().starts_with("InvalidTopic"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_group_that_is_not_there_is_dead_and_its_deletion_is_success() {
    let mut admin = admin().await;
    let group = admin.describe_group("nobody").await.unwrap();
    assert_eq!(
        group,
        Group {
            state: GroupState::Dead,
            members: Vec::new()
        }
    );
    assert_eq!(
        admin.delete_group("nobody").await.unwrap(),
        GroupDeletion::Missing
    );
    assert_eq!(
        admin.leave_group("nobody", "nobody-1").await.unwrap(),
        Leave::NotAMember
    );
}

/// A consumer in a group, polled in a thread until dropped.
fn join(
    broker: &(String, u16),
    group: &str,
    topic: &str,
) -> (std::sync::mpsc::Sender<()>, std::thread::JoinHandle<()>) {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", format!("{}:{}", broker.0, broker.1))
        .set("group.id", group)
        .set("client.id", "test-member")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            let _ = consumer.poll(Duration::from_millis(50));
        }
    });
    (stop, thread)
}

#[tokio::test]
async fn a_member_can_be_taken_out_of_its_group_and_the_empty_group_deleted() {
    let mut admin = admin().await;
    admin
        .create_topics(&[wanted("grouped", 1, &[])])
        .await
        .unwrap();
    await_topic(&mut admin, "grouped", true).await;
    let (stop, thread) = join(&rig::broker(), "pair", "grouped");
    let until = tokio::time::Instant::now() + TIMEOUT;
    let member = loop {
        let group = admin.describe_group("pair").await.unwrap();
        if group.state == GroupState::Stable && group.members.len() == 1 {
            break group.members[0].clone();
        }
        assert!(tokio::time::Instant::now() < until, "{group:?}");
    };
    assert_eq!(member.client_id, "test-member");
    assert!(member.member_id.starts_with("test-member"));
    let refused = admin.delete_group("pair").await.unwrap_err();
    assert!(
        refused
            .to_problem()
            .hint
            .unwrap()
            .contains("stop the group's members")
    );

    assert_eq!(
        admin.leave_group("pair", &member.member_id).await.unwrap(),
        Leave::Left
    );
    assert_eq!(
        admin.leave_group("pair", &member.member_id).await.unwrap(),
        Leave::NotAMember
    );
    drop(stop);
    tokio::task::spawn_blocking(|| thread.join().unwrap())
        .await
        .unwrap();
    let until = tokio::time::Instant::now() + TIMEOUT;
    while !admin
        .describe_group("pair")
        .await
        .unwrap()
        .members
        .is_empty()
    {
        assert!(
            tokio::time::Instant::now() < until,
            "the group never became empty"
        );
    }
    assert_eq!(
        admin.delete_group("pair").await.unwrap(),
        GroupDeletion::Deleted
    );
}

#[tokio::test]
async fn one_good_bootstrap_server_among_dead_and_silent_ones_is_enough() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let servers = [
        ("127.0.0.1".to_owned(), port(&dead)),
        ("127.0.0.1".to_owned(), port(&silent)),
        tokio::task::spawn_blocking(rig::broker).await.unwrap(),
    ];
    drop(dead);
    let mut admin = KafkaAdmin::connect(&Access::plaintext(servers.to_vec()), TIMEOUT)
        .await
        .unwrap();
    assert_eq!(admin.describe_cluster().await.unwrap().brokers.len(), 1);
}

#[tokio::test]
async fn dead_and_silent_servers_are_told_one_by_one() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let servers = [
        ("127.0.0.1".to_owned(), port(&dead)),
        ("127.0.0.1".to_owned(), port(&silent)),
    ];
    drop(dead);
    let error = KafkaAdmin::connect(
        &Access::plaintext(servers.to_vec()),
        Duration::from_millis(300),
    )
    .await
    .unwrap_err();
    let detail = error.to_problem().detail.unwrap();
    assert!(
        detail.contains(&format!("127.0.0.1:{}: no connection", servers[0].1)),
        "{detail}"
    );
    assert!(
        detail.contains(&format!(
            "127.0.0.1:{}: no answer within 300 ms",
            servers[1].1
        )),
        "{detail}"
    );
    assert!(matches!(
        KafkaAdmin::connect(&Access::plaintext(Vec::new()), TIMEOUT).await,
        Err(KafkaError::NoServers)
    ));
}

/// Puts records into a partition.
async fn produce(topic: &str, partition: i32, records: usize) {
    use rdkafka::producer::{FutureProducer, FutureRecord};
    let broker = rig::broker();
    let producer: FutureProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", format!("{}:{}", broker.0, broker.1))
        .create()
        .unwrap();
    for _ in 0..records {
        let record = FutureRecord::<(), _>::to(topic)
            .partition(partition)
            .payload("x");
        producer.send(record, TIMEOUT).await.unwrap();
    }
}

/// Commits offsets for a group without members.
async fn commit(group: &'static str, offsets: &'static [(&'static str, i32, i64)]) {
    use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
    use rdkafka::{Offset, TopicPartitionList};
    let broker = rig::broker();
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", format!("{}:{}", broker.0, broker.1))
            .set("group.id", group)
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for (topic, partition, offset) in offsets {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
                .unwrap();
        }
        consumer.commit(&list, CommitMode::Sync).unwrap();
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_group_s_lag_is_what_it_has_not_committed_of_what_it_subscribes_to() {
    let mut admin = admin().await;
    let topics = [
        wanted("lag-a", 2, &[]),
        wanted("lag-b", 1, &[]),
        wanted("lags", 1, &[]),
    ];
    admin.create_topics(&topics).await.unwrap();
    for topic in &topics {
        await_topic(&mut admin, &topic.name, true).await;
    }
    let config = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let named = Subscription::of_sink(&config("topics", "lag-a,lag-b,lag-missing")).unwrap();
    let matching = Subscription::of_sink(&config("topics.regex", "lag-.*")).unwrap();
    assert_eq!(admin.partitions_of(&named).await.unwrap(), 3);
    assert_eq!(admin.partitions_of(&matching).await.unwrap(), 3);
    produce("lag-a", 0, 5).await;
    produce("lag-a", 1, 3).await;
    produce("lag-b", 0, 2).await;
    produce("lags", 0, 9).await;
    let lag = |total, committed_total| Lag {
        total,
        partitions: 3,
        committed_total,
    };
    assert_eq!(
        admin.lag("connect-lagging", &named).await.unwrap(),
        lag(10, 0)
    );
    commit("connect-lagging", &[("lag-a", 0, 4), ("lag-b", 0, 2)]).await;
    assert_eq!(
        admin.lag("connect-lagging", &named).await.unwrap(),
        lag(4, 6)
    );
    assert_eq!(
        admin.lag("connect-lagging", &matching).await.unwrap(),
        lag(4, 6)
    );
    let none = Subscription::of_sink(&config("topics", "lag-missing")).unwrap();
    assert_eq!(admin.partitions_of(&none).await.unwrap(), 0);
    assert_eq!(
        admin.lag("connect-lagging", &none).await.unwrap(),
        Lag::default()
    );
}
