//! Functions that the code of the derives calls.

use lentil_values::{
    DecodeError, FieldValidator, Object, ObjectValidator, Validator, Value, ValueType, v,
};

/// Refuses what is left of an object once its fields are taken out.
pub fn nothing_left(object: &Object) -> Result<(), DecodeError> {
    object.iter().next().map_or(Ok(()), |(name, _)| {
        Err(DecodeError::new("unknown field").in_field(name.as_str()))
    })
}

/// The validator of a struct with these fields and all those of another type.
///
/// # Panics
/// When the other type is no object, or has a field of the same name.
pub fn with_flattened<T: ValueType, const N: usize>(
    own: [(&'static str, FieldValidator); N],
) -> Validator {
    let Validator::Object(ObjectValidator(mut fields)) = T::validator() else {
        panic!(
            "#[flatten] takes a type that is an object, and {} is none",
            T::validator()
        );
    };
    for (name, validator) in own {
        let other = fields.insert(name.to_owned(), validator);
        assert!(
            other.is_none(),
            "the field `{name}` is there twice: beside #[flatten], and in the type below it"
        );
    }
    Validator::Object(ObjectValidator(fields))
}

/// An object's fields, and all those of another value that is an object.
pub fn flatten(own: Object, flattened: impl ValueType) -> Object {
    let mut object =
        Object::from_value(flattened.into_value()).expect("its validator is an object's");
    for (name, value) in own {
        object.insert(name, value);
    }
    object
}

/// The validator of a variant with named fields.
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

/// The fields of an object whose tag is this one, without the tag.
pub fn take_tagged(value: &Value, tag: &str, literal: &str) -> Option<Object> {
    let object = value
        .as_object()
        .filter(|object| object.get(tag).and_then(Value::as_str) == Some(literal))?;
    let mut fields = object.clone();
    fields.remove(tag);
    Some(fields)
}
