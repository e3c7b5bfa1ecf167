//! A cache without contents: the eviction of the memory tier (moka's W-TinyLFU), fed with the sizes of a log.

use std::hash::Hash;
use std::time::Duration;

use ahash::RandomState;
use moka::sync::Cache;

/// Bytes a stored response takes beyond its content: fields, key, bookkeeping.
const OVERHEAD: u64 = 1536;
/// Entries that are held at most. A larger cache is simulated by a part of its keys, which behaves like the whole
/// (spatially hashed sampling: Waldspurger et al. 2015).
const ENTRIES: u64 = 1 << 19;
/// Requests between two rounds of moka's bookkeeping, so that a run gives the same result each time.
const ROUND: u64 = 64;

/// Seconds since 1970.
pub(crate) type Seconds = u64;

/// What is stored under a key.
#[derive(Debug, Clone, Copy)]
struct Stored {
    at: Seconds,
    lifetime: u64,
    stale: u64,
    bytes: u32,
}

/// What a request found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Fresh,
    /// Answered stale, while the origin was asked behind it.
    Stale,
    Nothing,
}

/// One size of cache.
#[derive(Debug)]
pub(crate) struct Simulated {
    entries: Cache<u64, Stored, RandomState>,
    max_object: u64,
    /// Keys whose hash is beneath this take part.
    threshold: u64,
    calls: u64,
}

/// The same number for the same key in every run.
pub(crate) fn hash(key: impl Hash) -> u64 {
    RandomState::with_seeds(11, 12, 13, 14).hash_one(key)
}

impl Simulated {
    pub(crate) fn new(size: u64, max_object: u64) -> Self {
        let whole = size / OVERHEAD;
        let part = whole.div_ceil(ENTRIES).max(1);
        let entries = Cache::builder()
            .max_capacity(size / part)
            .weigher(|_, stored: &Stored| stored.bytes)
            .build_with_hasher(RandomState::with_seeds(1, 2, 3, 4));
        Self { entries, max_object: max_object.min(size / 4), threshold: u64::MAX / part, calls: 0 }
    }

    /// Whether requests for this key tell anything of this cache.
    pub(crate) fn samples(&self, key: u64) -> bool {
        key <= self.threshold
    }

    /// What is there for a request at this time.
    pub(crate) fn find(&mut self, key: u64, now: Seconds) -> Found {
        self.calls += 1;
        if self.calls.is_multiple_of(ROUND) {
            self.entries.run_pending_tasks();
        }
        let Some(stored) = self.entries.get(&key) else { return Found::Nothing };
        let age = now.saturating_sub(stored.at);
        match age {
            age if age < stored.lifetime => Found::Fresh,
            age if age < stored.lifetime.saturating_add(stored.stale) => Found::Stale,
            _ => Found::Nothing,
        }
    }

    /// Stores what the origin answered.
    pub(crate) fn store(&mut self, key: u64, now: Seconds, lifetime: Duration, stale: Duration, bytes: u64) {
        if bytes > self.max_object {
            return;
        }
        let bytes = u32::try_from(bytes.saturating_add(OVERHEAD)).unwrap_or(u32::MAX);
        self.entries.insert(key, Stored { at: now, lifetime: lifetime.as_secs(), stale: stale.as_secs(), bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn what_is_stored_is_fresh_then_stale_then_gone() {
        let mut cache = Simulated::new(1 << 20, 1 << 20);
        cache.store(1, 0, HOUR, Duration::from_secs(60), 100);
        assert_eq!(cache.find(1, 3599), Found::Fresh);
        assert_eq!(cache.find(1, 3600), Found::Stale);
        assert_eq!(cache.find(1, 3660), Found::Nothing);
        assert_eq!(cache.find(2, 0), Found::Nothing);
    }

    #[test]
    fn a_small_cache_holds_no_more_than_its_size() {
        let mut cache = Simulated::new(1 << 20, 1 << 20);
        let fits = (0..1000).filter(|key| {
            cache.store(*key, 0, HOUR, Duration::ZERO, 100 << 10);
            cache.find(*key, 1) == Found::Fresh
        });
        let _ = fits.count();
        cache.entries.run_pending_tasks();
        let held = (0..1000).filter(|key| cache.entries.contains_key(key)).count();
        assert!((1..=10).contains(&held), "{held}");
        cache.store(2000, 0, HOUR, Duration::ZERO, 1 << 19);
        assert_eq!(cache.find(2000, 1), Found::Nothing, "above a quarter of the size");
    }

    #[test]
    fn a_large_cache_is_sampled() {
        let (small, large) = (Simulated::new(1 << 30, 1 << 20), Simulated::new(1 << 36, 1 << 20));
        assert!(large.threshold < u64::MAX / 50 && small.threshold >= u64::MAX / 2);
    }
}
