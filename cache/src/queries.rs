//! How many queries of one path are stored at a time.
//!
//! Anybody can invent query strings, and most applications answer them all. Where a path may hold so many and no more,
//! the first ones are stored as they come. After that a query has to be asked for twice within a while to be stored, and
//! takes the place of the one that was filled longest ago: a script that makes up a new one for each request stores
//! nothing, and what visitors ask for again gets its place back.

use std::collections::VecDeque;

use ahash::{AHashMap, AHashSet, RandomState};
use parking_lot::Mutex;

use crate::key::CacheKey;

/// Queries counted, all paths together. With one more the path that was counted first is counted anew.
const MOST: usize = 1 << 17;

/// Queries remembered as asked for once, all paths together.
const SEEN: usize = 1 << 16;

/// Whether the response to a query may be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Admitted,
    /// It may, in place of what is stored under this key.
    Replaces(CacheKey),
    /// It may not: the path has as many as it may have, and this one was not asked for before.
    Refused,
}

/// The queries that are stored, by path.
#[derive(Debug, Default)]
pub struct Queries {
    table: Mutex<Table>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Table {
    paths: AHashMap<u64, OfPath>,
    /// Paths in the order in which they were first counted.
    order: VecDeque<u64>,
    /// Queries of all paths.
    count: usize,
    seen: AHashSet<u64>,
    seen_order: VecDeque<u64>,
}

/// The queries of one path: when each was filled last.
#[derive(Debug, Default)]
struct OfPath {
    filled: AHashMap<CacheKey, u64>,
    /// Every fill in its order; those that are not a key's last are passed over.
    order: VecDeque<(u64, CacheKey)>,
    tick: u64,
}

// === impl Queries ===

impl Queries {
    /// Counts a fill of `key`, whose path may hold `most` queries.
    #[must_use]
    pub fn admit(&self, key: &CacheKey, most: usize) -> Admission {
        if key.query().is_none() {
            return Admission::Admitted;
        }
        let path = self.hasher.hash_one((key.scheme(), key.authority(), key.path()));
        let hash = self.hasher.hash_one(key);
        let mut table = self.table.lock();
        let Some(held) = table.paths.get_mut(&path) else {
            return if most == 0 { Admission::Refused } else { table.begin(path, key) };
        };
        if held.filled.contains_key(key) {
            held.note(key);
            return Admission::Admitted;
        }
        if held.filled.len() < most {
            held.note(key);
            table.grow();
            return Admission::Admitted;
        }
        if most == 0 || !table.is_second_sight(hash) {
            return Admission::Refused;
        }
        let Some(held) = table.paths.get_mut(&path) else { return Admission::Refused };
        held.note(key);
        held.forget_oldest().map_or(Admission::Admitted, Admission::Replaces)
    }
}

// === impl Table ===

impl Table {
    fn begin(&mut self, path: u64, key: &CacheKey) -> Admission {
        self.paths.entry(path).or_default().note(key);
        self.order.push_back(path);
        self.grow();
        Admission::Admitted
    }

    /// One more was counted.
    fn grow(&mut self) {
        self.count += 1;
        while self.count > MOST {
            let Some(first) = self.order.pop_front() else { break };
            let forgotten = self.paths.remove(&first).map_or(0, |path| path.filled.len());
            self.count = self.count.saturating_sub(forgotten);
        }
    }

    /// Whether this was seen before, once; it is forgotten with that.
    fn is_second_sight(&mut self, hash: u64) -> bool {
        if self.seen.remove(&hash) {
            return true;
        }
        self.seen.insert(hash);
        self.seen_order.push_back(hash);
        if self.seen_order.len() > SEEN
            && let Some(first) = self.seen_order.pop_front()
        {
            self.seen.remove(&first);
        }
        false
    }
}

// === impl OfPath ===

impl OfPath {
    fn note(&mut self, key: &CacheKey) {
        self.tick += 1;
        self.filled.insert(key.clone(), self.tick);
        self.order.push_back((self.tick, key.clone()));
        if self.order.len() > 2 * self.filled.len() + 16 {
            let filled = &self.filled;
            self.order.retain(|(tick, key)| filled.get(key) == Some(tick));
        }
    }

    fn forget_oldest(&mut self) -> Option<CacheKey> {
        while let Some((tick, key)) = self.order.pop_front() {
            if self.filled.get(&key) == Some(&tick) {
                self.filled.remove(&key);
                return Some(key);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str, query: &str) -> CacheKey {
        CacheKey::new("http", "a.test", path, Some(query.as_bytes()))
    }

    fn full(most: usize) -> Queries {
        let queries = Queries::default();
        for n in 0..most {
            assert_eq!(queries.admit(&key("/", &format!("n={n}")), most), Admission::Admitted);
        }
        queries
    }

    #[test]
    fn a_path_holds_so_many_and_no_more() {
        let queries = full(3);
        assert_eq!(queries.admit(&key("/", "x=1"), 3), Admission::Refused);
        assert_eq!(queries.admit(&key("/other", "x=1"), 3), Admission::Admitted, "each path by itself");
        assert_eq!(queries.admit(&key("/", "n=1"), 3), Admission::Admitted, "what is there is filled again");
        assert_eq!(queries.admit(&CacheKey::new("http", "a.test", "/", None), 3), Admission::Admitted);
        assert_eq!(Queries::default().admit(&key("/", "x=1"), 0), Admission::Refused);
    }

    #[test]
    fn what_is_asked_for_again_takes_the_place_of_what_was_filled_longest_ago() {
        let queries = full(3);
        assert_eq!(queries.admit(&key("/", "n=0"), 3), Admission::Admitted);
        assert_eq!(queries.admit(&key("/", "x=1"), 3), Admission::Refused);
        assert_eq!(queries.admit(&key("/", "x=1"), 3), Admission::Replaces(key("/", "n=1")));
        assert_eq!(queries.admit(&key("/", "x=1"), 3), Admission::Admitted);
        assert_eq!(queries.admit(&key("/", "n=1"), 3), Admission::Refused);
        assert_eq!(queries.admit(&key("/", "n=1"), 3), Admission::Replaces(key("/", "n=2")));
    }

    #[test]
    fn a_flood_of_queries_never_asked_for_twice_displaces_nothing() {
        let queries = full(3);
        for n in 0..100_000 {
            assert_eq!(queries.admit(&key("/", &format!("r={n}")), 3), Admission::Refused);
        }
        let table = queries.table.lock();
        assert!(table.seen.len() <= SEEN && table.seen_order.len() <= SEEN);
        assert_eq!(table.count, 3);
    }

    #[test]
    fn a_flood_of_paths_costs_bounded_memory() {
        let queries = Queries::default();
        for n in 0..MOST + 1000 {
            assert_eq!(queries.admit(&key(&format!("/{n}"), "x"), 3), Admission::Admitted);
        }
        let table = queries.table.lock();
        assert!(table.count <= MOST && table.paths.len() <= MOST && table.order.len() <= MOST);
    }

    #[test]
    fn a_query_that_is_filled_for_ever_costs_nothing_more() {
        let queries = full(3);
        for _ in 0..10_000 {
            assert_eq!(queries.admit(&key("/", "n=0"), 3), Admission::Admitted);
        }
        let table = queries.table.lock();
        assert!(table.paths.values().all(|path| path.order.len() < 32));
    }
}
