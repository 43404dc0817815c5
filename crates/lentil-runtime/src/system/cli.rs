//! What `npx convex` asks for: queries under `_system/cli/`, for the administrator alone.

use std::collections::BTreeMap;

use lentil_schema::{Document, RangeSpec};
use lentil_store::Order;
use lentil_values::{FieldValidator, Object, Value, ValueType, v};

use super::environment;
use super::function::{object, query};
use crate::{
    Code, Error, Function, PaginationOptions, QueryCtx, Result, ScheduledFunction, StoredFile,
    Visibility,
};

/// Documents in one page of `tableData`, whatever the caller asks for.
const MAX_PAGE_ITEMS: f64 = 4_096.0;
/// Bytes of documents, after which a page ends.
const MAX_PAGE_BYTES: f64 = 4_194_304.0;

/// The queries of the command line.
pub(super) fn functions() -> Vec<Function> {
    let text = || FieldValidator::from(v::string());
    let page = || FieldValidator::from(PaginationOptions::validator());
    let component = || ("componentId", v::optional(v::any()));
    vec![
        query(
            "_system/cli/tables:default",
            [("paginationOpts", page()), component()],
            |ctx, _| Box::pin(async move { Ok(tables(ctx)) }),
        ),
        query(
            "_system/cli/tableData:default",
            [
                ("table", text()),
                ("order", text()),
                ("paginationOpts", page()),
                component(),
            ],
            |ctx, args| Box::pin(table_data(ctx, args)),
        ),
        query(
            "_system/cli/queryEnvironmentVariables:default",
            [component()],
            |ctx, _| {
                Box::pin(async move {
                    let all = environment::all(&mut *ctx.db.transaction()?).await?;
                    Ok(Value::Array(
                        all.into_iter()
                            .map(|(name, value)| variable(&name, &value))
                            .collect(),
                    ))
                })
            },
        ),
        query(
            environment::GET,
            [("name", text()), component()],
            |ctx, args| {
                Box::pin(async move {
                    let name = args.get("name").and_then(Value::as_str).unwrap_or_default();
                    let value =
                        environment::stored_value(&mut *ctx.db.transaction()?, name).await?;
                    Ok(value.map_or(Value::Null, |value| variable(name, &value)))
                })
            },
        ),
        // Asked for before an import is begun, which is then told what to do instead.
        query("_system/cli/queryImport:list", [component()], |_, _| {
            Box::pin(async move { Ok(Value::Array(Vec::new())) })
        }),
        query("_system/cli/convexUrl:cloudUrl", [component()], |ctx, _| {
            Box::pin(async move { Ok(Value::from(ctx.call.runtime.origin())) })
        }),
        query("_system/cli/modules:apiSpec", [component()], |ctx, _| {
            Box::pin(async move { api_spec(ctx) })
        }),
    ]
}

/// Every table of the application, in one page.
fn tables(ctx: &mut QueryCtx) -> Value {
    let runtime = &ctx.call.runtime;
    let mut names: Vec<&str> = runtime.tables().names().collect();
    names.sort_unstable();
    let page: Vec<Value> = names
        .into_iter()
        .map(|name| object([("name", name.into())]))
        .collect();
    let no_more = ("continueCursor", "".into());
    object([
        ("page", Value::Array(page)),
        ("isDone", true.into()),
        no_more,
    ])
}

/// A page of a table's documents; of a table that does not exist it is empty.
async fn table_data(ctx: &mut QueryCtx, mut args: Object) -> Result<Value> {
    let table = args
        .get("table")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let order = match args.get("order").and_then(Value::as_str) {
        Some("asc") => Order::Asc,
        Some("desc") => Order::Desc,
        _ => {
            return Err(Error::new(
                Code::InvalidQuery,
                "`order` is \"asc\" or \"desc\"",
            ));
        }
    };
    let options = args.remove("paginationOpts").unwrap_or(Value::Null);
    let mut options =
        PaginationOptions::from_value(options).map_err(|error| Error::msg(error.to_string()))?;
    // The command line asks for the whole of `--limit` at once, and repeats until it has that many.
    options.num_items = options.num_items.min(MAX_PAGE_ITEMS);
    options.maximum_bytes_read.get_or_insert(MAX_PAGE_BYTES);
    let is_declared = ctx.call.runtime.tables().named(&table).is_some();
    match table.as_str() {
        StoredFile::TABLE => {
            let files = ctx.db.system.query(StoredFile::all()).order(order);
            Ok(files.paginate(options).await?.into_value())
        }
        ScheduledFunction::TABLE => {
            let scheduled = ctx.db.system.query(ScheduledFunction::all()).order(order);
            Ok(scheduled.paginate(options).await?.into_value())
        }
        _ if is_declared => {
            let range = RangeSpec::all(table, "by_creation_time");
            let documents = ctx.db.query_objects(range).order(order);
            Ok(documents.paginate(options).await?.into_value())
        }
        _ => Ok(object([
            ("page", Value::Array(Vec::new())),
            ("isDone", true.into()),
            ("continueCursor", "".into()),
        ])),
    }
}

/// Every function and route of the application, as `npx convex function-spec` prints it.
fn api_spec(ctx: &mut QueryCtx) -> Result<Value> {
    let runtime = &ctx.call.runtime;
    let own = |path: &str| path.starts_with("_system/");
    let functions: BTreeMap<_, _> = runtime
        .functions()
        .filter(|function| !own(function.path().as_str()))
        .map(|function| (function.path().clone(), function))
        .collect();
    let mut spec = Vec::new();
    for function in functions.values() {
        let visibility = if function.visibility() == Visibility::Public {
            "public"
        } else {
            "internal"
        };
        spec.push(object([
            ("identifier", function.path().to_js().into()),
            ("functionType", format!("{:?}", function.kind()).into()),
            ("visibility", object([("kind", visibility.into())])),
            ("args", parsed(&function.args().to_json())?),
            ("returns", parsed(&function.returns().to_json())?),
        ]));
    }
    spec.extend(runtime.router().listed().map(|(method, path)| {
        object([
            ("functionType", "HttpAction".into()),
            ("method", method.into()),
            ("path", path.into()),
        ])
    }));
    Ok(Value::Array(spec))
}

fn parsed(json: &serde_json::Value) -> Result<Value> {
    Value::parse_json(json.to_string().as_bytes()).map_err(Error::internal)
}

fn variable(name: &str, value: &str) -> Value {
    object([("name", name.into()), ("value", value.into())])
}
