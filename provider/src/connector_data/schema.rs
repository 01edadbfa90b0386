//! The argument and what is read.

use crate::attributes;
use tfplugin::schema::{Attribute, Schema};
use tfplugin::value::Type;

pub(super) fn schema() -> Schema {
    let text = |name: &str, text: &str| Attribute::string(name).computed().describe(text);
    let number = |name: &str, text: &str| Attribute::number(name).computed().describe(text);
    Schema::new(
        "How a connector does just now: what changes by itself and therefore is not in the resource. It is read anew in \
         every plan.",
    )
    .attribute(Attribute::string("name").required().describe("Name of the connector."))
    .attribute(attributes::arn("connector"))
    .attribute(number("version", "Counts the changes of the connector, from 1."))
    .attribute(number(
        "settled_version",
        "The version that was last seen to run for a while; null before the first.",
    ))
    .attribute(text(
        "state",
        "Where it is in its life: `CREATING`, `RUNNING`, `UPDATING`, `RESTARTING`, `PAUSED`, `STOPPED`, `FAILED` or \
         `DELETING`.",
    ))
    .attribute(text(
        "health",
        "How it does: `RUNNING`, `DEGRADED`, `FAILED`, `UNKNOWN`, or `IDLE` when it is paused or stopped.",
    ))
    .attribute(text("reason", "Why, in one line, when state or health need a reason."))
    .attribute(text("kafkaconnect_version", "Release of Kafka Connect that runs it."))
    .attribute(text("principal", "Its Kafka principal."))
    .attribute(
        Attribute::nested_list(
            "tasks",
            [
                number("id", "Number of the task, from 0."),
                text("state", "As Kafka Connect says: `RUNNING`, `FAILED`, `UNASSIGNED`, `PAUSED` or `RESTARTING`."),
                text("worker_id", "`host:port` of its worker."),
                text("reason", "Root line of its trace when it failed."),
            ],
        )
        .computed()
        .describe("Its tasks."),
    )
    .attribute(
        Attribute::nested_list(
            "workers",
            [
                text("id", "The daemon's id of the process; one process, one id."),
                number("pid", "Process id."),
                text("worker_id", "`host:port` by which Kafka Connect knows it, once it listens."),
                text("state", "`STARTING`, `READY`, `STOPPING`, `DEAD` or `UNKNOWN`."),
                number("started_ms", "When it was started, in milliseconds since the Unix epoch."),
            ],
        )
        .computed()
        .describe("Its worker processes."),
    )
    .attribute(
        Attribute::list("topics", Type::String)
            .computed()
            .describe("Topics that it has used, by Kafka Connect's topic tracking."),
    )
    .attribute(number(
        "observed_age_ms",
        "Milliseconds since the last successful look at its workers; null before the first.",
    ))
}
