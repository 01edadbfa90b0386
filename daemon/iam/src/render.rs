//! Policy documents from statements given one by one, written as the AWS provider's data source
//! `aws_iam_policy_document` writes them.

use crate::policy::PolicyDocument;
use crate::trust::TrustPolicy;
use runnel_api::{ErrorCode, Problem};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// A `statement` block. Empty lists mean that the argument is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatementInput {
    /// `sid`.
    pub sid: Option<String>,
    /// `effect`; none means Allow.
    pub effect: Option<String>,
    /// `actions`.
    pub actions: Vec<String>,
    /// `not_actions`.
    pub not_actions: Vec<String>,
    /// `resources`.
    pub resources: Vec<String>,
    /// `not_resources`.
    pub not_resources: Vec<String>,
    /// `principals` blocks; with one the document is a trust policy.
    pub principals: Vec<PrincipalInput>,
    /// `condition` blocks.
    pub conditions: Vec<ConditionInput>,
}

/// A `principals` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalInput {
    /// `type`: `Service`, or `*` for anyone.
    pub kind: String,
    /// `identifiers`.
    pub identifiers: Vec<String>,
}

/// A `condition` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionInput {
    /// `test`: the operator.
    pub test: String,
    /// `variable`: the key.
    pub variable: String,
    /// `values`.
    pub values: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    statement: Vec<Rendered<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Rendered<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    effect: &'a str,
    #[serde(skip_serializing_if = "Values::is_empty")]
    action: Values<'a>,
    #[serde(skip_serializing_if = "Values::is_empty")]
    not_action: Values<'a>,
    #[serde(skip_serializing_if = "Values::is_empty")]
    resource: Values<'a>,
    #[serde(skip_serializing_if = "Values::is_empty")]
    not_resource: Values<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<Principal<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<&'a str, BTreeMap<&'a str, Values<'a>>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Principal<'a> {
    Anyone(&'static str),
    Named(BTreeMap<&'a str, Values<'a>>),
}

/// One value is written as a string, more as a list.
#[derive(Default)]
struct Values<'a>(Vec<&'a str>);

impl Values<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Values<'a> {
    /// Sorted as `aws_iam_policy_document` sorts: descending, each value once.
    fn sorted(values: &'a [String]) -> Self {
        let mut values: Vec<&str> = values.iter().map(String::as_str).collect();
        values.sort_unstable_by(|a, b| b.cmp(a));
        values.dedup();
        Self(values)
    }
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [single] => serializer.serialize_str(single),
            many => serializer.collect_seq(many),
        }
    }
}

/// Writes a document and reads it back: what is returned is accepted by a role. With `principals`
/// in any statement it is a trust policy, else a permission policy.
pub fn render(id: Option<&str>, statements: &[StatementInput]) -> Result<String, Problem> {
    let document = Document {
        version: "2012-10-17",
        id,
        statement: statements.iter().map(rendered).collect(),
    };
    let text = serde_json::to_string_pretty(&document).map_err(|error| {
        Problem::new(ErrorCode::Internal, "the policy cannot be written as JSON")
            .detail(error.to_string())
    })?;
    if statements.iter().any(|s| !s.principals.is_empty()) {
        TrustPolicy::parse(&text)?;
    } else {
        PolicyDocument::parse(&text)?;
    }
    Ok(text)
}

impl PolicyDocument {
    /// See [`render`].
    pub fn to_json(id: Option<&str>, statements: &[StatementInput]) -> Result<String, Problem> {
        render(id, statements)
    }
}

fn rendered(input: &StatementInput) -> Rendered<'_> {
    let mut condition: BTreeMap<&str, BTreeMap<&str, Values<'_>>> = BTreeMap::new();
    for block in &input.conditions {
        let tests = condition.entry(&block.test).or_default();
        let values = tests.entry(&block.variable).or_default();
        values.0.extend(block.values.iter().map(String::as_str));
    }
    Rendered {
        sid: input.sid.as_deref().filter(|sid| !sid.is_empty()),
        effect: input.effect.as_deref().unwrap_or("Allow"),
        action: Values::sorted(&input.actions),
        not_action: Values::sorted(&input.not_actions),
        resource: Values::sorted(&input.resources),
        not_resource: Values::sorted(&input.not_resources),
        principal: principal(&input.principals),
        condition,
    }
}

fn principal(blocks: &[PrincipalInput]) -> Option<Principal<'_>> {
    let anyone = |block: &PrincipalInput| block.kind == "*" && block.identifiers == ["*"];
    if blocks.len() == 1 && blocks.iter().all(anyone) {
        return Some(Principal::Anyone("*"));
    }
    let mut named: BTreeMap<&str, Values<'_>> = BTreeMap::new();
    for block in blocks {
        let values = named.entry(&block.kind).or_default();
        values
            .0
            .extend(block.identifiers.iter().map(String::as_str));
        values.0.sort_unstable_by(|a, b| b.cmp(a));
        values.0.dedup();
    }
    (!named.is_empty()).then_some(Principal::Named(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn a_document_has_the_form_of_the_aws_data_source() {
        let statement = StatementInput {
            sid: Some("Read".into()),
            actions: texts(&["kafka-cluster:Connect", "kafka-cluster:ReadData"]),
            resources: texts(&["arn:aws:kafka:*:*:topic/shop/*"]),
            conditions: vec![ConditionInput {
                test: "IpAddress".into(),
                variable: "aws:SourceIp".into(),
                values: texts(&["10.0.0.0/8"]),
            }],
            ..StatementInput::default()
        };
        let expected = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Read",
      "Effect": "Allow",
      "Action": [
        "kafka-cluster:ReadData",
        "kafka-cluster:Connect"
      ],
      "Resource": "arn:aws:kafka:*:*:topic/shop/*",
      "Condition": {
        "IpAddress": {
          "aws:SourceIp": "10.0.0.0/8"
        }
      }
    }
  ]
}"#;
        assert_eq!(render(None, &[statement]).unwrap(), expected);
    }

    #[test]
    fn with_principals_it_is_a_trust_policy() {
        let statement = StatementInput {
            actions: texts(&["sts:AssumeRole"]),
            principals: vec![PrincipalInput {
                kind: "Service".into(),
                identifiers: texts(&["kafkaconnect.amazonaws.com"]),
            }],
            ..StatementInput::default()
        };
        assert_eq!(
            render(None, std::slice::from_ref(&statement)).unwrap(),
            TrustPolicy::DEFAULT_JSON
        );
        let with_resource = StatementInput {
            resources: texts(&["*"]),
            ..statement
        };
        let problem = render(None, &[with_resource]).unwrap_err();
        assert!(problem.message.contains("\"Resource\""), "{problem}");
    }

    #[test]
    fn what_a_role_would_refuse_is_refused_here() {
        let none = StatementInput::default();
        assert!(
            render(None, &[none])
                .unwrap_err()
                .message
                .contains("Action is missing")
        );
        assert!(render(None, &[]).is_err());
    }
}
