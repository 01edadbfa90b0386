//! Tests of [`super`]: the text, and everything in the repository that names a metric.

use super::exposition::{Read, read};
use super::*;
use runnel_api::connector::{ConnectorState, Health};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn figures(connector: &str) -> ConnectorFigures {
    ConnectorFigures {
        name: name(connector),
        state: ConnectorState::Running,
        health: Health::Degraded,
        tasks: vec!["RUNNING".into(), "FAILED".into(), "RUNNING".into()],
        size: Some((2, 4)),
        mcus_limit: 8,
        mcu_ms: Some(90_500),
        cpu_ns: Some(1_250_000_000),
        rss_bytes: Some(300 << 20),
        lag: Some(7),
        logs: vec![LogFigures {
            place: "kafka".into(),
            delivered: 5,
            dropped: 1,
            errors: 2,
        }],
    }
}

/// Something of every family.
fn full() -> (Metrics, Snapshot) {
    let metrics = Metrics::new().unwrap();
    let orders = name("orders");
    metrics.worker_ended(&orders, WorkerEnd::Died);
    metrics.worker_ended(&orders, WorkerEnd::Scaled);
    metrics.tasks_restarted(&orders, 2);
    metrics.scaled(&orders, Direction::Up);
    let took = Duration::from_secs(12);
    let (kind, outcome) = (OperationKind::Update, Outcome::RolledBack);
    metrics.operation_ended(Kind::Connector, kind, outcome, took);
    metrics.passed(Duration::from_millis(7));
    metrics.answered("GET", "/api/v1/connectors/{name}", 200);
    metrics.answered("BREW", "unknown", 404);
    let daemon = DaemonFigures {
        runtimes: 2,
        plugins: 1,
        last_sample_ms: Some(1_700_000_000_500),
        started_ms: 1_700_000_000_000,
        usage: Some((1_500_000_000, 40 << 20)),
    };
    let connectors = vec![figures("orders"), figures("items")];
    (metrics, Snapshot { daemon, connectors })
}

fn value(families: &BTreeMap<String, Read>, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let key = (name.to_owned(), labels.iter().map(owned).collect());
    families.get(name)?.samples.get(&key).copied()
}

#[test]
fn every_family_is_told_as_it_is_declared() {
    let (metrics, snapshot) = full();
    let read = read(&metrics.render(&snapshot).unwrap()).unwrap();
    assert_eq!(read.len(), families::ALL.len());
    for family in families::ALL {
        let found = &read[family.name];
        assert_eq!(found.kind, family.kind.as_str(), "{}", family.name);
        assert_eq!(found.help, family.help, "{}", family.name);
        let mut declared = family.labels.to_vec();
        declared.sort_unstable();
        for (sample, labels) in found.samples.keys() {
            let labels = labels.iter().map(|(name, _)| name.as_str());
            let labels: Vec<&str> = labels.filter(|label| *label != "le").collect();
            assert_eq!(labels, declared, "{sample}");
        }
    }
}

#[test]
fn figures_are_in_base_units_and_every_state_is_present() {
    let (metrics, snapshot) = full();
    let read = read(&metrics.render(&snapshot).unwrap()).unwrap();
    let of = |name, labels: &[_]| value(&read, name, labels);
    let orders = ("connector", "orders");
    for (name, labels, expected) in [
        ("runnel_connector_mcu_seconds_total", &[orders][..], 90.5),
        ("runnel_connector_cpu_seconds_total", &[orders], 1.25),
        ("runnel_connector_workers", &[orders], 2.0),
        (
            "runnel_connector_tasks",
            &[orders, ("state", "running")],
            2.0,
        ),
        (
            "runnel_connector_tasks",
            &[orders, ("state", "paused")],
            0.0,
        ),
        (
            "runnel_connector_state",
            &[orders, ("state", "running")],
            1.0,
        ),
        (
            "runnel_connector_state",
            &[orders, ("state", "failed")],
            0.0,
        ),
        ("runnel_connectors", &[("state", "running")], 2.0),
        ("runnel_connectors", &[("state", "deleting")], 0.0),
        (
            "runnel_connectors_by_health",
            &[("health", "degraded")],
            2.0,
        ),
        (
            "runnel_worker_restarts_total",
            &[orders, ("reason", "died")],
            1.0,
        ),
        (
            "runnel_http_requests_total",
            &[("method", "other"), ("route", "unknown"), ("status", "404")],
            1.0,
        ),
        ("process_start_time_seconds", &[], 1.7e9),
    ] {
        assert_eq!(of(name, labels), Some(expected), "{name} {labels:?}");
    }
    let outcome = [
        ("kind", "update"),
        ("object", "connector"),
        ("outcome", "rolled_back"),
    ];
    assert_eq!(of("runnel_operations_total", &outcome), Some(1.0));
}

#[test]
fn what_is_not_known_is_absent_and_a_connector_that_is_gone_leaves_no_series() {
    let (metrics, mut snapshot) = full();
    snapshot.connectors.retain(|it| it.name.as_str() == "items");
    let items = &mut snapshot.connectors[0];
    (items.size, items.lag, items.rss_bytes) = (None, None, None);
    let text = metrics.render(&snapshot).unwrap();
    assert!(!text.contains("orders"), "{text}");
    let read = read(&text).unwrap();
    for absent in [
        "runnel_connector_workers",
        "runnel_connector_consumer_lag_records",
        "runnel_connector_resident_memory_bytes",
        "runnel_worker_restarts_total",
    ] {
        assert!(!read.contains_key(absent), "{absent}");
    }
    // It came back, and counts from the beginning.
    metrics.worker_ended(&name("orders"), WorkerEnd::Asked);
    snapshot.connectors.push(figures("orders"));
    let read = super::exposition::read(&metrics.render(&snapshot).unwrap()).unwrap();
    assert_eq!(read["runnel_worker_restarts_total"].samples.len(), 1);
}

#[test]
fn an_empty_daemon_tells_a_sound_text() {
    let metrics = Metrics::new().unwrap();
    let text = metrics.render(&Snapshot::default()).unwrap();
    let read = read(&text).unwrap();
    assert_eq!(
        value(&read, "runnel_connectors", &[("state", "running")]),
        Some(0.0)
    );
    assert!(!read.contains_key("runnel_connector_state"));
}

/// `promtool`, when it is installed.
fn promtool(arguments: &[&str], input: &str) -> Option<(bool, String)> {
    let child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!(
            "SKIPPED: promtool is not installed (Debian: prometheus); our own reader alone checked"
        );
        return None;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

#[test]
fn promtool_has_nothing_to_say() {
    let (metrics, snapshot) = full();
    let text = metrics.render(&snapshot).unwrap();
    if let Some((is_good, said)) = promtool(&["check", "metrics"], &text) {
        assert!(is_good && said.is_empty(), "{said}");
    }
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Words of a text that look like one of our metrics.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_')
        .filter(|word| word.starts_with("runnel_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

/// The names under which a family's samples can be asked for.
fn askable() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for family in families::ALL {
        if family.kind == families::Kind::Histogram {
            names.extend(["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", family.name)));
        } else {
            names.insert(family.name.to_owned());
        }
    }
    names
}

/// Every text below `expr` in a JSON document.
fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    serde_json::Value::String(text) if key == "expr" || key == "definition" => {
                        found.push(text.clone());
                    }
                    other => expressions(other, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_names_metrics_that_there_are() {
    let path = repository().join("packaging/grafana/runnel.json");
    let text = std::fs::read_to_string(path).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    assert!(found.len() > 15, "{found:?}");
    let askable = askable();
    for expression in found {
        let named = named(&expression);
        assert!(!named.is_empty(), "{expression}");
        assert!(named.is_subset(&askable), "{expression}");
    }
}

#[test]
fn the_alerts_name_metrics_that_there_are_and_promtool_takes_them() {
    let path = repository().join("packaging/prometheus/alerts.yml");
    let text = std::fs::read_to_string(&path).unwrap();
    let rules: String = text
        .lines()
        .filter(|line| !line.trim().starts_with('#'))
        .collect();
    let named = named(&rules);
    assert!(named.len() >= 5, "{named:?}");
    assert!(named.is_subset(&askable()), "{named:?}");
    if let Some((is_good, said)) = promtool(&["check", "rules", path.to_str().unwrap()], "") {
        assert!(is_good, "{said}");
    }
}

/// The documentation's table.
fn table() -> String {
    let mut table = "| metric | kind | labels | what it says |\n|---|---|---|---|\n".to_owned();
    for family in families::ALL {
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let row = [
            format!("`{}`", family.name),
            family.kind.as_str().to_owned(),
            labels.join(", "),
            family.help.to_owned(),
        ];
        table.push_str("| ");
        table.push_str(&row.join(" | "));
        table.push_str(" |\n");
    }
    table
}

#[test]
fn the_guide_s_table_is_that_of_the_registry() {
    let path = repository().join("docs/guides/operations.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- metrics -->\n", "<!-- /metrics -->");
    let from = text.find(begin).unwrap() + begin.len();
    let to = text.find(end).unwrap();
    if text[from..to] != table() {
        let updated = format!("{}{}{}", &text[..from], table(), &text[to..]);
        if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
            std::fs::write(&path, updated).unwrap();
        } else {
            panic!("the table is old; write it anew with UPDATE_TRANSCRIPTS=1");
        }
    }
}
