//! The app gallery: the factory server publishes every finished app, and the site shows the apps live.
//!
//! Every stored file is an app's screenshot. [`delete_orphaned_screenshots`] deletes files that no app references.

use std::time::Duration;

use clonk_schema::App;
use lentil::{
    Args, Crons, Doc, Document, Functions, Id, MutationCtx, Nullable, Order, PaginationOptions,
    PaginationResult, QueryCtx, Result, StoredFile, ValueType,
};

use crate::walks;

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
        let start = slug_of(app_name, MAX_SLUG_LENGTH - 1 - SUFFIX_LENGTH);
        slug = format!("{start}-{suffix}");
    }
}

/// Returns the name in lower case, with one dash for each sequence of characters other than a–z and 0–9. If nothing
/// else is left, returns "app".
fn slug_of(app_name: &str, length: usize) -> String {
    let lower = app_name.to_lowercase();
    let words = lower
        .split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit())
        .filter(|word| !word.is_empty());
    let mut slug = words.collect::<Vec<_>>().join("-");
    slug.truncate(length);
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
    if old.len() == STEP_SIZE {
        ctx.scheduler
            .run_after(Duration::ZERO, delete_orphaned_screenshots, ())
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clonk_schema::schema;
    use lentil::{Object, object};
    use lentil_testing::TestBackend;

    use super::*;

    fn backend() -> TestBackend {
        TestBackend::new(schema())
            .functions(functions())
            .crons(crons())
    }

    fn app(app_name: &str) -> Create {
        Create {
            app_name: app_name.into(),
            description: "It tells the time.".into(),
            vercel_url: "https://clock.example".into(),
            github_url: "https://git.example/clock".into(),
            username: "ada".into(),
            template: "react".into(),
            screenshot_id: None,
        }
    }

    async fn created(t: &TestBackend, app: Create) -> Created {
        t.run_mutation(create, app).await.unwrap()
    }

    async fn newest(t: &TestBackend, args: List) -> Vec<Shown> {
        match t.run_query(list, args).await.unwrap() {
            Listed::Newest(apps) => apps,
            Listed::Page(_) => panic!("expected an array"),
        }
    }

    async fn page(t: &TestBackend, options: PaginationOptions) -> PaginationResult<Shown> {
        let args = List {
            pagination_opts: Some(options),
            ..List::default()
        };
        match t.run_query(list, args).await.unwrap() {
            Listed::Page(page) => page,
            Listed::Newest(_) => panic!("expected a page"),
        }
    }

    fn names(apps: &[Shown]) -> Vec<&str> {
        apps.iter().map(|shown| &*shown.app.app_name).collect()
    }

    async fn screenshot(t: &TestBackend, bytes: &'static str) -> Id<StoredFile> {
        t.action(async |ctx| ctx.storage.store(bytes, Some("image/png")).await)
            .await
            .unwrap()
    }

    #[test]
    fn a_slug_is_lower_case_with_single_dashes() {
        for (name, slug) in [
            ("My Clock", "my-clock"),
            ("  --Ada's   2nd clock!! ", "ada-s-2nd-clock"),
            ("Café Zürich", "caf-z-rich"),
            ("2048", "2048"),
            ("日本語", "app"),
            ("", "app"),
            ("-", "app"),
        ] {
            assert_eq!(slug_of(name, MAX_SLUG_LENGTH), slug, "{name}");
        }
        assert_eq!(
            slug_of(&"ab ".repeat(40), MAX_SLUG_LENGTH).len(),
            59,
            "character 60 would be a dash"
        );
        assert_eq!(slug_of(&"x".repeat(61), MAX_SLUG_LENGTH), "x".repeat(60));
    }

    #[tokio::test]
    async fn a_new_app_is_listed_and_found_by_its_slug() {
        let t = backend();
        t.clock().set_ms(5_000.0);
        let screenshot_id = Some(screenshot(&t, "png").await);
        let created = created(
            &t,
            Create {
                screenshot_id,
                ..app("My Clock")
            },
        )
        .await;
        assert_eq!(
            created,
            Created {
                slug: "my-clock".into(),
                page_url: "https://clonk.ai/app/my-clock".into()
            }
        );
        let apps = newest(&t, List::default()).await;
        assert_eq!(names(&apps), ["My Clock"]);
        assert_eq!(apps[0].app.created_at, 5_000.0);
        let url = apps[0].screenshot_url.clone().into_option().unwrap();
        assert!(url.contains("/api/storage/"), "{url}");
        let find = async |slug: &str| {
            let args = GetBySlug { slug: slug.into() };
            t.run_query(get_by_slug, args).await.unwrap()
        };
        assert_eq!(find("my-clock").await.as_ref(), apps.first());
        assert_eq!(find("my").await, None);
    }

    #[tokio::test]
    async fn site_url_sets_the_address_of_pages() {
        let t = backend().env("SITE_URL", "https://gallery.example/");
        assert_eq!(
            created(&t, app("Clock")).await.page_url,
            "https://gallery.example/app/clock"
        );
    }

    #[tokio::test]
    async fn a_taken_slug_gets_a_suffix() {
        let t = backend();
        let name = "x".repeat(80);
        let mut slugs = std::collections::BTreeSet::new();
        for _ in 0..20 {
            slugs.insert(created(&t, app(&name)).await.slug);
        }
        assert_eq!(slugs.len(), 20, "all slugs differ");
        assert_eq!(slugs.pop_last().unwrap(), "x".repeat(60));
        for slug in slugs {
            assert!(
                slug.len() == 60 && slug.starts_with(&format!("{}-", "x".repeat(54))),
                "{slug}"
            );
        }
        assert_eq!(created(&t, app("日本語")).await.slug, "app");
        assert!(created(&t, app("日本語")).await.slug.starts_with("app-"));
    }

    #[tokio::test]
    async fn apps_are_listed_newest_first_by_user_and_template() {
        let t = backend();
        for (name, username, template) in [
            ("one", "ada", "react"),
            ("two", "bob", "threejs"),
            ("three", "ada", "threejs"),
            ("four", "eve", "react"),
        ] {
            t.advance(Duration::from_secs(1));
            created(
                &t,
                Create {
                    username: username.into(),
                    template: template.into(),
                    ..app(name)
                },
            )
            .await;
        }
        let listed = async |username: Option<&str>, template: Option<&str>| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            let args = List {
                username: own(username),
                template: own(template),
                pagination_opts: None,
            };
            names(&newest(&t, args).await).join(" ")
        };
        assert_eq!(listed(None, None).await, "four three two one");
        assert_eq!(listed(Some("ada"), None).await, "three one");
        assert_eq!(listed(None, Some("threejs")).await, "three two");
        assert_eq!(listed(Some("ada"), Some("threejs")).await, "three");
        assert_eq!(listed(Some("nobody"), None).await, "");
    }

    #[tokio::test]
    async fn apps_are_paged_newest_first() {
        let t = backend();
        for number in 0..5 {
            t.advance(Duration::from_secs(1));
            created(&t, app(&number.to_string())).await;
        }
        let first = page(&t, PaginationOptions::first(3)).await;
        assert_eq!(
            (names(&first.page), first.is_done),
            (vec!["4", "3", "2"], false)
        );
        let second = page(&t, PaginationOptions::after(first.continue_cursor, 3)).await;
        assert_eq!(
            (names(&second.page), second.is_done),
            (vec!["1", "0"], true)
        );
    }

    #[tokio::test]
    async fn list_returns_an_array_or_a_page() {
        let t = backend();
        created(&t, app("Clock")).await;
        let array = t.call_public("apps:list", Object::new()).await.unwrap();
        let first = array.as_array().unwrap()[0].as_object().unwrap();
        assert_eq!(first.get("slug").unwrap().as_str(), Some("clock"));
        assert_eq!(first.get("screenshotUrl"), Some(&lentil::Value::Null));
        let options = ValueType::into_value(PaginationOptions::first(10));
        let page = t
            .call_public("apps:list", object! { "paginationOpts": options })
            .await
            .unwrap();
        assert_eq!(page.as_object().unwrap().get("page"), Some(&array));
        t.call_public("apps:create", Object::new())
            .await
            .unwrap_err();
    }

    #[tokio::test]
    async fn an_orphaned_screenshot_is_deleted_after_an_hour() {
        let t = backend();
        let named = screenshot(&t, "named").await;
        created(
            &t,
            Create {
                screenshot_id: Some(named),
                ..app("Clock")
            },
        )
        .await;
        screenshot(&t, "orphaned").await;
        t.advance(Duration::from_secs(59 * 60));
        screenshot(&t, "young").await;
        let sizes = async || {
            let files = t
                .query(async |ctx| ctx.db.system.query(StoredFile::all()).collect().await)
                .await
                .unwrap();
            files.iter().map(|file| file.size).collect::<Vec<_>>()
        };
        t.run_due().await.unwrap();
        assert_eq!(sizes().await, [5.0, 8.0, 5.0], "an hour has not passed");
        t.advance(Duration::from_secs(60 * 60 + 1));
        t.run_due().await.unwrap();
        assert_eq!(
            sizes().await,
            [5.0],
            "the third screenshot is an hour old too"
        );
        assert_eq!(
            newest(&t, List::default()).await[0].app.screenshot_id,
            Some(named)
        );
    }

    #[tokio::test]
    async fn many_orphans_are_deleted_in_steps() {
        let t = backend();
        for _ in 0..STEP_SIZE + 50 {
            screenshot(&t, "orphaned").await;
        }
        t.advance(2 * ORPHAN_AGE);
        assert_eq!(
            t.run_due().await.unwrap(),
            2,
            "the first step schedules the second"
        );
        let left = t
            .query(async |ctx| ctx.db.system.query(StoredFile::all()).count().await)
            .await
            .unwrap();
        assert_eq!(left, 0);
    }
}
