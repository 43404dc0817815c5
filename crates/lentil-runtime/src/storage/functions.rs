//! The system's functions that write the documents of files.

use lentil_database::SystemTable;
use lentil_macros::Args;
use lentil_schema::Id;
use lentil_store::ContentHash;
use lentil_values::{Nullable, Uuid};

use super::StoredFile;
use super::handles::delete_file;
use super::stored_file::{FileRecord, Sha256};
use crate::{Functions, MutationCtx, Result};

pub(crate) fn functions() -> Functions {
    Functions::in_module("_system/storage")
        .internal_mutation("insert", insert)
        .internal_mutation("delete", delete)
}

/// A new file, whose blob is durable.
#[derive(Args, Clone)]
pub(super) struct Insert {
    sha256: Sha256,
    size: f64,
    content_type: Nullable<String>,
}

impl Insert {
    pub(super) fn new(hash: ContentHash, size: u64, content_type: Option<String>) -> Insert {
        Insert {
            sha256: Sha256(hash),
            size: size as f64,
            content_type: content_type.into(),
        }
    }
}

pub(super) async fn insert(ctx: &mut MutationCtx, args: Insert) -> Result<Id<StoredFile>> {
    let seeds = ctx.call.engine.seeds();
    let bits = u128::from(seeds.next_u64()) << 64 | u128::from(seeds.next_u64());
    // Unguessable, and unrelated to the document's id.
    let url_id = Uuid::from_random_bits(bits);
    let id = SystemTable::of(&ctx.db)?.insert(FileRecord {
        sha256: args.sha256,
        size: args.size,
        content_type: args.content_type,
        url_id: url_id.to_string(),
    })?;
    Ok(Id::new(id.document_id()))
}

#[derive(Args, Clone)]
pub(super) struct Delete {
    pub(super) id: Id<StoredFile>,
}

pub(super) async fn delete(ctx: &mut MutationCtx, args: Delete) -> Result<()> {
    delete_file(SystemTable::of(&ctx.db)?, &args.id).await
}
