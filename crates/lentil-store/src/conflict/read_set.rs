use crate::index::IndexRef;
use crate::store::{ChangedEntry, Commit};
use lentil_values::Interval;

/// The reads of a query: the index intervals, including empty ones, and whether it read the time
/// and its user.
///
/// A commit that writes no key in these intervals cannot have changed the query's result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadSet {
    /// Sorted by index and kind. A cached result mostly has one interval, so the vectors begin with
    /// room for one.
    intervals: Vec<(ReadTarget, Vec<Interval>)>,
    reads_time: bool,
    reads_identity: bool,
}

/// Bytes of an interval besides its ends: allocations and the pointers of a tree.
const INTERVAL_BYTES: usize = 128;

/// The index of a read, and its kind.
type ReadTarget = (IndexRef, ReadKind);

/// The part of the entries of an interval that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadKind {
    /// The entries and their documents.
    Documents,
    /// Only the entries, to count them. A document that changes without a change of its key does
    /// not matter.
    Entries,
}

impl ReadKind {
    /// All kinds.
    pub const ALL: [ReadKind; 2] = [ReadKind::Documents, ReadKind::Entries];

    /// Returns whether the change of this entry invalidates reads of this kind.
    pub fn is_invalidated_by(self, entry: ChangedEntry<'_>) -> bool {
        self == ReadKind::Documents || entry.added_or_removed
    }
}

impl ReadSet {
    /// Adds an interval whose documents were read.
    pub fn add(&mut self, index: IndexRef, interval: Interval) {
        self.add_kind(index, ReadKind::Documents, interval);
    }

    /// Adds an interval whose entries were counted.
    pub fn add_counted(&mut self, index: IndexRef, interval: Interval) {
        self.add_kind(index, ReadKind::Entries, interval);
    }

    fn add_kind(&mut self, index: IndexRef, kind: ReadKind, interval: Interval) {
        let intervals = match self.find((index, kind)) {
            Ok(at) => &mut self.intervals[at].1,
            Err(at) => {
                self.intervals.reserve_exact(1);
                return self.intervals.insert(at, ((index, kind), vec![interval]));
            }
        };
        // Only the last interval is compared: a scan adds its chunks one after another.
        match intervals.last_mut() {
            // Successive chunks of one scan are one interval.
            Some(last) if last.end.as_ref() == Some(&interval.start) => last.end = interval.end,
            // The chunks of a descending scan.
            Some(last) if interval.end.as_ref() == Some(&last.start) => last.start = interval.start,
            Some(last) if *last == interval => {}
            _ => intervals.push(interval),
        }
    }

    fn find(&self, target: ReadTarget) -> Result<usize, usize> {
        self.intervals
            .binary_search_by_key(&target, |(target, _)| *target)
    }

    /// Records that the query read the time.
    pub fn note_time(&mut self) {
        self.reads_time = true;
    }

    /// Returns whether the query read the time.
    pub fn reads_time(&self) -> bool {
        self.reads_time
    }

    /// Records that the query read its user's identity.
    pub fn note_identity(&mut self) {
        self.reads_identity = true;
    }

    /// Returns whether the query read its user's identity.
    pub fn reads_identity(&self) -> bool {
        self.reads_identity
    }

    /// Returns every interval with its index and kind.
    pub fn iter(&self) -> impl Iterator<Item = (ReadTarget, &Interval)> {
        self.intervals
            .iter()
            .flat_map(|(target, intervals)| intervals.iter().map(|interval| (*target, interval)))
    }

    /// Returns whether the commit changed an entry that was read.
    pub fn is_invalidated_by(&self, commit: &Commit) -> bool {
        commit.entries().any(|entry| {
            let mut kinds = ReadKind::ALL.into_iter();
            kinds.any(|kind| kind.is_invalidated_by(entry) && self.contains(kind, entry))
        })
    }

    /// Returns whether the entry is in an interval of this kind.
    fn contains(&self, kind: ReadKind, entry: ChangedEntry<'_>) -> bool {
        let Ok(at) = self.find((entry.index, kind)) else {
            return false;
        };
        let mut intervals = self.intervals[at].1.iter();
        intervals.any(|interval| interval.contains(entry.key.as_bytes()))
    }

    /// Estimates the memory of its intervals, which is also that of a copy in an interval map.
    pub fn heap_size(&self) -> usize {
        let bytes = |interval: &Interval| {
            INTERVAL_BYTES + interval.start.len() + interval.end.as_ref().map_or(0, Vec::len)
        };
        self.iter().map(|(_, interval)| bytes(interval)).sum()
    }
}

#[cfg(test)]
mod tests {
    use crate::index::IndexId;
    use crate::timestamp::Timestamp;
    use lentil_values::{IndexKey, TableNumber};

    use super::*;

    const INDEX: IndexRef = IndexRef::Declared(TableNumber::FIRST_USER, IndexId(1));

    fn commit(key: &[u8]) -> Commit {
        Commit {
            timestamp: Timestamp::MIN,
            keys: vec![(INDEX, IndexKey::from_bytes(key.to_vec()))],
        }
    }

    #[test]
    fn only_a_commit_within_the_intervals_invalidates() {
        let mut reads = ReadSet::default();
        reads.add(
            INDEX,
            Interval {
                start: vec![1],
                end: Some(vec![3]),
            },
        );
        assert!(
            reads.is_invalidated_by(&commit(&[1])) && reads.is_invalidated_by(&commit(&[2, 9]))
        );
        assert!(!reads.is_invalidated_by(&commit(&[0])) && !reads.is_invalidated_by(&commit(&[3])));
        let elsewhere = Commit {
            keys: vec![(
                IndexRef::Declared(TableNumber::FIRST_USER, IndexId(2)),
                commit(&[1]).keys[0].1.clone(),
            )],
            ..commit(&[])
        };
        assert!(!reads.is_invalidated_by(&elsewhere));
    }

    #[test]
    fn what_was_counted_is_touched_by_what_comes_and_goes_alone() {
        let mut counted = ReadSet::default();
        counted.add_counted(
            INDEX,
            Interval {
                start: vec![1],
                end: Some(vec![3]),
            },
        );
        assert!(counted.is_invalidated_by(&commit(&[1])));
        let keys = [commit(&[1]).keys, commit(&[1]).keys].concat();
        let in_place = Commit {
            keys,
            ..commit(&[])
        };
        assert!(!counted.is_invalidated_by(&in_place));
        counted.add(INDEX, Interval::prefix(&[1]));
        assert!(
            counted.is_invalidated_by(&in_place),
            "a document there was read, too"
        );
    }

    #[test]
    fn the_chunks_of_one_scan_are_one_interval() {
        let mut up = ReadSet::default();
        let mut down = ReadSet::default();
        for (start, end) in [(1, 2), (2, 5), (5, 9)] {
            up.add(
                INDEX,
                Interval {
                    start: vec![start],
                    end: Some(vec![end]),
                },
            );
            down.add(
                INDEX,
                Interval {
                    start: vec![10 - end],
                    end: Some(vec![10 - start]),
                },
            );
        }
        assert_eq!(up.iter().count(), 1);
        assert_eq!(
            down.iter().next().unwrap().1,
            &Interval {
                start: vec![1],
                end: Some(vec![9])
            }
        );
    }
}
