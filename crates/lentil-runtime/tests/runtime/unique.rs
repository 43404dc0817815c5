use std::collections::BTreeSet;

use lentil::{
    Args, Code, Document, Error, Functions, Id, MutationCtx, Object, Result, Schema, Value,
};
use lentil_runtime::{FunctionCall, FunctionPath, Identity, UniqueViolation};
use lentil_testing::TestBackend;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// A page of somebody's.
#[derive(Document, Clone, Debug, PartialEq)]
#[table("pages")]
#[unique(by_slug(slug))]
#[unique(by_owner_and_rank(owner, rank))]
struct Page {
    slug: String,
    owner: Option<String>,
    rank: f64,
}

fn page(slug: &str, rank: f64) -> Page {
    Page {
        slug: slug.into(),
        owner: None,
        rank,
    }
}

#[derive(Args, Clone)]
struct Add {
    slug: String,
    rank: f64,
}

fn adding(slug: &str, rank: f64) -> Add {
    Add {
        slug: slug.into(),
        rank,
    }
}

async fn add(ctx: &mut MutationCtx, args: Add) -> Result<Id<Page>> {
    ctx.db.insert(page(&args.slug, args.rank)).await
}

#[derive(Args, Clone)]
struct Rename {
    page: Id<Page>,
    slug: String,
}

async fn rename(ctx: &mut MutationCtx, args: Rename) -> Result<()> {
    ctx.db
        .patch(&args.page, Page::patch().slug(args.slug))
        .await
}

/// Gives two pages each other's slug.
async fn swap(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    let pages = ctx.db.query(Page::all()).take(2).await?;
    ctx.db
        .patch(&pages[0].id, Page::patch().slug(&pages[1].slug))
        .await?;
    ctx.db
        .patch(&pages[1].id, Page::patch().slug(&pages[0].slug))
        .await
}

fn backend() -> TestBackend {
    let functions = Functions::in_module("pages")
        .mutation("add", add)
        .mutation("rename", rename)
        .mutation("swap", swap);
    TestBackend::new(Schema::new().table::<Page>()).functions(functions)
}

fn backends() -> [TestBackend; 2] {
    [backend(), backend().on_sqlite()]
}

/// Adds pages of these slugs, each with its place as rank.
async fn fill<const N: usize>(t: &TestBackend, slugs: [&str; N]) -> [Id<Page>; N] {
    let pages: Vec<_> = slugs
        .iter()
        .enumerate()
        .map(|(rank, slug)| page(slug, rank as f64))
        .collect();
    let insert = t.mutation(async |ctx| {
        let mut ids = Vec::new();
        for page in &pages {
            ids.push(ctx.db.insert(page.clone()).await?);
        }
        Ok(ids)
    });
    insert.await.unwrap().try_into().unwrap()
}

async fn slugs(t: &TestBackend) -> Vec<String> {
    t.documents::<Page>()
        .await
        .unwrap()
        .into_iter()
        .map(|page| page.fields.slug)
        .collect()
}

#[tokio::test]
async fn a_duplicate_key_fails_the_mutation_with_its_name() {
    for t in backends() {
        let [a] = fill(&t, ["a"]).await;
        let error = t
            .mutation(async |ctx| ctx.db.insert(page("a", 7.0)).await)
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::UniqueIndexViolation);
        let message = error.message();
        let sentence =
            format!("the index pages.by_slug is unique, and the documents \"{a}\" and \"");
        assert!(
            message.starts_with(&sentence) && message.ends_with("both have `slug` \"a\""),
            "{message}"
        );
        let violation = error
            .cause()
            .unwrap()
            .downcast_ref::<UniqueViolation>()
            .unwrap();
        assert_eq!(
            (violation.index.as_str(), violation.documents[0]),
            ("by_slug", a.document_id())
        );
        assert_eq!(slugs(&t).await, ["a"]);
    }
}

#[tokio::test]
async fn one_mutation_cannot_take_a_key_twice() {
    for t in backends() {
        let twice = t.mutation(async |ctx| {
            ctx.db.insert(page("a", 1.0)).await?;
            ctx.db.insert(page("a", 2.0)).await
        });
        assert_eq!(twice.await.unwrap_err().code(), Code::UniqueIndexViolation);
        assert!(slugs(&t).await.is_empty());
    }
}

#[tokio::test]
async fn unique_indexes_are_checked_at_the_end_of_a_mutation() {
    for t in backends() {
        let [a, b] = fill(&t, ["a", "b"]).await;
        t.mutation(async |ctx| swap(ctx, ()).await).await.unwrap();
        assert_eq!(slugs(&t).await, ["b", "a"]);
        t.mutation(async |ctx| {
            ctx.db.insert(page("a", 5.0)).await?;
            ctx.db.delete(&b).await
        })
        .await
        .unwrap();
        assert_eq!(slugs(&t).await, ["b", "a"]);
        t.mutation(async |ctx| ctx.db.patch(&a, Page::patch().rank(9.0)).await)
            .await
            .unwrap();
        let renamed = t
            .mutation(async |ctx| ctx.db.patch(&a, Page::patch().slug("a")).await)
            .await;
        assert_eq!(renamed.unwrap_err().code(), Code::UniqueIndexViolation);
    }
}

#[tokio::test]
async fn a_missing_field_is_a_value_in_a_unique_index() {
    for t in backends() {
        fill(&t, ["a"]).await;
        let error = t
            .mutation(async |ctx| ctx.db.insert(page("b", 0.0)).await)
            .await
            .unwrap_err();
        assert!(
            error.message().ends_with("both have no `owner`, `rank` 0"),
            "{}",
            error.message()
        );
        t.mutation(async |ctx| ctx.db.insert(page("b", 1.0)).await)
            .await
            .unwrap();
        t.mutation(async |ctx| {
            ctx.db
                .insert(Page {
                    owner: Some("ada".into()),
                    ..page("c", 0.0)
                })
                .await
        })
        .await
        .unwrap();
        assert_eq!(slugs(&t).await, ["a", "b", "c"]);
    }
}

#[tokio::test]
async fn the_violation_of_a_nested_mutation_can_be_handled() {
    for t in backends() {
        fill(&t, ["a"]).await;
        t.mutation(async |ctx| {
            ctx.run_mutation(add, adding("b", 5.0)).await?;
            for taken in ["a", "b"] {
                let refused = ctx.run_mutation(add, adding(taken, 6.0)).await.unwrap_err();
                assert_eq!(refused.code(), Code::UniqueIndexViolation);
            }
            ctx.run_mutation(add, adding("c", 6.0)).await.map(drop)
        })
        .await
        .unwrap();
        assert_eq!(slugs(&t).await, ["a", "b", "c"]);
    }
}

#[tokio::test]
async fn a_nested_mutation_is_checked_without_its_callers_writes() {
    for t in backends() {
        let [a, b] = fill(&t, ["a", "b"]).await;
        t.mutation(async |ctx| {
            ctx.run_mutation(swap, ()).await?;
            // Two pages are called "a" for a while, which the nested call neither did nor mends.
            ctx.db.patch(&a, Page::patch().slug("a")).await?;
            ctx.run_mutation(add, adding("c", 5.0)).await?;
            ctx.run_mutation(
                rename,
                Rename {
                    page: b,
                    slug: "b".into(),
                },
            )
            .await
        })
        .await
        .unwrap();
        assert_eq!(slugs(&t).await, ["a", "b", "c"]);
        let left = t.mutation(async |ctx| {
            ctx.db.patch(&a, Page::patch().slug("b")).await?;
            ctx.run_mutation(add, adding("d", 6.0)).await
        });
        assert_eq!(left.await.unwrap_err().code(), Code::UniqueIndexViolation);
        assert_eq!(slugs(&t).await, ["a", "b", "c"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_concurrent_mutations_one_takes_a_key() {
    for t in backends() {
        let inserts = (0..64).map(async |rank| {
            let runtime = t.runtime().await.clone();
            let args = Object::from([("slug", Value::from("a")), ("rank", f64::from(rank).into())]);
            let call = FunctionCall::new(
                FunctionPath::parse("pages:add").unwrap(),
                args,
                Identity::Anonymous,
            );
            tokio::spawn(async move { runtime.call(call, None).await.result })
                .await
                .unwrap()
        });
        let results = futures_util::future::join_all(inserts).await;
        let codes = results
            .iter()
            .filter_map(|result| result.as_ref().err().map(Error::code));
        assert_eq!(codes.collect::<Vec<_>>(), [Code::UniqueIndexViolation; 63]);
        assert_eq!(slugs(&t).await, ["a"]);
    }
}

/// A step of a mutation over pages that it finds by their place, some in a nested mutation that may
/// fail.
#[derive(Clone, Debug)]
enum Step {
    Insert {
        slug: u8,
        rank: u8,
        nested: bool,
    },
    Rename {
        which: usize,
        slug: u8,
        nested: bool,
    },
    Rank {
        which: usize,
        rank: u8,
    },
    Delete {
        which: usize,
    },
    Swap,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u8..5, 0_u8..9, any::<bool>()).prop_map(|(slug, rank, nested)| Step::Insert { slug, rank, nested }),
        3 => (0_usize..6, 0_u8..5, any::<bool>())
            .prop_map(|(which, slug, nested)| Step::Rename { which, slug, nested }),
        2 => (0_usize..6, 0_u8..9).prop_map(|(which, rank)| Step::Rank { which, rank }),
        1 => (0_usize..6).prop_map(|which| Step::Delete { which }),
        1 => Just(Step::Swap),
    ]
}

async fn take(ctx: &mut MutationCtx, step: &Step) -> Result<()> {
    let pages = ctx.db.query(Page::all()).collect().await?;
    let page_at = |which: &usize| pages.get(*which % pages.len().max(1)).map(|page| page.id);
    match step {
        Step::Insert {
            slug,
            rank,
            nested: false,
        } => drop(add(ctx, adding(&slug.to_string(), (*rank).into())).await?),
        // The writes of a nested mutation that fails are undone, and the program continues.
        Step::Insert {
            slug,
            rank,
            nested: true,
        } => {
            drop(
                ctx.run_mutation(add, adding(&slug.to_string(), (*rank).into()))
                    .await,
            );
        }
        Step::Rename {
            which,
            slug,
            nested,
        } => {
            let Some(page) = page_at(which) else {
                return Ok(());
            };
            let args = Rename {
                page,
                slug: slug.to_string(),
            };
            let renamed = if *nested {
                ctx.run_mutation(rename, args).await
            } else {
                rename(ctx, args).await
            };
            return if *nested { Ok(()) } else { renamed };
        }
        Step::Rank { which, rank } => {
            let Some(page) = page_at(which) else {
                return Ok(());
            };
            ctx.db
                .patch(&page, Page::patch().rank(f64::from(*rank)))
                .await?;
        }
        Step::Delete { which } => {
            let Some(page) = page_at(which) else {
                return Ok(());
            };
            ctx.db.delete(&page).await?;
        }
        Step::Swap if pages.len() >= 2 => ctx.run_mutation(swap, ()).await?,
        Step::Swap => {}
    }
    Ok(())
}

/// Whether no two pages are equal in a unique index.
fn are_unique<'p>(pages: impl Iterator<Item = &'p Page>) -> bool {
    let mut seen = BTreeSet::new();
    let mut keys =
        pages.flat_map(|page| [page.slug.clone(), format!("{:?} {}", page.owner, page.rank)]);
    keys.all(|key| seen.insert(key))
}

#[test]
fn random_mutations_leave_no_duplicates_and_fail_only_for_duplicates() {
    let mut runner = TestRunner::new(Config {
        cases: 48,
        ..Config::default()
    });
    let programs = prop::collection::vec(prop::collection::vec(step(), 1..6), 1..12);
    let outcome = runner.run(&programs, |program| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let t = backend();
            for steps in program {
                let left = parking_lot::Mutex::new(None);
                let result = t.mutation(async |ctx| {
                    for step in &steps {
                        match take(ctx, step).await {
                            // A swap in a state that is broken already may be refused.
                            Err(error) if error.code() == Code::UniqueIndexViolation => {}
                            other => other?,
                        }
                    }
                    *left.lock() = Some(ctx.db.query(Page::all()).collect().await?);
                    Ok::<_, Error>(())
                });
                let result = result.await;
                let would_be = left.lock().take().unwrap();
                let is_fine = are_unique(would_be.iter().map(|page| &page.fields));
                prop_assert_eq!(result.is_ok(), is_fine, "{:?}", result);
                let stored = t.documents::<Page>().await.unwrap();
                prop_assert!(are_unique(stored.iter().map(|page| &page.fields)));
            }
            Ok(())
        })
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
