use lentil::{Args, Doc, Document, Functions, MutationCtx, QueryCtx, Result, Schema};
use lentil_testing::TestBackend;

/// A task on somebody's list.
#[derive(Document, Clone, Debug, PartialEq)]
#[table("tasks")]
#[index(by_owner_and_rank(owner, rank))]
#[index(by_note(note))]
pub(crate) struct Task {
    pub(crate) owner: String,
    pub(crate) rank: f64,
    pub(crate) note: Option<String>,
}

pub(crate) fn schema() -> Schema {
    Schema::new().table::<Task>()
}

pub(crate) fn task(owner: &str, rank: f64) -> Task {
    Task {
        owner: owner.into(),
        rank,
        note: None,
    }
}

pub(crate) fn backend() -> TestBackend {
    TestBackend::new(schema()).functions(functions())
}

/// The same backend on every store.
pub(crate) fn backends() -> [TestBackend; 2] {
    [backend(), backend().on_sqlite()]
}

pub(crate) fn functions() -> Functions {
    Functions::in_module("tasks")
        .mutation("add", add)
        .mutation("fail", fail)
        .query("list", list)
}

#[derive(Args, Clone)]
pub(crate) struct Add {
    pub(crate) owner: String,
    pub(crate) rank: f64,
}

pub(crate) async fn add(ctx: &mut MutationCtx, args: Add) -> Result<()> {
    ctx.db.insert(task(&args.owner, args.rank)).await?;
    Ok(())
}

/// Adds a task, and then fails.
pub(crate) async fn fail(ctx: &mut MutationCtx, args: Add) -> Result<()> {
    add(ctx, args).await?;
    Err(lentil::Error::msg("after all, no"))
}

#[derive(Args, Clone)]
pub(crate) struct List {
    pub(crate) owner: String,
}

pub(crate) async fn list(ctx: &mut QueryCtx, args: List) -> Result<Vec<Doc<Task>>> {
    ctx.db
        .query(Task::BY_OWNER_AND_RANK.eq(args.owner))
        .collect()
        .await
}

pub(crate) fn ranks(tasks: &[Doc<Task>]) -> Vec<f64> {
    tasks.iter().map(|task| task.rank).collect()
}

/// Adds tasks of one owner.
pub(crate) async fn fill(t: &TestBackend, owner: &str, ranks: impl IntoIterator<Item = f64>) {
    for rank in ranks {
        t.mutation(async |ctx| ctx.db.insert(task(owner, rank)).await)
            .await
            .unwrap();
    }
}
