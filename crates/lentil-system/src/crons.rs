use std::time::Duration;

use lentil_runtime::{Application, FunctionTypeId, Schedulable};
use lentil_schema::{Args, IntoArgs};
use lentil_values::{DecodeError, Object};

use crate::cron_schedule::CronSchedule;
use crate::cron_table::{Cron, OpenCrons};

const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Functions of an application that run again and again.
///
/// ```
/// use std::time::Duration;
///
/// use lentil::{Crons, MutationCtx, Result};
///
/// async fn expire_stale_jobs(ctx: &mut MutationCtx, (): ()) -> Result<()> {
///     Ok(())
/// }
///
/// async fn send_report(ctx: &mut MutationCtx, (): ()) -> Result<()> {
///     Ok(())
/// }
///
/// fn crons() -> Crons {
///     Crons::new()
///         .interval("expire stale jobs", Duration::from_secs(600), expire_stale_jobs, ())
///         .cron("nightly report", "0 3 * * *", "Europe/Berlin", send_report, ())
/// }
/// ```
///
/// A cron has one execution at a time. Executions that come due while it runs are skipped, and so
/// are all but one of those that were missed while the server was down. The log says so.
#[derive(Default)]
pub struct Crons {
    declared: Vec<Declared>,
}

struct Declared {
    name: String,
    // `open` reports the error, so that calls of the builder can be chained.
    schedule: Result<CronSchedule, String>,
    function: FunctionTypeId,
    function_name: &'static str,
    args: Result<Object, DecodeError>,
}

/// A cron is invalid: correct it.
#[derive(Debug, thiserror::Error)]
#[error("the cron \"{name}\": {reason}")]
pub struct CronError {
    name: String,
    reason: String,
}

impl Crons {
    /// Returns no crons.
    pub fn new() -> Crons {
        Crons::default()
    }

    /// Runs a mutation or an action at an interval, for the first time when the server first starts
    /// with it.
    #[must_use]
    pub fn interval<A, C, F>(
        self,
        name: &str,
        every: Duration,
        function: F,
        args: impl IntoArgs<A>,
    ) -> Crons
    where
        A: Args,
        F: Schedulable<A, C>,
    {
        let schedule = if every >= MIN_INTERVAL {
            Ok(CronSchedule::Every(every))
        } else {
            Err(format!(
                "the interval must be at least {MIN_INTERVAL:?}, got {every:?}"
            ))
        };
        self.add(name, schedule, function, args)
    }

    /// Runs a mutation or an action at the times of a cron expression of five fields, in a time
    /// zone such as `Europe/Berlin` or `UTC`.
    #[must_use]
    pub fn cron<A, C, F>(
        self,
        name: &str,
        pattern: &str,
        zone: &str,
        function: F,
        args: impl IntoArgs<A>,
    ) -> Crons
    where
        A: Args,
        F: Schedulable<A, C>,
    {
        let schedule = CronSchedule::parse(pattern, zone);
        self.add(name, schedule, function, args)
    }

    fn add<A, C, F>(
        mut self,
        name: &str,
        schedule: Result<CronSchedule, String>,
        _function: F,
        args: impl IntoArgs<A>,
    ) -> Crons
    where
        A: Args,
        F: Schedulable<A, C>,
    {
        self.declared.push(Declared {
            name: name.to_owned(),
            schedule,
            function: FunctionTypeId::of::<F>(),
            function_name: std::any::type_name::<F>(),
            args: args.into_args(),
        });
        self
    }

    /// Adds the crons of another module.
    #[must_use]
    pub fn with(mut self, other: Crons) -> Crons {
        self.declared.extend(other.declared);
        self
    }

    /// Checks the crons, and finds their functions.
    pub(crate) fn open(self, application: &Application) -> Result<OpenCrons, CronError> {
        let mut open: Vec<Cron> = Vec::new();
        for declared in self.declared {
            let name = declared.name.clone();
            let is_taken = open.iter().any(|other| other.name == name);
            match declared.open(application, is_taken) {
                Ok(cron) => open.push(cron),
                Err(reason) => return Err(CronError { name, reason }),
            }
        }
        Ok(OpenCrons(open))
    }
}

impl Declared {
    fn open(self, application: &Application, is_taken: bool) -> Result<Cron, String> {
        let is_printable = self.name.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        if self.name.is_empty() || !is_printable {
            return Err("the name must consist of printable ASCII characters".to_owned());
        }
        if is_taken {
            return Err("two crons have this name".to_owned());
        }
        let schedule = self.schedule?;
        let Some(path) = application.path_of(self.function) else {
            return Err(format!(
                "`{}` is not registered as a function",
                self.function_name
            ));
        };
        let args = self
            .args
            .map_err(|error| format!("the arguments: {error}"))?;
        Ok(Cron {
            name: self.name,
            schedule,
            path,
            args,
        })
    }
}
