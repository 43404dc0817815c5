/// The index keys from `start` up to but not including `end`, or all keys from `start` on if there
/// is no `end`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    /// The least key in the interval.
    pub start: Vec<u8>,
    /// The least key above the interval, if there is one.
    pub end: Option<Vec<u8>>,
}

impl Interval {
    /// Returns the interval of all keys.
    pub fn all() -> Interval {
        Interval {
            start: Vec::new(),
            end: None,
        }
    }

    /// Returns an interval without keys.
    pub fn none() -> Interval {
        Interval {
            start: Vec::new(),
            end: Some(Vec::new()),
        }
    }

    /// Returns the interval of the keys that begin with `prefix`, including `prefix` itself.
    pub fn prefix(prefix: &[u8]) -> Interval {
        Interval {
            start: prefix.to_vec(),
            end: after_prefix(prefix),
        }
    }

    /// Returns whether the interval contains `key`.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && self.ends_after(key)
    }

    /// Returns whether the interval contains no key.
    pub fn is_empty(&self) -> bool {
        !self.ends_after(&self.start)
    }

    /// Returns whether both intervals contain a common key.
    pub fn intersects(&self, other: &Interval) -> bool {
        !self.intersection(other).is_empty()
    }

    /// Returns the interval of the keys that both intervals contain.
    #[must_use]
    pub fn intersection(&self, other: &Interval) -> Interval {
        let end = match (&self.end, &other.end) {
            (Some(a), Some(b)) => Some(a.min(b).clone()),
            (end, None) | (None, end) => end.clone(),
        };
        Interval {
            start: self.start.clone().max(other.start.clone()),
            end,
        }
    }

    fn ends_after(&self, key: &[u8]) -> bool {
        self.end.as_deref().is_none_or(|end| key < end)
    }
}

/// Returns the least key greater than `key`: the key followed by a zero byte.
pub fn successor(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// Returns the least key greater than every key that begins with `prefix`; `None` if `prefix` is
/// all 0xff.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    // A trailing 0xff cannot be incremented. The shorter key is greater than all keys with the
    // prefix.
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut after = prefix[..=last].to_vec();
    after[last] += 1;
    Some(after)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![Just(0), Just(1), Just(254), Just(255)], 0..4)
    }

    fn interval() -> impl Strategy<Value = Interval> {
        (key(), prop::option::of(key())).prop_map(|(start, end)| Interval { start, end })
    }

    proptest! {
        #[test]
        fn no_key_lies_between_a_key_and_its_successor(key in key(), other in key()) {
            let after = successor(&key);
            prop_assert!(key < after);
            prop_assert!(other <= key || other >= after);
        }

        #[test]
        fn a_prefix_interval_contains_exactly_the_keys_with_the_prefix(prefix in key(), key in key()) {
            prop_assert_eq!(Interval::prefix(&prefix).contains(&key), key.starts_with(&prefix));
        }

        #[test]
        fn an_intersection_contains_exactly_the_common_keys(a in interval(), b in interval(), key in key()) {
            let both = a.intersection(&b);
            prop_assert_eq!(both.contains(&key), a.contains(&key) && b.contains(&key));
            prop_assert!(!both.contains(&key) || a.intersects(&b));
            prop_assert!(!a.is_empty() || !a.contains(&key));
        }
    }
}
