//! What a kept, idle connection costs in resident memory.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use crate::Result;
use crate::peer::Server;
use crate::setting::KIB;

/// Plain connections opened, where the descriptor limit allows it.
const PLAIN: usize = 20_000;

/// TLS connections opened.
const TLS: usize = 5_000;

/// Descriptors for everything else, here and in a server.
const OTHERS: usize = 400;

/// At most so many KiB each are the goal.
pub const GOAL_KIB: f64 = 1.0;

/// The same with TLS.
pub const GOAL_TLS_KIB: f64 = 16.0;

/// Opened and closed beforehand, so that what is allocated once does not count.
const BEFORE: usize = 64;

/// How long TLS connections are made and used, before they idle.
const BUSY: Duration = Duration::from_secs(4);

/// How long the last of these may take, and memory to settle.
const TLS_SETTLE: Duration = Duration::from_millis(1500);

/// How long memory may take to settle.
const SETTLE: Duration = Duration::from_millis(500);

/// How many connections are opened, plain or with TLS.
#[must_use]
pub fn connections(tls: bool) -> usize {
    let limit =
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    if tls { TLS } else { PLAIN }.min(limit.saturating_sub(OTHERS))
}

/// Resident KiB a plain connection, after each has had one response of 1 KiB.
///
/// # Errors
///
/// A connection is refused, or ends.
pub fn plain(server: &Server) -> Result<f64> {
    let count = connections(false);
    drop((0..BEFORE).map(|_| open(server.http)).collect::<Result<Vec<_>>>()?);
    sleep(SETTLE);
    let before = server.usage()?.resident;
    let mut connections = (0..count).map(|_| open(server.http)).collect::<Result<Vec<_>>>()?;
    sleep(SETTLE);
    let after = server.usage()?.resident;
    // Idle connections that were quietly closed would cost nothing.
    for connection in connections.iter_mut().step_by(count / 50) {
        exchange(connection)?;
    }
    Ok(after.saturating_sub(before) as f64 / count as f64 / KIB as f64)
}

/// The same with TLS 1.3, after a few seconds in which all were busy.
///
/// # Errors
///
/// As [`plain`].
pub fn tls(server: &Server) -> Result<f64> {
    let count = connections(true);
    let script = tempfile::NamedTempFile::new()?;
    let mut before = None;
    for (connections, busy) in [(BEFORE, Duration::from_secs(1)), (count, BUSY)] {
        let while_busy = format!("if os.time() < start + {} then return 0 end", busy.as_secs());
        fs::write(
            script.path(),
            format!("local start = os.time()\nfunction delay() {while_busy} return 600000 end\n"),
        )?;
        let mut command = Command::new("wrk");
        command.args(["-t1", &format!("-c{connections}"), "-d60s", "-s"]).arg(script.path());
        command.arg(format!("https://{}/1k.png", server.https)).stdout(Stdio::null()).stderr(Stdio::null());
        let mut wrk = command.spawn()?;
        sleep(busy + TLS_SETTLE);
        let (resident, open) = (server.usage()?.resident, established(server.https)?);
        wrk.kill()?;
        wrk.wait()?;
        if open < connections {
            return Err(format!("{open} of {connections} TLS connections are open").into());
        }
        let Some(before) = before.replace(resident) else { continue };
        return Ok(resident.saturating_sub(before) as f64 / (count - BEFORE) as f64 / KIB as f64);
    }
    Err("nothing was measured".into())
}

/// Connections to `server` that are open, as proc(5) counts them.
fn established(server: SocketAddr) -> Result<usize> {
    let port = format!(":{:04X}", server.port());
    let table = fs::read_to_string("/proc/net/tcp")?;
    let is_open = |line: &&str| {
        let mut words = line.split_whitespace();
        words.nth(2).is_some_and(|remote| remote.ends_with(&port)) && words.next() == Some("01")
    };
    Ok(table.lines().filter(is_open).count())
}

fn open(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    exchange(&mut stream)?;
    Ok(stream)
}

fn exchange(stream: &mut TcpStream) -> Result<()> {
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
