//! The disk tier: a log of segments for stored responses, a file each for large content, and an index in memory.
//!
//! - `format`, `head`, `segment`: what bytes mean. `identity`: whose they are.
//! - `index`: where each record is. `queue`, `writer`: how records come to be. `reclaim`: how they go.
//! - `reader`: how they are read; `plain`: in the most frequent case; `shelf`: heads kept for it; `buffer`: into what. `large`: content in files of its own. `space`: the ceiling that is never passed.
//! - `journal`: purges, written down before they are acknowledged. `look`: every entry, one by one, for the sweep.
//! - `recover`, `lock`: how a start finds what the last process left. `check`: whether all of it is sound.
//!
//! Everything is appended by one thread, in one order; a removal is a record like any other. Whatever happens to the
//! process, a start replays the log and has the same index. Reads verify checksums, each time: what does not match is a
//! miss and a counter.

mod check;
#[cfg(test)]
mod fault;
mod format;
mod head;
mod identity;
mod index;
mod io;
mod journal;
mod large;
mod lock;
mod look;
mod plain;
mod queue;
mod reader;
mod reclaim;
#[cfg(test)]
mod record;
mod recover;
mod segment;
mod shelf;
mod space;
mod stats;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::oneshot;
use tokio::time::timeout;

pub use check::{CheckReport, Listed};
pub use large::{LargeContent, LargeReader, LargeWriter};
pub use look::Fate;
pub use plain::OnDisk;
pub use reader::{BlockingRead, Lookup};
pub(crate) use reader::{read_cached, read_waiting};
pub(crate) use space::OpenFile;
pub use stats::DiskStats;

use crate::key::CacheKey;
use crate::purge::{Purge, Purges};
use crate::semantics::Variance;
use crate::semantics::coding::Coding;
use crate::stored::StoredResponse;
use format::{Kind, LARGE, Label};
use identity::Identity;
use index::{Index, Slot};
use io::Io;
use large::LargeFiles;
use queue::{Command, Content, Put, Queue};
use reader::Mode;
use segment::Segment;
use shelf::Shelf;
use space::Space;
use stats::Counters;
use writer::Writer;

/// Smallest tier.
pub const SMALLEST: u64 = 32 << 20;

/// How long a request waits for the device. After that it goes on without it.
pub const PATIENCE: Duration = Duration::from_secs(5);

const MIB: u64 = 1 << 20;

/// What a disk tier is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskConfig {
    /// The directory. Made where it is missing; all of it belongs to the tier.
    pub path: PathBuf,
    /// Ceiling in bytes of all that is in the directory. At least [`SMALLEST`].
    pub size: u64,
    /// Largest content stored, bytes; at most a quarter of `size`, and 32 GiB.
    pub max_object: u64,
    /// Content up to this length is read whole, so that it can be kept in memory. Longer content stays in its file.
    pub whole: u64,
    /// Whether to wait for another process that has the directory, as in an upgrade, rather than fail.
    pub takeover: bool,
}

/// Two segments are always empty or being filled, so they are small beside the whole; each is a file that is kept open, so
/// they are not too many.
fn segment_size(size: u64) -> u64 {
    (size / 64).clamp(4 * MIB, 64 * MIB).max((size / 16_384).min(1024 * MIB)) & !0xFFFF
}

/// What reading and writing sides share.
#[derive(Debug)]
struct Shared {
    config: DiskConfig,
    directory: PathBuf,
    io: Io,
    space: Space,
    segment_size: u64,
    identity: OnceLock<Identity>,
    index: Index,
    shelf: Shelf,
    segments: RwLock<BTreeMap<u32, Arc<Segment>>>,
    large: LargeFiles,
    queue: Queue,
    purges: Arc<Purges>,
    counters: Counters,
    next_file: AtomicU64,
    /// Whether the file system can read without waiting (`RWF_NOWAIT`).
    reads_inline: AtomicBool,
    /// Whether the directory is ours to write to.
    writable: AtomicBool,
    /// Whether it was, and was let go of for good.
    released: AtomicBool,
}

impl Shared {
    /// Removes a file of large content. Once the directory was let go of, a file of this name is another process's.
    fn remove_large(&self, path: &Path) {
        if !self.released.load(Ordering::Acquire) {
            let _ = self.io.unlink(path);
        }
    }

    fn nonce(&self) -> u64 {
        self.identity.get().map_or(0, |identity| identity.nonce)
    }

    fn hash(&self, key: &CacheKey) -> Option<u64> {
        self.identity.get().map(|identity| identity.hash(key.as_bytes()))
    }

    fn variance(&self, variance: &Variance) -> u32 {
        if variance.is_empty() {
            return 0;
        }
        let hash = self.identity.get().map_or(0, |identity| identity.hash(&variance.suffix()));
        // 0 is for responses that do not vary.
        u32::try_from(hash & 0xFF_FFFF).unwrap_or(0).max(1)
    }

    fn segment(&self, id: u32) -> Option<Arc<Segment>> {
        self.segments.read().get(&id).cloned()
    }

    fn max_object(&self) -> u64 {
        self.config.max_object.min(self.config.size / 4).min(large::LONGEST)
    }

    fn is_writable(&self) -> bool {
        self.writable.load(Ordering::Acquire)
    }

    /// What `slot` points at is not what was written: it goes, and stays away.
    fn corrupt(&self, slot: &Slot, what: &str) {
        Counters::count(&self.counters.corrupt);
        tracing::warn!(segment = slot.segment, offset = slot.offset, "disk tier: {what}; the entry is dropped");
        if self.index.remove_slot(slot) {
            self.bury(slot.hash, slot.label(Kind::RemoveOne), std::slice::from_ref(slot));
        }
    }

    /// Has a tombstone written for what the index has let go of, and the files of `removed` unlinked.
    fn bury(&self, hash: u64, label: Label, removed: &[Slot]) {
        let files = self.files_of(removed);
        self.queue.tell(Command::Remove { key: None, hash, label, files, done: None });
    }

    fn files_of(&self, removed: &[Slot]) -> Vec<Arc<large::LargeFile>> {
        removed.iter().filter(|slot| slot.is_large()).filter_map(|slot| self.large.remove(slot.position())).collect()
    }

    fn forget_everything(&self) {
        self.index.clear();
        self.shelf.clear();
        self.segments.write().clear();
        self.large.clear();
    }
}

/// Stored responses on disk.
#[derive(Debug)]
pub struct DiskStore {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// A removal: what it removed can no longer be found.
#[derive(Debug)]
pub struct Removal {
    /// Whether there was anything.
    pub existed: bool,
    done: Option<oneshot::Receiver<bool>>,
}

impl Removal {
    /// Waits until the removal is in the log, so that it outlives this process however it ends. `false` when it could not
    /// be written: it is then written as soon as that is possible again.
    pub async fn durable(self) -> bool {
        match self.done {
            Some(done) => done.await.unwrap_or(false),
            None => true,
        }
    }
}

impl DiskStore {
    /// Opens the tier in `config.path`: takes the lock, recovers what is there, starts the writer.
    ///
    /// # Errors
    ///
    /// Another process has the directory ([`std::io::ErrorKind::ResourceBusy`]; not with `takeover`), it belongs to
    /// another user, it cannot be read or written, or `size` is below [`SMALLEST`].
    pub fn open(config: DiskConfig) -> std::io::Result<Self> {
        if config.size < SMALLEST {
            let message = format!("the disk tier needs {} MiB at least", SMALLEST / MIB);
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, message));
        }
        let segment_size = segment_size(config.size);
        Self::open_with(config, Io::default(), segment_size)
    }

    fn open_with(config: DiskConfig, io: Io, segment_size: u64) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            directory: config.path.clone(),
            io,
            // Lock, identity and the directories themselves take room too.
            space: Space::new(config.size - MIB / 4),
            segment_size,
            identity: OnceLock::new(),
            index: Index::new(),
            shelf: Shelf::new(config.size),
            segments: RwLock::default(),
            large: LargeFiles::default(),
            queue: Queue::default(),
            purges: Arc::default(),
            counters: Counters::default(),
            next_file: AtomicU64::new(1),
            reads_inline: AtomicBool::new(true),
            writable: AtomicBool::new(false),
            released: AtomicBool::new(false),
            config,
        });
        let mut writer = Writer::new(Arc::clone(&shared));
        match writer.acquire() {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy && shared.config.takeover => {
                shared.counters.degrade(error.to_string());
            }
            Err(error) => return Err(error),
        }
        let thread = std::thread::Builder::new().name("disk-writer".to_owned());
        let writer = thread.spawn(move || writer.run())?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Purges that were issued, those of earlier processes included.
    #[must_use]
    pub fn purges(&self) -> &Arc<Purges> {
        &self.shared.purges
    }

    /// Writes a purge down, which has been issued under this number. `false` when that is not possible at the moment: it is
    /// then written as soon as it is, and an end of the process before that undoes the purge.
    pub async fn write_down(&self, number: u64, purge: &Purge) -> bool {
        let (done, written) = oneshot::channel();
        let entry = journal::Entry { number, purge: purge.clone(), done };
        self.shared.queue.tell_purge(entry) && written.await.unwrap_or(false)
    }

    /// Largest content that is stored, bytes.
    #[must_use]
    pub fn max_object(&self) -> u64 {
        self.shared.max_object()
    }

    /// The stored responses of `key`.
    #[must_use]
    pub fn get(&self, key: &CacheKey) -> Lookup {
        let Some(hash) = self.shared.hash(key) else { return Lookup::Ready(super::Variants::default()) };
        let found = self.shared.index.find(hash);
        if found.slots.is_empty() && found.pending.is_empty() {
            return Lookup::Ready(super::Variants::default());
        }
        match reader::read(&self.shared, key, found, Mode::Inline) {
            Some(variants) => Lookup::Ready(variants),
            None => Lookup::Blocking(BlockingRead { shared: Arc::clone(&self.shared), key: key.clone() }),
        }
    }

    /// The stored responses of `key`, on another thread where the device has to be waited for, for [`PATIENCE`] at most:
    /// what takes longer is none.
    pub async fn load(&self, key: &CacheKey) -> super::Variants {
        match self.get(key) {
            Lookup::Ready(variants) => variants,
            Lookup::Blocking(read) => timeout(PATIENCE, read.read()).await.unwrap_or_else(|_| {
                Counters::count(&self.shared.counters.read_errors);
                tracing::warn!(%key, "disk tier: reading takes too long, and is a miss");
                super::Variants::default()
            }),
        }
    }

    /// How many variants of `key` there seem to be: by its hash, so another key's may be among them. Counts as a use of
    /// them, so that what is served from memory is not evicted here for want of use.
    #[must_use]
    pub fn variants(&self, key: &CacheKey) -> usize {
        self.shared.hash(key).map_or(0, |hash| self.shared.index.count(hash))
    }

    /// Notes a use of the key with these bytes: see [`DiskStore::variants`].
    pub fn note_use(&self, key: &[u8]) {
        if let Some(identity) = self.shared.identity.get() {
            let _ = self.shared.index.count(identity.hash(key));
        }
    }

    /// Stores `response`, in place of the variant it replaces. It can be found at once and is written soon; `false` when
    /// it is not: too large, too much waiting, or the tier is degraded. What it was to replace is gone then too.
    pub fn insert(&self, key: &CacheKey, response: Arc<StoredResponse>) -> bool {
        let large = response.content().len() as u64 >= LARGE;
        let fits = response.content().len() as u64 <= self.max_object();
        let variance = self.shared.variance(response.variance());
        let label = Label { kind: Kind::Put, variance, form: 0, large };
        self.enqueue(key, label, Content::Response(response), fits)
    }

    /// Replaces `old` by `new`, which a 304 has freshened; the content and its codings stay. `file` is the content where
    /// it is not in the response: then only the fields are written.
    pub fn freshen(
        &self,
        key: &CacheKey,
        old: &StoredResponse,
        new: Arc<StoredResponse>,
        file: Option<&LargeContent>,
    ) -> bool {
        let variance = self.shared.variance(new.variance());
        let Some(hash) = self.shared.hash(key) else { return false };
        let before = self.shared.variance(old.variance());
        let moved = before != variance;
        let content = match file {
            None => Content::Response(new),
            Some(large) => Content::File {
                response: new,
                file: Arc::clone(&large.file),
                length: large.length,
                table: large.table.clone(),
            },
        };
        let large = match &content {
            Content::Response(response) => response.content().len() as u64 >= LARGE,
            _ => true,
        };
        // Under another variance its file would have two owners: it is fetched again when it is wanted.
        let stored = (!moved || file.is_none())
            && self.enqueue(key, Label { kind: Kind::Freshened, variance, form: 0, large }, content, true);
        if moved {
            let removed = self.shared.index.remove_one(hash, before, 0);
            let label = Label { kind: Kind::RemoveOne, variance: before, form: 0, large: false };
            self.shared.bury(hash, label, &removed);
        }
        stored
    }

    /// Keeps the content of `response` in another coding. `file` is the content where it is not in the response.
    pub fn add_coded(
        &self,
        key: &CacheKey,
        response: &StoredResponse,
        file: Option<&LargeContent>,
        coding: Coding,
        content: Bytes,
    ) -> bool {
        let length = content.len() as u64;
        let label = self.coded_label(response, coding, length >= LARGE);
        let base = file.map_or_else(|| large::identity(response.content()), LargeContent::identity);
        self.enqueue(key, label, Content::Coded { coding, content, base }, length <= self.max_object())
    }

    /// Begins a large file for a response to `key`, with room for `length` bytes where that is known.
    ///
    /// # Errors
    ///
    /// It is too large, there is no room, or the tier is degraded.
    pub async fn begin_large(&self, key: &CacheKey, length: Option<u64>) -> std::io::Result<LargeWriter> {
        let hash = self.shared.hash(key).filter(|_| self.shared.is_writable());
        let hash = hash.ok_or(std::io::ErrorKind::ReadOnlyFilesystem)?;
        let begun = timeout(PATIENCE, LargeWriter::begin(&self.shared, hash, length)).await;
        let begun = begun.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        begun.inspect_err(|_| Counters::count(&self.shared.counters.rejections))
    }

    /// Stores `response`, whose content is what `writer` wrote: all of it.
    pub async fn commit_large(&self, key: &CacheKey, response: Arc<StoredResponse>, writer: LargeWriter) -> bool {
        let variance = self.shared.variance(response.variance());
        let label = Label { kind: Kind::Put, variance, form: 0, large: true };
        let content = |large::Written { file, length, table }| Content::File { response, file, length, table };
        self.commit(key, label, writer, content).await
    }

    /// Keeps the content of `response`, which is `file`, in another coding: what `writer` wrote.
    pub async fn commit_coded(
        &self,
        key: &CacheKey,
        response: &StoredResponse,
        file: &LargeContent,
        coding: Coding,
        writer: LargeWriter,
    ) -> bool {
        let (label, base) = (self.coded_label(response, coding, true), file.identity());
        let content = |large::Written { file, length, table }| Content::CodedFile { coding, base, file, length, table };
        self.commit(key, label, writer, content).await
    }

    async fn commit(
        &self,
        key: &CacheKey,
        label: Label,
        writer: LargeWriter,
        content: impl FnOnce(large::Written) -> Content,
    ) -> bool {
        let finished = tokio::task::spawn_blocking(move || writer.finish()).await;
        let Ok(Ok(written)) = finished else {
            Counters::count(&self.shared.counters.rejections);
            return false;
        };
        let path = written.file.path.clone();
        let stored = self.enqueue(key, label, content(written), true);
        if !stored {
            self.shared.remove_large(&path);
        }
        stored
    }

    fn coded_label(&self, response: &StoredResponse, coding: Coding, large: bool) -> Label {
        let variance = self.shared.variance(response.variance());
        Label { kind: Kind::Put, variance, form: head::form(coding), large }
    }

    /// Whether a response to `key` with the variance of `response` is still stored.
    #[must_use]
    pub fn is_stored(&self, key: &CacheKey, response: &StoredResponse) -> bool {
        let variance = self.shared.variance(response.variance());
        self.shared.hash(key).is_some_and(|hash| self.shared.index.has_response(hash, variance))
    }

    /// Removes all variants of `key`. None of them is found any more when this returns.
    pub fn remove(&self, key: &CacheKey) -> Removal {
        let hash = self.shared.hash(key);
        let (existed, removed) = hash.map_or((false, Vec::new()), |hash| self.shared.index.remove_all(hash));
        // Not ours yet: what another process leaves us must not come back either.
        let waiting = !self.shared.is_writable() && !self.shared.released.load(Ordering::Acquire);
        if !existed && !waiting {
            return Removal { existed, done: None };
        }
        let (done, written) = oneshot::channel();
        let label = Label { kind: Kind::RemoveAll, variance: 0, form: 0, large: false };
        let files = self.shared.files_of(&removed);
        let (key, hash) = (waiting.then(|| key.clone()), hash.unwrap_or(0));
        self.shared.queue.tell(Command::Remove { key, hash, label, files, done: Some(done) });
        Removal { existed, done: Some(written) }
    }

    /// Writes what waits, seals the log and lets go of the directory, for a process that takes over. What is stored can
    /// still be read; nothing more is stored.
    pub async fn release(&self) {
        let (done, released) = oneshot::channel();
        if self.shared.queue.tell(Command::Release { done }) {
            let _ = released.await;
        }
    }

    /// Waits until everything that was put before has been written or dropped.
    pub fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.shared.queue.tell(Command::Room { bytes: 0, done }) {
            let _ = flushed.blocking_recv();
        }
    }

    /// Figures for metrics.
    #[must_use]
    pub fn stats(&self) -> DiskStats {
        let (objects, bytes) = (self.shared.index.len(), self.shared.space.used() + MIB / 4);
        DiskStats { objects, bytes, size: self.shared.config.size, ..self.shared.counters.read() }
    }

    /// Why nothing is stored at the moment; `None` when all is well.
    #[must_use]
    pub fn degraded(&self) -> Option<String> {
        self.shared.counters.degraded.lock().clone()
    }

    fn enqueue(&self, key: &CacheKey, label: Label, content: Content, fits: bool) -> bool {
        let Some(hash) = self.shared.hash(key) else {
            Counters::count(&self.shared.counters.rejections);
            return false;
        };
        let put = Arc::new(Put { key: key.clone(), hash, label, content });
        self.shared.index.announce(&put);
        let fits = fits && key.as_bytes().len() <= format::KEY_MAX;
        if fits && self.shared.is_writable() && self.shared.queue.put(&put) {
            return true;
        }
        Counters::count(&self.shared.counters.rejections);
        if let Ok(removed) = self.shared.index.settle(&put, None)
            && !removed.is_empty()
        {
            self.shared.bury(hash, Label { kind: Kind::RemoveOne, ..label }, &removed);
        }
        false
    }
}

impl Drop for DiskStore {
    /// Ends the writer, after what waits has been written.
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}
