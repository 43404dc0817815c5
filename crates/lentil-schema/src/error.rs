use lentil_values::{FieldPathError, NameError, ValidatorError};

/// The maximum number of indexes of a table.
pub(crate) const MAX_INDEXES: usize = 64;

/// The maximum number of fields in an index.
pub(crate) const MAX_INDEX_FIELDS: usize = 16;

/// A schema is not valid. Each variant says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The name of a table is not an identifier. Rename the table.
    #[error("table: {0}")]
    TableName(#[from] NameError),
    /// The name of a table begins with `_`. Rename the table.
    #[error("table \"{0}\": names that begin with `_` are reserved for the system")]
    ReservedTable(String),
    /// Two tables have the same name. Rename one of them.
    #[error("two tables are named \"{0}\"")]
    DuplicateTable(String),
    /// A table declares a field twice. Remove one of the two.
    #[error("table \"{table}\": the field `{field}` is declared twice")]
    DuplicateField {
        /// The table.
        table: String,
        /// The field.
        field: String,
    },
    /// A table has a document type and a field. Move the field into the type, or declare only
    /// fields.
    #[error(
        "table \"{table}\": the field `{field}` cannot be added to a document type that is not an object"
    )]
    FieldOfNoObject {
        /// The table.
        table: String,
        /// The field.
        field: String,
    },
    /// The name of a field begins with `_`. Rename the field.
    #[error(
        "table \"{table}\": the field `{field}` begins with `_`, which is reserved for system fields"
    )]
    ReservedField {
        /// The table.
        table: String,
        /// The field.
        field: String,
    },
    /// The validator of a table is not valid. Correct it.
    #[error("table \"{table}\": {source}")]
    Validator {
        /// The table.
        table: String,
        /// The error of the validator.
        source: ValidatorError,
    },
    /// The document type of a table is not an object. Change it to one.
    #[error(
        "table \"{0}\": the document type must be v.object(), a v.union() of objects, or v.any()"
    )]
    DocumentType(String),
    /// A validator names an unknown table. Add the table, or correct the name.
    #[error("table \"{table}\": v.id(\"{target}\") names a table that the schema does not have")]
    UnknownTable {
        /// The table that contains the validator.
        table: String,
        /// The unknown table.
        target: String,
    },
    /// An index is not valid. Correct it.
    #[error("index {table}.{index}: {source}")]
    Index {
        /// The table.
        table: String,
        /// The index.
        index: String,
        /// The error of the index.
        source: IndexError,
    },
    /// A table has too many indexes. Remove some, or split the table.
    #[error("table \"{0}\" has more than {MAX_INDEXES} indexes")]
    TooManyIndexes(String),
}

/// An index is not valid. Each variant says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The name of the index is not an identifier. Rename the index.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The system has an index of this name. Rename the index.
    #[error("the name is reserved for the system; choose another")]
    Reserved,
    /// Two indexes of a table have the same name. Rename one of them.
    #[error("two indexes have this name")]
    Duplicate,
    /// The index has no fields, or more than 16. Change its fields.
    #[error("an index must have 1 to {MAX_INDEX_FIELDS} fields")]
    FieldCount,
    /// The path of a field is not valid. Correct it.
    #[error(transparent)]
    Path(#[from] FieldPathError),
    /// The index contains a system field. Remove it: every index ends with the system fields.
    #[error("every index ends with `{0}` already; omit it")]
    SystemField(String),
    /// The index contains a field twice. Remove one of the two.
    #[error("the index contains the field `{0}` twice")]
    DuplicateField(String),
    /// The table does not have the field. Correct the name, or add the field to the table.
    #[error("the table's documents have no field `{0}`")]
    UnknownField(String),
}
