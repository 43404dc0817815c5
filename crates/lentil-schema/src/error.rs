use lentil_values::{FieldPathError, NameError, ValidatorError};

/// The maximum number of indexes of a table.
pub(crate) const MAX_INDEXES: usize = 64;

/// The maximum number of fields in an index.
pub(crate) const MAX_INDEX_FIELDS: usize = 16;

/// A schema is not valid. Each variant says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Give the table a name that is an identifier.
    #[error("table: {0}")]
    TableName(#[from] NameError),
    /// Give the table a name that does not begin with `_`.
    #[error("table \"{0}\": names that begin with `_` are reserved for the system")]
    ReservedTable(String),
    /// Rename one of the two tables.
    #[error("two tables are named \"{0}\"")]
    DuplicateTable(String),
    /// Remove one of the two fields.
    #[error("table \"{table}\": the field `{field}` is declared twice")]
    DuplicateField {
        /// The table.
        table: String,
        /// The field.
        field: String,
    },
    /// Move the field into the document type, or declare only fields.
    #[error(
        "table \"{table}\": the field `{field}` cannot be added to a document type that is not an object"
    )]
    FieldOfNoObject {
        /// The table.
        table: String,
        /// The field.
        field: String,
    },
    /// Rename the field.
    #[error(
        "table \"{table}\": the field `{field}` begins with `_`, which is reserved for system fields"
    )]
    ReservedField {
        /// The table.
        table: String,
        /// The field.
        field: String,
    },
    /// Correct the validator.
    #[error("table \"{table}\": {source}")]
    Validator {
        /// The table.
        table: String,
        /// The error of the validator.
        source: ValidatorError,
    },
    /// Make the documents objects.
    #[error(
        "table \"{0}\": the document type must be v.object(), a v.union() of objects, or v.any()"
    )]
    DocumentType(String),
    /// Add the table that the validator names, or correct its name.
    #[error("table \"{table}\": v.id(\"{target}\") names a table that the schema does not have")]
    UnknownTable {
        /// The table that contains the validator.
        table: String,
        /// The unknown table.
        target: String,
    },
    /// Correct the index.
    #[error("index {table}.{index}: {source}")]
    Index {
        /// The table.
        table: String,
        /// The index.
        index: String,
        /// The error of the index.
        source: IndexError,
    },
    /// Remove indexes, or split the table.
    #[error("table \"{0}\" has more than {MAX_INDEXES} indexes")]
    TooManyIndexes(String),
}

/// An index is not valid. Each variant says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// Give the index a name that is an identifier.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Choose another name.
    #[error("the name is reserved for the system; choose another")]
    Reserved,
    /// Rename one of the two indexes.
    #[error("two indexes have this name")]
    Duplicate,
    /// Give the index at least one field, and at most 16.
    #[error("an index must have 1 to {MAX_INDEX_FIELDS} fields")]
    FieldCount,
    /// Correct the path.
    #[error(transparent)]
    Path(#[from] FieldPathError),
    /// Omit the field.
    #[error("every index ends with `{0}` already; omit it")]
    SystemField(String),
    /// Remove one of the two fields.
    #[error("the index contains the field `{0}` twice")]
    DuplicateField(String),
    /// Correct the field's name, or add the field to the table.
    #[error("the table's documents have no field `{0}`")]
    UnknownField(String),
}
