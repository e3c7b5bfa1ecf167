//! An HTTP/1.1 client that sends exactly the bytes it is told to and reads responses strictly.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};

use crate::answer::{Answer, ReadError};
use crate::patience::patience;

/// The name that requests are sent to when a test does not care.
pub const HOST: &str = "site.test";

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// One client connection.
pub struct Client {
    stream: Stream,
    buffer: Vec<u8>,
}

// === impl Client ===

impl Client {
    /// Connects without TLS.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        Self { stream: Stream::Plain(prepared(TcpStream::connect(address).expect("connect"))), buffer: Vec::new() }
    }

    /// Connects with TLS and ALPN `http/1.1`.
    #[must_use]
    pub fn connect_tls(address: SocketAddr, name: &str) -> Self {
        let config = crate::certs::client_config(&["http/1.1"]);
        Self::connect_tls_with(address, name, Arc::new(config)).expect("TLS handshake")
    }

    /// Connects with these TLS settings, and finishes the handshake.
    ///
    /// # Errors
    /// What the handshake failed with.
    pub fn connect_tls_with(address: SocketAddr, name: &str, config: Arc<ClientConfig>) -> io::Result<Self> {
        Self::connect(address).start_tls(name, config)
    }

    /// Connects without TLS from this address of ours.
    #[must_use]
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("socket");
        socket.bind(&SocketAddr::new(source, 0).into()).expect("bind");
        socket.connect(&address.into()).expect("connect");
        Self { stream: Stream::Plain(prepared(socket.into())), buffer: Vec::new() }
    }

    /// Goes on with TLS, on a connection that may have sent something before (a PROXY protocol header, say).
    ///
    /// # Errors
    /// What the handshake failed with.
    pub fn start_tls(self, name: &str, config: Arc<ClientConfig>) -> io::Result<Self> {
        let Stream::Plain(mut tcp) = self.stream else { panic!("TLS already") };
        let name = ServerName::try_from(name.to_owned()).expect("server name");
        let mut tls = ClientConnection::new(config, name).expect("TLS client");
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        Ok(Self { stream: Stream::Tls(Box::new(StreamOwned::new(tls, tcp))), buffer: Vec::new() })
    }

    /// The TLS connection beneath.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn tls(&self) -> &ClientConnection {
        match &self.stream {
            Stream::Tls(tls) => &tls.conn,
            Stream::Plain(_) => panic!("not a TLS connection"),
        }
    }

    fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => &tls.sock,
        }
    }

    /// Our end of the connection.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.tcp().local_addr().expect("local address")
    }

    /// Sends these bytes, all of them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("send");
    }

    /// Sends these bytes.
    ///
    /// # Errors
    /// When the peer has closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp.write_all(bytes.as_ref()),
            Stream::Tls(tls) => tls.write_all(bytes.as_ref()).and_then(|()| tls.flush()),
        }
    }

    /// Sends a request to [`HOST`] and reads its response. The connection stays open.
    pub fn request(&mut self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(head(method, target, fields));
        self.read_response_to(method).unwrap_or_else(|error| panic!("{method} {target}: {error:?}"))
    }

    /// `GET`, as [`Self::request`].
    pub fn get(&mut self, target: &str) -> Answer {
        self.request("GET", target, &[])
    }

    /// Reads the response to a request other than HEAD.
    pub fn read_response(&mut self) -> Answer {
        self.read_response_to("GET").unwrap_or_else(|error| panic!("no response: {error:?}"))
    }

    /// Reads the response to a request of this method, interim responses before it included.
    ///
    /// # Errors
    /// When it is not there, not complete or not a response.
    pub fn read_response_to(&mut self, method: &str) -> Result<Answer, ReadError> {
        let mut interim = Vec::new();
        loop {
            let mut answer = self.read_head()?;
            if (100..200).contains(&answer.status) && answer.status != 101 {
                interim.push(answer.status);
                continue;
            }
            answer.interim = interim;
            if method != "HEAD" && !matches!(answer.status, 101 | 204 | 304) {
                self.read_content(&mut answer)?;
            }
            return Ok(answer);
        }
    }

    /// Reads a final or interim response head.
    ///
    /// # Errors
    /// When it is not there, not complete or not a response head.
    pub fn read_head(&mut self) -> Result<Answer, ReadError> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if self.fill()? == 0 {
                return Err(if self.buffer.is_empty() {
                    ReadError::Closed
                } else {
                    ReadError::Truncated { status: None, body: std::mem::take(&mut self.buffer) }
                });
            }
        };
        let head = split_front(&mut self.buffer, end);
        parse_head(&head).ok_or_else(|| ReadError::Malformed(String::from_utf8_lossy(&head).into_owned()))
    }

    fn read_content(&mut self, answer: &mut Answer) -> Result<(), ReadError> {
        let chunked = answer.field("transfer-encoding").is_some();
        let length = answer.field("content-length").map(|n| n.parse::<usize>().expect("Content-Length"));
        assert!(!(chunked && length.is_some()), "both framings: {answer}");
        if chunked {
            self.read_chunked(answer)
        } else if let Some(length) = length {
            match self.take(length) {
                Ok(body) => answer.body = body,
                Err(error) => return Err(cut(error, answer, &self.buffer)),
            }
            Ok(())
        } else {
            while self.fill()? > 0 {}
            answer.body = std::mem::take(&mut self.buffer);
            Ok(())
        }
    }

    fn read_chunked(&mut self, answer: &mut Answer) -> Result<(), ReadError> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line().map_err(|error| cut(error, answer, &body))?;
            let size = usize::from_str_radix(&line, 16).map_err(|_| ReadError::Malformed(format!("chunk {line:?}")))?;
            if size == 0 {
                break;
            }
            match self.take(size + 2) {
                Ok(chunk) => body.extend_from_slice(&chunk[..size]),
                Err(error) => {
                    body.append(&mut self.buffer);
                    return Err(cut(error, answer, &body));
                }
            }
        }
        loop {
            let line = self.take_line().map_err(|error| cut(error, answer, &body))?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| ReadError::Malformed(line.clone()))?;
            answer.trailers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        answer.body = body;
        Ok(())
    }

    fn take_line(&mut self) -> Result<String, ReadError> {
        let at = loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                break at;
            }
            if self.fill()? == 0 {
                return Err(ReadError::Closed);
            }
        };
        let line = self.buffer.drain(..at + 2).take(at).collect();
        String::from_utf8(line).map_err(|_| ReadError::Malformed("chunk line".to_owned()))
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, ReadError> {
        while self.buffer.len() < length {
            if self.fill()? == 0 {
                return Err(ReadError::Closed);
            }
        }
        Ok(split_front(&mut self.buffer, length))
    }

    /// Reads once into the buffer; 0 is the end.
    fn fill(&mut self) -> Result<usize, ReadError> {
        let mut bytes = [0; 16 * 1024];
        let n = self.read_once(&mut bytes)?;
        self.buffer.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn read_once(&mut self, bytes: &mut [u8]) -> Result<usize, ReadError> {
        let read = match &mut self.stream {
            Stream::Plain(tcp) => tcp.read(bytes),
            Stream::Tls(tls) => tls.read(bytes),
        };
        match read {
            Ok(n) => Ok(n),
            // A reset is an end as well; what matters is how much came before it.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof) => {
                Ok(0)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(ReadError::Timeout)
            }
            Err(error) => Err(ReadError::Malformed(error.to_string())),
        }
    }

    /// Whether the peer closes the connection without sending another byte.
    pub fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && matches!(self.fill(), Ok(0))
    }

    /// Everything up to the end of the connection, raw.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while matches!(self.fill(), Ok(1..)) {}
        std::mem::take(&mut self.buffer)
    }

    /// Reads `length` raw bytes (what a WebSocket sent, say).
    pub fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        self.take(length).expect("raw bytes")
    }

    /// Reads `length` bytes of the content of a response whose head is this, and no more than what is there needs.
    /// Chunks must not reach beyond it.
    pub fn read_content_bytes(&mut self, head: &Answer, length: usize) -> Vec<u8> {
        if head.field("transfer-encoding").is_none() {
            return self.read_exactly(length);
        }
        let mut content = Vec::new();
        while content.len() < length {
            let line = self.take_line().expect("a chunk");
            let size = usize::from_str_radix(&line, 16).expect("a chunk's size");
            content.extend_from_slice(&self.read_exactly(size + 2)[..size]);
        }
        content
    }

    /// Reads raw bytes at `rate` bytes a second for as long as `go_on` says so; returns how many came.
    /// Its kernel buffer is small, so that the peer feels the pace.
    pub fn read_slowly(&mut self, rate: usize, mut go_on: impl FnMut() -> bool) -> usize {
        let (step, mut total) = (rate / 20, 0);
        let mut bytes = vec![0; step];
        let start = Instant::now();
        while go_on() {
            match self.read_once(&mut bytes) {
                Ok(0) | Err(_) => break,
                Ok(n) => total += n,
            }
            let due = Duration::from_secs_f64(total as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
        total
    }

    /// Makes the kernel hold little for us; to be called before the request is sent.
    pub fn with_small_receive_buffer(self) -> Self {
        socket2::SockRef::from(self.tcp()).set_recv_buffer_size(16 * 1024).expect("SO_RCVBUF");
        self
    }

    /// Lets it hold much again. With little, what is left comes a few packets at a time, each when the one before is told of.
    pub fn enlarge_receive_buffer(&self) {
        socket2::SockRef::from(self.tcp()).set_recv_buffer_size(4 << 20).expect("SO_RCVBUF");
    }

    /// How long a read waits before it is a [`ReadError::Timeout`]. Default: [`patience`].
    pub fn set_patience(&self, patience: Duration) {
        self.tcp().set_read_timeout(Some(patience)).expect("read timeout");
    }

    /// Says that no more will be sent.
    pub fn finish_sending(&mut self) {
        if let Stream::Tls(tls) = &mut self.stream {
            tls.conn.send_close_notify();
            tls.flush().expect("close_notify");
        }
        self.tcp().shutdown(Shutdown::Write).expect("shutdown");
    }

    /// Leaves at once, with a reset.
    pub fn reset(self) {
        socket2::SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    }
}

/// Head of a request to [`HOST`] (or to the `Host` among `fields`).
#[must_use]
pub fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {HOST}\r\n"));
    }
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

fn prepared(tcp: TcpStream) -> TcpStream {
    tcp.set_nodelay(true).expect("TCP_NODELAY");
    tcp.set_read_timeout(Some(patience())).expect("read timeout");
    tcp.set_write_timeout(Some(patience())).expect("write timeout");
    tcp
}

fn parse_head(head: &[u8]) -> Option<Answer> {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Response::new(&mut fields);
    parsed.parse(head).ok()?.is_complete().then_some(())?;
    let fields = parsed.headers.iter();
    Some(Answer {
        status: parsed.code?,
        interim: Vec::new(),
        fields: fields
            .map(|f| (f.name.to_ascii_lowercase(), String::from_utf8_lossy(f.value).trim().to_owned()))
            .collect(),
        body: Vec::new(),
        head: String::from_utf8_lossy(head).into_owned(),
        trailers: Vec::new(),
    })
}

fn cut(error: ReadError, answer: &Answer, body: &[u8]) -> ReadError {
    match error {
        ReadError::Closed => ReadError::Truncated { status: Some(answer.status), body: body.to_vec() },
        other => other,
    }
}

/// Takes the first `length` bytes; by copying blocks, which is fast in a debug build as well.
pub(crate) fn split_front(buffer: &mut Vec<u8>, length: usize) -> Vec<u8> {
    let rest = buffer.split_off(length);
    std::mem::replace(buffer, rest)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
