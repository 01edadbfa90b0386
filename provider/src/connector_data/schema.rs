//! The argument and what is read.

use crate::attributes;
use tfplugin::schema::{Attribute, Schema};
use tfplugin::value::Type;

fn size(name: &str, text: &str) -> Attribute {
    let number = |name: &str, text: &str| Attribute::number(name).computed().describe(text);
    Attribute::single(
        name,
        [
            number("workers", "How many workers."),
            number("mcu_count", "MCUs of each worker."),
        ],
    )
    .computed()
    .describe(text)
}

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
                number("mcu_count", "Its size in MCUs."),
                number("cpu_percent", "CPU that it used lately, in percent of its MCUs; null while it is not known."),
                number("rss_mib", "Memory that it occupies, in MiB; null while it is not known."),
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
        "lag",
        "Records that a sink has still to read; null for sources and where it is not known.",
    ))
    .attribute(
        Attribute::single(
            "scaling",
            [
                text("mode", "`FIXED`, `HORIZONTAL` (more and fewer workers) or `VERTICAL` (one worker of another size)."),
                size("size", "The size that is wanted now."),
                number("tasks_max", "`tasks.max` that Kafka Connect was given."),
                number("cpu_percent", "CPU utilization that scaling saw last, in percent; null while it is not known."),
                text("last", "The last decision in words."),
            ],
        )
        .computed()
        .describe("How it scales just now; null before the daemon has looked for the first time."),
    )
    .attribute(
        Attribute::nested_list(
            "decisions",
            [
                number("at_ms", "When, in milliseconds since the Unix epoch."),
                size("from", "The size that it was made for."),
                text("verdict", "`SCALE` or `HOLD`."),
                size("to", "The new size; null for `HOLD`."),
                text("reason", "Why it held, such as `COOL_DOWN`; null for `SCALE`."),
                text("evidence", "What it rests on, in one line."),
            ],
        )
        .computed()
        .describe("The last 20 decisions of scaling, newest first."),
    )
    .attribute(number(
        "observed_age_ms",
        "Milliseconds since the last successful look at its workers; null before the first.",
    ))
}
