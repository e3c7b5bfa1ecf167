//! The memory tier: moka, weighed by real bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::RandomState;
use bytes::Bytes;
use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use moka::sync::Cache;

use super::parts::Parts;
use super::variants::Variants;
use crate::key::CacheKey;
use crate::semantics::coding::Coding;
use crate::stored::StoredResponse;

/// Bookkeeping of one key beyond its variants: the key, moka's own nodes and counters, bytes.
const OVERHEAD: u64 = 256;

/// Stored responses in memory. Admission and eviction are moka's (W-TinyLFU): a crawl through pages nobody asks for
/// twice does not flush those that are.
#[derive(Debug)]
pub struct MemoryStore {
    entries: Cache<CacheKey, Arc<Variants>, RandomState>,
    /// Of keys whose whole response is not stored.
    parts: Cache<CacheKey, Arc<Parts>, RandomState>,
    /// Of `entries`, bytes.
    size: u64,
    max_object: u64,
    evictions: Arc<AtomicU64>,
    admissions: AtomicU64,
    rejections: AtomicU64,
}

/// Figures for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryStats {
    /// Keys stored.
    pub objects: u64,
    /// Bytes they weigh.
    pub bytes: u64,
    /// Responses taken in, since start; those from disk included.
    pub admissions: u64,
    /// Responses too large for memory, since start.
    pub rejections: u64,
    /// Keys that had to make room, or were asked for too seldom to be given some, since start.
    pub evictions: u64,
}

impl MemoryStore {
    /// Holds at most `size` bytes, an eighth of them for parts of responses, and no response above `max_object` bytes.
    #[must_use]
    pub fn new(size: u64, max_object: u64) -> Self {
        let for_parts = size / 8;
        let size = size - for_parts;
        let parts = Cache::builder()
            .max_capacity(for_parts)
            .weigher(|key: &CacheKey, parts: &Arc<Parts>| {
                u32::try_from(parts.weight() + key.as_bytes().len() as u64 + OVERHEAD).unwrap_or(u32::MAX)
            })
            .build_with_hasher(RandomState::new());
        let evictions = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&evictions);
        let entries = Cache::builder()
            .max_capacity(size)
            .weigher(|key: &CacheKey, variants: &Arc<Variants>| {
                u32::try_from(weight(key, variants)).unwrap_or(u32::MAX)
            })
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build_with_hasher(RandomState::new());
        let (admissions, rejections) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { entries, parts, size, max_object, evictions, admissions, rejections }
    }

    /// Largest content that is stored, bytes.
    #[must_use]
    pub fn max_object(&self) -> u64 {
        self.max_object
    }

    /// Bytes whole responses may take.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Keys with whole responses, as far as moka has counted them.
    pub(super) fn keys(&self) -> u64 {
        self.entries.entry_count()
    }

    /// Whether variants of `bytes` under a key fit in without pushing others out, as far as moka has counted those.
    pub(super) fn has_room(&self, key: &[u8], bytes: u64) -> bool {
        self.entries.weighted_size() + bytes + key.len() as u64 + OVERHEAD <= self.size
    }

    /// The stored responses of `key`.
    #[must_use]
    pub fn get(&self, key: &CacheKey) -> Option<Arc<Variants>> {
        self.entries.get(key)
    }

    /// The stored responses of the key with these bytes ([`CacheKey::write`]).
    #[must_use]
    pub fn get_by_bytes(&self, key: &[u8]) -> Option<Arc<Variants>> {
        self.entries.get(key)
    }

    /// Stores `response`, in place of the variant it replaces.
    pub fn insert(&self, key: &CacheKey, response: Arc<StoredResponse>) {
        self.parts.invalidate(key);
        self.admissions.fetch_add(1, Ordering::Relaxed);
        self.change(key, |variants| variants.with(response));
    }

    /// Parts of the response of `key`.
    #[must_use]
    pub fn parts(&self, key: &CacheKey) -> Option<Arc<Parts>> {
        self.parts.get(key)
    }

    /// Adds parts of the response of `key` to those that are there, if they fit together.
    pub fn insert_parts(&self, key: &CacheKey, parts: Parts) {
        self.parts.entry_by_ref(key).and_upsert_with(|old| {
            Arc::new(match old {
                Some(old) => old.into_value().combined(parts),
                None => parts,
            })
        });
    }

    /// Replaces `old` by `new`, which a 304 has freshened: the content and its codings stay.
    pub fn freshen(&self, key: &CacheKey, old: &Arc<StoredResponse>, new: Arc<StoredResponse>) {
        self.change(key, |variants| variants.freshened(old, new));
    }

    /// Keeps the content of `response` in another coding.
    pub fn add_coded(&self, key: &CacheKey, response: &Arc<StoredResponse>, coding: Coding, content: Bytes) {
        if self.entries.contains_key(key) {
            self.change(key, |variants| variants.with_coded(response, coding, content));
        }
    }

    /// Adds what was read from disk; variants that are here already are newer and stay. Content in files stays there.
    pub(super) fn promote(&self, key: &CacheKey, stored: &Variants) {
        let stored = stored.held_whole();
        if !stored.is_empty() {
            self.admissions.fetch_add(stored.len() as u64, Ordering::Relaxed);
            self.change(key, |variants| variants.merged(&stored));
        }
    }

    /// A response to `key` is too large to be held here; what is held is older.
    pub(super) fn reject(&self, key: &CacheKey) {
        self.rejections.fetch_add(1, Ordering::Relaxed);
        self.remove(key);
    }

    /// Puts `changes` in place of the responses they name, or removes those.
    pub(super) fn settle(&self, key: &CacheKey, changes: &[(Arc<StoredResponse>, Option<super::Variant>)]) {
        self.entries.entry_by_ref(key).and_compute_with(|old| {
            let Some(old) = old.map(moka::Entry::into_value) else { return Op::Nop };
            let new = old.changed(changes);
            if new.is_empty() { Op::Remove } else { Op::Put(Arc::new(new)) }
        });
    }

    /// Forgets parts of the response of `key`.
    pub(super) fn remove_parts(&self, key: &CacheKey) {
        self.parts.invalidate(key);
    }

    /// All keys with their responses, in no order. Does not count as a use of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Arc<CacheKey>, Arc<Variants>)> + '_ {
        self.entries.iter()
    }

    /// All keys with parts of their responses, in no order. Does not count as a use of them.
    pub(super) fn iter_parts(&self) -> impl Iterator<Item = (Arc<CacheKey>, Arc<Parts>)> + '_ {
        self.parts.iter()
    }

    /// Forgets all variants of `key`, and parts; whether there were any variants.
    pub fn remove(&self, key: &CacheKey) -> bool {
        self.parts.invalidate(key);
        self.entries.remove(key).is_some()
    }

    /// Figures for metrics; brings moka's own bookkeeping up to date first.
    #[must_use]
    pub fn stats(&self) -> MemoryStats {
        self.entries.run_pending_tasks();
        self.parts.run_pending_tasks();
        MemoryStats {
            objects: self.entries.entry_count() + self.parts.entry_count(),
            bytes: self.entries.weighted_size() + self.parts.weighted_size(),
            admissions: self.admissions.load(Ordering::Relaxed),
            rejections: self.rejections.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
        }
    }

    /// Changes the list of `key` in one step: two fills that end at once do not lose each other's variant.
    fn change(&self, key: &CacheKey, change: impl FnOnce(&Variants) -> Variants) {
        self.entries.entry_by_ref(key).and_upsert_with(|old| {
            let old = old.map(moka::Entry::into_value).unwrap_or_default();
            Arc::new(change(&old))
        });
    }
}

/// What an entry takes, bytes.
fn weight(key: &CacheKey, variants: &Variants) -> u64 {
    variants.weight() + key.as_bytes().len() as u64 + OVERHEAD
}
