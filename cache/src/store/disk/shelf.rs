//! Heads of entries that were asked for lately, decoded. What is asked for again then takes one read, of its content.
//!
//! A set of places for each part of the hashes, the least recently used of a set makes room; what is asked for once is not
//! kept, for that costs more than the reading. An entry is immutable, so what
//! is kept of it is right as long as the index has its slot.

use std::sync::Arc;

use parking_lot::Mutex;

use super::index::Slot;
use crate::store::variants::Variant;

/// One byte for heads for so many of the tier.
const SHARE: u64 = 256;

/// Fewest bytes for heads, and most.
const BYTES: (u64, u64) = (1 << 20, 64 << 20);

/// Bytes of a set: some 16 heads, or 4 of the longest that are kept.
const SET: u64 = 32 << 10;
const LONGEST: u64 = SET / 4;

/// What was missed once within so many misses of its set is kept.
const MISSED: usize = 32;

/// The head of an entry in the log, and where its content is.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) key: Box<[u8]>,
    pub(super) slot: Slot,
    /// Without content.
    pub(super) variant: Variant,
    /// Where the content begins in the record, its length and its checksum.
    pub(super) content_at: u32,
    pub(super) content_len: u32,
    pub(super) content_crc: u32,
}

impl Kept {
    fn weight(&self) -> u64 {
        self.variant.weight() + self.key.len() as u64
    }
}

/// A place of a set. What is looked at in passing stands in the place itself.
#[derive(Debug)]
struct Place {
    hash: u64,
    weight: u64,
    kept: Arc<Kept>,
}

#[derive(Debug, Default)]
struct Set {
    /// The one used last first.
    places: Vec<Place>,
    bytes: u64,
    /// Parts of the hashes that were asked for last and had no place, and which of them the next one replaces.
    missed: [u32; MISSED],
    next: usize,
}

/// The heads.
#[derive(Debug)]
pub(super) struct Shelf(Box<[Mutex<Set>]>);

impl Shelf {
    /// For a tier of `size` bytes.
    pub(super) fn new(size: u64) -> Self {
        let (fewest, most) = BYTES;
        let sets = (size / SHARE).clamp(fewest, most) / SET;
        Self((0..sets).map(|_| Mutex::default()).collect())
    }

    /// The head of the entry at `slot`.
    pub(super) fn get(&self, slot: &Slot) -> Option<Arc<Kept>> {
        let mut set = self.set(slot.hash)?.lock();
        let at = set.places.iter().position(|place| place.hash == slot.hash)?;
        let first = set.places.get_mut(..=at)?;
        first.rotate_right(1);
        first.first().filter(|place| place.kept.slot.is_at(slot)).map(|place| Arc::clone(&place.kept))
    }

    /// Whether a head with this hash, which has been missed, is to be kept: it was missed a short while ago too.
    pub(super) fn wants(&self, hash: u64) -> bool {
        let Some(set) = self.set(hash) else { return false };
        let mut set = set.lock();
        // 0 is for places that hold nothing yet.
        let part = u32::try_from(hash & u64::from(u32::MAX)).unwrap_or(0).max(1);
        if set.missed.contains(&part) {
            return true;
        }
        let next = set.next;
        if let Some(place) = set.missed.get_mut(next) {
            *place = part;
        }
        set.next = (next + 1) % MISSED;
        false
    }

    /// Keeps a head, in place of the one of the same hash.
    pub(super) fn put(&self, kept: &Arc<Kept>) {
        let (hash, weight) = (kept.slot.hash, kept.weight());
        let Some(set) = self.set(hash).filter(|_| weight <= LONGEST) else { return };
        // What goes is let go of after the lock.
        let mut gone = Vec::new();
        let mut set = set.lock();
        let Set { places, bytes, .. } = &mut *set;
        if let Some(at) = places.iter().position(|place| place.hash == hash) {
            gone.push(places.remove(at));
        }
        *bytes -= gone.iter().map(|place| place.weight).sum::<u64>();
        while *bytes + weight > SET
            && let Some(oldest) = places.pop()
        {
            *bytes -= oldest.weight;
            gone.push(oldest);
        }
        *bytes += weight;
        places.insert(0, Place { hash, weight, kept: Arc::clone(kept) });
        drop(set);
    }

    pub(super) fn clear(&self) {
        for set in &self.0 {
            *set.lock() = Set::default();
        }
    }

    fn set(&self, hash: u64) -> Option<&Mutex<Set>> {
        // The index has a use for other bits of it.
        self.0.get(usize::try_from((hash >> 16) % self.0.len().max(1) as u64).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::{Kind, Label};
    use super::*;
    use crate::semantics::testing::Case;

    fn kept(hash: u64, offset: u32, key: usize) -> Arc<Kept> {
        let label = Label { kind: Kind::Put, variance: 0, form: 0, large: false };
        let variant = Variant::new(Arc::new(Case::response(&[]).stored()));
        Arc::new(Kept {
            key: vec![b'k'; key].into(),
            slot: Slot::new(hash, 1, offset, 128, label),
            variant,
            content_at: 0,
            content_len: 0,
            content_crc: 0,
        })
    }

    #[test]
    fn what_is_kept_is_that_of_the_very_slot() {
        let shelf = Shelf::new(0);
        let (old, new) = (kept(7, 64, 10), kept(7, 128, 10));
        shelf.put(&old);
        assert!(shelf.get(&old.slot).is_some() && shelf.get(&new.slot).is_none());
        shelf.put(&new);
        assert!(shelf.get(&old.slot).is_none() && shelf.get(&new.slot).is_some());
        shelf.clear();
        assert!(shelf.get(&new.slot).is_none());
    }

    #[test]
    fn what_is_missed_twice_within_a_short_while_is_wanted() {
        let shelf = Shelf::new(0);
        assert!(!shelf.wants(1) && shelf.wants(1));
        for other in 2..=33 {
            assert!(!shelf.wants(other));
        }
        assert!(!shelf.wants(1), "32 misses ago");
    }

    #[test]
    fn the_least_recently_used_makes_room_and_no_set_takes_more_than_its_bytes() {
        let shelf = Shelf::new(0);
        let all: Vec<_> = (0..100).map(|number| kept(5, number * 64, 2000)).collect();
        // One hash is one entry; these differ in bits that no set is chosen by.
        let all: Vec<_> = all
            .iter()
            .enumerate()
            .map(|(number, kept)| {
                let slot = Slot { hash: number as u64, ..kept.slot };
                Arc::new(Kept {
                    key: kept.key.clone(),
                    slot,
                    variant: kept.variant.clone(),
                    content_at: 0,
                    content_len: 0,
                    content_crc: 0,
                })
            })
            .collect();
        for kept in &all {
            shelf.put(kept);
            assert!(shelf.get(&all[0].slot).is_some(), "used all the time");
        }
        let there = all.iter().filter(|kept| shelf.get(&kept.slot).is_some()).count();
        assert!((4..=16).contains(&there), "{there}");
        let too_long = kept(1 << 20, 0, 9000);
        shelf.put(&too_long);
        assert!(shelf.get(&too_long.slot).is_none());
    }
}
