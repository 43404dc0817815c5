use std::cmp::Ordering;
use std::collections::btree_map;

use super::{FieldValidator, ObjectValidator, Problem, TableNames, ValidationError, Validator};
use crate::id::DocumentId;
use crate::value::{Object, Value};

impl Validator {
    /// Checks a value. At every depth, an object may not have other fields than the listed ones.
    ///
    /// # Errors
    /// Returns the first error. For a union, it is the error of the member that fits best.
    pub fn validate(&self, value: &Value, tables: &dyn TableNames) -> Result<(), ValidationError> {
        // Also decides the scalars, so that only validators with an inside remain below.
        if !self.accepts_type_of(value) {
            return Err(self.mismatch(value));
        }
        match (self, value) {
            (Validator::Id(table), Value::String(text)) => self.validate_id(table, text, tables),
            (Validator::Array(element), Value::Array(elements)) => {
                validate_array(element, elements, tables)
            }
            (Validator::Record { keys, values }, Value::Object(object)) => {
                validate_record(keys, values, object, tables)
            }
            (Validator::Object(validator), Value::Object(object)) => {
                validator.validate(object, tables)
            }
            (Validator::Union(members), value) => self.validate_union(members, value, tables),
            _ => Ok(()),
        }
    }

    /// Returns whether the value has the right type, and for a scalar whether it matches.
    fn accepts_type_of(&self, value: &Value) -> bool {
        match (self, value) {
            (Validator::Literal(literal), value) => literal == value,
            (Validator::Any | Validator::Union(_), _)
            | (Validator::Null, Value::Null)
            | (Validator::Float64, Value::Float64(_))
            | (Validator::Int64, Value::Int64(_))
            | (Validator::Boolean, Value::Boolean(_))
            | (Validator::String | Validator::Id(_), Value::String(_))
            | (Validator::Bytes, Value::Bytes(_))
            | (Validator::Array(_), Value::Array(_))
            | (Validator::Record { .. } | Validator::Object(_), Value::Object(_)) => true,
            _ => false,
        }
    }

    fn mismatch(&self, value: &Value) -> ValidationError {
        ValidationError::new(Problem::Mismatch {
            expected: self.to_string(),
            got: value.to_string(),
        })
    }

    fn validate_id(
        &self,
        table: &str,
        text: &str,
        tables: &dyn TableNames,
    ) -> Result<(), ValidationError> {
        let number = text.parse::<DocumentId>().ok().map(|id| id.table);
        match number.and_then(|number| tables.name(number)) {
            Some(found) if found == table => Ok(()),
            Some(found) => {
                // An id of the wrong table looks like any other id, so the error names its table.
                let problem = Problem::WrongTable {
                    expected: self.to_string(),
                    got: found.to_owned(),
                };
                Err(ValidationError::new(problem))
            }
            None => Err(self.mismatch(&Value::from(text))),
        }
    }

    fn validate_union(
        &self,
        members: &[Validator],
        value: &Value,
        tables: &dyn TableNames,
    ) -> Result<(), ValidationError> {
        // Checking the type first avoids the error texts of most members.
        if members
            .iter()
            .any(|member| member.accepts_type_of(value) && member.validate(value, tables).is_ok())
        {
            return Ok(());
        }
        match self.best_member_for(value) {
            // Validates a second time for the error, so that a matching value builds none.
            Some(member) => member.validate(value, tables),
            None => Err(self.mismatch(value)),
        }
    }

    /// Selects the member of a union that an error is about, when none matches the value.
    ///
    /// It is the only member, or else the only one whose literal fields (tags) match the value, or
    /// else the only container of the value's type.
    fn best_member_for(&self, value: &Value) -> Option<&Validator> {
        let members = self.members();
        let only = |fits: &dyn Fn(&Validator) -> bool| {
            let mut fitting = members.iter().copied().filter(|member| fits(member));
            fitting.next().filter(|_| fitting.next().is_none())
        };
        only(&|_| true)
            .or_else(|| only(&|member| member.has_tags_of(value)))
            .or_else(|| only(&|member| member.looks_inside(value)))
    }

    /// Returns the members of a union and of the unions in it, or the validator itself.
    fn members(&self) -> Vec<&Validator> {
        match self {
            Validator::Union(members) => members.iter().flat_map(Validator::members).collect(),
            other => vec![other],
        }
    }

    /// Returns whether the validator has literal fields, and all of them match the value.
    fn has_tags_of(&self, value: &Value) -> bool {
        let (Validator::Object(validator), Value::Object(object)) = (self, value) else {
            return false;
        };
        let mut tags = validator
            .0
            .iter()
            .filter_map(|(name, field)| match &field.validator {
                Validator::Literal(tag) => Some((name, tag)),
                _ => None,
            });
        let is_tagged = tags.clone().next().is_some();
        is_tagged && tags.all(|(name, tag)| object.get(name) == Some(tag))
    }

    /// Returns whether the validator checks the inside of such a value, so that its error is more
    /// precise.
    fn looks_inside(&self, value: &Value) -> bool {
        match value {
            Value::Object(_) => matches!(self, Validator::Object(_) | Validator::Record { .. }),
            Value::Array(_) => matches!(self, Validator::Array(_)),
            Value::String(_) => matches!(self, Validator::Id(_)),
            _ => false,
        }
    }
}

fn validate_array(
    element: &Validator,
    values: &[Value],
    tables: &dyn TableNames,
) -> Result<(), ValidationError> {
    for (at, value) in values.iter().enumerate() {
        element
            .validate(value, tables)
            .map_err(|error| error.in_element(at))?;
    }
    Ok(())
}

fn validate_record(
    keys: &Validator,
    values: &Validator,
    object: &Object,
    tables: &dyn TableNames,
) -> Result<(), ValidationError> {
    for (name, value) in object.iter() {
        keys.validate(&Value::from(name.as_str()), tables)
            .map_err(|error| error.in_field(name.as_str()))?;
        values
            .validate(value, tables)
            .map_err(|error| error.in_field(name.as_str()))?;
    }
    Ok(())
}

impl ObjectValidator {
    /// Checks an object, as [`Validator::validate`] does.
    ///
    /// # Errors
    /// Returns the first error.
    pub fn validate(
        &self,
        object: &Object,
        tables: &dyn TableNames,
    ) -> Result<(), ValidationError> {
        let mut fields = self.0.iter();
        let mut missing = None;
        for (name, value) in object.iter() {
            let Some(field) = field_at(name.as_str(), &mut fields, &mut missing) else {
                let fields = self.0.keys().cloned().collect();
                return Err(
                    ValidationError::new(Problem::Unknown { fields }).in_field(name.as_str())
                );
            };
            field
                .validate(value, tables)
                .map_err(|error| error.in_field(name.as_str()))?;
        }

        match missing.or_else(|| fields.find(|(_, field)| !field.optional)) {
            None => Ok(()),
            Some((name, field)) => {
                let problem = Problem::Missing {
                    expected: field.validator.to_string(),
                };
                Err(ValidationError::new(problem).in_field(name))
            }
        }
    }
}

/// Advances in the validator's fields to the one with this name.
///
/// The fields of the object have the same order. The fields between are therefore missing from the
/// object, and `missing` keeps the first required one.
fn field_at<'v>(
    name: &str,
    fields: &mut btree_map::Iter<'v, String, FieldValidator>,
    missing: &mut Option<(&'v String, &'v FieldValidator)>,
) -> Option<&'v FieldValidator> {
    for (known, field) in fields {
        match known.as_str().cmp(name) {
            Ordering::Equal => return Some(field),
            Ordering::Greater => return None,
            Ordering::Less if field.optional || missing.is_some() => {}
            Ordering::Less => *missing = Some((known, field)),
        }
    }
    None
}

impl FieldValidator {
    fn validate(&self, value: &Value, tables: &dyn TableNames) -> Result<(), ValidationError> {
        self.validator.validate(value, tables).map_err(|error| {
            if self.optional && value.is_null() {
                return ValidationError::new(Problem::NullForMissing {
                    expected: self.to_string(),
                });
            }
            error
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::v;
    use super::*;
    use crate::id::{InternalId, TableNumber};
    use crate::test_values::object;

    struct Jobs;

    impl TableNames for Jobs {
        fn number(&self, name: &str) -> Option<TableNumber> {
            (name == "jobs").then_some(TableNumber::FIRST_USER)
        }

        fn name(&self, number: TableNumber) -> Option<&str> {
            (number == TableNumber::FIRST_USER).then_some("jobs")
        }
    }

    fn error(validator: &Validator, value: &Value) -> String {
        validator.validate(value, &Jobs).unwrap_err().to_string()
    }

    #[test]
    fn an_error_prints_the_validator_as_its_author_wrote_it() {
        let job = v::object([
            ("jobId", FieldValidator::from(v::string())),
            ("createdAt", v::number().into()),
            ("result", v::optional(v::string())),
        ]);
        let value = |fields: &[(&'static str, Value)]| object(fields);
        let id = ("jobId", Value::from("x"));
        let at = ("createdAt", Value::Float64(1.0));
        assert_eq!(
            job.validate(&value(&[id.clone(), at.clone()]), &Jobs),
            Ok(())
        );
        assert_eq!(
            error(&job, &value(&[id.clone(), ("createdAt", "soon".into())])),
            "`createdAt`: expected v.number(), got \"soon\""
        );
        assert_eq!(
            error(&job, &value(std::slice::from_ref(&id))),
            "`createdAt`: missing, expected v.number()"
        );
        assert_eq!(
            error(
                &job,
                &value(&[id.clone(), at.clone(), ("foo", true.into())])
            ),
            "`foo`: unknown field; expected one of `createdAt`, `jobId`, `result`"
        );
        assert_eq!(
            error(&job, &value(&[id, at, ("result", Value::Null)])),
            "`result`: expected v.optional(v.string()), got null (leave the field out instead)"
        );
        assert_eq!(
            error(&v::string(), &Value::Null),
            "expected v.string(), got null"
        );
    }

    #[test]
    fn the_error_of_null_for_a_required_field_does_not_suggest_omitting_it() {
        let validator = v::object([("f", v::string())]);
        assert_eq!(
            error(&validator, &object(&[("f", Value::Null)])),
            "`f`: expected v.string(), got null"
        );
    }

    #[test]
    fn numbers_of_different_types_do_not_match() {
        assert!(v::number().validate(&Value::Int64(1), &()).is_err());
        assert!(v::int64().validate(&Value::Float64(1.0), &()).is_err());
        assert!(v::literal(1.0).validate(&Value::Int64(1), &()).is_err());
        assert!(v::literal(1.0).validate(&Value::Float64(1.0), &()).is_ok());
        assert!(v::union([]).validate(&Value::Null, &()).is_err());
        assert!(v::any().validate(&Value::Null, &()).is_ok());
    }

    #[test]
    fn an_id_must_belong_to_its_table() {
        let id = |table| {
            DocumentId {
                table: TableNumber::new(table).unwrap(),
                internal: InternalId([7; 16]),
            }
            .to_string()
        };
        assert!(v::id("jobs").validate(&id(10_001).into(), &Jobs).is_ok());
        assert_eq!(
            error(&v::id("apps"), &id(10_001).into()),
            "expected v.id(\"apps\"), got an id of table \"jobs\""
        );
        assert!(
            error(&v::id("jobs"), &id(10_002).into()).starts_with("expected v.id(\"jobs\"), got")
        );
        assert_eq!(
            error(&v::id("jobs"), &"nonsense".into()),
            "expected v.id(\"jobs\"), got \"nonsense\""
        );
    }

    #[test]
    fn the_error_of_a_tagged_union_is_about_the_variant_of_the_tag() {
        let shape = |kind: &'static str, field: &'static str| {
            v::object([("type", v::literal(kind)), (field, v::number())])
        };
        let union = v::union([shape("circle", "radius"), shape("square", "side")]);
        let wrong = object(&[("type", "square".into()), ("side", "x".into())]);
        assert_eq!(
            error(&union, &wrong),
            "`side`: expected v.number(), got \"x\""
        );
        let none = object(&[("type", "line".into())]);
        assert!(error(&union, &none).starts_with("expected v.union(v.object("));
    }

    #[test]
    fn the_error_of_a_union_with_null_is_about_the_other_member() {
        let inner = v::object([("n", v::number())]);
        let wrong = object(&[("n", "x".into())]);
        let union = v::union([v::null(), inner.clone()]);
        assert_eq!(error(&union, &wrong), "`n`: expected v.number(), got \"x\"");
        let nested = v::union([v::null(), v::union([v::array(v::number()), inner.clone()])]);
        assert_eq!(
            error(&nested, &wrong),
            "`n`: expected v.number(), got \"x\""
        );
        assert_eq!(
            error(&v::union([v::null(), v::string()]), &true.into()),
            "expected v.union(v.null(), v.string()), got true"
        );
        let either = v::union([inner, v::record(v::string(), v::bytes())]);
        assert!(error(&either, &wrong).starts_with("expected v.union("));
    }

    #[test]
    fn an_optional_nullable_field_may_be_null_or_missing() {
        let validator = v::object([("f", v::optional(v::union([v::null(), v::string()])))]);
        assert_eq!(
            validator.validate(&object(&[("f", Value::Null)]), &()),
            Ok(())
        );
        assert_eq!(validator.validate(&object(&[]), &()), Ok(()));
    }

    #[test]
    fn the_subject_precedes_the_path() {
        let error = v::object([("f", v::string())])
            .validate(&object(&[]), &())
            .unwrap_err();
        assert_eq!(
            error.with_subject("argument"),
            "argument `f`: missing, expected v.string()"
        );
        let error = v::string().validate(&Value::Null, &()).unwrap_err();
        assert_eq!(
            error.with_subject("result"),
            "result: expected v.string(), got null"
        );
    }

    #[test]
    fn a_message_lists_a_limited_number_of_fields() {
        let many = v::object((0..100).map(|at| (format!("f{at:02}"), v::any())));
        let text = error(
            &v::array(many),
            &Value::Array(vec![object(&[("x", true.into())])]),
        );
        assert!(
            text.starts_with("`[0].x`: unknown field; expected one of `f00`, ")
                && text.ends_with("`f23`, …"),
            "{text}"
        );
    }

    #[test]
    fn errors_in_arrays_and_records_contain_the_path() {
        let list = v::array(v::record(v::string(), v::number()));
        let value = Value::Array(vec![object(&[]), object(&[("a", true.into())])]);
        assert_eq!(
            error(&list, &value),
            "`[1].a`: expected v.number(), got true"
        );
    }
}
