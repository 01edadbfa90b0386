//! `runnel_role`.

mod convert;
mod schema;

use crate::attributes::known;
use crate::daemon_client::Roles;
use crate::lifecycle::{self, Convert as _, Cx, Planned, name_of};
use crate::report;
use crate::resource::Declaration;
use crate::session::Referable;
use runnel_api::Kind;
use runnel_api::role::RoleSpec;
use tfplugin::schema::Schema;
use tfplugin::value::Value;
use tfplugin::{Action, Change, Diagnostics, Failure, Object, async_trait};

/// The resource type.
#[derive(Debug)]
pub struct Role;

#[async_trait]
impl Declaration for Role {
    type Noun = Roles;

    fn schema(&self) -> Schema {
        schema::schema()
    }

    fn validate(&self, config: &Object, diagnostics: &mut Diagnostics) {
        for problem in runnel_iam::check_role(&as_far_as_known(config)).problems {
            diagnostics.push(report::problem(&problem, config));
        }
    }

    async fn plan(
        &self,
        cx: &mut Cx,
        change: &mut Change,
        identity: Planned,
    ) -> Result<(), Failure> {
        if let Planned::New { next, .. } = &identity {
            change.planned.set("arn", next.arn.as_str());
        }
        let (name, session) = (name_of(&change.planned)?, cx.client_if_known());
        if !known(&change.planned, &["assume_role_policy", "policies"]) {
            if let (Some(name), Some(session)) = (name, session) {
                session.plan_open(Kind::Role, &name);
            }
            return Ok(());
        }
        let spec = self.spec(&change.planned)?;
        if change.action != Action::NoOp {
            let check = runnel_iam::check_role(&spec);
            lifecycle::remark(cx, &check.warnings, &change.config);
        }
        if let (Some(name), Some(session)) = (name, session) {
            let changed = change.action != Action::NoOp;
            session.plan(&name, Referable::Role(spec), changed);
        }
        Ok(())
    }
}

/// The policies that are known: those are checked, whatever the others will be.
fn as_far_as_known(config: &Object) -> RoleSpec {
    let policies = config.value("policies").fields();
    RoleSpec {
        assume_role_policy: config
            .value("assume_role_policy")
            .as_str()
            .map(str::to_owned),
        policies: policies
            .into_iter()
            .flatten()
            .filter_map(|(name, text)| Some((name.clone(), Value::as_str(text)?.to_owned())))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_policy_points_at_itself_even_while_others_are_unknown() {
        let policies = Value::map([("good", Value::unknown()), ("bad", Value::from("{}"))]);
        let config = Object::new().with("name", "r").with("policies", policies);
        let mut diagnostics = Diagnostics::new();
        Role.validate(&config, &mut diagnostics);
        let paths: Vec<_> = diagnostics
            .iter()
            .map(|each| each.path.to_string())
            .collect();
        assert_eq!(paths, [r#"policies["bad"]"#]);
    }

    #[test]
    fn a_bad_trust_policy_points_at_its_attribute() {
        let config = Object::new().with("assume_role_policy", "[]");
        let mut diagnostics = Diagnostics::new();
        Role.validate(&config, &mut diagnostics);
        assert_eq!(
            diagnostics.iter().next().unwrap().path.to_string(),
            "assume_role_policy"
        );
    }
}
