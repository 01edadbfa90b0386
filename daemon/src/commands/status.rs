//! `runnel status`.

use super::{Client, CommandError};
use runnel_api::connector::{Connector, Health, TaskStatus, WorkerStatus};
use runnel_api::object::PAGE_LIMIT_MAX;
use runnel_api::scaling::ScalingStatus;
use runnel_api::{Name, Operation, Outcome, Page, Problem};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write;

/// Prints a table of all connectors.
pub async fn all(client: &Client, out: &mut impl Write) -> Result<(), CommandError> {
    let mut connectors: Vec<Connector> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let from = after.map_or(String::new(), |name| format!("&after={name}"));
        let path = format!("/api/v1/connectors?limit={PAGE_LIMIT_MAX}{from}");
        let page: Page<Connector> = client.get(&path).await?;
        connectors.extend(page.items);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    if connectors.is_empty() {
        writeln!(out, "no connectors")?;
    } else {
        out.write_all(table(&connectors).as_bytes())?;
    }
    Ok(())
}

/// Prints one connector with everything that is known of it.
pub async fn one(client: &Client, name: &Name, out: &mut impl Write) -> Result<(), CommandError> {
    let found: Result<Connector, Problem> = client.get(&format!("/api/v1/connectors/{name}")).await;
    let connector = match found {
        Ok(connector) => connector,
        Err(problem) => return Err(gone(client, name, problem).await.into()),
    };
    let operation = match connector.status.operation {
        Some(id) => {
            let path = format!("/api/v1/operations/{id}");
            client.get::<Operation>(&path).await.ok()
        }
        None => None,
    };
    out.write_all(details(&connector, operation.as_ref()).as_bytes())?;
    Ok(())
}

/// A connector that could not be created is gone, and its operation says why.
async fn gone(client: &Client, name: &Name, problem: Problem) -> Problem {
    let path = format!("/api/v1/operations?kind=connector&name={name}");
    let operations: Option<Page<Operation>> = client.get(&path).await.ok();
    let last = operations.and_then(|page| page.items.into_iter().next());
    match last.and_then(|operation| operation.problem) {
        Some(why) => {
            let detail = why
                .detail
                .map_or(String::new(), |detail| format!(": {detail}"));
            problem
                .detail(format!(
                    "its last operation failed: {}{detail}",
                    why.message
                ))
                .hint(format!("its worker logs are kept: runnel logs {name}"))
        }
        None => problem,
    }
}

/// A word as it is on the wire.
pub(super) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "?".to_owned(),
    }
}

fn running(tasks: &[TaskStatus]) -> String {
    let running = tasks.iter().filter(|task| task.state == "RUNNING").count();
    format!("{running}/{}", tasks.len())
}

fn table(connectors: &[Connector]) -> String {
    let heading = [
        "NAME", "STATE", "HEALTH", "TASKS", "WORKERS", "VERSION", "REASON",
    ];
    let mut rows = vec![heading.map(str::to_owned)];
    rows.extend(connectors.iter().map(|connector| {
        let status = &connector.status;
        let ready = status
            .workers
            .iter()
            .filter(|worker| worker.state == "READY");
        [
            connector.name.to_string(),
            word(status.state),
            word(status.health),
            running(&status.tasks),
            format!("{}/{}", ready.count(), status.workers.len()),
            connector.generation.to_string(),
            status.reason.clone().unwrap_or_default().replace('\n', " "),
        ]
    }));
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn details(connector: &Connector, operation: Option<&Operation>) -> String {
    let status = &connector.status;
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{label:<10} {value}");
        }
    };
    line("name", connector.name.as_str());
    line("arn", connector.arn.as_str());
    line("state", &word(status.state));
    let age = match status.observed_age_ms {
        Some(age) if status.health != Health::Idle => format!(" (seen {age} ms ago)"),
        _ => String::new(),
    };
    line("health", &format!("{}{age}", word(status.health)));
    line("reason", status.reason.as_deref().unwrap_or_default());
    let settled = match status.settled_generation {
        Some(settled) if settled == connector.generation => String::new(),
        Some(settled) => format!(" ({settled} settled last)"),
        None => " (none settled yet)".to_owned(),
    };
    line("version", &format!("{}{settled}", connector.generation));
    line("cluster", connector.spec.kafka_cluster.as_str());
    line("runtime", &status.derived.kafkaconnect_version);
    line("principal", &status.derived.principal);
    line("capacity", &status.derived.capacity_summary.scaling);
    if let Some(scaling) = &status.scaling {
        line("scaling", &scaled(scaling));
        let last = scaling.last.as_ref().map(ToString::to_string);
        line("decided", &last.unwrap_or_default());
    }
    if let Some(lag) = status.lag {
        line("lag", &format!("{lag} records"));
    }
    for task in &status.tasks {
        let reason = task
            .reason
            .as_ref()
            .map_or(String::new(), |reason| format!("  {reason}"));
        let value = format!("{}  {}  on {}{reason}", task.id, task.state, task.worker_id);
        line("task", &value);
    }
    for worker in &status.workers {
        let pid = worker
            .pid
            .map_or(String::new(), |pid| format!("  pid {pid}"));
        let at = worker
            .worker_id
            .as_ref()
            .map_or(String::new(), |id| format!("  {id}"));
        line(
            "worker",
            &format!("{}  {}{pid}{at}{}", worker.id, worker.state, used(worker)),
        );
    }
    for topic in &status.topics {
        line("topic", topic);
    }
    if let Some(operation) = operation {
        let waiting = operation.waiting_on.as_ref();
        let waiting = waiting.map_or(String::new(), |on| format!(", waits for {on}"));
        let value = format!(
            "{} {}{waiting}",
            word(operation.kind),
            word(operation.outcome)
        );
        line("operation", &value);
        if let Some(problem) = &operation.problem
            && operation.outcome != Outcome::Superseded
        {
            line("problem", &problem.message);
            line("", problem.detail.as_deref().unwrap_or_default());
            line("hint", problem.hint.as_deref().unwrap_or_default());
        }
        for warning in &operation.warnings {
            line("warning", &warning.message);
        }
    }
    text
}

/// `1 worker of 2 MCUs (VERTICAL), tasks.max 1, CPU 12 %`.
fn scaled(scaling: &ScalingStatus) -> String {
    let mut text = format!("{} ({})", scaling.size, word(scaling.mode));
    if let Some(tasks) = scaling.tasks_max {
        let _ = write!(text, ", tasks.max {tasks}");
    }
    if let Some(percent) = scaling.cpu_percent {
        let _ = write!(text, ", CPU {percent} %");
    }
    text
}

/// Size and use of a worker, as far as they are known.
fn used(worker: &WorkerStatus) -> String {
    let mut text = String::new();
    if let Some(mcus) = worker.mcu_count {
        let _ = write!(text, "  {mcus} MCU");
    }
    if let Some(percent) = worker.cpu_percent {
        let _ = write!(text, "  CPU {percent} %");
    }
    if let Some(mib) = worker.rss_mib {
        let _ = write!(text, "  {mib} MiB");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn connector(name: &str, reason: Option<&str>) -> Connector {
        serde_json::from_value(json!({
            "name": name,
            "id": "00000000-0000-0000-0000-000000000000",
            "arn": "arn:aws:kafkaconnect:us-east-1:000000000000:connector/x/0-1",
            "generation": 2,
            "spec": {
                "kafka_cluster": "shop", "plugins": [],
                "service_execution_role_arn": "arn:aws:iam::000000000000:role/r", "config": {},
                "capacity": {"provisioned": {"mcu_count": 1, "worker_count": 1}},
            },
            "status": {
                "derived": {
                    "kafkaconnect_version": "3.9", "principal": "User:ANONYMOUS",
                    "effective_config": {}, "kafka_acls": [], "enforcement": "NONE",
                    "capacity_summary": {"mcus": "1", "memory": "", "network": "", "scaling": ""},
                },
                "secret_keys": [], "state": "RUNNING", "health": "DEGRADED", "reason": reason,
                "settled_generation": 1,
                "tasks": [{"id": 0, "state": "FAILED", "worker_id": "127.0.0.1:1", "reason": "no"}],
                "workers": [{"id": "w1", "pid": 7, "state": "READY", "started_ms": 1, "mcu_count": 2,
                    "cpu_percent": 40, "rss_mib": 300}],
                "scaling": {"mode": "VERTICAL", "size": {"workers": 1, "mcu_count": 2}, "tasks_max": 1},
                "lag": 12,
            },
        }))
        .unwrap()
    }

    #[test]
    fn the_table_has_columns_as_wide_as_they_need() {
        let connectors = [
            connector("a", None),
            connector("orders", Some("access\ndenied")),
        ];
        assert_eq!(
            table(&connectors),
            "NAME    STATE    HEALTH    TASKS  WORKERS  VERSION  REASON\n\
             a       RUNNING  DEGRADED  0/1    1/1      2\n\
             orders  RUNNING  DEGRADED  0/1    1/1      2        access denied\n"
        );
    }

    #[test]
    fn details_hold_tasks_workers_and_what_settled() {
        let text = details(&connector("orders", Some("why")), None);
        for part in [
            "reason     why\n",
            "version    2 (1 settled last)\n",
            "task       0  FAILED  on 127.0.0.1:1  no\n",
            "worker     w1  READY  pid 7  2 MCU  CPU 40 %  300 MiB\n",
            "scaling    1 worker of 2 MCUs (VERTICAL), tasks.max 1\n",
            "lag        12 records\n",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
