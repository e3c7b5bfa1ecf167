//! Where each record is: 24 bytes an entry, in a table that is split by hash.
//!
//! A table of hashbrown doubles when it is full, so it is between 44 and 88 % full. Shards of one size would all double at
//! the same moment, and just after that half of the memory would hold nothing. Here each has another share of the hashes,
//! spread over an octave: at any moment some are just before doubling and some just after it, and an entry takes 40 to 44
//! bytes however many there are.
//!
//! The index holds hashes, not keys: a record is compared with the whole key when it is read, and one of another key is a
//! miss. What the index holds is always what a replay of the log would give, so a restart neither loses nor revives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::AHashMap;
use hashbrown::HashTable;
use parking_lot::Mutex;

use super::format::{Header, Kind, Label};
use super::queue::Put;

/// Locks the table is split into; each is held for a probe.
const SHARDS: u8 = 64;

/// Parts the hashes are split into; each belongs to one shard. The largest shard has twice as many as the smallest.
const PARTS: usize = 2048;

/// Most entries under one hash: variants and their codings. The oldest makes room.
const MOST: usize = 32;

/// Forms a response can have: as it came, and three codings (`head::form`).
const FORMS: usize = 4;

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) hash: u64,
    pub(super) segment: u32,
    pub(super) offset: u32,
    /// Bytes of the whole record.
    pub(super) length: u32,
    /// A packed [`Label`]; where that has the kind, the times it was used (0 to 7).
    pub(super) tag: u32,
}

const USES: u32 = 7 << 5;
const USE: u32 = 1 << 5;

impl Slot {
    pub(super) fn of(header: &Header, offset: u32) -> Self {
        let length = u32::try_from(header.record_len()).unwrap_or(u32::MAX);
        let tag = header.label.pack() & !USES;
        Self { hash: header.hash, segment: header.segment, offset, length, tag }
    }

    pub(super) const fn new(hash: u64, segment: u32, offset: u32, length: u32, label: Label) -> Self {
        Self { hash, segment, offset, length, tag: label.pack() & !USES }
    }

    pub(super) const fn variance(&self) -> u32 {
        self.tag >> 8
    }

    pub(super) const fn form(&self) -> u8 {
        (self.tag & 3) as u8
    }

    pub(super) const fn is_large(&self) -> bool {
        self.tag & 4 != 0
    }

    pub(super) const fn was_used(&self) -> bool {
        self.uses() != 0
    }

    /// 0 to 7; more count as 7.
    pub(super) const fn uses(&self) -> u32 {
        (self.tag & USES) >> 5
    }

    /// Its place in the log: the order of writing.
    pub(super) const fn position(&self) -> u64 {
        ((self.segment as u64) << 32) | self.offset as u64
    }

    /// The label it would be written again with.
    pub(super) const fn label(&self, kind: Kind) -> Label {
        Label { kind, variance: self.variance(), form: self.form(), large: self.is_large() }
    }

    fn note(&mut self) {
        if self.tag & USES != USES {
            self.tag += USE;
        }
    }

    pub(super) fn is_at(&self, other: &Self) -> bool {
        self.hash == other.hash && self.segment == other.segment && self.offset == other.offset
    }
}

#[derive(Debug, Default)]
struct Shard {
    table: HashTable<Slot>,
    /// Puts on their way to the log, oldest first. They answer as if they were there already.
    pending: AHashMap<u64, Vec<Arc<Put>>>,
}

impl Shard {
    fn take(&mut self, hash: u64, unwanted: impl Fn(&Slot) -> bool, removed: &mut Vec<Slot>) {
        while let Ok(entry) = self.table.find_entry(hash, |slot| slot.hash == hash && unwanted(slot)) {
            removed.push(entry.remove().0);
        }
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct Index {
    shards: Vec<Mutex<Shard>>,
    /// The shard of each part of the hashes.
    parts: Box<[u8]>,
    objects: AtomicU64,
}

/// What is known of a hash.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Newest first.
    pub(super) pending: Vec<Arc<Put>>,
    /// Newest first.
    pub(super) slots: Vec<Slot>,
}

/// One response that does not vary, and its codings by form, from 1 on.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Plain {
    pub(super) whole: Slot,
    pub(super) coded: [Option<Slot>; FORMS - 1],
}

impl Plain {
    /// Bytes of its records.
    pub(in crate::store) fn bytes(&self) -> u64 {
        let coded = self.coded.iter().flatten();
        std::iter::once(&self.whole).chain(coded).map(|slot| u64::from(slot.length)).sum()
    }
}

impl Index {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, parts: parts(), objects: AtomicU64::new(0) }
    }

    /// Takes memory for so many entries at once, rather than for half of them first. [`Index::fit`] gives back what it was too
    /// much.
    pub(super) fn expect(&self, entries: usize) {
        let mut parts = vec![0_usize; self.shards.len()];
        for shard in &self.parts {
            parts.get_mut(usize::from(*shard)).into_iter().for_each(|parts| *parts += 1);
        }
        for (shard, parts) in self.shards.iter().zip(parts) {
            shard.lock().table.reserve(entries.saturating_mul(parts) / PARTS, |slot| slot.hash);
        }
    }

    /// Gives back memory for entries that are not there.
    pub(super) fn fit(&self) {
        for shard in &self.shards {
            shard.lock().table.shrink_to_fit(|slot| slot.hash);
        }
    }

    /// Entries.
    pub(super) fn len(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }

    /// What is known of `hash`; notes the use.
    pub(super) fn find(&self, hash: u64) -> Found {
        let mut found = Found::default();
        self.with(hash, |shard| {
            for slot in shard.table.iter_hash_mut(hash).filter(|slot| slot.hash == hash) {
                slot.note();
                found.slots.push(*slot);
            }
            if !shard.pending.is_empty()
                && let Some(puts) = shard.pending.get(&hash)
            {
                found.pending.extend(puts.iter().rev().cloned());
            }
        });
        if found.slots.len() > 1 {
            found.slots.sort_unstable_by_key(|slot| std::cmp::Reverse(slot.position()));
        }
        found
    }

    /// The entries of `hash` where they are those of one response that does not vary, whose content is in the log, and
    /// nothing is on its way. Noted as a use only then.
    pub(super) fn find_plain(&self, hash: u64) -> Option<Plain> {
        let probe = |shard: &mut Shard| {
            if shard.pending.contains_key(&hash) {
                return None;
            }
            let mut forms = [None; FORMS];
            for slot in shard.table.iter_hash(hash).filter(|slot| slot.hash == hash) {
                let place = forms.get_mut(usize::from(slot.form()))?;
                if slot.variance() != 0 || slot.is_large() || place.replace(*slot).is_some() {
                    return None;
                }
            }
            let [whole, coded @ ..] = forms;
            let plain = Plain { whole: whole?, coded };
            for slot in shard.table.iter_hash_mut(hash).filter(|slot| slot.hash == hash) {
                slot.note();
            }
            Some(plain)
        };
        self.with(hash, probe).flatten()
    }

    /// How many entries of form 0 there are under `hash`; notes the use.
    pub(super) fn count(&self, hash: u64) -> usize {
        let found = self.find(hash);
        found.slots.iter().filter(|slot| slot.form() == 0).count()
            + found.pending.iter().filter(|put| put.label.form == 0).count()
    }

    /// Whether this very slot is still there.
    pub(super) fn contains(&self, slot: &Slot) -> Option<Slot> {
        let probe = |shard: &mut Shard| shard.table.find(slot.hash, |other| other.is_at(slot)).copied();
        self.with(slot.hash, probe).flatten()
    }

    /// The slot of `hash` at `position`; not noted as a use.
    pub(super) fn find_quietly(&self, hash: u64, position: u64) -> Option<Slot> {
        let at = |slot: &&Slot| slot.hash == hash && slot.position() == position;
        self.with(hash, |shard| shard.table.iter_hash(hash).find(at).copied()).flatten()
    }

    /// The slots of `hash`; not noted as a use.
    pub(super) fn slots_of(&self, hash: u64) -> Vec<Slot> {
        let all = |shard: &mut Shard| shard.table.iter_hash(hash).filter(|slot| slot.hash == hash).copied().collect();
        self.with(hash, all).unwrap_or_default()
    }

    /// Whether there is an entry of form 0 of this variant, on its way or written.
    pub(super) fn has_response(&self, hash: u64, variance: u32) -> bool {
        let probe = |shard: &mut Shard| {
            let mut pending = shard.pending.get(&hash).into_iter().flatten();
            pending.any(|put| put.label.variance == variance && put.label.form == 0)
                || shard
                    .table
                    .iter_hash(hash)
                    .any(|slot| slot.hash == hash && slot.variance() == variance && slot.form() == 0)
        };
        self.with(hash, probe).unwrap_or(false)
    }

    /// A put is on its way.
    pub(super) fn announce(&self, put: &Arc<Put>) {
        self.with(put.hash, |shard| shard.pending.entry(put.hash).or_default().push(Arc::clone(put)));
    }

    /// Whether `put` has not been called off.
    pub(super) fn is_announced(&self, put: &Arc<Put>) -> bool {
        let probe = |shard: &mut Shard| {
            shard.pending.get(&put.hash).is_some_and(|puts| puts.iter().any(|other| Arc::ptr_eq(other, put)))
        };
        self.with(put.hash, probe).unwrap_or(false)
    }

    /// `put` has been written to `slot`, or (`None`) will not be: then what it was to replace is no longer right either.
    /// Returns what went. `Err` when it was called off meanwhile: nothing has changed then.
    pub(super) fn settle(&self, put: &Arc<Put>, slot: Option<Slot>) -> Result<Vec<Slot>, ()> {
        let settled = self.with(put.hash, |shard| {
            let puts = shard.pending.get_mut(&put.hash)?;
            let at = puts.iter().position(|other| Arc::ptr_eq(other, put))?;
            puts.remove(at);
            if puts.is_empty() {
                shard.pending.remove(&put.hash);
            }
            Some(replace(shard, put.hash, put.label, slot))
        });
        let removed = settled.flatten().ok_or(())?;
        self.account(&removed, slot);
        Ok(removed)
    }

    /// Applies a put from the log; returns what it replaced.
    pub(super) fn apply(&self, slot: Slot, kind: Kind) -> Vec<Slot> {
        let removed = self.with(slot.hash, |shard| replace(shard, slot.hash, slot.label(kind), Some(slot)));
        let removed = removed.unwrap_or_default();
        self.account(&removed, Some(slot));
        removed
    }

    /// Removes all of `hash`, puts on their way included; whether there were any, and the slots that went.
    pub(super) fn remove_all(&self, hash: u64) -> (bool, Vec<Slot>) {
        let mut removed = Vec::new();
        let called_off = self.with(hash, |shard| {
            shard.take(hash, |_| true, &mut removed);
            shard.pending.remove(&hash).is_some()
        });
        self.account(&removed, None);
        (called_off.unwrap_or(false) || !removed.is_empty(), removed)
    }

    /// Removes one variant of `hash`, its codings included (`form` 0), or one coding.
    pub(super) fn remove_one(&self, hash: u64, variance: u32, form: u8) -> Vec<Slot> {
        let mut removed = Vec::new();
        let unwanted = |slot: &Slot| slot.variance() == variance && (form == 0 || slot.form() == form);
        self.with(hash, |shard| shard.take(hash, unwanted, &mut removed));
        self.account(&removed, None);
        removed
    }

    /// Removes this very slot; whether it was there.
    pub(super) fn remove_slot(&self, slot: &Slot) -> bool {
        let mut removed = Vec::new();
        self.with(slot.hash, |shard| shard.take(slot.hash, |other| other.is_at(slot), &mut removed));
        self.account(&removed, None);
        !removed.is_empty()
    }

    /// The record of `old` was copied to `new`; whether `old` was still there.
    pub(super) fn relocate(&self, old: &Slot, new: Slot) -> bool {
        let moved = self.with(new.hash, |shard| {
            let slot = shard.table.find_mut(old.hash, |other| other.is_at(old))?;
            *slot = new;
            Some(())
        });
        moved.flatten().is_some()
    }

    /// Removes every entry of `segment`: what is done when its own list cannot be read.
    pub(super) fn remove_segment(&self, segment: u32) -> Vec<Slot> {
        self.retain(|slot| slot.segment != segment)
    }

    /// Forgets everything; returns what there was.
    pub(super) fn clear(&self) -> Vec<Slot> {
        for shard in &self.shards {
            shard.lock().pending.clear();
        }
        self.retain(|_| false)
    }

    /// Every entry, in no order. Shard by shard: not one moment's picture.
    pub(super) fn slots(&self) -> Vec<Slot> {
        self.shards.iter().flat_map(|shard| shard.lock().table.iter().copied().collect::<Vec<_>>()).collect()
    }

    fn retain(&self, keep: impl Fn(&Slot) -> bool) -> Vec<Slot> {
        let mut removed = Vec::new();
        for shard in &self.shards {
            removed.extend(shard.lock().table.extract_if(|slot| !keep(slot)));
        }
        self.account(&removed, None);
        removed
    }

    fn account(&self, removed: &[Slot], added: Option<Slot>) {
        self.objects.fetch_add(u64::from(added.is_some()), Ordering::Relaxed);
        self.objects.fetch_sub(removed.len() as u64, Ordering::Relaxed);
    }

    fn with<T>(&self, hash: u64, run: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        // hashbrown uses the lowest and the topmost bits.
        let part = usize::try_from((hash >> 40) % PARTS as u64).unwrap_or(0);
        let shard = self.parts.get(part).and_then(|shard| self.shards.get(usize::from(*shard)));
        shard.map(|shard| run(&mut shard.lock()))
    }
}

/// Gives each shard its share: the next has `2^(1/SHARDS)` times as many parts as the one before it.
fn parts() -> Box<[u8]> {
    let weight = |shard: u8| (f64::from(shard) / f64::from(SHARDS)).exp2();
    let all: f64 = (0..SHARDS).map(weight).sum();
    let mut parts = Vec::with_capacity(PARTS);
    let mut until = 0.0;
    for shard in 0..SHARDS {
        until += weight(shard) / all;
        parts.resize_with(((until * PARTS as f64).round() as usize).min(PARTS), || shard);
    }
    parts.into()
}

/// Puts `slot` in place of what `label` replaces.
fn replace(shard: &mut Shard, hash: u64, label: Label, slot: Option<Slot>) -> Vec<Slot> {
    let mut removed = Vec::new();
    let all_forms = label.form == 0 && (label.kind == Kind::Put || slot.is_none());
    let unwanted = |old: &Slot| old.variance() == label.variance && (all_forms || old.form() == label.form);
    shard.take(hash, unwanted, &mut removed);
    if let Some(slot) = slot {
        let others = || shard.table.iter_hash(hash).filter(|other| other.hash == hash);
        if others().count() >= MOST
            && let Some(oldest) = others().min_by_key(|other| other.position()).copied()
        {
            shard.take(hash, |other| other.is_at(&oldest), &mut removed);
        }
        shard.table.insert_unique(hash, slot, |slot| slot.hash);
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(hash: u64, offset: u32, variance: u32, form: u8) -> Slot {
        Slot::new(hash, 1, offset, 128, Label { kind: Kind::Put, variance, form, large: false })
    }

    fn offsets(index: &Index, hash: u64) -> Vec<u32> {
        index.find(hash).slots.iter().map(|slot| slot.offset).collect()
    }

    #[test]
    fn a_slot_is_24_bytes() {
        assert_eq!(size_of::<Slot>(), 24);
    }

    #[test]
    fn variants_stand_side_by_side_and_a_put_replaces_its_own_with_codings() {
        let index = Index::new();
        for (offset, variance, form) in [(64, 1, 0), (128, 1, 1), (192, 2, 0)] {
            assert!(index.apply(slot(5, offset, variance, form), Kind::Put).is_empty());
        }
        assert_eq!(offsets(&index, 5), [192, 128, 64]);
        assert_eq!(index.apply(slot(5, 256, 1, 0), Kind::Freshened).len(), 1, "freshened: codings stay");
        assert_eq!(offsets(&index, 5), [256, 192, 128]);
        assert_eq!(index.apply(slot(5, 320, 1, 0), Kind::Put).len(), 2);
        assert_eq!((offsets(&index, 5), index.len()), (vec![320, 192], 2));
        assert_eq!(index.remove_all(5).1.len(), 2);
        assert_eq!((index.len(), index.remove_all(5).0), (0, false));
    }

    #[test]
    fn the_oldest_of_too_many_entries_makes_room() {
        let index = Index::new();
        for variance in 0..40 {
            index.apply(slot(5, 64 * (variance + 1), variance, 0), Kind::Put);
        }
        assert_eq!(index.len(), MOST as u64);
        assert_eq!(offsets(&index, 5).last(), Some(&(64 * 9)));
    }

    #[test]
    fn an_entry_takes_some_44_bytes_however_many_there_are() {
        let index = Index::new();
        let taken = || index.shards.iter().map(|shard| shard.lock().table.allocation_size()).sum::<usize>();
        let mut state = 1_u64;
        for number in 1..=200_000_u32 {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            index.apply(slot(state ^ (state >> 32), 64, 0, 0), Kind::Put);
            if number >= 50_000 && number.is_multiple_of(1000) {
                let each = taken() as f64 / f64::from(number);
                assert!(each < 46.0, "{each} with {number}");
            }
        }
        index.expect(1_000_000);
        assert!(taken() > 200_000 * 60);
        index.fit();
        assert!(taken() < 200_000 * 46);
        assert_eq!(index.len(), 200_000);
    }

    #[test]
    fn uses_are_noted_and_a_move_forgets_them() {
        let index = Index::new();
        let old = slot(5, 64, 1, 0);
        index.apply(old, Kind::Put);
        assert!(!index.contains(&old).unwrap().was_used());
        for _ in 0..10 {
            index.find(5);
        }
        assert!(index.contains(&old).unwrap().was_used());
        let new = slot(5, 640, 1, 0);
        assert!(index.relocate(&old, new) && !index.relocate(&old, new));
        assert!(!index.contains(&new).unwrap().was_used());
    }
}
