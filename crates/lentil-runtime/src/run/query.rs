use std::sync::Arc;

use lentil_values::{Object, Value};

use super::check::{check_args, check_result};
use super::guard::guard;
use super::nested::wrong_kind;
use crate::cache::{CacheKey, CachedRun};
use crate::call::Call;
use crate::database::{Journal, Transaction};
use crate::error::store_error;
use crate::function::Run;
use crate::{DatabaseReader, Error, Function, FunctionKind, QueryCtx, Result, Runtime};

impl Runtime {
    /// Answers a query, from the cache where that has an answer that still holds.
    pub(crate) async fn run_query(
        &self,
        function: &Arc<Function>,
        args: Object,
        journal: Option<String>,
        call: &Call,
    ) -> Result<Arc<CachedRun>> {
        check_args(self, function, &args)?;
        let key = CacheKey::new(function.path.as_str(), &args, journal.as_deref(), function.visibility);
        let since = self.store().catch_up().await.map_err(store_error)?;
        let run =
            self.cache().get_or_run(key, since, self.now_ms(), self.execute_query(function, args, journal)).await?;
        call.log.extend(&run.log_lines);
        self.store().wait_published(run.timestamp).await.map_err(store_error)?;
        Ok(run)
    }

    async fn execute_query(
        &self,
        function: &Arc<Function>,
        args: Object,
        journal: Option<String>,
    ) -> Result<CachedRun> {
        let Run::Query(run) = &function.run else { return Err(wrong_kind(function, FunctionKind::Query)) };
        let name = function.path.as_str();
        let mut ctx = self.query_ctx(Call::outermost(self.clone()), journal).await?;
        let result = guard(name, self.limits().query_time, run(&mut ctx, args)).await;
        let result = result.and_then(|value| check_result(self, function, &value).map(|()| value));
        let log = ctx.log.clone();
        let (value, transaction) = self.end_query(name, ctx, result).await?;
        let (timestamp, read_set, journal) = transaction.into_query();
        Ok(CachedRun { value: Arc::new(value), log_lines: log.lines(), read_set, timestamp, journal: journal.now })
    }

    /// A query's context on a snapshot of its own.
    pub(crate) async fn query_ctx(&self, call: Call, journal: Option<String>) -> Result<QueryCtx> {
        let snapshot = self.store().snapshot().await.map_err(store_error)?;
        let transaction = Transaction::query(self.clone(), snapshot, Journal { before: journal, now: None });
        Ok(QueryCtx::new(DatabaseReader::over(Box::new(transaction)), call))
    }

    /// Takes the transaction back; an error is released only when what it rests on is shown.
    pub(crate) async fn end_query<R>(
        &self,
        name: &str,
        ctx: QueryCtx,
        result: Result<R>,
    ) -> Result<(R, Box<Transaction>)> {
        let Some(transaction) = ctx.db.into_transaction() else {
            return result.and_then(|_| Err(abandoned(name)));
        };
        match result {
            Ok(value) => Ok((value, transaction)),
            Err(error) => {
                self.store().wait_published(transaction.timestamp()).await.map_err(store_error)?;
                Err(error)
            }
        }
    }
}

fn abandoned(name: &str) -> Error {
    Error::new(crate::Code::Abandoned, format!("`{name}` dropped a nested call before it finished"))
}

/// What a query answers, owned by its caller.
pub(crate) fn into_value(run: &CachedRun) -> Value {
    Value::clone(&run.value)
}
