//! The files with large content, by the place of the records that point at them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::space::Reservation;

/// A file with the content of one response. Its space is given back when nobody holds it any more: a file that was
/// removed while it is read still takes room on the device.
#[derive(Debug)]
pub(in super::super) struct LargeFile {
    pub(in super::super) id: u64,
    pub(in super::super) hash: u64,
    pub(in super::super) path: PathBuf,
    /// Held, never read: dropping it gives the room back.
    pub(in super::super) _space: Arc<Reservation>,
}

pub(in super::super) fn path(directory: &Path, id: u64) -> PathBuf {
    directory.join("large").join(format!("{id:016x}"))
}

/// Where a file is written until it is whole.
pub(in super::super) fn part_path(directory: &Path, id: u64) -> PathBuf {
    directory.join("large").join(format!("{id:016x}.part"))
}

/// Files in the order their records were written.
#[derive(Debug, Default)]
pub(in super::super) struct LargeFiles(Mutex<BTreeMap<u64, Arc<LargeFile>>>);

impl LargeFiles {
    pub(in super::super) fn insert(&self, position: u64, file: Arc<LargeFile>) {
        self.0.lock().insert(position, file);
    }

    pub(in super::super) fn get(&self, position: u64) -> Option<Arc<LargeFile>> {
        self.0.lock().get(&position).cloned()
    }

    pub(in super::super) fn remove(&self, position: u64) -> Option<Arc<LargeFile>> {
        self.0.lock().remove(&position)
    }

    /// The file that was stored first, and its place.
    pub(in super::super) fn oldest(&self) -> Option<(u64, Arc<LargeFile>)> {
        self.0.lock().first_key_value().map(|(position, file)| (*position, Arc::clone(file)))
    }

    pub(in super::super) fn clear(&self) {
        self.0.lock().clear();
    }
}
