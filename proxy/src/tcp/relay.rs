//! Bytes from one socket to another, both ways, until both have ended. Nothing is held for a connection that says nothing:
//! a worker has one buffer for all of its connections, and a connection keeps only what the other side did not take.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::account::metrics::TcpMetrics;

/// Bytes read at once.
const READ: usize = 64 * 1024;

/// Reads after which a busy connection lets the others have their turn.
const TURN: u32 = 16;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// Why a connection was ended by us, or broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nobody said anything for `idle_timeout`.
    Idle,
    /// The client's side broke.
    Client,
    /// The server's side broke.
    Upstream,
}

impl Ended {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Client => "client",
            Self::Upstream => "upstream",
        }
    }

    /// What broke on one side must not look like an end on the other.
    pub(super) fn tell(self, client: &TcpStream, server: &TcpStream) {
        if self != Self::Idle {
            for socket in [client, server] {
                let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
            }
        }
    }
}

/// When anything was last said, in milliseconds since the beginning.
struct Activity {
    began: Instant,
    last: AtomicU64,
}

impl Activity {
    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn note(&self) {
        self.last.store(self.millis(), Ordering::Relaxed);
    }

    /// Ends when nothing was said for `limit`.
    async fn ceased(&self, limit: Duration) {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        loop {
            let silent = self.millis().saturating_sub(self.last.load(Ordering::Relaxed));
            if silent >= limit {
                return;
            }
            sleep(Duration::from_millis(limit - silent)).await;
        }
    }
}

/// Relays until both sides have ended; a side that ends is told to the other, which may go on.
pub(super) async fn run(
    client: &TcpStream,
    server: &TcpStream,
    idle: Duration,
    metrics: &TcpMetrics,
) -> Result<(), Ended> {
    let activity = Activity { began: Instant::now(), last: AtomicU64::new(0) };
    let up = async {
        let received = |bytes| {
            activity.note();
            metrics.received(bytes);
        };
        pump(client, server, received)
            .await
            .map_err(|side| if side == Side::From { Ended::Client } else { Ended::Upstream })
    };
    let down = async {
        let sent = |bytes| {
            activity.note();
            metrics.sent(bytes);
        };
        pump(server, client, sent)
            .await
            .map_err(|side| if side == Side::From { Ended::Upstream } else { Ended::Client })
    };
    tokio::select! {
        ended = async { tokio::try_join!(up, down) } => ended.map(drop),
        () = activity.ceased(idle) => Err(Ended::Idle),
    }
}

/// Which side of a direction broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    From,
    To,
}

/// One direction.
async fn pump(from: &TcpStream, to: &TcpStream, note: impl Fn(usize)) -> Result<(), Side> {
    let mut reads = 0;
    loop {
        from.readable().await.map_err(|_| Side::From)?;
        let Some((count, left)) = pass(from, to)? else { continue };
        if count == 0 {
            // The other direction may go on. That the peer has gone already is for that direction to find out.
            let _ = SockRef::from(to).shutdown(Shutdown::Write);
            return Ok(());
        }
        note(count);
        write_rest(to, &left, &note).await?;
        reads += 1;
        if reads % TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Reads once and writes once: how many bytes came, and those that were not taken. `None`: nothing was there after all.
fn pass(from: &TcpStream, to: &TcpStream) -> Result<Option<(usize, Vec<u8>)>, Side> {
    BUFFER.with_borrow_mut(|buffer| {
        let count = match from.try_read(buffer) {
            Ok(count) => count,
            Err(error) if is_not_yet(&error) => return Ok(None),
            Err(_) => return Err(Side::From),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(Some((0, Vec::new())));
        }
        let written = match to.try_write(bytes) {
            Ok(written) => written,
            Err(error) if is_not_yet(&error) => 0,
            Err(_) => return Err(Side::To),
        };
        Ok(Some((count, bytes.get(written..).unwrap_or_default().to_vec())))
    })
}

async fn write_rest(to: &TcpStream, mut left: &[u8], note: &impl Fn(usize)) -> Result<(), Side> {
    while !left.is_empty() {
        to.writable().await.map_err(|_| Side::To)?;
        match to.try_write(left) {
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(error) if is_not_yet(&error) => {}
            Err(_) => return Err(Side::To),
        }
        // That something is taken is a sign of life as well.
        note(0);
    }
    Ok(())
}

fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
