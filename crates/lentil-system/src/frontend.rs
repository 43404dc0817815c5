//! The declared tables, in the forms that `npx convex mcp` and the dashboard read.

use async_trait::async_trait;
use lentil_macros::{Args, ValueType};
use lentil_runtime::{ApplicationInfo, Functions, QueryCtx, Result, Runtime, SystemModule};
use lentil_schema::Schema;
use lentil_values::{FieldValidator, Nullable, ObjectValidator, Validator, Value, v};
use serde_json::{Value as Json, json};

/// The functions of the dashboard.
pub(crate) struct Frontend;

#[async_trait]
impl SystemModule for Frontend {
    fn functions(&self) -> Functions {
        let module = |name: &str| Functions::in_module(&format!("_system/frontend/{name}"));
        Functions::new()
            .with(module("getSchemas").internal_query("default", schemas))
            .with(module("components").internal_query("list", components))
    }
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
        active: schema_json(&ApplicationInfo::of(ctx)).to_string(),
        // Documents are checked before the server starts, so no schema is being validated.
        in_progress: Nullable::Null,
    })
}

/// Returns the mounted components; there are none.
async fn components(_: &mut QueryCtx, (): ()) -> Result<Vec<Value>> {
    Ok(Vec::new())
}

/// Returns each table's name and the shape of its documents, as `GET /api/shapes2` responds.
///
/// Convex infers shapes from the documents. Here documents always fit the declared table.
pub fn shapes(runtime: &Runtime) -> Json {
    let application = runtime.application();
    let shapes = application.tables().map(|table| {
        let shape = with_system_fields(table.document(), table.name());
        (table.name().to_owned(), shape_json(&shape))
    });
    Json::Object(shapes.collect())
}

/// Returns the schema as `npx convex deploy` would push it.
fn schema_json(application: &ApplicationInfo) -> Json {
    let tables = application.tables().cloned();
    tables.fold(Schema::new(), Schema::with).to_json()
}

/// Returns a document's validator with the system fields in each of its objects.
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

/// Returns the shape that holds exactly the values that the validator accepts.
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
    fn shape_has_the_types_of_the_validator() {
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
