use std::collections::HashSet;

use lentil_values::{Validator, check_identifier};

use crate::error::{IndexError, MAX_INDEX_FIELDS, MAX_INDEXES, SchemaError};
use crate::table::{IndexDefinition, Table};

/// The system's tables, of whose documents an application may keep the ids.
const SYSTEM_TABLES: [&str; 2] = ["_storage", "_scheduled_functions"];

pub(crate) fn check(tables: &[Table]) -> Result<(), SchemaError> {
    let mut names = HashSet::new();
    for table in tables {
        if !names.insert(table.name()) {
            return Err(SchemaError::DuplicateTable(table.name().to_owned()));
        }
    }
    tables.iter().try_for_each(|table| {
        check_table(table)?;
        check_ids(table, table.document(), &names)
    })
}

fn check_table(table: &Table) -> Result<(), SchemaError> {
    if let Some(problem) = &table.problem {
        return Err(problem.clone());
    }
    check_identifier(table.name())?;
    if table.name().starts_with('_') {
        return Err(SchemaError::ReservedTable(table.name().to_owned()));
    }
    let validator_error = |source| SchemaError::Validator {
        table: table.name().to_owned(),
        source,
    };
    table.document().check().map_err(validator_error)?;
    check_document(table, table.document())?;
    check_indexes(table)
}

fn check_document(table: &Table, document: &Validator) -> Result<(), SchemaError> {
    match document {
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
    table.indexes().iter().try_for_each(|index| {
        let checked = check_index(table, index);
        let checked = checked.and_then(|()| {
            names
                .insert(&index.name)
                .then_some(())
                .ok_or(IndexError::Duplicate)
        });
        checked.map_err(|source| table.index_error(&index.name, source))
    })
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

/// Whether values of this type can have something at the path.
fn has_field(validator: &Validator, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return true;
    };
    match validator {
        Validator::Any | Validator::Record { .. } => true,
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

    fn refusal(table: Table) -> String {
        checked(table).unwrap_err().to_string()
    }

    #[test]
    fn tables_have_names_of_their_own() {
        assert!(refusal(Table::new("a-b")).contains("is no name"));
        assert!(refusal(Table::new("_jobs")).contains("are the system's"));
        assert_eq!(
            check(&[jobs(), jobs()]),
            Err(SchemaError::DuplicateTable("jobs".to_owned()))
        );
    }

    #[test]
    fn fields_stand_once_and_are_the_authors() {
        assert!(refusal(jobs().field("jobId", v::any())).contains("`jobId` stands twice"));
        assert!(refusal(jobs().field("_x", v::any())).contains("only system fields"));
        assert!(refusal(jobs().field("x", v::literal(f64::NAN))).contains("NaN"));
        let beside = Table::new("jobs")
            .with_document(v::any())
            .field("x", v::any());
        assert!(refusal(beside).contains("beside a document type"));
        let nested = jobs().field("nested", v::object([("_x", v::any())]));
        assert_eq!(
            checked(nested),
            Ok(()),
            "only a document's own fields can be mistaken for the system's"
        );
    }

    #[test]
    fn documents_are_objects() {
        let document = |validator| checked(Table::new("jobs").with_document(validator));
        let object = || v::object([("jobId", v::string())]);
        assert_eq!(document(v::any()), Ok(()));
        assert_eq!(document(v::union([object(), object()])), Ok(()));
        let refused = Err(SchemaError::DocumentType("jobs".to_owned()));
        for validator in [
            v::string(),
            v::union([]),
            v::union([object(), v::null()]),
            v::record(v::string(), v::any()),
        ] {
            assert_eq!(document(validator), refused);
        }
    }

    #[test]
    fn ids_are_of_tables_that_there_are() {
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
    fn indexes_have_names_of_their_own() {
        let index = |name| refusal(jobs().index(name, ["jobId"]));
        assert_eq!(
            index("by_id"),
            "index jobs.by_id: the name is the system's; choose another"
        );
        assert!(index("by_creation_time").contains("the system's"));
        assert!(index("_by_jobId").contains("the system's"));
        assert!(index("by-jobId").contains("is no name"));
        assert!(
            refusal(jobs().index("a", ["jobId"]).index("a", ["jobId"])).contains("two indexes")
        );
    }

    #[test]
    fn indexes_are_over_fields_that_there_are() {
        let index = |fields: &[&'static str]| checked(jobs().index("by_x", fields.iter().copied()));
        let refusal = |fields| index(fields).unwrap_err().to_string();
        assert!(refusal(&["x"]).contains("have no field `x`"));
        assert!(refusal(&["jobId.x"]).contains("have no field `jobId.x`"));
        assert!(refusal(&["_id"]).contains("ends every index by itself"));
        assert!(refusal(&["_creationTime"]).contains("ends every index by itself"));
        assert!(refusal(&["jobId", "jobId"]).contains("stands twice"));
        assert!(refusal(&["a..b"]).contains("is no field path"));
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
    fn a_table_has_64_indexes_and_an_index_16_fields_at_most() {
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
