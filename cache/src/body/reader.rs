//! A reader of a body.

use std::sync::Arc;

use bytes::Bytes;

use super::window::At;
use super::{Body, BodyError, End};
use crate::store::disk::{OpenFile, read_cached, read_waiting};

/// Most bytes taken from the temporary file at once.
const FILE_READ: u64 = 64 * 1024;

/// The reading end: every byte from the first on, in order, as it arrives.
#[derive(Debug)]
pub struct BodyReader {
    body: Arc<Body>,
    id: u64,
}

impl BodyReader {
    pub(super) fn new(body: Arc<Body>, id: u64) -> Self {
        Self { body, id }
    }

    /// The next bytes; `None` once the whole was read. Safe to drop before it is ready: nothing is lost.
    ///
    /// # Errors
    ///
    /// When the writer gave up or the temporary file cannot be read. What was delivered before is a prefix of the
    /// content and must not be passed off as the whole.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            let mut appended = std::pin::pin!(self.body.readable.notified());
            appended.as_mut().enable();
            let at = {
                let mut window = self.body.window.lock();
                let at = window.at(self.id);
                if let At::Memory(chunk) = &at {
                    window.advance(self.id, chunk.len() as u64);
                }
                at
            };
            match at {
                At::Memory(chunk) => {
                    self.body.writable.notify_waiters();
                    return Ok(Some(chunk));
                }
                At::File(file, offset, available) => return self.read_file(file, offset, available).await,
                At::End(End::Complete) => return Ok(None),
                At::End(End::Failed(error)) => return Err(error),
                At::Nothing => appended.await,
            }
        }
    }

    /// What is there without waiting; `None` when nothing is.
    pub fn ready(&mut self) -> Option<Bytes> {
        let mut window = self.body.window.lock();
        let At::Memory(chunk) = window.at(self.id) else { return None };
        window.advance(self.id, chunk.len() as u64);
        drop(window);
        self.body.writable.notify_waiters();
        Some(chunk)
    }

    /// Leaves out the next `bytes`, as far as they have arrived; how many.
    pub fn skip(&mut self, bytes: u64) -> u64 {
        let skipped = self.body.window.lock().skip(self.id, bytes);
        self.body.writable.notify_waiters();
        skipped
    }

    async fn read_file(&self, file: Arc<OpenFile>, offset: u64, available: u64) -> Result<Option<Bytes>, BodyError> {
        let length = usize::try_from(available.min(FILE_READ)).unwrap_or(usize::MAX);
        // What was written a moment ago is in the page cache.
        let chunk = match read_cached(&file, length, offset) {
            Some(chunk) => chunk,
            None => {
                let read = tokio::task::spawn_blocking(move || read_waiting(&file, length, offset)).await;
                let read = read.map_err(std::io::Error::other).flatten();
                read.map_err(|error| BodyError::Spool(Arc::from(error.to_string())))?
            }
        };
        self.body.window.lock().advance(self.id, chunk.len() as u64);
        self.body.writable.notify_waiters();
        Ok(Some(chunk))
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        self.body.window.lock().leave(self.id);
        self.body.writable.notify_waiters();
    }
}
