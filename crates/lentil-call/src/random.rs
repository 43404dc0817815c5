use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Seeds the generators of calls, from the operating system or from the seed of a test.
pub struct Seeds(Mutex<StdRng>);

impl Seeds {
    /// Returns the seeds of a test, or random ones.
    pub fn new(seed: Option<u64>) -> Seeds {
        Seeds(Mutex::new(
            seed.map_or_else(rand::make_rng, StdRng::seed_from_u64),
        ))
    }

    fn generator(&self) -> StdRng {
        // The lock is held for one seed only. The call then draws from its own generator.
        StdRng::from_rng(&mut *self.0.lock())
    }

    /// Returns one random number.
    pub fn next_u64(&self) -> u64 {
        self.0.lock().next_u64()
    }
}

/// The random numbers of one call.
///
/// The generator is seeded at its first use and boxed, so that a call which needs no randomness
/// carries no generator.
#[derive(Default)]
pub struct Random(Mutex<Option<Box<StdRng>>>);

impl Random {
    fn with<R>(&self, seeds: &Seeds, draw: impl FnOnce(&mut StdRng) -> R) -> R {
        draw(
            self.0
                .lock()
                .get_or_insert_with(|| Box::new(seeds.generator())),
        )
    }

    /// Returns a random number.
    pub fn next_u64(&self, seeds: &Seeds) -> u64 {
        self.with(seeds, StdRng::next_u64)
    }

    /// Returns random bytes.
    pub fn bytes(&self, count: usize, seeds: &Seeds) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.with(seeds, |generator| generator.fill_bytes(&mut bytes));
        bytes
    }

    /// Returns a number in `[0, 1)` with 53 random bits, as `Math.random()` does.
    pub fn next_f64(&self, seeds: &Seeds) -> f64 {
        (self.next_u64(seeds) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
