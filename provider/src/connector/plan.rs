//! What a plan knows of a connector: everything, where its inputs are known.

use super::secrets::{self, Declared, Remembered, Sending};
use super::{CLASS, Connector, SECRETS, SEND, UNSETTLED, capacity, convert};
use crate::attributes::known;
use crate::lifecycle::{self, Convert as _, Cx, Planned, name_of};
use crate::report;
use crate::session::{Outlook, References, Session};
use runnel_api::Name;
use runnel_api::connector::{ConnectorSpec, Preview, Previewed};
use runnel_api::kafka_cluster::Enforcement;
use runnel_api::role::RoleSpec;
use std::collections::{BTreeMap, BTreeSet};
use tfplugin::value::Value;
use tfplugin::{Action, Change, Diagnostic, Diagnostics, Failure, Object, Path, Tri};

/// Computed attributes that follow from specifications.
const DERIVED: [&str; 4] = [
    "principal",
    "effective_config",
    "kafka_acls",
    "capacity_summary",
];

pub(super) async fn plan(
    cx: &mut Cx,
    change: &mut Change,
    identity: Planned,
) -> Result<(), Failure> {
    if class_changes(change) {
        // Terraform asks again, for the connector that comes instead.
        change.require_replace(Path::attr("config").key(CLASS));
        return Ok(());
    }
    note_capacity(cx, change)?;
    let mut replacing = false;
    if let Planned::New {
        next,
        replacing: goes,
    } = &identity
    {
        change.planned.set("arn", next.arn.as_str());
        replacing = *goes;
    }
    let declared = declared_secrets(change)?;
    let sending = settle_secrets(cx, change, &declared);
    let spec = known_spec(change)?;
    let name = name_of(&change.planned)?;
    if let (Some(spec), Some(name), Some(session)) = (&spec, &name, cx.client_if_known()) {
        let preview = previewed(
            &session,
            change,
            spec,
            name,
            (sending, &declared.keys),
            replacing,
        );
        if let Some(foresight) = preview.await? {
            take(cx, change, &foresight)?;
        }
    }
    let unsettled = cx.private.get::<bool>(UNSETTLED).unwrap_or(false);
    set_version(change, spec.is_some(), sending, unsettled)
}

/// Tells the run how much of the host the connector will hold, before anything is asked for it or for
/// another one: of two that fit alone but not together, one finds out at the latest.
fn note_capacity(cx: &Cx, change: &Change) -> Result<(), Diagnostic> {
    let name = name_of(&change.planned)?;
    let known = change.planned.value("capacity").is_wholly_known();
    if let (Some(name), Some(session), true) = (name, cx.client_if_known(), known) {
        session.size(&name, capacity::read(&change.planned)?);
    }
    Ok(())
}

/// Whether prior state and plan have different classes, both known.
fn class_changes(change: &Change) -> bool {
    let class = |values: &Object| {
        let class = values.at(&Path::attr("config").key(CLASS))?.as_str()?;
        Some(class.to_owned())
    };
    let prior = change.prior.as_ref().and_then(class);
    matches!((prior, class(&change.planned)), (Some(prior), Some(planned)) if prior != planned)
}

/// What the configuration says about secrets.
fn declared_secrets(change: &Change) -> Result<Declared, Diagnostic> {
    let version: Tri<i64> = change.config.get("config_wo_version")?;
    let values = change.config.value("config_wo");
    let keys = match values {
        Value::Null => Tri::Null,
        other => match other.fields() {
            None => Tri::Unknown,
            Some(fields) => Tri::Known(fields.keys().cloned().collect::<BTreeSet<_>>()),
        },
    };
    let salt = change.planned.value("arn").as_str();
    let fingerprint = match (&version, salt) {
        // A version makes it needless, and nothing is kept that is not needed.
        (Tri::Known(_), _) => Tri::Null,
        (_, Some(salt)) if values.is_wholly_known() => {
            let values = convert::config_wo(&change.config)?.unwrap_or_default();
            Tri::Known(secrets::fingerprint(salt, &values))
        }
        _ => Tri::Unknown,
    };
    Ok(Declared {
        version,
        keys,
        fingerprint,
    })
}

/// Decides whether secrets are sent, and leaves word for apply.
fn settle_secrets(cx: &mut Cx, change: &Change, declared: &Declared) -> Sending {
    let before = cx.private.get::<Remembered>(SECRETS).unwrap_or_default();
    let sending = match &change.prior {
        None => Sending::Send,
        Some(prior) => {
            let version = prior.get::<Option<i64>>("config_wo_version").ok().flatten();
            secrets::decide(version, &before, declared)
        }
    };
    if sending == Sending::KeepAgainstKeys {
        cx.diagnostics.warning_at(
            "config_wo_version",
            "config_wo has other keys than the connector",
            "Its values are sent only when `config_wo_version` changes. Raise it.",
        );
    }
    let keys = match (sending, &declared.keys) {
        (Sending::Send, Tri::Known(keys)) => Some(keys.clone()),
        (Sending::Send, Tri::Null) => Some(BTreeSet::new()),
        _ => before.keys,
    };
    let remembered = Remembered {
        fingerprint: declared.fingerprint.clone().known(),
        keys,
    };
    cx.private.set(SECRETS, remembered);
    cx.private.set(SEND, sending == Sending::Send);
    sending
}

/// The planned specification, if all of it is known. The runtime may be left to the daemon.
fn known_spec(change: &Change) -> Result<Option<ConnectorSpec>, Diagnostic> {
    let runtime = change.config.value("kafkaconnect_version");
    if runtime.is_unknown() || !known(&change.planned, &convert::INPUTS) {
        return Ok(None);
    }
    Connector.spec(&change.planned).map(Some)
}

/// Asks the daemon what would come of the plan; `None` if the state says it already, or if the
/// keys of secrets are not known yet.
async fn previewed(
    session: &Session,
    change: &mut Change,
    spec: &ConnectorSpec,
    name: &Name,
    (sending, keys): (Sending, &Tri<BTreeSet<String>>),
    replacing: bool,
) -> Result<Option<Foresight>, Diagnostic> {
    let references = References {
        kafka_cluster: &spec.kafka_cluster,
        plugins: &spec.plugins,
        worker_configuration: spec.worker_configuration.as_ref(),
        role: spec.service_execution_role_arn.role_name(),
    };
    let mut outlook = session.outlook(&references);
    let keeps = matches!(sending, Sending::Keep | Sending::KeepAgainstKeys);
    if change.action == Action::NoOp && keeps && !outlook.changed {
        return Ok(None);
    }
    let secret_keys = match keys {
        _ if keeps => None,
        Tri::Unknown => return Ok(None),
        Tri::Known(keys) => Some(keys.clone()),
        Tri::Null => Some(BTreeSet::new()),
    };
    if outlook.open {
        leave_open(change, &DERIVED);
        return Ok(None);
    }
    if outlook.role_open {
        assume_any_policy(&mut outlook, references.role);
    }
    let preview = Preview {
        spec: spec.clone(),
        secret_keys,
        assumed: outlook.assumed,
        replacing,
    };
    let answer = session.daemon.preview(name, &preview).await;
    let answer = answer.map_err(|error| report::call(&error, &change.config))?;
    let enforced = |answer: &Previewed| {
        let derived = answer.derived.as_ref();
        derived.is_some_and(|derived| derived.enforcement == Enforcement::Acl)
    };
    let acls_known = !(outlook.role_open && enforced(&answer));
    Ok(Some(Foresight { answer, acls_known }))
}

/// What the daemon says would come of a plan.
struct Foresight {
    answer: Previewed,
    /// False if the ACLs follow from policies that are known only after apply.
    acls_known: bool,
}

/// A policy that allows everything: with it, nothing is found missing in a role whose policies are
/// known only after apply. They are checked then.
const ANY_POLICY: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kafka-cluster:*","Resource":"*"}}"#;

fn assume_any_policy(outlook: &mut Outlook, role: Option<Name>) {
    let spec = RoleSpec {
        assume_role_policy: None,
        policies: BTreeMap::from([("any".to_owned(), ANY_POLICY.to_owned())]),
    };
    outlook.assumed.roles.extend(role.map(|name| (name, spec)));
}

fn leave_open(change: &mut Change, names: &[&str]) {
    for name in names {
        change.planned.set_unknown(*name);
    }
}

/// Takes over what the daemon says, or fails with what it would refuse.
fn take(cx: &mut Cx, change: &mut Change, foresight: &Foresight) -> Result<(), Failure> {
    let answer = &foresight.answer;
    lifecycle::remark(cx, &answer.warnings, &change.config);
    if !answer.problems.is_empty() {
        let mut diagnostics = Diagnostics::new();
        for problem in &answer.problems {
            diagnostics.push(report::problem(problem, &change.config));
        }
        return Err(diagnostics.into());
    }
    if let Some(derived) = &answer.derived {
        convert::set_derived(&mut change.planned, derived);
        if change
            .planned
            .value("kafkaconnect_version")
            .as_str()
            .is_none()
        {
            let version = derived.kafkaconnect_version.as_str();
            change.planned.set("kafkaconnect_version", version);
        }
    }
    if !foresight.acls_known {
        leave_open(change, &["kafka_acls"]);
    }
    Ok(())
}

/// The next generation, if there will be one; unknown if that is not known.
fn set_version(
    change: &mut Change,
    inputs_known: bool,
    sending: Sending,
    unsettled: bool,
) -> Result<(), Failure> {
    let Some(prior) = &change.prior else {
        change.planned.set("version", 1);
        return Ok(());
    };
    let open = !inputs_known || sending == Sending::Open || !known(&change.planned, &DERIVED);
    let send = sending == Sending::Send;
    let version: u64 = prior.get("version")?;
    if open || unsettled {
        change.planned.set_unknown("version");
    } else if send || Connector.spec(prior)? != Connector.spec(&change.planned)? {
        change.planned.set("version", version + 1);
    } else if follows(prior, &change.planned) {
        // The daemon may have drawn the same conclusion by itself when it is asked.
        change.planned.set_unknown("version");
    } else {
        change.planned.set("version", version);
    }
    Ok(())
}

/// Whether what follows from other objects changes.
fn follows(prior: &Object, planned: &Object) -> bool {
    DERIVED
        .iter()
        .any(|name| prior.value(name) != planned.value(name))
}

/// Whether the daemon gets the specification again: for another one, for secrets that are sent, for
/// what follows from objects that changed beneath it, and for one that failed.
pub(super) fn writes(
    prior: &Object,
    planned: &Object,
    send: bool,
    unsettled: bool,
) -> Result<bool, Diagnostic> {
    let other = Connector.spec(prior)? != Connector.spec(planned)?;
    Ok(send || unsettled || other || follows(prior, planned))
}

#[cfg(test)]
mod tests;
