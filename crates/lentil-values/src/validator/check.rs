use super::{FieldValidator, ObjectValidator, Problem, TableNames, ValidationError, Validator};
use crate::{DocumentId, Object, Value};

impl Validator {
    /// Holds a value against it.
    ///
    /// Objects are strict at every depth: a field that is not listed is an error.
    ///
    /// # Errors
    /// The first thing found wrong; of a union, what is wrong with the member that fits best.
    pub fn validate(&self, value: &Value, tables: &dyn TableNames) -> Result<(), ValidationError> {
        let fits = match (self, value) {
            (Validator::Any, _)
            | (Validator::Null, Value::Null)
            | (Validator::Float64, Value::Float64(_))
            | (Validator::Int64, Value::Int64(_))
            | (Validator::Boolean, Value::Boolean(_))
            | (Validator::String, Value::String(_))
            | (Validator::Bytes, Value::Bytes(_)) => true,
            (Validator::Literal(literal), value) => literal == value,
            (Validator::Id(table), Value::String(text)) => return self.validate_id(table, text, tables),
            (Validator::Array(element), Value::Array(elements)) => return validate_array(element, elements, tables),
            (Validator::Record { keys, values }, Value::Object(object)) => {
                return validate_record(keys, values, object, tables);
            }
            (Validator::Union(members), value) => return self.validate_union(members, value, tables),
            (Validator::Object(validator), Value::Object(object)) => return validator.validate(object, tables),
            _ => false,
        };
        if fits { Ok(()) } else { Err(self.mismatch(value)) }
    }

    fn mismatch(&self, value: &Value) -> ValidationError {
        ValidationError::new(Problem::Mismatch { expected: self.to_string(), got: value.to_string() })
    }

    fn validate_id(&self, table: &str, text: &str, tables: &dyn TableNames) -> Result<(), ValidationError> {
        let number = text.parse::<DocumentId>().ok().map(|id| id.table);
        match number.and_then(|number| tables.name(number)) {
            Some(found) if found == table => Ok(()),
            Some(found) => {
                let problem = Problem::WrongTable { expected: self.to_string(), got: found.to_owned() };
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
        let mut best: Option<ValidationError> = None;
        for member in members {
            let Err(error) = member.validate(value, tables) else { return Ok(()) };
            let is_meant = members.len() == 1 || member.is_meant_by(value);
            if is_meant && best.is_none() {
                best = Some(error);
            }
        }
        Err(best.unwrap_or_else(|| self.mismatch(value)))
    }

    /// Whether a value that is none of a union's members was meant to be this one: an object whose literal fields,
    /// its tags, are all as this member has them.
    fn is_meant_by(&self, value: &Value) -> bool {
        let (Validator::Object(validator), Value::Object(object)) = (self, value) else { return false };
        let mut tags =
            validator.0.iter().filter(|(_, field)| matches!(field.validator, Validator::Literal(_))).peekable();
        tags.peek().is_some()
            && tags.all(|(name, field)| {
                object.get(name).is_some_and(|value| field.validator == Validator::Literal(value.clone()))
            })
    }
}

fn validate_array(element: &Validator, values: &[Value], tables: &dyn TableNames) -> Result<(), ValidationError> {
    for (at, value) in values.iter().enumerate() {
        element.validate(value, tables).map_err(|error| error.in_element(at))?;
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
        keys.validate(&Value::from(name.as_str()), tables).map_err(|error| error.in_field(name.as_str()))?;
        values.validate(value, tables).map_err(|error| error.in_field(name.as_str()))?;
    }
    Ok(())
}

impl ObjectValidator {
    /// As [`Validator::validate`], for an object.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn validate(&self, object: &Object, tables: &dyn TableNames) -> Result<(), ValidationError> {
        for (name, value) in object.iter() {
            let Some(field) = self.0.get(name.as_str()) else {
                let fields = self.0.keys().cloned().collect();
                return Err(ValidationError::new(Problem::Unknown { fields }).in_field(name.as_str()));
            };
            field.validate(value, tables).map_err(|error| error.in_field(name.as_str()))?;
        }
        let missing = self.0.iter().find(|(name, field)| !field.optional && object.get(name).is_none());
        missing.map_or(Ok(()), |(name, field)| {
            let problem = Problem::Missing { expected: field.validator.to_string() };
            Err(ValidationError::new(problem).in_field(name))
        })
    }
}

impl FieldValidator {
    fn validate(&self, value: &Value, tables: &dyn TableNames) -> Result<(), ValidationError> {
        self.validator.validate(value, tables).map_err(|error| {
            if self.optional && value.is_null() {
                return ValidationError::new(Problem::NullForMissing { expected: self.to_string() });
            }
            error
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::v;
    use super::*;
    use crate::value::tests::object;
    use crate::{InternalId, TableNumber};

    struct Jobs;

    impl TableNames for Jobs {
        fn number(&self, name: &str) -> Option<TableNumber> {
            (name == "jobs").then_some(TableNumber::FIRST_USER)
        }

        fn name(&self, number: TableNumber) -> Option<&str> {
            (number == TableNumber::FIRST_USER).then_some("jobs")
        }
    }

    fn refusal(validator: &Validator, value: &Value) -> String {
        validator.validate(value, &Jobs).unwrap_err().to_string()
    }

    #[test]
    fn an_error_prints_as_the_author_wrote_it() {
        let job = v::object([
            ("jobId", FieldValidator::from(v::string())),
            ("createdAt", v::number().into()),
            ("result", v::optional(v::string())),
        ]);
        let value = |fields: &[(&'static str, Value)]| object(fields);
        let id = ("jobId", Value::from("x"));
        let at = ("createdAt", Value::Float64(1.0));
        assert_eq!(job.validate(&value(&[id.clone(), at.clone()]), &Jobs), Ok(()));
        assert_eq!(
            refusal(&job, &value(&[id.clone(), ("createdAt", "soon".into())])),
            "`createdAt`: expected v.number(), got \"soon\""
        );
        assert_eq!(refusal(&job, &value(&[id.clone()])), "`createdAt`: missing; expected v.number()");
        assert_eq!(
            refusal(&job, &value(&[id.clone(), at.clone(), ("foo", true.into())])),
            "`foo`: unknown field; expected one of `createdAt`, `jobId`, `result`"
        );
        assert_eq!(
            refusal(&job, &value(&[id, at, ("result", Value::Null)])),
            "`result`: expected v.optional(v.string()), got null; leave the field out instead"
        );
        assert_eq!(refusal(&v::string(), &Value::Null), "expected v.string(), got null");
    }

    #[test]
    fn types_are_told_apart_and_literals_compare_with_their_type() {
        assert!(v::number().validate(&Value::Int64(1), &()).is_err());
        assert!(v::int64().validate(&Value::Float64(1.0), &()).is_err());
        assert!(v::literal(1.0).validate(&Value::Int64(1), &()).is_err());
        assert!(v::literal(1.0).validate(&Value::Float64(1.0), &()).is_ok());
        assert!(v::union([]).validate(&Value::Null, &()).is_err());
        assert!(v::any().validate(&Value::Null, &()).is_ok());
    }

    #[test]
    fn an_id_must_be_one_of_its_table() {
        let id =
            |table| DocumentId { table: TableNumber::new(table).unwrap(), internal: InternalId([7; 16]) }.to_string();
        assert!(v::id("jobs").validate(&id(10_001).into(), &Jobs).is_ok());
        assert_eq!(refusal(&v::id("apps"), &id(10_001).into()), "expected v.id(\"apps\"), got an id of table \"jobs\"");
        assert!(refusal(&v::id("jobs"), &id(10_002).into()).starts_with("expected v.id(\"jobs\"), got"));
        assert_eq!(refusal(&v::id("jobs"), &"nonsense".into()), "expected v.id(\"jobs\"), got \"nonsense\"");
    }

    #[test]
    fn a_union_of_tagged_objects_blames_the_one_that_was_meant() {
        let shape =
            |kind: &'static str, field: &'static str| v::object([("type", v::literal(kind)), (field, v::number())]);
        let union = v::union([shape("circle", "radius"), shape("square", "side")]);
        let wrong = object(&[("type", "square".into()), ("side", "x".into())]);
        assert_eq!(refusal(&union, &wrong), "`side`: expected v.number(), got \"x\"");
        let none = object(&[("type", "line".into())]);
        assert!(refusal(&union, &none).starts_with("expected v.union(v.object("));
    }

    #[test]
    fn arrays_and_records_name_the_place() {
        let list = v::array(v::record(v::string(), v::number()));
        let value = Value::Array(vec![object(&[]), object(&[("a", true.into())])]);
        assert_eq!(refusal(&list, &value), "`[1].a`: expected v.number(), got true");
    }
}
