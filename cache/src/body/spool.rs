//! The directory temporary files live in, and the bytes all of them together may take.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
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

    /// Takes `bytes` of the budget, or says no.
    pub(super) fn reserve(&self, bytes: u64) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.budget)
            })
            .is_ok()
    }

    /// Gives `bytes` back.
    pub(super) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes waiting in temporary files at the moment.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}
