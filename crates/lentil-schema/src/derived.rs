//! Functions that the code of the derives calls.

use lentil_values::{
    DecodeError, FieldValidator, Object, ObjectValidator, Validator, Value, ValueType, v,
};

/// Returns an error if an object has fields left after its known fields were removed.
pub fn nothing_left(object: &Object) -> Result<(), DecodeError> {
    match object.iter().next() {
        None => Ok(()),
        Some((name, _)) => Err(DecodeError::new("unknown field").in_field(name.as_str())),
    }
}

/// Returns the validator of a struct with these fields and the fields of another type.
///
/// # Panics
/// Panics if the other type is not an object, or has a field of the same name.
pub fn with_flattened<T: ValueType, const N: usize>(
    own: [(&'static str, FieldValidator); N],
) -> Validator {
    let Validator::Object(ObjectValidator(mut fields)) = T::validator() else {
        panic!(
            "#[flatten] needs a type that is an object, and not {}",
            T::validator()
        );
    };
    for (name, validator) in own {
        let other = fields.insert(name.to_owned(), validator);
        assert!(
            other.is_none(),
            "the field `{name}` occurs twice: beside #[flatten] and in the flattened type; rename one"
        );
    }
    Validator::Object(ObjectValidator(fields))
}

/// Returns an object with these fields and the fields of another value.
pub fn flatten(own: Object, flattened: impl ValueType) -> Object {
    let mut object = Object::from_value(flattened.into_value())
        .expect("the validator of a flattened type is an object");
    for (name, value) in own {
        object.insert(name, value);
    }
    object
}

/// Returns the validator of a variant with named fields.
pub fn tagged<const N: usize>(
    tag: &'static str,
    literal: &str,
    fields: [(&'static str, FieldValidator); N],
) -> Validator {
    v::object(
        fields
            .into_iter()
            .chain([(tag, FieldValidator::from(v::literal(literal)))]),
    )
}

/// Returns the fields of an object without its tag, if the tag has this value.
pub fn take_tagged(value: &Value, tag: &str, literal: &str) -> Option<Object> {
    let object = value
        .as_object()
        .filter(|object| object.get(tag).and_then(Value::as_str) == Some(literal))?;
    let mut fields = object.clone();
    fields.remove(tag);
    Some(fields)
}
