//! What clients did, in a table of fixed size: for each key the time until which it matters.
//!
//! 16 bytes a key, 2,097,152 keys, 32 MiB and never more, allocated shard by shard as they are needed. A key has 16 places
//! it can be at, found by a keyed hash. One that no longer matters gives its place away. When all 16 matter, the one goes
//! that stops mattering first: to make the table forget what it did, a client needs 16 others that did more and happen to
//! share its places, which nobody outside can choose. That takes more than a million of them.

use std::time::Instant;

use parking_lot::Mutex;
use prometheus::IntCounter;

use super::pace::nanos;

const SHARDS: usize = 256;
const SETS: usize = 512;
const WAYS: usize = 16;

/// A key, and until when it matters (nanoseconds since the table was made).
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    key: u64,
    until: u64,
}

/// The table.
#[derive(Debug)]
pub(super) struct Buckets {
    shards: Box<[Mutex<Vec<[Place; WAYS]>>]>,
    start: Instant,
    /// Keys forgotten while they mattered.
    evicted: IntCounter,
}

impl Buckets {
    pub(super) fn new(evicted: IntCounter) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Vec::new())).collect();
        Self { shards, start: Instant::now(), evicted }
    }

    /// Nanoseconds; one at least, for 0 is "never".
    pub(super) fn now(&self) -> u64 {
        nanos(self.start.elapsed()).max(1)
    }

    /// Until when `key` matters; 0 for one that is not known.
    pub(super) fn until(&self, key: u64) -> u64 {
        self.update(key, u64::MAX, |until| (until, until))
    }

    /// Gives `change` the time until which `key` matters and keeps the one it returns.
    pub(super) fn update<R>(&self, key: u64, now: u64, change: impl FnOnce(u64) -> (u64, R)) -> R {
        let (shard, set) = split(key);
        let Some(shard) = self.shards.get(shard) else { return change(0).1 };
        let mut sets = shard.lock();
        if sets.is_empty() {
            sets.resize(SETS, [Place::default(); WAYS]);
        }
        let Some(places) = sets.get_mut(set) else { return change(0).1 };
        if let Some(place) = places.iter_mut().find(|place| place.key == key) {
            let (until, result) = change(place.until);
            place.until = until;
            return result;
        }
        let (until, result) = change(0);
        // What does not matter needs no place.
        if until > now
            && let Some(first) = places.iter_mut().min_by_key(|place| place.until)
        {
            if first.until > now {
                self.evicted.inc();
            }
            *first = Place { key, until };
        }
        result
    }
}

/// Shard and set of a key.
fn split(key: u64) -> (usize, usize) {
    let index = |bits: u64, count: usize| usize::try_from(bits % count as u64).unwrap_or(0);
    (index(key, SHARDS), index(key >> 32, SETS))
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, RandomState};

    use super::*;

    fn table() -> Buckets {
        Buckets::new(IntCounter::new("evicted", "evicted").unwrap())
    }

    #[test]
    fn a_million_keys_are_remembered_in_34_bytes_each() {
        let (table, hasher) = (table(), RandomState::new());
        let keys = || (0..1_000_000_u64).map(|key| hasher.hash_one(key).max(1));
        keys().for_each(|key| table.update(key, 1, |until| (until.max(1) + 1000, ())));
        let kept = keys().filter(|key| table.until(*key) > 1).count();
        assert!(kept > 995_000, "{kept}");
        let bytes: usize = table.shards.iter().map(|shard| shard.lock().capacity() * size_of::<[Place; WAYS]>()).sum();
        assert_eq!(bytes, 32 << 20);
        assert!(bytes / kept < 34);
    }

    #[test]
    fn who_did_much_is_not_forgotten_for_ten_million_who_did_little() {
        let (table, hasher) = (table(), RandomState::new());
        let busy: Vec<u64> = (0..100_u64).map(|key| hasher.hash_one(("busy", key)).max(1)).collect();
        busy.iter().for_each(|key| table.update(*key, 1, |_| (1_000_000, ())));
        (0..10_000_000_u64).for_each(|key| table.update(hasher.hash_one(key).max(1), 1, |_| (1000, ())));
        assert_eq!(busy.iter().filter(|key| table.until(**key) == 1_000_000).count(), 100);
        assert!(table.evicted.get() > 7_000_000);
    }

    #[test]
    fn what_no_longer_matters_gives_its_place_away() {
        let (table, hasher) = (table(), RandomState::new());
        for round in 0..3_u64 {
            let now = 1 + round * 1000;
            (0..1_000_000_u64).for_each(|key| {
                table.update(hasher.hash_one((round, key)).max(1), now, |_| (now + 1000, ()));
            });
        }
        assert!(table.evicted.get() < 15_000, "{}", table.evicted.get());
    }
}
