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
