//! The two tiers as one store: memory in front, disk behind it.
//!
//! What is stored goes to both. What is found on disk is promoted while memory has room, and after that when it was found
//! there a short while ago too (`recent.rs`), where moka admits it (W-TinyLFU: what is asked for once does not push out what
//! is asked for often). Content above the memory tier's `max_object` lives on disk alone.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::RandomState;
use bytes::Bytes;

use super::disk::{DiskStats, DiskStore, LargeWriter, OnDisk};
use super::recent::Recent;
use super::{MemoryStats, MemoryStore, Parts, Variant, Variants};
use crate::key::CacheKey;
use crate::purge::{Purges, Standing};
use crate::semantics::coding::Coding;
use crate::stored::StoredResponse;

/// One in so many memory hits is noted as a use on disk, so that what is hot is not evicted there for want of use.
const NOTED: u32 = 16;

/// What was found on disk earlier than so many finds ago for each key in memory is not promoted for being found again. Less
/// than one would keep out what is more popular than most of what is held, where popularity is spread widely.
const ROUNDS: u64 = 4;

/// Counters of changes; each is shared by the keys that fall on it.
const EPOCHS: usize = 1024;

/// Where a look-up found what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// In memory.
    Memory,
    /// On disk.
    Disk,
}

/// What a look-up found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The stored responses of the key.
    pub variants: Arc<Variants>,
    /// The tier that had what was wanted.
    pub tier: Tier,
}

/// Where the coding of content in a file is.
#[derive(Debug)]
pub enum CodedContent {
    /// In memory: it is short.
    Whole(Bytes),
    /// In a file of its own, all of it.
    Written(LargeWriter),
}

/// Stored responses in memory and, where there is one, on disk.
#[derive(Debug)]
pub struct TieredStore {
    pub(super) memory: MemoryStore,
    pub(super) disk: Option<DiskStore>,
    pub(super) purges: Arc<Purges>,
    epochs: Vec<AtomicU64>,
    recent: Recent,
    hasher: RandomState,
}

impl TieredStore {
    /// Puts `memory` in front of `disk`.
    #[must_use]
    pub fn new(memory: MemoryStore, disk: Option<DiskStore>) -> Self {
        let epochs = (0..EPOCHS).map(|_| AtomicU64::new(0)).collect();
        let purges = disk.as_ref().map(|disk| Arc::clone(disk.purges())).unwrap_or_default();
        let recent = Recent::new(if disk.is_some() { memory.size() } else { 0 });
        Self { memory, disk, purges, epochs, recent, hasher: RandomState::new() }
    }

    /// Largest content that is stored in any tier, bytes.
    #[must_use]
    pub fn max_object(&self) -> u64 {
        self.memory.max_object().max(self.disk.as_ref().map_or(0, DiskStore::max_object))
    }

    /// Largest content that is held in memory, bytes. Larger content is written to its file while it arrives.
    #[must_use]
    pub fn max_in_memory(&self) -> u64 {
        self.memory.max_object()
    }

    /// The stored responses of `key` that are in memory.
    #[must_use]
    pub fn in_memory(&self, key: &CacheKey) -> Option<Arc<Variants>> {
        self.memory.get(key).and_then(|held| self.in_use(key, held))
    }

    /// The stored responses in memory of the key with these bytes ([`CacheKey::write`]). For those who ask each of them
    /// whether it [is checked](super::Variant::is_checked), and leave what is not to [`TieredStore::get`]: what has been
    /// purged is among them.
    #[must_use]
    pub fn in_memory_by_bytes(&self, key: &[u8]) -> Option<Arc<Variants>> {
        let held = self.memory.get_by_bytes(key)?;
        if let Some(disk) = &self.disk
            && is_noted()
        {
            disk.note_use(key);
        }
        Some(held)
    }

    /// The response on disk of the key with these bytes, of which nothing is in memory. It does not vary, and no purge
    /// concerns it. `None` when it cannot be read at once, or ought to be in memory, or is not as simple as that: then
    /// [`TieredStore::get`] knows.
    #[must_use]
    pub fn on_disk_by_bytes(&self, key: &[u8]) -> Option<OnDisk<'_>> {
        let disk = self.disk.as_ref()?;
        let plain = disk.find_plain(key)?;
        let hash = self.hasher.hash_one(key);
        if self.memory.has_room(key, plain.bytes()) || self.recent.would_be_again(hash, self.window()) {
            return None;
        }
        let found = disk.open_plain(key, plain, hash)?;
        let (variant, last) = (found.variant(), self.purges.last());
        if !variant.is_checked(last) {
            // What purges do to it is for who can take it out of the store.
            if self.standing(&CacheKey::from_bytes(key)?, variant) != Standing::Current {
                return None;
            }
            variant.prepared.mark_checked(last);
        }
        Some(found)
    }

    /// Notes that `found` answers a request.
    pub fn note_found(&self, found: &OnDisk<'_>) {
        let _ = self.recent.again(found.mark, self.window());
    }

    /// Whether there seem to be responses of `key` on disk.
    #[must_use]
    pub fn is_on_disk(&self, key: &CacheKey) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.variants(key) > 0)
    }

    /// Parts of the response of `key`. They are held in memory alone.
    #[must_use]
    pub fn parts(&self, key: &CacheKey) -> Option<Arc<Parts>> {
        self.memory.parts(key).and_then(|parts| self.parts_in_use(key, parts))
    }

    /// Adds parts of the response of `key` to those that are there, if they fit together.
    pub fn insert_parts(&self, key: &CacheKey, parts: Parts) {
        // Those that were purged go, rather than being joined by a newer one.
        let _ = self.parts(key);
        self.memory.insert_parts(key, parts);
    }

    /// The stored responses of `key`. The disk is asked when none of those in memory is what `selects` looks for.
    pub async fn get(&self, key: &CacheKey, selects: impl Fn(&Variants) -> bool) -> Option<Found> {
        let held = self.in_memory(key);
        let Some(disk) = &self.disk else { return held.map(|variants| Found { variants, tier: Tier::Memory }) };
        if let Some(variants) = &held {
            let selected = selects(variants);
            if selected && is_noted() {
                let _ = disk.variants(key);
            }
            if selected || disk.variants(key) <= variants.len() {
                return held.map(|variants| Found { variants, tier: Tier::Memory });
            }
        }
        let epoch = self.epoch(key);
        let before = epoch.load(Ordering::Acquire);
        let stored = self.in_use_of_disk(key, disk.load(key).await);
        if stored.is_empty() {
            return held.map(|variants| Found { variants, tier: Tier::Memory });
        }
        // Others of the key are held: then these belong to them.
        let is_promoted = held.is_some() || self.is_worth_memory(key, &stored);
        let merged = Arc::new(held.map_or_else(|| stored.clone(), |held| held.merged(&stored)));
        // A removal while the disk was read comes either before the second look, which then undoes the promotion, or
        // after it, and removes what was promoted itself.
        if is_promoted && epoch.load(Ordering::Acquire) == before {
            self.memory.promote(key, &stored);
            if epoch.load(Ordering::Acquire) != before {
                self.memory.remove(key);
            }
        }
        Some(Found { variants: merged, tier: Tier::Disk })
    }

    /// Stores `response`, in place of the variant it replaces.
    pub fn insert(&self, key: &CacheKey, response: Arc<StoredResponse>) {
        if let Some(disk) = &self.disk {
            disk.insert(key, Arc::clone(&response));
        }
        self.changed(key);
        if response.content().len() as u64 <= self.memory.max_object() {
            self.memory.insert(key, response);
        } else {
            self.memory.reject(key);
        }
    }

    /// Replaces `old` by `new`, which a 304 has freshened: the content and its codings stay. Returns it as it is stored.
    pub fn freshen(&self, key: &CacheKey, old: &Variant, new: Arc<StoredResponse>) -> Variant {
        let fresh = old.freshened(Arc::clone(&new));
        if let Some(disk) = &self.disk {
            disk.freshen(key, &old.response, Arc::clone(&new), old.large.as_deref());
        }
        self.changed(key);
        if old.large.is_none() {
            self.memory.freshen(key, &old.response, new);
        }
        fresh
    }

    /// Keeps the content of `response` in another coding, if that is still stored. `response` may be the head of a flight:
    /// what was stored of that has the same metadata and fields, and content.
    pub async fn add_coded(&self, key: &CacheKey, response: &Arc<StoredResponse>, coding: Coding, content: Bytes) {
        let is_it = |variant: &&Variant| {
            let stored = &variant.response;
            let same = || stored.metadata() == response.metadata() && stored.fields() == response.fields();
            Arc::ptr_eq(stored, response) || (variant.large.is_none() && same())
        };
        let of = |variants: &Variants| variants.iter().find(is_it).map(|variant| Arc::clone(&variant.response));
        if let Some(stored) = self.memory.get(key).and_then(|variants| of(&variants)) {
            if let Some(disk) = &self.disk {
                disk.add_coded(key, &stored, None, coding, content.clone());
            }
            self.memory.add_coded(key, &stored, coding, content);
        } else if let Some(disk) = &self.disk
            && let Some(stored) = of(&disk.load(key).await)
        {
            // Memory did not admit it.
            disk.add_coded(key, &stored, None, coding, content);
        }
    }

    /// Keeps the content of `variant`, which is in a file, in another coding; whether that was possible, and it is still
    /// stored.
    pub async fn keep_coded(&self, key: &CacheKey, variant: &Variant, coding: Coding, content: CodedContent) -> bool {
        let (Some(disk), Some(file), response) = (&self.disk, &variant.large, &variant.response) else { return false };
        if !disk.is_stored(key, response) {
            return false;
        }
        match content {
            CodedContent::Whole(content) => disk.add_coded(key, response, Some(file), coding, content),
            CodedContent::Written(writer) => disk.commit_coded(key, response, file, coding, writer).await,
        }
    }

    /// Forgets all variants of `key` in both tiers; whether there were any. None can be found any more at the first
    /// await; when this returns, the removal outlives the process (as far as the device can be written).
    pub async fn remove(&self, key: &CacheKey) -> bool {
        let removal = self.disk.as_ref().map(|disk| disk.remove(key));
        // After the disk, before memory: who read the disk before sees the change, or is done before memory forgets.
        self.changed(key);
        let held = self.memory.remove(key);
        let Some(removal) = removal else { return held };
        let existed = removal.existed || held;
        if !removal.durable().await {
            tracing::warn!(%key, "removed, but the disk tier cannot write that down at the moment");
        }
        existed
    }

    /// Begins a file for content that is too large for memory; see [`DiskStore::begin_large`].
    ///
    /// # Errors
    ///
    /// There is no disk tier, or it does not take it.
    pub async fn begin_large(&self, key: &CacheKey, length: Option<u64>) -> std::io::Result<LargeWriter> {
        match &self.disk {
            Some(disk) => disk.begin_large(key, length).await,
            None => Err(std::io::ErrorKind::Unsupported.into()),
        }
    }

    /// Stores `response`, whose content is what `writer` wrote.
    pub async fn commit_large(&self, key: &CacheKey, response: Arc<StoredResponse>, writer: LargeWriter) -> bool {
        let Some(disk) = &self.disk else { return false };
        let stored = disk.commit_large(key, response, writer).await;
        self.changed(key);
        self.memory.reject(key);
        stored
    }

    /// Lets go of the disk for a process that takes over.
    pub async fn release(&self) {
        if let Some(disk) = &self.disk {
            disk.release().await;
        }
    }

    /// The disk tier.
    #[must_use]
    pub fn disk(&self) -> Option<&DiskStore> {
        self.disk.as_ref()
    }

    /// Figures of the memory tier.
    #[must_use]
    pub fn stats(&self) -> MemoryStats {
        self.memory.stats()
    }

    /// Figures of the disk tier.
    #[must_use]
    pub fn disk_stats(&self) -> Option<DiskStats> {
        self.disk.as_ref().map(DiskStore::stats)
    }

    pub(super) fn changed(&self, key: &CacheKey) {
        self.epoch(key).fetch_add(1, Ordering::AcqRel);
    }

    /// Whether what was found on disk is to be promoted.
    fn is_worth_memory(&self, key: &CacheKey, stored: &Variants) -> bool {
        let hash = self.hasher.hash_one(key.as_bytes());
        self.memory.has_room(key.as_bytes(), stored.weight()) || self.recent.again(hash, self.window())
    }

    /// So many finds on disk are a short while.
    fn window(&self) -> u64 {
        self.memory.keys().saturating_mul(ROUNDS)
    }

    fn epoch(&self, key: &CacheKey) -> &AtomicU64 {
        static NONE: AtomicU64 = AtomicU64::new(0);
        let index = usize::try_from(self.hasher.hash_one(key) % EPOCHS as u64).unwrap_or(0);
        self.epochs.get(index).unwrap_or(&NONE)
    }
}

/// True every [`NOTED`] calls of a thread.
fn is_noted() -> bool {
    thread_local!(static CALLS: Cell<u32> = const { Cell::new(0) });
    CALLS.with(|calls| {
        let count = calls.get().wrapping_add(1);
        calls.set(count);
        count.is_multiple_of(NOTED)
    })
}

#[cfg(test)]
#[path = "tiered_tests.rs"]
mod tests;
