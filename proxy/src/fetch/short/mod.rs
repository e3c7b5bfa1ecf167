//! A short connection: one for each exchange, plain HTTP/1.1, closed when the response is read. It is how dynamic URLs go
//! to AP servers unless the configuration wants `keepalive`, TLS or HTTP/2, which Pingora's sessions speak.
//!
//! What it does not do is what it is for: there is no pool to ask and to give back to, so a small exchange is a socket, one
//! write and one read.

mod line;
mod request;
mod response;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use forebay_cache::buffer::Buffer;
use http::header::UPGRADE;
use http::{Method, StatusCode};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use self::response::Content;
use super::FetchError;
use super::forward::{Event, Outbound};
use super::session::Unopened;
use crate::deadline::Deadline;
use crate::http::RequestBody;
use crate::http::chunked::Step;

/// Bytes read at once until it is known how long a response is.
const FIRST_READ: usize = 8 * 1024;

/// Bytes of content read at once.
const READ: usize = 64 * 1024;

/// Longest head, bytes.
const HEAD: usize = 256 * 1024;

/// How long a server may take, from its upstream's configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    /// Longest silence before and within a response.
    pub(super) read: Duration,
    pub(super) write: Duration,
}

/// One exchange.
#[derive(Debug)]
pub(super) struct Short {
    stream: TcpStream,
    /// What was read and could not be understood yet.
    buffer: BytesMut,
    /// How content is delimited; `None` before the final head.
    content: Option<Content>,
    /// Request content goes out in chunks.
    sends_chunks: bool,
    method: Method,
    asks_for_upgrade: bool,
    patience: Patience,
    deadline: Deadline,
    acknowledges: Acknowledges,
}

/// When the kernel says that it has what the server sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acknowledges {
    /// When it likes; nothing came yet.
    Sometime,
    /// At once, should more have to be waited for than has come.
    BeforeMore,
    AtOnce,
}

impl Short {
    /// Connects to `address` and sends the head of `outbound`.
    ///
    /// # Errors
    ///
    /// As [`Unopened`] tells.
    pub(super) async fn open(
        address: SocketAddr,
        outbound: &Outbound,
        body: &RequestBody,
        patience: Patience,
    ) -> Result<Self, Unopened> {
        let head = request::head(outbound, body).map_err(Unopened::Never)?;
        let has_more = outbound.upgrade || !body.is_empty();
        let connect = |error: io::Error| Unopened::Connect(refused(&error), error.into());
        let mut stream = line::open(address, has_more).map_err(connect)?;
        let mut deadline = Deadline::new(patience.connect);
        let sent = deadline.within(patience.connect, line::first(&stream, &head)).await;
        let sent = sent.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())).map_err(connect)?;
        if let Some(rest) = head.get(sent..).filter(|rest| !rest.is_empty()) {
            let parts = &mut [IoSlice::new(rest)];
            let written = deadline.within(patience.write, line::write(&mut stream, parts)).await;
            let written = written.ok_or(Unopened::Write(FetchError::WRITE_TIMEOUT))?;
            written.map_err(|error| Unopened::Write(broken(&error)))?;
        }
        Ok(Self {
            stream,
            buffer: BytesMut::new(),
            content: None,
            sends_chunks: body.length().is_none(),
            method: outbound.method.clone(),
            asks_for_upgrade: outbound.upgrade,
            patience,
            deadline,
            acknowledges: Acknowledges::Sometime,
        })
    }

    /// Sends request content.
    pub(super) async fn write(&mut self, data: &Bytes) -> Result<(), FetchError> {
        let size = if self.sends_chunks { format!("{:x}\r\n", data.len()) } else { String::new() };
        let end = if self.sends_chunks { "\r\n" } else { "" };
        let parts = &mut [size.as_bytes(), data, end.as_bytes()].map(IoSlice::new);
        self.put(parts).await
    }

    /// All request content was sent.
    pub(super) async fn finish(&mut self) -> Result<(), FetchError> {
        if self.sends_chunks {
            self.put(&mut [IoSlice::new(b"0\r\n\r\n")]).await?;
        }
        if self.is_tunnel() {
            // Its other end left.
            self.content = Some(Content::Length(0));
        }
        Ok(())
    }

    async fn put(&mut self, parts: &mut [IoSlice<'_>]) -> Result<(), FetchError> {
        let written = self.deadline.within(self.patience.write, line::write(&mut self.stream, parts)).await;
        written.ok_or(FetchError::WRITE_TIMEOUT)?.map_err(|error| broken(&error))
    }

    /// The connection carries whatever both sides say from here on, with silences up to `longest`. False: nobody asked for
    /// that.
    pub(super) fn open_tunnel(&mut self, longest: Duration) -> bool {
        self.patience.read = longest;
        self.sends_chunks = false;
        self.is_tunnel()
    }

    fn is_tunnel(&self) -> bool {
        self.asks_for_upgrade && matches!(self.content, Some(Content::UntilClose))
    }

    /// The next part of the response, and whether it is the last. Safe to drop before it is ready.
    pub(super) async fn next(&mut self) -> Result<(Event, bool), FetchError> {
        loop {
            match &mut self.content {
                None => {
                    if let Some(said) = self.head()? {
                        return Ok(said);
                    }
                    if self.buffer.len() > HEAD {
                        return Err(FetchError::MALFORMED);
                    }
                    self.more(FIRST_READ).await?;
                }
                Some(Content::Length(0)) => return Ok((Event::End, true)),
                Some(Content::Length(left)) => {
                    let left = *left;
                    let most = usize::try_from(left).unwrap_or(usize::MAX);
                    let chunk = if self.buffer.is_empty() {
                        self.chunk(most).await?.ok_or(FetchError::CLOSED)?
                    } else {
                        let length = self.buffer.len().min(most);
                        self.buffer.split_to(length).freeze()
                    };
                    let left = left - chunk.len() as u64;
                    self.content = Some(Content::Length(left));
                    return Ok((Event::Chunk(chunk), left == 0));
                }
                Some(Content::Chunked(decoder)) => {
                    match decoder.step(&mut self.buffer).map_err(|_| FetchError::CLOSED)? {
                        Step::Data(data) => return Ok((Event::Chunk(data), false)),
                        Step::End => return Ok((Event::End, true)),
                        Step::More => self.more(READ).await?,
                    }
                }
                Some(Content::UntilClose) => {
                    if !self.buffer.is_empty() {
                        return Ok((Event::Chunk(self.buffer.split().freeze()), false));
                    }
                    let chunk = self.chunk(READ).await?;
                    return Ok(chunk.map_or((Event::End, true), |chunk| (Event::Chunk(chunk), false)));
                }
            }
        }
    }

    /// A head, if a whole one was read.
    fn head(&mut self) -> Result<Option<(Event, bool)>, FetchError> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let Some(mut head) = response::head(&self.buffer)? else { return Ok(None) };
        let _ = self.buffer.split_to(head.length);
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            if self.asks_for_upgrade && head.fields.contains_key(UPGRADE) {
                self.content = Some(Content::UntilClose);
            }
            return Ok(Some((Event::Head(head.status, head.fields, true), false)));
        }
        if head.status.is_informational() {
            return Ok(Some((Event::Interim(head.status, head.fields), false)));
        }
        let content = response::content(&self.method, &mut head)?;
        let ends = matches!(content, Content::Length(0));
        self.content = Some(content);
        Ok(Some((Event::Head(head.status, head.fields, !ends), ends)))
    }

    /// Adds to what could not be understood yet: `most` bytes at most, and no less than one.
    async fn more(&mut self, most: usize) -> Result<(), FetchError> {
        let mut buffer = Buffer::of(most);
        let length = self.read(buffer.as_mut()).await?;
        self.buffer.extend_from_slice(buffer.as_ref().get(..length).unwrap_or_default());
        if length == 0 { Err(FetchError::CLOSED) } else { Ok(()) }
    }

    /// Some content, `most` bytes at most; `None` at the end of the connection.
    async fn chunk(&mut self, most: usize) -> Result<Option<Bytes>, FetchError> {
        let mut buffer = Buffer::of(most.min(READ));
        let length = self.read(buffer.as_mut()).await?;
        Ok(match length {
            0 => None,
            // Who keeps it would keep all of the buffer.
            few if few < buffer.as_ref().len() / 2 => buffer.as_ref().get(..few).map(Bytes::copy_from_slice),
            length => Some(buffer.filled(length)),
        })
    }

    /// A server that writes a response in small pieces, without `TCP_NODELAY`, waits for the acknowledgement of each before it
    /// sends the next, and 40 ms where it is delayed. Most responses come in one piece, and need no other say.
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, FetchError> {
        if self.acknowledges == Acknowledges::BeforeMore {
            self.acknowledges = Acknowledges::AtOnce;
            line::acknowledge_at_once(&self.stream);
        }
        let read = self.deadline.within(self.patience.read, self.stream.read(into)).await;
        let read = read.ok_or(FetchError::READ_TIMEOUT)?.map_err(|error| broken(&error))?;
        if self.acknowledges == Acknowledges::Sometime {
            self.acknowledges = Acknowledges::BeforeMore;
        }
        Ok(read)
    }
}

/// Why there is no connection.
fn refused(error: &io::Error) -> FetchError {
    match error.kind() {
        io::ErrorKind::TimedOut => FetchError::CONNECT_TIMEOUT,
        io::ErrorKind::ConnectionRefused => FetchError::bad_gateway("upstream-refused"),
        _ => FetchError::bad_gateway("upstream-unreachable"),
    }
}

/// Why there is no connection any more.
fn broken(error: &io::Error) -> FetchError {
    match error.kind() {
        // The kernel gave up sending the same bytes again and again.
        io::ErrorKind::TimedOut => FetchError::READ_TIMEOUT,
        _ => FetchError::CLOSED,
    }
}
