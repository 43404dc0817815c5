/// An admission filter: a key must be requested twice before its result may evict another.
///
/// So a scan that requests each key once cannot flush the cache.
#[derive(Default)]
pub(super) struct Doorkeeper {
    /// A part of each key's hash. Later keys overwrite earlier ones.
    hashes: Vec<u32>,
}

/// The number of keys that are remembered, unless their hashes collide.
const DOORKEEPER_SLOTS: usize = 1 << 16;

impl Doorkeeper {
    /// Returns whether the key with this hash was requested before, and remembers it.
    pub(super) fn admits(&mut self, hash: u64) -> bool {
        // Allocated when the cache is first full.
        self.hashes.resize(DOORKEEPER_SLOTS, 0);
        let slot = &mut self.hashes[hash as usize % DOORKEEPER_SLOTS];
        // The upper half, because the lower bits have chosen the slot already.
        let hash = (hash >> 32) as u32;
        std::mem::replace(slot, hash) == hash
    }
}
