//! What is checked of a role when it is written, and again for each connector that uses it.

use crate::action::Action;
use crate::compile::expressible;
use crate::policy::{self, PolicyDocument};
use crate::trust::TrustPolicy;
use runnel_api::arn::ACCOUNT;
use runnel_api::error::Warning;
use runnel_api::role::{RoleSpec, SERVICE_PRINCIPAL};
use runnel_api::{Arn, ErrorCode, Problem};
use std::collections::BTreeSet;

/// What there is to say about a role by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleCheck {
    /// Reasons to refuse it; each `field` is `assume_role_policy` or `policies["NAME"]`.
    pub problems: Vec<Problem>,
    /// Grants that have no effect by themselves.
    pub warnings: Vec<Warning>,
}

/// Parses all policies of a role, looks for what no ACL can express, and for actions whose
/// requirements are not granted.
pub fn check_role(spec: &RoleSpec) -> RoleCheck {
    let mut check = RoleCheck::default();
    let trust = spec.assume_role_policy.as_deref().map(TrustPolicy::parse);
    if let Some(Err(problem)) = trust {
        check.problems.push(problem.field("assume_role_policy"));
    }
    let mut granted = BTreeSet::new();
    for (name, text) in &spec.policies {
        match PolicyDocument::parse(text) {
            Ok(document) => granted.extend(document.allowed_actions()),
            Err(problem) => check
                .problems
                .push(problem.field(format!("policies[{name:?}]"))),
        }
    }
    check.problems.extend(expressible(spec));
    let characters: usize = spec
        .policies
        .values()
        .map(|text| policy::characters(text))
        .sum();
    if characters > policy::CHARACTERS_MAX && check.problems.is_empty() {
        let message = format!("the policies of the role have {characters} characters in total");
        check.problems.push(
            Problem::new(ErrorCode::InvalidPolicy, message)
                .hint(format!(
                    "the limit is {}, white space not counted; wildcards make policies shorter",
                    policy::CHARACTERS_MAX
                ))
                .field("policies"),
        );
    }
    if check.problems.is_empty() {
        check.warnings = unmet(&granted);
    }
    check
}

/// One warning for each action that is granted without one that it needs.
fn unmet(granted: &BTreeSet<Action>) -> Vec<Warning> {
    let incomplete = granted.iter().filter_map(|action| {
        let missing: Vec<String> = action
            .also_required()
            .iter()
            .filter(|needed| !granted.contains(needed))
            .map(ToString::to_string)
            .collect();
        (!missing.is_empty()).then(|| Warning {
            message: format!("{action} has no effect without {}", missing.join(", ")),
            detail: Some(String::from(
                "no policy of the role allows it on any resource",
            )),
            field: Some(String::from("policies")),
        })
    });
    incomplete.collect()
}

/// Whether a connector may run under the role (`ROLE_NOT_TRUSTED`, on the connector's
/// `service_execution_role_arn`). A trust policy that does not parse is reported as it is.
pub fn check_trust(spec: &RoleSpec, connector: &Arn) -> Option<Problem> {
    const FIELD: &str = "service_execution_role_arn";
    let policy = match spec.assume_role_policy.as_deref().map(TrustPolicy::parse) {
        None => TrustPolicy::default(),
        Some(Ok(policy)) => policy,
        Some(Err(problem)) => return Some(problem.field(FIELD)),
    };
    let why = policy
        .trusts(SERVICE_PRINCIPAL, ACCOUNT, connector.as_str())
        .err()?;
    let message = "the role's trust policy does not let this connector assume the role";
    Some(
        Problem::new(ErrorCode::RoleNotTrusted, message)
            .detail(format!("{why}; the connector is {connector}"))
            .hint(format!(
                "allow sts:AssumeRole to {SERVICE_PRINCIPAL} in assume_role_policy, or leave it out"
            ))
            .field(FIELD),
    )
}

/// Everything about a role that stops a connector from running under it, on the connector's
/// `service_execution_role_arn`.
pub fn check_for_connector(spec: &RoleSpec, connector: &Arn) -> Vec<Problem> {
    let in_role = check_role(spec).problems.into_iter();
    // The trust policy is parsed below.
    let policies = in_role.filter(|problem| problem.field.as_deref() != Some("assume_role_policy"));
    let mut problems: Vec<Problem> = policies
        .map(|mut problem| {
            let place = problem.field.take().unwrap_or_default();
            problem.message = format!("the role's {place}: {}", problem.message);
            problem.field("service_execution_role_arn")
        })
        .collect();
    problems.extend(check_trust(spec, connector));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(trust: Option<&str>, policies: &[(&str, &str)]) -> RoleSpec {
        RoleSpec {
            assume_role_policy: trust.map(Into::into),
            policies: policies
                .iter()
                .map(|(n, t)| ((*n).into(), (*t).into()))
                .collect(),
        }
    }

    fn connector() -> Arn {
        Arn::parse("arn:aws:kafkaconnect:us-east-1:000000000000:connector/orders/u-1").unwrap()
    }

    #[test]
    fn problems_point_at_the_policy_they_are_in() {
        let spec = role(Some("[]"), &[("kafka", "{}"), ("more", "nonsense")]);
        let check = check_role(&spec);
        let fields: Vec<_> = check.problems.iter().map(|p| p.field.as_deref()).collect();
        assert_eq!(
            fields,
            [
                Some("assume_role_policy"),
                Some("policies[\"kafka\"]"),
                Some("policies[\"more\"]")
            ]
        );
    }

    #[test]
    fn an_action_without_its_requirement_is_remarked() {
        let read = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow",
            "Action":["kafka-cluster:Connect","kafka-cluster:WriteData"],"Resource":"*"}}"#;
        let check = check_role(&role(None, &[("kafka", read)]));
        assert_eq!(check.problems, []);
        assert_eq!(check.warnings.len(), 1);
        assert!(
            check.warnings[0]
                .message
                .contains("WriteData has no effect without")
        );
        let all = read.replace("kafka-cluster:WriteData", "kafka-cluster:*");
        assert_eq!(
            check_role(&role(None, &[("kafka", &all)])),
            RoleCheck::default()
        );
    }

    #[test]
    fn policies_are_limited_in_sum() {
        let fill = "a".repeat(5_000);
        let text = format!(
            r#"{{"Statement":{{"Effect":"Deny","Action":"*","Resource":"arn:aws:kafka:*:*:topic/{fill}"}}}}"#
        );
        assert_eq!(check_role(&role(None, &[("a", &text)])).problems, []);
        let check = check_role(&role(None, &[("a", &text), ("b", &text), ("c", &text)]));
        assert_eq!(check.problems[0].field.as_deref(), Some("policies"));
    }

    #[test]
    fn a_role_trusts_connectors_unless_it_says_otherwise() {
        assert_eq!(check_trust(&role(None, &[]), &connector()), None);
        let default = role(Some(TrustPolicy::DEFAULT_JSON), &[]);
        assert_eq!(check_trust(&default, &connector()), None);
        let other = TrustPolicy::DEFAULT_JSON.replace("kafkaconnect", "ec2");
        let problem = check_trust(&role(Some(&other), &[]), &connector()).unwrap();
        assert_eq!(problem.code, ErrorCode::RoleNotTrusted);
        assert!(
            problem
                .detail
                .unwrap()
                .contains("it trusts ec2.amazonaws.com")
        );
        assert_eq!(problem.field.as_deref(), Some("service_execution_role_arn"));
    }

    #[test]
    fn a_connector_is_told_what_is_wrong_with_its_role() {
        let spec = role(Some("[]"), &[("kafka", "{}")]);
        let problems = check_for_connector(&spec, &connector());
        assert_eq!(problems.len(), 2);
        assert!(
            problems[0]
                .message
                .starts_with("the role's policies[\"kafka\"]: ")
        );
        for problem in problems {
            assert_eq!(problem.field.as_deref(), Some("service_execution_role_arn"));
        }
        assert_eq!(check_for_connector(&role(None, &[]), &connector()), []);
    }
}
