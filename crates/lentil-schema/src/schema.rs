use lentil_values::FieldPath;
use serde_json::{Value as Json, json};

use crate::check::check;
use crate::document::Document;
use crate::error::SchemaError;
use crate::table::{IndexDefinition, Table};

/// The tables of an application.
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
    /// Returns a schema without tables.
    pub fn new() -> Schema {
        Schema::default()
    }

    /// Adds the table of a document type.
    #[must_use]
    pub fn table<T: Document>(self) -> Schema {
        self.with(T::table())
    }

    /// Adds a table that was built by hand.
    #[must_use]
    pub fn with(mut self, table: Table) -> Schema {
        self.tables.push(table);
        self
    }

    /// Returns the tables in the order in which they were added.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Checks the tables, their validators and their indexes.
    ///
    /// # Errors
    /// Returns the first error.
    pub fn check(&self) -> Result<(), SchemaError> {
        check(&self.tables)
    }

    /// Returns the JSON that Convex's tools read. It does not distinguish unique indexes.
    pub fn to_json(&self) -> Json {
        let tables: Vec<Json> = self.tables.iter().map(table_to_json).collect();
        json!({ "tables": tables, "schemaValidation": true })
    }
}

fn table_to_json(table: &Table) -> Json {
    let indexes: Vec<Json> = table.indexes().iter().map(index_to_json).collect();
    json!({
        "tableName": table.name(),
        "indexes": indexes,
        // Convex's tools expect these keys. Lentil has no staged, search or vector indexes.
        "stagedDbIndexes": [],
        "searchIndexes": [],
        "stagedSearchIndexes": [],
        "vectorIndexes": [],
        "stagedVectorIndexes": [],
        "documentType": table.document().to_json(),
    })
}

fn index_to_json(index: &IndexDefinition) -> Json {
    let fields: Vec<String> = index.fields.iter().map(FieldPath::to_string).collect();
    json!({ "indexDescriptor": index.name, "fields": fields })
}

#[cfg(test)]
mod tests {
    use lentil_values::v;

    use super::*;

    #[test]
    fn the_json_is_that_of_the_official_tools() {
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
    fn the_json_does_not_distinguish_unique_indexes() {
        let jobs = || Table::new("jobs").field("jobId", v::string());
        let plain = Schema::new().with(jobs().index("by_jobId", ["jobId"]));
        let unique = Schema::new().with(jobs().unique_index("by_jobId", ["jobId"]));
        assert_ne!(plain, unique);
        assert_eq!(plain.to_json(), unique.to_json());
    }
}
