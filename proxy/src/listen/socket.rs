//! Listening sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel holds for us until they are accepted (Linux caps it at net.core.somaxconn).
const BACKLOG: i32 = 65_535;

/// Binds and listens. An IPv6 address listens for IPv6 alone, so that `0.0.0.0:80` and `[::]:80` can stand side by side.
///
/// # Errors
///
/// As the kernel says: in use, not ours, not permitted.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
