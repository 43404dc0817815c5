use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::typed::{DecodeError, ValueType};
use crate::validator::Validator;
use crate::value::Value;

/// A point in time: milliseconds since the Unix epoch, 1970-01-01 00:00:00 UTC.
///
/// On the wire and in documents it is a `v.number()`, as in Convex, and it orders as the number
/// does in an index. It can be a field, an argument, a result and an index key.
///
/// ```
/// use std::time::Duration;
/// use lentil_values::{UnixMillis, Value, ValueType};
///
/// let created = UnixMillis::new(1_700_000_000_000.0);
/// let expires = created + Duration::from_secs(60);
/// assert!(created < expires);
/// assert_eq!(expires.duration_since(created), Duration::from_secs(60));
/// assert_eq!(created.into_value(), Value::Float64(1_700_000_000_000.0));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct UnixMillis(f64);

impl UnixMillis {
    /// The Unix epoch.
    pub const EPOCH: UnixMillis = UnixMillis(0.0);

    /// Returns the time this many milliseconds after the epoch, or before it if negative.
    pub const fn new(millis: f64) -> UnixMillis {
        UnixMillis(millis)
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_f64(self) -> f64 {
        self.0
    }

    /// Returns the time from `earlier` until this time; zero if `earlier` is the later of the two.
    pub fn duration_since(self, earlier: UnixMillis) -> Duration {
        let millis = self.0 - earlier.0;
        // These casts saturate: a negative number and NaN become 0.
        Duration::from_millis(millis as u64) + Duration::from_nanos((millis.fract() * 1e6) as u64)
    }
}

/// Returns a duration in milliseconds.
fn millis(duration: Duration) -> f64 {
    duration.as_secs() as f64 * 1e3 + f64::from(duration.subsec_nanos()) / 1e6
}

impl Add<Duration> for UnixMillis {
    type Output = UnixMillis;

    fn add(self, duration: Duration) -> UnixMillis {
        UnixMillis(self.0 + millis(duration))
    }
}

impl Sub<Duration> for UnixMillis {
    type Output = UnixMillis;

    fn sub(self, duration: Duration) -> UnixMillis {
        UnixMillis(self.0 - millis(duration))
    }
}

impl AddAssign<Duration> for UnixMillis {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl SubAssign<Duration> for UnixMillis {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl From<f64> for UnixMillis {
    fn from(millis: f64) -> UnixMillis {
        UnixMillis(millis)
    }
}

impl From<UnixMillis> for f64 {
    fn from(time: UnixMillis) -> f64 {
        time.0
    }
}

impl From<SystemTime> for UnixMillis {
    fn from(time: SystemTime) -> UnixMillis {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => UnixMillis::EPOCH + after,
            Err(error) => UnixMillis::EPOCH - error.duration(),
        }
    }
}

impl From<UnixMillis> for Value {
    fn from(time: UnixMillis) -> Value {
        Value::Float64(time.0)
    }
}

impl ValueType for UnixMillis {
    fn validator() -> Validator {
        f64::validator()
    }

    fn into_value(self) -> Value {
        Value::Float64(self.0)
    }

    fn from_value(value: Value) -> Result<UnixMillis, DecodeError> {
        f64::from_value(value).map(UnixMillis)
    }
}

// Comparison and hashing agree with the order of values: IEEE 754 total order.

impl Ord for UnixMillis {
    fn cmp(&self, other: &UnixMillis) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for UnixMillis {
    fn partial_cmp(&self, other: &UnixMillis) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for UnixMillis {
    fn eq(&self, other: &UnixMillis) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for UnixMillis {}

impl Hash for UnixMillis {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixMillis = UnixMillis::new(1_700_000_000_000.0);

    #[test]
    fn durations_are_added_and_subtracted_to_the_millisecond() {
        let minute = Duration::from_secs(60);
        assert_eq!((NOON + minute).as_f64(), 1_700_000_060_000.0);
        assert_eq!(NOON + minute - minute, NOON);

        let mut time = NOON;
        time += Duration::from_micros(1_500);
        assert_eq!(time.as_f64(), 1_700_000_000_001.5);
        time -= Duration::from_micros(1_500);
        assert_eq!(time, NOON);
    }

    #[test]
    fn the_duration_between_two_times_is_never_negative() {
        let later = NOON + Duration::from_micros(61_000_500);
        assert_eq!(
            later.duration_since(NOON),
            Duration::from_micros(61_000_500)
        );
        for earlier in [
            later,
            UnixMillis::new(f64::INFINITY),
            UnixMillis::new(f64::NAN),
        ] {
            assert_eq!(NOON.duration_since(earlier), Duration::ZERO);
        }
        let end = UnixMillis::new(f64::INFINITY);
        assert_eq!(end.duration_since(NOON), Duration::from_millis(u64::MAX));
    }

    #[test]
    fn a_system_time_converts_on_both_sides_of_the_epoch() {
        let second = Duration::from_secs(1);
        assert_eq!(UnixMillis::from(UNIX_EPOCH + second).as_f64(), 1_000.0);
        assert_eq!(UnixMillis::from(UNIX_EPOCH - second).as_f64(), -1_000.0);
    }

    #[test]
    fn times_order_as_their_values_do() {
        for other in [
            NOON,
            UnixMillis::EPOCH,
            NOON + Duration::from_nanos(1_000_000),
        ] {
            assert_eq!(NOON.cmp(&other), Value::from(NOON).cmp(&Value::from(other)));
        }
    }
}
