use lentil_schema::{Schema, Table};
use lentil_values::{FieldValidator, Validator, v};

use super::types::{field_type, property, quoted, type_of};

const HEAD: &str = r#"import type { DocumentByName, SystemTableNames, TableNamesInDataModel } from "convex/server";
import type { GenericId } from "convex/values";

/** The names of the tables. */
export type TableNames = TableNamesInDataModel<DataModel>;

/** The type of a table's documents. */
export type Doc<TableName extends TableNames> = DocumentByName<DataModel, TableName>;

/** The id of a document of a table. */
export type Id<TableName extends TableNames | SystemTableNames> = GenericId<TableName>;

/** Every table with its documents and indexes. */
export type DataModel = {
"#;

/// Returns the text of `dataModel.d.ts`.
pub(super) fn declarations(schema: &Schema) -> String {
    let tables: String = schema.tables().iter().map(table).collect();
    format!("{HEAD}{tables}}};\n")
}

/// Returns a table's entry in `DataModel`.
fn table(table: &Table) -> String {
    let system = [("_id", v::id(table.name())), ("_creationTime", v::number())];
    let fields: Vec<String> = system
        .iter()
        .map(|(name, validator)| field_type(name, &FieldValidator::from(validator.clone())))
        .collect();
    let mut paths: Vec<String> = system.iter().map(|(name, _)| quoted(name)).collect();
    collect_paths(table.document(), "", &mut paths);
    let mut indexes = vec![
        "by_id: [\"_id\"]".to_owned(),
        "by_creation_time: [\"_creationTime\"]".to_owned(),
    ];
    indexes.extend(table.indexes().iter().map(|index| {
        let fields = index.fields.iter().map(|field| quoted(&field.to_string()));
        // Convex appends the creation time to the fields of every index.
        let fields: Vec<String> = fields.chain([quoted("_creationTime")]).collect();
        format!("{}: [{}]", property(&index.name), fields.join(", "))
    }));
    format!(
        "  {}: {{\n    document: {{ {} }} & ({});\n    fieldPaths: {};\n    indexes: {{ {} }};\n    searchIndexes: {{}};\n    vectorIndexes: {{}};\n  }};\n",
        property(table.name()),
        fields.join("; "),
        type_of(table.document()),
        paths.join(" | "),
        indexes.join("; "),
    )
}

/// Adds the paths of all fields. Paths into nested objects have dots.
fn collect_paths(validator: &Validator, prefix: &str, paths: &mut Vec<String>) {
    match validator {
        Validator::Object(object) => {
            for (name, field) in &object.0 {
                let path = format!("{prefix}{name}");
                let text = quoted(&path);
                if !paths.contains(&text) {
                    paths.push(text);
                }
                collect_paths(&field.validator, &format!("{path}."), paths);
            }
        }
        Validator::Union(members) => {
            for member in members {
                collect_paths(member, prefix, paths);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_documents_field_paths_and_indexes() {
        let place = v::object([("city", v::string())]);
        let table = Table::new("people")
            .field("name", v::string())
            .optional("place", place)
            .index("by_city", ["place.city"]);
        let text = declarations(&Schema::new().with(table));
        for line in [
            "  people: {\n",
            "    document: { _id: Id<\"people\">; _creationTime: number } & ({ name: string; place?: { city: string } });\n",
            "    fieldPaths: \"_id\" | \"_creationTime\" | \"name\" | \"place\" | \"place.city\";\n",
            "by_city: [\"place.city\", \"_creationTime\"] };\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
