//! Looking at every entry, one by one, without what it holds: what the sweep of purges does.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::format::{Header, Kind, Label, UNIT, head_crc};
use super::head::Head;
use super::index::Slot;
use super::{DiskStore, Shared};
use crate::key::CacheKey;
use crate::stored::StoredResponse;

/// Bytes read at first: header, key and head of most entries.
const FIRST: usize = 4096;

/// What is to become of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Stays,
    /// It is removed, with its codings.
    Goes,
}

impl DiskStore {
    /// Shows every stored response to `judge`, without its content, and removes what that says. `pause` is called now and
    /// then with the number of entries read. Whether all could be looked at.
    ///
    /// What was put before this began is looked at, wherever the log moves it meanwhile.
    pub fn look(
        &self,
        mut judge: impl FnMut(&CacheKey, &StoredResponse) -> Fate,
        mut pause: impl FnMut(usize) -> bool,
    ) -> bool {
        if !self.shared.is_writable() {
            return false;
        }
        // What is on its way to the log has its place after this.
        self.flush();
        let mut hashes: Vec<u64> = self.shared.index.slots().into_iter().map(|slot| slot.hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let mut whole = true;
        for hash in hashes {
            let slots = self.shared.index.slots_of(hash);
            if !pause(slots.len()) {
                return false;
            }
            for slot in slots.iter().filter(|slot| slot.form() == 0) {
                match self.look_at(slot, &mut judge) {
                    Ok(Fate::Stays) => {}
                    Ok(Fate::Goes) => self.shared.take_out(slot),
                    // It went, or moved: evicted or written again since.
                    Err(_) if self.shared.index.contains(slot).is_none() => {
                        whole &= self.gone_for_good(slot, &mut judge)
                    }
                    Err(_) => whole = false,
                }
            }
        }
        whole
    }

    fn look_at(&self, slot: &Slot, judge: &mut impl FnMut(&CacheKey, &StoredResponse) -> Fate) -> io::Result<Fate> {
        let (key, response) = head(&self.shared, slot)?;
        Ok(judge(&key, &response))
    }

    /// `slot` is no more; what took its place is looked at instead. Whether that was possible.
    fn gone_for_good(&self, slot: &Slot, judge: &mut impl FnMut(&CacheKey, &StoredResponse) -> Fate) -> bool {
        let others = self.shared.index.slots_of(slot.hash);
        others.iter().filter(|other| other.form() == 0).all(|other| match self.look_at(other, judge) {
            Ok(Fate::Stays) => true,
            Ok(Fate::Goes) => {
                self.shared.take_out(other);
                true
            }
            Err(_) => false,
        })
    }
}

impl Shared {
    /// Removes the variant of `slot` with its codings.
    fn take_out(self: &Arc<Self>, slot: &Slot) {
        if self.index.contains(slot).is_none() {
            return;
        }
        let removed = self.index.remove_one(slot.hash, slot.variance(), 0);
        let label = Label { kind: Kind::RemoveOne, variance: slot.variance(), form: 0, large: false };
        self.bury(slot.hash, label, &removed);
    }
}

/// Key and response of the entry at `slot`, the content left out.
fn head(shared: &Shared, slot: &Slot) -> io::Result<(CacheKey, StoredResponse)> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let segment = shared.segment(slot.segment).ok_or(io::ErrorKind::NotFound)?;
    let mut bytes = vec![0; FIRST.min(slot.length as usize)];
    segment.file.read_exact_at(&mut bytes, slot.offset.into())?;
    let header = Header::decode(&bytes, shared.nonce()).map_err(|_| bad())?;
    if header.hash != slot.hash || header.segment != slot.segment {
        return Err(bad());
    }
    let (key, head) = (header.key_len as usize, header.head_len as usize);
    if bytes.len() < UNIT + key + head {
        bytes.resize(UNIT + key + head, 0);
        segment.file.read_exact_at(&mut bytes, slot.offset.into())?;
    }
    let bytes = bytes::Bytes::from(bytes);
    let key = bytes.get(UNIT..UNIT + key).ok_or_else(bad)?;
    let head = bytes.get(UNIT + key.len()..UNIT + key.len() + head).ok_or_else(bad)?;
    if head_crc(key, head) != header.head_crc {
        return Err(bad());
    }
    let key = CacheKey::from_bytes(key).ok_or_else(bad)?;
    match Head::decode(head) {
        Some(Head::Response { response, .. }) => {
            let response = response.into_response(&bytes, bytes::Bytes::new()).ok_or_else(bad)?;
            Ok((key, response))
        }
        _ => Err(bad()),
    }
}
