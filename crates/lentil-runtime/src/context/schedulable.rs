use super::action::ActionCtx;
use super::mutation::MutationCtx;
use crate::handler::{ActionHandler, Handler};
use crate::schedule::Schedulable;

#[diagnostic::do_not_recommend]
impl<A, F: Handler<MutationCtx, A>> Schedulable<A, MutationCtx> for F {}

#[diagnostic::do_not_recommend]
impl<A, F: ActionHandler<ActionCtx, A>> Schedulable<A, ActionCtx> for F {}
