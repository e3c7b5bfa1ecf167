//! The end of a connection whose last response is written. Closing with unread bytes would reset the connection and could
//! destroy the response on its way.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Duration, Instant, timeout_at};

/// How long, and how many bytes, a client may go on sending.
pub(super) const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// Bytes read at once.
const READ: usize = 4 * 1024;

/// Reads what the client goes on sending, until it is done or has sent enough.
pub(super) async fn linger(reader: &mut (impl AsyncRead + Unpin)) {
    let until = Instant::now() + LINGER;
    let (mut buffer, mut discarded) = (BytesMut::with_capacity(READ), 0);
    while discarded < LINGER_BYTES {
        buffer.clear();
        match timeout_at(until, reader.read_buf(&mut buffer)).await {
            Ok(Ok(read)) if read > 0 => discarded += read,
            _ => return,
        }
    }
}
