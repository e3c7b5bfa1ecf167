//! An origin server in this process: says what a test wants, malformed or not, and remembers what it was sent.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::origin_connection::OriginConnection;

/// A request as the origin received it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Request target, as sent.
    pub target: String,
    /// Field lines in order, names as sent.
    pub fields: Vec<(String, String)>,
    /// Content, transfer coding removed.
    pub body: Vec<u8>,
    /// The bytes of the head.
    pub head: String,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl Request {
    /// Values of this field, joined by `, `; `None` when it is absent.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let lines: Vec<_> =
            self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    /// Path of the target, without query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// What happened on one connection.
#[derive(Debug, Clone)]
pub struct ConnectionRecord {
    /// When it was accepted.
    pub opened: Instant,
    /// When the first byte of the (last) response was handed to the kernel.
    pub answering: Option<Instant>,
    /// When the last byte of the (last) response was taken by the kernel.
    pub answered: Option<Instant>,
    /// When the peer's end (FIN or RST) was seen.
    pub closed: Option<Instant>,
    /// Requests read from it.
    pub requests: usize,
    /// Every byte that came.
    pub received: Vec<u8>,
}

/// How a reply ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As HTTP says: kept open, or closed when the request said `Connection: close`.
    Regular,
    /// Closed, whatever was promised.
    Close,
    /// Reset.
    Reset,
    /// Neither closed nor spoken on again until the peer leaves.
    Hang,
}

/// A response to be sent; by default well formed and with `Content-Length`.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    raw: Option<Vec<u8>>,
    chunked: bool,
    truncate: Option<usize>,
    delay: Duration,
    ending: Ending,
}

impl Reply {
    /// This status and content.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            fields: Vec::new(),
            body: body.into(),
            raw: None,
            chunked: false,
            truncate: None,
            delay: Duration::ZERO,
            ending: Ending::Regular,
        }
    }

    /// 200 with this content.
    #[must_use]
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body)
    }

    /// 200 with this content, fresh for a minute.
    #[must_use]
    pub fn cacheable(body: impl Into<Vec<u8>>) -> Self {
        Self::ok(body).field("Cache-Control", "max-age=60")
    }

    /// These bytes and nothing else.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { raw: Some(bytes.into()), ..Self::ok("") }
    }

    /// Nothing at all, then this ending.
    #[must_use]
    pub fn silence(ending: Ending) -> Self {
        Self { ending, ..Self::raw("") }
    }

    /// One more field line.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// Chunked instead of `Content-Length`.
    #[must_use]
    pub fn chunked(self) -> Self {
        Self { chunked: true, ..self }
    }

    /// Only the first `length` bytes of the content (framing promises all of it).
    #[must_use]
    pub fn truncated_at(self, length: usize) -> Self {
        let ending = if self.ending == Ending::Regular { Ending::Close } else { self.ending };
        Self { truncate: Some(length), ending, ..self }
    }

    /// Thinks this long first.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Ends like this.
    #[must_use]
    pub fn then(self, ending: Ending) -> Self {
        Self { ending, ..self }
    }

    fn bytes(&self, request: &Request, close: bool) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let mut out = format!("HTTP/1.1 {} Whatever\r\n", self.status).into_bytes();
        for (name, value) in &self.fields {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        let has_content = !matches!(self.status, 204 | 304);
        if self.chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        } else if has_content {
            out.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        if close {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if request.method == "HEAD" || !has_content {
            return out;
        }
        let body = &self.body[..self.truncate.unwrap_or(self.body.len())];
        if self.chunked {
            for chunk in body.chunks(8 * 1024) {
                out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                out.extend_from_slice(chunk);
                out.extend_from_slice(b"\r\n");
            }
            if self.truncate.is_none() {
                out.extend_from_slice(b"0\r\n\r\n");
            }
        } else {
            out.extend_from_slice(body);
        }
        out
    }
}

/// What an origin and its connections share.
#[derive(Default)]
pub(crate) struct Shared {
    requests: Mutex<Vec<Request>>,
    connections: Mutex<Vec<ConnectionRecord>>,
    /// While false, well-formed requests wait before they are answered.
    open: Mutex<bool>,
    opened: Condvar,
}

impl Shared {
    pub(crate) fn record(&self, connection: usize, change: impl FnOnce(&mut ConnectionRecord)) {
        change(&mut self.connections.lock()[connection]);
    }

    pub(crate) fn has_seen(&self, target: &str) -> bool {
        self.requests.lock().iter().any(|request| request.target == target)
    }

    pub(crate) fn note(&self, request: Request) {
        self.requests.lock().push(request);
    }
}

/// The server. It runs on threads that end with the test's process.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
}

// === impl Origin ===

impl Origin {
    /// Answers each request with what `reply` makes of it.
    #[must_use]
    pub fn answering(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let origin = Self::scripted(move |connection| serve(connection, &reply));
        *origin.shared.open.lock() = true;
        origin
    }

    /// The same on another address of this machine.
    #[must_use]
    pub fn answering_at(address: IpAddr, reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let origin = Self::scripted_at(address, move |connection| serve(connection, &reply));
        *origin.shared.open.lock() = true;
        origin
    }

    /// The same at this address and port; `None` if somebody else has it.
    #[must_use]
    pub fn try_answering_on(
        address: SocketAddr,
        reply: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Option<Self> {
        let listener = TcpListener::bind(address).ok()?;
        let origin = Self::scripted_on(listener, move |connection| serve(connection, &reply));
        *origin.shared.open.lock() = true;
        Some(origin)
    }

    /// Hands each connection to `script`.
    #[must_use]
    pub fn scripted(script: impl Fn(&mut OriginConnection) + Send + Sync + 'static) -> Self {
        Self::scripted_at(Ipv4Addr::LOCALHOST.into(), script)
    }

    fn scripted_at(address: IpAddr, script: impl Fn(&mut OriginConnection) + Send + Sync + 'static) -> Self {
        Self::scripted_on(TcpListener::bind((address, 0)).expect("bind"), script)
    }

    fn scripted_on(listener: TcpListener, script: impl Fn(&mut OriginConnection) + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().expect("address");
        // The backlog of std is 128: a herd of connections would wait for SYN retries.
        rustix::net::listen(&listener, 4096).expect("listen");
        let shared = Arc::new(Shared::default());
        let (script, accepting) = (Arc::new(script), Arc::clone(&shared));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, connection) = (Arc::clone(&script), accept(stream.expect("accept"), &accepting));
                std::thread::spawn(move || script(&mut { connection }));
            }
        });
        Self { address, shared }
    }

    /// Lets well-formed requests wait for [`Self::release`] before they are answered.
    pub fn hold(&self) {
        *self.shared.open.lock() = false;
    }

    /// Answers what waits, and what comes.
    pub fn release(&self) {
        *self.shared.open.lock() = true;
        self.shared.opened.notify_all();
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The well-formed requests so far, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().clone()
    }

    /// How many requests came for this target.
    #[must_use]
    pub fn count(&self, target: &str) -> usize {
        self.shared.requests.lock().iter().filter(|request| request.target == target).count()
    }

    /// How many requests came.
    #[must_use]
    pub fn total(&self) -> usize {
        self.shared.requests.lock().len()
    }

    /// The only request that came for this target.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[must_use]
    pub fn only(&self, target: &str) -> Request {
        let mut found: Vec<_> = self.requests().into_iter().filter(|request| request.target == target).collect();
        assert_eq!(found.len(), 1, "requests for {target}");
        found.remove(0)
    }

    /// What happened on each connection, in order of accepting.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionRecord> {
        self.shared.connections.lock().clone()
    }

    /// Every byte that came, on whatever connection.
    #[must_use]
    pub fn received(&self) -> Vec<u8> {
        self.connections().into_iter().flat_map(|connection| connection.received).collect()
    }
}

/// An address on which nothing listens, nor will: it is bound, for as long as the test runs, by a socket that does not.
#[must_use]
pub fn closed_address() -> SocketAddr {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
    // A server that sets the same, as every one does, may still take the address: it is only never given away.
    socket.set_reuse_address(true).expect("SO_REUSEADDR");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("address");
    std::mem::forget(socket);
    address
}

fn accept(stream: TcpStream, shared: &Arc<Shared>) -> OriginConnection {
    stream.set_nodelay(true).expect("TCP_NODELAY");
    let mut connections = shared.connections.lock();
    connections.push(ConnectionRecord {
        opened: Instant::now(),
        answering: None,
        answered: None,
        closed: None,
        requests: 0,
        received: Vec::new(),
    });
    OriginConnection::new(stream, connections.len() - 1, Arc::clone(shared))
}

fn serve(connection: &mut OriginConnection, reply: &impl Fn(&Request) -> Reply) {
    while let Some(request) = connection.read_request() {
        let mut open = connection.shared().open.lock();
        connection.shared().opened.wait_while(&mut open, |open| !*open);
        drop(open);
        let close = request.field("connection").is_some_and(|c| c.to_ascii_lowercase().contains("close"));
        let reply = reply(&request);
        std::thread::sleep(reply.delay);
        let bytes = reply.bytes(&request, close);
        // A peer that has gone does not want it any more.
        let taken = connection.write(&bytes).is_ok();
        match reply.ending {
            Ending::Reset => return connection.reset(),
            Ending::Hang => return connection.wait_for_end(),
            Ending::Regular if taken && !close => {}
            Ending::Regular | Ending::Close => return connection.close(),
        }
    }
}
