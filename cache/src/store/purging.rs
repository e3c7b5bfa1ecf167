//! Purges and the store: what a purge finds at once, and what a look-up leaves out because of one.

use std::sync::Arc;

use super::{Parts, TieredStore, Variant, Variants};
use crate::clock::Timestamp;
use crate::key::CacheKey;
use crate::purge::{Purge, PurgeError, Purges, Standing, What};
use crate::stored::StoredResponse;

/// Keys in memory that a purge of more than a URL looks at for its count, and to remove at once what it finds. The sweep
/// looks at the rest.
const LOOKED_AT: usize = 10_000;

/// What came of a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// Stored responses that it took out of use, as far as they were found at once: for a URL in both tiers, else among
    /// the first 10,000 keys in memory.
    pub count: u64,
    /// Whether it holds after a restart. `false` when it could not be written down.
    pub durable: bool,
}

/// What a change of the list of a key's variants is: the response, and what takes its place.
type Change = (Arc<StoredResponse>, Option<Variant>);

impl TieredStore {
    /// The purges that were issued.
    #[must_use]
    pub fn purges(&self) -> &Arc<Purges> {
        &self.purges
    }

    /// Purges. `keys` are those that a purge of one URL is most likely about; others are covered as well, but not counted.
    /// When this returns, nothing is used any more that was asked for before it was called.
    ///
    /// # Errors
    ///
    /// It cannot be done; nothing was purged.
    pub async fn purge(&self, purge: &Purge, keys: &[CacheKey], now: Timestamp) -> Result<Purged, PurgeError> {
        purge.check()?;
        let by_key = matches!(purge.what, What::Url(_));
        let mut count = if by_key { self.count_keys(keys).await } else { 0 };
        let before = self.purges.last();
        let number = self.purges.issue(purge, now)?;
        let durable = match &self.disk {
            Some(disk) => disk.write_down(number, purge).await,
            None => true,
        };
        if by_key && !purge.soft {
            for key in keys {
                // The journal has it already: the tombstone need not be waited for.
                if let Some(disk) = &self.disk {
                    drop(disk.remove(key));
                }
                self.changed(key);
                self.memory.remove(key);
            }
        } else if !by_key {
            count = self.take_out(before, LOOKED_AT);
        }
        Ok(Purged { count, durable })
    }

    /// What [`TieredStore::purge`] would count, with nothing purged.
    ///
    /// # Errors
    ///
    /// It could not be done.
    pub async fn would_purge(&self, purge: &Purge, keys: &[CacheKey], now: Timestamp) -> Result<u64, PurgeError> {
        purge.check()?;
        if matches!(purge.what, What::Url(_)) {
            return Ok(self.count_keys(keys).await);
        }
        // Purges of its own, which nobody else asks.
        let trial = Purges::default();
        trial.issue(purge, now)?;
        let mut count = 0;
        for (key, variants) in self.memory.iter().take(LOOKED_AT) {
            for variant in variants.iter() {
                let is_used = self.standing(&key, variant) != Standing::Gone;
                // Whatever its own stamp is: this purge would come after it.
                let unstamped = variant.response.as_ref().clone().stamped(0);
                count += u64::from(is_used && trial.standing(&key, &unstamped, 0) != Standing::Current);
            }
        }
        Ok(count)
    }

    async fn count_keys(&self, keys: &[CacheKey]) -> u64 {
        let mut count = 0;
        for key in keys {
            let whole = self.get(key, |_| false).await.map_or(0, |found| found.variants.len());
            count += whole.max(usize::from(self.parts(key).is_some())) as u64;
        }
        count
    }

    /// Takes what purges after number `before` concern out of the first `most` keys in memory; how much that was.
    fn take_out(&self, before: u64, most: usize) -> u64 {
        let mut count = 0;
        for (key, variants) in self.memory.iter().take(most) {
            let concerned = |variant: &&Variant| {
                self.purges.standing(&key, &variant.response, before.max(variant.prepared.checked()))
                    != Standing::Current
            };
            let concerned = variants.iter().filter(concerned).count();
            if concerned > 0 {
                count += concerned as u64;
                self.in_use(&key, variants);
            }
        }
        count
    }

    /// What the purges say of a stored response.
    #[must_use]
    pub fn standing(&self, key: &CacheKey, variant: &Variant) -> Standing {
        self.purges.standing(key, &variant.response, variant.prepared.checked())
    }

    /// Those of `held`, which are in memory, that may be used. What a purge concerns is taken out of memory, or made stale.
    pub(super) fn in_use(&self, key: &CacheKey, held: Arc<Variants>) -> Option<Arc<Variants>> {
        let changes = self.changes(key, &held);
        if changes.is_empty() {
            return Some(held);
        }
        self.memory.settle(key, &changes);
        let left = held.changed(&changes);
        (!left.is_empty()).then(|| Arc::new(left))
    }

    /// Those of `read`, which come from disk, that may be used.
    pub(super) fn in_use_of_disk(&self, key: &CacheKey, read: Variants) -> Variants {
        let changes = self.changes(key, &read);
        if changes.is_empty() { read } else { read.changed(&changes) }
    }

    /// Parts that may be used: those that no purge concerns.
    pub(super) fn parts_in_use(&self, key: &CacheKey, parts: Arc<Parts>) -> Option<Arc<Parts>> {
        if self.purges.standing(key, parts.response(), 0) == Standing::Current {
            return Some(parts);
        }
        self.memory.remove_parts(key);
        None
    }

    fn changes(&self, key: &CacheKey, variants: &Variants) -> Vec<Change> {
        let last = self.purges.last();
        let mut changes = Vec::new();
        for variant in variants.iter().filter(|variant| !variant.is_checked(last)) {
            match self.standing(key, variant) {
                Standing::Current => variant.prepared.mark_checked(last),
                Standing::Gone => changes.push((Arc::clone(&variant.response), None)),
                Standing::Stale(since) => {
                    let stale = variant.freshened(Arc::new(variant.response.made_stale(since)));
                    stale.prepared.mark_checked(last);
                    changes.push((Arc::clone(&variant.response), Some(stale)));
                }
            }
        }
        changes
    }
}

#[cfg(test)]
#[path = "purging_tests.rs"]
mod tests;
