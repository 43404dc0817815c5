/// The calls of late whose answers found no room. What is asked for once, as by one who walks through a table, is not
/// worth an answer that others ask for again.
#[derive(Default)]
pub(super) struct AskedBefore {
    /// Of each call a part of its hash; later calls take the places of earlier ones.
    hashes: Vec<u32>,
}

/// How many calls are remembered, about.
const ASKED: usize = 1 << 16;

impl AskedBefore {
    /// Whether the call with this hash was asked for before; remembers it.
    pub(super) fn again(&mut self, hash: u64) -> bool {
        // The room is taken when the cache is first full.
        self.hashes.resize(ASKED, 0);
        let place = &mut self.hashes[hash as usize % ASKED];
        let hash = (hash >> 32) as u32;
        std::mem::replace(place, hash) == hash
    }
}
