//! What can be registered as a function: an `async fn` over a context and its arguments.
//!
//! One trait of fixed arity serves named functions and annotated async closures. Its associated future lets a
//! *registration* demand `Send`, while a *call* (`ctx.run_mutation(jobs::upsert, args)`) binds only the signature,
//! so that a function may name itself.

use std::future::Future;

use crate::Result;

/// A function over `&'a mut C`, for one lifetime `'a`: what [`Handler`] is made of.
pub trait HandlerOn<'a, C: 'a, A> {
    /// What its future yields.
    type Output;
    /// Its future.
    type Future: Future<Output = Self::Output> + 'a;

    /// Calls it.
    fn call(&self, ctx: &'a mut C, args: A) -> Self::Future;
}

impl<'a, C: 'a, A, F, Fut> HandlerOn<'a, C, A> for F
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

/// An `async fn(ctx: &mut C, args: A) -> Result<R>`.
#[diagnostic::on_unimplemented(
    message = "this is no function that Lentil can run with these arguments",
    label = "expected `async fn(ctx: &mut {C}, args: {A}) -> Result<_>`",
    note = "queries take `&mut QueryCtx`, mutations `&mut MutationCtx`; arguments are one struct with `#[derive(Args)]`, or `()`"
)]
pub trait Handler<C, A>:
    for<'a> HandlerOn<'a, C, A, Output = Result<Self::Returns>> + 'static
{
    /// What it returns when all goes well.
    type Returns;
}

impl<C, A, F, R> Handler<C, A> for F
where
    F: for<'a> HandlerOn<'a, C, A, Output = Result<R>> + 'static,
{
    type Returns = R;
}

/// An action over `&'a ActionCtx`, for one lifetime `'a`: what [`ActionHandler`] is made of.
pub trait ActionHandlerOn<'a, C: 'a, A> {
    /// What its future yields.
    type Output;
    /// Its future.
    type Future: Future<Output = Self::Output> + 'a;

    /// Calls it.
    fn call(&self, ctx: &'a C, args: A) -> Self::Future;
}

impl<'a, C: 'a, A, F, Fut> ActionHandlerOn<'a, C, A> for F
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

/// An `async fn(ctx: &ActionCtx, args: A) -> Result<R>`; an HTTP action's arguments are its `Request`.
#[diagnostic::on_unimplemented(
    message = "this is no action that Lentil can run with these arguments",
    label = "expected `async fn(ctx: &{C}, args: {A}) -> Result<_>`",
    note = "actions take `&ActionCtx` and one struct with `#[derive(Args)]`, or `()`; HTTP actions take a `Request` and return a `Response`"
)]
pub trait ActionHandler<C, A>:
    for<'a> ActionHandlerOn<'a, C, A, Output = Result<Self::Returns>> + 'static
{
    /// What it returns when all goes well.
    type Returns;
}

impl<C, A, F, R> ActionHandler<C, A> for F
where
    F: for<'a> ActionHandlerOn<'a, C, A, Output = Result<R>> + 'static,
{
    type Returns = R;
}
