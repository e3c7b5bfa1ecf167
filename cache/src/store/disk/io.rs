//! The file operations of the writing side in one place, so that tests can make each of them fail, and record them.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
#[cfg(test)]
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, pwritev};

#[cfg(test)]
use super::fault::Faults;
#[cfg(test)]
use super::record::Recorder;

/// Pieces given to the kernel in one call; it takes 1024 at most.
const MOST_AT_ONCE: usize = 64;

/// A kind of operation, for faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Create,
    Write,
    Sync,
    Rename,
    Unlink,
}

/// The operations. Without faults and recorders, which only tests have, a namespace.
#[derive(Debug, Default, Clone)]
pub(super) struct Io {
    #[cfg(test)]
    pub(super) faults: Option<Arc<Faults>>,
    #[cfg(test)]
    pub(super) recorder: Option<Arc<Recorder>>,
}

impl Io {
    #[cfg_attr(not(test), expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "faults are for tests"))]
    fn before(&self, op: Op) -> io::Result<()> {
        let _ = op;
        #[cfg(test)]
        if let Some(faults) = &self.faults {
            faults.before(op)?;
        }
        Ok(())
    }

    #[cfg(test)]
    fn record(&self, note: impl FnOnce(&Recorder)) {
        if let Some(recorder) = &self.recorder {
            note(recorder);
        }
    }

    /// A new file with `size` bytes allocated: that the device is full is found now, not in the middle of a record.
    pub(super) fn create(&self, path: &Path, size: u64) -> io::Result<File> {
        self.before(Op::Create)?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        if let Err(error) = allocate(&file, 0, size) {
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        #[cfg(test)]
        self.record(|recorder| recorder.created(&file, path, size));
        Ok(file)
    }

    /// Allocates `size` more bytes from `offset` on.
    pub(super) fn extend(&self, file: &File, offset: u64, size: u64) -> io::Result<()> {
        self.before(Op::Create)?;
        allocate(file, offset, size)?;
        #[cfg(test)]
        self.record(|recorder| recorder.resized(file, offset + size));
        Ok(())
    }

    pub(super) fn write(&self, file: &File, data: &[u8], offset: u64) -> io::Result<()> {
        self.before(Op::Write)?;
        file.write_all_at(data, offset)?;
        #[cfg(test)]
        self.record(|recorder| recorder.written(file, data, offset));
        Ok(())
    }

    /// The same for several pieces that follow each other, with as few calls as the kernel allows: what is written at once
    /// lies together in the page cache, too.
    pub(super) fn write_chunks(&self, file: &File, chunks: &[Bytes], offset: u64) -> io::Result<()> {
        self.before(Op::Write)?;
        let mut at = offset;
        for some in chunks.chunks(MOST_AT_ONCE) {
            let slices: Vec<_> = some.iter().map(|chunk| IoSlice::new(chunk)).collect();
            let mut written = match pwritev(file, &slices, at) {
                Err(Errno::INTR) => 0,
                other => other?,
            };
            for chunk in some {
                let done = written.min(chunk.len());
                written -= done;
                if let Some(rest) = chunk.get(done..).filter(|rest| !rest.is_empty()) {
                    file.write_all_at(rest, at + done as u64)?;
                }
                #[cfg(test)]
                self.record(|recorder| recorder.written(file, chunk, at));
                at += chunk.len() as u64;
            }
        }
        Ok(())
    }

    pub(super) fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.before(Op::Write)?;
        file.set_len(length)?;
        #[cfg(test)]
        self.record(|recorder| recorder.resized(file, length));
        Ok(())
    }

    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        self.before(Op::Sync)?;
        file.sync_data()?;
        #[cfg(test)]
        self.record(|recorder| recorder.synced(file));
        Ok(())
    }

    /// Brings what was made, renamed and removed in `directory` to the device.
    pub(super) fn sync_names(&self, directory: &Path) -> io::Result<()> {
        self.before(Op::Sync)?;
        File::open(directory)?.sync_all()?;
        #[cfg(test)]
        self.record(|recorder| recorder.synced_names(directory));
        Ok(())
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Op::Rename)?;
        std::fs::rename(from, to)?;
        #[cfg(test)]
        self.record(|recorder| recorder.renamed(from, to));
        Ok(())
    }

    /// Removes a file; one that is not there is as good as removed.
    pub(super) fn unlink(&self, path: &Path) -> io::Result<()> {
        self.before(Op::Unlink)?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        #[cfg(test)]
        self.record(|recorder| recorder.removed(path));
        Ok(())
    }
}

/// Where the file system cannot allocate ahead (ZFS), the length is set and a full device is found later.
fn allocate(file: &File, offset: u64, size: u64) -> io::Result<()> {
    if size == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::empty(), offset, size) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(offset + size),
        other => other.map_err(io::Error::from),
    }
}
