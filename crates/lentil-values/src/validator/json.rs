use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::{FieldValidator, ObjectValidator, Validator};
use crate::json::JsonForm;
use crate::value::Value;

/// A JSON value is not a validator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a validator: {0}")]
pub struct ValidatorJsonError(String);

impl Validator {
    /// Returns the JSON that Convex's tools read, such as
    /// `{"type":"array","value":{"type":"string"}}`.
    pub fn to_json(&self) -> Json {
        let plain = |name: &str| json!({ "type": name });
        match self {
            Validator::Any => plain("any"),
            Validator::Null => plain("null"),
            Validator::Float64 => plain("number"),
            Validator::Int64 => plain("bigint"),
            Validator::Boolean => plain("boolean"),
            Validator::String => plain("string"),
            Validator::Bytes => plain("bytes"),
            Validator::Id(table) => json!({ "type": "id", "tableName": table }),
            Validator::Literal(value) => {
                json!({ "type": "literal", "value": literal_to_json(value) })
            }
            Validator::Array(element) => json!({ "type": "array", "value": element.to_json() }),
            Validator::Record { keys, values } => json!({
                "type": "record",
                "keys": keys.to_json(),
                // Convex's JSON has a field here, which is never optional.
                "values": { "fieldType": values.to_json(), "optional": false },
            }),
            Validator::Union(members) => {
                json!({ "type": "union", "value": members.iter().map(Validator::to_json).collect::<Vec<_>>() })
            }
            Validator::Object(object) => object.to_json(),
        }
    }

    /// Parses the JSON that [`Validator::to_json`] returns.
    ///
    /// # Errors
    /// Returns an error if the JSON is not a validator.
    pub fn from_json(json: &Json) -> Result<Validator, ValidatorJsonError> {
        let part = |name: &str| json.get(name).ok_or_else(|| error(json));
        let text = |name: &str| part(name)?.as_str().ok_or_else(|| error(json));
        let inner = |name: &str| Validator::from_json(part(name)?);
        Ok(match text("type")? {
            "any" => Validator::Any,
            "null" => Validator::Null,
            "number" => Validator::Float64,
            "bigint" => Validator::Int64,
            "boolean" => Validator::Boolean,
            "string" => Validator::String,
            "bytes" => Validator::Bytes,
            "id" => Validator::Id(text("tableName")?.to_owned()),
            "literal" => Validator::Literal(
                Value::from_json(part("value")?.clone()).map_err(|_| error(json))?,
            ),
            "array" => Validator::Array(Box::new(inner("value")?)),
            "record" => Validator::Record {
                keys: Box::new(inner("keys")?),
                values: match FieldValidator::from_json(part("values")?)? {
                    FieldValidator {
                        validator,
                        optional: false,
                    } => Box::new(validator),
                    _ => return Err(error(json)),
                },
            },
            "union" => {
                let members = part("value")?.as_array().ok_or_else(|| error(json))?;
                Validator::Union(
                    members
                        .iter()
                        .map(Validator::from_json)
                        .collect::<Result<_, _>>()?,
                )
            }
            "object" => {
                let json_fields = part("value")?.as_object().ok_or_else(|| error(json))?;
                let mut fields = BTreeMap::new();
                for (name, field) in json_fields {
                    fields.insert(name.clone(), FieldValidator::from_json(field)?);
                }
                Validator::Object(ObjectValidator(fields))
            }
            _ => return Err(error(json)),
        })
    }
}

impl ObjectValidator {
    /// Returns the JSON, as [`Validator::to_json`] does.
    pub fn to_json(&self) -> Json {
        let fields: Map<String, Json> = self
            .0
            .iter()
            .map(|(name, field)| (name.clone(), field.to_json()))
            .collect();
        json!({ "type": "object", "value": fields })
    }
}

impl FieldValidator {
    fn to_json(&self) -> Json {
        json!({ "fieldType": self.validator.to_json(), "optional": self.optional })
    }

    fn from_json(json: &Json) -> Result<FieldValidator, ValidatorJsonError> {
        let optional = json.get("optional").and_then(Json::as_bool);
        let field_type = json.get("fieldType");
        let (field_type, optional) = field_type.zip(optional).ok_or_else(|| error(json))?;
        Ok(FieldValidator {
            validator: Validator::from_json(field_type)?,
            optional,
        })
    }
}

/// Writes a whole number as JavaScript does: `1`, and not `1.0`.
fn literal_to_json(value: &Value) -> Json {
    match value {
        Value::Float64(number) if is_whole(*number) => json!(*number as i64),
        other => other.to_serde_json(JsonForm::Encoded),
    }
}

/// Returns whether an integer literal has the same value. There is none for -0, and none is exact
/// from 2^53 on.
fn is_whole(number: f64) -> bool {
    number.fract() == 0.0
        && number.abs() < 9_007_199_254_740_992.0
        && number.to_bits() != (-0.0_f64).to_bits()
}

fn error(json: &Json) -> ValidatorJsonError {
    // The JSON may be large, and an error is shown as one line.
    ValidatorJsonError(json.to_string().chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::v;
    use super::*;

    fn any_validator() -> impl Strategy<Value = Validator> {
        let literal = prop_oneof![
            any::<i64>().prop_map(Value::Int64),
            any::<i32>().prop_map(|number| Value::Float64(f64::from(number) / 8.0)),
            any::<f64>().prop_map(Value::Float64),
            prop::sample::select(vec![-0.0, 0.0, 9e15, 1e300, f64::NAN]).prop_map(Value::Float64),
            any::<bool>().prop_map(Value::Boolean),
            any::<String>().prop_map(Value::String)
        ];
        let leaf = prop_oneof![
            prop::sample::select(vec![
                v::any(),
                v::null(),
                v::number(),
                v::int64(),
                v::boolean(),
                v::string(),
                v::bytes()
            ]),
            Just(v::id("jobs")),
            literal.prop_map(Validator::Literal)
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            let field = (inner.clone(), any::<bool>());
            let field = field.prop_map(|(validator, optional)| FieldValidator {
                validator,
                optional,
            });
            prop_oneof![
                inner.clone().prop_map(v::array),
                inner
                    .clone()
                    .prop_map(|values| v::record(v::string(), values)),
                prop::collection::vec(inner, 0..3).prop_map(v::union),
                prop::collection::btree_map("[a-c]{1,2}", field, 0..3).prop_map(v::object),
            ]
        })
    }

    #[test]
    fn the_json_is_that_of_the_official_tools() {
        let validator = v::object([(
            "f",
            v::optional(v::union([v::literal(5.0), v::literal(Value::Int64(5))])),
        )]);
        assert_eq!(
            validator.to_json().to_string(),
            r#"{"type":"object","value":{"f":{"fieldType":{"type":"union","value":[{"type":"literal","value":5},{"type":"literal","value":{"$integer":"BQAAAAAAAAA="}}]},"optional":true}}}"#
        );
        assert_eq!(
            validator.to_string(),
            "v.object({f: v.optional(v.union(v.literal(5), v.literal(5n)))})"
        );
    }

    #[test]
    fn json_of_another_shape_is_rejected() {
        for text in [
            r#"{}"#,
            r#"{"type":"text"}"#,
            r#"{"type":"id"}"#,
            r#"{"type":"array"}"#,
            r#"{"type":"literal","value":{"$x":1}}"#,
            r#"{"type":"union","value":{}}"#,
            r#"{"type":"object","value":{"f":{"type":"any"}}}"#,
            r#"{"type":"record","keys":{"type":"string"},"values":{"fieldType":{"type":"any"},"optional":true}}"#,
        ] {
            let refused = Validator::from_json(&serde_json::from_str(text).unwrap());
            assert!(
                refused
                    .unwrap_err()
                    .to_string()
                    .starts_with("not a validator: {"),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_validator_round_trips(validator in any_validator()) {
            prop_assert_eq!(Validator::from_json(&validator.to_json()), Ok(validator));
        }

        #[test]
        fn no_json_panics(text in "[\\[\\]{}\":,a-z]{0,30}") {
            if let Ok(json) = serde_json::from_str::<Json>(&text) {
                let _ = Validator::from_json(&json);
            }
        }
    }
}
