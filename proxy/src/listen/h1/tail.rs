//! Content on its way out behind what is buffered, and the one write that sends some of both.

use std::io::{self, IoSlice};

use bytes::{Buf as _, Bytes, BytesMut};
use rustix::net::SendFlags;
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;

use crate::http::SinkError;
use crate::listen::stream::Outlet;
use crate::stages::offload::FileSlice;

/// Content that is not copied into the buffer.
#[derive(Debug)]
pub(super) enum Tail {
    Memory(Bytes),
    /// What was read of it, and the rest.
    File(Bytes, FileSlice),
}

impl Default for Tail {
    fn default() -> Self {
        Self::Memory(Bytes::new())
    }
}

impl Tail {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Memory(bytes) => bytes.is_empty(),
            Self::File(read, slice) => read.is_empty() && slice.length() == 0,
        }
    }
}

/// Sends some of `out`, then of `tail`, and takes it off them: one system call for both, and the simplest that does it.
/// Returns how much that was. Dropping the future loses nothing.
pub(super) async fn write_some(
    stream: &mut impl Outlet,
    out: &mut BytesMut,
    tail: &mut Tail,
) -> Result<u64, SinkError> {
    let sent = match tail {
        Tail::Memory(tail) => write_both(stream, out, tail).await?,
        Tail::File(read, slice) => match stream.plain() {
            Some(socket) if slice.is_sendable() && out.is_empty() => send_file(socket, slice).await?,
            Some(socket) if slice.is_sendable() => send_before_more(socket, out).await?,
            _ => {
                if read.is_empty() {
                    *read = slice.read().await.map_err(|_| SinkError::Short)?.unwrap_or_default();
                }
                write_both(stream, out, read).await?
            }
        },
    };
    if sent == 0 { Err(SinkError::Gone) } else { Ok(sent) }
}

async fn write_both(stream: &mut impl Outlet, out: &mut BytesMut, tail: &mut Bytes) -> Result<u64, SinkError> {
    let written = match (&out[..], &tail[..]) {
        (out, []) => stream.write(out).await,
        ([], tail) => stream.write(tail).await,
        (out, tail) => stream.write_vectored(&[IoSlice::new(out), IoSlice::new(tail)]).await,
    };
    let written = written.map_err(|_| SinkError::Gone)?;
    let of_out = written.min(out.len());
    out.advance(of_out);
    tail.advance(written - of_out);
    Ok(written as u64)
}

/// The kernel is told that more comes at once, so that a head does not go out in a packet of its own.
async fn send_before_more(socket: &TcpStream, out: &mut BytesMut) -> Result<u64, SinkError> {
    let send = || Ok(rustix::net::send(socket, out, SendFlags::MORE | SendFlags::NOSIGNAL)?);
    let sent = socket.async_io(Interest::WRITABLE, send).await.map_err(|_| SinkError::Gone)?;
    out.advance(sent);
    Ok(sent as u64)
}

async fn send_file(socket: &TcpStream, slice: &mut FileSlice) -> Result<u64, SinkError> {
    slice.fetch().await.map_err(|_| SinkError::Short)?;
    let sent = socket.async_io(Interest::WRITABLE, || slice.send(socket)).await;
    sent.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => SinkError::Short,
        _ => SinkError::Gone,
    })
}
