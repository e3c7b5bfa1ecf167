//! Reading large content: block by block, each verified before any of it is given out.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::super::Shared;
use super::super::index::Slot;
use super::super::reader::{Mode, pread_lent};
use super::super::stats::Counters;
use super::{BLOCK, LargeFile};

/// Content in a file. As long as this is held it can be read, whatever becomes of the entry.
#[derive(Debug)]
pub struct LargeContent {
    pub(in super::super) handle: File,
    pub(in super::super) file: Arc<LargeFile>,
    pub(in super::super) length: u64,
    /// Checksums of its blocks.
    pub(in super::super) table: Bytes,
    pub(in super::super) slot: Slot,
    pub(in super::super) shared: Arc<Shared>,
}

impl LargeContent {
    /// The content in `handle`, which has to be `length` bytes.
    pub(in super::super) fn new(
        handle: File,
        file: Arc<LargeFile>,
        length: u64,
        table: Bytes,
        slot: Slot,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        if handle.metadata()?.len() != length {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "large content of another length"));
        }
        Ok(Self { handle, file, length, table, slot, shared })
    }

    /// Bytes of the content.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What tells it from other content.
    pub(in super::super) fn identity(&self) -> (u32, u64) {
        (crc32fast::hash(&self.table), self.length)
    }

    /// A reader of `range`, cut to what there is.
    #[must_use]
    pub fn reader(self: &Arc<Self>, range: Range<u64>) -> LargeReader {
        let end = range.end.min(self.length);
        LargeReader { content: Arc::clone(self), at: range.start.min(end), end }
    }

    /// The whole, read and verified on this thread.
    pub(in super::super) fn whole(&self) -> io::Result<Bytes> {
        let mut whole = Vec::with_capacity(usize::try_from(self.length).unwrap_or(0));
        let mut at = 0;
        while at < self.length {
            let block = self.block(at / BLOCK, Mode::Blocking)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            whole.extend_from_slice(&block);
            at += BLOCK;
        }
        Ok(Bytes::from(whole))
    }

    /// Reads and verifies all of it on this thread, a block at a time.
    pub(in super::super) fn verify(&self) -> io::Result<()> {
        let blocks = self.length.div_ceil(BLOCK);
        (0..blocks).try_for_each(|index| self.block(index, Mode::Once).map(drop))
    }

    /// Reads a block; `None` when that would block.
    fn block(&self, index: u64, mode: Mode) -> io::Result<Option<Bytes>> {
        let start = index.saturating_mul(BLOCK);
        let length = usize::try_from(self.length.saturating_sub(start).min(BLOCK)).unwrap_or(0);
        let read = pread_lent(&self.shared, &self.handle, length, start, mode);
        let read = read.inspect_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.shared.corrupt(&self.slot, "large content that became shorter"),
            _ => Counters::count(&self.shared.counters.read_errors),
        })?;
        let Some(block) = read else { return Ok(None) };
        let at = usize::try_from(index).unwrap_or(usize::MAX).saturating_mul(4);
        let crc = self.table.get(at..).and_then(<[u8]>::first_chunk).map(|crc| u32::from_le_bytes(*crc));
        if crc != Some(crc32fast::hash(&block)) {
            self.shared.corrupt(&self.slot, "large content");
            return Err(io::Error::new(io::ErrorKind::InvalidData, "checksum of large content"));
        }
        Ok(Some(block))
    }
}

/// Reads part of large content in order.
#[derive(Debug)]
pub struct LargeReader {
    content: Arc<LargeContent>,
    at: u64,
    end: u64,
}

impl LargeReader {
    /// The next bytes, at most a block; `None` after the last.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not what was written; then the entry is gone, and what was delivered before is a
    /// prefix that must not be passed off as the whole.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let index = self.at / BLOCK;
        let block = match self.content.block(index, Mode::Inline)? {
            Some(block) => block,
            None => {
                let content = Arc::clone(&self.content);
                let read = tokio::task::spawn_blocking(move || content.block(index, Mode::Blocking)).await;
                read.map_err(io::Error::other)??.ok_or(io::ErrorKind::UnexpectedEof)?
            }
        };
        let start = index * BLOCK;
        let from = usize::try_from(self.at - start).unwrap_or(usize::MAX).min(block.len());
        let to = usize::try_from(self.end - start).unwrap_or(usize::MAX).min(block.len());
        let part = block.slice(from..to.max(from));
        if part.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += part.len() as u64;
        Ok(Some(part))
    }
}
