//! The Convex function model in native Rust.
//!
//! Queries, mutations, actions and HTTP actions are plain Rust functions over a transactional document store. An
//! application declares its tables with [`derive@Document`], writes `async fn`s over [`QueryCtx`], [`MutationCtx`]
//! and [`ActionCtx`], names them in [`Functions`], routes to them in an [`HttpRouter`], and puts it all together in
//! a [`Backend`], whose `main` is the whole program. Tests run the same functions with `lentil-testing`.

mod backend;
mod cli;
mod codegen;
mod files;
mod logging;
mod memory;
mod open_files;
mod progress;
mod screen;
mod secrets;
mod serve;

pub use backend::Backend;
pub use lentil_macros::{Args, Document, ValueType};
pub use lentil_runtime::http::{
    Body, HeaderMap, HttpRequest, HttpRouter, Json, Method, Request, Response, Secret, StatusCode,
    header,
};
pub use lentil_runtime::{
    ActionCtx, Application, Auth, Code, Crons, DatabaseReader, DatabaseWriter, Error, File,
    FileMetadata, Functions, Limits, Log, Meta, MutationCtx, PageStatus, Pages, PaginationOptions,
    PaginationResult, Query, QueryCtx, RequestMetadata, Result, ScheduledFunction, ScheduledState,
    Scheduler, StorageActions, StorageReader, StorageWriter, StoredFile, SystemReader,
    UniqueViolation, UserIdentity,
};
pub use lentil_schema::{
    Args, Doc, Document, Id, Index, IndexError, IntoArgs, IntoKey, IntoRange, KeyPart, Patch,
    Range, RangeSpec, Schema, SchemaError, Table,
};
pub use lentil_store::Order;
pub use lentil_values::{FieldName, Nullable, Object, Validator, Value, ValueType, v};
/// An allocator that suits a server: many small things on several threads. A program chooses it in its `main.rs`:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: lentil::Allocator = lentil::Allocator;
/// ```
pub use mimalloc::MiMalloc as Allocator;

/// What the derives' code names; not for use by hand.
#[doc(hidden)]
pub mod __derive {
    pub use lentil_schema::__derive::*;
}
