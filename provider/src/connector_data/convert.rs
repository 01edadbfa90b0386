//! From the wire to HCL.

use crate::daemon_client::{Connectors, ObjectOf};
use runnel_api::connector::{TaskStatus, WorkerStatus};
use runnel_api::scaling::{ScalingDecision, ScalingStatus, Size, Verdict};
use serde::Serialize;
use tfplugin::Object;
use tfplugin::value::Value;

/// All attributes of the data source.
pub(super) fn object(connector: &ObjectOf<Connectors>, decisions: &[ScalingDecision]) -> Object {
    let status = &connector.status;
    Object::new()
        .with("name", connector.name.as_str())
        .with("arn", connector.arn.as_str())
        .with("version", connector.generation.0)
        .with(
            "settled_version",
            status.settled_generation.map(|settled| settled.0),
        )
        .with("state", word(&status.state))
        .with("health", word(&status.health))
        .with("reason", status.reason.clone())
        .with(
            "kafkaconnect_version",
            status.derived.kafkaconnect_version.as_str(),
        )
        .with("principal", status.derived.principal.as_str())
        .with("tasks", Value::list(status.tasks.iter().map(task)))
        .with("workers", Value::list(status.workers.iter().map(worker)))
        .with("topics", Value::list(&status.topics))
        .with("lag", status.lag)
        .with(
            "scaling",
            status.scaling.as_ref().map_or(Value::Null, scaling),
        )
        .with("decisions", Value::list(decisions.iter().map(decision)))
        .with("observed_age_ms", status.observed_age_ms)
}

/// A word of the wire; it is the same here.
fn word(word: &impl Serialize) -> Option<String> {
    Some(serde_json::to_value(word).ok()?.as_str()?.to_owned())
}

fn task(task: &TaskStatus) -> Value {
    Value::object([
        ("id", Value::from(task.id)),
        ("state", Value::from(task.state.as_str())),
        ("worker_id", Value::from(task.worker_id.as_str())),
        ("reason", Value::from(task.reason.clone())),
    ])
}

fn worker(worker: &WorkerStatus) -> Value {
    Value::object([
        ("id", Value::from(worker.id.as_str())),
        ("pid", Value::from(worker.pid)),
        ("worker_id", Value::from(worker.worker_id.clone())),
        ("state", Value::from(worker.state.as_str())),
        ("started_ms", Value::from(worker.started_ms)),
        ("mcu_count", Value::from(worker.mcu_count)),
        ("cpu_percent", Value::from(worker.cpu_percent)),
        ("rss_mib", Value::from(worker.rss_mib)),
    ])
}

fn scaling(scaling: &ScalingStatus) -> Value {
    let last = scaling.last.as_ref().map(ToString::to_string);
    Value::object([
        ("mode", Value::from(word(&scaling.mode))),
        ("size", size(scaling.size)),
        ("tasks_max", Value::from(scaling.tasks_max)),
        ("cpu_percent", Value::from(scaling.cpu_percent)),
        ("last", Value::from(last)),
    ])
}

fn size(size: Size) -> Value {
    Value::object([("workers", size.workers), ("mcu_count", size.mcu_count)])
}

fn decision(decision: &ScalingDecision) -> Value {
    let (verdict, to, reason) = match &decision.verdict {
        Verdict::Scale { to } => ("SCALE", size(*to), None),
        Verdict::Hold { reason } => ("HOLD", Value::Null, word(reason)),
    };
    Value::object([
        ("at_ms", Value::from(decision.at_ms)),
        ("from", size(decision.from)),
        ("verdict", Value::from(verdict)),
        ("to", to),
        ("reason", Value::from(reason)),
        ("evidence", Value::from(decision.evidence.text.as_str())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfplugin::{DataSource as _, Path};

    #[test]
    fn everything_that_is_read_fits_the_schema() {
        let small = serde_json::json!({"workers": 1, "mcu_count": 1});
        let scaled = serde_json::json!({
            "at_ms": 5, "from": small, "verdict": "SCALE", "to": {"workers": 1, "mcu_count": 2},
            "evidence": {"cpu_percent": [90, 91, 92], "text": "above 80 %"},
        });
        let held = serde_json::json!({
            "at_ms": 4, "from": small, "verdict": "HOLD", "reason": "COOL_DOWN",
            "evidence": {"cpu_percent": [null], "text": "too early"},
        });
        let connector = serde_json::from_value(serde_json::json!({
            "name": "orders", "id": "00000000-0000-0000-0000-000000000001", "arn": "arn:aws:kafkaconnect:r:a:c",
            "generation": 2,
            "spec": {
                "kafka_cluster": "shop", "plugins": [], "service_execution_role_arn": "arn:aws:iam::0:role/r",
                "config": {}, "capacity": {"provisioned": {"mcu_count": 1, "worker_count": 1}},
            },
            "status": {
                "derived": {
                    "kafkaconnect_version": "3.9", "principal": "User:ANONYMOUS", "effective_config": {},
                    "kafka_acls": [], "enforcement": "NONE",
                    "capacity_summary": {"mcus": "1", "memory": "4 GiB", "network": "1 worker", "scaling": "fixed"},
                },
                "secret_keys": [], "state": "RUNNING", "health": "DEGRADED", "reason": "the source is away",
                "tasks": [{"id": 0, "state": "RUNNING", "worker_id": "h:1"}],
                "workers": [{"id": "w1", "state": "READY", "started_ms": 5}],
                "topics": ["t"], "lag": 7,
                "scaling": {"mode": "VERTICAL", "size": {"workers": 1, "mcu_count": 2}, "last": scaled},
            },
        }))
        .unwrap();
        let decisions: Vec<ScalingDecision> =
            serde_json::from_value(serde_json::json!([scaled, held])).unwrap();
        let read = object(&connector, &decisions);
        let at = |path: &[&str]| {
            let path = path[1..]
                .iter()
                .fold(Path::attr(path[0]), |path, name| path.attribute(*name));
            read.at(&path).and_then(Value::as_str).map(str::to_owned)
        };
        assert_eq!(
            at(&["scaling", "last"]).as_deref(),
            Some("1 worker of 1 MCU → 1 worker of 2 MCUs: above 80 %")
        );
        assert_eq!(read.value("health").as_str(), Some("DEGRADED"));
        let schema = super::super::ConnectorData.schema();
        assert!(Value::from(read).conform(&schema.ty()).is_ok());
    }
}
