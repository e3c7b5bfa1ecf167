//! What is going on: how many requests, or connections, of one key there are now.

use std::sync::Arc;

use ahash::{AHashMap, RandomState};
use parking_lot::Mutex;

const SHARDS: usize = 64;

type Shards = Arc<[Mutex<AHashMap<u64, u32>>; SHARDS]>;

/// Counters by key. A key that is down to zero is gone, so there are never more than there are requests and connections.
#[derive(Debug)]
pub(crate) struct InFlight(Shards);

/// One that is counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    shards: Shards,
    key: u64,
}

impl Default for InFlight {
    fn default() -> Self {
        Self(Arc::new(std::array::from_fn(|_| Mutex::new(AHashMap::with_hasher(RandomState::new())))))
    }
}

impl InFlight {
    /// One more of `key`, unless there are `most`.
    pub(super) fn enter(&self, key: u64, most: u32) -> Option<Held> {
        let mut counters = shard(&self.0, key)?.lock();
        let count = counters.entry(key).or_insert(0);
        if *count >= most {
            if *count == 0 {
                counters.remove(&key);
            }
            return None;
        }
        *count += 1;
        Some(Held { shards: Arc::clone(&self.0), key })
    }

    #[cfg(test)]
    fn keys(&self) -> usize {
        self.0.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(shard) = shard(&self.shards, self.key) else { return };
        let mut counters = shard.lock();
        if let Some(count) = counters.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counters.remove(&self.key);
            }
        }
    }
}

fn shard(shards: &Shards, key: u64) -> Option<&Mutex<AHashMap<u64, u32>>> {
    shards.get(usize::try_from(key % SHARDS as u64).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_allowed_and_nothing_left_at_the_end() {
        let table = InFlight::default();
        let held: Vec<Held> = (0..3).filter_map(|_| table.enter(7, 2)).collect();
        assert_eq!(held.len(), 2);
        assert!(table.enter(8, 2).is_some());
        drop(held);
        assert!(table.enter(7, 2).is_some());
        assert!(table.enter(9, 0).is_none());
        assert_eq!(table.keys(), 0);
    }
}
