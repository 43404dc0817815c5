use lentil_call::OverBudget;

use super::account::{Account, Charge};

/// The sizes of segments. Each is used while the body is no longer than it; the last is used for
/// larger bodies.
///
/// The allocator returns large segments to the system when they are freed, whichever thread frees
/// them.
const SEGMENT_BYTES: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];

/// Bytes that arrive in parts, and are charged to their sender as they arrive.
///
/// They are kept in segments until they are complete. A single buffer would have to grow, which
/// takes more than twice its memory during the copy, even for the unfinished messages of an
/// attacker.
pub struct Segments {
    segments: Vec<Vec<u8>>,
    length: usize,
    account: Option<Account>,
    charge: Charge,
}

impl Segments {
    /// Returns an empty sequence. Without an account, its bytes are not charged.
    pub fn new(account: Option<Account>) -> Segments {
        let charge = account.as_ref().map(|account| account.charge(0));
        Segments {
            segments: Vec::new(),
            length: 0,
            account,
            charge: charge.unwrap_or_default(),
        }
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When their sender would be over its limit.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), OverBudget> {
        // Counted first, because the size of a new segment depends on the length of the whole.
        self.length += bytes.len();
        while !bytes.is_empty() {
            let last = self.segments.last_mut();
            let Some(segment) = last.filter(|last| last.len() < last.capacity()) else {
                self.add_segment()?;
                continue;
            };
            let room = segment.capacity() - segment.len();
            let (now, rest) = bytes.split_at(bytes.len().min(room));
            segment.extend_from_slice(now);
            bytes = rest;
        }
        Ok(())
    }

    fn add_segment(&mut self) -> Result<(), OverBudget> {
        let fits = |bytes: &usize| self.length <= *bytes;
        let capacity = SEGMENT_BYTES.into_iter().find(fits);
        let capacity = capacity.unwrap_or(SEGMENT_BYTES[2]);
        if let Some(account) = &self.account {
            account.check(capacity)?;
        }
        self.charge.set(self.charge.bytes() + capacity);
        self.segments.push(Vec::with_capacity(capacity));
        Ok(())
    }

    /// Returns all the bytes in one piece, and the charge for them.
    pub fn finish(mut self) -> (Vec<u8>, Charge) {
        if self.segments.len() <= 1 {
            return (self.segments.pop().unwrap_or_default(), self.charge);
        }
        // Each segment is freed after its copy, so that the copy takes new pages as the segments
        // return theirs.
        let mut whole = Vec::with_capacity(self.length);
        for segment in self.segments {
            whole.extend_from_slice(&segment);
        }
        self.charge.set(self.length);
        (whole, self.charge)
    }
}
