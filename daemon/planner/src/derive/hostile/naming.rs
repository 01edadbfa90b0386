//! Classes that a connector's configuration names for Connect itself: transforms, predicates and
//! converters.

use super::super::class::is_called;
use super::super::{DeriveInput, Findings, cut, nearest};
use runnel_api::plugin::ClassKind;

/// Remarks on a class that is neither the plugins' nor Kafka's. It is not refused: a plugin may hold
/// classes that its list does not have (one whose base class is missing, say), and Connect itself
/// refuses what it cannot make into a part of the right kind before anything of it runs.
pub(super) fn check(input: &DeriveInput<'_>, findings: &mut Findings) {
    for (key, value) in &input.spec.config {
        let value = value.trim();
        let Some(kinds) = wanted(key).filter(|_| !value.is_empty()) else {
            continue;
        };
        let classes = input.plugins.iter().flat_map(|(_, plugin)| &plugin.classes);
        let mut known = classes
            .filter(|class| kinds.contains(&class.kind))
            .map(|class| class.class.as_str());
        // A name without a package is an alias of one of Kafka's own or of the plugins'.
        let is_kafkas = value.starts_with("org.apache.kafka.connect.") || !value.contains('.');
        if is_kafkas || known.clone().any(|class| is_called(class, value)) {
            continue;
        }
        let detail = match nearest(value, &mut known) {
            Some(near) => format!("did you mean {near:?}?"),
            None => String::from("if the worker does not have it either, apply will say so"),
        };
        findings.warn(
            &format!("config[{key:?}]"),
            format!("no plugin of this connector lists the class {}", cut(value)),
            detail,
        );
    }
}

fn wanted(key: &str) -> Option<&'static [ClassKind]> {
    let of_alias = |prefix: &str| {
        key.strip_prefix(prefix)
            .and_then(|rest| rest.strip_suffix(".type"))
            .is_some_and(|alias| !alias.is_empty() && !alias.contains('.'))
    };
    match key {
        "key.converter" | "value.converter" => Some(&[ClassKind::Converter]),
        "header.converter" => Some(&[ClassKind::HeaderConverter]),
        _ if of_alias("transforms.") => Some(&[ClassKind::Transformation]),
        _ if of_alias("predicates.") => Some(&[ClassKind::Predicate]),
        _ => None,
    }
}
