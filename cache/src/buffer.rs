//! Buffers that are read into. The kernel may write only to bytes that are initialised; those of a buffer that was used
//! before are, and the processor's caches still hold them. So a buffer is lent to whoever has the bytes, and goes back to
//! the thread that lets go of them last.

use std::cell::RefCell;

use bytes::Bytes;

/// Bytes of the smallest buffer. Each has twice the length of the next smaller one, so at most half of one is not in use,
/// however long a slow reader keeps it.
const SMALLEST: usize = 8 << 10;

/// Bytes of buffers that a thread keeps.
const KEPT: usize = 4 << 20;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer on loan.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    length: usize,
}

impl Buffer {
    /// One of `length` bytes, which are whatever was read into it before.
    #[must_use]
    pub fn of(length: usize) -> Self {
        let size = length.max(SMALLEST).next_power_of_two();
        let spare = SPARE.with_borrow_mut(|spare| {
            let at = spare.iter().rposition(|bytes| bytes.len() == size)?;
            Some(spare.swap_remove(at))
        });
        Self { bytes: spare.unwrap_or_else(|| vec![0; size]), length }
    }

    /// Its first `length` bytes, those that were read.
    #[must_use]
    pub fn filled(mut self, length: usize) -> Bytes {
        self.length = length.min(self.length);
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.length).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        // A thread that ends keeps none.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.iter().map(Vec::len).sum::<usize>() + bytes.len() <= KEPT {
                spare.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spare() -> Vec<usize> {
        SPARE.with_borrow(|spare| spare.iter().map(Vec::len).collect())
    }

    #[test]
    fn a_buffer_that_is_given_back_is_lent_again_to_who_needs_that_much() {
        let mut first = Buffer::of(9000);
        first.as_mut().fill(7);
        assert_eq!((first.as_ref().len(), spare().len()), (9000, 0));
        drop(first);
        assert_eq!(spare(), [16 << 10]);
        let small = Buffer::of(100);
        let again = Buffer::of(16 << 10);
        assert_eq!((spare().len(), again.as_ref()[8999], again.as_ref()[9000]), (0, 7, 0));
        drop((small, again));
        assert_eq!(spare().len(), 2);
    }

    #[test]
    fn a_thread_keeps_few() {
        let many: Vec<_> = (0..100).map(|_| Buffer::of(1 << 20)).collect();
        drop(many);
        assert_eq!(spare().iter().sum::<usize>(), KEPT);
    }
}
