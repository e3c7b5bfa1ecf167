//! The one who writes: a thread of its own that appends what it is told, in order. What goes wrong here costs entries,
//! never requests.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Shared;
use super::format::{Header, Kind, LARGE, Label, UNIT, head_crc};
use super::head::{Head, Wire};
use super::index::Slot;
use super::journal::Journal;
use super::large::{self, LargeFile, LargeWriter};
use super::lock::Lock;
use super::queue::{Command, Content, Next, Put};
use super::recover;
use super::segment::{self, Entry, Segment, toc_len};
use super::stats::Counters;
use crate::key::CacheKey;

/// How often the directory is looked after when nothing happens, and how long after a failure it is tried again.
const TICK: Duration = Duration::from_millis(250);
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// Tombstones that could not be written and are owed. Beyond this the log is given up instead.
const MOST_OWED: usize = 100_000;

/// Records up to this length are written in one piece.
const ONE_PIECE: usize = 256 << 10;

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    end: u32,
    entries: Vec<Entry>,
}

/// A tombstone that is owed to the log. The key is there while the directory, and so the hash, is not known.
#[derive(Debug)]
struct Owed {
    key: Option<CacheKey>,
    hash: u64,
    label: Label,
}

/// A record to be appended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draft<'a> {
    pub(super) label: Label,
    pub(super) hash: u64,
    pub(super) file: u64,
    pub(super) key: &'a [u8],
    pub(super) head: &'a [u8],
    pub(super) content: &'a [u8],
    pub(super) content_crc: u32,
}

impl<'a> Draft<'a> {
    fn tombstone(hash: u64, label: Label) -> Self {
        Draft { label, hash, file: 0, key: &[], head: &[], content: &[], content_crc: crc32fast::hash(&[]) }
    }

    pub(super) fn length(&self) -> usize {
        (UNIT + self.key.len() + self.head.len() + self.content.len()).next_multiple_of(UNIT)
    }
}

/// The writer.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) lock: Option<Lock>,
    pub(super) journal: Option<Journal>,
    pub(super) journal_retry: Instant,
    pub(super) active: Option<Active>,
    next_segment: u32,
    next_sequence: u64,
    owed: VecDeque<Owed>,
    retry_at: Option<Instant>,
    /// A tombstone has not reached the device yet.
    unsynced: bool,
    /// Neither has the name of a segment, or that a segment or file is gone.
    pub(super) unsynced_names: bool,
    ticked: Instant,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            lock: None,
            journal: None,
            journal_retry: Instant::now(),
            active: None,
            next_segment: 1,
            next_sequence: 1,
            owed: VecDeque::new(),
            retry_at: None,
            unsynced: false,
            unsynced_names: false,
            ticked: Instant::now(),
            buffer: Vec::new(),
        }
    }

    /// Takes the directory over: lock, recovery, and what is owed to it.
    ///
    /// # Errors
    ///
    /// Another process has it, or it cannot be read or written.
    pub(super) fn acquire(&mut self) -> io::Result<()> {
        recover::prepare(&self.shared.directory)?;
        let lock = Lock::take(&self.shared.directory)?;
        self.shared.forget_everything();
        let next = recover::recover(&self.shared)?;
        self.next_segment = next.next_segment;
        self.next_sequence = next.next_sequence;
        self.lock = Some(lock);
        // Removed while the directory was not ours: gone before anything can be read.
        let mut removed = Vec::new();
        for owed in &mut self.owed {
            if let Some(key) = owed.key.take() {
                owed.hash = self.shared.hash(&key).unwrap_or(owed.hash);
            }
            removed.extend(self.shared.index.remove_all(owed.hash).1);
        }
        self.unlink(&removed, None);
        self.begin_journal()?;
        self.restore_headroom();
        self.shared.writable.store(true, Ordering::Release);
        Ok(())
    }

    /// Works until the queue is closed.
    pub(super) fn run(mut self) {
        loop {
            match self.shared.queue.next(TICK) {
                Next::Command(command) => self.obey(command),
                Next::Purges(entries) => self.journal(entries),
                Next::Idle => {}
                Next::Closed => break,
            }
            if self.ticked.elapsed() >= TICK {
                self.ticked = Instant::now();
                self.tick();
            }
        }
        self.seal();
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Put(put) => self.put(&put),
            Command::Remove { key, hash, label, files, done } => {
                if self.shared.released.load(Ordering::Acquire) {
                    // Dropping `done` says that it is not durable. The files are another process's now.
                    return;
                }
                for file in files {
                    self.shared.remove_large(&file.path);
                }
                self.owed.push_back(Owed { key, hash, label });
                let written = self.pay().is_ok();
                if let Some(done) = done {
                    let _ = done.send(written);
                }
            }
            Command::Room { bytes, done } => {
                let made = self.lock.is_some() && self.make_room(bytes);
                let _ = done.send(made);
            }
            #[cfg(test)]
            Command::Tick { done } => {
                self.tick();
                let _ = done.send(());
            }
            Command::Release { done } => {
                self.seal();
                self.shared.writable.store(false, Ordering::Release);
                self.shared.released.store(true, Ordering::Release);
                self.journal = None;
                self.lock = None;
                let _ = done.send(());
            }
        }
    }

    /// What is done four times a second.
    fn tick(&mut self) {
        if self.shared.released.load(Ordering::Acquire) {
            return;
        }
        if self.lock.as_ref().is_some_and(|lock| !lock.is_current()) {
            self.lose();
        }
        let due = self.retry_at.is_none_or(|at| at <= Instant::now());
        if self.lock.is_none() {
            if due {
                match self.acquire() {
                    Ok(()) => self.shared.counters.heal(),
                    Err(error) => self.failed(&error),
                }
            }
            return;
        }
        if self.retry_at.is_some() && due {
            match self.rotate() {
                Ok(()) => self.recovered(),
                Err(error) => self.failed(&error),
            }
        }
        let _ = self.pay();
        self.mend_journal();
        self.sync();
    }

    /// What was purged stays purged even if the power goes; against the end of the process the log itself is enough.
    fn sync(&mut self) {
        let io = &self.shared.io;
        if self.unsynced
            && let Some(active) = &self.active
        {
            self.unsynced = io.sync(&active.segment.file).is_err();
        }
        if self.unsynced_names {
            // What was evicted has no tombstone, nor gets one when it is purged then: it must be gone.
            let synced = |name: &str| io.sync_names(&self.shared.directory.join(name));
            self.unsynced_names = synced("segments").and_then(|()| synced("large")).is_err();
        }
    }

    /// The directory was removed beneath us: it begins anew.
    fn lose(&mut self) {
        self.shared.counters.degrade("the directory was removed or replaced".to_owned());
        Counters::count(&self.shared.counters.write_errors);
        self.shared.writable.store(false, Ordering::Release);
        self.active = None;
        self.journal = None;
        self.lock = None;
        self.owed.clear();
        self.retry_at = None;
        self.shared.forget_everything();
    }

    fn put(&mut self, put: &Arc<Put>) {
        if !self.shared.index.is_announced(put) {
            self.discard(put);
            return;
        }
        let resting = self.retry_at.is_some_and(|at| at > Instant::now());
        if self.lock.is_none() || resting || self.pay().is_err() {
            self.reject(put);
            return;
        }
        match self.write(put) {
            Ok((slot, file)) => self.written(put, slot, file),
            Err(error) => {
                // Only what is about the device, not about this one response, concerns the others.
                if !matches!(error.kind(), io::ErrorKind::FileTooLarge | io::ErrorKind::QuotaExceeded) {
                    self.failed(&error);
                }
                self.reject(put);
            }
        }
    }

    fn written(&mut self, put: &Arc<Put>, slot: Slot, file: Option<Arc<LargeFile>>) {
        if self.retry_at.is_some() {
            self.recovered();
        }
        if let Some(file) = &file {
            self.shared.large.insert(slot.position(), Arc::clone(file));
        }
        match self.shared.index.settle(put, Some(slot)) {
            Ok(removed) => {
                Counters::count(&self.shared.counters.admissions);
                self.unlink(&removed, file.as_ref());
            }
            // Called off while it was written; the tombstone comes after it in the queue.
            Err(()) => {
                if let Some(file) = self.shared.large.remove(slot.position()) {
                    self.shared.remove_large(&file.path);
                }
            }
        }
    }

    /// Writes `put`; the slot and, where it has one, its file.
    fn write(&mut self, put: &Put) -> io::Result<(Slot, Option<Arc<LargeFile>>)> {
        let draft = Draft {
            label: put.label,
            hash: put.hash,
            file: 0,
            key: put.key.as_bytes(),
            head: &[],
            content: &[],
            content_crc: 0,
        };
        let encoded = |head: Head<'_>| head.encode().ok_or_else(|| io::Error::other("metadata cannot be encoded"));
        match &put.content {
            Content::Response(response) if (response.content().len() as u64) < LARGE => {
                let head = encoded(Head::Response { response: Wire::of(response), large: None })?;
                let content = response.content();
                let crc = crc32fast::hash(content);
                self.append(Draft { head: &head, content, content_crc: crc, ..draft }).map(|slot| (slot, None))
            }
            Content::Response(response) => {
                let length = response.content().len() as u64;
                let written = self.write_file(put.hash, response.content())?;
                let table = &written.table;
                let head = encoded(Head::Response { response: Wire::of(response), large: Some((length, table)) })?;
                self.append_pointer(draft, &head, table, written.file)
            }
            Content::Coded { content, base, .. } if content.len() as u64 >= LARGE => {
                let written = self.write_file(put.hash, content)?;
                let (length, table) = (content.len() as u64, &written.table);
                let head = encoded(Head::CodedLarge { base: *base, large: (length, table) })?;
                self.append_pointer(draft, &head, table, written.file)
            }
            Content::Coded { content, base, .. } => {
                let head = encoded(Head::Coded { base: *base })?;
                let crc = crc32fast::hash(content);
                self.append(Draft { head: &head, content, content_crc: crc, ..draft }).map(|slot| (slot, None))
            }
            Content::File { response, file, length, table } => {
                let head = encoded(Head::Response { response: Wire::of(response), large: Some((*length, table)) })?;
                self.append_pointer(draft, &head, table, Arc::clone(file))
            }
            Content::CodedFile { base, file, length, table, .. } => {
                let head = encoded(Head::CodedLarge { base: *base, large: (*length, table) })?;
                self.append_pointer(draft, &head, table, Arc::clone(file))
            }
        }
    }

    fn append_pointer(
        &mut self,
        draft: Draft<'_>,
        head: &[u8],
        table: &[u8],
        file: Arc<LargeFile>,
    ) -> io::Result<(Slot, Option<Arc<LargeFile>>)> {
        let draft = Draft { head, file: file.id, content_crc: crc32fast::hash(table), ..draft };
        match self.append(draft) {
            Ok(slot) => Ok((slot, Some(file))),
            Err(error) => {
                self.shared.remove_large(&file.path);
                Err(error)
            }
        }
    }

    fn write_file(&mut self, hash: u64, content: &[u8]) -> io::Result<large::Written> {
        let length = content.len() as u64;
        let full = || io::Error::from(io::ErrorKind::QuotaExceeded);
        if !self.make_room(super::space::file_bytes(length)) {
            return Err(full());
        }
        let space = self.shared.space.reserve(length).ok_or_else(full)?;
        let mut writer = LargeWriter::create(&self.shared, hash, length, space)?;
        writer.write_now(content)?;
        writer.finish()
    }

    /// `put` is not written. What it was to replace is not right any more, so that goes as well.
    fn reject(&mut self, put: &Arc<Put>) {
        Counters::count(&self.shared.counters.rejections);
        if let Ok(removed) = self.shared.index.settle(put, None) {
            self.discard(put);
            if !removed.is_empty() {
                self.unlink(&removed, None);
                let label = Label { kind: Kind::RemoveOne, ..put.label };
                self.owed.push_back(Owed { key: None, hash: put.hash, label });
            }
        }
    }

    /// Removes the file of a put that will not be written. One that a slot still points at stays.
    fn discard(&self, put: &Put) {
        if let Content::File { file, .. } | Content::CodedFile { file, .. } = &put.content
            && put.label.kind == Kind::Put
        {
            self.shared.remove_large(&file.path);
        }
    }

    /// Removes the files of slots that went, but `kept`: a freshened response has the file of the one before it.
    pub(super) fn unlink(&self, removed: &[Slot], kept: Option<&Arc<LargeFile>>) {
        for slot in removed.iter().filter(|slot| slot.is_large()) {
            if let Some(file) = self.shared.large.remove(slot.position())
                && kept.is_none_or(|kept| kept.id != file.id)
            {
                self.shared.remove_large(&file.path);
            }
        }
    }

    /// Writes the tombstones that are owed, in order.
    fn pay(&mut self) -> io::Result<()> {
        if self.owed.is_empty() {
            return Ok(());
        }
        if self.lock.is_none() || self.retry_at.is_some_and(|at| at > Instant::now()) {
            self.limit_owed();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        while let Some(owed) = self.owed.front() {
            let draft = Draft::tombstone(owed.hash, owed.label);
            if let Err(error) = self.append(draft) {
                self.failed(&error);
                self.limit_owed();
                return Err(error);
            }
            self.owed.pop_front();
            self.unsynced = true;
        }
        Ok(())
    }

    /// Too much is owed: then nothing of the log is worth keeping. An identity that nobody knows any more makes all of it
    /// unreadable in one step.
    fn limit_owed(&mut self) {
        if self.owed.len() > MOST_OWED && self.lock.is_some() {
            let identity = self.shared.directory.join("identity");
            let shared = &self.shared;
            if shared.io.unlink(&identity).and_then(|()| shared.io.sync_names(&shared.directory)).is_ok() {
                self.owed.clear();
                self.active = None;
                self.journal = None;
                self.lock = None;
                self.shared.forget_everything();
            }
        }
    }

    /// Appends a record, to a new segment when this one is full.
    pub(super) fn append(&mut self, draft: Draft<'_>) -> io::Result<Slot> {
        if !self.has_room(draft.length()) {
            self.rotate()?;
        }
        self.append_here(draft)
    }

    /// Whether the active segment takes `length` more bytes and an entry for them.
    pub(super) fn has_room(&self, length: usize) -> bool {
        self.active.as_ref().is_some_and(|active| {
            let end = u64::from(active.end) + length as u64 + toc_len(active.entries.len() + 1);
            end + UNIT as u64 <= self.shared.segment_size
        })
    }

    /// Appends a record to the active segment, which has room for it.
    pub(super) fn append_here(&mut self, draft: Draft<'_>) -> io::Result<Slot> {
        let shared = Arc::clone(&self.shared);
        let active = self.active.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let length = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX);
        let header = Header {
            sequence: self.next_sequence,
            hash: draft.hash,
            file: draft.file,
            segment: active.segment.id,
            label: draft.label,
            key_len: length(draft.key),
            head_len: length(draft.head),
            content_len: length(draft.content),
            head_crc: head_crc(draft.key, draft.head),
            content_crc: draft.content_crc,
        };
        if draft.head.len() > super::format::HEAD_MAX || draft.key.len() > super::format::KEY_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(&header.encode(shared.nonce()));
        self.buffer.extend_from_slice(draft.key);
        self.buffer.extend_from_slice(draft.head);
        let offset = active.end;
        let file = &active.segment.file;
        // The header first: a record that was cut short still says how long it was meant to be.
        let written = if draft.content.len() <= ONE_PIECE {
            self.buffer.extend_from_slice(draft.content);
            shared.io.write(file, &self.buffer, offset.into())
        } else {
            let behind = u64::from(offset) + self.buffer.len() as u64;
            shared
                .io
                .write(file, &self.buffer, offset.into())
                .and_then(|()| shared.io.write(file, draft.content, behind))
        };
        if let Err(error) = written {
            // It stays readable, and recovery copes with its end; but nothing more is written to it.
            self.active = None;
            return Err(error);
        }
        self.next_sequence += 1;
        let slot = Slot::of(&header, offset);
        active.end += slot.length;
        let (hash, label) = (draft.hash, draft.label);
        active.entries.push(Entry { hash, file: draft.file, offset, length: slot.length, label });
        Ok(slot)
    }

    /// Seals the active segment and begins another, then sees to it that there is room for the one after that.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        self.seal();
        let shared = Arc::clone(&self.shared);
        let segment = loop {
            let Some(space) = shared.space.reserve(shared.segment_size) else {
                if self.evict(false) {
                    continue;
                }
                return Err(io::ErrorKind::StorageFull.into());
            };
            let (id, size) = (self.next_segment, shared.segment_size);
            match Segment::create(&shared.io, &shared.directory, id, shared.nonce(), size, self.next_sequence, space) {
                Ok(segment) => break segment,
                // The device has less room than we may use: what is oldest makes some.
                Err(error) if error.kind() == io::ErrorKind::StorageFull && self.evict(false) => {}
                Err(error) => return Err(error),
            }
        };
        self.next_segment += 1;
        self.unsynced_names = true;
        let segment = Arc::new(segment);
        shared.segments.write().insert(segment.id, Arc::clone(&segment));
        self.active = Some(Active { segment, end: u32::try_from(UNIT).unwrap_or(0), entries: Vec::new() });
        self.restore_headroom();
        Ok(())
    }

    /// Seals the active segment. One that cannot be sealed is scanned at the next start.
    fn seal(&mut self) {
        let Some(active) = self.active.take() else { return };
        let Active { segment, end, entries } = active;
        let sealed =
            segment::seal_segment(&self.shared.io, &segment, self.shared.nonce(), end, &entries, self.next_sequence);
        match sealed {
            Ok(()) => self.unsynced = false,
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &io::Error) {
        Counters::count(&self.shared.counters.write_errors);
        self.shared.counters.degrade(error.to_string());
        self.retry_at = Some(Instant::now() + RETRY);
    }

    fn recovered(&mut self) {
        self.retry_at = None;
        self.shared.counters.heal();
    }
}
