//! Making room: the oldest goes first, unless it was used since it was written: then it is written once more. Segments
//! go as a whole, large files one by one, both in the order of the log, so no tombstone goes before what it removes.

use std::sync::atomic::Ordering;

use super::Shared;
use super::format::{self, Kind};
use super::index::Slot;
use super::reader::{Mode, pread};
use super::segment::Segment;
use super::space::file_bytes;
use super::writer::{Draft, Writer};

/// Evictions tried for one request for room. More means that nothing gives way: everything is being read.
const TRIES: usize = 100_000;

impl Shared {
    /// Whether `bytes` can be taken for a large file without touching what the next segment needs.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.space.free() >= bytes.saturating_add(self.headroom())
    }

    pub(super) fn headroom(&self) -> u64 {
        file_bytes(self.segment_size)
    }
}

impl Writer {
    /// Evicts until `bytes` can be taken for a large file; whether they can.
    pub(super) fn make_room(&mut self, bytes: u64) -> bool {
        if bytes.saturating_add(2 * self.shared.headroom()) > self.shared.space.size() {
            return false;
        }
        for _ in 0..TRIES {
            if self.shared.has_room(bytes) {
                return true;
            }
            if !self.evict(true) {
                return false;
            }
        }
        false
    }

    /// Evicts until a segment can be begun.
    pub(super) fn restore_headroom(&mut self) {
        for _ in 0..TRIES {
            if self.shared.has_room(0) || !self.evict(true) {
                return;
            }
        }
    }

    /// Evicts the oldest segment or large file; whether there was one. With `again`, what was used is written again
    /// rather than lost.
    pub(super) fn evict(&mut self, again: bool) -> bool {
        let active = self.active.as_ref().map(|active| active.segment.id);
        let segment = self.shared.segments.read().first_key_value().map(|(_, segment)| std::sync::Arc::clone(segment));
        let segment = segment.filter(|segment| Some(segment.id) != active);
        let large = self.shared.large.oldest();
        match (segment, large) {
            (Some(segment), Some((position, _))) if position >> 32 <= u64::from(segment.id) => {
                self.evict_file(position, again)
            }
            (None, Some((position, _))) => self.evict_file(position, again),
            (Some(segment), _) => self.evict_segment(&segment, again),
            (None, None) => false,
        }
    }

    fn evict_file(&mut self, position: u64, again: bool) -> bool {
        let Some(file) = self.shared.large.get(position) else { return true };
        let found = self.shared.index.find_quietly(file.hash, position);
        if let Some(slot) = found
            && again
            && slot.was_used()
            && self.copy(&slot).is_some()
        {
            return true;
        }
        if self.shared.io.unlink(&file.path).is_err() {
            return false;
        }
        self.unsynced_names = true;
        self.shared.large.remove(position);
        if let Some(slot) = found
            && self.shared.index.remove_slot(&slot)
        {
            self.shared.counters.evictions.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    fn evict_segment(&mut self, segment: &Segment, again: bool) -> bool {
        let toc = segment.toc(self.shared.nonce());
        // At most half a segment is written again, or nothing would be won: what was used most, in its order.
        if let Some(toc) = &toc
            && again
        {
            let puts = toc.entries.iter().filter(|entry| entry.label.kind.is_put());
            let slots = puts.filter_map(|entry| self.shared.index.contains(&entry.slot(segment.id)));
            let mut used: Vec<Slot> = slots.filter(Slot::was_used).collect();
            used.sort_by_key(|slot| std::cmp::Reverse(slot.uses()));
            let mut left = self.shared.segment_size / 2;
            used.retain(|slot| {
                let fits = u64::from(slot.length) <= left;
                left -= if fits { u64::from(slot.length) } else { 0 };
                fits
            });
            used.sort_by_key(|slot| slot.offset);
            for slot in used {
                let _ = self.copy(&slot);
            }
        }
        // Only when it is gone may the next one go: its tombstones are about what is older.
        if self.shared.io.unlink(&segment.path).is_err() {
            return false;
        }
        self.unsynced_names = true;
        self.shared.segments.write().remove(&segment.id);
        let removed = match toc {
            Some(toc) => {
                let puts = toc.entries.iter().filter(|entry| entry.label.kind.is_put());
                let slots = puts.map(|entry| entry.slot(segment.id));
                slots.filter(|slot| self.shared.index.remove_slot(slot)).collect()
            }
            None => self.shared.index.remove_segment(segment.id),
        };
        self.unlink(&removed, None);
        self.shared.counters.evictions.fetch_add(removed.len() as u64, Ordering::Relaxed);
        true
    }

    /// Writes the record of `slot` once more, if the active segment has room; where it is now.
    fn copy(&mut self, slot: &Slot) -> Option<Slot> {
        if !self.has_room(slot.length as usize) {
            return None;
        }
        let segment = self.shared.segment(slot.segment)?;
        let length = slot.length as usize;
        let bytes = pread(&self.shared, &segment.file, length, slot.offset.into(), Mode::Blocking).ok()??;
        let record = format::open(&bytes, slot, self.shared.nonce()).ok()?;
        let draft = Draft {
            label: slot.label(Kind::Freshened),
            hash: slot.hash,
            file: record.header.file,
            key: record.key,
            head: record.head,
            content: record.content,
            content_crc: record.header.content_crc,
        };
        let new = self.append_here(draft).ok()?;
        let file = slot.is_large().then(|| self.shared.large.get(slot.position())).flatten();
        if let Some(file) = &file {
            self.shared.large.insert(new.position(), std::sync::Arc::clone(file));
        }
        let moved = self.shared.index.relocate(slot, new);
        if file.is_some() {
            self.shared.large.remove(if moved { slot.position() } else { new.position() });
        }
        moved.then_some(new)
    }
}
