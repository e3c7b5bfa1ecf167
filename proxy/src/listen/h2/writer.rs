//! The response of a stream.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::handle::Handle;
use super::hpack;
use crate::http::{Length, SinkError};
use crate::listen::h1::RateFloor;

/// The response of a stream.
#[derive(Debug)]
pub(crate) struct H2Writer {
    stream: Handle,
    left: Option<u64>,
    floor: RateFloor,
    head_sent: bool,
    done: bool,
    sent: u64,
}

impl H2Writer {
    pub(super) fn new(stream: Handle, floor: RateFloor) -> Self {
        Self { stream, left: None, floor, head_sent: false, done: false, sent: 0 }
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Waits until the client has reset the stream or ended the connection.
    pub(crate) async fn gone(&mut self) {
        poll_fn(|cx| self.stream.poll_gone(cx)).await;
    }

    pub(crate) fn informational(&mut self, status: StatusCode, fields: &HeaderMap) -> Result<(), SinkError> {
        // RFC 9113 section 8.6: there is no upgrade in HTTP/2.
        if self.head_sent || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        self.stream.head(false, |out| hpack::head(out, status, fields)).map_err(|_| SinkError::Gone)
    }

    pub(crate) fn head(
        &mut self,
        status: StatusCode,
        mut fields: HeaderMap,
        length: Length,
        head_only: bool,
    ) -> Result<(), SinkError> {
        let mut ends = head_only;
        match length {
            Length::Known(length) => {
                fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
                ends |= length == 0;
                self.left = Some(length);
            }
            Length::Bodiless => ends = true,
            // A tunnel cannot be asked for over h2 without extended CONNECT, which is not offered.
            Length::Unknown | Length::Tunnel => {}
        }
        (self.head_sent, self.done) = (true, ends);
        self.stream.head(ends, |out| hpack::head(out, status, &fields)).map_err(|_| SinkError::Gone)
    }

    pub(crate) async fn data(&mut self, chunk: Bytes) -> Result<(), SinkError> {
        if self.done {
            return Ok(());
        }
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(chunk.len() as u64).ok_or(SinkError::Long)?;
        }
        let mut rest = chunk;
        let mut window: Option<(Instant, u64)> = None;
        while !rest.is_empty() {
            let room = self.room(&mut window).await?;
            let piece = rest.split_to(room.min(rest.len()));
            let length = piece.len() as u64;
            self.sent += length;
            self.done = rest.is_empty() && self.left == Some(0);
            self.stream.push(piece, self.done).map_err(|_| SinkError::Gone)?;
            let enough = self.floor.enough();
            window = window.map(|(ends, so_far)| (ends, so_far + length)).filter(|(_, so_far)| *so_far < enough);
        }
        Ok(())
    }

    /// Waits until content can be queued, at the slowest at the rate of the floor. `window`: until when how much has to have
    /// been taken, once the client let us wait.
    async fn room(&mut self, window: &mut Option<(Instant, u64)>) -> Result<usize, SinkError> {
        let waiting = poll_fn(|cx| self.stream.poll_room(cx));
        let room = if self.floor.rate == 0 {
            waiting.await
        } else {
            match poll_fn(|cx| Poll::Ready(self.stream.poll_room(cx))).await {
                Poll::Ready(room) => room,
                Poll::Pending => {
                    let (ends, _) = *window.get_or_insert_with(|| (Instant::now() + self.floor.grace, 0));
                    timeout_at(ends, waiting).await.map_err(|_| SinkError::TooSlow)?
                }
            }
        };
        room.map_err(|_| SinkError::Gone)
    }

    pub(crate) async fn finish(&mut self) -> Result<(), SinkError> {
        if self.done {
            return Ok(());
        }
        if self.left.is_some_and(|left| left > 0) {
            return Err(SinkError::Short);
        }
        self.done = true;
        self.stream.push(Bytes::new(), true).map_err(|_| SinkError::Gone)
    }

    pub(crate) fn abort(&mut self) {
        self.done = true;
        self.stream.reset();
    }
}
