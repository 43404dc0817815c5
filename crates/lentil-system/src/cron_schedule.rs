use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use croner::Cron as Pattern;

use crate::background::CLOCK_STEP_MS;

/// Missed executions that are counted one by one.
const MAX_COUNTED: usize = 1_000;

/// The times at which a cron is due.
#[derive(Clone, Debug)]
pub(crate) enum CronSchedule {
    Every(Duration),
    Pattern {
        text: String,
        pattern: Box<Pattern>,
        zone: Tz,
    },
}

impl CronSchedule {
    /// Reads a cron expression in a time zone.
    pub(crate) fn parse(pattern: &str, zone: &str) -> Result<CronSchedule, String> {
        let zone = Tz::from_str(zone)
            .map_err(|_| format!("there is no time zone `{zone}`; write e.g. Europe/Berlin"))?;
        if pattern.split_whitespace().count() != 5 {
            return Err(format!(
                "`{pattern}` must have five fields: minute, hour, day, month, weekday"
            ));
        }
        let parsed = Pattern::from_str(pattern).map_err(|error| format!("`{pattern}`: {error}"))?;
        let schedule = CronSchedule::Pattern {
            text: pattern.to_owned(),
            pattern: Box::new(parsed),
            zone,
        };
        // Calendars repeat: a pattern without a match after this time has none at all.
        if schedule.after(0.0).is_none() {
            return Err(format!(
                "`{pattern}` never occurs: no month that it names has such a day"
            ));
        }
        Ok(schedule)
    }

    /// Returns the first time at which a cron that is new at `now_ms` is due.
    pub(crate) fn first(&self, now_ms: f64) -> Option<f64> {
        match self {
            CronSchedule::Every(_) => Some(now_ms),
            CronSchedule::Pattern { .. } => self.after(now_ms),
        }
    }

    /// Returns the next time after one at which the cron was due.
    fn after(&self, due_ms: f64) -> Option<f64> {
        match self {
            CronSchedule::Every(every) => Some(due_ms + every.as_secs_f64() * 1e3),
            CronSchedule::Pattern { pattern, zone, .. } => {
                let due: DateTime<Tz> = zone.timestamp_millis_opt(due_ms as i64).single()?;
                let next = pattern.find_next_occurrence(&due, false).ok()?;
                Some(next.timestamp_millis() as f64)
            }
        }
    }

    /// Returns the corrected due time if `next_ms` is more than one period away.
    ///
    /// It was then planned by a clock that was ahead, or the clock has been set back.
    pub(crate) fn replan(&self, next_ms: f64, now_ms: f64) -> Option<f64> {
        match self {
            CronSchedule::Every(every) => {
                let latest_ms = now_ms + every.as_secs_f64() * 1e3;
                (next_ms > latest_ms).then_some(latest_ms)
            }
            CronSchedule::Pattern { .. } => {
                // A clock that is set back by less than a minute does not repeat an execution.
                let latest_ms = self.after(now_ms + CLOCK_STEP_MS)?;
                if next_ms > latest_ms {
                    self.after(now_ms)
                } else {
                    None
                }
            }
        }
    }

    /// Returns the next time after now of a cron that was due at `due_ms`, and how many in between
    /// are skipped.
    pub(crate) fn next(&self, due_ms: f64, now_ms: f64) -> (Option<f64>, usize) {
        let mut next = self.after(due_ms);
        let mut skipped = 0;
        while let Some(at_ms) = next.filter(|at_ms| *at_ms <= now_ms) {
            skipped += 1;
            next = match self {
                // The server may have missed years of seconds.
                CronSchedule::Every(every) if skipped > MAX_COUNTED => {
                    let step = every.as_secs_f64() * 1e3;
                    let missed = ((now_ms - at_ms) / step).floor().max(0.0);
                    skipped += missed as usize;
                    Some(at_ms + (missed + 1.0) * step)
                }
                CronSchedule::Pattern { .. } if skipped > MAX_COUNTED => self.after(now_ms),
                _ => self.after(at_ms),
            };
        }
        (next, skipped)
    }
}

impl fmt::Display for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CronSchedule::Every(every) => write!(f, "every {} s", every.as_secs_f64()),
            CronSchedule::Pattern { text, zone, .. } => write!(f, "{text} {zone}"),
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
    fn interval_counts_from_its_due_time() {
        let every = CronSchedule::Every(Duration::from_secs(600));
        assert_eq!(every.first(5.0), Some(5.0));
        assert_eq!(every.next(0.0, 1.0), (Some(600_000.0), 0));
        assert_eq!(every.next(0.0, 1_900_000.0), (Some(2_400_000.0), 3));
        let (next, skipped) = CronSchedule::Every(Duration::from_secs(1)).next(0.0, 1e9 + 500.0);
        assert_eq!((next, skipped), (Some(1e9 + 1_000.0), 1_000_000));
    }

    #[test]
    fn pattern_follows_its_time_zone() {
        let berlin = CronSchedule::parse("0 9 * * *", "Europe/Berlin").unwrap();
        let first = berlin.first(BEFORE_SUMMER).unwrap();
        assert_eq!(
            first,
            BEFORE_SUMMER + 19.0 * HOUR_MS,
            "nine in Berlin is seven in UTC in summer"
        );
        assert_eq!(
            CronSchedule::parse("0 9 * * *", "UTC")
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
    fn time_more_than_one_period_away_is_replanned() {
        let minute_ms = 60_000.0;
        let every = CronSchedule::Every(Duration::from_secs(600));
        assert_eq!(every.replan(10.0 * minute_ms, 0.0), None);
        assert_eq!(
            every.replan(20.0 * HOUR_MS, 0.0),
            Some(10.0 * minute_ms),
            "planned by a clock that was ahead"
        );
        let daily = CronSchedule::parse("0 9 * * *", "UTC").unwrap();
        let next = BEFORE_SUMMER + 21.0 * HOUR_MS;
        assert_eq!(daily.replan(next, BEFORE_SUMMER), None);
        assert_eq!(
            daily.replan(next + 24.0 * HOUR_MS, BEFORE_SUMMER),
            Some(next)
        );
        assert_eq!(
            daily.replan(next + 24.0 * HOUR_MS, next - 1_000.0),
            None,
            "it ran a moment ago, before the clock was set back by a second"
        );
    }

    #[test]
    fn invalid_schedules_are_rejected() {
        for (pattern, zone) in [
            ("", "UTC"),
            ("* * * *", "UTC"),
            ("61 * * * *", "UTC"),
            ("* * * * * *", "UTC"),
            ("0 9 * * *", "Mars"),
        ] {
            assert!(
                CronSchedule::parse(pattern, zone).is_err(),
                "{pattern} {zone}"
            );
        }
    }

    #[test]
    fn pattern_that_never_occurs_is_rejected_and_a_rare_one_is_not() {
        for pattern in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "30 2 31 4 *"] {
            for zone in ["UTC", "Europe/Berlin", "Pacific/Apia"] {
                let error = CronSchedule::parse(pattern, zone).unwrap_err();
                assert!(error.contains(pattern), "{error}");
                assert!(error.contains("never occurs"), "{error}");
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
                CronSchedule::parse(pattern, zone).unwrap();
            }
        }
    }
}
