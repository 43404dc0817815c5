//! Files: a photo album. A client asks for an upload URL, posts the photo to it, and adds the photo to the album.
//!
//! `cargo run --bin files` serves it.

use std::process::ExitCode;

use lentil::{
    Args, Backend, Document, Functions, Id, MutationCtx, Nullable, QueryCtx, Result, Schema,
    StoredFile, ValueType,
};

#[derive(Document, Args, Clone)]
#[table("photos")]
struct Photo {
    caption: String,
    file: Id<StoredFile>,
}

#[derive(ValueType)]
struct Listed {
    caption: String,
    /// Null if the file was deleted.
    url: Nullable<String>,
}

async fn upload_url(ctx: &mut MutationCtx, (): ()) -> Result<String> {
    ctx.storage.generate_upload_url().await
}

async fn add(ctx: &mut MutationCtx, photo: Photo) -> Result<Id<Photo>> {
    ctx.db.insert(photo).await
}

async fn list(ctx: &mut QueryCtx, (): ()) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for photo in ctx.db.query(Photo::all()).take(100).await? {
        let url = ctx.storage.get_url(&photo.file).await?;
        listed.push(Listed {
            caption: photo.caption.clone(),
            url: url.into(),
        });
    }
    Ok(listed)
}

#[derive(Args, Clone)]
struct Remove {
    photo: Id<Photo>,
}

/// Deletes a photo and its file in one transaction.
async fn remove(ctx: &mut MutationCtx, args: Remove) -> Result<()> {
    if let Some(photo) = ctx.db.get(args.photo).await? {
        ctx.storage.delete(&photo.file).await?;
        ctx.db.delete(photo.id).await?;
    }
    Ok(())
}

fn functions() -> Functions {
    Functions::in_module("photos")
        .mutation("uploadUrl", upload_url)
        .mutation("add", add)
        .query("list", list)
        .mutation("remove", remove)
}

fn schema() -> Schema {
    Schema::new().table::<Photo>()
}

fn main() -> ExitCode {
    Backend::new(schema()).functions(functions()).main()
}

#[cfg(test)]
mod tests {
    use lentil_testing::TestBackend;

    use super::*;

    #[tokio::test]
    async fn a_removed_photo_takes_its_file_with_it() {
        let t = TestBackend::new(schema()).functions(functions());
        let file = t
            .action(async |ctx| ctx.storage.store("a photo", Some("image/png")).await)
            .await
            .unwrap();
        let photo = Photo {
            caption: "The sea".into(),
            file,
        };
        let photo = t.run_mutation(add, photo).await.unwrap();
        let listed = t.run_query(list, ()).await.unwrap();
        assert_eq!(listed[0].caption, "The sea");
        let url = listed[0].url.clone().into_option().unwrap();
        assert!(url.contains("/api/storage/"), "{url}");

        t.run_mutation(remove, Remove { photo }).await.unwrap();
        let left = t
            .action(async |ctx| ctx.storage.get(&file).await)
            .await
            .unwrap();
        assert!(left.is_none());
    }
}
