//! Values for the tests of this crate.

use proptest::prelude::*;

use crate::name::FieldName;
use crate::value::Value;

pub(crate) fn object(fields: &[(&'static str, Value)]) -> Value {
    Value::Object(
        fields
            .iter()
            .map(|(name, value)| (FieldName::from_static(name), value.clone()))
            .collect(),
    )
}

/// Generates small values. Unusual floats and strings are frequent.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let float = prop_oneof![
        any::<f64>(),
        prop::sample::select(vec![
            0.0,
            -0.0,
            f64::NAN,
            -f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            1e21,
            0.1
        ])
    ];
    let int = prop_oneof![any::<i64>(), -300_i64..300];
    let text = prop_oneof![any::<String>(), "[\0-\u{2}a]{0,4}"];
    let scalar = prop_oneof![
        Just(Value::Null),
        int.prop_map(Value::Int64),
        float.prop_map(Value::Float64),
        any::<bool>().prop_map(Value::Boolean),
        text.prop_map(Value::String),
        prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..2, Just(255)], 0..6)
            .prop_map(Value::Bytes),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        let field = "[a-c_ ]{0,3}".prop_map(|name| FieldName::new(name).expect("a plain name"));
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((field, inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Returns values in the order of the official client's `compareValues`.
pub(crate) fn ascending() -> Vec<Value> {
    let float = Value::Float64;
    vec![
        Value::Null,
        Value::Int64(i64::MIN),
        Value::Int64(-1),
        Value::Int64(0),
        Value::Int64(5),
        float(f64::NEG_INFINITY),
        float(-1.5),
        float(-0.0),
        float(0.0),
        float(1e308),
        float(f64::INFINITY),
        float(f64::NAN),
        false.into(),
        true.into(),
        "".into(),
        "B".into(),
        "a".into(),
        "é".into(),
        "\u{FFFD}".into(),
        "😀".into(),
        Value::Bytes(vec![]),
        Value::Bytes(vec![1]),
        Value::Array(vec![]),
        Value::Array(vec![float(1.0)]),
        Value::Array(vec![float(1.0), float(2.0)]),
        object(&[]),
        object(&[("a", float(1.0))]),
        object(&[("a", float(1.0)), ("b", float(1.0))]),
        object(&[("b", float(0.0))]),
    ]
}
