use crate::{ChangedEntry, Commit, IndexRef};
use lentil_values::Interval;

/// What a query has read: the index intervals it looked at, the empty ones too, and whether it asked for the time and
/// for its user.
///
/// A commit that writes no key in these intervals cannot have changed the query's answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadSet {
    /// In order. An answer that is kept has one, mostly, of one interval: there is no room for more until there is more.
    intervals: Vec<(Of, Vec<Interval>)>,
    reads_time: bool,
    reads_identity: bool,
}

/// Bytes of an interval beside its ends: allocations and the pointers of a tree.
const INTERVAL_BYTES: usize = 128;

/// Where was looked, and at what.
type Of = (IndexRef, ReadKind);

/// What was looked at in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadKind {
    /// The documents in it.
    Documents,
    /// Only which entries are in it, to count them: a document that changes in its place changes nothing.
    Entries,
}

impl ReadKind {
    /// Every way to look.
    pub const ALL: [ReadKind; 2] = [ReadKind::Documents, ReadKind::Entries];

    /// Returns whether a read of this kind saw the commit's change of this entry.
    pub fn is_invalidated_by(self, entry: ChangedEntry<'_>) -> bool {
        self == ReadKind::Documents || entry.added_or_removed
    }
}

impl ReadSet {
    /// Adds an interval of an index whose documents were read.
    pub fn add(&mut self, index: IndexRef, interval: Interval) {
        self.add_kind(index, ReadKind::Documents, interval);
    }

    /// Adds an interval of an index whose entries were counted.
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
        match intervals.last_mut() {
            // A scan that goes on where the last chunk ended is one interval.
            Some(last) if last.end.as_ref() == Some(&interval.start) => last.end = interval.end,
            Some(last) if interval.end.as_ref() == Some(&last.start) => last.start = interval.start,
            Some(last) if *last == interval => {}
            _ => intervals.push(interval),
        }
    }

    fn find(&self, of: Of) -> Result<usize, usize> {
        self.intervals.binary_search_by_key(&of, |(of, _)| *of)
    }

    /// Notes that the query asked for the time.
    pub fn note_time(&mut self) {
        self.reads_time = true;
    }

    /// Returns whether the query asked for the time.
    pub fn reads_time(&self) -> bool {
        self.reads_time
    }

    /// Notes that the query asked who its user is.
    pub fn note_identity(&mut self) {
        self.reads_identity = true;
    }

    /// Returns whether the query asked who its user is.
    pub fn reads_identity(&self) -> bool {
        self.reads_identity
    }

    /// Every interval with its index, and what was looked at.
    pub fn iter(&self) -> impl Iterator<Item = (Of, &Interval)> {
        self.intervals
            .iter()
            .flat_map(|(of, intervals)| intervals.iter().map(|interval| (*of, interval)))
    }

    /// Returns whether the commit wrote something that was looked at.
    pub fn is_invalidated_by(&self, commit: &Commit) -> bool {
        let has = |kind, entry: ChangedEntry<'_>| {
            let intervals = self
                .find((entry.index, kind))
                .map(|at| &self.intervals[at].1);
            intervals.is_ok_and(|intervals| {
                intervals
                    .iter()
                    .any(|interval| interval.contains(entry.key.as_bytes()))
            })
        };
        commit.entries().any(|entry| {
            ReadKind::ALL
                .into_iter()
                .any(|kind| kind.is_invalidated_by(entry) && has(kind, entry))
        })
    }

    /// Estimates the memory of its intervals, or of a copy of them in an interval map.
    pub fn heap_size(&self) -> usize {
        let of = |interval: &Interval| {
            INTERVAL_BYTES + interval.start.len() + interval.end.as_ref().map_or(0, Vec::len)
        };
        self.iter().map(|(_, interval)| of(interval)).sum()
    }
}

#[cfg(test)]
mod tests {
    use crate::{IndexId, Timestamp};
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
    fn a_commit_touches_what_was_looked_at_and_nothing_else() {
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
