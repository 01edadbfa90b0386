//! From blocks to statements.

use runnel_iam::{ConditionInput, PrincipalInput, StatementInput};
use tfplugin::{Diagnostic, Object};

/// The `statement` blocks in their order.
pub(super) fn statements(config: &Object) -> Result<Vec<StatementInput>, Diagnostic> {
    config
        .get::<Vec<Object>>("statement")?
        .iter()
        .map(statement)
        .collect()
}

fn statement(block: &Object) -> Result<StatementInput, Diagnostic> {
    Ok(StatementInput {
        sid: block.get("sid")?,
        effect: block.get("effect")?,
        actions: texts(block, "actions")?,
        not_actions: texts(block, "not_actions")?,
        resources: texts(block, "resources")?,
        not_resources: texts(block, "not_resources")?,
        principals: blocks(block, "principals", |block| {
            Ok(PrincipalInput {
                kind: block.get("type")?,
                identifiers: texts(block, "identifiers")?,
            })
        })?,
        conditions: blocks(block, "condition", |block| {
            Ok(ConditionInput {
                test: block.get("test")?,
                variable: block.get("variable")?,
                values: texts(block, "values")?,
            })
        })?,
    })
}

fn texts(block: &Object, name: &str) -> Result<Vec<String>, Diagnostic> {
    Ok(block.get::<Option<Vec<String>>>(name)?.unwrap_or_default())
}

fn blocks<T>(
    block: &Object,
    name: &str,
    read: impl Fn(&Object) -> Result<T, Diagnostic>,
) -> Result<Vec<T>, Diagnostic> {
    let blocks = block.get::<Option<Vec<Object>>>(name)?.unwrap_or_default();
    blocks.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::Cx;
    use tfplugin::value::Value;
    use tfplugin::{CancellationToken, DataSource as _, Private};

    fn config(statement: Object) -> Object {
        Object::new().with("statement", Value::List(vec![statement.into()]))
    }

    #[tokio::test]
    async fn blocks_become_json_without_a_daemon() {
        let principals = Value::object([
            ("type", Value::from("Service")),
            (
                "identifiers",
                Value::set([Value::from("kafkaconnect.amazonaws.com")]),
            ),
        ]);
        let trust = Object::new()
            .with("actions", Value::set([Value::from("sts:AssumeRole")]))
            .with("principals", Value::List(vec![principals]));
        let mut cx = Cx::new(None, Private::default(), CancellationToken::new());
        let read = super::super::PolicyDocument
            .read(&mut cx, &config(trust))
            .await
            .unwrap();
        let json = read.value("json").as_str().unwrap().to_owned();
        assert!(
            runnel_iam::equivalent(&json, runnel_iam::TrustPolicy::DEFAULT_JSON),
            "{json}"
        );
    }

    #[tokio::test]
    async fn what_a_role_would_refuse_is_an_error() {
        let stranger = Object::new()
            .with("actions", Value::set([Value::from("kafka-cluster:Fly")]))
            .with("resources", Value::set([Value::from("*")]));
        let mut cx = Cx::new(None, Private::default(), CancellationToken::new());
        let failure = super::super::PolicyDocument
            .read(&mut cx, &config(stranger))
            .await
            .unwrap_err();
        assert!(failure.diagnostics.has_errors());
    }

    #[test]
    fn a_null_among_the_values_points_at_its_statement() {
        let statement = Object::new().with("actions", Value::set([Value::Null]));
        let refused = statements(&config(statement)).unwrap_err();
        assert_eq!(refused.path.to_string(), "statement[0].actions");
    }
}
