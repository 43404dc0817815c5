//! The shapes of functions that can be registered: an `async fn` over a context and its arguments.
//!
//! One trait of fixed arity serves named functions and annotated async closures. Its associated
//! future lets a *registration* demand `Send`, while a *call*
//! (`ctx.run_mutation(jobs::upsert, args)`) binds only the signature, so that a function may name
//! itself.
//!
//! Each trait has two implementations, which the parameter `M` distinguishes. [`Fits`] marks the
//! implementation for functions of the right shape. No function has the implementation of
//! [`NoHandler`], which only improves compile errors. With one candidate, the compiler reports a
//! mismatch inside it and suggests a closure. With two, it reports the trait with our message.

use std::convert::Infallible;
use std::future::{Future, Pending};

use lentil_call::Result;

/// Marks the implementation of the handler traits for functions.
pub struct Fits;

/// Marks the implementation of the handler traits that applies to no function.
pub struct NoHandler;

/// Has no implementation.
pub trait Never {}

/// A function over `&'a mut C` for one lifetime `'a`; [`Handler`] demands it for all lifetimes.
pub trait HandlerOn<'a, C: 'a, A, M = Fits> {
    /// The output of its future.
    type Output;
    /// Its future.
    type Future: Future<Output = Self::Output> + 'a;

    /// Calls the function.
    fn call(&self, ctx: &'a mut C, args: A) -> Self::Future;
}

#[diagnostic::do_not_recommend]
impl<'a, C: 'a, A, F, Fut> HandlerOn<'a, C, A, Fits> for F
where
    F: Fn(&'a mut C, A) -> Fut,
    Fut: Future + 'a,
{
    type Output = Fut::Output;
    type Future = Fut;

    fn call(&self, ctx: &'a mut C, args: A) -> Fut {
        self(ctx, args)
    }
}

#[diagnostic::do_not_recommend]
impl<'a, C: 'a, A, F: Never> HandlerOn<'a, C, A, NoHandler> for F {
    type Output = Infallible;
    type Future = Pending<Infallible>;

    fn call(&self, _ctx: &'a mut C, _args: A) -> Pending<Infallible> {
        std::future::pending()
    }
}

/// An `async fn(ctx: &mut C, args: A) -> Result<R>`.
#[diagnostic::on_unimplemented(
    message = "this function does not have the shape that is expected here",
    label = "expected `async fn(ctx: &mut {C}, args: {A}) -> Result<_>`",
    note = "a query takes `&mut QueryCtx`, a mutation `&mut MutationCtx`, an action `&ActionCtx`",
    note = "the second parameter is one struct with `#[derive(Args)]`; without arguments it is `(): ()`"
)]
pub trait Handler<C, A, M = Fits>:
    for<'a> HandlerOn<'a, C, A, M, Output = Result<Self::Returns>> + 'static
{
    /// The value that it returns on success.
    type Returns;
}

#[diagnostic::do_not_recommend]
impl<C, A, M, F, R> Handler<C, A, M> for F
where
    F: for<'a> HandlerOn<'a, C, A, M, Output = Result<R>> + 'static,
{
    type Returns = R;
}

/// An action over `&'a C` for one lifetime `'a`; [`ActionHandler`] demands it for all lifetimes.
pub trait ActionHandlerOn<'a, C: 'a, A, M = Fits> {
    /// The output of its future.
    type Output;
    /// Its future.
    type Future: Future<Output = Self::Output> + 'a;

    /// Calls the function.
    fn call(&self, ctx: &'a C, args: A) -> Self::Future;
}

#[diagnostic::do_not_recommend]
impl<'a, C: 'a, A, F, Fut> ActionHandlerOn<'a, C, A, Fits> for F
where
    F: Fn(&'a C, A) -> Fut,
    Fut: Future + 'a,
{
    type Output = Fut::Output;
    type Future = Fut;

    fn call(&self, ctx: &'a C, args: A) -> Fut {
        self(ctx, args)
    }
}

#[diagnostic::do_not_recommend]
impl<'a, C: 'a, A, F: Never> ActionHandlerOn<'a, C, A, NoHandler> for F {
    type Output = Infallible;
    type Future = Pending<Infallible>;

    fn call(&self, _ctx: &'a C, _args: A) -> Pending<Infallible> {
        std::future::pending()
    }
}

/// An `async fn(ctx: &ActionCtx, args: A) -> Result<R>`; the argument of an HTTP action is its
/// `Request`.
#[diagnostic::on_unimplemented(
    message = "this function does not have the shape of an action",
    label = "expected `async fn(ctx: &{C}, args: {A}) -> Result<_>`",
    note = "an action takes `&ActionCtx` and one struct with `#[derive(Args)]`, or `(): ()`",
    note = "an HTTP action takes `&ActionCtx` and a `Request`, and returns a `Response`"
)]
pub trait ActionHandler<C, A, M = Fits>:
    for<'a> ActionHandlerOn<'a, C, A, M, Output = Result<Self::Returns>> + 'static
{
    /// The value that it returns on success.
    type Returns;
}

#[diagnostic::do_not_recommend]
impl<C, A, M, F, R> ActionHandler<C, A, M> for F
where
    F: for<'a> ActionHandlerOn<'a, C, A, M, Output = Result<R>> + 'static,
{
    type Returns = R;
}
