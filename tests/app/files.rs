//! `files:uploadUrl`, `files:list`, `files:url`, `files:delete`, `files:copy`: stored files for tests.

use lentil::{
    ActionCtx, Args, Code, Doc, Document, Error, Functions, Id, MutationCtx, QueryCtx, Result,
    StoredFile,
};

#[derive(Args)]
struct Which {
    id: Id<StoredFile>,
}

async fn upload_url(ctx: &mut MutationCtx, _: ()) -> Result<String> {
    ctx.storage.generate_upload_url().await
}

async fn list(ctx: &mut QueryCtx, _: ()) -> Result<Vec<Doc<StoredFile>>> {
    ctx.db.system.query(StoredFile::all()).collect().await
}

async fn url(ctx: &mut QueryCtx, args: Which) -> Result<Option<String>> {
    ctx.storage.get_url(&args.id).await
}

async fn delete(ctx: &mut MutationCtx, args: Which) -> Result<()> {
    ctx.storage.delete(&args.id).await
}

/// Stores a copy of a file while it reads the original.
async fn copy(ctx: &ActionCtx, args: Which) -> Result<Id<StoredFile>> {
    let missing = || Error::new(Code::NonexistentDocument, "there is no such file");
    let file = ctx.storage.get(&args.id).await?.ok_or_else(missing)?;
    ctx.storage
        .store(file.body, file.content_type.as_deref())
        .await
}

pub(crate) fn functions() -> Functions {
    Functions::in_module("files")
        .mutation("uploadUrl", upload_url)
        .query("list", list)
        .query("url", url)
        .mutation("delete", delete)
        .action("copy", copy)
}
