//! The bytes that are held at the moment: a run in memory, then a run in the temporary file.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::spool::Reservation;
use super::{End, Retention};
use crate::store::disk::OpenFile;

/// What a reader finds at its position.
pub(super) enum At {
    /// Bytes in memory.
    Memory(Bytes),
    /// Bytes in the file: where, and how many there are.
    File(Arc<OpenFile>, u64, u64),
    /// Nothing yet.
    Nothing,
    /// Nothing more.
    End(End),
}

/// The run in the temporary file. Stream offsets `start..end` lie at file offsets `0..end - start`.
#[derive(Debug)]
struct FileRun {
    file: Arc<OpenFile>,
    start: u64,
    end: u64,
    /// Bytes are being written behind `end`: the run must not make way for memory meanwhile.
    writing: bool,
    /// Nothing more can be written to it; it goes once everybody has read it.
    frozen: bool,
    /// What it takes of the spool's budget, given back with it; a file of the disk tier takes none.
    reserved: Option<Reservation>,
}

/// Bytes of what was written last to the file of the disk tier that are held for readers that keep up with it: they need
/// not read back what came a moment ago.
const RECENT: u64 = 512 * 1024;

/// Bounds of what is held, and who reads where. All of it stands behind one lock that is never held across an await.
#[derive(Debug)]
pub(super) struct Window {
    /// Chunks in memory with their stream offsets, ascending and contiguous.
    chunks: VecDeque<(u64, Bytes)>,
    /// Offset behind the last chunk in memory.
    memory_end: u64,
    run: Option<FileRun>,
    /// The end of the run, as it came, with stream offsets: [`RECENT`] bytes at most.
    recent: VecDeque<(u64, Bytes)>,
    /// Positions of the readers, by reader id.
    readers: Vec<(u64, u64)>,
    next_reader: u64,
    retention: Retention,
    released: bool,
    pub(super) end: Option<End>,
}

impl Window {
    pub(super) fn new(retention: Retention) -> Self {
        Self {
            chunks: VecDeque::new(),
            memory_end: 0,
            run: None,
            recent: VecDeque::new(),
            readers: Vec::new(),
            next_reader: 0,
            retention,
            released: false,
            end: None,
        }
    }

    pub(super) fn end_offset(&self) -> u64 {
        self.run.as_ref().map_or(self.memory_end, |run| run.end)
    }

    pub(super) fn retention(&self) -> Retention {
        self.retention
    }

    pub(super) fn has_readers(&self) -> bool {
        !self.readers.is_empty()
    }

    /// Bytes in memory that the slowest reader has not read.
    pub(super) fn unread_in_memory(&self) -> u64 {
        self.memory_end - self.slowest().clamp(self.first_offset(), self.memory_end)
    }

    /// Bytes in the temporary file; `None` when there is no run.
    pub(super) fn in_file(&self) -> Option<u64> {
        self.run.as_ref().map(|run| run.end - run.start)
    }

    fn first_offset(&self) -> u64 {
        self.chunks.front().map_or(self.memory_end, |(offset, _)| *offset)
    }

    fn slowest(&self) -> u64 {
        self.readers.iter().map(|(_, position)| *position).min().unwrap_or_else(|| self.end_offset())
    }

    /// Adds a reader at the first byte.
    pub(super) fn join(&mut self) -> Option<u64> {
        if self.released {
            return None;
        }
        let id = self.next_reader;
        self.next_reader += 1;
        self.readers.push((id, 0));
        Some(id)
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.readers.retain(|(reader, _)| *reader != id);
        self.release();
    }

    /// Appends to the run in memory. The caller has seen that there is no run in the file.
    pub(super) fn push(&mut self, chunk: Bytes) {
        let length = chunk.len() as u64;
        self.chunks.push_back((self.memory_end, chunk));
        self.memory_end += length;
        self.release();
    }

    /// The file and its offset for the next bytes, opening the run with `file` when there is none.
    pub(super) fn spill_to(
        &mut self,
        file: impl FnOnce() -> std::io::Result<std::fs::File>,
    ) -> std::io::Result<(Arc<OpenFile>, u64)> {
        if let Some(run) = &mut self.run {
            run.writing = true;
            return Ok((Arc::clone(&run.file), run.end - run.start));
        }
        let file = Arc::new(OpenFile::from(file()?));
        let (start, end) = (self.memory_end, self.memory_end);
        self.run = Some(FileRun { file: Arc::clone(&file), start, end, writing: true, frozen: false, reserved: None });
        Ok((file, 0))
    }

    /// `length` bytes, which were `reserved`, were written behind the run in the file.
    pub(super) fn spilled(&mut self, length: u64, reserved: Reservation) {
        if let Some(run) = &mut self.run {
            run.end += length;
            run.writing = false;
            match &mut run.reserved {
                Some(held) => held.absorb(reserved),
                none => *none = Some(reserved),
            }
        }
    }

    /// What is kept in memory, in order: to be written to the file it moves to.
    pub(super) fn kept(&self) -> Vec<Bytes> {
        self.chunks.iter().map(|(_, chunk)| chunk.clone()).collect()
    }

    /// All that was appended is in `file` now, from its first byte on, and stays there.
    pub(super) fn moved_to(&mut self, file: Arc<OpenFile>) {
        let end = self.end_offset();
        self.chunks.clear();
        self.memory_end = 0;
        self.run = Some(FileRun { file, start: 0, end, writing: true, frozen: false, reserved: None });
    }

    pub(super) fn is_kept_in_file(&self) -> bool {
        self.retention == Retention::Keep && self.run.is_some()
    }

    /// `chunks` were appended to the file that all of it is kept in.
    pub(super) fn appended(&mut self, chunks: Vec<Bytes>) {
        let Some(run) = &mut self.run else { return };
        for chunk in chunks {
            let at = run.end;
            run.end += chunk.len() as u64;
            self.recent.push_back((at, chunk));
        }
        let oldest = run.end.saturating_sub(RECENT);
        while self.recent.front().is_some_and(|(at, _)| *at < oldest) {
            self.recent.pop_front();
        }
        self.release_recent();
    }

    /// Nothing more comes.
    pub(super) fn ended(&mut self, end: End) {
        self.end = Some(end);
        self.release_recent();
    }

    /// The file takes nothing more: what is in it is read from there, what follows goes on in memory after that.
    pub(super) fn freeze(&mut self) {
        self.retention = Retention::Release;
        if let Some(run) = &mut self.run {
            run.writing = false;
            run.frozen = true;
        }
        self.release();
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.frozen)
    }

    /// From now on read bytes are let go of: the content turned out to be too large to store.
    pub(super) fn stop_retaining(&mut self) {
        self.retention = Retention::Release;
        self.release();
    }

    /// What lies at reader `id`'s position. Does not move the reader.
    pub(super) fn at(&self, id: u64) -> At {
        let position =
            self.readers.iter().find(|(reader, _)| *reader == id).map_or(u64::MAX, |(_, position)| *position);
        if position < self.memory_end {
            let index = self.chunks.partition_point(|(offset, _)| *offset <= position);
            if let Some((offset, chunk)) = index.checked_sub(1).and_then(|index| self.chunks.get(index)) {
                let skip = usize::try_from(position - offset).unwrap_or(usize::MAX);
                return At::Memory(chunk.slice(skip.min(chunk.len())..));
            }
        }
        let index = self.recent.partition_point(|(offset, _)| *offset <= position);
        if let Some((offset, chunk)) = index.checked_sub(1).and_then(|index| self.recent.get(index))
            && position < offset + chunk.len() as u64
        {
            let skip = usize::try_from(position - offset).unwrap_or(usize::MAX);
            return At::Memory(chunk.slice(skip.min(chunk.len())..));
        }
        if let Some(run) = &self.run
            && position < run.end
        {
            return At::File(Arc::clone(&run.file), position - run.start, run.end - position);
        }
        self.end.clone().map_or(At::Nothing, At::End)
    }

    /// Moves reader `id` on and lets go of what nobody needs.
    pub(super) fn advance(&mut self, id: u64, by: u64) {
        if let Some((_, position)) = self.readers.iter_mut().find(|(reader, _)| *reader == id) {
            *position += by;
        }
        self.release();
    }

    /// Moves reader `id` on by `by` bytes at most, as far as there is anything; how far.
    pub(super) fn skip(&mut self, id: u64, by: u64) -> u64 {
        let end = self.end_offset();
        let Some((_, position)) = self.readers.iter_mut().find(|(reader, _)| *reader == id) else { return 0 };
        let skipped = by.min(end.saturating_sub(*position));
        *position += skipped;
        self.release();
        skipped
    }

    /// Lets go of what was written last and everybody has read, and at the end of what nobody is about to read.
    fn release_recent(&mut self) {
        let Some((start, _)) = self.recent.front() else { return };
        // Who is further behind than that may be slow, and finds it in the file.
        if self.end.is_some() && !self.readers.iter().any(|(_, position)| position + RECENT >= *start) {
            self.recent.clear();
            return;
        }
        let slowest = self.slowest();
        while self.recent.front().is_some_and(|(offset, chunk)| offset + chunk.len() as u64 <= slowest) {
            self.recent.pop_front();
        }
    }

    #[cfg(test)]
    pub(super) fn recent_bytes(&self) -> u64 {
        self.recent.iter().map(|(_, chunk)| chunk.len() as u64).sum()
    }

    fn release(&mut self) {
        self.release_recent();
        if self.retention == Retention::Keep {
            return;
        }
        let slowest = self.slowest();
        while let Some((offset, chunk)) = self.chunks.front() {
            if offset + chunk.len() as u64 > slowest {
                break;
            }
            self.chunks.pop_front();
            self.released = true;
        }
        // A run that everybody has read makes way for memory again.
        if let Some(run) = &self.run
            && slowest >= run.end
            && !run.writing
        {
            self.memory_end = run.end;
            self.released = true;
            self.run = None;
        }
    }

    /// The whole content, when all of it is in memory.
    pub(super) fn content(&self) -> Option<Bytes> {
        if self.released || self.run.is_some() {
            return None;
        }
        if let (1, Some((_, chunk))) = (self.chunks.len(), self.chunks.front()) {
            // A chunk may be a slice of a larger read buffer; a stored response must not hold that.
            return Some(Bytes::copy_from_slice(chunk));
        }
        let mut whole = BytesMut::with_capacity(usize::try_from(self.memory_end).ok()?);
        for (_, chunk) in &self.chunks {
            whole.extend_from_slice(chunk);
        }
        Some(whole.freeze())
    }
}
