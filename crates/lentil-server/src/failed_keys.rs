use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The number of wrong keys that an address may present in a burst.
const MAX_FAILURES: u32 = 10;
/// The interval after which an address may present one more.
const FORGET_INTERVAL: Duration = Duration::from_secs(6);
/// The most addresses in the table. Each takes about 50 bytes.
const MAX_ADDRESSES: usize = 10_000;

/// The addresses that have presented wrong admin keys. Each may present only a few per minute.
///
/// An address over the limit is refused before its key is compared, so that the response reveals
/// nothing about the key.
#[derive(Default)]
pub(crate) struct FailedKeys {
    /// The time at which all failures of an address are forgotten.
    forgotten_at: Mutex<HashMap<IpAddr, Instant>>,
}

impl FailedKeys {
    /// Returns the time that this address must wait before it may present a key, or `None` if it
    /// may now.
    pub(crate) fn wait(&self, address: IpAddr) -> Option<Duration> {
        let forgotten_at = *self.forgotten_at.lock().get(&address)?;
        let allowed = FORGET_INTERVAL * (MAX_FAILURES - 1);
        let wait = forgotten_at.checked_duration_since(Instant::now() + allowed)?;
        (!wait.is_zero()).then_some(wait)
    }

    /// Records a wrong key.
    pub(crate) fn record(&self, address: IpAddr) {
        let now = Instant::now();
        let mut forgotten_at = self.forgotten_at.lock();
        if forgotten_at.len() >= MAX_ADDRESSES && !forgotten_at.contains_key(&address) {
            make_room(&mut forgotten_at, now);
        }
        let at = forgotten_at.entry(address).or_insert(now);
        *at = (*at).max(now) + FORGET_INTERVAL;
    }
}

/// Removes the addresses without failures, or if there are none, any address.
fn make_room(forgotten_at: &mut HashMap<IpAddr, Instant>, now: Instant) {
    forgotten_at.retain(|_, at| *at > now);
    if forgotten_at.len() >= MAX_ADDRESSES
        && let Some(address) = forgotten_at.keys().next().copied()
    {
        forgotten_at.remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[tokio::test(start_paused = true)]
    async fn address_with_many_failures_waits_and_others_do_not() {
        let failed = FailedKeys::default();
        for _ in 0..MAX_FAILURES {
            assert_eq!(failed.wait(address(1)), None);
            failed.record(address(1));
        }
        assert_eq!(failed.wait(address(1)), Some(FORGET_INTERVAL));
        assert_eq!(failed.wait(address(2)), None);
        tokio::time::advance(FORGET_INTERVAL).await;
        assert_eq!(failed.wait(address(1)), None);
        failed.record(address(1));
        assert_eq!(failed.wait(address(1)), Some(FORGET_INTERVAL));
        tokio::time::advance(FORGET_INTERVAL * MAX_FAILURES).await;
        for _ in 0..MAX_FAILURES {
            assert_eq!(failed.wait(address(1)), None);
            failed.record(address(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn table_is_bounded() {
        let failed = FailedKeys::default();
        for number in 0..2 * MAX_ADDRESSES as u32 {
            failed.record(address(number));
        }
        assert_eq!(failed.forgotten_at.lock().len(), MAX_ADDRESSES);
        tokio::time::advance(FORGET_INTERVAL * 2).await;
        failed.record(address(u32::MAX));
        assert_eq!(failed.forgotten_at.lock().len(), 1);
    }
}
