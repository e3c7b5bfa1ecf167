//! Recovery: what every start does, for there is no clean shutdown. Sealed segments say what they hold; one that was not
//! sealed is scanned from header to header and sealed then.
//!
//! A stretch that cannot be read may have held a tombstone, so everything older than it is forgotten: rather an empty
//! cache than a purged page.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Shared;
use super::format::{Header, Kind, UNIT};
use super::identity::Identity;
use super::index::Slot;
use super::journal;
use super::large::{self, LargeFile};
use super::segment::{self, Entry, Segment, Toc};
use super::stats::Counters;

/// Bytes read at once while scanning.
const WINDOW: usize = 1 << 20;

/// Where writing goes on.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) next_segment: u32,
    pub(super) next_sequence: u64,
}

/// Makes the directories where they are missing. Those that are there must be ours; root may take any.
pub(super) fn prepare(directory: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    let us = rustix::process::geteuid().as_raw();
    for path in [directory.to_owned(), directory.join("segments"), directory.join("large")] {
        builder.create(&path)?;
        // Each before anything is made in it: what is another's stays as it is.
        let owner = std::fs::metadata(&path)?.uid();
        if us != 0 && owner != us {
            let message = format!("{} belongs to uid {owner}, this process runs as uid {us}", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
    }
    Ok(())
}

/// Fills index, segments and large files from what is on disk. The lock is held.
pub(super) fn recover(shared: &Shared) -> io::Result<Recovered> {
    let started = Instant::now();
    identify(shared)?;
    let mut found = files(shared)?;
    match journal::read(&shared.directory, shared.nonce()) {
        Some(purges) => shared.purges.adopt(&purges),
        None => {
            if !found.segments.is_empty() {
                shared.counters.corrupt.fetch_add(1, Ordering::Relaxed);
                tracing::warn!("disk tier: the journal of purges is missing or damaged; the directory begins empty");
            }
            empty(shared, &found)?;
            found = files(shared)?;
        }
    }
    let mut recovery =
        Recovery { shared, pointers: HashMap::new(), next: Recovered { next_segment: 1, next_sequence: 1 } };
    let records = |id: &u32| segment::records(&shared.directory, *id, shared.nonce());
    shared.index.expect(found.segments.iter().map(records).sum());
    for (index, id) in found.segments.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| found.segments.get(index));
        if before.is_some_and(|before| before + 1 != *id) {
            recovery.forget_older("a segment is missing")?;
        }
        recovery.segment(*id, index + 1 == found.segments.len())?;
    }
    recovery.large(&found.large)?;
    shared.index.fit();
    let next = recovery.next;
    let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    shared.counters.recovery_micros.store(took, Ordering::Relaxed);
    let (entries, corrupt) = (shared.index.len(), shared.counters.corrupt.load(Ordering::Relaxed));
    shared.counters.at_start.store(corrupt, Ordering::Relaxed);
    tracing::info!(entries, segments = found.segments.len(), corrupt, micros = took, "disk tier recovered");
    Ok(next)
}

/// Reads the identity of the directory. Without one that is ours nothing in it can be read, and it begins empty.
fn identify(shared: &Shared) -> io::Result<()> {
    let there = Identity::read(&shared.directory);
    let identity = *shared.identity.get_or_init(|| there.unwrap_or_else(Identity::random));
    if there == Some(identity) {
        return Ok(());
    }
    let found = files(shared)?;
    if !found.segments.is_empty() {
        shared.counters.corrupt.fetch_add(1, Ordering::Relaxed);
        tracing::warn!("disk tier: the directory is of another version or damaged; it begins empty");
    }
    empty(shared, &found)?;
    shared.remove_journal()?;
    identity.write(&shared.io, &shared.directory)
}

/// Removes everything that is stored.
fn empty(shared: &Shared, found: &Files) -> io::Result<()> {
    for id in &found.segments {
        shared.io.unlink(&segment::path(&shared.directory, *id))?;
    }
    for id in found.large.keys() {
        shared.io.unlink(&large::path(&shared.directory, *id))?;
    }
    Ok(())
}

/// What is in the directories. Other names are left alone.
struct Files {
    /// Sorted.
    segments: Vec<u32>,
    /// Lengths by id.
    large: HashMap<u64, u64>,
}

fn files(shared: &Shared) -> io::Result<Files> {
    let directory = &shared.directory;
    let mut found = Files { segments: Vec::new(), large: HashMap::new() };
    for entry in std::fs::read_dir(directory.join("segments"))? {
        let entry = entry?;
        found.segments.extend(entry.file_name().to_str().and_then(segment::id));
    }
    found.segments.sort_unstable();
    for entry in std::fs::read_dir(directory.join("large"))? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.ends_with(".part") {
            // Of a fill that did not come to its end.
            shared.io.unlink(&entry.path())?;
        } else if name.len() == 16
            && let Ok(id) = u64::from_str_radix(name, 16)
        {
            found.large.insert(id, entry.metadata()?.len());
        }
    }
    Ok(found)
}

struct Recovery<'a> {
    shared: &'a Shared,
    /// Records that point at files: place, file, hash.
    pointers: HashMap<u64, (Slot, u64)>,
    next: Recovered,
}

impl Recovery<'_> {
    fn segment(&mut self, id: u32, is_last: bool) -> io::Result<()> {
        let shared = self.shared;
        let path = segment::path(&shared.directory, id);
        self.next.next_segment = self.next.next_segment.max(id + 1);
        let file = File::options().read(true).write(true).open(&path)?;
        let length = file.metadata()?.len();
        let segment = Segment { id, path, file, space: shared.space.occupy(length) };
        let Some(made_with) = segment.made_with(shared.nonce()) else {
            // Made, and not yet named when the process ended: there never was a record in it. Its number is used again.
            let mut window = Window { file: &segment.file, length, start: 0, bytes: Vec::new() };
            if is_last && window.is_unwritten(0, &[])? {
                self.next.next_segment = id;
                return shared.io.unlink(&segment.path);
            }
            return self.give_up(segment, "not the segment its name says");
        };
        let toc = match segment.toc(shared.nonce()) {
            Some(toc) => toc,
            // Sealed, for it was cut to its length; and its table is gone, and who knows what else.
            None if length != made_with => return self.give_up(segment, "a table of contents that cannot be read"),
            None => match scan(&segment, length, shared.nonce(), self.next.next_sequence)? {
                Scanned::Clean(toc, end) => {
                    let next = toc.next_sequence;
                    segment::seal_segment(&shared.io, &segment, shared.nonce(), end, &toc.entries, next)?;
                    toc
                }
                Scanned::Damaged => return self.give_up(segment, "damaged"),
            },
        };
        self.next.next_sequence = self.next.next_sequence.max(toc.next_sequence);
        for entry in &toc.entries {
            self.apply(id, entry);
        }
        shared.segments.write().insert(id, Arc::new(segment));
        Ok(())
    }

    fn apply(&mut self, segment: u32, entry: &Entry) {
        let index = &self.shared.index;
        match entry.label.kind {
            Kind::Put | Kind::Freshened => {
                let slot = entry.slot(segment);
                index.apply(slot, entry.label.kind);
                if entry.label.large {
                    // Whatever became of the file, its number is not used again while this record may be read.
                    self.shared.next_file.fetch_max(entry.file + 1, Ordering::Relaxed);
                    self.pointers.insert(slot.position(), (slot, entry.file));
                }
            }
            Kind::RemoveAll => {
                index.remove_all(entry.hash);
            }
            Kind::RemoveOne => {
                index.remove_one(entry.hash, entry.label.variance, entry.label.form);
            }
        }
    }

    /// `segment` is of no use, and what is older is no longer certain.
    fn give_up(&mut self, segment: Segment, what: &str) -> io::Result<()> {
        tracing::warn!(segment = segment.id, "disk tier: {what}");
        self.forget_older(what)?;
        self.shared.io.unlink(&segment.path)
    }

    fn forget_older(&mut self, what: &str) -> io::Result<()> {
        Counters::count(&self.shared.counters.corrupt);
        tracing::warn!(entries = self.shared.index.len(), "disk tier: {what}; all that is older is forgotten");
        self.shared.index.clear();
        self.pointers.clear();
        // Oldest first: should this stop half-way, no record outlives a tombstone of its own.
        let segments = std::mem::take(&mut *self.shared.segments.write());
        for segment in segments.values() {
            self.shared.io.unlink(&segment.path)?;
        }
        // Nor after a power loss: what made us forget them goes next.
        self.shared.io.sync_names(&self.shared.directory.join("segments"))
    }

    /// Brings files and the records that point at them together; either without the other goes.
    fn large(&mut self, found: &HashMap<u64, u64>) -> io::Result<()> {
        let shared = self.shared;
        let mut wanted = std::collections::HashSet::new();
        for (position, (slot, id)) in &self.pointers {
            if shared.index.contains(slot).is_none() {
                continue;
            }
            let Some(length) = found.get(id) else {
                shared.index.remove_slot(slot);
                continue;
            };
            wanted.insert(*id);
            let path = large::path(&shared.directory, *id);
            let space = Arc::new(shared.space.occupy(*length));
            shared.large.insert(*position, Arc::new(LargeFile { id: *id, hash: slot.hash, path, _space: space }));
        }
        for id in found.keys() {
            shared.next_file.fetch_max(id + 1, Ordering::Relaxed);
            if !wanted.contains(id) {
                shared.io.unlink(&large::path(&shared.directory, *id))?;
            }
        }
        Ok(())
    }
}

enum Scanned {
    /// Every record up to this offset; nothing but zeros behind it.
    Clean(Toc, u32),
    /// Something that is no record, and not the end.
    Damaged,
}

/// Reads a segment that was not sealed, from header to header. Contents are verified when they are read.
fn scan(segment: &Segment, length: u64, nonce: u64, first_sequence: u64) -> io::Result<Scanned> {
    let mut window = Window { file: &segment.file, length, start: 0, bytes: Vec::new() };
    let mut toc = Toc { entries: Vec::new(), next_sequence: first_sequence };
    let mut at = UNIT as u64;
    while at + UNIT as u64 <= length {
        let Ok(header) = Header::decode(window.at(at)?, nonce) else {
            let end = u32::try_from(at).map_err(|_| io::ErrorKind::InvalidData)?;
            // A seal that was cut short is as good as none.
            let seal = segment::closing(segment.id, nonce, end, &toc.entries, toc.next_sequence);
            return Ok(if window.is_unwritten(at, &seal)? { Scanned::Clean(toc, end) } else { Scanned::Damaged });
        };
        let record = header.record_len() as u64;
        if header.segment != segment.id || header.sequence < toc.next_sequence || at + record > length {
            return Ok(Scanned::Damaged);
        }
        let offset = u32::try_from(at).map_err(|_| io::ErrorKind::InvalidData)?;
        let entry = Entry {
            hash: header.hash,
            file: header.file,
            offset,
            length: u32::try_from(record).unwrap_or(u32::MAX),
            label: header.label,
        };
        toc.entries.push(entry);
        toc.next_sequence = header.sequence + 1;
        at += record;
    }
    // Room for the table is kept while writing: a segment that ends without any was cut.
    Ok(Scanned::Damaged)
}

/// A part of the file in memory.
struct Window<'a> {
    file: &'a File,
    length: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// The unit at `at`.
    fn at(&mut self, at: u64) -> io::Result<&[u8]> {
        let end = self.start + self.bytes.len() as u64;
        if at < self.start || at + UNIT as u64 > end {
            self.fill(at)?;
        }
        let from = usize::try_from(at - self.start).unwrap_or(usize::MAX);
        self.bytes.get(from..from.saturating_add(UNIT)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn fill(&mut self, at: u64) -> io::Result<()> {
        let length = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX).min(WINDOW);
        self.bytes.resize(length, 0);
        self.start = at;
        self.file.read_exact_at(&mut self.bytes, at)
    }

    /// Whether there is nothing from `at` on but zeros and what was written of `seal`.
    fn is_unwritten(&mut self, mut at: u64, seal: &[u8]) -> io::Result<bool> {
        let mut seal = seal.iter();
        while at < self.length {
            self.fill(at)?;
            let mut expected = || seal.next().copied().unwrap_or(0);
            if self.bytes.iter().any(|byte| expected() != *byte && *byte != 0) {
                return Ok(false);
            }
            at += self.bytes.len() as u64;
        }
        Ok(true)
    }
}
