use std::sync::Arc;

use lentil_values::{Object, Value};

use super::check::{check_args, check_result};
use super::guard::catch_panic;
use crate::call::Call;
use crate::function::Run;
use crate::{
    Code, DatabaseReader, DatabaseWriter, Error, Function, FunctionKind, MutationCtx, QueryCtx,
    Result,
};

/// Runs a query within its caller's transaction.
pub(crate) async fn call_nested_query(
    db: &mut DatabaseReader,
    caller: &Call,
    function: Arc<Function>,
    args: Object,
) -> Result<Value> {
    let Run::Query(run) = &function.run else {
        return Err(wrong_kind(&function, FunctionKind::Query));
    };
    let call = caller.nested(&function.path)?;
    check_args(&caller.runtime, &function, &args)?;
    let mut ctx = QueryCtx::new(DatabaseReader::over(db.lend()?), call);
    let result = catch_panic(function.path.as_str(), run(&mut ctx, args).as_mut()).await;
    db.restore(ctx.db.into_transaction());
    let value = result?;
    check_result(&caller.runtime, &function, &value)?;
    Ok(value)
}

/// Runs a mutation as a layer of its caller's transaction: kept when it succeeds, undone when it fails.
pub(crate) async fn call_nested_mutation(
    caller: &mut MutationCtx,
    function: Arc<Function>,
    args: Object,
) -> Result<Value> {
    let Run::Mutation(run) = &function.run else {
        return Err(wrong_kind(&function, FunctionKind::Mutation));
    };
    let runtime = caller.call.runtime.clone();
    let call = caller.call.nested(&function.path)?;
    check_args(&runtime, &function, &args)?;
    let mut transaction = caller.db.lend()?;
    transaction.push_savepoint();
    let mut ctx = MutationCtx::new(DatabaseWriter::over(transaction), call);
    let result = catch_panic(function.path.as_str(), run(&mut ctx, args).as_mut()).await;
    let mut result =
        result.and_then(|value| check_result(&runtime, &function, &value).map(|()| value));
    let mut transaction = ctx.db.into_reader().into_transaction();
    if let Some(transaction) = &mut transaction {
        // A mutation answers for the unique indexes when it ends, also as a part of another: so that can catch it.
        if result.is_ok()
            && let Err(error) = transaction.check_unique().await
        {
            result = Err(error);
        }
        match &result {
            Ok(_) => transaction.release_savepoint(),
            Err(_) => transaction.roll_back_to_savepoint(),
        }
    }
    caller.db.restore(transaction);
    result
}

pub(crate) fn wrong_kind(function: &Function, called_as: FunctionKind) -> Error {
    let message = format!(
        "`{}` is a {:?}, and was called as a {called_as:?}",
        function.path,
        function.kind()
    );
    Error::new(Code::WrongFunctionKind, message).into_rejected_call()
}
