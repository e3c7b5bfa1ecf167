//! The thread's buffer that responses leave through. A connection keeps none while it waits.

use std::cell::Cell;

use bytes::BytesMut;

/// Bytes of the largest buffer that is kept for the next response.
const MOST: usize = 128 * 1024;

thread_local! {
    static SPARE: Cell<BytesMut> = Cell::default();
}

/// The buffer, or a new one where it is in use.
pub(in crate::listen) fn take() -> BytesMut {
    SPARE.take()
}

/// Gives it back.
pub(in crate::listen) fn keep(mut buffer: BytesMut) {
    buffer.clear();
    if (1..=MOST).contains(&buffer.capacity()) {
        SPARE.set(buffer);
    }
}
