//! The position: changes after which a connector would start over, refused unless accepted.

use super::{DeriveInput, Findings, class, cut};
use runnel_api::{ErrorCode, Problem};
use std::collections::BTreeMap;

type Config = BTreeMap<String, String>;

/// Debezium's default of `slot.name`.
const SLOT_DEFAULT: &str = "debezium";

pub(super) fn check(input: &DeriveInput<'_>, class: Option<&str>, findings: &mut Findings) {
    let Some(current) = input.current else {
        return;
    };
    check_replaced(input, class, findings);
    // Elsewhere these keys mean other things: a prefix of topics holds no position.
    if !class.is_some_and(|class| class.starts_with("io.debezium.")) {
        return;
    }
    let (old, new) = (&current.spec.config, &input.spec.config);
    let moved = [moved_server(old, new), moved_slot(old, new)];
    for (key, from, to) in moved.into_iter().flatten() {
        let what = format!("it changes from {:?} to {:?}", cut(&from), cut(&to));
        let message = format!("changing {key} loses the connector's position");
        if input.spec.accept_position_loss {
            findings.warn(
                &format!("config[{key:?}]"),
                message,
                format!("{what}; the connector starts over, with a new snapshot"),
            );
        } else {
            findings.refuse(
                Problem::new(ErrorCode::PositionLost, message)
                    .detail(format!("{what}; offsets are kept under the old name"))
                    .hint("to start over with a new snapshot say accept_position_loss = true")
                    .config_key(key),
            );
        }
    }
}

/// What replaces a connector cannot be changed in place.
fn check_replaced(input: &DeriveInput<'_>, class: Option<&str>, findings: &mut Findings) {
    let Some(current) = input.current else {
        return;
    };
    let refuse = |what: &str, from: &str, to: &str| {
        Problem::new(
            ErrorCode::InvalidArgument,
            format!("{what} cannot be changed in place"),
        )
        .detail(format!("it is {from:?} and would become {:?}", cut(to)))
        .hint("delete the connector and create it anew; Terraform plans this as a replacement")
    };
    let (old, new) = (&current.spec.kafka_cluster, &input.spec.kafka_cluster);
    if old != new {
        let problem = refuse("the Kafka cluster", old.as_str(), new.as_str());
        findings.refuse(problem.field("kafka_cluster"));
    }
    let written = |config: &Config| config.get(class::KEY).map(|text| text.trim().to_owned());
    if let (Some(class), Some(old), Some(new)) = (
        class,
        written(&current.spec.config),
        written(&input.spec.config),
    ) {
        // The old text may be an alias of the same class.
        if old != new && !class::is_called(class, &old) {
            findings.refuse(refuse("connector.class", &old, &new).config_key(class::KEY));
        }
    }
}

type Moved = Option<(&'static str, String, String)>;

/// The server's logical name: `topic.prefix`, which was `database.server.name` before Debezium 2.0.
/// Offsets are kept under its value, whichever key says it.
fn moved_server(old: &Config, new: &Config) -> Moved {
    const KEYS: [&str; 2] = ["topic.prefix", "database.server.name"];
    let named = |config: &Config| {
        KEYS.into_iter()
            .find_map(|key| config.get(key).map(|value| (key, value.clone())))
    };
    let (old_key, from) = named(old)?;
    match named(new) {
        Some((_, to)) if to == from => None,
        Some((new_key, to)) => Some((new_key, from, to)),
        None => Some((old_key, from, String::new())),
    }
}

fn moved_slot(old: &Config, new: &Config) -> Moved {
    const KEY: &str = "slot.name";
    let slot = |config: &Config| {
        config
            .get(KEY)
            .map_or(SLOT_DEFAULT, String::as_str)
            .to_owned()
    };
    let (from, to) = (slot(old), slot(new));
    (from != to).then_some((KEY, from, to))
}
