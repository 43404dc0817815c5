use lentil_values::{FieldPathError, NameError, ValidatorError};

/// The most indexes that a table has.
pub(crate) const MAX_INDEXES: usize = 64;

/// The most fields that an index has.
pub(crate) const MAX_INDEX_FIELDS: usize = 16;

/// A schema that makes no sense: correct what it names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Give the table a name that is an identifier.
    #[error("table: {0}")]
    TableName(#[from] NameError),
    /// Give the table a name that does not begin with `_`.
    #[error("table \"{0}\": names beginning with `_` are the system's")]
    ReservedTable(String),
    /// Rename one of the two tables.
    #[error("two tables are named \"{0}\"")]
    DuplicateTable(String),
    /// Remove one of the two fields.
    #[error("table \"{table}\": the field `{field}` stands twice")]
    DuplicateField {
        /// The table.
        table: String,
        /// The field.
        field: String,
    },
    /// Put the field into the document type, or leave the document type to the fields.
    #[error(
        "table \"{table}\": the field `{field}` stands beside a document type that is no object"
    )]
    FieldOfNoObject {
        /// The table.
        table: String,
        /// The field.
        field: String,
    },
    /// Rename the field.
    #[error("table \"{table}\": the field `{field}` begins with `_`, which only system fields do")]
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
        /// What is wrong with it.
        source: ValidatorError,
    },
    /// Make the documents objects.
    #[error("table \"{0}\": documents are v.object(), a v.union() of objects, or v.any()")]
    DocumentType(String),
    /// Add the table that the validator names, or correct its name.
    #[error("table \"{table}\": v.id(\"{target}\") names a table that the schema does not have")]
    UnknownTable {
        /// The table with the validator.
        table: String,
        /// The table it names.
        target: String,
    },
    /// Correct the index.
    #[error("index {table}.{index}: {source}")]
    Index {
        /// The table.
        table: String,
        /// The index.
        index: String,
        /// What is wrong with it.
        source: IndexError,
    },
    /// Remove indexes, or split the table.
    #[error("table \"{0}\" has more than {MAX_INDEXES} indexes")]
    TooManyIndexes(String),
}

/// An index that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// Give it a name that is an identifier.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Choose another name: this one is the system's.
    #[error("the name is the system's; choose another")]
    Reserved,
    /// Rename one of the two.
    #[error("two indexes have this name")]
    Duplicate,
    /// Give it at least one field, and no more than can be.
    #[error("an index has 1 to {MAX_INDEX_FIELDS} fields")]
    FieldCount,
    /// Correct the path.
    #[error(transparent)]
    Path(#[from] FieldPathError),
    /// Leave the field out.
    #[error("`{0}` ends every index by itself; leave it out")]
    SystemField(String),
    /// Remove one of the two fields.
    #[error("the field `{0}` stands twice")]
    DuplicateField(String),
    /// Correct the field's name, or add the field to the table.
    #[error("the table's documents have no field `{0}`")]
    UnknownField(String),
}
