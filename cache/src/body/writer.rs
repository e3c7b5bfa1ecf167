//! The one writer of a body.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::timeout;

use super::spool::Reservation;
use super::{Body, BodyError, End, Retention};
use crate::store::disk::{LargeWriter, PATIENCE};

/// Pieces below this go into the page cache from where they are: handing them to another thread would cost more.
const INLINE: usize = 16 * 1024;

/// Bytes that are written to a file of the disk tier at once, where they come so fast: each time another thread does it.
const AT_ONCE: usize = 256 * 1024;

/// The writing end. Dropping it without [`BodyWriter::finish`] aborts the body: readers see an error, never a short
/// content that looks whole.
#[derive(Debug)]
pub struct BodyWriter {
    body: Arc<Body>,
    /// The file of the disk tier that all of it goes to.
    file: Option<LargeWriter>,
    /// What is to be written to it next, and how much that is. Readers do not see it yet.
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

impl BodyWriter {
    pub(super) fn new(body: Arc<Body>) -> Self {
        Self { body, file: None, waiting: Vec::new(), waiting_bytes: 0 }
    }

    /// Appends `chunk`. Waits only when the temporary file is full. Where all of it goes to a file of the disk tier readers
    /// may not see it before [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// When nobody is left to read a body that is not kept, or when the temporary file fails.
    pub async fn push(&mut self, chunk: Bytes) -> Result<(), BodyError> {
        if chunk.is_empty() {
            return Ok(());
        }
        if self.file.is_none() {
            return self.append(chunk).await;
        }
        self.waiting_bytes += chunk.len();
        self.waiting.push(chunk);
        if self.waiting_bytes < AT_ONCE { Ok(()) } else { self.flush().await }
    }

    /// Writes what waits to the file of the disk tier: nothing more comes for the moment. Does nothing where there is none.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub async fn flush(&mut self) -> Result<(), BodyError> {
        let (waiting, bytes) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.waiting_bytes));
        let Some(file) = self.file.as_mut().filter(|_| bytes > 0) else { return Ok(()) };
        // A device that takes too long is as good as one that fails: who reads this waits for it.
        if matches!(timeout(PATIENCE, file.write(waiting.clone())).await, Ok(Ok(()))) {
            self.body.window.lock().appended(waiting);
            self.body.readable.notify_waiters();
            return Ok(());
        }
        // It will not be stored; those who read it go on.
        self.file = None;
        self.body.window.lock().freeze();
        self.body.readable.notify_waiters();
        for chunk in waiting {
            self.append(chunk).await?;
        }
        Ok(())
    }

    /// Appends to what is in memory, or to the temporary file.
    async fn append(&self, chunk: Bytes) -> Result<(), BodyError> {
        let length = chunk.len() as u64;
        let reserved = loop {
            let mut moved = std::pin::pin!(self.body.writable.notified());
            moved.as_mut().enable();
            {
                let mut window = self.body.window.lock();
                if window.retention() == Retention::Release && !window.has_readers() {
                    return Err(BodyError::Aborted(Arc::from("every reader has left")));
                }
                let in_file = window.in_file();
                if in_file.is_none() {
                    let held = window.unread_in_memory() + length;
                    if window.retention() == Retention::Keep || held <= self.body.limits.memory as u64 {
                        window.push(chunk);
                        drop(window);
                        self.body.readable.notify_waiters();
                        return Ok(());
                    }
                }
                if !window.is_frozen()
                    && in_file.unwrap_or(0) + length <= self.body.limits.file
                    && let Some(reserved) = self.body.space.reserve(length)
                {
                    break reserved;
                }
            }
            moved.await;
        };
        self.spill(chunk, reserved).await
    }

    /// Writes `chunk` behind the temporary file's run, off the worker thread if it is large.
    async fn spill(&self, chunk: Bytes, reserved: Reservation) -> Result<(), BodyError> {
        let length = chunk.len() as u64;
        let place = self.body.window.lock().spill_to(|| self.body.space.file());
        let (file, offset) = place.map_err(|error| spool_error(&error))?;
        let written = if chunk.len() < INLINE {
            file.write_all_at(&chunk, offset)
        } else {
            let task = tokio::task::spawn_blocking(move || file.write_all_at(&chunk, offset));
            task.await.map_err(std::io::Error::other).flatten()
        };
        written.map_err(|error| spool_error(&error))?;
        self.body.window.lock().spilled(length, reserved);
        self.body.readable.notify_waiters();
        Ok(())
    }

    /// Keeps the content in `file` rather than in memory: what has arrived, and all that follows. Readers go on there; new
    /// ones can start at the first byte as long as it lasts.
    ///
    /// # Errors
    ///
    /// The file cannot take what has arrived. Then nothing has changed.
    pub async fn move_to(&mut self, mut file: LargeWriter) -> std::io::Result<()> {
        let kept = self.body.window.lock().kept();
        timeout(PATIENCE, file.write(kept)).await??;
        self.body.window.lock().moved_to(file.file());
        self.file = Some(file);
        Ok(())
    }

    /// Whether all of it goes to a file of the disk tier.
    #[must_use]
    pub fn is_in_file(&self) -> bool {
        self.file.is_some()
    }

    /// The file with the whole content, once it is [flushed](Self::flush).
    pub fn take_file(&mut self) -> Option<LargeWriter> {
        self.file.take_if(|_| self.waiting.is_empty())
    }

    /// From now on what was read is let go of: the content is too large to store. Readers go on undisturbed.
    pub fn stop_retaining(&self) {
        self.body.window.lock().stop_retaining();
    }

    /// Whether anybody reads.
    #[must_use]
    pub fn has_readers(&self) -> bool {
        self.body.window.lock().has_readers()
    }

    /// The whole has been appended.
    pub fn finish(self) {
        self.end(End::Complete);
    }

    /// The rest will not come; `reason` is for the log.
    pub fn abort(self, reason: &str) {
        self.end(End::Failed(BodyError::Aborted(Arc::from(reason))));
    }

    /// The whole content, when it was kept.
    #[must_use]
    pub fn content(&self) -> Option<Bytes> {
        let window = self.body.window.lock();
        (window.retention() == Retention::Keep).then(|| window.content()).flatten()
    }

    fn end(&self, end: End) {
        let mut window = self.body.window.lock();
        if window.end.is_none() {
            window.ended(end);
            drop(window);
            self.body.readable.notify_waiters();
        }
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        self.end(End::Failed(BodyError::Aborted(Arc::from("the fill was dropped"))));
    }
}

fn spool_error(error: &std::io::Error) -> BodyError {
    BodyError::Spool(Arc::from(error.to_string()))
}
