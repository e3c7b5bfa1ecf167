//! Content on its way from an upstream to its readers: one writer, many readers, none of which holds another up.
//!
//! The writer appends as fast as the upstream sends. What happens to bytes that were read depends on [`Retention`]:
//! content that is to be stored is kept whole, content for one client is let go of as it is read. A reader that is
//! slower than the upstream never slows the writer: unread bytes beyond [`Limits::memory`] wait in an unlinked
//! temporary file, and only when that is full too does the writer wait. So an AP worker is free as soon as it has
//! produced its last byte, whatever the client's line is like.

mod reader;
mod spool;
mod window;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

pub use reader::BodyReader;
pub use spool::SpoolSpace;
pub use writer::BodyWriter;

use window::Window;

/// What becomes of bytes that every present reader has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Kept, so that later readers can start at the first byte and the whole can be stored.
    Keep,
    /// Let go of. Readers can only be added before the first byte is let go of.
    Release,
}

/// How much a body may hold while its readers lag behind.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Unread bytes held in memory before they go to the temporary file.
    pub memory: usize,
    /// Unread bytes held in the temporary file before the writer has to wait.
    pub file: u64,
}

impl Default for Limits {
    /// 512 KiB in memory, 1 GiB in a temporary file.
    fn default() -> Self {
        Self { memory: 512 * 1024, file: 1024 * 1024 * 1024 }
    }
}

/// Why a reader got less than the whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The writer gave up: the upstream failed after its head was sent on.
    #[error("the upstream broke off: {0}")]
    Aborted(Arc<str>),
    /// The temporary file could not be written or read.
    #[error("spool file: {0}")]
    Spool(Arc<str>),
}

/// How the stream ended.
#[derive(Debug, Clone)]
enum End {
    Complete,
    Failed(BodyError),
}

/// Content in flight. Shared by one [`BodyWriter`] and any number of [`BodyReader`]s.
#[derive(Debug)]
pub struct Body {
    window: Mutex<Window>,
    /// Rung when bytes were appended or the stream ended.
    readable: Notify,
    /// Rung when a reader moved on or left.
    writable: Notify,
    limits: Limits,
    space: Arc<SpoolSpace>,
}

impl Body {
    /// A new body and the one writer of it.
    #[must_use]
    pub fn new(retention: Retention, limits: Limits, space: Arc<SpoolSpace>) -> (BodyWriter, Arc<Self>) {
        let body = Arc::new(Self {
            window: Mutex::new(Window::new(retention)),
            readable: Notify::new(),
            writable: Notify::new(),
            limits,
            space,
        });
        (BodyWriter::new(Arc::clone(&body)), body)
    }

    /// A reader from the first byte on; `None` when the first bytes were let go of already.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> Option<BodyReader> {
        let id = self.window.lock().join()?;
        Some(BodyReader::new(Arc::clone(self), id))
    }

    /// Whether the content is written to a file of the disk tier, and read from there.
    #[must_use]
    pub fn is_in_file(&self) -> bool {
        self.window.lock().is_kept_in_file()
    }

    /// Bytes appended so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.window.lock().end_offset()
    }

    /// Whether the whole has arrived.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self.window.lock().end, Some(End::Complete))
    }
}
