//! Mutations on a store with optimistic transactions, as several servers on one database have it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lentil::{Application, Code, Document, Result, Schema};
use lentil_runtime::{Identity, Runtime, RuntimeOptions};
use lentil_store::SystemClock;
use lentil_store::conformance::OptimisticStore;

#[derive(Document, Clone)]
#[table("counters")]
struct Counter {
    value: f64,
}

async fn open(store: &Arc<OptimisticStore>) -> Runtime {
    let application = Application::new(Schema::new().table::<Counter>());
    let runtime = Runtime::open(
        application,
        Vec::new(),
        Arc::clone(store) as Arc<dyn lentil_store::Store>,
        RuntimeOptions::default(),
    );
    runtime.await.unwrap()
}

/// Adds 1 to the one counter, and counts the executions.
async fn increment(runtime: &Runtime, executions: &AtomicU32) -> Result<()> {
    let body = async |ctx: &mut lentil::MutationCtx| {
        executions.fetch_add(1, Ordering::Relaxed);
        match ctx
            .db
            .query(Counter::BY_CREATION_TIME.all())
            .first()
            .await?
        {
            Some(counter) => {
                let value = counter.value + 1.0;
                // Other mutations get the chance to commit in between.
                tokio::task::yield_now().await;
                ctx.db
                    .patch(&counter.id, Counter::patch().value(value))
                    .await
            }
            None => ctx.db.insert(Counter { value: 1.0 }).await.map(drop),
        }
    };
    runtime.with_mutation(Identity::Anonymous, None, body).await
}

async fn value(runtime: &Runtime) -> f64 {
    let body = async |ctx: &mut lentil::QueryCtx| {
        let counter = ctx
            .db
            .query(Counter::BY_CREATION_TIME.all())
            .unique()
            .await?;
        Ok(counter.map_or(0.0, |counter| counter.value))
    };
    runtime.with_query(Identity::Anonymous, body).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_mutation_with_a_conflict_is_executed_again() {
    let store = Arc::new(OptimisticStore::new(Arc::new(SystemClock)));
    let runtime = open(&store).await;
    let executions = AtomicU32::new(0);
    let mutations = (0..40).map(|_| increment(&runtime, &executions));
    for result in futures_util::future::join_all(mutations).await {
        result.unwrap();
    }
    assert_eq!(value(&runtime).await, 40.0);
    assert!(executions.into_inner() > 40, "some mutations met conflicts");
}

#[tokio::test]
async fn a_mutation_of_unknown_outcome_is_not_executed_again() {
    let store = Arc::new(OptimisticStore::new(Arc::new(SystemClock)));
    let runtime = open(&store).await;
    let executions = AtomicU32::new(0);
    store.lose_connection_at_next_commit();
    let error = increment(&runtime, &executions).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(executions.into_inner(), 1);
    assert_eq!(value(&runtime).await, 1.0);
}
