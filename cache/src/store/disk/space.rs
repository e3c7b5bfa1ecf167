//! The bytes of the tier: taken before anything is written, given back when the last descriptor of a file is closed.

use std::fs::File;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a file costs beside its content: inode, directory entry, extents. Generous.
pub(super) const FILE_OVERHEAD: u64 = 4096;

/// Allocation unit that lengths are rounded up to.
const BLOCK: u64 = 4096;

#[derive(Debug)]
struct Inner {
    size: u64,
    used: AtomicU64,
}

/// A budget of bytes.
#[derive(Debug, Clone)]
pub(super) struct Space(Arc<Inner>);

impl Space {
    pub(super) fn new(size: u64) -> Self {
        Self(Arc::new(Inner { size, used: AtomicU64::new(0) }))
    }

    pub(super) fn size(&self) -> u64 {
        self.0.size
    }

    pub(super) fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Bytes that can still be reserved.
    pub(super) fn free(&self) -> u64 {
        self.0.size.saturating_sub(self.used())
    }

    /// Takes the bytes a file of `length` needs, or says no.
    pub(super) fn reserve(&self, length: u64) -> Option<Reservation> {
        let bytes = file_bytes(length);
        self.take(bytes).then(|| Reservation { space: self.clone(), bytes: AtomicU64::new(bytes) })
    }

    /// Takes them whether they are there or not: for files found at start.
    pub(super) fn occupy(&self, length: u64) -> Reservation {
        let bytes = file_bytes(length);
        self.0.used.fetch_add(bytes, Ordering::Relaxed);
        Reservation { space: self.clone(), bytes: AtomicU64::new(bytes) }
    }

    fn take(&self, bytes: u64) -> bool {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.0.size);
        self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

/// Bytes a file of `length` takes.
pub(super) fn file_bytes(length: u64) -> u64 {
    length.div_ceil(BLOCK).saturating_mul(BLOCK).saturating_add(FILE_OVERHEAD)
}

/// A file that is open, and the room it takes: that comes back when nobody has it open any more, whatever became of its
/// name.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: File,
    /// Held, never read, and dropped after the file. None where it is no file of the tier.
    _space: Option<Arc<Reservation>>,
}

impl OpenFile {
    pub(super) fn new(file: File, space: &Arc<Reservation>) -> Self {
        Self { file, _space: Some(Arc::clone(space)) }
    }
}

impl From<File> for OpenFile {
    fn from(file: File) -> Self {
        Self { file, _space: None }
    }
}

impl Deref for OpenFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

/// Bytes taken; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    space: Space,
    bytes: AtomicU64,
}

impl Reservation {
    /// Takes what the file needs to grow to `length`; whether that was there.
    pub(super) fn grow(&self, length: u64) -> bool {
        let held = self.bytes.load(Ordering::Relaxed);
        let wanted = file_bytes(length);
        if wanted <= held {
            return true;
        }
        let taken = self.space.take(wanted - held);
        if taken {
            self.bytes.store(wanted, Ordering::Relaxed);
        }
        taken
    }

    /// Gives back what a file of `length` does not need.
    pub(super) fn shrink(&self, length: u64) {
        let wanted = file_bytes(length);
        let held = self.bytes.load(Ordering::Relaxed);
        if wanted < held {
            self.bytes.store(wanted, Ordering::Relaxed);
            self.space.0.used.fetch_sub(held - wanted, Ordering::Relaxed);
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.space.0.used.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_never_passed_and_what_is_dropped_comes_back() {
        let space = Space::new(5 * BLOCK);
        let first = space.reserve(1).unwrap();
        assert_eq!((space.used(), space.free()), (2 * BLOCK, 3 * BLOCK));
        assert!(space.reserve(3 * BLOCK).is_none());
        assert!(first.grow(BLOCK + 1) && !first.grow(4 * BLOCK + 1));
        first.shrink(1);
        assert_eq!(space.used(), 2 * BLOCK);
        drop(first);
        assert_eq!(space.used(), 0);
    }
}
