//! What delivery and capacity ask of a connector.

use super::tests::{Case, MYSQL, config, plugin, postgres, seed};
use super::*;
use runnel_api::capacity::Capacity;
use runnel_api::connector::Delivery;
use runnel_api::plugin::ClassKind;

const SUPPORT: &str = "exactly.once.support";
const BOUNDARY: &str = "transaction.boundary";
const DELIVERY: Option<&str> = Some("delivery");

/// PostgreSQL with a plugin that answers for exactly-once delivery like this.
fn exactly_once(answer: Option<bool>) -> Case {
    let mut case = postgres();
    case.plugins[0].1.classes[0].exactly_once = answer;
    case.spec.delivery = Delivery::ExactlyOnce;
    case
}

fn kafkas_own(class: &str) -> Case {
    let mut case = exactly_once(None);
    case.plugins.clear();
    let class = format!("org.apache.kafka.connect.{class}");
    case.spec.config = config(&[("connector.class", &class)]);
    case.secret_keys.clear();
    case
}

#[test]
fn exactly_once_is_required_of_connect_and_at_least_once_leaves_the_configuration_alone() {
    let (derived, derivation) = exactly_once(Some(true)).ok();
    assert_eq!(derived.effective_config[SUPPORT], "required");
    assert_eq!(derivation.worker_config[SUPPORT], "required");
    let (derived, _) = postgres().ok();
    assert!(!derived.effective_config.contains_key(SUPPORT));
    // What the user wrote in agreement stays agreement, in Connect's own spelling.
    let (derived, _) = exactly_once(Some(true))
        .with(SUPPORT, " REQUIRED")
        .with(BOUNDARY, "Connector")
        .ok();
    assert_eq!(derived.effective_config[SUPPORT], "required");
    assert_eq!(derived.effective_config[BOUNDARY], "Connector");
}

#[test]
fn classes_that_cannot_deliver_exactly_once_are_refused_at_plan() {
    let old = exactly_once(Some(false)).problem();
    assert_eq!(old.field.as_deref(), DELIVERY);
    assert!(
        old.message
            .contains("PostgresConnector 3.5.0.Final does not support"),
        "{old:?}"
    );
    let sink = kafkas_own("file.FileStreamSinkConnector").problem();
    assert_eq!(sink.field.as_deref(), DELIVERY);
    assert!(sink.message.contains("is a sink"), "{sink:?}");
    let mut jdbc = exactly_once(None);
    jdbc.plugins[0].1.classes[0].kind = ClassKind::Sink;
    assert!(jdbc.problem().message.contains("is a sink"));
    let checkpoints = kafkas_own("mirror.MirrorCheckpointConnector").problem();
    let told = "MirrorCheckpointConnector does not support exactly-once delivery";
    assert!(checkpoints.message.ends_with(told), "{checkpoints:?}");
    kafkas_own("file.FileStreamSourceConnector").ok();
    kafkas_own("mirror.MirrorSourceConnector").ok();
}

#[test]
fn a_class_of_which_it_is_not_known_is_remarked_and_left_to_connect() {
    let (derived, derivation) = exactly_once(None).ok();
    assert_eq!(derived.effective_config[SUPPORT], "required");
    let fields = derivation
        .warnings
        .iter()
        .map(|warning| warning.field.as_deref());
    assert!(
        fields.clone().any(|field| field == DELIVERY),
        "{:?}",
        derivation.warnings
    );
    let (_, derivation) = exactly_once(Some(true)).ok();
    assert!(
        derivation
            .warnings
            .iter()
            .all(|warning| warning.field.as_deref() != DELIVERY)
    );
}

#[test]
fn values_that_contradict_the_delivery_are_refused_at_their_key() {
    let at = |key: &str| Some(format!("config[{key:?}]"));
    for value in ["requested", "", "no"] {
        let problem = exactly_once(Some(true)).with(SUPPORT, value).problem();
        assert_eq!(problem.field, at(SUPPORT), "{value}");
    }
    let problem = exactly_once(Some(true)).with(BOUNDARY, "never").problem();
    assert_eq!(problem.field, at(BOUNDARY));
    let problem = postgres().with(SUPPORT, "required").problem();
    assert_eq!(problem.field, at(SUPPORT));
    assert!(problem.hint.unwrap().contains("EXACTLY_ONCE"));
    postgres().with(SUPPORT, "requested").ok();
    let (_, derivation) = postgres().with(BOUNDARY, "poll").ok();
    assert!(
        derivation
            .warnings
            .iter()
            .any(|warning| warning.field == at(BOUNDARY))
    );
    let mut secret = exactly_once(Some(true));
    secret.secret_keys.insert(SUPPORT.into());
    assert!(secret.problem().message.contains("no secret"));
}

fn scaled(mcu_count: u32, min: u32, max: u32) -> Capacity {
    Capacity::Autoscaling {
        mcu_count,
        min_worker_count: min,
        max_worker_count: max,
        scale_in_cpu: 20,
        scale_out_cpu: 80,
        max_autoscaling_task_count: None,
    }
}

#[test]
fn capacity_is_checked_and_its_summary_says_which_way_it_scales() {
    let mut case = seed();
    case.spec.capacity = scaled(1, 3, 2);
    let field = "capacity.autoscaling.min_worker_count";
    assert_eq!(case.problem().field.as_deref(), Some(field));
    case.spec.capacity = scaled(1, 1, 2);
    // By its full name or an alias, MySQL runs one task.
    for class in [MYSQL, "MySql"] {
        let (derived, derivation) = case.clone().with("connector.class", class).ok();
        let about = |warning: &Warning| {
            warning
                .field
                .as_deref()
                .unwrap_or_default()
                .starts_with("capacity")
        };
        assert!(!derivation.warnings.iter().any(about));
        let summary = derived.capacity_summary;
        assert_eq!(
            (summary.mcus.as_str(), summary.network.as_str()),
            ("1–2", "1 worker")
        );
        assert!(
            summary
                .scaling
                .starts_with("1 worker of 1–2 MCUs (vertical)"),
            "{summary:?}"
        );
    }
    let class = "io.debezium.connector.sqlserver.SqlServerConnector";
    case.plugins = vec![plugin(class, "3.5.0", &[])];
    let (derived, _) = case.with("connector.class", class).ok();
    let summary = derived.capacity_summary;
    assert_eq!(
        (summary.mcus.as_str(), summary.network.as_str()),
        ("1–2", "1–2 workers")
    );
    assert!(
        summary
            .scaling
            .starts_with("1–2 workers of 1 MCU (horizontal)"),
        "{summary:?}"
    );
}

#[test]
fn tasks_max_stays_as_it_is_written_while_the_connector_scales() {
    let mut case = seed();
    case.spec.capacity = scaled(1, 1, 2);
    let (derived, _) = case.ok();
    assert_eq!(derived.effective_config["tasks.max"], "1");
}
