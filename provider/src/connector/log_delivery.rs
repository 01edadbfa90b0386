//! The argument `log_delivery`.

use crate::field_path;
use runnel_api::log_delivery::{
    CloudWatchLogsDelivery, FileDelivery, KafkaDelivery, LOG_GROUP_MAX, LogDelivery, TOPIC_MAX,
    WorkerLogDelivery,
};
use tfplugin::schema::{Attribute, Validator};
use tfplugin::value::Value;
use tfplugin::{Diagnostic, Diagnostics, Object, Path};

const NAME: &str = "log_delivery";
const WORKERS: &str = "worker_log_delivery";

/// The attribute.
pub(super) fn attribute() -> Attribute {
    let enabled = || {
        Attribute::bool("enabled")
            .required()
            .describe("Whether logs go there.")
    };
    let named = |name: &str, longest: usize, text: &str| {
        Attribute::string(name)
            .validate(Validator::length(1..=longest))
            .describe(text)
    };
    let file = [
        enabled(),
        Attribute::string("prefix").default("").describe(
            "A relative path below that folder, without `..`. Default: the folder itself.",
        ),
    ];
    let kafka = [
        enabled(),
        named(
            "topic",
            TOPIC_MAX,
            "The topic; none that begins with `__`. Needed where `enabled` is true.",
        ),
    ];
    let cloudwatch_logs = [
        enabled(),
        named(
            "log_group",
            LOG_GROUP_MAX,
            "Name of the log group. Needed where `enabled` is true.",
        ),
    ];
    let places = [
        Attribute::single("file", file).describe(
            "To files below the folder that the daemon's `[log_delivery] directory` names: one for each worker.",
        ),
        Attribute::single("kafka", kafka).describe(
            "To a topic of the connector's own Kafka cluster: a record for each line, keyed by the worker.",
        ),
        Attribute::single("cloudwatch_logs", cloudwatch_logs).describe(
            "To the CloudWatch Logs, or a server of that API, that the daemon's `[log_delivery.cloudwatch_logs]` names: \
             a stream for each worker.",
        ),
    ];
    let workers = Attribute::single(WORKERS, places)
        .required()
        .describe("Where the logs of workers go.");
    Attribute::single(NAME, [workers]).describe(
        "Where logs go besides the daemon's own files, which `runnel logs` shows: nowhere by default. A place that the \
         daemon is not configured for is an error at plan.",
    )
}

/// Reads it; `None` if it is null.
pub(super) fn read(values: &Object) -> Result<Option<LogDelivery>, Diagnostic> {
    let Some(delivery) = values.get::<Option<Object>>(NAME)? else {
        return Ok(None);
    };
    let workers: Object = delivery.get(WORKERS)?;
    let place = |name: &str| workers.get::<Option<Object>>(name);
    let text = |place: &Object, name: &str| -> Result<String, Diagnostic> {
        Ok(place.get::<Option<String>>(name)?.unwrap_or_default())
    };
    let file = place("file")?.map(|it| -> Result<_, Diagnostic> {
        Ok(FileDelivery {
            enabled: it.get("enabled")?,
            prefix: text(&it, "prefix")?,
        })
    });
    let kafka = place("kafka")?.map(|it| -> Result<_, Diagnostic> {
        Ok(KafkaDelivery {
            enabled: it.get("enabled")?,
            topic: text(&it, "topic")?,
        })
    });
    let cloudwatch_logs = place("cloudwatch_logs")?.map(|it| -> Result<_, Diagnostic> {
        Ok(CloudWatchLogsDelivery {
            enabled: it.get("enabled")?,
            log_group: text(&it, "log_group")?,
        })
    });
    Ok(Some(LogDelivery {
        worker_log_delivery: WorkerLogDelivery {
            file: file.transpose()?,
            kafka: kafka.transpose()?,
            cloudwatch_logs: cloudwatch_logs.transpose()?,
        },
    }))
}

/// Writes it. A name that is not there is null, as it was in the user's file.
pub(super) fn write(delivery: Option<&LogDelivery>) -> Value {
    let Some(delivery) = delivery else {
        return Value::Null;
    };
    let named = |text: &str| Value::from((!text.is_empty()).then(|| text.to_owned()));
    let WorkerLogDelivery {
        file,
        kafka,
        cloudwatch_logs,
    } = &delivery.worker_log_delivery;
    let place = |enabled: bool, name: &'static str, value: Value| {
        Value::object([("enabled", Value::from(enabled)), (name, value)])
    };
    let file = file
        .as_ref()
        .map(|it| place(it.enabled, "prefix", it.prefix.as_str().into()));
    let kafka = kafka
        .as_ref()
        .map(|it| place(it.enabled, "topic", named(&it.topic)));
    let cloudwatch_logs = cloudwatch_logs
        .as_ref()
        .map(|it| place(it.enabled, "log_group", named(&it.log_group)));
    let workers = Value::object([
        ("file", file.unwrap_or(Value::Null)),
        ("kafka", kafka.unwrap_or(Value::Null)),
        ("cloudwatch_logs", cloudwatch_logs.unwrap_or(Value::Null)),
    ]);
    Value::object([(WORKERS, workers)])
}

/// Adds what is wrong with it, as far as it is known.
pub(super) fn check(config: &Object, diagnostics: &mut Diagnostics) {
    let value = config.value(NAME);
    if value.is_null() || !value.is_wholly_known() {
        return;
    }
    match read(config) {
        Err(diagnostic) => diagnostics.push(diagnostic),
        Ok(delivery) => {
            if let Some((field, reason)) = delivery.as_ref().and_then(LogDelivery::invalid) {
                let path = field_path::written(Path::attr(NAME), field, config);
                diagnostics.error_at(path, "Invalid log delivery", format!("{reason}."));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(places: &[(&'static str, Value)]) -> Object {
        let workers = Value::object(places.iter().cloned());
        Object::new().with(NAME, Value::object([(WORKERS, workers)]))
    }

    fn place(enabled: bool, name: &'static str, text: Option<&str>) -> Value {
        let text = Value::from(text.map(str::to_owned));
        Value::object([("enabled", Value::from(enabled)), (name, text)])
    }

    #[test]
    fn a_log_delivery_reads_back_what_it_writes() {
        assert_eq!(read(&Object::new()), Ok(None));
        assert!(write(None).is_null());
        for values in [
            with(&[]),
            with(&[("kafka", place(true, "topic", Some("logs")))]),
            with(&[
                ("file", place(true, "prefix", Some("a/b"))),
                ("kafka", place(false, "topic", None)),
                ("cloudwatch_logs", place(true, "log_group", Some("/x"))),
            ]),
        ] {
            let delivery = read(&values).unwrap();
            let written = Object::new().with(NAME, write(delivery.as_ref()));
            assert_eq!(read(&written), Ok(delivery));
        }
        let off = read(&with(&[("kafka", place(false, "topic", None))])).unwrap();
        let written = Object::new().with(NAME, write(off.as_ref()));
        let topic = Path::attr(NAME)
            .attribute(WORKERS)
            .attribute("kafka")
            .attribute("topic");
        assert!(written.at(&topic).unwrap().is_null(), "null stays null");
    }

    #[test]
    fn what_is_wrong_points_at_what_the_user_wrote() {
        let of = |config: &Object| {
            let mut diagnostics = Diagnostics::new();
            check(config, &mut diagnostics);
            let paths = diagnostics.iter().map(|each| each.path.to_string());
            paths.collect::<Vec<_>>()
        };
        assert!(of(&Object::new()).is_empty());
        assert!(of(&with(&[("kafka", place(false, "topic", None))])).is_empty());
        let prefix = with(&[("file", place(true, "prefix", Some("../x")))]);
        assert_eq!(
            of(&prefix),
            ["log_delivery.worker_log_delivery.file.prefix"]
        );
        // A name that is missing has no place in the file; its block has.
        let missing = with(&[("kafka", place(true, "topic", None))]);
        assert_eq!(of(&missing), ["log_delivery.worker_log_delivery.kafka"]);
        let unknown = with(&[("kafka", Value::unknown())]);
        assert!(of(&unknown).is_empty());
    }
}
