//! The app gallery: the factory server publishes every finished app, and the site shows the apps
//! live.
//!
//! Every stored file is an app's screenshot. [`delete_orphaned_screenshots`] deletes files that no
//! app references.

use std::time::Duration;

use clonk_schema::App;
use lentil::{
    Args, Crons, Doc, Document, Functions, Id, MutationCtx, Nullable, Order, PaginationOptions,
    PaginationResult, QueryCtx, Result, StoredFile, ValueType,
};

use crate::walks;

#[cfg(test)]
mod tests;

/// Returns the functions of this module, with the names that clients use.
pub fn functions() -> Functions {
    Functions::in_module("apps")
        .internal_mutation("create", create)
        .query("list", list)
        .query("getBySlug", get_by_slug)
        .internal_mutation("deleteOrphanedScreenshots", delete_orphaned_screenshots)
}

/// Returns the crons of this module.
pub fn crons() -> Crons {
    Crons::new().interval(
        "delete orphaned screenshots",
        Duration::from_secs(60 * 60),
        delete_orphaned_screenshots,
        (),
    )
}

/// The arguments of [`create`]: a finished app.
#[derive(Args, Clone, Debug)]
pub struct Create {
    /// See [`App::app_name`]. The slug is derived from it.
    pub app_name: String,
    /// See [`App::description`].
    pub description: String,
    /// See [`App::vercel_url`].
    pub vercel_url: String,
    /// See [`App::github_url`].
    pub github_url: String,
    /// See [`App::username`].
    pub username: String,
    /// See [`App::template`].
    pub template: String,
    /// See [`App::screenshot_id`].
    pub screenshot_id: Option<Id<StoredFile>>,
}

/// The result of [`create`].
#[derive(ValueType, Clone, Debug, PartialEq)]
pub struct Created {
    /// See [`App::slug`].
    pub slug: String,
    /// The app's page on the site.
    pub page_url: String,
}

/// Adds an app to the gallery, under a unique slug.
pub async fn create(ctx: &mut MutationCtx, args: Create) -> Result<Created> {
    // No other mutation can take the slug before the insert below: both are in one transaction.
    let slug = free_slug(ctx, &args.app_name).await?;
    let app = App {
        slug: slug.clone(),
        app_name: args.app_name,
        description: args.description,
        vercel_url: args.vercel_url,
        github_url: args.github_url,
        username: args.username,
        template: args.template,
        screenshot_id: args.screenshot_id,
        created_at: ctx.now()?,
    };
    ctx.db.insert(app).await?;
    let site = ctx.env("SITE_URL").await?;
    let site = site
        .as_deref()
        .unwrap_or("https://clonk.ai")
        .trim_end_matches('/');
    Ok(Created {
        page_url: format!("{site}/app/{slug}"),
        slug,
    })
}

/// The maximum length of a slug, which consists of ASCII characters.
const MAX_SLUG_LENGTH: usize = 60;
/// The length of the random suffix of a slug that was taken.
const SUFFIX_LENGTH: usize = 5;

/// Returns the name as a slug, with a random suffix if the slug is taken.
async fn free_slug(ctx: &mut QueryCtx, app_name: &str) -> Result<String> {
    let mut slug = slug_of(app_name, MAX_SLUG_LENGTH);
    loop {
        let taken = ctx.db.query(App::BY_SLUG.eq(&slug)).unique().await?;
        if taken.is_none() {
            return Ok(slug);
        }
        let mut suffix = String::new();
        for _ in 0..SUFFIX_LENGTH {
            suffix.push(suffix_char(ctx.random()));
        }
        // Shortened, so that the slug with its dash and suffix is not over the limit.
        let start = slug_of(app_name, MAX_SLUG_LENGTH - 1 - SUFFIX_LENGTH);
        slug = format!("{start}-{suffix}");
    }
}

/// Returns the name in lower case, with one dash for each sequence of characters other than a–z and
/// 0–9. If nothing else is left, returns "app".
fn slug_of(app_name: &str, length: usize) -> String {
    let lower = app_name.to_lowercase();
    let words = lower
        .split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit())
        .filter(|word| !word.is_empty());
    let mut slug = words.collect::<Vec<_>>().join("-");
    // The slug is ASCII, so that the cut is never inside a character.
    slug.truncate(length);
    // The cut may have left a dash at the end.
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        "app".to_owned()
    } else {
        slug.to_owned()
    }
}

fn suffix_char(random: f64) -> char {
    const CHARS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    char::from(CHARS[(random * CHARS.len() as f64) as usize])
}

/// An app as clients receive it.
#[derive(ValueType, Clone, Debug, PartialEq)]
pub struct Shown {
    /// The app's document.
    #[flatten]
    pub app: Doc<App>,
    /// The URL of its screenshot, or null.
    pub screenshot_url: Nullable<String>,
}

/// The arguments of [`list`].
#[derive(Args, Clone, Debug, Default)]
pub struct List {
    /// Lists only apps of this template.
    pub template: Option<String>,
    /// Lists only apps of this user.
    pub username: Option<String>,
    /// Selects a page. Without it, `list` returns an array.
    pub pagination_opts: Option<PaginationOptions>,
}

/// The result of [`list`].
#[derive(ValueType, Clone, Debug, PartialEq)]
pub enum Listed {
    /// The newest apps, newest first.
    Newest(Vec<Shown>),
    /// A page, newest first.
    Page(PaginationResult<Shown>),
}

/// The maximum number of apps in a list without pages.
const LIST_LIMIT: usize = 1_000;

/// Lists apps, newest first: an array of at most 1,000, or a page.
pub async fn list(ctx: &mut QueryCtx, args: List) -> Result<Listed> {
    let List {
        template,
        username,
        pagination_opts,
    } = args;
    let apps = match (&username, &template) {
        (Some(username), None) => ctx.db.query(App::BY_USERNAME.eq(username)),
        (Some(username), Some(template)) => ctx
            .db
            .query(App::BY_USERNAME.eq(username))
            .filter(move |app| app.template == *template),
        (None, Some(template)) => ctx.db.query(App::BY_TEMPLATE.eq(template)),
        (None, None) => ctx.db.query(App::BY_CREATED_AT.all()),
    };
    let apps = apps.order(Order::Desc);
    let Some(options) = pagination_opts else {
        let newest = apps.take(LIST_LIMIT).await?;
        return Ok(Listed::Newest(show_all(ctx, newest).await?));
    };
    let mut page = apps.paginate(options).await?;
    let shown = show_all(ctx, std::mem::take(&mut page.page)).await?;
    Ok(Listed::Page(page.with_page(shown)))
}

/// The arguments of [`get_by_slug`].
#[derive(Args, Clone, Debug)]
pub struct GetBySlug {
    /// See [`App::slug`].
    pub slug: String,
}

/// Returns the app with this slug.
pub async fn get_by_slug(ctx: &mut QueryCtx, args: GetBySlug) -> Result<Option<Shown>> {
    match ctx.db.query(App::BY_SLUG.eq(args.slug)).unique().await? {
        Some(app) => Ok(Some(show(ctx, app).await?)),
        None => Ok(None),
    }
}

async fn show_all(ctx: &mut QueryCtx, apps: Vec<Doc<App>>) -> Result<Vec<Shown>> {
    let mut shown = Vec::with_capacity(apps.len());
    for app in apps {
        shown.push(show(ctx, app).await?);
    }
    Ok(shown)
}

async fn show(ctx: &mut QueryCtx, app: Doc<App>) -> Result<Shown> {
    let screenshot_url = match &app.screenshot_id {
        Some(id) => ctx.storage.get_url(id).await?,
        None => None,
    };
    Ok(Shown {
        app,
        screenshot_url: screenshot_url.into(),
    })
}

/// The age from which a screenshot without an app is an orphan, which a crash left.
const ORPHAN_AGE: Duration = Duration::from_secs(60 * 60);
/// The number of screenshots that one step checks.
const STEP_SIZE: usize = 200;

/// Deletes screenshots that are an hour old and that no app references.
pub async fn delete_orphaned_screenshots(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    const TASK: &str = "apps:deleteOrphanedScreenshots";
    let position = walks::position(ctx, TASK).await?;
    let orphaned_before = ctx.now()? - ORPHAN_AGE.as_secs_f64() * 1e3;
    let range = StoredFile::BY_CREATION_TIME
        .gt(position)
        // A publication stores its screenshot before its app, so that a young one may still get an
        // app.
        .lte(orphaned_before);
    let old = ctx.db.system.query(range).take(STEP_SIZE).await?;
    let Some(last) = old.last() else {
        return Ok(());
    };
    for file in &old {
        if ctx
            .db
            .query(App::BY_SCREENSHOT_ID.eq(file.id))
            .first()
            .await?
            .is_none()
        {
            ctx.storage.delete(&file.id).await?;
        }
    }
    walks::advance(ctx, TASK, last.creation_time).await?;
    // Each step is a separate transaction, so other mutations execute between the steps.
    if old.len() == STEP_SIZE {
        ctx.scheduler
            .run_after(Duration::ZERO, delete_orphaned_screenshots, ())
            .await?;
    }
    Ok(())
}
