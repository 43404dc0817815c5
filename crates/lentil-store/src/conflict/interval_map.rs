//! The search for all readers of a key.
//!
//! There is one treap for each index and kind of read: a search tree by the interval's start (then
//! its end and the reader's number), balanced by random priorities. Each node knows the greatest
//! end in its subtree. A search for a key visits only subtrees in which an interval can start at or
//! before the key and end after it. So the cost of a commit depends on the intervals that it
//! invalidates, not on the number of all intervals.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::index::IndexRef;
use crate::store::ChangedEntry;
use lentil_values::Interval;

use super::{ReadKind, ReadSet};

/// Readers, each with a number, by the intervals of their read sets.
#[derive(Default)]
pub struct IntervalMap {
    trees: BTreeMap<(IndexRef, ReadKind), Tree>,
    priorities: RandomState,
}

type Tree = Option<Box<Node>>;

struct Node {
    start: Box<[u8]>,
    end: End,
    reader: u64,
    priority: u64,
    /// The greatest end in this subtree.
    max_end: End,
    left: Tree,
    right: Tree,
}

/// The end of an interval, shared between nodes; `None` is unbounded.
type End = Option<Arc<[u8]>>;

impl IntervalMap {
    /// Adds a reader with all its intervals.
    pub fn insert(&mut self, reads: &ReadSet, reader: u64) {
        // No key is in an empty interval, so that it needs no node.
        for (of, interval) in reads.iter().filter(|(_, interval)| !interval.is_empty()) {
            // The hash has a random key, so that clients cannot choose intervals that unbalance
            // the tree.
            let priority = self.priorities.hash_one((&interval.start, reader));
            let node = Node::new(interval, reader, priority);
            let tree = self.trees.entry(of).or_default();
            *tree = insert(tree.take(), node);
        }
    }

    /// Removes a reader. `reads` must be the set with which it was added.
    pub fn remove(&mut self, reads: &ReadSet, reader: u64) {
        for (of, interval) in reads.iter() {
            let Some(tree) = self.trees.get_mut(&of) else {
                continue;
            };
            *tree = remove(tree.take(), interval, reader);
            // Otherwise the map would keep an entry for each index that was ever read.
            if tree.is_none() {
                self.trees.remove(&of);
            }
        }
    }

    /// Calls `found` with every reader that the change of this entry invalidates. It may find a
    /// reader more than once.
    pub fn readers_of(&self, entry: ChangedEntry<'_>, found: &mut impl FnMut(u64)) {
        for kind in ReadKind::ALL {
            if kind.is_invalidated_by(entry)
                && let Some(tree) = self.trees.get(&(entry.index, kind))
            {
                search(tree, entry.key.as_bytes(), found);
            }
        }
    }

    /// Returns whether there are no readers.
    pub fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }
}

impl Node {
    fn new(interval: &Interval, reader: u64, priority: u64) -> Box<Node> {
        let end: End = interval.end.as_deref().map(Arc::from);
        let max_end = end.clone();
        Box::new(Node {
            start: interval.start.as_slice().into(),
            end,
            reader,
            priority,
            max_end,
            left: None,
            right: None,
        })
    }

    /// Compares an interval and its reader with this node.
    fn compare(&self, start: &[u8], end: Option<&[u8]>, reader: u64) -> Ordering {
        (start, end, reader).cmp(&(&self.start, self.end.as_deref(), self.reader))
    }

    /// Updates `max_end` after the children have changed.
    fn updated(mut self: Box<Self>) -> Box<Node> {
        let below = [&self.left, &self.right]
            .into_iter()
            .flatten()
            .map(|child| &child.max_end);
        self.max_end = below
            .fold(
                &self.end,
                |a, b| if compare_ends(a, b).is_lt() { b } else { a },
            )
            .clone();
        self
    }
}

fn compare_ends(a: &End, b: &End) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.cmp(b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    }
}

fn insert(tree: Tree, mut node: Box<Node>) -> Tree {
    let Some(mut root) = tree else {
        return Some(node);
    };
    // A parent has a higher priority than its children, which keeps the expected depth
    // logarithmic.
    if node.priority > root.priority {
        (node.left, node.right) = split(Some(root), &node);
        return Some(node.updated());
    }
    // On the way down, because the new node will be below this root.
    if compare_ends(&root.max_end, &node.max_end).is_lt() {
        root.max_end.clone_from(&node.max_end);
    }
    let side = if root
        .compare(&node.start, node.end.as_deref(), node.reader)
        .is_lt()
    {
        &mut root.left
    } else {
        &mut root.right
    };
    *side = insert(side.take(), node);
    Some(root)
}

/// Splits a tree into the nodes before and after `node`.
fn split(tree: Tree, node: &Node) -> (Tree, Tree) {
    let Some(mut root) = tree else {
        return (None, None);
    };
    if root
        .compare(&node.start, node.end.as_deref(), node.reader)
        .is_gt()
    {
        let (middle, after) = split(root.right.take(), node);
        root.right = middle;
        (Some(root.updated()), after)
    } else {
        let (before, middle) = split(root.left.take(), node);
        root.left = middle;
        (before, Some(root.updated()))
    }
}

fn remove(tree: Tree, interval: &Interval, reader: u64) -> Tree {
    let mut root = tree?;
    let side = match root.compare(&interval.start, interval.end.as_deref(), reader) {
        Ordering::Equal => return merge(root.left.take(), root.right.take()),
        Ordering::Less => &mut root.left,
        Ordering::Greater => &mut root.right,
    };
    *side = remove(side.take(), interval, reader);
    // An update reads the children, which are likely cache misses. It is needed only if the removed
    // end was the maximum.
    Some(if root.max_end.as_deref() == interval.end.as_deref() {
        root.updated()
    } else {
        root
    })
}

/// Joins two trees. All nodes of the first must be before all of the second.
fn merge(left: Tree, right: Tree) -> Tree {
    match (left, right) {
        (Some(mut left), Some(right)) if left.priority > right.priority => {
            left.right = merge(left.right.take(), Some(right));
            Some(left.updated())
        }
        (Some(left), Some(mut right)) => {
            right.left = merge(Some(left), right.left.take());
            Some(right.updated())
        }
        (left, right) => left.or(right),
    }
}

fn search(tree: &Tree, key: &[u8], found: &mut impl FnMut(u64)) {
    let Some(node) = tree else { return };
    if node
        .max_end
        .as_deref()
        .is_some_and(|max_end| max_end <= key)
    {
        return;
    }
    search(&node.left, key, found);
    // All intervals to the right start at or after this one.
    if &*node.start <= key {
        if node.end.as_deref().is_none_or(|end| key < end) {
            found(node.reader);
        }
        search(&node.right, key, found);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::index::IndexId;
    use lentil_values::{IndexKey, TableNumber, successor};
    use proptest::prelude::*;

    use super::*;

    const INDEX: IndexRef = IndexRef::Declared(TableNumber::FIRST_USER, IndexId(1));

    fn reads(intervals: &[(Vec<u8>, Option<Vec<u8>>)]) -> ReadSet {
        let mut reads = ReadSet::default();
        for (start, end) in intervals {
            reads.add(
                INDEX,
                Interval {
                    start: start.clone(),
                    end: end.clone(),
                },
            );
        }
        reads
    }

    fn found(map: &IntervalMap, key: &[u8]) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        let key = IndexKey::from_bytes(key.to_vec());
        map.readers_of(
            ChangedEntry {
                index: INDEX,
                key: &key,
                added_or_removed: true,
            },
            &mut |reader| {
                found.insert(reader);
            },
        );
        found
    }

    proptest! {
        #[test]
        fn a_search_finds_the_same_as_a_plain_list(
            readers in prop::collection::vec(
                prop::collection::vec((prop::collection::vec(0_u8..4, 0..3), prop::option::of(prop::collection::vec(0_u8..4, 0..3))), 1..3),
                0..24,
            ),
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
            keys in prop::collection::vec(prop::collection::vec(0_u8..4, 0..3), 1..8),
        ) {
            let mut live: Vec<(u64, ReadSet)> =
                readers.iter().enumerate().map(|(at, intervals)| (at as u64, reads(intervals))).collect();
            let mut map = IntervalMap::default();
            for (reader, reads) in &live {
                map.insert(reads, *reader);
            }
            for gone in gone.iter().filter(|_| !readers.is_empty()) {
                if let Some(at) = live.iter().position(|(reader, _)| *reader == gone.index(readers.len()) as u64) {
                    let (reader, reads) = live.swap_remove(at);
                    map.remove(&reads, reader);
                }
            }
            for key in keys {
                let touched = |reads: &ReadSet| reads.iter().any(|(_, interval)| interval.contains(&key));
                let expected: BTreeSet<u64> =
                    live.iter().filter(|(_, reads)| touched(reads)).map(|(reader, _)| *reader).collect();
                prop_assert_eq!(found(&map, &key), expected);
            }
            for (reader, reads) in &live {
                map.remove(reads, *reader);
            }
            prop_assert!(map.is_empty());
        }
    }

    #[test]
    fn a_search_among_many_visits_few_nodes() {
        let mut map = IntervalMap::default();
        for reader in 0..20_000_u32 {
            let start = reader.to_be_bytes().to_vec();
            map.insert(
                &reads(&[(start.clone(), Some(successor(&start)))]),
                u64::from(reader),
            );
        }
        map.insert(&reads(&[(vec![], None)]), u64::MAX);
        assert_eq!(
            found(&map, &12_345_u32.to_be_bytes()),
            BTreeSet::from([12_345, u64::MAX])
        );
        fn depth(tree: &Tree) -> usize {
            tree.as_ref()
                .map_or(0, |node| 1 + depth(&node.left).max(depth(&node.right)))
        }
        assert!(depth(&map.trees[&(INDEX, ReadKind::Documents)]) < 80);
    }
}
