use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::oracle::{check_apply, check_plan, check_state, proposed_new};
use crate::schema::{Attribute, Block, Field, NestedBlock, Nesting, Presence};
use crate::value::{Type, Value};

fn plan(schema: &Schema, prior: &Value, config: &Value) -> Planned {
    let proposed = proposed_new(schema, prior, config);
    let planned = prepare(Inputs {
        schema,
        prior,
        config,
        proposed,
    });
    finish(
        schema,
        &schema.ty(),
        prior,
        planned.value,
        planned.requires_replace,
    )
    .expect("fits")
}

/// What a resource would make of a plan: something of the right type for every unknown.
fn made(value: &Value, ty: &Type) -> Value {
    match (value, ty) {
        (Value::Unknown(_), Type::Bool) => Value::from(true),
        (Value::Unknown(_), Type::Number) => Value::from(1),
        (Value::Unknown(_), Type::String) => Value::from("made"),
        (Value::Unknown(_), Type::List(_)) => Value::List(vec![]),
        (Value::Unknown(_), Type::Set(_)) => Value::set([]),
        (Value::Unknown(_), Type::Map(_)) => Value::Map([].into()),
        (Value::Unknown(_), Type::Object(types)) => Value::Object(
            types
                .iter()
                .map(|(name, ty)| (name.clone(), made(value, ty)))
                .collect(),
        ),
        (Value::Unknown(_), _) => Value::Null,
        (Value::List(elements), Type::List(ty)) => {
            Value::List(elements.iter().map(|each| made(each, ty)).collect())
        }
        (Value::Set(elements), Type::Set(ty)) => {
            Value::set(elements.iter().map(|each| made(each, ty)))
        }
        (Value::Map(fields), Type::Map(ty)) => Value::Map(
            fields
                .iter()
                .map(|(key, each)| (key.clone(), made(each, ty)))
                .collect(),
        ),
        (Value::Object(fields), Type::Object(types)) => Value::Object(
            fields
                .iter()
                .map(|(name, each)| (name.clone(), made(each, &types[name])))
                .collect(),
        ),
        (known, _) => known.clone(),
    }
}

fn same_but_for_case(left: &Value, right: &Value) -> bool {
    left.as_str().map(str::to_lowercase) == right.as_str().map(str::to_lowercase)
}

fn any_attribute(name: &'static str, depth: u32, in_set: bool) -> BoxedStrategy<Attribute> {
    let plain = prop_oneof![
        Just(Type::String),
        Just(Type::Number),
        Just(Type::list(Type::String)),
        Just(Type::set(Type::String)),
        Just(Type::map(Type::String)),
    ]
    .prop_map(move |ty| Attribute::of(name, ty));
    let base = if depth == 0 {
        plain.boxed()
    } else {
        let nested = prop_oneof![
            Just(Nesting::Single),
            Just(Nesting::List),
            Just(Nesting::Map),
            Just(Nesting::Set)
        ]
        .prop_flat_map(move |nesting| {
            any_attributes(depth - 1, in_set || nesting == Nesting::Set).prop_map(move |inner| {
                match nesting {
                    Nesting::Single => Attribute::single(name, inner),
                    Nesting::List => Attribute::nested_list(name, inner),
                    Nesting::Set => Attribute::nested_set(name, inner),
                    Nesting::Map => Attribute::nested_map(name, inner),
                }
            })
        });
        prop_oneof![3 => plain, 2 => nested].boxed()
    };
    (base, 0..7_u8, any::<bool>(), any::<bool>())
        .prop_map(move |(attribute, kind, replaces, keeps)| {
            let is_plain = Field::Attribute(&attribute).nested().is_none();
            let is_text = Field::Attribute(&attribute).ty() == Type::String;
            let attribute = if replaces && kind != 5 {
                attribute.requires_replace()
            } else {
                attribute
            };
            match kind {
                0 => attribute.required(),
                2 if keeps => attribute.computed().use_state_for_unknown(),
                2 => attribute.computed(),
                // Not for nested ones: what a provider sets inside, Terraform takes for something the user removed.
                // Not in sets: Terraform recognises elements by what is configured, and there two may look alike.
                3 if is_plain && !in_set => attribute.optional_computed(),
                4 if is_text && !in_set => attribute.default("Default"),
                5 if !in_set => attribute.write_only(),
                6 if is_text && !in_set => attribute.optional().equal_when(same_but_for_case),
                _ => attribute.optional(),
            }
        })
        .boxed()
}

fn any_attributes(depth: u32, in_set: bool) -> BoxedStrategy<Vec<Attribute>> {
    ["a", "b", "c"]
        .map(|name| any_attribute(name, depth, in_set))
        .to_vec()
        .prop_map(|all| all)
        .boxed()
}

fn any_schema() -> impl Strategy<Value = Schema> {
    (
        any_attributes(2, false),
        any_attributes(1, false),
        any_attributes(1, true),
        any_attributes(1, false),
    )
        .prop_map(|(attributes, list, set, single)| {
            let block = |attributes: Vec<Attribute>| Block {
                attributes,
                ..Block::default()
            };
            Schema {
                version: 0,
                block: Block {
                    attributes,
                    blocks: vec![
                        NestedBlock::list("list_block", block(list)),
                        NestedBlock::set("set_block", block(set)),
                        NestedBlock::single("single_block", block(single)),
                    ],
                    ..Block::default()
                },
            }
        })
}

fn any_plain(ty: &Type) -> BoxedStrategy<Value> {
    let text = prop_oneof![Just("x"), Just("X"), Just("y")].prop_map(Value::from);
    match ty {
        Type::Number => (0..3_i64).prop_map(Value::from).boxed(),
        Type::List(_) => vec(text, 0..3).prop_map(Value::List).boxed(),
        Type::Set(_) => vec(text, 0..3).prop_map(Value::set).boxed(),
        Type::Map(_) => proptest::collection::btree_map("[k-l]", text, 0..3)
            .prop_map(Value::Map)
            .boxed(),
        _ => text.boxed(),
    }
}

fn any_object(fields: Fields<'_>, unknowns: bool) -> BoxedStrategy<Value> {
    let names: Vec<String> = fields.iter().map(|field| field.name().to_owned()).collect();
    let values: Vec<BoxedStrategy<Value>> = fields
        .iter()
        .map(|field| any_field(field, unknowns))
        .collect();
    values
        .prop_map(move |values| Value::Object(names.iter().cloned().zip(values).collect()))
        .boxed()
}

fn any_nested(nesting: Nesting, fields: Fields<'_>, unknowns: bool) -> BoxedStrategy<Value> {
    let object = any_object(fields, unknowns);
    match nesting {
        Nesting::Single => object,
        Nesting::List => vec(object, 0..3).prop_map(Value::List).boxed(),
        Nesting::Set => vec(object, 0..3).prop_map(Value::set).boxed(),
        Nesting::Map => proptest::collection::btree_map("[k-l]", object, 0..3)
            .prop_map(Value::Map)
            .boxed(),
    }
}

/// What a user may write for a field.
fn any_field(field: Field<'_>, unknowns: bool) -> BoxedStrategy<Value> {
    let value = match field.nested() {
        Some((nesting, fields)) => any_nested(nesting, fields, unknowns),
        None => any_plain(&field.ty()),
    };
    let unknown = u32::from(unknowns);
    match field {
        Field::Block(block) if block.nesting == Nesting::Single => prop_oneof![value, Just(Value::Null)].boxed(),
        Field::Block(_) => prop_oneof![9 => value, unknown => Just(Value::unknown())].boxed(),
        Field::Attribute(attribute) => match attribute.presence {
            Presence::Computed => Just(Value::Null).boxed(),
            Presence::Required => prop_oneof![9 => value, 2 * unknown => Just(Value::unknown())].boxed(),
            _ => prop_oneof![5 => value, 4 => Just(Value::Null), 2 * unknown => Just(Value::unknown())].boxed(),
        },
    }
}

fn world() -> impl Strategy<Value = (Schema, Value, Value)> {
    any_schema().prop_flat_map(|schema| {
        let before = any_object(schema.fields(), false);
        let after = any_object(schema.fields(), true);
        (Just(schema), before, after)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_plan_breaks_a_rule_of_terraform((schema, before, after) in world()) {
        prop_assert_eq!(schema.check(), []);
        let ty = schema.ty();
        let created = plan(&schema, &Value::Null, &before);
        prop_assert_eq!(check_plan(&schema, &Value::Null, &before, &created.value), []);
        prop_assert_eq!(&created.requires_replace, &[]);
        let mut state = made(&created.value, &ty);
        null_write_only(schema.fields(), &mut state);
        prop_assert_eq!(check_apply(&schema, &created.value, &state), []);
        prop_assert_eq!(check_state(&schema, &state), []);

        let again = plan(&schema, &state, &before);
        prop_assert_eq!(&again.value, &state, "a second plan is empty");
        prop_assert_eq!(&again.requires_replace, &[]);

        let changed = plan(&schema, &state, &after);
        prop_assert_eq!(check_plan(&schema, &state, &after, &changed.value), []);
        let known = made(&after, &ty);
        let planned_again = plan(&schema, &state, &known);
        prop_assert_eq!(check_apply(&schema, &changed.value, &planned_again.value), [], "what apply plans again fits");
    }
}

fn schema() -> Schema {
    let inner = [
        Attribute::string("kind").default("small"),
        Attribute::string("address")
            .computed()
            .use_state_for_unknown(),
        Attribute::string("zone").optional().requires_replace(),
    ];
    Schema::new("A thing.")
        .attribute(Attribute::string("name").required().requires_replace())
        .attribute(Attribute::string("mode").default("FAST"))
        .attribute(Attribute::string("id").computed().use_state_for_unknown())
        .attribute(Attribute::number("revision").computed())
        .attribute(
            Attribute::string("text")
                .optional()
                .equal_when(same_but_for_case),
        )
        .attribute(Attribute::string("secret_wo").write_only())
        .attribute(Attribute::nested_list("disks", inner))
}

fn config(fields: &[(&str, Value)]) -> Value {
    let given = Value::object(fields.iter().map(|(name, value)| (*name, value.clone())));
    given.conform(&schema().ty()).expect("fits")
}

fn at<'a>(value: &'a Value, path: &Path) -> &'a Value {
    value.at(path).expect("is there")
}

#[test]
fn a_create_fills_defaults_and_leaves_the_rest_to_the_provider() {
    let disk = Value::object([("zone", "a")]);
    let config = config(&[
        ("name", "n".into()),
        ("secret_wo", "s3cret".into()),
        ("disks", Value::list([disk])),
    ]);
    let planned = plan(&schema(), &Value::Null, &config).value;
    assert_eq!(at(&planned, &Path::attr("mode")), &Value::from("FAST"));
    assert_eq!(at(&planned, &Path::attr("id")), &Value::unknown());
    assert_eq!(at(&planned, &Path::attr("secret_wo")), &Value::Null);
    assert_eq!(
        at(&planned, &Path::attr("disks").index(0).attribute("kind")),
        &Value::from("small")
    );
    assert_eq!(
        at(&planned, &Path::attr("disks").index(0).attribute("address")),
        &Value::unknown()
    );
}

#[test]
fn an_update_keeps_what_the_state_holds_and_names_what_replaces() {
    let disk = |zone: &str| Value::object([("zone", zone)]);
    let first = config(&[
        ("name", "n".into()),
        ("text", "Hello".into()),
        ("disks", Value::list([disk("a")])),
    ]);
    let created = plan(&schema(), &Value::Null, &first);
    let state = made(&created.value, &schema().ty());

    let means_the_same = config(&[
        ("name", "n".into()),
        ("text", "HELLO".into()),
        ("disks", Value::list([disk("a")])),
    ]);
    let none = plan(&schema(), &state, &means_the_same);
    assert_eq!(
        none,
        Planned {
            value: state.clone(),
            requires_replace: vec![]
        }
    );

    let moved = config(&[
        ("name", "n".into()),
        ("text", "Hello".into()),
        ("disks", Value::list([disk("a"), disk("b")])),
    ]);
    let moved = plan(&schema(), &state, &moved);
    assert_eq!(
        moved.requires_replace,
        [Path::attr("disks").index(1).attribute("zone")]
    );
    assert_eq!(
        at(&moved.value, &Path::attr("id")),
        &Value::from("made"),
        "kept"
    );
    assert_eq!(
        at(&moved.value, &Path::attr("revision")),
        &Value::unknown(),
        "not kept"
    );
    assert_eq!(
        at(
            &moved.value,
            &Path::attr("disks").index(0).attribute("address")
        ),
        &Value::from("made")
    );
    assert_eq!(
        at(
            &moved.value,
            &Path::attr("disks").index(1).attribute("address")
        ),
        &Value::unknown(),
        "new"
    );
}

#[test]
fn states_keep_the_text_that_means_the_same() {
    let prior = config(&[("name", "n".into()), ("text", "Hello".into())]);
    let mut new = config(&[("name", "N".into()), ("text", "hELLO".into())]);
    keep_prior(&schema(), &prior, &mut new);
    assert_eq!(at(&new, &Path::attr("text")), &Value::from("Hello"));
    assert_eq!(
        at(&new, &Path::attr("name")),
        &Value::from("N"),
        "nobody said that these mean the same"
    );
}
