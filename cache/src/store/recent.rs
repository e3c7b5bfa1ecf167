//! Which keys were found on disk a short while ago.
//!
//! The memory tier takes in what is found on disk: that costs more than the reading, and what comes round again only
//! after more than memory can hold is pushed out before it is of use. What is found twice within a short while is worth
//! it, by that measure; how often it is asked for is then moka's to judge.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// One slot for so many bytes of memory: small responses have one each, and a slot takes 0.2 % of that.
const BYTES_A_SLOT: u64 = 4096;

/// Fewest slots (8 KiB) and most (16 MiB).
const SLOTS: (u64, u64) = (1 << 10, 1 << 21);

/// The keys found last. A slot keeps the last key that fell on it, so that a key may be forgotten early; none is taken for
/// another but by a hash with the same 32 bits and slot.
#[derive(Debug)]
pub(super) struct Recent {
    /// The upper half of a key's hash, then the number of the find.
    slots: Box<[AtomicU64]>,
    /// Finds so far. They wrap around: what was found 4,294,967,296 finds ago seems to be new, once.
    finds: AtomicU32,
}

impl Recent {
    /// For a memory tier of so many bytes.
    pub(super) fn new(memory: u64) -> Self {
        let (fewest, most) = SLOTS;
        let slots = (memory / BYTES_A_SLOT).clamp(fewest, most);
        Self { slots: (0..slots).map(|_| AtomicU64::new(0)).collect(), finds: AtomicU32::new(0) }
    }

    /// Notes that the key with this hash was found. Whether it was already, within the last `window` finds of any key.
    pub(super) fn again(&self, hash: u64, window: u64) -> bool {
        let now = self.finds.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let before = self.slot(hash).map_or(0, |slot| slot.swap(mark(hash) << 32 | u64::from(now), Ordering::Relaxed));
        is_within(before, hash, now, window)
    }

    /// What [`again`](Self::again) would say, with nothing noted.
    pub(super) fn would_be_again(&self, hash: u64, window: u64) -> bool {
        let now = self.finds.load(Ordering::Relaxed).wrapping_add(1);
        is_within(self.slot(hash).map_or(0, |slot| slot.load(Ordering::Relaxed)), hash, now, window)
    }

    fn slot(&self, hash: u64) -> Option<&AtomicU64> {
        usize::try_from(hash % self.slots.len() as u64).ok().and_then(|index| self.slots.get(index))
    }
}

fn mark(hash: u64) -> u64 {
    hash >> 32
}

/// Whether `before` is a find of the key with this hash, `window` finds before `now` at most.
fn is_within(before: u64, hash: u64, now: u32, window: u64) -> bool {
    let ago = u64::from(now).wrapping_sub(before) & u64::from(u32::MAX);
    before != 0 && mark(before) == mark(hash) && ago <= window
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spreads small numbers as a hasher does.
    fn hash(key: u64) -> u64 {
        key.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32).wrapping_mul(0xD6E8_FEB8_6659_FD93)
    }

    #[test]
    fn what_was_found_within_the_window_is_found_again() {
        let recent = Recent::new(64 << 20);
        assert!(!recent.would_be_again(hash(1), 4));
        assert!(!recent.again(hash(1), 4), "for the first time");
        assert!(recent.would_be_again(hash(1), 4) && !recent.would_be_again(hash(2), 4));
        assert!(recent.again(hash(1), 4));
        for other in 2..=4 {
            assert!(!recent.again(hash(other), 4));
        }
        assert!(recent.again(hash(1), 4), "4 finds ago");
        for other in 5..=8 {
            assert!(!recent.again(hash(other), 4));
        }
        assert!(!recent.again(hash(1), 4), "5 finds ago");
    }

    #[test]
    fn nothing_was_found_in_the_beginning() {
        assert!(!Recent::new(0).again(0, u64::MAX));
    }

    #[test]
    fn a_round_longer_than_the_window_never_counts_and_a_shorter_one_does() {
        let recent = Recent::new(64 << 20);
        let again = |keys: u64| {
            for key in 0..keys {
                recent.again(hash(keys << 32 | key), 100);
            }
            (0..keys).filter(|key| recent.again(hash(keys << 32 | key), 100)).count()
        };
        assert_eq!(again(200), 0);
        // A few fall on one slot with another.
        assert!(again(100) > 95, "{}", again(100));
    }

    #[test]
    fn the_count_of_finds_wraps_around() {
        let recent = Recent::new(0);
        recent.finds.store(u32::MAX - 1, Ordering::Relaxed);
        assert!(!recent.again(hash(1), 4));
        assert!(!recent.again(hash(2), 4));
        assert!(recent.again(hash(1), 4));
    }

    #[test]
    fn it_takes_little_of_the_memory() {
        assert_eq!(Recent::new(0).slots.len(), 1 << 10);
        assert_eq!(Recent::new(64 << 20).slots.len() * 8, 128 << 10);
        assert_eq!(Recent::new(1 << 40).slots.len() * 8, 16 << 20);
    }
}
