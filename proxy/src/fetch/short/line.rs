//! The socket of a short connection: a new one, connected and spoken into at once.

use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpStream as StdTcpStream};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, connect, send, socket_with};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// A connection to `address`, with as much of `head` sent as the kernel took without making anybody wait; how much that is.
/// `has_more` is to be said behind it.
///
/// To a server near by the connection is there by the time the kernel returns from the call that asks for it, so `head` is
/// offered at once: it goes out a turn of the event loop earlier, and nobody asks whether it may.
///
/// # Errors
///
/// The server, or a way to it, is not there, as far as the kernel knows already.
pub(super) fn open(address: SocketAddr, head: &[u8], has_more: bool) -> io::Result<(TcpStream, usize)> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let sent = match send(&socket, head, SendFlags::NOSIGNAL) {
        Ok(sent) => sent,
        Err(Errno::AGAIN) => 0,
        Err(error) => return Err(error.into()),
    };
    let stream = TcpStream::from_std(StdTcpStream::from(socket))?;
    if has_more {
        // Pieces of content are not to wait for the acknowledgement of what was sent before them.
        stream.set_nodelay(true)?;
    }
    Ok((stream, sent))
}

/// Waits until the connection is there, or it is known that it will not be.
pub(super) async fn connected(stream: &TcpStream) -> io::Result<()> {
    stream.writable().await?;
    stream.take_error()?.map_or(Ok(()), Err)
}

/// Says all of `parts`, one after the other.
pub(super) async fn write(stream: &mut TcpStream, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        match stream.write_vectored(parts).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut parts, written),
        }
    }
    Ok(())
}
