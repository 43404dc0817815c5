use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use croner::Cron as Pattern;
use lentil_schema::{Args, IntoArgs};
use lentil_values::Object;

use super::{CLOCK_STEP_MS, Schedulable};
use crate::engine::FunctionTypeId;
use crate::engine::Registry;
use crate::typed::{CallArgs, arguments};
use crate::{FunctionPath, Result};

/// What an application has run again and again, beside its functions.
///
/// ```
/// use std::time::Duration;
///
/// use lentil::{ActionCtx, Crons, MutationCtx, Result};
///
/// async fn expire_stale(_ctx: &mut MutationCtx, (): ()) -> Result<()> {
///     Ok(())
/// }
///
/// async fn send_report(_ctx: &ActionCtx, (): ()) -> Result<()> {
///     Ok(())
/// }
///
/// let crons = Crons::new()
///     .interval("expire stale jobs", Duration::from_secs(600), expire_stale, ())
///     .cron("nightly report", "0 3 * * *", "Europe/Berlin", send_report, ());
/// ```
///
/// One run of a cron at a time: while one goes on, and for all but one of those missed while the server was down, the
/// runs that come due are skipped, which the log says.
#[derive(Default)]
pub struct Crons {
    declared: Vec<Declared>,
}

struct Declared {
    name: String,
    schedule: Result<Schedule, String>,
    item: FunctionTypeId,
    function: &'static str,
    args: Result<Object>,
}

/// A cron that makes no sense: correct it.
#[derive(Debug, thiserror::Error)]
#[error("the cron \"{name}\": {reason}")]
pub struct CronError {
    name: String,
    reason: String,
}

/// When a cron is due.
#[derive(Clone, Debug)]
pub(crate) enum Schedule {
    Every(Duration),
    Pattern {
        text: String,
        pattern: Box<Pattern>,
        zone: Tz,
    },
}

/// A cron of a running application.
#[derive(Clone, Debug)]
pub(crate) struct OpenCron {
    pub(crate) name: String,
    pub(crate) schedule: Schedule,
    pub(crate) path: FunctionPath,
    pub(crate) args: Object,
}

impl Crons {
    /// No crons.
    pub fn new() -> Crons {
        Crons::default()
    }

    /// Runs a mutation or an action every so often, for the first time when the server first starts with it.
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
        let schedule = if every >= Duration::from_secs(1) {
            Ok(Schedule::Every(every))
        } else {
            Err(format!(
                "the interval is {every:?}; it is at least a second"
            ))
        };
        self.add(name, schedule, function, args)
    }

    /// Runs a mutation or an action when a cron expression of five fields says so, in a time zone such as
    /// `Europe/Berlin` or `UTC`.
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
        let schedule = Schedule::parse(pattern, zone);
        self.add(name, schedule, function, args)
    }

    fn add<A, C, F>(
        mut self,
        name: &str,
        schedule: Result<Schedule, String>,
        _: F,
        args: impl IntoArgs<A>,
    ) -> Crons
    where
        A: Args,
        F: Schedulable<A, C>,
    {
        let (item, function) = (FunctionTypeId::of::<F>(), std::any::type_name::<F>());
        self.declared.push(Declared {
            name: name.to_owned(),
            schedule,
            item,
            function,
            args: arguments(args).map(CallArgs::into_object),
        });
        self
    }

    /// Adds those of another module.
    #[must_use]
    pub fn with(mut self, other: Crons) -> Crons {
        self.declared.extend(other.declared);
        self
    }

    /// Finds the functions, and refuses what makes no sense.
    pub(crate) fn open(self, registry: &Registry) -> Result<Vec<OpenCron>, CronError> {
        let mut open: Vec<OpenCron> = Vec::new();
        for declared in self.declared {
            let Declared {
                name,
                schedule,
                item,
                function,
                args,
            } = declared;
            let wrong = |reason: String| CronError {
                name: name.clone(),
                reason,
            };
            if name.is_empty() || !name.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
                return Err(wrong("the name is made of printable ASCII".to_owned()));
            }
            if open.iter().any(|other| other.name == name) {
                return Err(wrong("there are two of this name".to_owned()));
            }
            let schedule = schedule.map_err(wrong)?;
            let found = registry.of_type(item);
            let found = found
                .ok_or_else(|| wrong(format!("`{function}` is not registered as a function")))?;
            let args = args.map_err(|error| wrong(error.message().to_owned()))?;
            open.push(OpenCron {
                schedule,
                path: found.path().clone(),
                args,
                name,
            });
        }
        Ok(open)
    }
}

impl Schedule {
    fn parse(pattern: &str, zone: &str) -> Result<Schedule, String> {
        let zone = Tz::from_str(zone)
            .map_err(|_| format!("there is no time zone `{zone}`; write e.g. Europe/Berlin"))?;
        if pattern.split_whitespace().count() != 5 {
            return Err(format!(
                "`{pattern}` has not five fields: minute, hour, day, month, weekday"
            ));
        }
        let parsed = Pattern::from_str(pattern).map_err(|error| format!("`{pattern}`: {error}"))?;
        let schedule = Schedule::Pattern {
            text: pattern.to_owned(),
            pattern: Box::new(parsed),
            zone,
        };
        // Calendars repeat, so that a pattern without a match after this time has none at all.
        if schedule.after(0.0).is_none() {
            return Err(format!(
                "`{pattern}` never occurs: no month it names has such a day"
            ));
        }
        Ok(schedule)
    }

    /// The first time at which it is due, of a cron that is new at `now_ms`.
    pub(crate) fn first(&self, now_ms: f64) -> Option<f64> {
        match self {
            Schedule::Every(_) => Some(now_ms),
            Schedule::Pattern { .. } => self.after(now_ms),
        }
    }

    /// The next time after one at which it was due.
    fn after(&self, due_ms: f64) -> Option<f64> {
        match self {
            Schedule::Every(every) => Some(due_ms + every.as_secs_f64() * 1e3),
            Schedule::Pattern { pattern, zone, .. } => {
                let due: DateTime<Tz> = zone.timestamp_millis_opt(due_ms as i64).single()?;
                let next = pattern.find_next_occurrence(&due, false).ok()?;
                Some(next.timestamp_millis() as f64)
            }
        }
    }

    /// Returns the corrected due time if `next_ms` is more than one period away: it was planned by a clock that was
    /// ahead, or the clock has been set back.
    pub(crate) fn replan(&self, next_ms: f64, now_ms: f64) -> Option<f64> {
        match self {
            Schedule::Every(every) => {
                let latest_ms = now_ms + every.as_secs_f64() * 1e3;
                (next_ms > latest_ms).then_some(latest_ms)
            }
            Schedule::Pattern { .. } => {
                // A clock that is set back by less than a minute does not bring back an occurrence that has run.
                let latest_ms = self.after(now_ms + CLOCK_STEP_MS)?;
                if next_ms > latest_ms {
                    self.after(now_ms)
                } else {
                    None
                }
            }
        }
    }

    /// The next time after now, of one that was due at `due_ms`; and how many in between are skipped.
    pub(crate) fn next(&self, due_ms: f64, now_ms: f64) -> (Option<f64>, usize) {
        let (mut next, mut skipped) = (self.after(due_ms), 0);
        while let Some(at_ms) = next.filter(|at_ms| *at_ms <= now_ms) {
            skipped += 1;
            next = match self {
                // Years of missed seconds need not be counted one by one.
                Schedule::Every(every) if skipped > 1_000 => {
                    let step = every.as_secs_f64() * 1e3;
                    let missed = ((now_ms - at_ms) / step).floor().max(0.0);
                    skipped += missed as usize;
                    Some(at_ms + (missed + 1.0) * step)
                }
                Schedule::Pattern { .. } if skipped > 1_000 => self.after(now_ms),
                _ => self.after(at_ms),
            };
        }
        (next, skipped)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Every(every) => write!(f, "every {} s", every.as_secs_f64()),
            Schedule::Pattern { text, zone, .. } => write!(f, "{text} {zone}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: f64 = 3_600_000.0;
    /// 2026-03-28T12:00:00Z, the day before Europe's clocks go forward.
    const BEFORE_SUMMER: f64 = 1_774_699_200_000.0;

    #[test]
    fn an_interval_counts_from_when_it_was_due() {
        let every = Schedule::Every(Duration::from_secs(600));
        assert_eq!(every.first(5.0), Some(5.0));
        assert_eq!(every.next(0.0, 1.0), (Some(600_000.0), 0));
        assert_eq!(every.next(0.0, 1_900_000.0), (Some(2_400_000.0), 3));
        let (next, skipped) = Schedule::Every(Duration::from_secs(1)).next(0.0, 1e9 + 500.0);
        assert_eq!((next, skipped), (Some(1e9 + 1_000.0), 1_000_000));
    }

    #[test]
    fn a_pattern_is_of_its_time_zone() {
        let berlin = Schedule::parse("0 9 * * *", "Europe/Berlin").unwrap();
        let first = berlin.first(BEFORE_SUMMER).unwrap();
        assert_eq!(
            first,
            BEFORE_SUMMER + 19.0 * HOUR_MS,
            "nine in Berlin is seven in UTC once it is summer"
        );
        assert_eq!(
            Schedule::parse("0 9 * * *", "UTC")
                .unwrap()
                .first(BEFORE_SUMMER),
            Some(BEFORE_SUMMER + 21.0 * HOUR_MS)
        );
        assert_eq!(
            berlin.next(first, first + 50.0 * HOUR_MS),
            (Some(first + 72.0 * HOUR_MS), 2)
        );
    }

    #[test]
    fn a_time_that_is_more_than_one_period_away_is_replanned() {
        let minute_ms = 60_000.0;
        let every = Schedule::Every(Duration::from_secs(600));
        assert_eq!(every.replan(10.0 * minute_ms, 0.0), None);
        assert_eq!(
            every.replan(20.0 * HOUR_MS, 0.0),
            Some(10.0 * minute_ms),
            "planned by a clock that was ahead"
        );
        let daily = Schedule::parse("0 9 * * *", "UTC").unwrap();
        let next = BEFORE_SUMMER + 21.0 * HOUR_MS;
        assert_eq!(daily.replan(next, BEFORE_SUMMER), None);
        assert_eq!(
            daily.replan(next + 24.0 * HOUR_MS, BEFORE_SUMMER),
            Some(next)
        );
        assert_eq!(
            daily.replan(next + 24.0 * HOUR_MS, next - 1_000.0),
            None,
            "it has run a moment ago, before the clock was set back by a second"
        );
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for (pattern, zone) in [
            ("", "UTC"),
            ("* * * *", "UTC"),
            ("61 * * * *", "UTC"),
            ("* * * * * *", "UTC"),
            ("0 9 * * *", "Mars"),
        ] {
            assert!(Schedule::parse(pattern, zone).is_err(), "{pattern} {zone}");
        }
    }

    #[test]
    fn a_pattern_that_never_occurs_is_refused_and_a_rare_one_is_not() {
        for pattern in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "30 2 31 4 *"] {
            for zone in ["UTC", "Europe/Berlin", "Pacific/Apia"] {
                let refused = Schedule::parse(pattern, zone).unwrap_err();
                assert!(refused.contains(pattern), "{refused}");
                assert!(refused.contains("never occurs"), "{refused}");
            }
        }
        for pattern in [
            "0 0 29 2 *",
            "0 0 31 * *",
            "30 2 29 3 *",
            "0 0 30 2 1",
            "0 0 L 2 *",
            "0 0 * * 5#5",
        ] {
            for zone in ["UTC", "Europe/Berlin", "America/New_York"] {
                Schedule::parse(pattern, zone).unwrap();
            }
        }
    }
}
