//! Responses on an HTTP/1 connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use forebay_config::model::Limits;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, StatusCode, Version};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};

use super::gone::Gone;
use super::leaving::Leaving;
use super::tail::{Tail, write_some};
use crate::front::Hit;
use crate::http::{Length, SinkError};
use crate::listen::draining::Draining;
use crate::listen::spare;
use crate::listen::stream::Writer;
use crate::stages::offload::FileSlice;

/// Content up to this size is sent in one piece with what precedes it; larger content is written from where it lies.
const JOIN: usize = 16 * 1024;

/// Bytes of a usual head, and of small content.
const USUAL: usize = 4 * 1024;

/// Slowest reader that is served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateFloor {
    /// Bytes a second; 0: no floor.
    pub(crate) rate: u64,
    /// How long a reader may stay beneath it.
    pub(crate) grace: Duration,
}

impl RateFloor {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self { rate: limits.send_rate_floor, grace: limits.send_grace }
    }

    /// Bytes that have to be taken each time the grace is over.
    pub(crate) fn enough(self) -> u64 {
        self.rate.saturating_mul(self.grace.as_secs().max(1))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// No content follows the head.
    Bodiless,
    Length(u64),
    Chunked,
    UntilClose,
}

/// Status line and field lines. Those of the connection are written by the head itself and never taken from the answer.
pub(crate) fn start(out: &mut BytesMut, status: StatusCode, fields: &HeaderMap) {
    // The version is ours, not the client's (RFC 9110 section 2.5).
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in fields {
        if !matches!(*name, CONNECTION | CONTENT_LENGTH | TRANSFER_ENCODING | UPGRADE) {
            line(out, name.as_str(), value.as_bytes());
        }
    }
}

fn line(out: &mut BytesMut, name: &str, value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The writing half of a connection.
#[derive(Debug)]
pub(crate) struct H1Writer {
    pub(super) stream: Writer,
    out: BytesMut,
    framing: Framing,
    floor: RateFloor,
    version: Version,
    keep_alive: bool,
    head_sent: bool,
    aborted: bool,
    sent: u64,
    gone: Arc<Gone>,
    draining: Arc<Draining>,
}

impl H1Writer {
    pub(super) fn new(stream: Writer, floor: RateFloor, draining: Arc<Draining>) -> Self {
        Self {
            stream,
            out: BytesMut::new(),
            framing: Framing::Bodiless,
            floor,
            version: Version::HTTP_11,
            keep_alive: true,
            head_sent: false,
            aborted: false,
            sent: 0,
            gone: Arc::default(),
            draining,
        }
    }

    /// A request was read: its version, and whether the connection may go on after it.
    pub(super) fn begin(&mut self, version: Version, keep_alive: bool) {
        self.version = version;
        self.keep_alive = keep_alive;
        self.head_sent = false;
        self.framing = Framing::Bodiless;
        self.sent = 0;
    }

    /// Nothing is to be written for a while: give the buffer back.
    pub(super) fn rest(&mut self) {
        spare::keep(std::mem::take(&mut self.out));
    }

    /// The connection will be closed after this response: say so, if the head is not out yet.
    pub(crate) fn close_after(&mut self) {
        self.keep_alive = false;
    }

    pub(super) fn keeps_alive(&self) -> bool {
        self.keep_alive && !self.aborted
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.aborted
    }

    pub(super) fn gone_flag(&self) -> Arc<Gone> {
        Arc::clone(&self.gone)
    }

    /// Waits until the client has closed its side of the connection.
    pub(crate) async fn gone(&self) {
        self.gone.wait().await;
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn abort(&mut self) {
        self.aborted = true;
    }

    pub(crate) async fn informational(&mut self, status: StatusCode, fields: &HeaderMap) -> Result<(), SinkError> {
        if self.version == Version::HTTP_10 || self.head_sent {
            return Ok(());
        }
        start(&mut self.out, status, fields);
        self.out.extend_from_slice(b"\r\n");
        self.flush().await
    }

    pub(crate) fn head(
        &mut self,
        status: StatusCode,
        fields: &HeaderMap,
        length: Length,
        head_only: bool,
    ) -> Result<(), SinkError> {
        self.head_sent = true;
        self.framing = match length {
            Length::Bodiless => Framing::Bodiless,
            Length::Known(length) => Framing::Length(length),
            Length::Unknown if self.version == Version::HTTP_10 => Framing::UntilClose,
            Length::Unknown => Framing::Chunked,
            Length::Tunnel => Framing::UntilClose,
        };
        if self.framing == Framing::UntilClose {
            self.keep_alive = false;
        }
        // A drain that began while the response was made: this connection takes no further request.
        self.keep_alive &= !self.draining.is_on();
        if self.out.capacity() == 0 {
            self.out = spare::take();
        }
        self.out.reserve(USUAL);
        start(&mut self.out, status, fields);
        match self.framing {
            Framing::Length(length) => {
                self.line(CONTENT_LENGTH.as_str(), itoa::Buffer::new().format(length).as_bytes())
            }
            Framing::Chunked => self.line(TRANSFER_ENCODING.as_str(), b"chunked"),
            Framing::Bodiless | Framing::UntilClose => {}
        }
        if length == Length::Tunnel {
            if let Some(protocol) = fields.get(UPGRADE) {
                self.line(UPGRADE.as_str(), protocol.as_bytes());
            }
            self.line(CONNECTION.as_str(), b"upgrade");
        } else if !self.keep_alive {
            self.line(CONNECTION.as_str(), b"close");
        } else if self.version == Version::HTTP_10 {
            self.line(CONNECTION.as_str(), b"keep-alive");
        }
        self.out.extend_from_slice(b"\r\n");
        if head_only {
            self.framing = Framing::Bodiless;
        }
        Ok(())
    }

    fn line(&mut self, name: &str, value: &[u8]) {
        line(&mut self.out, name, value);
    }

    /// A stored response that the front found.
    pub(super) async fn hit(&mut self, hit: &Hit) -> Result<(), SinkError> {
        let keep_alive = !hit.is_last() && !self.draining.is_on();
        let mut leaving = Leaving::new(hit, !keep_alive);
        match poll_fn(|cx| Poll::Ready(leaving.poll_send(cx, &mut self.stream))).await {
            Poll::Ready(sent) => {
                self.begin(Version::HTTP_11, keep_alive);
                sent
            }
            Poll::Pending => self.rest_of_hit(leaving, keep_alive).await,
        }
    }

    /// What a client has not taken at once, and for which it is held to the rate floor.
    pub(super) async fn rest_of_hit(&mut self, leaving: Leaving, keep_alive: bool) -> Result<(), SinkError> {
        self.begin(Version::HTTP_11, keep_alive);
        let Leaving { out, tail } = leaving;
        self.out = out;
        self.write(tail).await?;
        self.stream.flush().await.map_err(|_| SinkError::Gone)
    }

    pub(crate) async fn data(&mut self, chunk: Bytes) -> Result<(), SinkError> {
        let length = chunk.len() as u64;
        match &mut self.framing {
            Framing::Bodiless => return Ok(()),
            Framing::Length(left) => *left = left.checked_sub(length).ok_or(SinkError::Long)?,
            Framing::Chunked if length > 0 => {
                self.out.extend_from_slice(format!("{length:x}\r\n").as_bytes());
            }
            Framing::Chunked | Framing::UntilClose => {}
        }
        self.sent += length;
        if chunk.len() <= JOIN {
            self.out.extend_from_slice(&chunk);
        } else {
            self.write(Tail::Memory(chunk)).await?;
        }
        if self.framing == Framing::Chunked && length > 0 {
            self.out.extend_from_slice(b"\r\n");
        }
        if self.out.len() > JOIN {
            self.write(Tail::default()).await?;
        }
        Ok(())
    }

    /// Whether a part of a file goes out from where it lies: it is neither framed nor worth joining with what precedes it.
    pub(crate) fn takes(&self, slice: &FileSlice) -> bool {
        matches!(self.framing, Framing::Length(_)) && slice.length() > JOIN as u64
    }

    /// A part of a file that it [`takes`](Self::takes).
    pub(crate) async fn slice(&mut self, slice: FileSlice) -> Result<(), SinkError> {
        if let Framing::Length(left) = &mut self.framing {
            *left = left.checked_sub(slice.length()).ok_or(SinkError::Long)?;
        }
        self.sent += slice.length();
        self.write(Tail::File(Bytes::new(), slice)).await
    }

    pub(crate) async fn flush(&mut self) -> Result<(), SinkError> {
        self.write(Tail::default()).await?;
        self.stream.flush().await.map_err(|_| SinkError::Gone)
    }

    pub(crate) async fn finish(&mut self) -> Result<(), SinkError> {
        match self.framing {
            Framing::Length(left) if left > 0 => return Err(SinkError::Short),
            Framing::Chunked => self.out.extend_from_slice(b"0\r\n\r\n"),
            _ => {}
        }
        self.framing = Framing::Bodiless;
        self.flush().await
    }

    /// Writes what is buffered, then `tail`, holding the client to the rate floor.
    async fn write(&mut self, mut tail: Tail) -> Result<(), SinkError> {
        let mut window = None;
        while !self.out.is_empty() || !tail.is_empty() {
            let Self { stream, out, floor, .. } = self;
            let writing = write_some(stream, out, &mut tail);
            if floor.rate == 0 {
                writing.await?;
                continue;
            }
            let (ends, so_far) = *window.get_or_insert_with(|| (Instant::now() + floor.grace, 0_u64));
            let so_far = so_far + timeout_at(ends, writing).await.map_err(|_| SinkError::TooSlow)??;
            let enough = so_far >= floor.enough();
            window = if enough { None } else { Some((ends, so_far)) };
        }
        Ok(())
    }
}
