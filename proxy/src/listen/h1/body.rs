//! Request content of an HTTP/1 connection. It owns the reading half while there is content to read, so that a
//! request can be sent on while its response is already being written.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::sync::oneshot;

use super::framing::Framing;
use crate::http::BodyReadError;
use crate::http::chunked::{Decoder, Step};
use crate::listen::stream::Reader;

/// Most bytes read at once.
const READ: usize = 64 * 1024;

/// The reading half of a connection and what was read ahead.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(super) reader: Reader,
    pub(super) buffer: BytesMut,
    /// Whether the content of the last request was read to its end.
    pub(super) complete: bool,
}

#[derive(Debug)]
enum Shape {
    Length {
        declared: u64,
        left: u64,
    },
    Chunked(Decoder),
    /// An upgrade was asked for; nothing is read before it was accepted (attack: bytes sent early).
    ClosedTunnel,
    Tunnel,
    Done,
}

/// Content still to be read. Dropping it hands the connection back.
#[derive(Debug)]
pub(crate) struct H1Body {
    incoming: Option<Box<Incoming>>,
    shape: Shape,
    received: u64,
    largest: u64,
    pause: Duration,
    /// Rung once, before the first read, when the client waits for `100 Continue`.
    on_first_read: Option<oneshot::Sender<()>>,
    hand_back: Option<oneshot::Sender<Box<Incoming>>>,
}

/// What the connection keeps of a body it lent its reading half to.
pub(super) struct Lent {
    pub(super) returned: oneshot::Receiver<Box<Incoming>>,
    pub(super) continue_wanted: Option<oneshot::Receiver<()>>,
}

impl H1Body {
    /// Content of the given framing.
    pub(super) fn new(
        incoming: Box<Incoming>,
        framing: Framing,
        expects_continue: bool,
        pause: Duration,
    ) -> (Self, Lent) {
        let shape = match framing {
            Framing::None => Shape::ClosedTunnel,
            Framing::Length(length) => Shape::Length { declared: length, left: length },
            Framing::Chunked => Shape::Chunked(Decoder::new()),
        };
        let (hand_back, returned) = oneshot::channel();
        let (on_first_read, continue_wanted) = if expects_continue {
            let (sender, receiver) = oneshot::channel();
            (Some(sender), Some(receiver))
        } else {
            (None, None)
        };
        let body = Self {
            incoming: Some(incoming),
            shape,
            received: 0,
            largest: u64::MAX,
            pause,
            on_first_read,
            hand_back: Some(hand_back),
        };
        (body, Lent { returned, continue_wanted })
    }

    pub(crate) fn hold_to(&mut self, largest: u64) {
        self.largest = largest;
    }

    pub(crate) fn is_tunnel(&self) -> bool {
        matches!(self.shape, Shape::ClosedTunnel | Shape::Tunnel)
    }

    pub(crate) fn open_tunnel(&mut self) {
        if matches!(self.shape, Shape::ClosedTunnel) {
            self.shape = Shape::Tunnel;
        }
    }

    pub(crate) fn length(&self) -> Option<u64> {
        match self.shape {
            Shape::Length { declared, .. } => Some(declared),
            Shape::Chunked(_) => None,
            Shape::ClosedTunnel | Shape::Tunnel | Shape::Done => Some(0),
        }
    }

    /// Next bytes; `None` at the end. Safe to drop before it is ready.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyReadError> {
        if let Some(wanted) = self.on_first_read.take() {
            // Bytes that are there already say that the client did not wait.
            if self.incoming.as_ref().is_some_and(|incoming| incoming.buffer.is_empty()) {
                let _ = wanted.send(());
            }
        }
        loop {
            if let Some(step) = self.decode()? {
                return Ok(step);
            }
            let Some(incoming) = &mut self.incoming else { return Ok(None) };
            incoming.buffer.reserve(READ.min(16 * 1024));
            let read = incoming.reader.read_buf(&mut incoming.buffer);
            let read = if matches!(self.shape, Shape::Tunnel) {
                read.await
            } else {
                tokio::time::timeout(self.pause, read).await.map_err(|_| BodyReadError::TimedOut)?
            };
            match read {
                Ok(0) if matches!(self.shape, Shape::Tunnel) => {
                    self.shape = Shape::Done;
                    return Ok(None);
                }
                Ok(0) | Err(_) => return Err(BodyReadError::Disconnected),
                Ok(_) => {}
            }
        }
    }

    /// What the bytes at hand say: content, the end, or nothing yet.
    fn decode(&mut self) -> Result<Option<Option<Bytes>>, BodyReadError> {
        let Some(incoming) = &mut self.incoming else { return Ok(Some(None)) };
        let data = match &mut self.shape {
            Shape::Done | Shape::ClosedTunnel => return Ok(Some(None)),
            Shape::Length { left: 0, .. } => {
                incoming.complete = true;
                self.shape = Shape::Done;
                return Ok(Some(None));
            }
            Shape::Length { left, .. } => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(incoming.buffer.len());
                *left -= take as u64;
                incoming.buffer.split_to(take).freeze()
            }
            Shape::Chunked(decoder) => match decoder.step(&mut incoming.buffer) {
                Ok(Step::Data(data)) => data,
                Ok(Step::More) => return Ok(None),
                Ok(Step::End) => {
                    incoming.complete = true;
                    self.shape = Shape::Done;
                    return Ok(Some(None));
                }
                Err(_) => return Err(BodyReadError::Malformed),
            },
            Shape::Tunnel => incoming.buffer.split().freeze(),
        };
        if data.is_empty() {
            return Ok(None);
        }
        self.received += data.len() as u64;
        if self.received > self.largest && !matches!(self.shape, Shape::Tunnel) {
            return Err(BodyReadError::TooLarge);
        }
        Ok(Some(Some(data)))
    }
}

impl Drop for H1Body {
    fn drop(&mut self) {
        // A length that was read to its last byte is complete even if nobody asked for the end.
        if let (Shape::Length { left: 0, .. }, Some(incoming)) = (&self.shape, &mut self.incoming) {
            incoming.complete = true;
        }
        // A tunnel that was never opened took nothing off the connection.
        if let (Shape::ClosedTunnel, Some(incoming)) = (&self.shape, &mut self.incoming) {
            incoming.complete = true;
        }
        if let (Some(hand_back), Some(incoming)) = (self.hand_back.take(), self.incoming.take()) {
            let _ = hand_back.send(incoming);
        }
    }
}
