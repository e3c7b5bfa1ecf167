//! The one writer of a body.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;

use super::{Body, BodyError, End, Retention};

/// Pieces below this go into the page cache from where they are: handing them to another thread would cost more.
const INLINE: usize = 16 * 1024;

/// The writing end. Dropping it without [`BodyWriter::finish`] aborts the body: readers see an error, never a short
/// content that looks whole.
#[derive(Debug)]
pub struct BodyWriter {
    body: Arc<Body>,
    /// Bytes of the spool budget this body holds.
    reserved: u64,
}

impl BodyWriter {
    pub(super) fn new(body: Arc<Body>) -> Self {
        Self { body, reserved: 0 }
    }

    /// Appends `chunk`. Waits only when the temporary file is full.
    ///
    /// # Errors
    ///
    /// When nobody is left to read a body that is not kept, or when the temporary file fails.
    pub async fn push(&mut self, chunk: Bytes) -> Result<(), BodyError> {
        if chunk.is_empty() {
            return Ok(());
        }
        let length = chunk.len() as u64;
        loop {
            let mut moved = std::pin::pin!(self.body.writable.notified());
            moved.as_mut().enable();
            {
                let mut window = self.body.window.lock();
                if window.retention() == Retention::Release && !window.has_readers() {
                    return Err(BodyError::Aborted(Arc::from("every reader has left")));
                }
                let in_file = window.in_file();
                if in_file.is_none() {
                    self.body.space.give_back(std::mem::take(&mut self.reserved));
                    let held = window.unread_in_memory() + length;
                    if window.retention() == Retention::Keep || held <= self.body.limits.memory as u64 {
                        window.push(chunk);
                        drop(window);
                        self.body.readable.notify_waiters();
                        return Ok(());
                    }
                }
                if in_file.unwrap_or(0) + length <= self.body.limits.file && self.body.space.reserve(length) {
                    self.reserved += length;
                    break;
                }
            }
            moved.await;
        }
        self.spill(chunk).await
    }

    /// Writes `chunk` behind the temporary file's run, off the worker thread if it is large.
    async fn spill(&mut self, chunk: Bytes) -> Result<(), BodyError> {
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
        self.body.window.lock().spilled(length);
        self.body.readable.notify_waiters();
        Ok(())
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
            window.end = Some(end);
            drop(window);
            self.body.readable.notify_waiters();
        }
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        self.end(End::Failed(BodyError::Aborted(Arc::from("the fill was dropped"))));
        self.body.space.give_back(self.reserved);
    }
}

fn spool_error(error: &std::io::Error) -> BodyError {
    BodyError::Spool(Arc::from(error.to_string()))
}
