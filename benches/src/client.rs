//! A load generator of our own, for what wrk cannot do: requests at a rate of their own, whatever the server does, and
//! requests over thousands of connections in turn. One thread, HTTP/1.1, each response 1 KiB of [`content`].

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::Result;
use crate::setting::{KIB, content};

/// The last bytes of every response.
pub const END: usize = 16;

/// How long a response may be waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// When requests are sent.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// So many are on their way at any time.
    InFlight(usize),
    /// So many a second are due, evenly. One that finds no free connection waits, and the wait counts.
    Rate(f64),
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Run {
    /// Responses received.
    pub answered: u64,
    /// With [`Pace::Rate`]: from when each was due to its response, sorted.
    pub latencies: Vec<Duration>,
}

impl Run {
    /// What this share of the requests took at most.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let index = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(index.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

/// Connections to one server. They are used in turn: the one that has rested longest is next.
pub struct Client {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    idle: VecDeque<usize>,
    events: Vec<epoll::Event>,
    piece: Vec<u8>,
    end: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// When its request was due, since the run began.
    due: Duration,
    /// What came of a response that has not ended.
    begun: Vec<u8>,
}

/// The last bytes of [`content`] of 1 KiB.
#[must_use]
pub fn end() -> Vec<u8> {
    content(KIB).split_off(KIB - END)
}

/// Writes a request for `target`.
pub fn get(target: &str, host: &str, out: &mut Vec<u8>) {
    for part in ["GET ", target, " HTTP/1.1\r\nHost: ", host, "\r\n\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

impl Client {
    /// Opens so many connections.
    ///
    /// # Errors
    ///
    /// One is refused.
    pub fn connect(address: SocketAddr, connections: usize) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut opened = Vec::with_capacity(connections);
        for index in 0..connections {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            epoll::add(&epoll, &stream, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN)?;
            opened.push(Connection { stream, due: Duration::ZERO, begun: Vec::new() });
        }
        Ok(Self {
            epoll,
            connections: opened,
            idle: (0..connections).collect(),
            events: Vec::with_capacity(256),
            piece: vec![0; 4 * KIB],
            end: end(),
        })
    }

    /// Sends what `request` writes for 0, 1, 2, … until `time` is over or so many are sent, and waits for the responses.
    ///
    /// # Errors
    ///
    /// A connection ends, a response is not 200, or does not come.
    pub fn run(
        &mut self,
        pace: Pace,
        time: Duration,
        most: u64,
        mut request: impl FnMut(u64, &mut Vec<u8>),
    ) -> Result<Run> {
        let started = Instant::now();
        let (mut run, mut out) = (Run::default(), Vec::with_capacity(256));
        let (mut sent, mut last) = (0_u64, Duration::ZERO);
        loop {
            let now = started.elapsed();
            while sent < most && now < time {
                let due = match pace {
                    Pace::InFlight(count) if sent - run.answered < count as u64 => now,
                    Pace::InFlight(_) => break,
                    Pace::Rate(rate) => Duration::from_secs_f64(sent as f64 / rate),
                };
                if due > now {
                    break;
                }
                let Some(index) = self.idle.pop_front() else { break };
                out.clear();
                request(sent, &mut out);
                self.send(index, due, &out)?;
                sent += 1;
            }
            if sent == run.answered && (sent == most || now >= time) {
                run.latencies.sort_unstable();
                return Ok(run);
            }
            if now > last + PATIENCE {
                return Err("a response does not come".into());
            }
            // At a rate the next request may be due before the next response.
            let wait = if matches!(pace, Pace::Rate(_)) { Duration::ZERO } else { PATIENCE };
            let wait = Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: 0 };
            epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&wait))?;
            let mut events = std::mem::take(&mut self.events);
            for event in events.drain(..) {
                let index = usize::try_from(event.data.u64())?;
                if let Some(due) = self.receive(index)? {
                    last = started.elapsed();
                    run.answered += 1;
                    if matches!(pace, Pace::Rate(_)) {
                        run.latencies.push(last.saturating_sub(due));
                    }
                }
            }
            self.events = events;
        }
    }

    fn send(&mut self, index: usize, due: Duration, request: &[u8]) -> Result<()> {
        let connection = self.connections.get_mut(index).ok_or("no such connection")?;
        connection.due = due;
        let written = send(&connection.stream, request, SendFlags::NOSIGNAL)?;
        if written == request.len() { Ok(()) } else { Err("a request was not taken whole".into()) }
    }

    /// When the request was due whose response has ended.
    fn receive(&mut self, index: usize) -> Result<Option<Duration>> {
        let connection = self.connections.get_mut(index).ok_or("no such connection")?;
        let (_, read) = recv(&connection.stream, &mut self.piece[..], RecvFlags::DONTWAIT)?;
        let piece = self.piece.get(..read).unwrap_or_default();
        if piece.is_empty() {
            return Err("a connection was closed".into());
        }
        if connection.begun.is_empty() && !piece.starts_with(b"HTTP/1.1 200") {
            return Err(format!("not 200: {}", String::from_utf8_lossy(piece)).into());
        }
        let has_ended = connection.begun.is_empty() && piece.ends_with(&self.end);
        if !has_ended {
            connection.begun.extend_from_slice(piece);
            if !connection.begun.ends_with(&self.end) {
                return Ok(None);
            }
            connection.begun.clear();
        }
        self.idle.push_back(index);
        Ok(Some(connection.due))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers every request on its one connection, in two pieces.
    fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                thread::sleep(Duration::from_millis(1));
                stream.write_all(&content(KIB)).unwrap();
            }
        });
        address
    }

    #[test]
    fn what_waits_for_a_connection_is_late() {
        let mut client = Client::connect(server(), 1).unwrap();
        let ask = |_, out: &mut Vec<u8>| get("/", "x", out);
        let run = client.run(Pace::InFlight(1), PATIENCE, 3, ask).unwrap();
        assert_eq!((run.answered, run.latencies.len()), (3, 0));
        // All are due within 2 ms, and each takes at least 1 ms.
        let run = client.run(Pace::Rate(10_000.0), PATIENCE, 20, ask).unwrap();
        assert_eq!(run.answered, 20);
        assert!(run.quantile(0.99) > Duration::from_millis(10), "{:?}", run.latencies);
        assert!(run.quantile(0.0) < run.quantile(0.5));
    }
}
