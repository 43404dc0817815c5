use lentil_values::FieldPath;
use serde_json::{Value as Json, json};

use crate::check::check;
use crate::document::Document;
use crate::error::SchemaError;
use crate::table::{IndexDefinition, Table};

/// An application's tables.
///
/// ```
/// use lentil_schema::{Schema, Table};
/// use lentil_values::v;
///
/// let jobs = Table::new("jobs").field("jobId", v::string()).index("by_jobId", ["jobId"]);
/// let schema = Schema::new().with(jobs);
/// assert_eq!(schema.check(), Ok(()));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    tables: Vec<Table>,
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
        check(&self.tables)
    }

    /// The form in which Convex's tools read schemas. It has no word for an index that is unique.
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

#[cfg(test)]
mod tests {
    use lentil_values::v;

    use super::*;

    #[test]
    fn the_json_is_what_the_official_tools_read() {
        let jobs = Table::new("jobs")
            .field("jobId", v::string())
            .index("by_jobId", ["jobId"]);
        let document_type = jobs.document().to_json();
        let schema = Schema::new().with(jobs);
        let json = schema.to_json();
        assert_eq!(json["tables"][0]["tableName"], "jobs");
        assert_eq!(
            json["tables"][0]["indexes"][0],
            json!({"indexDescriptor": "by_jobId", "fields": ["jobId"]})
        );
        assert_eq!(json["tables"][0]["documentType"], document_type);
        assert_eq!(json["schemaValidation"], true);
    }

    #[test]
    fn the_json_of_a_unique_index_is_that_of_another() {
        let jobs = || Table::new("jobs").field("jobId", v::string());
        let plain = Schema::new().with(jobs().index("by_jobId", ["jobId"]));
        let unique = Schema::new().with(jobs().unique_index("by_jobId", ["jobId"]));
        assert_ne!(plain, unique);
        assert_eq!(plain.to_json(), unique.to_json());
    }
}
