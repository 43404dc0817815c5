//! Transactions of the engine's own, outside of functions.

use std::sync::Arc;

use lentil_call::{Caller, Identity, Result, store_error};
use lentil_database::{Journal, ReadBudget, Transaction, TransactionCell};

use crate::engine::{Call, Engine};
use crate::run::{published_snapshot, transact};

/// Runs `attempt` in a mutation's transaction, again after each conflict. Its writes are
/// durable when this returns.
///
/// The log names the mutation by `name`.
pub(crate) async fn write<R, F>(
    engine: &Engine,
    name: &str,
    attempt: impl Fn(TransactionCell) -> F,
) -> Result<R>
where
    F: Future<Output = Result<R>>,
{
    let name: Arc<str> = name.into();
    let source = engine.new_source(Caller::Tester);
    let call = Call::outermost(engine.clone(), Identity::Anonymous, source, &name);
    let committed = transact(&name, &call, |cell, _| attempt(cell)).await;
    committed.result.map(|(result, _)| result)
}

/// Opens a view of what is committed.
pub(crate) async fn read(engine: &Engine) -> Result<TransactionCell> {
    let snapshot = published_snapshot(engine).await.map_err(store_error)?;
    let database = Arc::clone(engine.database());
    let transaction = Transaction::query(
        database,
        snapshot,
        Journal::default(),
        ReadBudget::Unlimited,
    );
    Ok(TransactionCell::new(Box::new(transaction)))
}
