//! The content of an answer: slices of a file, and text between them where it is in several parts.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::open::OpenFile;
use super::slice::FileSlice;

/// A piece of the content.
#[derive(Debug)]
pub(crate) enum Part {
    /// Text between ranges.
    Bytes(Bytes),
    /// A range of the file.
    File(FileSlice),
}

/// The content of a [`super::FileAnswer`].
#[derive(Debug)]
pub(crate) struct FileBody {
    parts: VecDeque<Part>,
}

impl FileBody {
    /// No content.
    pub(super) fn empty() -> Self {
        Self { parts: VecDeque::new() }
    }

    /// `parts` in that order.
    pub(super) fn new(parts: Vec<Part>) -> Self {
        Self { parts: parts.into() }
    }

    /// The next part, to be sent as a whole.
    pub(crate) fn next_part(&mut self) -> Option<Part> {
        self.parts.pop_front()
    }

    /// The next chunk, never empty, at most 128 KiB; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file has become shorter, another error when it was written to since it was opened or cannot be read. The
    /// promised length cannot be kept then: abort the connection. A later call fails again.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            match self.parts.front_mut() {
                None => return Ok(None),
                Some(Part::Bytes(bytes)) => {
                    let bytes = std::mem::take(bytes);
                    self.parts.pop_front();
                    return Ok(Some(bytes));
                }
                Some(Part::File(slice)) => match slice.read().await? {
                    Some(chunk) => return Ok(Some(chunk)),
                    None => self.parts.pop_front(),
                },
            };
        }
    }

    /// The file, when it is nothing but that from end to end.
    pub(crate) fn whole(&self) -> Option<&Arc<OpenFile>> {
        let mut parts = self.parts.iter();
        let (Some(Part::File(slice)), None) = (parts.next(), parts.next()) else { return None };
        slice.whole()
    }

    /// Bytes not yet handed out.
    #[cfg(test)]
    pub(crate) fn remaining(&self) -> u64 {
        let size = |part: &Part| match part {
            Part::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Part::File(slice) => slice.length(),
        };
        self.parts.iter().map(size).fold(0, u64::saturating_add)
    }
}
