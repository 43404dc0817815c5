use std::collections::HashSet;

use lentil_values::{Validator, check_identifier};

use crate::error::{IndexError, MAX_INDEX_FIELDS, MAX_INDEXES, SchemaError};
use crate::table::{IndexDefinition, Table};

/// The system tables to whose documents an application may refer.
const SYSTEM_TABLES: [&str; 2] = ["_storage", "_scheduled_functions"];

pub(crate) fn check(tables: &[Table]) -> Result<(), SchemaError> {
    let mut names = HashSet::new();
    // All names are collected first: an id may refer to a later table, or to its own.
    for table in tables {
        if !names.insert(table.name()) {
            return Err(SchemaError::DuplicateTable(table.name().to_owned()));
        }
    }
    for table in tables {
        check_table(table)?;
        check_ids(table, table.document(), &names)?;
    }
    Ok(())
}

fn check_table(table: &Table) -> Result<(), SchemaError> {
    // The builder's error comes first: the builder may have left out a part, such as a malformed
    // index, which the checks below then do not see.
    if let Some(problem) = &table.problem {
        return Err(problem.clone());
    }
    check_identifier(table.name())?;
    if table.name().starts_with('_') {
        return Err(SchemaError::ReservedTable(table.name().to_owned()));
    }
    table
        .document()
        .check()
        .map_err(|source| SchemaError::Validator {
            table: table.name().to_owned(),
            source,
        })?;
    check_document(table, table.document())?;
    check_indexes(table)
}

fn check_document(table: &Table, document: &Validator) -> Result<(), SchemaError> {
    match document {
        // `v.any()` says nothing about the fields. Writes still reject system fields in a
        // document.
        Validator::Any => Ok(()),
        Validator::Union(members) if !members.is_empty() => members
            .iter()
            .try_for_each(|member| check_document(table, member)),
        Validator::Object(object) => match object.0.keys().find(|field| field.starts_with('_')) {
            Some(field) => Err(SchemaError::ReservedField {
                table: table.name().to_owned(),
                field: field.clone(),
            }),
            None => Ok(()),
        },
        _ => Err(SchemaError::DocumentType(table.name().to_owned())),
    }
}

/// Checks that every `v.id()` names a table of the schema or the system.
fn check_ids(
    table: &Table,
    validator: &Validator,
    tables: &HashSet<&str>,
) -> Result<(), SchemaError> {
    let check = |inner: &Validator| check_ids(table, inner, tables);
    match validator {
        Validator::Id(target)
            if !tables.contains(&**target) && !SYSTEM_TABLES.contains(&&**target) =>
        {
            Err(SchemaError::UnknownTable {
                table: table.name().to_owned(),
                target: target.clone(),
            })
        }
        Validator::Array(element) => check(element),
        Validator::Record { keys, values } => check(keys).and_then(|()| check(values)),
        Validator::Union(members) => members.iter().try_for_each(check),
        Validator::Object(object) => object
            .0
            .values()
            .try_for_each(|field| check(&field.validator)),
        _ => Ok(()),
    }
}

fn check_indexes(table: &Table) -> Result<(), SchemaError> {
    if table.indexes().len() > MAX_INDEXES {
        return Err(SchemaError::TooManyIndexes(table.name().to_owned()));
    }
    let mut names = HashSet::new();
    for index in table.indexes() {
        check_index(table, index).map_err(|source| table.index_error(&index.name, source))?;
        if !names.insert(&index.name) {
            return Err(table.index_error(&index.name, IndexError::Duplicate));
        }
    }
    Ok(())
}

fn check_index(table: &Table, index: &IndexDefinition) -> Result<(), IndexError> {
    check_identifier(&index.name)?;
    if index.name.starts_with('_') || matches!(index.name.as_str(), "by_id" | "by_creation_time") {
        return Err(IndexError::Reserved);
    }
    if index.fields.is_empty() || index.fields.len() > MAX_INDEX_FIELDS {
        return Err(IndexError::FieldCount);
    }
    for (at, field) in index.fields.iter().enumerate() {
        let name = field.to_string();
        if matches!(name.as_str(), "_id" | "_creationTime") {
            return Err(IndexError::SystemField(name));
        }
        if index.fields[..at].contains(field) {
            return Err(IndexError::DuplicateField(name));
        }
        if !has_field(table.document(), field.parts()) {
            return Err(IndexError::UnknownField(name));
        }
    }
    Ok(())
}

/// Returns whether a value of this type can have a field at the path.
fn has_field(validator: &Validator, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return true;
    };
    match validator {
        // Neither lists its fields, so any field may exist.
        Validator::Any | Validator::Record { .. } => true,
        // A document of a member without the field has a missing value in the index.
        Validator::Union(members) => members.iter().any(|member| has_field(member, path)),
        Validator::Object(object) => object
            .0
            .get(first)
            .is_some_and(|field| has_field(&field.validator, rest)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use lentil_values::v;

    use super::*;

    fn jobs() -> Table {
        Table::new("jobs").field("jobId", v::string())
    }

    fn checked(table: Table) -> Result<(), SchemaError> {
        check(&[table])
    }

    fn error(table: Table) -> String {
        checked(table).unwrap_err().to_string()
    }

    #[test]
    fn table_names_are_distinct_identifiers() {
        assert!(error(Table::new("a-b")).contains("is not a valid name"));
        assert!(error(Table::new("_jobs")).contains("reserved for the system"));
        assert_eq!(
            check(&[jobs(), jobs()]),
            Err(SchemaError::DuplicateTable("jobs".to_owned()))
        );
    }

    #[test]
    fn field_names_are_distinct_and_not_reserved() {
        assert!(error(jobs().field("jobId", v::any())).contains("`jobId` is declared twice"));
        assert!(error(jobs().field("_x", v::any())).contains("reserved for system fields"));
        assert!(error(jobs().field("x", v::literal(f64::NAN))).contains("NaN"));
        let beside = Table::new("jobs")
            .with_document(v::any())
            .field("x", v::any());
        assert!(error(beside).contains("cannot be added to a document type"));
        let nested = jobs().field("nested", v::object([("_x", v::any())]));
        assert_eq!(
            checked(nested),
            Ok(()),
            "fields of nested objects are not system fields"
        );
    }

    #[test]
    fn document_types_are_objects() {
        let document = |validator| checked(Table::new("jobs").with_document(validator));
        let object = || v::object([("jobId", v::string())]);
        assert_eq!(document(v::any()), Ok(()));
        assert_eq!(document(v::union([object(), object()])), Ok(()));
        let rejected = Err(SchemaError::DocumentType("jobs".to_owned()));
        for validator in [
            v::string(),
            v::union([]),
            v::union([object(), v::null()]),
            v::record(v::string(), v::any()),
        ] {
            assert_eq!(document(validator), rejected);
        }
    }

    #[test]
    fn ids_refer_to_existing_tables() {
        let app = |validator| checked(jobs().field("app", validator));
        for validator in [
            v::array(v::id("apps")),
            v::record(v::id("apps"), v::any()),
            v::union([v::id("apps")]),
        ] {
            assert!(
                app(validator)
                    .unwrap_err()
                    .to_string()
                    .contains("v.id(\"apps\") names a table")
            );
        }
        for table in ["jobs", "_storage", "_scheduled_functions"] {
            assert_eq!(app(v::id(table)), Ok(()));
        }
    }

    #[test]
    fn index_names_are_distinct_and_not_reserved() {
        let index = |name| error(jobs().index(name, ["jobId"]));
        assert_eq!(
            index("by_id"),
            "index jobs.by_id: the name is reserved for the system; choose another"
        );
        assert!(index("by_creation_time").contains("reserved for the system"));
        assert!(index("_by_jobId").contains("reserved for the system"));
        assert!(index("by-jobId").contains("is not a valid name"));
        assert!(error(jobs().index("a", ["jobId"]).index("a", ["jobId"])).contains("two indexes"));
    }

    #[test]
    fn indexes_contain_existing_fields_once() {
        let index = |fields: &[&'static str]| checked(jobs().index("by_x", fields.iter().copied()));
        let error = |fields| index(fields).unwrap_err().to_string();
        assert!(error(&["x"]).contains("have no field `x`"));
        assert!(error(&["jobId.x"]).contains("have no field `jobId.x`"));
        assert!(error(&["_id"]).contains("every index ends with"));
        assert!(error(&["_creationTime"]).contains("every index ends with"));
        assert!(error(&["jobId", "jobId"]).contains("contains the field `jobId` twice"));
        assert!(error(&["a..b"]).contains("is not a field path"));
        let nested = v::object([("name", v::string())]);
        let or_any = Table::new("jobs").with_document(v::union([
            v::object([("author", nested)]),
            v::object([("x", v::any())]),
        ]));
        assert_eq!(
            checked(or_any.index("a", ["author.name"]).index("b", ["x.y.z"])),
            Ok(())
        );
    }

    #[test]
    fn the_numbers_of_indexes_and_of_their_fields_are_limited() {
        let with_fields = |count: usize| {
            let names: Vec<String> = (0..count).map(|at| format!("f{at}")).collect();
            let table = names.iter().fold(Table::new("jobs"), |table, name| {
                table.field(name, v::any())
            });
            checked(table.index("by_all", names.iter().map(String::as_str)))
        };
        assert_eq!(with_fields(16), Ok(()));
        for count in [0, 17] {
            assert!(
                with_fields(count)
                    .unwrap_err()
                    .to_string()
                    .contains("1 to 16 fields")
            );
        }
        let with_indexes = |count: usize| {
            checked((0..count).fold(jobs(), |table, at| {
                table.index(&format!("i{at}"), ["jobId"])
            }))
        };
        assert_eq!(with_indexes(64), Ok(()));
        assert_eq!(
            with_indexes(65),
            Err(SchemaError::TooManyIndexes("jobs".to_owned()))
        );
    }
}
