use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashTable;
use lentil_store::conflict::IntervalMap;
use lentil_store::{Commit, Timestamp};

use super::{CacheKey, CachedRun};

/// The answers that are kept, by their calls and by what they have read.
///
/// An answer is known by its slot. From a call to its answer it is one small table of slots, and the slot: of ten
/// thousand answers most are not in the processor's cache, so that it counts how many places a hit looks at.
#[derive(Default)]
pub(super) struct Entries {
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_key: HashTable<u32>,
    readers: IntervalMap,
    bytes: usize,
    /// Where the search for the next to go goes on.
    hand: usize,
}

/// An answer in the cache.
pub(super) struct Entry {
    pub(super) key: CacheKey,
    /// The hash of its key.
    pub(super) hash: u64,
    pub(super) run: Arc<CachedRun>,
    /// About how many bytes it takes.
    pub(super) size: usize,
    /// The times at which it may be used.
    pub(super) holds_ms: Range<f64>,
    /// Whether it was used since the hand last came by.
    pub(super) was_used: bool,
}

impl Entries {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// About how many bytes they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The slot of a call's answer.
    pub(super) fn find(&self, hash: u64, key: &CacheKey) -> Option<u32> {
        let is_its = |slot: &u32| {
            self.get(*slot)
                .is_some_and(|entry| entry.hash == hash && entry.key == *key)
        };
        self.by_key.find(hash, is_its).copied()
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Entry> {
        self.slots[slot as usize].as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.slots[slot as usize].as_mut()
    }

    /// Adds an answer to a call that has none.
    pub(super) fn insert(&mut self, entry: Entry) {
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        if slot as usize == self.slots.len() {
            self.slots.push(None);
        }
        self.bytes += entry.size;
        self.readers.insert(&entry.run.read_set, u64::from(slot));
        let hash = entry.hash;
        self.slots[slot as usize] = Some(entry);
        let slots = &self.slots;
        let hash_of = |slot: &u32| slots[*slot as usize].as_ref().map_or(0, |entry| entry.hash);
        self.by_key.insert_unique(hash, slot, hash_of);
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let Some(entry) = self.slots[slot as usize].take() else {
            return;
        };
        if let Ok(found) = self.by_key.find_entry(entry.hash, |other| *other == slot) {
            found.remove();
        }
        self.readers.remove(&entry.run.read_set, u64::from(slot));
        self.bytes -= entry.size;
        self.free.push(slot);
    }

    /// Removes an answer that was not used of late: the hand goes round, and passes once by each that was.
    ///
    /// There is one, or this does not end.
    pub(super) fn evict(&mut self) {
        loop {
            self.hand = (self.hand + 1) % self.slots.len();
            match &mut self.slots[self.hand] {
                Some(entry) if entry.was_used => entry.was_used = false,
                Some(_) => return self.remove(self.hand as u32),
                None => {}
            }
        }
    }

    /// The slots of the answers that have read what the commit has written, some of them more than once.
    pub(super) fn touched_by(&self, commit: &Commit) -> Vec<u32> {
        let mut touched = Vec::new();
        if !self.readers.is_empty() {
            for entry in commit.entries() {
                self.readers
                    .readers_of(entry, &mut |slot| touched.push(slot as u32));
            }
        }
        touched
    }

    /// The slots of the answers that were read before `timestamp`.
    pub(super) fn older_than(&self, timestamp: Timestamp) -> Vec<u32> {
        let is_older = |entry: &Entry| entry.run.timestamp < timestamp;
        let slots = self.slots.iter().zip(0..);
        let older = slots.filter(|(entry, _)| entry.as_ref().is_some_and(is_older));
        older.map(|(_, slot)| slot).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use lentil_values::{Object, Value};

    use super::*;
    use crate::memory::Charge;
    use crate::{ExecutionId, RequestId, Visibility};
    use lentil_store::conflict::ReadSet;

    /// All have one hash, which is the worst that can come.
    const HASH: u64 = 7;

    fn key(name: &str) -> CacheKey {
        CacheKey::new(name, &Object::new(), None, Visibility::Public)
    }

    fn entries(names: &[&str]) -> Entries {
        let mut entries = Entries::default();
        names.iter().for_each(|name| insert(&mut entries, name));
        entries
    }

    fn insert(entries: &mut Entries, name: &str) {
        let run = Arc::new(CachedRun {
            result: Ok(Arc::new(Value::Null)),
            log_lines: Vec::new(),
            read_set: ReadSet::default(),
            timestamp: Timestamp::MIN,
            journal: None,
            json: OnceLock::new(),
            charge: Charge::default(),
            request_id: RequestId::made(0),
            execution: ExecutionId::default(),
        });
        entries.insert(Entry {
            key: key(name),
            hash: HASH,
            run,
            size: 10,
            holds_ms: 0.0..0.0,
            was_used: false,
        });
    }

    fn slots<const N: usize>(entries: &Entries, names: [&str; N]) -> [Option<u32>; N] {
        names.map(|name| entries.find(HASH, &key(name)))
    }

    #[test]
    fn calls_of_one_hash_are_told_apart_and_a_slot_is_taken_again() {
        let mut entries = entries(&["a", "b", "c"]);
        assert_eq!(
            slots(&entries, ["a", "b", "c", "d"]),
            [Some(0), Some(1), Some(2), None]
        );
        entries.remove(1);
        insert(&mut entries, "d");
        assert_eq!(
            slots(&entries, ["a", "b", "c", "d"]),
            [Some(0), None, Some(2), Some(1)]
        );
        assert_eq!((entries.len(), entries.bytes()), (3, 30));
    }

    #[test]
    fn the_hand_passes_once_by_what_was_used() {
        let mut entries = entries(&["a", "b", "c"]);
        entries.get_mut(1).unwrap().was_used = true;
        entries.evict();
        assert_eq!(slots(&entries, ["a", "b", "c"]), [Some(0), Some(1), None]);
        entries.evict();
        assert_eq!(slots(&entries, ["a", "b", "c"]), [None, Some(1), None]);
        entries.evict();
        assert_eq!((entries.len(), entries.bytes()), (0, 0));
    }
}
