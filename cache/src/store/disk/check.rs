//! Looking at everything: whether it is sound, and what it is.

use std::sync::Arc;

use super::format;
use super::head::Head;
use super::index::Slot;
use super::large::LargeContent;
use super::reader::{Lookup, Mode, pread};
use super::stats::Counters;
use super::{DiskStore, Shared};
use crate::clock::Timestamp;
use crate::key::CacheKey;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

impl DiskStore {
    /// Reads and verifies everything. Takes as long as reading all of it does; do not call it on a thread that serves.
    #[must_use]
    pub fn check(&self) -> CheckReport {
        let corrupt = || self.shared.counters.corrupt.load(std::sync::atomic::Ordering::Relaxed);
        let mut report = CheckReport { at_start: corrupt(), ..CheckReport::default() };
        for slot in self.shared.index.slots() {
            // One that was evicted meanwhile is neither sound nor damaged.
            if let Some(bytes) = self.verify(&slot) {
                report.sound += 1;
                report.bytes += bytes;
            }
        }
        report.damaged = corrupt() - report.at_start;
        report
    }

    /// Entries whose URI begins with `prefix`, in no order.
    #[must_use]
    pub fn list(&self, prefix: &str, now: Timestamp) -> Vec<Listed> {
        let mut listed = Vec::new();
        let slots = self.shared.index.slots();
        for slot in slots.iter().filter(|slot| slot.form() == 0) {
            let Some(key) = self.key(slot).filter(|key| key.to_string().starts_with(prefix)) else { continue };
            let read = match self.get(&key) {
                Lookup::Ready(variants) => variants,
                Lookup::Blocking(read) => read.read_now(),
            };
            for variant in read.iter() {
                let response = &variant.response;
                if self.shared.variance(response.variance()) == slot.variance() {
                    listed.push(Listed {
                        key: key.clone(),
                        status: response.status().as_u16(),
                        length: variant.length(),
                        stored: response.metadata().response_time,
                        ttl: response.ttl(now),
                    });
                }
            }
        }
        listed
    }

    fn key(&self, slot: &Slot) -> Option<CacheKey> {
        let bytes = record(&self.shared, slot)?;
        let record = format::open(&bytes, slot, self.shared.nonce()).ok()?;
        CacheKey::from_bytes(record.key)
    }

    /// Bytes of content verified; `None` when the entry is gone or was dropped.
    fn verify(&self, slot: &Slot) -> Option<u64> {
        let shared = &self.shared;
        let bytes = record(shared, slot)?;
        let record = match format::open(&bytes, slot, shared.nonce()) {
            Ok(record) => record,
            Err(what) => {
                shared.corrupt(slot, &what.to_string());
                return None;
            }
        };
        match Head::decode(record.head) {
            Some(Head::Response { large: Some((length, table)), .. }) if slot.is_large() => {
                let Some(file) = shared.large.get(slot.position()) else {
                    if shared.index.contains(slot).is_some() {
                        shared.corrupt(slot, "large content is missing");
                    }
                    return None;
                };
                let table = bytes.slice_ref(table);
                let opened = std::fs::File::open(&file.path);
                let content =
                    opened.and_then(|handle| LargeContent::new(handle, file, length, table, *slot, Arc::clone(shared)));
                let Ok(content) = content else {
                    if shared.index.contains(slot).is_some() {
                        shared.corrupt(slot, "large content cannot be opened, or is of another length");
                    }
                    return None;
                };
                content.verify().ok().map(|()| length)
            }
            Some(Head::Response { large: None, .. } | Head::Coded { .. }) => Some(record.content.len() as u64),
            _ => {
                shared.corrupt(slot, "metadata that cannot be decoded");
                None
            }
        }
    }
}

/// The bytes of the record at `slot`.
fn record(shared: &Shared, slot: &Slot) -> Option<bytes::Bytes> {
    let segment = shared.segment(slot.segment)?;
    match pread(shared, &segment.file, slot.length as usize, slot.offset.into(), Mode::Blocking) {
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
