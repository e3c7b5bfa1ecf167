//! Reading: from the index to stored responses, on this thread when the page cache has them, else on another.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use rustix::fs::{CWD, Mode as Permissions, OFlags, ResolveFlags, openat2};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::Shared;
use super::format::{self, Record, Unreadable};
use super::head::{self, Head};
use super::index::{Found, Slot};
use super::large::{self, LargeContent, LargeFile};
use super::queue::{Content, Put};
use super::stats::Counters;
use crate::buffer::Buffer;
use crate::key::CacheKey;
use crate::semantics::coding::Coding;
use crate::store::variants::{Variant, Variants};

/// Whether a read may wait for the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// No: what is not in the page cache is left to another thread.
    Inline,
    /// Yes.
    Blocking,
    /// Yes, and what it brings into the page cache is not meant to stay there.
    Once,
}

/// `RWF_DONTCACHE` (Linux 6.14): pages that were not cached before are dropped after the read.
const DONTCACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// What a look-up found.
#[derive(Debug)]
pub enum Lookup {
    /// The stored responses of the key, newest first; empty: none.
    Ready(Variants),
    /// They have to be read from the device.
    Blocking(BlockingRead),
}

/// A look-up that has to wait for the device.
#[derive(Debug)]
pub struct BlockingRead {
    pub(super) shared: Arc<Shared>,
    pub(super) key: CacheKey,
}

impl BlockingRead {
    /// Reads on another thread.
    pub async fn read(self) -> Variants {
        tokio::task::spawn_blocking(move || self.read_now()).await.unwrap_or_default()
    }

    /// Reads on this thread.
    #[must_use]
    pub fn read_now(self) -> Variants {
        let Some(hash) = self.shared.hash(&self.key) else { return Variants::default() };
        read(&self.shared, &self.key, self.shared.index.find(hash), Mode::Blocking).unwrap_or_default()
    }
}

/// Reads `length` bytes; `None` when that would block.
pub(super) fn pread(shared: &Shared, file: &File, length: usize, at: u64, mode: Mode) -> io::Result<Option<Bytes>> {
    if mode == Mode::Inline && !shared.reads_inline.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let mut buffer = vec![0; length];
    Ok(fill(shared, file, &mut buffer, at, mode)?.then(|| Bytes::from(buffer)))
}

/// The same into a buffer that is used again: for what is not kept.
pub(super) fn pread_lent(
    shared: &Shared,
    file: &File,
    length: usize,
    at: u64,
    mode: Mode,
) -> io::Result<Option<Bytes>> {
    if mode == Mode::Inline && !shared.reads_inline.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let mut buffer = Buffer::of(length);
    Ok(fill(shared, file, buffer.as_mut(), at, mode)?.then(|| Bytes::from_owner(buffer)))
}

/// Reads `length` bytes of any file, if they are there at once; `None` otherwise, and when they cannot be read.
pub(crate) fn read_cached(file: &File, length: usize, at: u64) -> Option<Bytes> {
    let mut buffer = Buffer::of(length);
    let read = preadv2(file.as_fd(), &mut [IoSliceMut::new(buffer.as_mut())], at, ReadWriteFlags::NOWAIT).ok()?;
    (read == length).then(|| Bytes::from_owner(buffer))
}

/// Reads `length` bytes of any file, waiting for the device.
pub(crate) fn read_waiting(file: &File, length: usize, at: u64) -> io::Result<Bytes> {
    let mut buffer = Buffer::of(length);
    file.read_exact_at(buffer.as_mut(), at)?;
    Ok(Bytes::from_owner(buffer))
}

/// Fills `buffer` from `at` on; false when that would block.
fn fill(shared: &Shared, file: &File, buffer: &mut [u8], at: u64, mode: Mode) -> io::Result<bool> {
    let length = buffer.len();
    if mode == Mode::Once
        && preadv2(file.as_fd(), &mut [IoSliceMut::new(buffer)], at, DONTCACHE).is_ok_and(|read| read == length)
    {
        return Ok(true);
    }
    if mode != Mode::Inline {
        return file.read_exact_at(buffer, at).map(|()| true);
    }
    match preadv2(file.as_fd(), &mut [IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT) {
        Ok(read) if read == length => Ok(true),
        // Part of it, or (some kernels) 0 for what is not cached: never to be taken for the end of the file.
        Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(false),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
            shared.reads_inline.store(false, Ordering::Relaxed);
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// One entry of a key.
enum Item {
    Response { variance: u32, identity: (u32, u64), variant: Variant },
    Coded { variance: u32, base: (u32, u64), coding: Coding, content: Coded },
}

enum Coded {
    Whole(Bytes),
    InFile(Arc<LargeContent>),
}

impl Item {
    fn into_response(self) -> Option<Variant> {
        match self {
            Self::Response { variant, .. } => Some(variant),
            Self::Coded { .. } => None,
        }
    }
}

/// The stored responses of `key` among what was found; `None` when a read would block.
pub(super) fn read(shared: &Arc<Shared>, key: &CacheKey, found: Found, mode: Mode) -> Option<Variants> {
    if let (true, [slot]) = (found.pending.is_empty(), &*found.slots) {
        // The most frequent case. A coding alone is of no use.
        let item = entry(shared, key, slot, mode)?;
        let variant = item.and_then(Item::into_response);
        return Some(variant.map_or_else(Variants::default, |variant| Variants::newest_first(vec![variant])));
    }
    let mut items = Vec::with_capacity(found.pending.len() + found.slots.len());
    let mut seen: Vec<(u32, u8)> = Vec::new();
    for put in found.pending.iter().filter(|put| put.key == *key) {
        let place = (put.label.variance, put.label.form);
        if !seen.contains(&place) {
            seen.push(place);
            items.extend(pending(shared, put));
        }
    }
    for slot in found.slots {
        if !seen.contains(&(slot.variance(), slot.form())) {
            items.extend(entry(shared, key, &slot, mode)?);
        }
    }
    Some(assemble(items))
}

fn assemble(items: Vec<Item>) -> Variants {
    let mut variants: Vec<(u32, (u32, u64), Variant)> = Vec::new();
    let mut codings = Vec::new();
    for item in items {
        match item {
            Item::Response { variance, identity, variant } => variants.push((variance, identity, variant)),
            Item::Coded { variance, base, coding, content } => codings.push((variance, base, coding, content)),
        }
    }
    for (variance, base, coding, content) in codings {
        // A coding of content that has been replaced is of no use.
        let of = variants.iter_mut().find(|(v, identity, _)| (*v, *identity) == (variance, base));
        if let Some((_, _, variant)) = of {
            match content {
                Coded::Whole(content) => variant.coded.push((coding, content)),
                Coded::InFile(content) => variant.coded_large.push((coding, content)),
            }
        }
    }
    Variants::newest_first(variants.into_iter().map(|(_, _, variant)| variant).collect())
}

/// A put that is not written yet answers from memory.
fn pending(shared: &Arc<Shared>, put: &Put) -> Option<Item> {
    let variance = put.label.variance;
    match &put.content {
        Content::Response(response) => {
            let identity = large::identity(response.content());
            Some(Item::Response { variance, identity, variant: Variant::new(Arc::clone(response)) })
        }
        Content::Coded { coding, content, base } => {
            let content = Coded::Whole(content.clone());
            Some(Item::Coded { variance, base: *base, coding: *coding, content })
        }
        Content::CodedFile { coding, base, file, length, table } => {
            let content = Coded::InFile(Arc::new(pending_file(shared, put, file, *length, table)?));
            Some(Item::Coded { variance, base: *base, coding: *coding, content })
        }
        Content::File { response, file, length, table } => {
            let content = pending_file(shared, put, file, *length, table)?;
            let identity = content.identity();
            let variant = Variant::in_file(Arc::clone(response), Arc::new(content));
            Some(Item::Response { variance, identity, variant })
        }
    }
}

fn pending_file(
    shared: &Arc<Shared>,
    put: &Put,
    file: &Arc<LargeFile>,
    length: u64,
    table: &Bytes,
) -> Option<LargeContent> {
    let handle = File::open(&file.path).ok()?;
    let slot = Slot::new(put.hash, 0, 0, 0, put.label);
    let (file, table, shared) = (Arc::clone(file), table.clone(), Arc::clone(shared));
    Some(LargeContent { handle, file, length, table, slot, shared })
}

/// Reads the entry at `slot`: outer `None` when that would block, inner when it is no answer.
#[expect(clippy::option_option, reason = "would block, nothing, something")]
fn entry(shared: &Arc<Shared>, key: &CacheKey, slot: &Slot, mode: Mode) -> Option<Option<Item>> {
    // A segment that is gone was evicted since the index was asked.
    let Some(segment) = shared.segment(slot.segment) else { return Some(None) };
    let bytes = match pread(shared, &segment.file, slot.length as usize, slot.offset.into(), mode) {
        Ok(bytes) => bytes?,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            shared.corrupt(slot, "record beyond the end of its segment");
            return Some(None);
        }
        Err(error) => {
            Counters::count(&shared.counters.read_errors);
            tracing::warn!(%error, segment = slot.segment, "disk tier: read failed");
            return Some(None);
        }
    };
    match decode(shared, key, slot, &bytes, mode) {
        Ok(Decoded::Item(item)) => Some(Some(item)),
        Ok(Decoded::OtherKey) => Some(None),
        Ok(Decoded::Blocks) => None,
        Err(what) => {
            shared.corrupt(slot, &what.to_string());
            Some(None)
        }
    }
}

enum Decoded {
    Item(Item),
    /// Two keys with one hash.
    OtherKey,
    /// The file with the content cannot be opened or read without waiting.
    Blocks,
}

fn decode(shared: &Arc<Shared>, key: &CacheKey, slot: &Slot, bytes: &Bytes, mode: Mode) -> Result<Decoded, Unreadable> {
    let record = format::open(bytes, slot, shared.nonce())?;
    if record.key != key.as_bytes() {
        return Ok(Decoded::OtherKey);
    }
    let content = bytes.slice_ref(record.content);
    let variance = slot.variance();
    match Head::decode(record.head).ok_or(Unreadable::Metadata)? {
        Head::Coded { base } if !slot.is_large() => {
            let coding = head::coding(slot.form()).ok_or(Unreadable::Metadata)?;
            Ok(Decoded::Item(Item::Coded { variance, base, coding, content: Coded::Whole(content) }))
        }
        Head::CodedLarge { base, large } if slot.is_large() => {
            let coding = head::coding(slot.form()).ok_or(Unreadable::Metadata)?;
            let content = match large_content(shared, slot, bytes, &record, large, mode)? {
                Opened::Content(content) => content,
                Opened::Blocks => return Ok(Decoded::Blocks),
                Opened::Unknown => return Ok(Decoded::OtherKey),
            };
            let (_, length) = base;
            // Where the content itself is read whole, so are its codings: both are for memory then.
            if length > shared.config.whole {
                let content = Coded::InFile(Arc::new(content));
                return Ok(Decoded::Item(Item::Coded { variance, base, coding, content }));
            }
            Ok(whole(&content, mode, |content| Item::Coded { variance, base, coding, content: Coded::Whole(content) }))
        }
        Head::Response { response, large: None } if !slot.is_large() => {
            let identity = (record.header.content_crc, content.len() as u64);
            let response = response.into_response(bytes, content).ok_or(Unreadable::Metadata)?;
            Ok(Decoded::Item(Item::Response { variance, identity, variant: Variant::new(Arc::new(response)) }))
        }
        Head::Response { response, large: Some(large) } if slot.is_large() => {
            let response = response.into_response(bytes, Bytes::new()).ok_or(Unreadable::Metadata)?;
            let content = match large_content(shared, slot, bytes, &record, large, mode)? {
                Opened::Content(content) => content,
                Opened::Blocks => return Ok(Decoded::Blocks),
                Opened::Unknown => return Ok(Decoded::OtherKey),
            };
            let identity = (record.header.content_crc, content.length());
            let item = |variant| Item::Response { variance, identity, variant };
            // Content that fits the memory tier is read whole, so that it can be promoted; longer content stays in its file.
            if content.length() > shared.config.whole {
                return Ok(Decoded::Item(item(Variant::in_file(Arc::new(response), Arc::new(content)))));
            }
            Ok(whole(&content, mode, |content| item(Variant::new(Arc::new(response.with_content(content))))))
        }
        _ => Err(Unreadable::Metadata),
    }
}

enum Opened {
    Content(LargeContent),
    Blocks,
    /// It cannot be opened at the moment.
    Unknown,
}

/// The content that a record in the log points at; `large` is its length and its table.
fn large_content(
    shared: &Arc<Shared>,
    slot: &Slot,
    bytes: &Bytes,
    record: &Record<'_>,
    (length, table): (u64, &[u8]),
    mode: Mode,
) -> Result<Opened, Unreadable> {
    let table = bytes.slice_ref(table);
    if crc32fast::hash(&table) != record.header.content_crc || table.len() as u64 != length.div_ceil(large::BLOCK) * 4 {
        return Err(Unreadable::Content);
    }
    match open_large(shared, slot, length, table, mode) {
        Some(Ok(content)) => Ok(Opened::Content(content)),
        Some(Err(error)) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            Err(Unreadable::Content)
        }
        // Too many open files, say: that is no reason to drop the entry.
        Some(Err(error)) => {
            Counters::count(&shared.counters.read_errors);
            tracing::warn!(%error, "disk tier: large content cannot be opened");
            Ok(Opened::Unknown)
        }
        None => Ok(Opened::Blocks),
    }
}

/// The item made of all of `content`, where that may be waited for.
fn whole(content: &LargeContent, mode: Mode, item: impl FnOnce(Bytes) -> Item) -> Decoded {
    if mode == Mode::Inline {
        return Decoded::Blocks;
    }
    match content.whole() {
        Ok(whole) => Decoded::Item(item(whole)),
        // It has been counted, and the entry is gone.
        Err(_) => Decoded::OtherKey,
    }
}

/// Opens the file of `slot`; `None` when that would block.
fn open_large(
    shared: &Arc<Shared>,
    slot: &Slot,
    length: u64,
    table: Bytes,
    mode: Mode,
) -> Option<io::Result<LargeContent>> {
    let Some(file) = shared.large.get(slot.position()) else {
        return Some(Err(io::ErrorKind::NotFound.into()));
    };
    let handle = match mode {
        Mode::Blocking | Mode::Once => File::open(&file.path),
        Mode::Inline => {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            match openat2(CWD, &file.path, flags, Permissions::empty(), ResolveFlags::CACHED) {
                Ok(handle) => Ok(File::from(handle)),
                // Not cached, or a kernel that cannot say so.
                Err(_) => return None,
            }
        }
    };
    let shared = Arc::clone(shared);
    Some(handle.and_then(|handle| LargeContent::new(handle, file, length, table, *slot, shared)))
}
