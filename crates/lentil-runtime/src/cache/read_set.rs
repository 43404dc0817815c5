use std::collections::BTreeMap;

use lentil_store::{Commit, IndexRef};
use lentil_values::Interval;

/// What a query has read: the index intervals it looked at, the empty ones too, and whether it asked for the time and
/// for its user.
///
/// A commit that writes no key in these intervals cannot have changed the query's answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadSet {
    intervals: BTreeMap<IndexRef, Vec<Interval>>,
    reads_time: bool,
    reads_identity: bool,
}

impl ReadSet {
    /// Adds an interval of an index.
    pub fn add(&mut self, index: IndexRef, interval: Interval) {
        let intervals = self.intervals.entry(index).or_default();
        match intervals.last_mut() {
            // A scan that goes on where the last chunk ended is one interval.
            Some(last) if last.end.as_ref() == Some(&interval.start) => last.end = interval.end,
            Some(last) if interval.end.as_ref() == Some(&last.start) => last.start = interval.start,
            Some(last) if *last == interval => {}
            _ => intervals.push(interval),
        }
    }

    /// Notes that the query asked for the time.
    pub fn note_time(&mut self) {
        self.reads_time = true;
    }

    /// Whether the query asked for the time.
    pub fn reads_time(&self) -> bool {
        self.reads_time
    }

    /// Notes that the query asked who its user is.
    pub fn note_identity(&mut self) {
        self.reads_identity = true;
    }

    /// Whether the query asked who its user is.
    pub fn reads_identity(&self) -> bool {
        self.reads_identity
    }

    /// Every interval with its index.
    pub fn iter(&self) -> impl Iterator<Item = (IndexRef, &Interval)> {
        self.intervals.iter().flat_map(|(index, intervals)| intervals.iter().map(|interval| (*index, interval)))
    }

    /// Whether the commit wrote something that was looked at.
    pub fn is_touched_by(&self, commit: &Commit) -> bool {
        commit.keys.iter().any(|(index, key)| {
            let intervals = self.intervals.get(index);
            intervals.is_some_and(|intervals| intervals.iter().any(|interval| interval.contains(key.as_bytes())))
        })
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        let of = |interval: &Interval| 64 + interval.start.len() + interval.end.as_ref().map_or(0, Vec::len);
        self.iter().map(|(_, interval)| of(interval)).sum()
    }
}

#[cfg(test)]
mod tests {
    use lentil_store::{IndexId, Timestamp};
    use lentil_values::IndexKey;

    use super::*;

    const INDEX: IndexRef = IndexRef::Declared(IndexId(1));

    fn commit(key: &[u8]) -> Commit {
        Commit { timestamp: Timestamp::MIN, keys: vec![(INDEX, IndexKey::from_bytes(key.to_vec()))] }
    }

    #[test]
    fn a_commit_touches_what_was_looked_at_and_nothing_else() {
        let mut reads = ReadSet::default();
        reads.add(INDEX, Interval { start: vec![1], end: Some(vec![3]) });
        assert!(reads.is_touched_by(&commit(&[1])) && reads.is_touched_by(&commit(&[2, 9])));
        assert!(!reads.is_touched_by(&commit(&[0])) && !reads.is_touched_by(&commit(&[3])));
        let elsewhere =
            Commit { keys: vec![(IndexRef::Declared(IndexId(2)), commit(&[1]).keys[0].1.clone())], ..commit(&[]) };
        assert!(!reads.is_touched_by(&elsewhere));
    }

    #[test]
    fn the_chunks_of_one_scan_are_one_interval() {
        let mut up = ReadSet::default();
        let mut down = ReadSet::default();
        for (start, end) in [(1, 2), (2, 5), (5, 9)] {
            up.add(INDEX, Interval { start: vec![start], end: Some(vec![end]) });
            down.add(INDEX, Interval { start: vec![10 - end], end: Some(vec![10 - start]) });
        }
        assert_eq!(up.iter().count(), 1);
        assert_eq!(down.iter().next().unwrap().1, &Interval { start: vec![1], end: Some(vec![9]) });
    }
}
