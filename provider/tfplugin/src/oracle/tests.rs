use super::*;
use crate::schema::{Attribute, Block, NestedBlock, Schema};
use crate::value::{Refinements, Unknown};

type Given<'a> = &'a [(&'a str, Value)];
type Expected<'a> = &'a [(Rule, &'a str)];

fn schema() -> Schema {
    let object = [
        Attribute::string("in").optional(),
        Attribute::string("out").computed(),
    ];
    Schema::new("A thing.")
        .attribute(Attribute::string("name").optional())
        .attribute(Attribute::string("made").computed())
        .attribute(Attribute::string("secret").optional().sensitive())
        .attribute(Attribute::string("once").write_only())
        .attribute(Attribute::nested_list("list", object.clone()))
        .attribute(Attribute::nested_set("set", object))
        .attribute(Attribute::map("labels", crate::value::Type::String))
        .block(NestedBlock::list(
            "block",
            Block::new("").attribute(Attribute::string("in").optional()),
        ))
}

fn thing(fields: &[(&str, Value)]) -> Value {
    let mut all = vec![("block", Value::List(vec![]))];
    all.extend(fields.iter().cloned());
    Value::object(all).conform(&schema().ty()).expect("fits")
}

fn rules(violations: &[Violation]) -> Vec<(Rule, String)> {
    violations
        .iter()
        .map(|each| (each.rule, each.path.to_string()))
        .collect()
}

#[test]
fn a_plan_may_only_say_what_the_configuration_allows() {
    let none = Value::Null;
    let configured = thing(&[("name", "a".into())]);
    let prior = thing(&[("name", "b".into())]);
    let list = |text: &str| Value::list([Value::object([("in", text)])]);
    let cases: [(Value, Value, Value, Expected); 9] = [
        (
            none.clone(),
            configured.clone(),
            thing(&[("name", "a".into()), ("made", Value::unknown())]),
            &[],
        ),
        (prior.clone(), configured.clone(), prior.clone(), &[]),
        (
            prior.clone(),
            configured.clone(),
            thing(&[("name", "c".into())]),
            &[(Rule::PlannedIsConfigured, "name")],
        ),
        (
            none.clone(),
            thing(&[]),
            thing(&[("name", "c".into())]),
            &[(Rule::PlannedIsConfigured, "name")],
        ),
        (
            prior,
            thing(&[]),
            thing(&[("name", "b".into())]),
            &[(Rule::PlannedIsConfigured, "name")],
        ),
        (
            none.clone(),
            thing(&[("once", "x".into())]),
            thing(&[("once", "x".into())]),
            &[(Rule::WriteOnlyNull, "once")],
        ),
        (
            none.clone(),
            thing(&[("list", list("a"))]),
            thing(&[("list", list("b"))]),
            &[(Rule::PlannedIsConfigured, "list[0].in")],
        ),
        (
            none.clone(),
            thing(&[("list", list("a"))]),
            thing(&[("list", Value::List(vec![]))]),
            &[(Rule::PlannedCount, "list")],
        ),
        (none, configured, Value::Null, &[(Rule::PlannedExists, "")]),
    ];
    for (prior, config, planned, expected) in cases {
        let expected: Vec<_> = expected
            .iter()
            .map(|(rule, path)| (*rule, (*path).to_owned()))
            .collect();
        assert_eq!(
            rules(&check_plan(&schema(), &prior, &config, &planned)),
            expected,
            "{planned:?}"
        );
    }
}

#[test]
fn what_was_known_at_plan_comes_out_the_same() {
    let object = |text: Value| Value::object([("in", text)]);
    let set = |texts: &[Value]| Value::set(texts.iter().map(|text| object(text.clone())));
    let prefix = Refinements {
        prefix: Some("arn:".into()),
        not_null: true,
        ..Refinements::default()
    };
    let promised = Value::Unknown(Unknown::refined(prefix));
    let cases: [(Given, Given, Expected); 8] = [
        (&[("made", Value::unknown())], &[("made", "x".into())], &[]),
        (&[("made", Value::unknown())], &[("made", Value::Null)], &[]),
        (
            &[("made", promised.clone())],
            &[("made", Value::Null)],
            &[(Rule::AppliedIsPlanned, "made")],
        ),
        (&[("made", promised)], &[("made", "arn:x".into())], &[]),
        (
            &[("secret", "hunter2".into())],
            &[("secret", "x".into())],
            &[(Rule::AppliedIsPlanned, "secret")],
        ),
        (
            &[("labels", Value::map([("a", "1")]))],
            &[("labels", Value::map([("b", "1")]))],
            &[(Rule::AppliedCount, "labels")],
        ),
        (
            &[("set", set(&["a".into(), Value::unknown()]))],
            &[("set", set(&["a".into()]))],
            &[],
        ),
        (
            &[("set", set(&["a".into()]))],
            &[("set", set(&["b".into()]))],
            &[(Rule::AppliedCount, "set"), (Rule::AppliedCount, "set")],
        ),
    ];
    for (planned, new, expected) in cases {
        let expected: Vec<_> = expected
            .iter()
            .map(|(rule, path)| (*rule, (*path).to_owned()))
            .collect();
        let found = check_apply(&schema(), &thing(planned), &thing(new));
        assert_eq!(rules(&found), expected, "{planned:?} {new:?}");
        assert!(
            !format!("{found:?}").contains("hunter2"),
            "sensitive values are not shown"
        );
    }
}

#[test]
fn a_state_is_known_and_has_no_write_only_value() {
    let state = thing(&[("made", Value::unknown()), ("once", "x".into())]);
    assert_eq!(
        rules(&check_state(&schema(), &state)),
        [
            (Rule::StateKnown, "made".to_owned()),
            (Rule::WriteOnlyNull, "once".to_owned())
        ]
    );
}

#[test]
fn terraform_proposes_prior_values_where_the_user_is_silent() {
    let element = |given: &str, made: Value| Value::object([("in", given.into()), ("out", made)]);
    let prior = thing(&[
        ("made", "m".into()),
        (
            "list",
            Value::list([element("a", "1".into()), element("b", "2".into())]),
        ),
        (
            "set",
            Value::set([element("a", "1".into()), element("b", "2".into())]),
        ),
    ]);
    let config = thing(&[
        ("list", Value::list([element("x", Value::Null)])),
        (
            "set",
            Value::set([element("b", Value::Null), element("c", Value::Null)]),
        ),
    ]);
    let expected = thing(&[
        ("made", "m".into()),
        ("list", Value::list([element("x", "1".into())])),
        (
            "set",
            Value::set([element("b", "2".into()), element("c", Value::Null)]),
        ),
    ]);
    assert_eq!(proposed_new(&schema(), &prior, &config), expected);
}
