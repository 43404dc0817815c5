use lentil_values::{FieldPath, FieldValidator, Object, ObjectValidator, TableNames, ValidationError, Validator};

use crate::SchemaError;

/// A table: its name, what its documents must be, and its indexes.
///
/// ```
/// use lentil_schema::Table;
/// use lentil_values::v;
///
/// let jobs = Table::new("jobs")
///     .field("jobId", v::string())
///     .optional("result", v::string())
///     .index("by_jobId", ["jobId"]);
/// assert_eq!(jobs.document().to_string(), "v.object({jobId: v.string(), result: v.optional(v.string())})");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    name: String,
    document: Validator,
    indexes: Vec<IndexDefinition>,
    /// What was wrong with a part as it was added; [`crate::Schema::check`] reports it.
    pub(crate) problem: Option<SchemaError>,
}

/// An index of a table: documents in the order of these fields, then of `_creationTime` and `_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDefinition {
    /// Its name, e.g. `by_jobId`.
    pub name: String,
    /// Its fields.
    pub fields: Vec<FieldPath>,
}

impl Table {
    /// A table with no fields.
    pub fn new(name: impl Into<String>) -> Table {
        let document = Validator::Object(ObjectValidator::default());
        Table { name: name.into(), document, indexes: Vec::new(), problem: None }
    }

    /// Adds a field that every document has.
    #[must_use]
    pub fn field(self, name: &str, validator: Validator) -> Table {
        self.with_field(name, validator.into())
    }

    /// Adds a field that a document may lack.
    #[must_use]
    pub fn optional(self, name: &str, validator: Validator) -> Table {
        self.with_field(name, FieldValidator { validator, optional: true })
    }

    /// Adds a field.
    #[must_use]
    pub fn with_field(mut self, name: &str, field: FieldValidator) -> Table {
        let fresh = match &mut self.document {
            Validator::Object(ObjectValidator(fields)) => fields.insert(name.to_owned(), field).is_none(),
            _ => false,
        };
        if !fresh {
            self.note(SchemaError::Field { table: self.name.clone(), field: name.to_owned() });
        }
        self
    }

    /// Sets what documents must be as a whole: an object, a union of objects, or anything.
    #[must_use]
    pub fn with_document(mut self, document: Validator) -> Table {
        self.document = document;
        self
    }

    /// Adds an index over these fields; `a.b` is a field of a nested object.
    #[must_use]
    pub fn index<'a>(mut self, name: &str, fields: impl IntoIterator<Item = &'a str>) -> Table {
        match fields.into_iter().map(FieldPath::parse).collect() {
            Ok(fields) => self.indexes.push(IndexDefinition { name: name.to_owned(), fields }),
            Err(error) => {
                let index = format!("{}.{name}", self.name);
                self.note(SchemaError::Index { index, reason: error.to_string() });
            }
        }
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its documents must be, the system fields apart.
    pub fn document(&self) -> &Validator {
        &self.document
    }

    /// Its indexes, the two system indexes apart.
    pub fn indexes(&self) -> &[IndexDefinition] {
        &self.indexes
    }

    /// Holds a document's fields, without the system fields, against the table.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn validate(&self, fields: &Object, tables: &dyn TableNames) -> Result<(), ValidationError> {
        match &self.document {
            Validator::Object(object) => object.validate(fields, tables),
            other => other.validate(&lentil_values::Value::Object(fields.clone()), tables),
        }
    }

    fn note(&mut self, problem: SchemaError) {
        self.problem.get_or_insert(problem);
    }
}
