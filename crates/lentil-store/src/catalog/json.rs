//! The catalog as JSON, in which the stores save it.

use lentil_values::{FieldPath, TableNumber};
use serde_json::{Value as Json, json};

use super::{Catalog, IndexEntry, IndexState, TableEntry};
use crate::error::StoreError;
use crate::index::IndexId;

impl Catalog {
    /// Encodes the catalog as JSON, which a person can read.
    pub fn to_json(&self) -> Json {
        let index = |index: &IndexEntry| {
            let fields: Vec<String> = index.fields.iter().map(FieldPath::to_string).collect();
            let state = index.state.as_str();
            let mut entry =
                json!({ "id": index.id.0, "name": index.name, "fields": fields, "state": state });
            // Left out for other indexes, so that their JSON is that of versions without unique
            // indexes.
            if index.unique {
                entry["unique"] = Json::Bool(true);
            }
            entry
        };
        let table = |(name, table): (&String, &TableEntry)| {
            let indexes: Vec<Json> = table.indexes.iter().map(index).collect();
            let TableEntry {
                number,
                definition,
                declared,
                ..
            } = table;
            let entry = json!({
                "number": number.get(), "definition": definition, "declared": declared, "indexes": indexes,
            });
            (name.clone(), entry)
        };
        let tables: serde_json::Map<String, Json> = self.tables.iter().map(table).collect();
        json!({ "nextTable": self.next_table, "nextIndex": self.next_index, "tables": tables })
    }

    /// Decodes the JSON of [`Catalog::to_json`].
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for any other JSON.
    pub fn from_json(json: &Json) -> Result<Catalog, StoreError> {
        read_catalog(json).ok_or_else(|| StoreError::Corrupt("the catalog is malformed".to_owned()))
    }
}

fn read_catalog(json: &Json) -> Option<Catalog> {
    let number = |json: &Json| u32::try_from(json.as_u64()?).ok();
    let index = |json: &Json| {
        let fields = json["fields"]
            .as_array()?
            .iter()
            .map(|field| FieldPath::parse(field.as_str()?).ok());
        Some(IndexEntry {
            id: IndexId(number(&json["id"])?),
            name: json["name"].as_str()?.to_owned(),
            fields: fields.collect::<Option<_>>()?,
            // A catalog of an older version, without unique indexes, does not have this member.
            unique: json.get("unique").map_or(Some(false), Json::as_bool)?,
            state: IndexState::parse(json["state"].as_str()?)?,
        })
    };
    let table = |(name, json): (&String, &Json)| {
        let entry = TableEntry {
            number: TableNumber::new(number(&json["number"])?)?,
            definition: json["definition"].as_str()?.to_owned(),
            declared: json["declared"].as_bool()?,
            indexes: json["indexes"]
                .as_array()?
                .iter()
                .map(index)
                .collect::<Option<_>>()?,
        };
        Some((name.clone(), entry))
    };
    Some(Catalog {
        tables: json["tables"]
            .as_object()?
            .iter()
            .map(table)
            .collect::<Option<_>>()?,
        next_table: number(&json["nextTable"])?,
        next_index: number(&json["nextIndex"])?,
    })
}

impl IndexState {
    fn as_str(self) -> &'static str {
        match self {
            IndexState::Building => "building",
            IndexState::Ready => "ready",
            IndexState::Dropping => "dropping",
        }
    }

    fn parse(text: &str) -> Option<IndexState> {
        [
            IndexState::Building,
            IndexState::Ready,
            IndexState::Dropping,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{IndexDeclaration, TableDeclaration};

    /// Declares a table with one index.
    fn table(name: &str, unique: bool) -> TableDeclaration {
        let index = IndexDeclaration {
            name: "by_x".to_owned(),
            fields: vec![FieldPath::parse("x.y").unwrap()],
            unique,
        };
        TableDeclaration {
            name: name.to_owned(),
            definition: "{}".to_owned(),
            indexes: vec![index],
        }
    }

    #[test]
    fn a_catalog_of_a_version_without_unique_indexes_is_read() {
        let catalog = Catalog::default().declare(&[table("a", false)]);
        let mut json = catalog.to_json();
        let index = json["tables"]["a"]["indexes"][0].as_object_mut().unwrap();
        assert!(
            !index.contains_key("unique"),
            "an index that is not unique is encoded as in older versions"
        );
        index.insert("unique".to_owned(), json!("yes"));
        assert!(Catalog::from_json(&json).is_err());
    }

    #[test]
    fn the_json_round_trips() {
        let empty = TableDeclaration {
            indexes: Vec::new(),
            ..table("b", false)
        };
        let catalog = Catalog::default().declare(&[table("a", false), empty, table("c", true)]);
        assert_eq!(Catalog::from_json(&catalog.to_json()).unwrap(), catalog);
        assert!(Catalog::from_json(&json!({ "tables": 1 })).is_err());
    }
}
