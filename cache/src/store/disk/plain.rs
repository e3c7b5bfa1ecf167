//! The short way to an entry: one response that does not vary, at once or not at all, into buffers that are used again.
//! What it is not sure of it leaves to [`DiskStore::get`].

use std::sync::Arc;

use bytes::Bytes;

use super::format::{self, Unreadable};
use super::head::{self, Head};
use super::index::{Plain, Slot};
use super::reader::{Mode, pread_lent};
use super::shelf::Kept;
use super::{DiskStore, Shared};
use crate::semantics::coding::Coding;
use crate::store::variants::Variant;

/// Records up to this length are read whole; of others so much for their head: most are shorter.
const WHOLE: u32 = 20 << 10;
const BEGINNING: u32 = 2 << 10;

/// One response on disk, whose head has been read.
#[derive(Debug)]
pub struct OnDisk<'a> {
    shared: &'a Shared,
    found: Plain,
    kept: Arc<Kept>,
    /// The record, where it was read for its head.
    record: Option<Bytes>,
    /// What the memory tier knows its key by.
    pub(in crate::store) mark: u64,
}

impl DiskStore {
    /// What the index has under the key with these bytes, if it is one response that does not vary, in the log, with
    /// nothing waiting to be written. Noted as a use of it.
    pub(in crate::store) fn find_plain(&self, key: &[u8]) -> Option<Plain> {
        self.shared.index.find_plain(self.shared.identity.get()?.hash(key))
    }

    /// Its head. `None` when that is neither kept nor in the page cache, or is another key's or damaged.
    pub(in crate::store) fn open_plain(&self, key: &[u8], found: Plain, mark: u64) -> Option<OnDisk<'_>> {
        let shared = &*self.shared;
        let (kept, record) = match shared.shelf.get(&found.whole) {
            Some(kept) => (kept, None),
            None => shared.keep(key, &found.whole)?,
        };
        (*kept.key == *key).then_some(OnDisk { shared, found, kept, record, mark })
    }
}

impl OnDisk<'_> {
    /// The response, without its content.
    #[must_use]
    pub fn variant(&self) -> &Variant {
        &self.kept.variant
    }

    /// Bytes of the content as the origin sent it.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.kept.content_len.into()
    }

    /// The content as the origin sent it, or in `coding`, verified. It is lent: to be kept, it has to be copied. `None` when
    /// the page cache does not hold it, when it is damaged, or not stored in that coding.
    #[must_use]
    pub fn content(&self, coding: Option<Coding>) -> Option<Bytes> {
        let Kept { key, slot, content_at, content_len, content_crc, .. } = &*self.kept;
        let Some(coding) = coding else {
            let bytes = match &self.record {
                Some(record) => {
                    let content = record.get(*content_at as usize..)?.get(..*content_len as usize)?;
                    record.slice_ref(content)
                }
                None => self.shared.read_part(slot, *content_at, *content_len)?,
            };
            let sound = if crc32fast::hash(&bytes) == *content_crc { Ok(bytes) } else { Err(Unreadable::Content) };
            return self.shared.believe(slot, sound);
        };
        let form = usize::from(head::form(coding)).checked_sub(1)?;
        let slot = self.found.coded.get(form)?.as_ref()?;
        let bytes = self.shared.read_part(slot, 0, slot.length)?;
        let record = self.shared.believe(slot, format::open(&bytes, slot, self.shared.nonce()))?;
        let identity = (*content_crc, u64::from(*content_len));
        let is_of_this = matches!(Head::decode(record.head), Some(Head::Coded { base }) if base == identity);
        (record.key == &**key && is_of_this).then(|| bytes.slice_ref(record.content))
    }
}

impl Shared {
    /// Reads the head of the record at `slot`, and keeps it where that is worth it. With it the whole record, where that was read.
    fn keep(&self, key: &[u8], slot: &Slot) -> Option<(Arc<Kept>, Option<Bytes>)> {
        let length = if slot.length <= WHOLE { slot.length } else { BEGINNING };
        let mut bytes = self.read_part(slot, 0, length)?;
        let header = self.believe(slot, format::header(&bytes, slot, self.nonce()))?;
        let content_at = u32::try_from(header.content_at()).ok()?;
        if content_at > length {
            bytes = self.read_part(slot, 0, content_at)?;
        }
        let record = self.believe(slot, format::beginning(&bytes, header))?;
        if record.key != key {
            return None;
        }
        let is_wanted = self.shelf.wants(slot.hash);
        // The buffer is lent.
        let head = if is_wanted { Bytes::copy_from_slice(record.head) } else { bytes.slice_ref(record.head) };
        let Some(Head::Response { response, large: None }) = Head::decode(&head) else { return None };
        let kept = Arc::new(Kept {
            key: key.into(),
            slot: *slot,
            variant: Variant::new(Arc::new(response.into_response(&head, Bytes::new())?)),
            content_at,
            content_len: header.content_len,
            content_crc: header.content_crc,
        });
        if is_wanted {
            self.shelf.put(&kept);
        }
        Some((kept, Some(bytes).filter(|_| length == slot.length)))
    }

    fn read_part(&self, slot: &Slot, from: u32, length: u32) -> Option<Bytes> {
        let segment = self.segment(slot.segment)?;
        let at = u64::from(slot.offset) + u64::from(from);
        // A device that fails is for those to count who wait for it.
        pread_lent(self, &segment.file, length as usize, at, Mode::Inline).ok()?
    }

    /// What is not what was written goes, and is counted.
    fn believe<T>(&self, slot: &Slot, read: Result<T, Unreadable>) -> Option<T> {
        read.inspect_err(|what| self.corrupt(slot, &what.to_string())).ok()
    }
}
