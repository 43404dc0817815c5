use lentil_values::{FieldValidator, JsonForm, ObjectValidator, Validator, Value};

/// Returns the TypeScript type of the values that a validator accepts, as `convex/values`
/// represents them.
pub(super) fn type_of(validator: &Validator) -> String {
    match validator {
        Validator::Any => "any".to_owned(),
        Validator::Null => "null".to_owned(),
        Validator::Float64 => "number".to_owned(),
        Validator::Int64 => "bigint".to_owned(),
        Validator::Boolean => "boolean".to_owned(),
        Validator::String => "string".to_owned(),
        Validator::Bytes => "ArrayBuffer".to_owned(),
        Validator::Id(table) => format!("Id<{}>", quoted(table)),
        Validator::Literal(Value::Int64(integer)) => format!("{integer}n"),
        Validator::Literal(value) => value.to_json(JsonForm::JavaScript),
        Validator::Array(items) => format!("Array<{}>", type_of(items)),
        Validator::Record { keys, values } => {
            format!("Record<{}, {}>", type_of(keys), type_of(values))
        }
        // An empty union accepts no value, as TypeScript's `never`.
        Validator::Union(members) if members.is_empty() => "never".to_owned(),
        Validator::Union(members) => members.iter().map(type_of).collect::<Vec<_>>().join(" | "),
        Validator::Object(object) => object_type(object),
    }
}

/// Returns the type of an object with these fields.
pub(super) fn object_type(object: &ObjectValidator) -> String {
    if object.0.is_empty() {
        return "{}".to_owned();
    }
    let fields: Vec<String> = object
        .0
        .iter()
        .map(|(name, field)| field_type(name, field))
        .collect();
    format!("{{ {} }}", fields.join("; "))
}

/// Returns a field of an object type: `name?: type`.
pub(super) fn field_type(name: &str, field: &FieldValidator) -> String {
    let optional = if field.optional { "?" } else { "" };
    format!(
        "{}{optional}: {}",
        property(name),
        type_of(&field.validator)
    )
}

/// Returns a property's name, in quotes if it is not an identifier.
pub(super) fn property(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let is_identifier = name.chars().all(is_plain)
        && !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if is_identifier {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// Returns a string literal.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_json(JsonForm::JavaScript)
}

#[cfg(test)]
mod tests {
    use lentil_values::v;

    use super::*;

    #[test]
    fn every_validator_has_its_type() {
        for (validator, expected) in [
            (v::any(), "any"),
            (v::null(), "null"),
            (v::number(), "number"),
            (v::int64(), "bigint"),
            (v::boolean(), "boolean"),
            (v::string(), "string"),
            (v::bytes(), "ArrayBuffer"),
            (v::id("jobs"), "Id<\"jobs\">"),
            (v::literal("a\"b"), "\"a\\\"b\""),
            (v::literal(5_i64), "5n"),
            (v::literal(1.5), "1.5"),
            (v::literal(true), "true"),
            (
                v::array(v::union([v::string(), v::null()])),
                "Array<string | null>",
            ),
            (v::union([]), "never"),
            (
                v::object([("a", v::optional(v::string())), ("b-c", v::number().into())]),
                "{ a?: string; \"b-c\": number }",
            ),
            (v::object::<&str, FieldValidator>([]), "{}"),
        ] {
            assert_eq!(type_of(&validator), expected);
        }
        let record = Validator::Record {
            keys: Box::new(v::string()),
            values: Box::new(v::int64()),
        };
        assert_eq!(type_of(&record), "Record<string, bigint>");
    }

    #[test]
    fn a_property_that_is_not_an_identifier_is_quoted() {
        for (name, expected) in [
            ("a", "a"),
            ("_a1", "_a1"),
            ("1a", "\"1a\""),
            ("", "\"\""),
            ("a b", "\"a b\""),
        ] {
            assert_eq!(property(name), expected);
        }
    }
}
