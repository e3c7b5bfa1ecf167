//! The content of an answer, read from the file while it is sent.
//!
//! Reads are inline as long as the page cache has the bytes (`preadv2` with `RWF_NOWAIT`); otherwise a thread that may wait takes over for
//! one chunk. The open file stays the one that was named in the fields: replacing it by a rename changes nothing here, and a file that
//! is written or cut while it is sent ends in an error, never in padding or in a mix of two contents.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags};

use super::open::{OpenFile, mtime};

/// Bytes read at a time. Large enough that the system call is cheap, small enough that ten thousand slow clients are.
const CHUNK: u64 = 128 * 1024;

/// A piece of the content.
#[derive(Debug)]
pub(super) enum Part {
    /// Text between ranges.
    Bytes(Bytes),
    /// A range of the file.
    File(Range<u64>),
}

/// The content of a [`super::FileAnswer`].
#[derive(Debug)]
pub(crate) struct FileBody {
    file: Option<Arc<OpenFile>>,
    parts: VecDeque<Part>,
}

impl FileBody {
    /// No content.
    pub(super) fn empty() -> Self {
        Self { file: None, parts: VecDeque::new() }
    }

    /// `parts` of `file`, in that order.
    pub(super) fn new(file: Arc<OpenFile>, parts: Vec<Part>) -> Self {
        Self { file: Some(file), parts: parts.into() }
    }

    /// The next chunk, never empty, at most 128 KiB; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file has become shorter, another error when it was written to since it was opened or cannot be read. The
    /// promised length cannot be kept then: abort the connection. A later call fails again.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let range = match self.parts.front_mut() {
                None => return Ok(None),
                Some(Part::File(range)) if !range.is_empty() => range,
                Some(Part::File(_)) => {
                    self.parts.pop_front();
                    continue;
                }
                Some(Part::Bytes(bytes)) => {
                    let bytes = std::mem::take(bytes);
                    self.parts.pop_front();
                    return Ok(Some(bytes));
                }
            };
            let Some(file) = &self.file else { return Ok(None) };
            let chunk = read(file, range).await?;
            range.start = range.start.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            return Ok(Some(chunk));
        }
    }

    /// Bytes not yet handed out.
    #[cfg(test)]
    pub(crate) fn remaining(&self) -> u64 {
        let size = |part: &Part| match part {
            Part::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Part::File(range) => range.end.saturating_sub(range.start),
        };
        self.parts.iter().map(size).fold(0, u64::saturating_add)
    }
}

/// Reads the start of `range`: at least one byte, at most [`CHUNK`].
async fn read(file: &Arc<OpenFile>, range: &Range<u64>) -> io::Result<Bytes> {
    let offset = range.start;
    let wanted = range.end.saturating_sub(offset).min(CHUNK);
    let mut buffer = vec![0; usize::try_from(wanted).map_err(io::Error::other)?];
    let read = read_cached(file, &mut buffer, offset);
    if read > 0 {
        buffer.truncate(read);
        unchanged(file)?;
        return Ok(Bytes::from(buffer));
    }
    let file = Arc::clone(file);
    let task = tokio::task::spawn_blocking(move || {
        let read = read_blocking(&file, &mut buffer, offset)?;
        buffer.truncate(read);
        unchanged(&file)?;
        Ok(Bytes::from(buffer))
    });
    task.await.map_err(io::Error::other)?
}

/// Bytes that are in memory; 0 for any reason to let a thread wait: not cached, not supported here, at the end of the file, or an error
/// that the thread will meet again. (Linux 5.9 and 5.10 answer 0 or less than there is, so neither is taken for the end.)
fn read_cached(file: &OpenFile, buffer: &mut [u8], offset: u64) -> usize {
    // Device numbers are kept plus one, so that 0 means none.
    let device = file.stat.st_dev.saturating_add(1);
    if file.blocking_device.load(Ordering::Relaxed) == device {
        return 0;
    }
    match rustix::io::preadv2(&file.file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT) {
        Ok(read) => read,
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            // overlayfs, tmpfs: always so.
            file.blocking_device.store(device, Ordering::Relaxed);
            0
        }
        Err(_) => 0,
    }
}

/// Fills `buffer` as far as the file goes.
fn read_blocking(file: &OpenFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.file.read_at(rest, offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX))) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if filled == 0 { Err(shrunk()) } else { Ok(filled) }
}

/// Whether the bytes just read still belong to the content that the fields promised. The time of change does not count: replacing the
/// name of the file changes it and harms nobody.
fn unchanged(file: &OpenFile) -> io::Result<()> {
    let now = rustix::fs::fstat(&file.file)?;
    if now.st_size < file.stat.st_size {
        Err(shrunk())
    } else if now.st_size > file.stat.st_size || mtime(&now) != file.mtime() {
        Err(io::Error::other("the file was written to while it was sent"))
    } else {
        Ok(())
    }
}

fn shrunk() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was sent")
}
