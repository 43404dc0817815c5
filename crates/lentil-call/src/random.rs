use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Where every call's own generator is seeded from: the operating system's randomness, or a test's seed.
pub struct Seeds(Mutex<StdRng>);

impl Seeds {
    /// Returns the seeds of a test, or random ones.
    pub fn new(seed: Option<u64>) -> Seeds {
        Seeds(Mutex::new(
            seed.map_or_else(rand::make_rng, StdRng::seed_from_u64),
        ))
    }

    fn generator(&self) -> StdRng {
        StdRng::from_rng(&mut *self.0.lock())
    }

    /// A number for one who needs no more than one.
    pub fn next_u64(&self) -> u64 {
        self.0.lock().next_u64()
    }
}

/// One call's randomness, seeded when it is first asked for; apart, so that calls which do not ask carry no generator.
#[derive(Default)]
pub struct Random(Option<Box<StdRng>>);

impl Random {
    fn generator(&mut self, seeds: &Seeds) -> &mut StdRng {
        self.0.get_or_insert_with(|| Box::new(seeds.generator()))
    }

    /// Returns a random number.
    pub fn next_u64(&mut self, seeds: &Seeds) -> u64 {
        self.generator(seeds).next_u64()
    }

    /// Returns 32 random bytes, enough for a key.
    pub fn bytes(&mut self, seeds: &Seeds) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.generator(seeds).fill_bytes(&mut bytes);
        bytes
    }

    /// A number in `[0, 1)` with 53 random bits, as `Math.random()`.
    pub fn next_f64(&mut self, seeds: &Seeds) -> f64 {
        (self.next_u64(seeds) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
