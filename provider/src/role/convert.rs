//! Between HCL and the wire.

use super::Role;
use crate::daemon_client::{ObjectOf, Roles};
use crate::lifecycle::Convert;
use runnel_api::role::RoleSpec;
use runnel_iam::TrustPolicy;
use std::collections::BTreeMap;
use tfplugin::value::Value;
use tfplugin::{Diagnostic, Object};

impl Convert<Roles> for Role {
    fn spec(&self, values: &Object) -> Result<RoleSpec, Diagnostic> {
        let trust: Option<String> = values.get("assume_role_policy")?;
        let policies: Option<BTreeMap<String, String>> = values.get("policies")?;
        Ok(RoleSpec {
            // The default is the daemon's to keep.
            assume_role_policy: trust.filter(|text| text != TrustPolicy::DEFAULT_JSON),
            policies: policies.unwrap_or_default(),
        })
    }

    fn state(&self, object: &ObjectOf<Roles>, carried: &Object) -> Object {
        let trust = object.spec.assume_role_policy.as_deref();
        // The daemon does not tell an empty map from none; the user's file does.
        let none = object.spec.policies.is_empty() && carried.value("policies").is_null();
        let policies = if none {
            Value::Null
        } else {
            Value::map(&object.spec.policies)
        };
        Object::new()
            .with("name", object.name.as_str())
            .with(
                "assume_role_policy",
                trust.unwrap_or(TrustPolicy::DEFAULT_JSON),
            )
            .with("policies", policies)
            .with("arn", object.arn.as_str())
            .with("timeouts", carried.value("timeouts").clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(spec: &RoleSpec) -> ObjectOf<Roles> {
        serde_json::from_value(serde_json::json!({
            "name": "r", "id": "00000000-0000-0000-0000-000000000001",
            "arn": "arn:aws:iam::000000000000:role/r", "generation": 1, "spec": spec, "status": {},
        }))
        .unwrap()
    }

    #[test]
    fn the_default_trust_policy_is_shown_but_not_sent() {
        let values = Object::new().with("assume_role_policy", TrustPolicy::DEFAULT_JSON);
        let spec = Role.spec(&values).unwrap();
        assert_eq!(spec.assume_role_policy, None);
        let state = Role.state(&role(&spec), &Object::new());
        assert_eq!(
            state.value("assume_role_policy").as_str(),
            Some(TrustPolicy::DEFAULT_JSON)
        );
        assert_eq!(Role.spec(&state), Ok(spec));
    }

    #[test]
    fn no_policies_and_an_empty_map_stay_what_the_user_wrote() {
        let spec = Role.spec(&Object::new()).unwrap();
        assert!(
            Role.state(&role(&spec), &Object::new())
                .value("policies")
                .is_null()
        );
        let empty = Value::map([] as [(&str, &str); 0]);
        let carried = Object::new().with("policies", empty.clone());
        assert_eq!(Role.state(&role(&spec), &carried).value("policies"), &empty);
    }

    #[test]
    fn a_policy_that_is_null_points_at_its_key() {
        let values = Object::new().with("policies", Value::map([("kafka", Value::Null)]));
        let refused = Role.spec(&values).unwrap_err();
        assert_eq!(refused.path.to_string(), r#"policies["kafka"]"#);
    }
}
