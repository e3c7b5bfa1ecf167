//! One connection to an [`Origin`](crate::Origin), for tests that script what happens on it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client_h1::split_front;
use crate::origin::{Request, Shared};

/// The origin's end of a connection.
pub struct OriginConnection {
    stream: TcpStream,
    buffer: Vec<u8>,
    index: usize,
    shared: Arc<Shared>,
}

// === impl OriginConnection ===

impl OriginConnection {
    pub(crate) const fn new(stream: TcpStream, index: usize, shared: Arc<Shared>) -> Self {
        Self { stream, buffer: Vec::new(), index, shared }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Reads a whole request, content included, and remembers it. `None`: the peer left, or sent no HTTP.
    pub fn read_request(&mut self) -> Option<Request> {
        let mut request = self.read_head()?;
        if request.field("transfer-encoding").is_some() {
            request.body = self.read_chunked()?;
        } else if let Some(length) = request.field("content-length") {
            let length = length.parse().ok()?;
            if request.field("expect").is_some() {
                self.write(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
            }
            request.body = self.read_exactly(length)?;
        }
        self.remember(request.clone());
        Some(request)
    }

    /// Remembers a request read by [`Self::read_head`].
    pub fn remember(&self, request: Request) {
        self.shared.record(self.index, |record| record.requests += 1);
        self.shared.note(request);
    }

    /// Whether a request for this target has come, on whatever connection.
    #[must_use]
    pub fn seen(&self, target: &str) -> bool {
        self.shared.has_seen(target)
    }

    /// Reads a request head only; its content stays to be read. It is not remembered.
    pub fn read_head(&mut self) -> Option<Request> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if self.fill() == 0 {
                return None;
            }
        };
        let head = split_front(&mut self.buffer, end);
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Request::new(&mut fields);
        parsed.parse(&head).ok()?.is_complete().then_some(())?;
        let fields = parsed.headers.iter();
        Some(Request {
            method: parsed.method?.to_owned(),
            target: parsed.path?.to_owned(),
            fields: fields.map(|f| (f.name.to_owned(), String::from_utf8_lossy(f.value).into_owned())).collect(),
            body: Vec::new(),
            head: String::from_utf8_lossy(&head).into_owned(),
            connection: self.index,
        })
    }

    fn read_chunked(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                break;
            }
            body.extend(self.read_exactly(size)?);
            self.read_line()?;
        }
        while !self.read_line()?.is_empty() {}
        Some(body)
    }

    fn read_line(&mut self) -> Option<String> {
        let at = loop {
            if let Some(at) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                break at;
            }
            if self.fill() == 0 {
                return None;
            }
        };
        let line = self.buffer.drain(..at + 2).take(at).collect();
        String::from_utf8(line).ok()
    }

    /// Reads this many raw bytes.
    pub fn read_exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            if self.fill() == 0 {
                return None;
            }
        }
        Some(split_front(&mut self.buffer, length))
    }

    fn fill(&mut self) -> usize {
        let mut bytes = [0; 64 * 1024];
        let n = self.stream.read(&mut bytes).unwrap_or(0);
        let came = &bytes[..n];
        self.buffer.extend_from_slice(came);
        self.shared.record(self.index, |record| {
            record.received.extend_from_slice(came);
            if came.is_empty() && record.closed.is_none() {
                record.closed = Some(Instant::now());
            }
        });
        n
    }

    /// Writes raw bytes; returns when the kernel has them all.
    ///
    /// # Errors
    /// When the peer has gone.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.shared.record(self.index, |record| record.answering = Some(Instant::now()));
        let written = self.stream.write_all(bytes);
        self.shared.record(self.index, |record| record.answered = Some(Instant::now()));
        written
    }

    /// Closes as a good server does: no more from us, then what is left of the peer.
    pub fn close(&mut self) {
        if self.stream.shutdown(Shutdown::Write).is_ok() {
            self.wait_for_end();
        }
    }

    /// Says nothing and waits until the peer leaves.
    pub fn wait_for_end(&mut self) {
        while self.fill() > 0 {}
    }

    /// Resets the connection.
    pub fn reset(&mut self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
        // Closed by leaving the script, with a reset.
    }
}
