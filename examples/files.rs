//! Files: a photo album. A client asks for an upload URL, posts the photo to it, and adds the photo to the album.
//!
//! `cargo run --bin files` serves it.

use std::process::ExitCode;

use lentil::{
    ActionCtx, Args, Backend, Document, Functions, HttpRouter, Id, Method, MutationCtx, Nullable,
    QueryCtx, Request, Response, Result, Schema, StatusCode, StoredFile, ValueType,
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

#[derive(Args)]
struct OfPhoto {
    photo: Id<Photo>,
}

/// Returns the file of a photo.
async fn file(ctx: &mut QueryCtx, args: OfPhoto) -> Result<Option<Id<StoredFile>>> {
    let photo = ctx.db.get(args.photo).await?;
    Ok(photo.map(|photo| photo.file))
}

/// Deletes a photo and its file in one transaction.
async fn remove(ctx: &mut MutationCtx, args: OfPhoto) -> Result<()> {
    if let Some(photo) = ctx.db.get(args.photo).await? {
        ctx.storage.delete(&photo.file).await?;
        ctx.db.delete(photo.id).await?;
    }
    Ok(())
}

/// `GET /photo/<id>`: streams a photo to the client.
async fn get_photo(ctx: &ActionCtx, request: Request) -> Result<Response> {
    let id = request.path().trim_start_matches("/photo/");
    let file = match id.parse() {
        Ok(photo) => ctx.run_query(file, OfPhoto { photo }).await?,
        Err(_) => None,
    };
    match file {
        Some(file) => Response::file(&ctx.storage, &request, file).await,
        None => Ok(Response::text(StatusCode::NOT_FOUND, "No such photo")),
    }
}

fn functions() -> Functions {
    Functions::in_module("photos")
        .mutation("uploadUrl", upload_url)
        .mutation("add", add)
        .query("list", list)
        .internal_query("file", file)
        .mutation("remove", remove)
}

fn router() -> HttpRouter {
    HttpRouter::new().prefix(Method::GET, "/photo/", get_photo)
}

fn schema() -> Schema {
    Schema::new().table::<Photo>()
}

fn main() -> ExitCode {
    Backend::new(schema())
        .functions(functions())
        .http(router())
        .main()
}

#[cfg(test)]
mod tests {
    use lentil::HttpRequest;
    use lentil_testing::TestBackend;

    use super::*;

    #[tokio::test]
    async fn deleting_a_photo_deletes_its_file() {
        let t = TestBackend::new(schema())
            .functions(functions())
            .http(router());
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
        let path = format!("/photo/{photo}");
        let response = t.fetch(HttpRequest::get(&path).body("").unwrap()).await;
        assert_eq!(response.text(), "a photo");

        t.run_mutation(remove, OfPhoto { photo }).await.unwrap();
        let left = t
            .action(async |ctx| ctx.storage.get(&file).await)
            .await
            .unwrap();
        assert!(left.is_none());
        let response = t.fetch(HttpRequest::get(&path).body("").unwrap()).await;
        assert_eq!(response.status, StatusCode::NOT_FOUND);
    }
}
