//! Arguments and computed attributes.

use super::log_delivery;
use crate::attributes;
use runnel_api::Arn;
use runnel_api::capacity::{SCALE_IN_DEFAULT, SCALE_OUT_DEFAULT, WORKERS_MAX};
use runnel_api::plugin::ContentRef;
use tfplugin::schema::{Attribute, Schema, Validator};
use tfplugin::value::{Type, Value};

pub(super) fn schema() -> Schema {
    let schema = Schema::new(
        "A connector: a configuration that is run under a role, on a Kafka cluster, with plugins and a capacity. Apply \
         succeeds when its tasks run and keep running; a failed create leaves nothing behind, a failed update is rolled \
         back.",
    );
    let attributes = references()
        .into_iter()
        .chain(configuration())
        .chain(behaviour())
        .chain(computed());
    attributes.fold(schema, Schema::attribute)
}

fn references() -> Vec<Attribute> {
    vec![
        attributes::name("connector"),
        attributes::description(),
        Attribute::string("kafka_cluster").required().requires_replace().describe(
            "Name of the `runnel_kafka_cluster`. A change replaces the connector: its position is on the cluster.",
        ),
        Attribute::set("plugins", Type::String)
            .required()
            .validate(content_refs())
            .describe("References of the plugins that it needs, as the attribute `ref` of `runnel_plugin` gives them."),
        Attribute::string("worker_configuration")
            .validate(content_refs())
            .describe("Reference of a `runnel_worker_configuration` (its `ref`). Default: `StringConverter` for key and value."),
        Attribute::string("service_execution_role_arn")
            .required()
            .validate(Validator::new("the ARN of a role", |value| match value.as_str().map(Arn::parse) {
                Some(None) => Err("This is no ARN. Use the attribute `arn` of a `runnel_role`.".to_owned()),
                _ => Ok(()),
            }))
            .describe("ARN of the role that says what the connector may do on the cluster."),
        Attribute::string("kafkaconnect_version")
            .optional_computed()
            .use_state_for_unknown()
            .describe(
                "Release of Kafka Connect that runs it, one of the daemon's runtimes such as `3.9`. Default: the newest on \
                 which its plugins link; then the same until it is changed here.",
            ),
    ]
}

/// Every text in the value is a reference of the form `NAME@sha256:…`.
fn content_refs() -> Validator {
    Validator::new("NAME@sha256:…, as an attribute `ref` gives it", |value| {
        let texts: Vec<&str> = match value {
            Value::Set(elements) if elements.is_empty() => {
                return Err("At least one plugin is needed.".to_owned());
            }
            Value::Set(elements) => elements.iter().filter_map(Value::as_str).collect(),
            other => other.as_str().into_iter().collect(),
        };
        texts.into_iter().try_for_each(|text| {
            ContentRef::try_from(text.to_owned())
                .map(|_| ())
                .map_err(|error| format!("{error}."))
        })
    })
}

fn configuration() -> Vec<Attribute> {
    vec![
        Attribute::map("config", Type::String).required().describe(
            "The connector's configuration, as Kafka Connect takes it. `connector.class` must be in it; a change of that \
             replaces the connector. Secrets belong into `config_wo`.",
        ),
        Attribute::map("config_wo", Type::String).write_only().sensitive().describe(
            "Secret keys of the configuration, such as `database.password`. Never stored in plan or state (needs Terraform \
             1.11); the daemon seals them.",
        ),
        Attribute::number("config_wo_version")
            .validate(Validator::range(0..=i64::MAX))
            .describe(
                "A number of your own: raise it when values in `config_wo` change, and they are sent again. Without it, \
                 changed values are found by a salted fingerprint that is kept beside the state.",
            ),
        Attribute::bool("allow_plaintext_secrets").default(false).describe(
            "Lets keys that look like secrets stand in `config`, where plan and state show them.",
        ),
        capacity(),
    ]
}

fn mcu_count() -> Attribute {
    Attribute::number("mcu_count")
        .default(1)
        .describe("MCUs of each worker: 1, 2, 4 or 8. One MCU is one CPU and 4 GiB of memory.")
}

fn policy(name: &str, default: u32, text: &str) -> Attribute {
    let cpu = Attribute::number("cpu_utilization_percentage")
        .default(default)
        .describe(format!("CPU utilization in percent. Default: {default}."));
    Attribute::single(name, [cpu])
        .default(Value::object([("cpu_utilization_percentage", default)]))
        .describe(text)
}

fn capacity() -> Attribute {
    let workers = |name: &str, text: &str| {
        Attribute::number(name)
            .required()
            .describe(format!("{text}: 1 to {WORKERS_MAX}."))
    };
    Attribute::single(
        "capacity",
        [
            Attribute::single(
                "autoscaling",
                [
                    mcu_count(),
                    workers("min_worker_count", "Fewest workers"),
                    workers("max_worker_count", "Most workers"),
                    policy("scale_in_policy", SCALE_IN_DEFAULT, "When to take a worker away."),
                    policy("scale_out_policy", SCALE_OUT_DEFAULT, "When to add a worker."),
                    Attribute::number("max_autoscaling_task_count")
                        .describe("Most tasks when scaling; at least `max_worker_count`."),
                ],
            )
            .describe(
                "Between a fewest and a most number of workers, by their CPU utilization. A connector whose class runs one \
                 task, such as Debezium's for MySQL, MariaDB and PostgreSQL, has one worker instead, which becomes larger \
                 and smaller: from `min_worker_count` to `max_worker_count` times `mcu_count`, in sizes of 1, 2, 4 and 8 \
                 MCUs. While it scales, the daemon sets `tasks.max` to 2 for each MCU, to at most \
                 `max_autoscaling_task_count`, and to no more than the class can use; `effective_config` keeps what \
                 `config` says.",
            ),
            Attribute::single(
                "provisioned",
                [mcu_count(), workers("worker_count", "Number of workers")],
            )
            .describe("A fixed number of workers."),
        ],
    )
    .required()
    .describe(
        "How many workers of which size. Exactly one of `autoscaling` and `provisioned`. The host must have room for the \
         fewest workers of all connectors (`[capacity] mcus` of the daemon), or plan says who holds what.",
    )
}

fn behaviour() -> Vec<Attribute> {
    vec![
        Attribute::string("desired_state")
            .default("RUNNING")
            .validate(Validator::one_of(["RUNNING", "PAUSED", "STOPPED"]))
            .describe(
                "`RUNNING`; `PAUSED`, in which tasks exist and wait; or `STOPPED`, without tasks. The position is kept.",
            ),
        Attribute::string("delivery")
            .default("AT_LEAST_ONCE")
            .validate(Validator::one_of(["AT_LEAST_ONCE", "EXACTLY_ONCE"]))
            .describe(
                "`AT_LEAST_ONCE`: after a fault, some events come twice, and none is lost. Or `EXACTLY_ONCE`, for source \
                 connectors whose class supports it: events and the position are written in one transaction, and who \
                 reads with `isolation.level = read_committed` gets each event once. It sets `exactly.once.support` to \
                 `required`, and plan refuses classes that cannot.",
            ),
        Attribute::string("on_destroy")
            .default("DELETE_INTERNAL_TOPICS")
            .validate(Validator::one_of(["DELETE_INTERNAL_TOPICS", "KEEP_INTERNAL_TOPICS"]))
            .describe(
                "What happens to the internal topics, and with them to the position, when the connector is destroyed: \
                 `DELETE_INTERNAL_TOPICS` or `KEEP_INTERNAL_TOPICS`.",
            ),
        Attribute::bool("accept_position_loss").default(false).describe(
            "Lets a change through that loses the connector's position, so that it reads its source from the start.",
        ),
        log_delivery::attribute(),
    ]
}

fn computed() -> Vec<Attribute> {
    let text = |name: &str, text: &str| Attribute::string(name).computed().describe(text);
    vec![
        attributes::arn("connector"),
        text(
            "principal",
            "Kafka principal of the connector, such as `User:…`; `User:ANONYMOUS` on a cluster without login.",
        ),
        Attribute::number("version")
            .computed()
            .describe("Counts the changes of the connector, from 1."),
        Attribute::map("effective_config", Type::String)
            .computed()
            .describe(
                "The configuration as the worker gets it, with secrets as `***`. Known at plan.",
            ),
        Attribute::list("kafka_acls", Type::String)
            .computed()
            .describe(
                "ACLs of the connector in readable form; empty where roles are not enforced.",
            ),
        Attribute::single(
            "capacity_summary",
            [
                text("mcus", "MCUs, such as `1–2`."),
                text("memory", "Memory, such as `4–8 GiB`."),
                text("network", "Workers, such as `1–2 workers`."),
                text("scaling", "How it scales, in words."),
            ],
        )
        .computed()
        .describe("What the capacity means in terms of a machine."),
    ]
}
