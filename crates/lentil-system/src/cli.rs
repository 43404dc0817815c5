//! The queries of `npx convex`, under `_system/cli/`. Only the administrator calls them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use lentil_macros::{Args, ValueType};
use lentil_runtime::{
    ApplicationInfo, Code, Error, Functions, PaginationOptions, QueryCtx, Result,
    ScheduledFunction, StoredFile, SystemModule, Visibility,
};
use lentil_schema::{Document, RangeSpec, Table};
use lentil_store::Order;
use lentil_values::{Object, Value, ValueType as _};

/// Documents in one page of `tableData`, whatever the caller asks for.
const MAX_PAGE_ITEMS: f64 = 4_096.0;
/// Bytes of documents after which a page ends.
const MAX_PAGE_BYTES: f64 = 4_194_304.0;

/// The queries of the command line.
pub(crate) struct Cli;

#[async_trait]
impl SystemModule for Cli {
    fn functions(&self) -> Functions {
        let module = |name: &str| Functions::in_module(&format!("_system/cli/{name}"));
        Functions::new()
            .with(module("tables").internal_query("default", tables))
            .with(module("tableData").internal_query("default", table_data))
            .with(module("queryImport").internal_query("list", imports))
            .with(module("convexUrl").internal_query("cloudUrl", cloud_url))
            .with(module("modules").internal_query("apiSpec", api_spec))
    }
}

/// The only argument of most queries; there is one component, the application.
#[derive(Args)]
struct InComponent {
    component_id: Option<Value>,
}

#[derive(Args)]
struct Page {
    pagination_opts: PaginationOptions,
    component_id: Option<Value>,
}

#[derive(ValueType)]
struct TableName {
    name: String,
}

/// The only page of a result.
#[derive(ValueType)]
struct OnlyPage {
    page: Vec<TableName>,
    is_done: bool,
    continue_cursor: String,
}

impl OnlyPage {
    fn new(page: Vec<TableName>) -> OnlyPage {
        OnlyPage {
            page,
            is_done: true,
            continue_cursor: String::new(),
        }
    }
}

/// Returns every table of the application.
async fn tables(ctx: &mut QueryCtx, _: Page) -> Result<OnlyPage> {
    let application = ApplicationInfo::of(ctx);
    let mut names: Vec<&str> = application.tables().map(Table::name).collect();
    names.sort_unstable();
    let names = names.into_iter().map(|name| TableName {
        name: name.to_owned(),
    });
    Ok(OnlyPage::new(names.collect()))
}

#[derive(Args)]
struct TableData {
    table: String,
    order: String,
    pagination_opts: PaginationOptions,
    component_id: Option<Value>,
}

/// Returns a page of a table's documents. The page of a table that does not exist is empty.
async fn table_data(ctx: &mut QueryCtx, args: TableData) -> Result<Value> {
    let order = match args.order.as_str() {
        "asc" => Order::Asc,
        "desc" => Order::Desc,
        _ => {
            let message = "`order` must be \"asc\" or \"desc\"";
            return Err(Error::new(Code::InvalidQuery, message));
        }
    };
    let table = args.table;
    let mut options = args.pagination_opts;
    // The command line asks for the whole of `--limit` at once, and repeats until it has that many.
    options.num_items = options.num_items.min(MAX_PAGE_ITEMS);
    options.maximum_bytes_read.get_or_insert(MAX_PAGE_BYTES);
    match table.as_str() {
        StoredFile::TABLE => {
            let files = ctx.db.system.query(StoredFile::all()).order(order);
            Ok(files.paginate(options).await?.into_value())
        }
        ScheduledFunction::TABLE => {
            let scheduled = ctx.db.system.query(ScheduledFunction::all()).order(order);
            Ok(scheduled.paginate(options).await?.into_value())
        }
        name if is_declared(ctx, name) => {
            let range = RangeSpec::all(name.to_owned(), "by_creation_time");
            let documents = ctx.db.query_objects(range).order(order);
            Ok(documents.paginate(options).await?.into_value())
        }
        _ => Ok(OnlyPage::new(Vec::new()).into_value()),
    }
}

fn is_declared(ctx: &QueryCtx, name: &str) -> bool {
    ApplicationInfo::of(ctx)
        .tables()
        .any(|table| table.name() == name)
}

/// Returns no imports. The command line asks before it starts an import, which then fails with
/// advice.
async fn imports(_: &mut QueryCtx, _: InComponent) -> Result<Vec<Value>> {
    Ok(Vec::new())
}

async fn cloud_url(ctx: &mut QueryCtx, _: InComponent) -> Result<String> {
    Ok(ApplicationInfo::of(ctx).origin().to_owned())
}

/// Returns every function and route of the application, as `npx convex function-spec` prints them.
async fn api_spec(ctx: &mut QueryCtx, _: InComponent) -> Result<Vec<Value>> {
    let application = ApplicationInfo::of(ctx);
    // Sorted by path, because the registry has no order.
    let functions: BTreeMap<_, _> = application
        .functions()
        .filter(|function| !function.path().is_system())
        .map(|function| (function.path().clone(), function))
        .collect();
    let mut spec = Vec::new();
    for function in functions.values() {
        let kind = match function.visibility() {
            Visibility::Public => "public",
            Visibility::Internal => "internal",
        };
        spec.push(Value::Object(Object::from([
            ("identifier", function.path().to_js().into()),
            ("functionType", format!("{:?}", function.kind()).into()),
            ("visibility", Value::Object(Object::from([("kind", kind)]))),
            ("args", parsed(&function.args().to_json())?),
            ("returns", parsed(&function.returns().to_json())?),
        ])));
    }
    for (method, path) in application.routes() {
        spec.push(Value::Object(Object::from([
            ("functionType", Value::from("HttpAction")),
            ("method", method.as_str().into()),
            ("path", path.as_str().into()),
        ])));
    }
    Ok(spec)
}

fn parsed(json: &serde_json::Value) -> Result<Value> {
    Value::parse_json(json.to_string().as_bytes()).map_err(Error::internal)
}
