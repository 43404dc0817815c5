//! Runs the functions of an application on a store.
//!
//! A [`Runtime`] is an [`Application`] (tables, functions, routes) that is opened on a
//! [`lentil_store::Store`]. Queries execute on snapshots, and the cache keeps their results until a
//! commit invalidates them. Mutations execute in serializable transactions, and are durable when
//! they return. Actions and HTTP actions call both.
//!
//! ```text
//! runtime                          open, call, fetch, subscribe: the entry points
//! functions, router, application   registration of handlers
//! context                          the first argument of a handler, with its handles for files and scheduling
//! run, subscriber                  execution, live queries of one client
//! engine                           the parts that calls share, the registry of functions, a call
//! cache, live, memory, executions  the parts
//! ```
//!
//! The crate knows no socket and no concrete store.

// Derived code names the facade `lentil`. The facade is above this crate, so `lentil_schema`, which
// it re-exports, takes the name.
extern crate lentil_schema as lentil;

mod application;
mod application_info;
mod auth;
pub mod cache;
mod context;
mod dispatch;
mod engine;
mod environment;
mod executions;
mod fetch;
mod files;
mod function_call;
mod functions;
mod handler;
pub mod http;
mod internal;
mod live;
pub mod memory;
mod open;
mod options;
mod query_snapshot;
mod router;
mod run;
mod runtime;
mod schedule;
mod scheduled_calls;
mod schema_check;
mod server_paths;
mod session;
mod storage;
mod subscriber;
mod system_tables;
mod typed;
mod variables;
mod write_lock;

pub use application::Application;
pub use application_info::ApplicationInfo;
pub use auth::Auth;
pub use context::{ActionCtx, Meta, MutationCtx, QueryCtx, RequestMetadata};
pub use engine::{Function, FunctionTypeId};
pub use executions::{Execution, ExecutionId, ExecutionLog};
pub use files::{FileInfo, FileMetadata, StoredFile, UploadTokenError};
pub use function_call::{FunctionCall, FunctionOutcome};
pub use functions::{Functions, FunctionsError};
pub use handler::{ActionHandler, ActionHandlerOn, Handler, HandlerOn};
pub use lentil_call::{
    Backoff, CallSource, Caller, Code, Error, FunctionKind, FunctionPath, FunctionPathError,
    Identity, Limits, Log, LogLevel, OrError, RequestId, Result, UserIdentity, Visibility, bail,
    ensure,
};
pub use lentil_database::{
    DatabaseReader, DatabaseWriter, Decode, MAX_CURSOR_BYTES, PageStatus, Pages, PaginationOptions,
    PaginationResult, Query, SystemDocument, SystemReader,
};
pub use lentil_store::{ContentHash, FileStore, MemoryFiles, Timestamp, UniqueViolation};
pub use lentil_values::{Excerpt, FieldName, Object, Uuid, Value, json_parse_size};
pub use open::OpenError;
pub use options::{OpenProgress, RuntimeOptions};
pub use query_snapshot::QuerySnapshot;
pub use router::{HttpRouter, RouterError};
pub use runtime::{Runtime, SystemModule};
pub use schedule::{Schedulable, ScheduledExecution, Scheduler};
pub use scheduled_calls::{ScheduledCall, ScheduledFunction, ScheduledState};
pub use schema_check::SchemaViolations;
pub use server_paths::ServerPaths;
pub use session::{SessionRequest, SessionResult};
pub use storage::{File, Files, StorageActions, StorageReader, StorageWriter, StoreFileError};
pub use subscriber::{ChangeNotifier, Subscriber, Update};
pub use variables::{BUILT_IN_VARIABLES, Environment, EnvironmentVariable};
