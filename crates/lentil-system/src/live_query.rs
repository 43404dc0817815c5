use std::marker::PhantomData;

use lentil_runtime::{ChangeNotifier, FunctionPath, Identity, Result, Runtime, Subscriber};
use lentil_store::Timestamp;
use lentil_values::{Object, Value, ValueType};

/// The number of the only query of a client.
const QUERY: u32 = 0;

/// A live query of the system's own, whose result is a `T`.
pub(crate) struct LiveQuery<T> {
    client: Subscriber,
    changes: ChangeNotifier,
    // A function type, so that the query is `Send` whatever `T` is.
    result: PhantomData<fn() -> T>,
}

impl<T: ValueType> LiveQuery<T> {
    /// Subscribes to the query at `path`.
    ///
    /// # Panics
    /// When `path` is not a function path.
    pub(crate) fn new(runtime: &Runtime, path: &str, args: Object) -> LiveQuery<T> {
        // The system's functions are internal, and only the administrator can call those.
        let mut client = runtime.subscriber(Identity::Admin { acting_as: None });
        let path = FunctionPath::parse(path).expect("it is a function path");
        client.add(QUERY, path, args, None);
        LiveQuery {
            changes: client.change_notifier(),
            client,
            result: PhantomData,
        }
    }

    /// Evaluates the query if a commit has invalidated its result. Returns the new result.
    pub(crate) async fn refresh(&mut self) -> Option<Result<T>> {
        let update = self.client.refresh(Timestamp::MIN).await;
        let (_, run) = update.changes.into_iter().next()?;
        Some(match &run.result {
            Ok(value) => T::from_value(Value::clone(value)).map_err(Into::into),
            Err(error) => Err(error.clone()),
        })
    }

    /// Waits until a commit invalidates the result.
    pub(crate) async fn changed(&self) {
        self.changes.changed().await;
    }
}
