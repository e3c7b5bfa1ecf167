//! The journal of purges: a file beside the log, so that a purge that was acknowledged holds after a restart, however the
//! process ended. It holds what [`crate::purge::Purges`] holds, and is synced before a purge is acknowledged.
//!
//! Without it nobody could tell what of the log has been purged. One that is missing or damaged empties the directory.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::oneshot;

use super::Shared;
use super::format::{UNIT, VERSION, Words, seal};
use super::space::Reservation;
use super::stats::Counters;
use super::writer::Writer;
use crate::purge::Purge;

/// "prg"
const MARK: u32 = 0x0067_7270;

/// Bytes appended to the journal before it is written anew, without what has been retired.
const SLACK: u64 = 256 << 10;

/// Longest entry that is believed: a purge names at most 64 KiB of tags.
const LONGEST: usize = 1 << 20;

/// Length and checksum before each entry.
const PREFIX: usize = 8;

/// A purge on its way to the journal.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) purge: Purge,
    /// Whether it is in the journal, and on the device.
    pub(super) done: oneshot::Sender<bool>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    end: u64,
    /// Where it is written anew.
    limit: u64,
    _space: Reservation,
}

fn path(directory: &Path) -> PathBuf {
    directory.join("purges")
}

fn head(nonce: u64) -> [u8; UNIT] {
    let mut unit = [0; UNIT];
    for (place, word) in unit.chunks_exact_mut(8).zip([nonce, u64::from(MARK) | (u64::from(VERSION) << 32)]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    seal(&mut unit);
    unit
}

fn encode(number: u64, purge: &Purge, out: &mut Vec<u8>) -> io::Result<()> {
    let entry = postcard::to_allocvec(&(number, purge)).map_err(io::Error::other)?;
    let length = u32::try_from(entry.len()).map_err(io::Error::other)?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&entry).to_le_bytes());
    out.extend_from_slice(&entry);
    Ok(())
}

/// The purges in the journal of `directory`; `None` when it is not there, or not all of it can be believed. An entry that
/// the file ends within was being written, and so was not acknowledged.
pub(super) fn read(directory: &Path, nonce: u64) -> Option<Vec<(u64, Purge)>> {
    let bytes = std::fs::read(path(directory)).ok()?;
    let (unit, mut rest) = bytes.split_at_checked(UNIT)?;
    let mut words = Words::sealed(unit)?;
    let marked = words.u64() == nonce && words.u32() == MARK && words.u32() == VERSION;
    if !marked {
        return None;
    }
    let mut purges = Vec::new();
    while let Some((prefix, behind)) = rest.split_at_checked(PREFIX) {
        let mut words = Words(prefix);
        let (length, crc) = (words.u32() as usize, words.u32());
        if length == 0 || length > LONGEST {
            return None;
        }
        let Some((entry, behind)) = behind.split_at_checked(length) else { break };
        if crc32fast::hash(entry) != crc {
            return None;
        }
        purges.push(postcard::from_bytes(entry).ok()?);
        rest = behind;
    }
    Some(purges)
}

impl Journal {
    /// Writes the journal anew, of what is known now; whole or not at all.
    fn create(shared: &Shared) -> io::Result<Self> {
        let mut bytes = head(shared.nonce()).to_vec();
        for (number, purge) in shared.purges.snapshot() {
            encode(number, &purge, &mut bytes)?;
        }
        let end = bytes.len() as u64;
        let limit = end + SLACK;
        let part = shared.directory.join("purges.part");
        shared.io.unlink(&part)?;
        let file = shared.io.create(&part, 0)?;
        shared.io.write(&file, &bytes, 0)?;
        shared.io.sync(&file)?;
        shared.io.rename(&part, &path(&shared.directory))?;
        // The name, too, has to be on the device.
        shared.io.sync_names(&shared.directory)?;
        Ok(Self { file, end, limit, _space: shared.space.occupy(limit) })
    }

    fn append(&mut self, shared: &Shared, entries: &[Entry]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for entry in entries {
            encode(entry.number, &entry.purge, &mut bytes)?;
        }
        shared.io.write(&self.file, &bytes, self.end)?;
        shared.io.sync(&self.file)?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

impl Shared {
    /// Removes the journal: what it says is about a log that is no more.
    pub(super) fn remove_journal(&self) -> io::Result<()> {
        self.io.unlink(&path(&self.directory))
    }
}

impl Writer {
    /// Begins the journal with what an earlier process left, and with purges issued since this one began.
    pub(super) fn begin_journal(&mut self) -> io::Result<()> {
        self.journal = Some(Journal::create(&self.shared)?);
        Ok(())
    }

    /// Writes purges down, all that wait at once, and says of each whether that was possible.
    pub(super) fn journal(&mut self, entries: Vec<Entry>) {
        let written = self.lock.is_some() && !self.shared.released.load(Ordering::Acquire) && self.write_down(&entries);
        for entry in entries {
            let _ = entry.done.send(written);
        }
    }

    fn write_down(&mut self, entries: &[Entry]) -> bool {
        let result = match &mut self.journal {
            Some(journal) if journal.end < journal.limit => journal.append(&self.shared, entries),
            // They are among what is known already.
            _ => self.begin_journal(),
        };
        if let Err(error) = &result {
            tracing::error!(%error, "purges cannot be written down; those that were not are tried again");
            Counters::count(&self.shared.counters.write_errors);
            // What was half written must not stand before what comes next.
            self.journal = None;
            self.journal_retry = Instant::now() + super::writer::RETRY;
        }
        result.is_ok()
    }

    /// What could not be written down is tried again.
    pub(super) fn mend_journal(&mut self) {
        if self.journal.is_none() && self.lock.is_some() && self.journal_retry <= Instant::now() {
            self.write_down(&[]);
        }
    }
}
