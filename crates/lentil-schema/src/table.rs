use lentil_values::{
    FieldPath, FieldValidator, Object, ObjectValidator, TableNames, ValidationError, Validator,
    Value,
};

use crate::error::{IndexError, SchemaError};

/// A table: its name, the validator of its documents, and its indexes.
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
    /// The first error of a part that was added.
    pub(crate) problem: Option<SchemaError>,
}

/// An index of a table. It orders documents by its fields, then by `_creationTime` and `_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDefinition {
    /// The name, such as `by_jobId`.
    pub name: String,
    /// The fields.
    pub fields: Vec<FieldPath>,
    /// Whether two documents may not have equal values in all fields.
    pub unique: bool,
}

impl Table {
    /// Returns a table without fields.
    pub fn new(name: impl Into<String>) -> Table {
        let document = Validator::Object(ObjectValidator::default());
        Table {
            name: name.into(),
            document,
            indexes: Vec::new(),
            problem: None,
        }
    }

    /// Adds a required field.
    #[must_use]
    pub fn field(self, name: &str, validator: Validator) -> Table {
        self.with_field(name, validator.into())
    }

    /// Adds an optional field.
    #[must_use]
    pub fn optional(self, name: &str, validator: Validator) -> Table {
        self.with_field(
            name,
            FieldValidator {
                validator,
                optional: true,
            },
        )
    }

    /// Adds a field with its validator, which may be `v::optional(…)`.
    #[must_use]
    pub fn with_field(mut self, name: &str, field: FieldValidator) -> Table {
        let table = self.name.clone();
        let name = name.to_owned();
        let Validator::Object(ObjectValidator(fields)) = &mut self.document else {
            return self.with_problem(SchemaError::FieldOfNoObject { table, field: name });
        };
        match fields.insert(name.clone(), field) {
            None => self,
            Some(_) => self.with_problem(SchemaError::DuplicateField { table, field: name }),
        }
    }

    /// Sets the validator of documents as a whole: an object, a union of objects, or any value.
    #[must_use]
    pub fn with_document(mut self, document: Validator) -> Table {
        self.document = document;
        self
    }

    /// Adds an index over these fields. `a.b` is a field of a nested object.
    #[must_use]
    pub fn index<'a>(self, name: &str, fields: impl IntoIterator<Item = &'a str>) -> Table {
        let index = self.define_index(name, fields);
        self.with_index(index)
    }

    /// Adds a unique index: at the end of a mutation, no two documents have equal values in all its
    /// fields.
    ///
    /// A missing field counts as a value, so that only one document can lack it.
    #[must_use]
    pub fn unique_index<'a>(self, name: &str, fields: impl IntoIterator<Item = &'a str>) -> Table {
        let index = self.define_index(name, fields);
        self.with_index(index.map(|index| IndexDefinition {
            unique: true,
            ..index
        }))
    }

    fn define_index<'a>(
        &self,
        name: &str,
        fields: impl IntoIterator<Item = &'a str>,
    ) -> Result<IndexDefinition, SchemaError> {
        let fields = fields.into_iter().map(FieldPath::parse);
        Ok(IndexDefinition {
            name: name.to_owned(),
            fields: fields
                .collect::<Result<_, _>>()
                .map_err(|error| self.index_error(name, error.into()))?,
            unique: false,
        })
    }

    fn with_index(mut self, index: Result<IndexDefinition, SchemaError>) -> Table {
        match index {
            Ok(index) => {
                self.indexes.push(index);
                self
            }
            Err(problem) => self.with_problem(problem),
        }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the validator of documents without their system fields.
    pub fn document(&self) -> &Validator {
        &self.document
    }

    /// Returns the indexes without the two system indexes.
    pub fn indexes(&self) -> &[IndexDefinition] {
        &self.indexes
    }

    /// Checks the fields of a document, without the system fields.
    ///
    /// # Errors
    /// Returns the first error.
    pub fn validate(
        &self,
        fields: &Object,
        tables: &dyn TableNames,
    ) -> Result<(), ValidationError> {
        match &self.document {
            // Documents are almost always objects, and this arm does not clone the fields.
            Validator::Object(object) => object.validate(fields, tables),
            other => other.validate(&Value::Object(fields.clone()), tables),
        }
    }

    pub(crate) fn index_error(&self, index: &str, source: IndexError) -> SchemaError {
        SchemaError::Index {
            table: self.name.clone(),
            index: index.to_owned(),
            source,
        }
    }

    /// Keeps the first error for `Schema::check`, so that building a table needs no `?` at each
    /// part.
    fn with_problem(mut self, problem: SchemaError) -> Table {
        self.problem.get_or_insert(problem);
        self
    }
}
