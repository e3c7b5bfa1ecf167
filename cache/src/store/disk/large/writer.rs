//! Writing large content while it arrives. The file has another name until it is whole, and no record points at it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::super::Shared;
use super::super::queue::Command;
use super::super::space::{OpenFile, Reservation, file_bytes};
use super::{BLOCK, LargeFile, part_path, path};

/// Room is taken in steps of this where the length is not known.
const STEP: u64 = 16 << 20;

/// The writing end of a large file. Dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub struct LargeWriter {
    shared: Arc<Shared>,
    file: Arc<OpenFile>,
    part: PathBuf,
    id: u64,
    hash: u64,
    /// Held by whoever reads the file, too.
    space: Option<Arc<Reservation>>,
    allocated: u64,
    written: u64,
    block: crc32fast::Hasher,
    table: Vec<u8>,
    limit: u64,
}

/// A large file that is whole.
#[derive(Debug)]
pub(in super::super) struct Written {
    pub(in super::super) file: Arc<LargeFile>,
    pub(in super::super) length: u64,
    pub(in super::super) table: Bytes,
}

impl LargeWriter {
    /// Makes the file, with room for `length` bytes where that is known. Entries are evicted for it.
    ///
    /// # Errors
    ///
    /// There is no room, or the device says no.
    pub(in super::super) async fn begin(shared: &Arc<Shared>, hash: u64, length: Option<u64>) -> io::Result<Self> {
        let limit = shared.max_object();
        if length.is_some_and(|length| length > limit) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let allocated = length.unwrap_or_else(|| STEP.min(limit));
        let space = reserve(shared, allocated).await?;
        // The device may make us wait.
        let shared = Arc::clone(shared);
        let created = tokio::task::spawn_blocking(move || Self::create(&shared, hash, allocated, space));
        created.await.map_err(io::Error::other)?
    }

    /// The same, on the writer's own thread, which has the room already.
    pub(in super::super) fn create(
        shared: &Arc<Shared>,
        hash: u64,
        allocated: u64,
        space: Reservation,
    ) -> io::Result<Self> {
        let id = shared.next_file.fetch_add(1, Ordering::Relaxed);
        let part = part_path(&shared.directory, id);
        let file = shared.io.create(&part, allocated)?;
        let space = Arc::new(space);
        let limit = shared.max_object();
        Ok(Self {
            shared: Arc::clone(shared),
            file: Arc::new(OpenFile::new(file, &space)),
            part,
            id,
            hash,
            space: Some(space),
            allocated,
            written: 0,
            block: crc32fast::Hasher::new(),
            table: Vec::new(),
            limit,
        })
    }

    /// The file, for those who read while it is written.
    pub(crate) fn file(&self) -> Arc<OpenFile> {
        Arc::clone(&self.file)
    }

    /// Bytes written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Appends `chunks`, off this thread.
    ///
    /// # Errors
    ///
    /// It has become larger than is stored, there is no more room, or the device says no. What was written before can
    /// still be read by those who have the file.
    pub async fn write(&mut self, chunks: Vec<Bytes>) -> io::Result<()> {
        let end = self.written + chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        if end == self.written {
            return Ok(());
        }
        if end > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if end > self.allocated {
            self.extend(end).await?;
        }
        let (io, file, at) = (self.shared.io.clone(), Arc::clone(&self.file), self.written);
        let written = tokio::task::spawn_blocking(move || io.write_chunks(&file, &chunks, at).map(|()| chunks));
        for chunk in written.await.map_err(io::Error::other)?? {
            self.account(&chunk);
        }
        Ok(())
    }

    /// Appends `data` on this thread; room was made before.
    pub(in super::super) fn write_now(&mut self, data: &[u8]) -> io::Result<()> {
        self.shared.io.write(&self.file, data, self.written)?;
        self.account(data);
        Ok(())
    }

    fn account(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let left = BLOCK - self.written % BLOCK;
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
            let (part, rest) = data.split_at_checked(length).unwrap_or((data, &[]));
            self.block.update(part);
            self.written += part.len() as u64;
            if self.written.is_multiple_of(BLOCK) {
                self.end_block();
            }
            data = rest;
        }
    }

    fn end_block(&mut self) {
        let crc = std::mem::take(&mut self.block).finalize();
        self.table.extend_from_slice(&crc.to_le_bytes());
    }

    async fn extend(&mut self, end: u64) -> io::Result<()> {
        let wanted = end.next_multiple_of(STEP).min(self.limit).max(end);
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        for _ in 0..3 {
            let space = self.space.as_ref().ok_or_else(full)?;
            let more = file_bytes(wanted).saturating_sub(space.bytes());
            if self.shared.has_room(more) && space.grow(wanted) {
                let (io, file, from) = (self.shared.io.clone(), Arc::clone(&self.file), self.allocated);
                let extended = tokio::task::spawn_blocking(move || io.extend(&file, from, wanted - from)).await;
                extended.map_err(io::Error::other)??;
                self.allocated = wanted;
                return Ok(());
            }
            if !make_room(&self.shared, more).await {
                break;
            }
        }
        Err(full())
    }

    /// Ends the file: cut to its length, and called by its name from now on. Blocks for a moment.
    pub(in super::super) fn finish(mut self) -> io::Result<Written> {
        if !self.written.is_multiple_of(BLOCK) {
            self.end_block();
        }
        let length = self.written;
        if !self.shared.is_writable() {
            // The directory was let go of: another process may have a file of this name.
            self.space = None;
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        if length < self.allocated {
            self.shared.io.truncate(&self.file, length)?;
        }
        let path = path(&self.shared.directory, self.id);
        self.shared.io.rename(&self.part, &path)?;
        let space = self.space.take().ok_or(io::ErrorKind::StorageFull)?;
        space.shrink(length);
        let file = Arc::new(LargeFile { id: self.id, hash: self.hash, path, _space: space });
        Ok(Written { file, length, table: Bytes::from(std::mem::take(&mut self.table)) })
    }
}

impl Drop for LargeWriter {
    fn drop(&mut self) {
        // Finished, it has given its space away, and the file has its name.
        let Some(space) = self.space.take() else { return };
        let (shared, part, file) = (Arc::clone(&self.shared), std::mem::take(&mut self.part), Arc::clone(&self.file));
        let unlink = move || {
            shared.remove_large(&part);
            // Not before: what is on the device takes its room.
            drop((file, space));
        };
        // The device may make us wait, and this may be a thread that serves.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(unlink)),
            Err(_) => unlink(),
        }
    }
}

async fn reserve(shared: &Arc<Shared>, length: u64) -> io::Result<Reservation> {
    for _ in 0..3 {
        if shared.has_room(file_bytes(length))
            && let Some(space) = shared.space.reserve(length)
        {
            return Ok(space);
        }
        if !make_room(shared, file_bytes(length)).await {
            break;
        }
    }
    Err(io::ErrorKind::StorageFull.into())
}

async fn make_room(shared: &Shared, bytes: u64) -> bool {
    let (done, made) = oneshot::channel();
    shared.queue.tell(Command::Room { bytes, done }) && made.await.unwrap_or(false)
}
