use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashTable;
use lentil_store::conflict::IntervalMap;
use lentil_store::{Commit, Timestamp};

use super::cache_key::CacheKey;
use super::query_result::QueryResult;

/// The cached results, by their keys and by their read sets.
///
/// Each entry has a slot. A hit touches two memory locations, the table of slots and the slot: with
/// 10,000 entries each is likely a CPU cache miss.
#[derive(Default)]
pub(super) struct Entries {
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_key: HashTable<u32>,
    readers: IntervalMap,
    bytes: usize,
    /// The slot at which the last search for an entry to evict ended.
    clock_hand: usize,
}

/// A result in the cache.
pub(super) struct Entry {
    pub(super) key: CacheKey,
    /// The hash of its key.
    pub(super) hash: u64,
    pub(super) result: Arc<QueryResult>,
    /// Its estimated memory in bytes.
    pub(super) size: usize,
    /// The times at which it is valid.
    pub(super) valid_ms: Range<f64>,
    /// Whether it was used since the clock hand last passed.
    pub(super) was_used: bool,
}

impl Entries {
    /// Returns the number of entries.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Returns the estimated memory of all entries, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the slot of a key's entry.
    pub(super) fn find(&self, hash: u64, key: &CacheKey) -> Option<u32> {
        // The hash is compared first, because comparing keys compares arguments, which may be long.
        let is_key = |slot: &u32| {
            self.get(*slot)
                .is_some_and(|entry| entry.hash == hash && entry.key == *key)
        };
        self.by_key.find(hash, is_key).copied()
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Entry> {
        self.slots[slot as usize].as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.slots[slot as usize].as_mut()
    }

    /// Inserts the entry of a key that has none.
    pub(super) fn insert(&mut self, entry: Entry) {
        // Slots never move, because the interval map refers to results by their slots.
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        if slot as usize == self.slots.len() {
            self.slots.push(None);
        }
        self.bytes += entry.size;
        self.readers.insert(&entry.result.read_set, u64::from(slot));
        let hash = entry.hash;
        self.slots[slot as usize] = Some(entry);
        // A table that grows reads the hashes from the entries, so that no key is hashed again.
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
        self.readers.remove(&entry.result.read_set, u64::from(slot));
        self.bytes -= entry.size;
        self.free.push(slot);
    }

    /// Evicts an entry by the CLOCK algorithm: the hand passes each recently used entry once.
    ///
    /// The cache must not be empty, because the loop would not end.
    pub(super) fn evict(&mut self) {
        debug_assert!(self.len() > 0, "evicting from an empty cache");
        loop {
            self.clock_hand = (self.clock_hand + 1) % self.slots.len();
            match &mut self.slots[self.clock_hand] {
                Some(entry) if entry.was_used => entry.was_used = false,
                Some(_) => return self.remove(self.clock_hand as u32),
                None => {}
            }
        }
    }

    /// Returns the slots of the results that the commit invalidates. A slot may occur more than
    /// once.
    pub(super) fn invalidated_by(&self, commit: &Commit) -> Vec<u32> {
        let mut invalidated = Vec::new();
        if !self.readers.is_empty() {
            for entry in commit.entries() {
                self.readers
                    .readers_of(entry, &mut |slot| invalidated.push(slot as u32));
            }
        }
        invalidated
    }

    /// Returns the slots of the results that were read before `timestamp`.
    pub(super) fn older_than(&self, timestamp: Timestamp) -> Vec<u32> {
        let mut older = Vec::new();
        for (slot, entry) in (0..).zip(&self.slots) {
            if let Some(entry) = entry
                && entry.result.timestamp < timestamp
            {
                older.push(slot);
            }
        }
        older
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use lentil_values::{Object, Value};

    use super::*;
    use crate::executions::ExecutionId;
    use crate::memory::Charge;
    use lentil_call::{RequestId, Visibility};
    use lentil_store::conflict::ReadSet;

    /// All keys have the same hash: the worst case.
    const HASH: u64 = 7;

    fn key(name: &str) -> CacheKey {
        CacheKey::new(name, &Object::new(), None, Visibility::Public)
    }

    fn entries(names: &[&str]) -> Entries {
        let mut entries = Entries::default();
        for name in names {
            insert(&mut entries, name);
        }
        entries
    }

    fn insert(entries: &mut Entries, name: &str) {
        let result = Arc::new(QueryResult {
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
            result,
            size: 10,
            valid_ms: 0.0..0.0,
            was_used: false,
        });
    }

    fn slots<const N: usize>(entries: &Entries, names: [&str; N]) -> [Option<u32>; N] {
        names.map(|name| entries.find(HASH, &key(name)))
    }

    #[test]
    fn keys_with_equal_hashes_are_distinguished_and_slots_are_reused() {
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
    fn recently_used_entries_survive_one_turn_of_the_clock_hand() {
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
