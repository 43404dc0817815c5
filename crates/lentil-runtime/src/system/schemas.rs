//! The declared tables, in the forms that `npx convex mcp` and the dashboard read.

use lentil_macros::{Args, ValueType};
use lentil_schema::{Schema, Table};
use lentil_values::{FieldValidator, Nullable, ObjectValidator, Validator, Value, v};
use serde_json::{Value as Json, json};

use crate::engine::Engine;
use crate::{Functions, QueryCtx, Result, Runtime};

pub(super) fn functions() -> Functions {
    Functions::in_module("_system/frontend/getSchemas")
        .internal_query("default", schemas)
        .with(
            Functions::in_module("_system/frontend/components").internal_query("list", components),
        )
}

#[derive(Args)]
struct InComponent {
    component_id: Option<Value>,
}

#[derive(ValueType)]
struct Schemas {
    /// The schema as JSON.
    active: String,
    in_progress: Nullable<String>,
}

async fn schemas(ctx: &mut QueryCtx, _: InComponent) -> Result<Schemas> {
    Ok(Schemas {
        active: schema_json(&ctx.call.engine).to_string(),
        in_progress: Nullable::Null,
    })
}

/// Returns the mounted components; there are none.
async fn components(_: &mut QueryCtx, (): ()) -> Result<Vec<Value>> {
    Ok(Vec::new())
}

impl Runtime {
    /// Each table's name and the shape of its documents, as `GET /api/shapes2` answers.
    ///
    /// Convex infers shapes from the documents. Here documents always fit the declared table.
    pub fn shapes(&self) -> Json {
        let shapes = declared_tables(&self.engine).map(|table| {
            let shape = with_system_fields(table.document(), table.name());
            (table.name().to_owned(), shape_json(&shape))
        });
        Json::Object(shapes.collect())
    }
}

fn declared_tables(engine: &Engine) -> impl Iterator<Item = &Table> {
    let tables = engine.tables();
    tables
        .names()
        .filter_map(|name| Some(&tables.named(name)?.table))
}

/// The schema as `npx convex deploy` would push it.
fn schema_json(engine: &Engine) -> Json {
    let tables = declared_tables(engine).cloned();
    tables.fold(Schema::new(), Schema::with).to_json()
}

/// A document's validator with the system fields in each of its objects.
fn with_system_fields(document: &Validator, table: &str) -> Validator {
    match document {
        Validator::Object(ObjectValidator(fields)) => {
            let mut fields = fields.clone();
            fields.insert("_id".to_owned(), v::id(table).into());
            fields.insert("_creationTime".to_owned(), v::number().into());
            Validator::Object(ObjectValidator(fields))
        }
        Validator::Union(members) => v::union(
            members
                .iter()
                .map(|member| with_system_fields(member, table)),
        ),
        other => other.clone(),
    }
}

/// The shape that holds just the values which the validator accepts.
fn shape_json(validator: &Validator) -> Json {
    let plain = |name: &str| json!({ "type": name });
    match validator {
        Validator::Any => plain("Unknown"),
        Validator::Null => plain("Null"),
        Validator::Float64 => plain("Float64"),
        Validator::Int64 => plain("Int64"),
        Validator::Boolean => plain("Boolean"),
        Validator::String => plain("String"),
        Validator::Bytes => plain("Bytes"),
        Validator::Id(table) => json!({ "type": "Id", "tableName": table }),
        Validator::Literal(value) => plain(kind_of(value)),
        Validator::Array(element) => json!({ "type": "Array", "shape": shape_json(element) }),
        Validator::Record { keys, values } => json!({
            "type": "Record",
            "keyShape": shape_json(keys),
            "valueShape": { "optional": false, "shape": shape_json(values) },
        }),
        Validator::Union(members) => {
            let shapes: Vec<Json> = members.iter().map(shape_json).collect();
            json!({ "type": "Union", "shapes": shapes })
        }
        Validator::Object(ObjectValidator(fields)) => {
            let field = |(name, field): (&String, &FieldValidator)| {
                let shape = shape_json(&field.validator);
                json!({ "fieldName": name, "optional": field.optional, "shape": shape })
            };
            let fields: Vec<Json> = fields.iter().map(field).collect();
            json!({ "type": "Object", "fields": fields })
        }
    }
}

fn kind_of(literal: &Value) -> &'static str {
    match literal {
        Value::Float64(_) => "Float64",
        Value::Int64(_) => "Int64",
        Value::Boolean(_) => "Boolean",
        Value::String(_) => "String",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_says_what_the_validator_accepts() {
        let document = v::object([
            ("owner", FieldValidator::from(v::id("users"))),
            ("kind", v::optional(v::union([v::literal("a"), v::null()]))),
        ]);
        let shape = shape_json(&with_system_fields(&document, "jobs"));
        let kind = json!({"type": "Union", "shapes": [{"type": "String"}, {"type": "Null"}]});
        let expected = json!({"type": "Object", "fields": [
            {"fieldName": "_creationTime", "optional": false, "shape": {"type": "Float64"}},
            {"fieldName": "_id", "optional": false, "shape": {"type": "Id", "tableName": "jobs"}},
            {"fieldName": "kind", "optional": true, "shape": kind},
            {"fieldName": "owner", "optional": false, "shape": {"type": "Id", "tableName": "users"}},
        ]});
        assert_eq!(shape, expected);
        let record = shape_json(&v::record(v::string(), v::array(v::int64())));
        let values = json!({"type": "Array", "shape": {"type": "Int64"}});
        assert_eq!(
            record,
            json!({"type": "Record", "keyShape": {"type": "String"},
                "valueShape": {"optional": false, "shape": values}})
        );
    }
}
