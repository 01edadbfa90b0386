//! From the wire to HCL.

use crate::daemon_client::{Connectors, ObjectOf};
use runnel_api::connector::{TaskStatus, WorkerStatus};
use serde::Serialize;
use tfplugin::Object;
use tfplugin::value::Value;

/// All attributes of the data source.
pub(super) fn object(connector: &ObjectOf<Connectors>) -> Object {
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
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfplugin::DataSource as _;

    #[test]
    fn everything_that_is_read_fits_the_schema() {
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
                "topics": ["t"],
            },
        }))
        .unwrap();
        let read = object(&connector);
        assert_eq!(read.value("health").as_str(), Some("DEGRADED"));
        let schema = super::super::ConnectorData.schema();
        assert!(Value::from(read).conform(&schema.ty()).is_ok());
    }
}
