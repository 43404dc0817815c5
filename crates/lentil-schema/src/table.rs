use lentil_values::{
    FieldPath, FieldValidator, Object, ObjectValidator, TableNames, ValidationError, Validator,
    Value,
};

use crate::error::{IndexError, SchemaError};

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
    /// The first thing that was wrong with a part as it was added.
    pub(crate) problem: Option<SchemaError>,
}

/// An index of a table: documents in the order of these fields, then of `_creationTime` and `_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDefinition {
    /// Its name, e.g. `by_jobId`.
    pub name: String,
    /// Its fields.
    pub fields: Vec<FieldPath>,
    /// Whether no two documents may be equal in all of them.
    pub unique: bool,
}

impl Table {
    /// A table with no fields.
    pub fn new(name: impl Into<String>) -> Table {
        let document = Validator::Object(ObjectValidator::default());
        Table {
            name: name.into(),
            document,
            indexes: Vec::new(),
            problem: None,
        }
    }

    /// Adds a field that every document has.
    #[must_use]
    pub fn field(self, name: &str, validator: Validator) -> Table {
        self.with_field(name, validator.into())
    }

    /// Adds a field that a document may lack.
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

    /// Adds a field as its validator says: one of an object, or `v::optional(…)`.
    #[must_use]
    pub fn with_field(mut self, name: &str, field: FieldValidator) -> Table {
        let (table, owned) = (self.name.clone(), name.to_owned());
        let Validator::Object(ObjectValidator(fields)) = &mut self.document else {
            return self.with_problem(SchemaError::FieldOfNoObject {
                table,
                field: owned,
            });
        };
        match fields.insert(name.to_owned(), field) {
            None => self,
            Some(_) => self.with_problem(SchemaError::DuplicateField {
                table,
                field: owned,
            }),
        }
    }

    /// Sets what documents must be as a whole: an object, a union of objects, or anything.
    #[must_use]
    pub fn with_document(mut self, document: Validator) -> Table {
        self.document = document;
        self
    }

    /// Adds an index over these fields; `a.b` is a field of a nested object.
    #[must_use]
    pub fn index<'a>(self, name: &str, fields: impl IntoIterator<Item = &'a str>) -> Table {
        self.with_index(name, fields, false)
    }

    /// Adds an index over these fields that is unique: no two documents are equal in all of them when a mutation ends.
    ///
    /// A field that is missing counts as a value like any other: one document may lack it, and no second one.
    #[must_use]
    pub fn unique_index<'a>(self, name: &str, fields: impl IntoIterator<Item = &'a str>) -> Table {
        self.with_index(name, fields, true)
    }

    fn with_index<'a>(
        mut self,
        name: &str,
        fields: impl IntoIterator<Item = &'a str>,
        unique: bool,
    ) -> Table {
        match fields.into_iter().map(FieldPath::parse).collect() {
            Ok(fields) => {
                self.indexes.push(IndexDefinition {
                    name: name.to_owned(),
                    fields,
                    unique,
                });
                self
            }
            Err(error) => {
                let problem = self.index_error(name, error.into());
                self.with_problem(problem)
            }
        }
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
    pub fn validate(
        &self,
        fields: &Object,
        tables: &dyn TableNames,
    ) -> Result<(), ValidationError> {
        match &self.document {
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

    /// Keeps the first problem for [`crate::Schema::check`], so that a table can be built without a `?` at every part.
    fn with_problem(mut self, problem: SchemaError) -> Table {
        self.problem.get_or_insert(problem);
        self
    }
}
