use proptest::prelude::*;

use super::arbitrary::{any_type, any_value};
use super::*;

proptest! {
    #[test]
    fn a_value_of_any_type_survives_msgpack((ty, value) in any_type().prop_flat_map(|ty| {
        let value = any_value(&ty);
        (Just(ty), value)
    })) {
        let bytes = value.to_msgpack(&ty).expect("a fitting value");
        let again = Value::from_msgpack(&bytes, &ty).expect("own bytes");
        prop_assert_eq!(&again, &value);
        prop_assert_eq!(value.clone().conform(&ty).expect("fits already"), value);
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(ty in any_type(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Value::from_msgpack(&bytes, &ty);
        let _ = Value::from_json(&bytes, &ty);
        let _ = Type::from_json(&bytes);
    }

    #[test]
    fn a_damaged_value_is_never_a_panic((ty, value) in any_type().prop_flat_map(|ty| {
        let value = any_value(&ty);
        (Just(ty), value)
    }), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = value.to_msgpack(&ty).expect("a fitting value");
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Value::from_msgpack(&bytes, &ty);
        bytes.truncate(cut.index(bytes.len()));
        let _ = Value::from_msgpack(&bytes, &ty);
    }
}

#[test]
fn a_claim_of_four_billion_elements_costs_nothing() {
    for start in [0xdd_u8, 0xdf, 0xdb, 0xc6, 0xc9] {
        let bytes = [start, 0xff, 0xff, 0xff, 0xff, 0x00];
        for ty in [
            Type::list(Type::String),
            Type::map(Type::Bool),
            Type::String,
            Type::Dynamic,
        ] {
            assert!(Value::from_msgpack(&bytes, &ty).is_err());
        }
    }
}

#[test]
fn any_inside_any_cannot_nest_without_end() {
    let mut bytes = Vec::new();
    for _ in 0..10_000 {
        bytes.extend_from_slice(&[0x92, 0xc4, 9]);
        bytes.extend_from_slice(b"\"dynamic\"");
    }
    assert_eq!(
        Value::from_msgpack(&bytes, &Type::Dynamic),
        Err(CodecError::Depth)
    );
}

#[test]
fn numbers_arrive_as_integer_float_or_text() {
    let forms: [(&[u8], &str); 5] = [
        (&[0x07], "7"),
        (&[0xcb, 0x40, 0x1c, 0, 0, 0, 0, 0, 0], "7"),
        (&[0xa1, b'7'], "7"),
        (
            &[0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf9],
            "-7",
        ),
        (&[0xca, 0x3f, 0, 0, 0], "0.5"),
    ];
    for (bytes, text) in forms {
        let expected = Value::Number(Number::parse(text).expect("number"));
        assert_eq!(
            Value::from_msgpack(bytes, &Type::Number).expect("a number"),
            expected
        );
    }
    assert_eq!(
        Value::from_msgpack(&[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0], &Type::Number),
        Err(CodecError::Number)
    );
}

#[test]
fn any_extension_is_unknown_and_type_12_says_more() {
    let plain = Value::from_msgpack(&[0xd4, 0, 0], &Type::String).expect("unknown");
    assert_eq!(plain, Value::unknown());
    let other = Value::from_msgpack(&[0xc7, 3, 99, 1, 2, 3], &Type::String).expect("unknown");
    assert_eq!(other, Value::unknown());
    // {1: false, 2: "vpc-"}
    let bytes = [
        0xc7, 9, 12, 0x82, 0x01, 0xc2, 0x02, 0xa4, b'v', b'p', b'c', b'-',
    ];
    let Value::Unknown(unknown) = Value::from_msgpack(&bytes, &Type::String).expect("unknown")
    else {
        panic!("not unknown");
    };
    let refinements = unknown.refinements().expect("refined");
    assert!(refinements.not_null);
    assert_eq!(refinements.prefix.as_deref(), Some("vpc-"));
}

#[test]
fn an_object_must_have_exactly_its_attributes() {
    let ty = Type::object([("a", Type::Bool)]);
    assert_eq!(
        Value::from_msgpack(&[0x80], &ty),
        Err(CodecError::Missing("a".into()))
    );
    assert_eq!(
        Value::from_msgpack(&[0x81, 0xa1, b'b', 0xc0], &ty),
        Err(CodecError::Surplus("b".into()))
    );
    let left_out = Value::object::<&str, Value>([])
        .conform(&ty)
        .expect("null where nothing is said");
    assert_eq!(
        left_out.to_msgpack(&ty).expect("fits"),
        [0x81, 0xa1, b'a', 0xc0]
    );
}

#[test]
fn conform_makes_sets_and_objects_and_names_what_it_cannot() {
    let ty = Type::object([("names", Type::set(Type::String)), ("size", Type::Number)]);
    let value = Value::object([
        ("names", Value::list(["b", "a", "b"])),
        ("size", Value::from(3)),
    ]);
    let fitted = value.conform(&ty).expect("fits");
    assert_eq!(
        fitted.at(&Path::attr("names")),
        Some(&Value::set(["a".into(), "b".into()]))
    );
    let misfit = Value::object([("size", "three")])
        .conform(&ty)
        .expect_err("text is no number");
    assert_eq!(misfit.to_string(), "size: expected number, got a string");
    assert!(Value::object([("sise", 3)]).conform(&ty).is_err());
}

#[test]
fn json_numbers_keep_the_digits_that_were_written() {
    let (value, fit) = Value::from_json(
        br#"{"n":0.1,"old":true}"#,
        &Type::object([("n", Type::Number), ("new", Type::Bool)]),
    )
    .expect("state");
    assert_eq!(
        value.at(&Path::attr("n")),
        Some(&Value::Number(Number::parse("0.1").expect("number")))
    );
    assert_eq!(fit.missing, [Path::attr("new")]);
    assert_eq!(fit.surplus, [Path::attr("old")]);
}
