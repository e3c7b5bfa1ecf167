//! The socket of a short connection.

use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpStream as StdTcpStream};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// A socket that is being connected to `address`. `has_more` is to be said behind the head of the request.
///
/// The acknowledgement that makes the connection waits for the first bytes, so that the server is woken once, to find a
/// request (HAProxy: `tcp-smart-connect`).
///
/// # Errors
///
/// There are no more sockets, or no way to the server as far as the kernel knows already.
pub(super) fn open(address: SocketAddr, has_more: bool) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    // What it saves is a packet; without it everything goes on as well.
    let _ = sockopt::set_tcp_quickack(&socket, false);
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from_std(StdTcpStream::from(socket))?;
    if has_more {
        // Pieces of content are not to wait for the acknowledgement of what was sent before them.
        stream.set_nodelay(true)?;
    }
    Ok(stream)
}

/// Waits for the connection and says the first of `head` that it takes; how much that is. Where there will be no connection
/// the first write says why.
///
/// Offering the head before it is known that there is a connection would work with servers near by, and cost more: each
/// server would be woken for itself, and be asleep again by the time the next one is connected to.
pub(super) async fn first(stream: &TcpStream, head: &[u8]) -> io::Result<usize> {
    loop {
        stream.writable().await?;
        match stream.try_write(head) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            said => return said,
        }
    }
}

/// From here on acknowledgements go out at once, that of what came already too.
pub(super) fn acknowledge_at_once(stream: &TcpStream) {
    let _ = sockopt::set_tcp_quickack(stream, true);
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
