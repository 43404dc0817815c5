//! Runs an application's functions on a store.
//!
//! A [`Runtime`] is an [`Application`] (tables, functions, routes) opened on a [`lentil_store::Store`]. Queries run
//! on snapshots and are answered from a cache while nothing they read has changed; mutations run in serializable
//! transactions and are durable when they return; actions and HTTP actions call both. It knows no socket and no
//! concrete store.

mod application;
pub mod cache;
mod call;
mod context;
mod creation;
mod database;
mod error;
mod executions;
mod failure;
mod function;
mod functions;
mod handler;
pub mod http;
mod identity;
mod limits;
mod live;
mod log;
pub mod memory;
mod open;
mod path;
mod random;
mod request_id;
mod run;
mod runtime;
mod schedule;
mod source;
mod storage;
mod system;
mod tables;

pub use application::Application;
pub use context::{ActionCtx, Auth, Meta, MutationCtx, QueryCtx, RequestMetadata};
pub use database::{
    DatabaseReader, DatabaseWriter, Decode, MAX_CURSOR_BYTES, PageStatus, Pages, PaginationOptions,
    PaginationResult, Query, SystemDocument, SystemReader,
};
pub use error::{Code, Error, Result};
pub use executions::{Execution, ExecutionId};
pub use function::{Function, FunctionKind, Visibility};
pub use functions::{Functions, FunctionsError};
pub use handler::{ActionHandler, ActionHandlerOn, Handler, HandlerOn};
pub use identity::{Identity, UserIdentity};
pub use lentil_store::{ContentHash, FileStore, MemoryFiles, Timestamp, UniqueViolation};
pub use lentil_values::{Excerpt, FieldName, Object, Uuid, Value, json_parse_size};
pub use limits::Limits;
pub use live::{Subscriber, Update, Wakes};
pub use log::{Log, LogLevel};
pub use open::{Misfits, OpenError, OpenProgress};
pub use path::{FunctionPath, FunctionPathError};
pub use request_id::RequestId;
pub use run::QuerySnapshot;
pub use runtime::{Environment, FunctionCall, FunctionOutcome, Runtime, RuntimeOptions};
pub use schedule::{CronError, Crons, Schedulable, ScheduledFunction, ScheduledState, Scheduler};
pub use source::{CallSource, Caller};
pub use storage::{
    File, FileInfo, FileMetadata, StorageActions, StorageReader, StorageWriter, StoreFileError,
    StoredFile, UploadTokenError,
};
pub use system::{EnvironmentChange, EnvironmentError, SessionRequest};
