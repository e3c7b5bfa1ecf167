//! A range of a file on its way out. It is read while it is sent, or leaves as it lies there: the kernel sends it (`sendfile`), and
//! nothing is copied here.
//!
//! Reads are inline as long as the page cache has the bytes (`preadv2` with `RWF_NOWAIT`); otherwise a thread that may wait takes over for
//! one chunk. The open file stays the one that was named in the fields: replacing it by a rename changes nothing here, and a file that
//! is written or cut while it is sent ends in an error, never in padding or in a mix of two contents.
//!
//! `sendfile` waits for a disk if it has to. So what it is about to send is asked for first, a [`WINDOW`] at a time: by looking at some
//! bytes of it without waiting (`RWF_NOWAIT`), and, where they are not in memory, by a thread that may wait.
//!
//! What `sendfile` has queued belongs to the file until the client has taken it: one that is overwritten in place meanwhile is noticed
//! with the next piece, too late for that one. Replace files by renaming, as everything does that deploys.

use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use forebay_cache::buffer::Buffer;
use rustix::io::{Errno, ReadWriteFlags};

use super::open::{OpenFile, mtime};

/// Bytes read at a time. Large enough that the system call is cheap, small enough that ten thousand slow clients are.
const CHUNK: usize = 128 * 1024;

/// Bytes that the kernel sends at a time: the more the better, it fills larger packets.
const WINDOW: u64 = 2 * 1024 * 1024;

/// Bytes between two that are looked at, to see whether the window is in memory.
const STRIDE: u64 = 512 * 1024;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct FileSlice {
    file: Arc<OpenFile>,
    range: Range<u64>,
    /// Up to here it is known to be in memory.
    present: u64,
}

impl FileSlice {
    /// That range of `file`.
    pub(crate) fn new(file: Arc<OpenFile>, range: Range<u64>) -> Self {
        Self { file, present: range.start, range }
    }

    /// Whether the kernel may send it as it lies there.
    pub(crate) fn is_sendable(&self) -> bool {
        self.file.sendfile
    }

    /// Bytes that are left.
    pub(crate) fn length(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// The file, if nothing of it is left out.
    pub(super) fn whole(&self) -> Option<&Arc<OpenFile>> {
        (self.range == (0..self.file.length())).then_some(&self.file)
    }

    /// Reads the next chunk: at least one byte, at most [`CHUNK`]. `None` at the end.
    ///
    /// # Errors
    ///
    /// See [`super::FileBody::next`].
    pub(crate) async fn read(&mut self) -> io::Result<Option<Bytes>> {
        if self.range.is_empty() {
            return Ok(None);
        }
        let chunk = read(&self.file, &self.range).await?;
        self.range.start = self.range.start.saturating_add(chunk.len() as u64);
        Ok(Some(chunk))
    }

    /// Makes sure that the next bytes can be sent without waiting for a disk.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has become shorter.
    pub(crate) async fn fetch(&mut self) -> io::Result<()> {
        if self.range.start < self.present {
            return Ok(());
        }
        let start = self.range.start;
        let mut end = start;
        let stride = |from: u64| self.range.end.min(from.saturating_add(STRIDE));
        while end < self.range.end.min(start.saturating_add(WINDOW)) && self.is_cached(end, stride(end)) {
            end = stride(end);
        }
        if end == start {
            end = stride(start);
            let file = Arc::clone(&self.file);
            let length = usize::try_from(end.saturating_sub(start)).map_err(io::Error::other)?;
            let read = tokio::task::spawn_blocking(move || read_blocking(&file, &mut vec![0; length], start));
            read.await.map_err(io::Error::other)??;
        }
        self.present = end;
        Ok(())
    }

    /// Both ends of a stretch, as far as that tells.
    fn is_cached(&self, start: u64, end: u64) -> bool {
        let has = |offset| read_cached(&self.file, &mut [0], offset) == 1;
        has(start) && has(end.saturating_sub(1))
    }

    /// Sends what [`fetch`](Self::fetch) made sure of, as far as `socket` takes it. Returns how much that was.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the socket takes nothing at present; others of the socket; `UnexpectedEof` when the file has become
    /// shorter, [`io::ErrorKind::InvalidData`] when it was written to.
    pub(crate) fn send(&mut self, socket: impl AsFd) -> io::Result<u64> {
        let wanted = self.present.min(self.range.end).saturating_sub(self.range.start);
        let mut offset = self.range.start;
        let sent = rustix::fs::sendfile(
            socket,
            &self.file.file,
            Some(&mut offset),
            usize::try_from(wanted).unwrap_or(usize::MAX),
        )?;
        if sent == 0 {
            return Err(shrunk());
        }
        unchanged(&self.file).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.range.start = offset;
        Ok(sent as u64)
    }
}

impl OpenFile {
    /// All of it, if it is in memory. For small files.
    pub(crate) fn read_whole_cached(&self) -> Option<Bytes> {
        let mut buffer = vec![0; usize::try_from(self.length()).ok()?];
        (buffer.is_empty() || read_cached(self, &mut buffer, 0) == buffer.len()).then(|| Bytes::from(buffer))
    }
}

/// Reads the start of `range`: at least one byte, at most [`CHUNK`].
async fn read(file: &Arc<OpenFile>, range: &Range<u64>) -> io::Result<Bytes> {
    let offset = range.start;
    let wanted = usize::try_from(range.end.saturating_sub(offset)).unwrap_or(usize::MAX).min(CHUNK);
    let mut chunk = Buffer::of(wanted);
    let read = read_cached(file, chunk.as_mut(), offset);
    if read > 0 {
        unchanged(file)?;
        return Ok(chunk.filled(read));
    }
    let file = Arc::clone(file);
    let task = tokio::task::spawn_blocking(move || {
        let read = read_blocking(&file, chunk.as_mut(), offset)?;
        unchanged(&file)?;
        Ok(chunk.filled(read))
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
