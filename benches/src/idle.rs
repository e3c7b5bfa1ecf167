//! What a kept, idle connection costs in resident memory.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use crate::Result;
use crate::peer::Server;
use crate::setting::KIB;

/// Connections opened.
pub const CONNECTIONS: usize = 5_000;

/// At most so many KiB each are the goal.
pub const GOAL_KIB: f64 = 1.0;

/// Opened and closed beforehand, so that what is allocated once does not count.
const BEFORE: usize = 64;

/// How long memory may take to settle.
const SETTLE: Duration = Duration::from_millis(500);

/// Resident KiB a connection, after each has had one response of 1 KiB.
///
/// # Errors
///
/// A connection is refused, or ends.
pub fn kib_a_connection(server: &Server) -> Result<f64> {
    drop(open(server.http, BEFORE)?);
    sleep(SETTLE);
    let before = server.usage()?.resident;
    let connections = open(server.http, CONNECTIONS)?;
    sleep(SETTLE);
    let after = server.usage()?.resident;
    // Idle connections that were quietly closed would cost nothing.
    for mut connection in connections.iter().step_by(CONNECTIONS / 50) {
        exchange(&mut connection)?;
    }
    Ok(after.saturating_sub(before) as f64 / CONNECTIONS as f64 / KIB as f64)
}

fn open(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        exchange(&mut &stream)?;
        connections.push(stream);
    }
    Ok(connections)
}

fn exchange(stream: &mut &TcpStream) -> Result<()> {
    stream.write_all(b"GET /1k.png HTTP/1.1\r\nHost: site.test\r\n\r\n")?;
    let mut response = Vec::with_capacity(2 * KIB);
    let mut piece = [0; 4 * KIB];
    loop {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Err("a connection was closed".into());
        }
        response.extend_from_slice(piece.get(..read).unwrap_or_default());
        let head = response.windows(4).position(|window| window == b"\r\n\r\n");
        if head.is_some_and(|head| response.len() >= head + 4 + KIB) {
            return Ok(());
        }
    }
}
