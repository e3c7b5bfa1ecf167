//! Looking at everything: whether it is sound, and what it is. Neither counts as a use of what is looked at, nor pushes
//! what is in use out of the page cache where the kernel can help that.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::format;
use super::head::Head;
use super::index::Slot;
use super::large::LargeContent;
use super::reader::{Mode, pread};
use super::stats::Counters;
use super::{DiskStore, Shared};
use crate::clock::Timestamp;
use crate::key::CacheKey;

/// What a check found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Entries read and found sound.
    pub sound: u64,
    /// Bytes of content verified.
    pub bytes: u64,
    /// Entries that are not what was written. They have been dropped.
    pub damaged: u64,
    /// Damage that recovery found when the directory was opened.
    pub at_start: u64,
}

impl CheckReport {
    /// Whether nothing was wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged == 0 && self.at_start == 0
    }
}

/// An entry, for listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: CacheKey,
    /// Status of the response.
    pub status: u16,
    /// Bytes of its content.
    pub length: u64,
    /// When it was received.
    pub stored: Timestamp,
    /// Seconds it stays fresh from `now` on; negative: stale for so long.
    pub ttl: i64,
}

/// What became of one entry.
enum Verdict {
    /// With so many bytes of content.
    Sound(u64),
    Damaged,
    /// Evicted or replaced meanwhile, or it could not be read: neither sound nor damaged.
    Unknown,
}

impl DiskStore {
    /// Reads and verifies everything. Takes as long as reading all of it does; do not call it on a thread that serves.
    #[must_use]
    pub fn check(&self) -> CheckReport {
        self.check_while(|_| true)
    }

    /// The same; after each entry `goes_on` is told how far it is, and says whether to go on.
    pub fn check_while(&self, mut goes_on: impl FnMut(&CheckReport) -> bool) -> CheckReport {
        let at_start = self.shared.counters.at_start.load(Ordering::Relaxed);
        let mut report = CheckReport { at_start, ..CheckReport::default() };
        for slot in self.shared.index.slots() {
            match self.verify(&slot) {
                Verdict::Sound(bytes) => {
                    report.sound += 1;
                    report.bytes += bytes;
                }
                Verdict::Damaged => report.damaged += 1,
                Verdict::Unknown => {}
            }
            if !goes_on(&report) {
                break;
            }
        }
        report
    }

    /// Tells `each` of the entries whose URI begins with `prefix`, in no order, until it says no. Codings are not told.
    pub fn list(&self, prefix: &str, now: Timestamp, mut each: impl FnMut(Listed) -> bool) {
        let slots = self.shared.index.slots();
        for slot in slots.iter().filter(|slot| slot.form() == 0) {
            if let Some(listed) = self.listed(slot, now)
                && listed.key.to_string().starts_with(prefix)
                && !each(listed)
            {
                return;
            }
        }
    }

    /// `None` when the entry is gone, or cannot be read.
    fn listed(&self, slot: &Slot, now: Timestamp) -> Option<Listed> {
        let bytes = record(&self.shared, slot)?;
        let record = format::open(&bytes, slot, self.shared.nonce()).ok()?;
        let key = CacheKey::from_bytes(record.key)?;
        let Some(Head::Response { response, large }) = Head::decode(record.head) else { return None };
        let length = large.map_or(record.content.len() as u64, |(length, _)| length);
        let response = response.into_response(&bytes, bytes::Bytes::new())?;
        let (status, stored) = (response.status().as_u16(), response.metadata().response_time);
        Some(Listed { key, status, length, stored, ttl: response.ttl(now) })
    }

    fn verify(&self, slot: &Slot) -> Verdict {
        let shared = &self.shared;
        // Gone meanwhile, it was not damage that was found.
        let damaged = |what: &str| match shared.index.contains(slot) {
            Some(_) => {
                shared.corrupt(slot, what);
                Verdict::Damaged
            }
            None => Verdict::Unknown,
        };
        let Some(bytes) = record(shared, slot) else {
            return match shared.segment(slot.segment) {
                // `record` has found it too short, and dropped it.
                Some(_) if shared.index.contains(slot).is_none() => Verdict::Damaged,
                _ => Verdict::Unknown,
            };
        };
        let record = match format::open(&bytes, slot, shared.nonce()) {
            Ok(record) => record,
            Err(what) => return damaged(&what.to_string()),
        };
        match Head::decode(record.head) {
            Some(
                Head::Response { large: Some((length, table)), .. } | Head::CodedLarge { large: (length, table), .. },
            ) if slot.is_large() => {
                let Some(file) = shared.large.get(slot.position()) else {
                    return damaged("large content is missing");
                };
                let table = bytes.slice_ref(table);
                let opened = std::fs::File::open(&file.path);
                let content =
                    opened.and_then(|handle| LargeContent::new(handle, file, length, table, *slot, Arc::clone(shared)));
                let Ok(content) = content else {
                    return damaged("large content cannot be opened, or is of another length");
                };
                match content.verify() {
                    Ok(()) => Verdict::Sound(length),
                    // It has been counted and dropped.
                    Err(_) if shared.index.contains(slot).is_none() => Verdict::Damaged,
                    Err(_) => Verdict::Unknown,
                }
            }
            Some(Head::Response { large: None, .. } | Head::Coded { .. }) if !slot.is_large() => {
                Verdict::Sound(record.content.len() as u64)
            }
            _ => damaged("metadata that cannot be decoded"),
        }
    }
}

/// The bytes of the record at `slot`.
fn record(shared: &Shared, slot: &Slot) -> Option<bytes::Bytes> {
    let segment = shared.segment(slot.segment)?;
    match pread(shared, &segment.file, slot.length as usize, slot.offset.into(), Mode::Once) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            shared.corrupt(slot, "record beyond the end of its segment");
            None
        }
        Err(_) => {
            Counters::count(&shared.counters.read_errors);
            None
        }
    }
}
