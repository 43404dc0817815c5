pub use lentil_values::{
    DecodeError, FieldName, FieldType, FieldValidator, Object, ObjectValidator, Validator, Value, ValueType, v,
};

pub use crate::{Args, Document, Ending, Index, IntoArgs, Patch, Table};

/// The object of the fields that are there.
pub fn object<const N: usize>(fields: [(FieldName, Option<Value>); N]) -> Object {
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Refuses what is left of an object once its fields are taken out.
pub fn nothing_left(object: &Object) -> Result<(), DecodeError> {
    object.iter().next().map_or(Ok(()), |(name, _)| Err(DecodeError::new("unknown field").in_field(name.as_str())))
}

/// The validator of a variant with named fields.
pub fn tagged<const N: usize>(
    tag: &'static str,
    literal: &str,
    fields: [(&'static str, FieldValidator); N],
) -> Validator {
    v::object(fields.into_iter().chain([(tag, FieldValidator::from(v::literal(literal)))]))
}

/// The fields of an object whose tag is this one, without the tag.
pub fn take_tagged(value: &Value, tag: &str, literal: &str) -> Option<Object> {
    let object = value.as_object().filter(|object| object.get(tag).and_then(Value::as_str) == Some(literal))?;
    let mut fields = object.clone();
    fields.remove(tag);
    Some(fields)
}
