use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::options::ServerOptions;

/// The limits of each client. Addresses are those of [`crate::peer::share_address`].
pub(crate) struct ClientShares {
    /// Open connections of a peer's address.
    pub(crate) connections: Arc<Shares<IpAddr>>,
    /// Open WebSockets of a client's address, which differs from the peer's behind a trusted proxy.
    pub(crate) sockets: Arc<Shares<IpAddr>>,
    /// Unfinished uploads of a client's address.
    pub(crate) uploads: Arc<Shares<IpAddr>>,
    /// Unfinished uploads with an upload token.
    pub(crate) upload_tokens: Arc<Shares<String>>,
}

impl ClientShares {
    pub(crate) fn new(options: &ServerOptions) -> ClientShares {
        ClientShares {
            connections: Shares::new(options.max_connections_per_address),
            sockets: Shares::new(options.max_connections_per_address),
            uploads: Shares::new(options.max_uploads_per_address),
            upload_tokens: Shares::new(options.max_uploads_per_token),
        }
    }
}

/// Counts each holder's units of a resource, and limits them to a share.
///
/// Only holders with a unit take memory.
pub(crate) struct Shares<K> {
    limit: usize,
    held: Mutex<HashMap<K, usize>>,
}

/// One unit of a holder. Dropping it returns the unit.
pub(crate) struct Share<K: Hash + Eq> {
    shares: Arc<Shares<K>>,
    holder: K,
}

impl<K: Hash + Eq + Clone> Shares<K> {
    /// Creates shares of at most `limit` units.
    pub(crate) fn new(limit: usize) -> Arc<Shares<K>> {
        Arc::new(Shares {
            limit,
            held: Mutex::new(HashMap::new()),
        })
    }

    /// Takes a unit for this holder. Returns `None` if it has its share.
    pub(crate) fn take(self: &Arc<Self>, holder: K) -> Option<Share<K>> {
        let mut held = self.held.lock();
        let count = held.get(&holder).copied().unwrap_or(0);
        if count >= self.limit {
            return None;
        }
        held.insert(holder.clone(), count + 1);
        drop(held);
        Some(Share {
            shares: Arc::clone(self),
            holder,
        })
    }
}

impl<K: Hash + Eq> Drop for Share<K> {
    fn drop(&mut self) {
        let mut held = self.shares.held.lock();
        let Some(count) = held.get_mut(&self.holder) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            held.remove(&self.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holder_has_at_most_its_share_and_takes_no_memory_without_units() {
        let shares = Shares::new(2);
        let first = shares.take("a");
        let second = shares.take("a");
        assert!(first.is_some() && second.is_some());
        assert!(shares.take("a").is_none());
        assert!(
            shares.take("b").is_some(),
            "another holder has its own share"
        );
        drop(first);
        assert!(shares.take("a").is_some());
        drop(second);
        assert!(shares.held.lock().is_empty());
    }
}
