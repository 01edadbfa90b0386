//! `MirrorMaker` 2 (KIP-382): what its connectors write through the worker's producer.
//!
//! Its own clients, which read the source, make topics and write the offset syncs, log in by
//! `source.cluster.*` and `target.cluster.*`: as whom those say.

use super::{Needs, NeedsInput, Severity, plain};
use crate::action::Action;
use crate::names::Names;

const CLASSES: &str = "org.apache.kafka.connect.mirror.Mirror";

pub fn is_one(class: &str) -> bool {
    class.starts_with(CLASSES)
}

pub fn add(input: &NeedsInput<'_>, data: Severity, needs: &mut Needs) {
    needs.note(
        "MirrorMaker's own clients log in with source.cluster.* and target.cluster.*; what these \
         need is for whom they log in as",
    );
    let source = input.get("source.cluster.alias").unwrap_or("source");
    let separator = input.get("replication.policy.separator").unwrap_or(".");
    match input.class.strip_prefix(CLASSES) {
        Some("HeartbeatConnector") => {
            let why = "to write heartbeats";
            needs.add_written(data, Names::One(String::from("heartbeats")), why);
        }
        Some("CheckpointConnector") => {
            let topic = format!("{source}{separator}checkpoints{separator}internal");
            let why = "to write checkpoints of groups";
            needs.add_written(data, Names::One(topic), why);
        }
        _ => topics(input, data, source, separator, needs),
    }
}

fn topics(
    input: &NeedsInput<'_>,
    data: Severity,
    source: &str,
    separator: &str,
    needs: &mut Needs,
) {
    const WHY: &str = "to write the mirrored topics";
    let policy = input.get("replication.policy.class").unwrap_or_default();
    let keeps_names = policy.ends_with(".IdentityReplicationPolicy");
    let prefix = if keeps_names {
        String::new()
    } else {
        format!("{source}{separator}")
    };
    if !policy.is_empty() && !keeps_names && !policy.ends_with(".DefaultReplicationPolicy") {
        needs.note("which topics a replication policy of its own writes is not known");
        return;
    }
    let read_here = input
        .get("source.cluster.bootstrap.servers")
        .is_some_and(|servers| input.is_own_cluster(Some(servers)));
    let listed = input.list("topics");
    let plain: Option<Vec<String>> = listed.iter().map(|topic| plain(topic)).collect();
    match plain.filter(|topics| !topics.is_empty()) {
        Some(topics) => {
            for topic in topics {
                let written = Names::One(format!("{prefix}{topic}"));
                needs.add_written(data, written, WHY);
                if read_here {
                    let why = "to read the topic: the source is this cluster";
                    needs.add_read(Severity::Perhaps, Names::One(topic), why);
                }
            }
        }
        None if keeps_names => needs.note("which topics fit topics is not known before it runs"),
        None => needs.add_written(data, Names::Prefix(prefix), WHY),
    }
    let syncs_here = input.get("offset-syncs.topic.location") == Some("target");
    if syncs_here {
        let topic = Names::One(format!(
            "mm2-offset-syncs{separator}{source}{separator}internal"
        ));
        let why = "to write offset syncs, if target.cluster.* logs in as this connector";
        needs.add(Severity::Perhaps, Action::WriteData, topic, why);
    }
}
