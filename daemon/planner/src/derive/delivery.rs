//! Delivery: what exactly-once asks of a connector's class and of its configuration (KIP-618).

use super::class::{self, Found, Kind};
use super::{DeriveInput, Findings, cut};
use runnel_api::connector::Delivery;
use runnel_api::{ErrorCode, Problem};
use std::collections::BTreeMap;

/// Makes Connect refuse the connector where it cannot promise it.
const SUPPORT: &str = "exactly.once.support";
const REQUIRED: &str = "required";
/// When a transaction ends.
const BOUNDARY: &str = "transaction.boundary";
/// Values of [`BOUNDARY`].
const BOUNDARIES: [&str; 3] = ["poll", "interval", "connector"];
const FIELD: &str = "delivery";

/// Checks the delivery that is asked for, and puts what it needs into the configuration.
pub(super) fn apply(
    input: &DeriveInput<'_>,
    found: Option<&Found>,
    config: &mut BTreeMap<String, String>,
    findings: &mut Findings,
) {
    match input.spec.delivery {
        Delivery::AtLeastOnce => check_at_least_once(input, findings),
        Delivery::ExactlyOnce => {
            if let Some(found) = found {
                check_class(input, found, findings);
            }
            check_config(input, findings);
            config.insert(SUPPORT.to_owned(), REQUIRED.to_owned());
        }
    }
}

/// The user's value of a key; Connect reads both keys in any case.
fn value(input: &DeriveInput<'_>, key: &str) -> Option<String> {
    let text = input.spec.config.get(key)?;
    Some(text.trim().to_lowercase())
}

fn check_at_least_once(input: &DeriveInput<'_>, findings: &mut Findings) {
    if value(input, SUPPORT).as_deref() == Some(REQUIRED) {
        findings.refuse(
            Problem::new(
                ErrorCode::InvalidArgument,
                "exactly.once.support = required needs delivery = EXACTLY_ONCE",
            )
            .detail("workers write without transactions unless the delivery is EXACTLY_ONCE")
            .hint("set delivery = \"EXACTLY_ONCE\" and leave the key out")
            .config_key(SUPPORT),
        );
    }
    if value(input, BOUNDARY).is_some() {
        findings.warn(
            &format!("config[{BOUNDARY:?}]"),
            "transaction.boundary has no effect without delivery = EXACTLY_ONCE",
            "workers write without transactions unless the delivery is EXACTLY_ONCE",
        );
    }
}

fn check_config(input: &DeriveInput<'_>, findings: &mut Findings) {
    if let Some(other) = value(input, SUPPORT).filter(|value| value != REQUIRED) {
        findings.refuse(
            Problem::new(
                ErrorCode::InvalidArgument,
                "exactly.once.support contradicts delivery = EXACTLY_ONCE",
            )
            .detail(format!("it is {:?}", cut(&other)))
            .hint("leave the key out: the delivery sets it to \"required\"")
            .config_key(SUPPORT),
        );
    }
    let boundary = value(input, BOUNDARY);
    if let Some(other) = boundary.filter(|value| !BOUNDARIES.contains(&value.as_str())) {
        findings.refuse(
            Problem::new(
                ErrorCode::InvalidArgument,
                "transaction.boundary has a value that EXACTLY_ONCE cannot work with",
            )
            .detail(format!("it is {:?}", cut(&other)))
            .hint("write \"poll\" (the default), \"interval\" or \"connector\"")
            .config_key(BOUNDARY),
        );
    }
}

fn check_class(input: &DeriveInput<'_>, found: &Found, findings: &mut Findings) {
    let class = &found.class;
    let refuse = |message: String, detail: &str, hint: &str| {
        Problem::new(ErrorCode::InvalidArgument, message)
            .detail(detail)
            .hint(hint)
            .field(FIELD)
    };
    match class::kind_of(input, class) {
        Some(Kind::Source(Some(true))) => {}
        Some(Kind::Sink) => findings.refuse(refuse(
            format!("EXACTLY_ONCE is for source connectors, and {class} is a sink"),
            "Kafka Connect writes a source's records and offsets in one transaction; what a sink \
             writes is in another system",
            "use delivery = \"AT_LEAST_ONCE\", and let the sink write by key where it can",
        )),
        Some(Kind::Source(Some(false))) => findings.refuse(refuse(
            match found.version.as_str() {
                "undefined" => format!("{class} does not support exactly-once delivery"),
                version => format!("{class} {version} does not support exactly-once delivery"),
            },
            "neither the class nor one that it extends has a method exactlyOnceSupport of its own, \
             and Kafka Connect refuses such a connector",
            "use delivery = \"AT_LEAST_ONCE\", or a release of the plugin that supports it",
        )),
        Some(Kind::Source(None)) | None => findings.warn(
            FIELD,
            format!("whether {class} supports exactly-once delivery is not known"),
            "its plugin does not tell; Kafka Connect decides when the connector is applied",
        ),
    }
}
