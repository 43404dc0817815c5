use std::collections::HashSet;

use lentil_values::{FieldPath, NameError, Validator, ValidatorError, check_identifier};
use serde_json::{Value as Json, json};

use crate::{Document, IndexDefinition, Table};

const MAX_INDEXES: usize = 64;
const MAX_INDEX_FIELDS: usize = 16;

/// An application's tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    tables: Vec<Table>,
}

/// A schema that makes no sense: correct it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A table's name is no identifier.
    #[error("table: {0}")]
    TableName(#[from] NameError),
    /// A table's name begins with `_`, as the system's do.
    #[error("table \"{0}\": names beginning with `_` are the system's")]
    ReservedTable(String),
    /// Two tables have one name.
    #[error("two tables are named \"{0}\"")]
    DuplicateTable(String),
    /// A field stands twice, or in a table whose documents are no plain object.
    #[error("table \"{table}\": the field `{field}` stands twice, or beside a document type that is no object")]
    Field {
        /// The table.
        table: String,
        /// The field.
        field: String,
    },
    /// A validator makes no sense.
    #[error("table \"{table}\": {source}")]
    Validator {
        /// The table.
        table: String,
        /// What is wrong with it.
        source: ValidatorError,
    },
    /// Documents are objects.
    #[error("table \"{0}\": documents are v.object(), a v.union() of objects, or v.any()")]
    DocumentType(String),
    /// A field begins with `_`, as the system's do.
    #[error("table \"{table}\": the field `{field}` begins with `_`, which only system fields do")]
    ReservedField {
        /// The table.
        table: String,
        /// The field.
        field: String,
    },
    /// `v.id()` names a table that does not exist.
    #[error("table \"{table}\": v.id(\"{target}\") names a table that the schema does not have")]
    UnknownTable {
        /// The table with the validator.
        table: String,
        /// The table it names.
        target: String,
    },
    /// An index makes no sense.
    #[error("index {index}: {reason}")]
    Index {
        /// The index, as `table.index`.
        index: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A table has too many indexes.
    #[error("table \"{0}\" has more than {MAX_INDEXES} indexes")]
    TooManyIndexes(String),
}

impl Schema {
    /// No tables.
    pub fn new() -> Schema {
        Schema::default()
    }

    /// Adds the table of a document type.
    #[must_use]
    pub fn table<T: Document>(self) -> Schema {
        self.with(T::table())
    }

    /// Adds a table made by hand.
    #[must_use]
    pub fn with(mut self, table: Table) -> Schema {
        self.tables.push(table);
        self
    }

    /// The tables, in the order they were added.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Checks that it makes sense.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn check(&self) -> Result<(), SchemaError> {
        let mut names = HashSet::new();
        for table in &self.tables {
            if !names.insert(table.name()) {
                return Err(SchemaError::DuplicateTable(table.name().to_owned()));
            }
        }
        self.tables.iter().try_for_each(|table| self.check_table(table))
    }

    fn check_table(&self, table: &Table) -> Result<(), SchemaError> {
        let name = || table.name().to_owned();
        if let Some(problem) = &table.problem {
            return Err(problem.clone());
        }
        check_identifier(table.name())?;
        if table.name().starts_with('_') {
            return Err(SchemaError::ReservedTable(name()));
        }
        table.document().check().map_err(|source| SchemaError::Validator { table: name(), source })?;
        self.check_document(table, table.document())?;
        self.check_ids(table, table.document())?;
        if table.indexes().len() > MAX_INDEXES {
            return Err(SchemaError::TooManyIndexes(name()));
        }
        let mut names = HashSet::new();
        for index in table.indexes() {
            let fresh = names.insert(&index.name);
            check_index(table, index, fresh)
                .map_err(|reason| SchemaError::Index { index: format!("{}.{}", table.name(), index.name), reason })?;
        }
        Ok(())
    }

    fn check_document(&self, table: &Table, document: &Validator) -> Result<(), SchemaError> {
        match document {
            Validator::Any => Ok(()),
            Validator::Union(members) if !members.is_empty() => {
                members.iter().try_for_each(|member| self.check_document(table, member))
            }
            Validator::Object(object) => match object.0.keys().find(|field| field.starts_with('_')) {
                Some(field) => Err(SchemaError::ReservedField { table: table.name().to_owned(), field: field.clone() }),
                None => Ok(()),
            },
            _ => Err(SchemaError::DocumentType(table.name().to_owned())),
        }
    }

    /// Ids of system tables, such as `_storage`, are the system's to know.
    fn check_ids(&self, table: &Table, validator: &Validator) -> Result<(), SchemaError> {
        let check = |inner: &Validator| self.check_ids(table, inner);
        match validator {
            Validator::Id(target) if self.tables.iter().all(|table| table.name() != target) => {
                Err(SchemaError::UnknownTable { table: table.name().to_owned(), target: target.clone() })
            }
            Validator::Array(element) => check(element),
            Validator::Record { keys, values } => check(keys).and_then(|()| check(values)),
            Validator::Union(members) => members.iter().try_for_each(check),
            Validator::Object(object) => object.0.values().try_for_each(|field| check(&field.validator)),
            _ => Ok(()),
        }
    }

    /// The form in which Convex's tools read schemas.
    pub fn to_json(&self) -> Json {
        let index = |index: &IndexDefinition| {
            let fields: Vec<String> = index.fields.iter().map(FieldPath::to_string).collect();
            json!({ "indexDescriptor": index.name, "fields": fields })
        };
        let table = |table: &Table| {
            json!({
                "tableName": table.name(),
                "indexes": table.indexes().iter().map(index).collect::<Vec<_>>(),
                "stagedDbIndexes": [],
                "searchIndexes": [],
                "stagedSearchIndexes": [],
                "vectorIndexes": [],
                "stagedVectorIndexes": [],
                "documentType": table.document().to_json(),
            })
        };
        json!({ "tables": self.tables.iter().map(table).collect::<Vec<_>>(), "schemaValidation": true })
    }
}

fn check_index(table: &Table, index: &IndexDefinition, fresh: bool) -> Result<(), String> {
    check_identifier(&index.name).map_err(|error| error.to_string())?;
    if index.name.starts_with('_') || matches!(index.name.as_str(), "by_id" | "by_creation_time") {
        return Err("the name is the system's; choose another".to_owned());
    }
    if !fresh {
        return Err("two indexes have this name".to_owned());
    }
    if index.fields.is_empty() || index.fields.len() > MAX_INDEX_FIELDS {
        return Err(format!("an index has 1 to {MAX_INDEX_FIELDS} fields"));
    }
    for (at, field) in index.fields.iter().enumerate() {
        let name = field.to_string();
        if matches!(name.as_str(), "_id" | "_creationTime") {
            return Err(format!("`{name}` ends every index by itself; leave it out"));
        }
        if index.fields[..at].contains(field) {
            return Err(format!("the field `{name}` stands twice"));
        }
        if !has_field(table.document(), field.parts()) {
            return Err(format!("the table's documents have no field `{name}`"));
        }
    }
    Ok(())
}

/// Whether values of this type can have something at the path.
fn has_field(validator: &Validator, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    match validator {
        Validator::Any | Validator::Record { .. } => true,
        Validator::Union(members) => members.iter().any(|member| has_field(member, path)),
        Validator::Object(object) => object.0.get(first).is_some_and(|field| has_field(&field.validator, rest)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use lentil_values::v;

    use super::*;

    fn refusal(table: Table) -> String {
        Schema::new().with(table).check().unwrap_err().to_string()
    }

    fn jobs() -> Table {
        Table::new("jobs").field("jobId", v::string())
    }

    #[test]
    fn a_schema_that_makes_no_sense_is_refused_with_its_place() {
        assert!(refusal(Table::new("a-b")).contains("is no name"));
        assert!(refusal(Table::new("_jobs")).contains("are the system's"));
        assert!(refusal(jobs().field("jobId", v::any())).contains("stands twice"));
        assert!(refusal(jobs().field("_x", v::any())).contains("only system fields"));
        assert!(refusal(jobs().with_document(v::string())).contains("documents are v.object()"));
        assert!(refusal(jobs().field("app", v::array(v::id("apps")))).contains("v.id(\"apps\") names a table"));
        assert!(refusal(jobs().field("x", v::literal(f64::NAN))).contains("NaN"));
        let index = |name: &str, fields: &[&'static str]| refusal(jobs().index(name, fields.iter().copied()));
        assert_eq!(index("by_id", &["jobId"]), "index jobs.by_id: the name is the system's; choose another");
        assert!(index("by_x", &["x"]).contains("have no field `x`"));
        assert!(index("by_x", &["jobId.x"]).contains("have no field `jobId.x`"));
        assert!(index("by_x", &["_creationTime"]).contains("ends every index by itself"));
        assert!(index("by_x", &["jobId", "jobId"]).contains("stands twice"));
        assert!(index("by_x", &[]).contains("1 to 16 fields"));
        assert!(index("by_x", &["a..b"]).contains("is no field path"));
        assert!(refusal(jobs().index("a", ["jobId"]).index("a", ["jobId"])).contains("two indexes"));
        let twice = Schema::new().with(jobs()).with(jobs());
        assert_eq!(twice.check(), Err(SchemaError::DuplicateTable("jobs".to_owned())));
    }

    #[test]
    fn the_json_is_what_the_official_tools_read() {
        let schema = Schema::new().with(jobs().index("by_jobId", ["jobId"]));
        assert_eq!(schema.check(), Ok(()));
        let json = schema.to_json();
        assert_eq!(json["tables"][0]["tableName"], "jobs");
        assert_eq!(json["tables"][0]["indexes"][0], json!({"indexDescriptor": "by_jobId", "fields": ["jobId"]}));
        assert_eq!(json["tables"][0]["documentType"], jobs().document().to_json());
        assert_eq!(json["schemaValidation"], true);
    }
}
