//! Whether a plan is one that the configuration allows.

use super::{Findings, Rule, Violation, elements, field, show};
use crate::path::Path;
use crate::schema::{Attribute, Field, Fields, Nesting, Schema};
use crate::value::Value;

/// Checks a plan for create or update. Promises about unknown values play no part.
pub fn check_plan(
    schema: &Schema,
    prior: &Value,
    config: &Value,
    planned: &Value,
) -> Vec<Violation> {
    let mut findings = Findings::default();
    let root = Path::root();
    let (prior, config, planned) = (prior.unrefined(), config.unrefined(), planned.unrefined());
    match (config.is_null(), planned.is_null()) {
        (false, true) => findings.add(
            Rule::PlannedExists,
            &root,
            "Nothing is planned for a configured resource.",
        ),
        (true, false) => findings.add(
            Rule::PlannedExists,
            &root,
            "Something is planned without configuration.",
        ),
        (true, true) => {}
        (false, false) => object(
            schema.fields(),
            &prior,
            &config,
            &planned,
            &root,
            &mut findings,
        ),
    }
    super::state::write_only(schema.fields(), &planned, &root, &mut findings);
    findings.0
}

fn object(
    fields: Fields<'_>,
    prior: &Value,
    config: &Value,
    planned: &Value,
    path: &Path,
    findings: &mut Findings,
) {
    for each in fields.iter() {
        let name = each.name();
        let here = path.attribute(name);
        let (prior, config, planned) = (
            field(prior, name),
            field(config, name),
            field(planned, name),
        );
        match each {
            Field::Attribute(inner) => attribute(inner, prior, config, planned, &here, findings),
            Field::Block(_) => block(each, prior, config, planned, &here, findings),
        }
    }
}

fn attribute(
    attribute: &Attribute,
    prior: &Value,
    config: &Value,
    planned: &Value,
    path: &Path,
    findings: &mut Findings,
) {
    let computed = attribute.presence.is_computed() && config.is_null();
    let kept = planned == prior && !prior.is_null() && !config.is_null();
    if planned == config || computed || kept || attribute.write_only {
        return;
    }
    if let Some((nesting, fields)) = Field::Attribute(attribute).nested() {
        if config.is_null() != planned.is_null() {
            let what = if planned.is_null() {
                "Nothing is planned for"
            } else {
                "Something is planned without"
            };
            findings.add(
                Rule::PlannedExists,
                path,
                format!("{what} a configured value."),
            );
        } else if planned.is_unknown() {
            findings.add(
                Rule::PlannedKnown,
                path,
                "A configured object is planned as unknown.",
            );
        } else {
            nested(nesting, fields, prior, config, planned, path, findings);
        }
        return;
    }
    let hidden = attribute.sensitive || attribute.write_only;
    let (planned, prior, config) = (
        show(planned, hidden),
        show(prior, hidden),
        show(config, hidden),
    );
    let detail = if attribute.presence.is_computed() || config != "null" {
        format!(
            "Planned is {planned}, which is neither the configured {config} nor the prior {prior}."
        )
    } else {
        format!("Planned is {planned} for an attribute that is not computed and not configured.")
    };
    findings.add(Rule::PlannedIsConfigured, path, detail);
}

fn block(
    each: Field<'_>,
    prior: &Value,
    config: &Value,
    planned: &Value,
    path: &Path,
    findings: &mut Findings,
) {
    if planned == config {
        return;
    }
    let Some((nesting, fields)) = each.nested() else {
        return;
    };
    if planned.is_unknown() || config.is_unknown() {
        // Only a dynamic block whose number is not known yet is unknown, and then it stays so.
        findings.add(
            Rule::PlannedKnown,
            path,
            "A block is unknown in one of plan and configuration only.",
        );
    } else if planned.is_null() != config.is_null() {
        findings.add(
            Rule::PlannedExists,
            path,
            "A block is in one of plan and configuration only.",
        );
    } else {
        nested(nesting, fields, prior, config, planned, path, findings);
    }
}

fn nested(
    nesting: Nesting,
    fields: Fields<'_>,
    prior: &Value,
    config: &Value,
    planned: &Value,
    path: &Path,
    findings: &mut Findings,
) {
    match nesting {
        Nesting::Single => object(fields, prior, config, planned, path, findings),
        Nesting::List => {
            let (before, wanted, made) = (elements(prior), elements(config), elements(planned));
            if wanted.len() != made.len() {
                let detail = format!(
                    "{} elements are planned, {} are configured.",
                    made.len(),
                    wanted.len()
                );
                return findings.add(Rule::PlannedCount, path, detail);
            }
            for (at, (config, planned)) in wanted.iter().zip(made).enumerate() {
                let prior = before.get(at).unwrap_or(&Value::Null);
                element(fields, prior, config, planned, &path.index(at), findings);
            }
        }
        Nesting::Map => {
            let (Some(wanted), Some(made)) = (config.fields(), planned.fields()) else {
                return;
            };
            if !wanted.keys().eq(made.keys()) {
                return findings.add(
                    Rule::PlannedCount,
                    path,
                    "The planned keys are not the configured ones.",
                );
            }
            for (key, config) in wanted {
                element(
                    fields,
                    field(prior, key),
                    config,
                    &made[key],
                    &path.key(key),
                    findings,
                );
            }
        }
        // Elements of a set have no identity, so Terraform itself checks little here.
        Nesting::Set => {
            let (wanted, made) = (elements(config).len(), elements(planned).len());
            if wanted != made {
                findings.add(
                    Rule::PlannedCount,
                    path,
                    format!("{made} elements are planned, {wanted} are configured."),
                );
            }
        }
    }
}

fn element(
    fields: Fields<'_>,
    prior: &Value,
    config: &Value,
    planned: &Value,
    path: &Path,
    findings: &mut Findings,
) {
    if planned == config {
        return;
    }
    if config.fields().is_none() || planned.fields().is_none() {
        return findings.add(
            Rule::PlannedExists,
            path,
            "An element is an object in one of plan and configuration only.",
        );
    }
    object(fields, prior, config, planned, path, findings);
}
