use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lentil_call::{
    Backoff, CallSource, Caller, Code, Error, FunctionKind, FunctionPath, Identity, Result,
    Visibility,
};
use lentil_schema::Id;
use lentil_values::Object;
use tracing::Instrument;

use crate::engine::{Call, Engine, Function};
use crate::internal;
use crate::run::{Idempotency, run_action, run_mutation};
use crate::scheduled_calls::{self, ScheduledFunction, ScheduledRun, ScheduledState};
use crate::typed::CallArgs;

/// The first and the longest pause between attempts while the server itself fails.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(60);

/// The execution of a scheduled call, from its document to the record of its end.
pub struct ScheduledExecution {
    engine: Engine,
    id: Id<ScheduledFunction>,
    source: Arc<CallSource>,
    /// The name in the call's document, in its canonical spelling if it is a function path.
    name: Arc<str>,
}

/// The result of an attempt.
enum Attempt {
    /// The call's document has its end.
    Recorded,
    /// The call has succeeded, or failed with this error, which its document does not have yet.
    Ended { error: Option<String> },
}

impl ScheduledExecution {
    /// Returns the execution of the call with this document. `name` is the name of its function.
    pub(crate) fn new(
        engine: &Engine,
        id: Id<ScheduledFunction>,
        name: &str,
    ) -> ScheduledExecution {
        let name = match FunctionPath::parse(name) {
            Ok(path) => path.shared(),
            Err(_) => name.into(),
        };
        let source = CallSource {
            scheduled: Some(id.document_id()),
            ..engine.new_source(Caller::Scheduler)
        };
        ScheduledExecution {
            engine: engine.clone(),
            id,
            source: Arc::new(source),
            name,
        }
    }

    /// Runs the call and records its end. Retries for as long as the server itself fails.
    pub async fn run(self) {
        let running = async {
            // Two loops: a failure to record the end must not run the function again.
            let ended = self.until_it_works(|| self.attempt(self.call())).await;
            if let Attempt::Ended { error } = ended {
                self.until_it_works(|| self.finish(error.clone())).await;
            }
        };
        running.instrument(self.call().span()).await;
    }

    fn call(&self) -> Call {
        let source = Arc::clone(&self.source);
        Call::outermost(self.engine.clone(), Identity::Anonymous, source, &self.name)
    }

    /// Runs the call once.
    ///
    /// # Errors
    /// A failure of the server: the call can be tried again. A failure of the function is the
    /// call's result.
    async fn attempt(&self, call: Call) -> Result<Attempt> {
        let args = match self.args().await {
            Ok(Some(args)) => args,
            Ok(None) => return Ok(Attempt::Recorded),
            Err(error) if error.code().may_pass() => return Err(error),
            Err(error) => {
                // The document is damaged, and cannot have the result either.
                self.engine
                    .database()
                    .skipped_documents
                    .log(error.message());
                return Ok(Attempt::Recorded);
            }
        };
        let result = match self.function() {
            Ok(function) if function.kind() == FunctionKind::Mutation => {
                let once = Idempotency::Scheduled(ScheduledRun(self.id.document_id()));
                match run_mutation(&function, CallArgs::Untyped(args), &call, once).await {
                    Ok(_) => return Ok(Attempt::Recorded),
                    Err(error) if error.code().may_pass() => return Err(error),
                    Err(error) => Err(error),
                }
            }
            Ok(function) => {
                if !self.begin().await? {
                    return Ok(Attempt::Recorded);
                }
                // An action runs at most once: from here on, every failure is its result.
                run_action(&function, CallArgs::Untyped(args), call)
                    .await
                    .map(drop)
            }
            Err(error) => Err(error),
        };
        let error = result.err().map(|error| {
            self.source.log_failure(&self.name, &error);
            error.message().to_owned()
        });
        Ok(Attempt::Ended { error })
    }

    fn function(&self) -> Result<Arc<Function>> {
        let path = FunctionPath::parse(&self.name)?;
        let function = self.engine.registry().named(&path, Visibility::Internal)?;
        if function.kind() == FunctionKind::Query {
            let message = "only mutations and actions can be scheduled";
            return Err(Error::new(Code::Uncaught, message));
        }
        Ok(function)
    }

    async fn args(&self) -> Result<Option<Object>> {
        let cell = internal::read(&self.engine).await?;
        scheduled_calls::args_of(&cell, self.id.document_id()).await
    }

    /// Marks an action as started, and returns whether it was pending.
    async fn begin(&self) -> Result<bool> {
        let id = self.id.document_id();
        internal::write(&self.engine, "_system/scheduler:begin", |cell| async move {
            scheduled_calls::begin(&cell, id).await
        })
        .await
    }

    /// Records the end of the call.
    async fn finish(&self, error: Option<String>) -> Result<()> {
        let id = self.id.document_id();
        let state = match error {
            Some(error) => ScheduledState::Failed { error },
            None => ScheduledState::Success,
        };
        internal::write(&self.engine, "_system/scheduler:finish", |cell| {
            let state = state.clone();
            async move { scheduled_calls::end(&cell, id, state).await }
        })
        .await?;
        Ok(())
    }

    /// Repeats `attempt`, with growing pauses, until the server does not fail at it.
    async fn until_it_works<T, F: Future<Output = Result<T>>>(&self, attempt: impl Fn() -> F) -> T {
        let mut backoff = Backoff::new(RETRY_PAUSE, MAX_RETRY_PAUSE);
        loop {
            match attempt().await {
                Ok(done) => return done,
                Err(error) => self.source.log_failure(&self.name, &error),
            }
            tokio::time::sleep(backoff.next_pause()).await;
        }
    }
}
