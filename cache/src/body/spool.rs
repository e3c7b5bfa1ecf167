//! The directory temporary files live in, and the bytes all of them together may take.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where unread bytes of slow clients wait, with a budget for all of them.
#[derive(Debug)]
pub struct SpoolSpace {
    directory: PathBuf,
    budget: u64,
    used: AtomicU64,
}

impl SpoolSpace {
    /// Files are made in `directory`; together they hold at most `budget` bytes.
    #[must_use]
    pub fn new(directory: &Path, budget: u64) -> Self {
        Self { directory: directory.to_owned(), budget, used: AtomicU64::new(0) }
    }

    /// An unlinked file: it goes with its last descriptor, whatever happens to the process.
    pub(super) fn file(&self) -> io::Result<File> {
        tempfile::tempfile_in(&self.directory)
    }

    /// Takes `bytes` of the budget; `None` when that would exceed it.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let within = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.budget);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).ok()?;
        Some(Reservation { space: Arc::clone(self), bytes })
    }

    /// Bytes waiting in temporary files at the moment.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

/// Bytes of the budget, held for as long as the file that takes them is there.
#[derive(Debug)]
pub(super) struct Reservation {
    space: Arc<SpoolSpace>,
    bytes: u64,
}

impl Reservation {
    /// Adds what `other` holds.
    pub(super) fn absorb(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.space.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
