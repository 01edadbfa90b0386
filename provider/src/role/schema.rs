//! Arguments and computed attributes.

use crate::attributes;
use runnel_iam::TrustPolicy;
use tfplugin::schema::{Attribute, Schema};
use tfplugin::value::{Type, Value};

pub(super) fn schema() -> Schema {
    Schema::new(
        "A role: what connectors that run under it may do on Kafka clusters, as IAM policies with `kafka-cluster:*` \
         actions. A role is never a login. Policies are read strictly: what is not understood is refused, never skipped.",
    )
    .attribute(attributes::name("role"))
    .attribute(
        Attribute::string("assume_role_policy")
            .default(TrustPolicy::DEFAULT_JSON)
            .equal_when(same_policy)
            .describe(
                "Who may assume the role, as IAM JSON. Default: a policy that trusts `kafkaconnect.amazonaws.com`, which \
                 every connector needs.",
            ),
    )
    .attribute(
        Attribute::map("policies", Type::String).equal_when(same_policies).describe(
            "Permission policies by name, as IAM JSON; the data source `runnel_policy_document` writes such texts. Another \
             order or spacing of the same policy is no change.",
        ),
    )
    .attribute(attributes::arn("role"))
}

/// Whether two texts mean the same policy.
fn same_policy(a: &Value, b: &Value) -> bool {
    matches!((a.as_str(), b.as_str()), (Some(a), Some(b)) if runnel_iam::equivalent(a, b))
}

/// Whether two maps have the same names and mean the same policies.
fn same_policies(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.fields(), b.fields()) else {
        return false;
    };
    let mut pairs = a.iter().zip(b);
    a.len() == b.len() && pairs.all(|((a, one), (b, other))| a == b && same_policy(one, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_policies_written_differently_are_no_change() {
        let one = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kafka-cluster:Connect","Resource":"*"}}"#;
        let other = r#"{"Statement":[{"Action":["kafka-cluster:connect"],"Effect":"Allow","Resource":["*"]}],
            "Version":"2012-10-17"}"#;
        let policies = |name: &str, text: &str| Value::map([(name, text)]);
        assert!(same_policies(&policies("a", one), &policies("a", other)));
        assert!(!same_policies(&policies("a", one), &policies("b", one)));
        assert!(!same_policies(
            &policies("a", one),
            &policies("a", &one.replace("Allow", "Deny"))
        ));
        assert!(!same_policies(
            &policies("a", one),
            &Value::map([("a", one), ("b", one)])
        ));
    }
}
