//! The Convex function model in native Rust.
//!
//! Queries, mutations, actions and HTTP actions are `async fn`s over a transactional document
//! store. An application consists of:
//!
//! - tables: structs with [`derive@Document`], listed in a [`Schema`];
//! - functions over [`QueryCtx`], [`MutationCtx`] and [`ActionCtx`], named in [`Functions`];
//! - routes to HTTP actions in an [`HttpRouter`], and [`Crons`];
//! - a [`Backend`], whose `main` is the whole program.
//!
//! Tests run the same functions with `lentil-testing`.

mod backend;
mod cli;
mod codegen;
mod error;
mod files;
mod logging;
mod memory;
mod open_files;
mod progress;
mod secrets;
mod serve;
mod settings;
mod startup_banner;

pub use backend::Backend;
pub use lentil_macros::{Args, Document, ValueType};
pub use lentil_runtime::http::{
    Body, HeaderMap, HttpRequest, Json, Method, Request, Response, Secret, StatusCode, header,
};
pub use lentil_runtime::{
    ActionCtx, Application, Auth, Code, DatabaseReader, DatabaseWriter, Error, File, FileMetadata,
    Functions, HttpRouter, Limits, Log, Meta, MutationCtx, OrError, PageStatus, Pages,
    PaginationOptions, PaginationResult, Query, QueryCtx, RequestMetadata, Result,
    ScheduledFunction, ScheduledState, Scheduler, StorageActions, StorageReader, StorageWriter,
    StoredFile, SystemReader, UniqueViolation, UserIdentity, bail, ensure,
};
pub use lentil_schema::{
    Args, Doc, Document, Id, Index, IndexError, IntoArgs, IntoKey, IntoRange, KeyPart, Patch,
    Range, RangeSpec, Schema, SchemaError, Table,
};
pub use lentil_store::Order;
pub use lentil_system::Crons;
pub use lentil_values::{
    DecodeError, FieldName, Nullable, Object, UnixMillis, Validator, Value, ValueType, object, v,
};
/// An allocator for servers (mimalloc), which allocate many small objects on several threads. A
/// program selects it in its `main.rs`:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: lentil::Allocator = lentil::Allocator;
/// ```
pub use mimalloc::MiMalloc as Allocator;

/// The names that the derives' code uses. Not part of the public API.
#[doc(hidden)]
pub mod __derive {
    pub use lentil_schema::__derive::*;
}
