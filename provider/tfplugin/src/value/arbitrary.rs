//! Random types and values for property tests.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::{Number, Refinements, Type, Typed, Unknown, Value};

/// A type of any shape, a few levels deep.
pub(crate) fn any_type() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        Just(Type::Bool),
        Just(Type::Number),
        Just(Type::String),
        Just(Type::Dynamic),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(Type::list),
            inner.clone().prop_map(Type::set),
            inner.clone().prop_map(Type::map),
            vec(inner.clone(), 0..3).prop_map(Type::Tuple),
            btree_map("[a-c]", inner, 0..3).prop_map(Type::Object),
        ]
    })
}

fn any_number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        any::<f64>().prop_filter_map("NaN", Number::from_binary),
        "-?[0-9]{1,30}\\.[0-9]{1,30}".prop_map(|text| Number::parse(&text).expect("decimal")),
    ]
}

fn any_unknown() -> impl Strategy<Value = Value> {
    let bound = || proptest::option::of((any_number(), any::<bool>()));
    let length = || proptest::option::of(any::<u32>().prop_map(u64::from));
    (
        any::<bool>(),
        proptest::option::of("[a-z]{0,40}"),
        bound(),
        bound(),
        length(),
        length(),
    )
        .prop_map(|(not_null, prefix, min, max, length_min, length_max)| {
            let refinements = Refinements {
                not_null,
                prefix,
                min,
                max,
                length_min,
                length_max,
            };
            Value::Unknown(Unknown::refined(refinements))
        })
}

/// A value of `ty`, now and then null or unknown.
pub(crate) fn any_value(ty: &Type) -> BoxedStrategy<Value> {
    let known = any_known(ty);
    prop_oneof![6 => known, 1 => Just(Value::Null), 1 => Just(Value::unknown()), 1 => any_unknown()]
        .boxed()
}

fn any_known(ty: &Type) -> BoxedStrategy<Value> {
    match ty {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::Number => any_number().prop_map(Value::Number).boxed(),
        Type::String => "\\PC{0,40}".prop_map(Value::String).boxed(),
        Type::List(element) => vec(any_value(element), 0..4).prop_map(Value::List).boxed(),
        Type::Set(element) => vec(any_value(element), 0..4).prop_map(Value::set).boxed(),
        Type::Map(element) => btree_map("\\PC{0,8}", any_value(element), 0..4)
            .prop_map(Value::Map)
            .boxed(),
        Type::Tuple(types) => types
            .iter()
            .map(any_value)
            .collect::<Vec<_>>()
            .prop_map(Value::Tuple)
            .boxed(),
        Type::Object(types) => {
            let names: Vec<String> = types.keys().cloned().collect();
            let values = types.values().map(any_value).collect::<Vec<_>>();
            values
                .prop_map(move |values| Value::Object(names.iter().cloned().zip(values).collect()))
                .boxed()
        }
        Type::Dynamic => prop_oneof![Just(Type::String), Just(Type::map(Type::Number))]
            .prop_flat_map(|ty| {
                any_value(&ty).prop_map(move |value| {
                    Value::Dynamic(Box::new(Typed {
                        ty: ty.clone(),
                        value,
                    }))
                })
            })
            .boxed(),
    }
}
