use lentil_call::{Code, Error, FunctionKind, Result};
use lentil_database::{Transaction, TransactionCell};
use lentil_values::Value;

use super::check::{check_args, check_result};
use super::timeout::catch_panic;
use crate::engine::{Call, Function, Runner};
use crate::typed::CallArgs;

/// Runs a query within its caller's transaction.
pub(crate) async fn call_nested_query(
    cell: &TransactionCell,
    caller: &Call,
    function: &Function,
    args: CallArgs,
) -> Result<Value> {
    let Runner::Query(run) = &function.runner else {
        return Err(wrong_kind(function, FunctionKind::Query));
    };
    let call = caller.nested(&function.path)?;
    check_args(&caller.engine, function, &args)?;

    // The nested call gets its own cell, so that the caller cannot use the transaction
    // meanwhile.
    let own = TransactionCell::new(cell.lend()?);
    let mut running = run(own.clone(), call, args.into_object());
    let result = catch_panic(function.path.as_str(), running.as_mut()).await;
    // A function that panicked may still hold the transaction; it returns to the cell when the
    // future is dropped.
    drop(running);
    // Returned before the error is, because the caller may handle the error and continue.
    cell.put(own.take());
    let value = result?;
    check_result(&caller.engine, function, &value)?;
    Ok(value)
}

/// Runs a mutation within its caller's transaction, after a savepoint. A failure rolls back to the
/// savepoint.
pub(crate) async fn call_nested_mutation(
    cell: &TransactionCell,
    caller: &Call,
    function: &Function,
    args: CallArgs,
) -> Result<Value> {
    let Runner::Mutation(run) = &function.runner else {
        return Err(wrong_kind(function, FunctionKind::Mutation));
    };
    let call = caller.nested(&function.path)?;
    check_args(&caller.engine, function, &args)?;

    let mut transaction = cell.lend()?;
    transaction.push_savepoint();
    let own = TransactionCell::new(transaction);
    let mut running = run(own.clone(), call, args.into_object());
    let result = catch_panic(function.path.as_str(), running.as_mut()).await;
    drop(running);
    let result =
        result.and_then(|value| check_result(&caller.engine, function, &value).map(|()| value));
    let mut transaction = own.take();
    let result = match &mut transaction {
        Some(transaction) => end_savepoint(transaction, result).await,
        None => result,
    };
    cell.put(transaction);
    result
}

/// Keeps the writes since the savepoint if the mutation succeeded and violates no unique index.
async fn end_savepoint(transaction: &mut Transaction, result: Result<Value>) -> Result<Value> {
    let result = match result {
        // The check comes at the end of each nested mutation, so that its caller can handle the
        // error.
        Ok(value) => transaction.check_unique().await.map(|()| value),
        Err(error) => Err(error),
    };
    match &result {
        Ok(_) => transaction.release_savepoint(),
        Err(_) => transaction.roll_back_to_savepoint(),
    }
    result
}

/// Returns the error of a call of a function as another kind than it is.
pub(crate) fn wrong_kind(function: &Function, called_as: FunctionKind) -> Error {
    let message = format!(
        "`{}` is a {:?}, and was called as a {called_as:?}",
        function.path,
        function.kind()
    );
    Error::new(Code::WrongFunctionKind, message).into_rejected_call()
}
