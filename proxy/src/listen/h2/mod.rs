//! HTTP/2 connections, by the `h2` crate: each stream is a request of its own task.

mod gather;

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep_until, timeout, timeout_at};

use super::Connection;
use super::h1::RateFloor;
use super::stream::Stream;
use crate::http::{BodyReadError, Length, Request, RequestBody, Sink, SinkError};
use crate::runtime::Shared;
use crate::service;
use gather::gather;

/// Flow-control windows offered to clients, bytes: what Envoy advises for edges (64 KiB a stream, 1 MiB together).
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Content bytes handed to a stream at once.
const PIECE: usize = 64 * 1024;

/// Response bytes the connection buffers for all its streams.
const SEND_BUFFER: usize = 256 * 1024;

/// Streams a client may have reset and we still remember, before the connection is ended (rapid reset).
const RESET_STREAMS: usize = 50;

/// Serves a connection until it ends.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    stream: Stream,
    mut drain: watch::Receiver<bool>,
) {
    let limits = shared.runtime().config.limits.clone();
    let (stream, written) = gather(stream);
    let handshake = h2::server::Builder::new()
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.head_size).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(Some(RESET_STREAMS))
        .handshake(stream);
    let Ok(Ok(mut session)) = timeout(limits.head_timeout, handshake).await else { return };
    let mut streams = JoinSet::new();
    let mut idle_since = Instant::now();
    let mut ending = *drain.borrow();
    if ending {
        session.graceful_shutdown();
    }
    loop {
        tokio::select! {
            accepted = poll_fn(|cx| {
                let accepted = session.poll_accept(cx);
                // Nothing more to do for the moment: what was said meanwhile goes out. A failure shows in the next read.
                if accepted.is_pending() {
                    let _ = written.poll(cx);
                }
                accepted
            }) => {
                let Some(Ok((request, respond))) = accepted else { break };
                let (shared, connection) = (Arc::clone(&shared), Arc::clone(&connection));
                streams.spawn(async move { stream_task(&shared, &connection, request, respond).await });
            }
            Some(_) = streams.join_next(), if !streams.is_empty() => idle_since = Instant::now(),
            () = sleep_until(idle_since + limits.keepalive_timeout), if streams.is_empty() && !ending => {
                ending = true;
                session.graceful_shutdown();
            }
            _ = drain.changed(), if !ending => {
                ending = true;
                session.graceful_shutdown();
            }
        }
    }
    let _ = timeout(limits.head_timeout, poll_fn(|cx| written.poll(cx))).await;
    while streams.join_next().await.is_some() {}
}

async fn stream_task(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    request: http::Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let runtime = shared.runtime();
    let limits = &runtime.config.limits;
    let floor = RateFloor { rate: limits.send_rate_floor, grace: limits.send_grace };
    let (parts, mut body) = request.into_parts();
    let mut fields = parts.headers;
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let target = if target.is_empty() && parts.method == Method::OPTIONS { "*" } else { target };
    let target = Bytes::copy_from_slice(target.as_bytes());
    // `:authority` is the authority; a differing `host` beside it is caught by admit as two Hosts.
    if let Some(authority) = parts.uri.authority()
        && let Ok(value) = HeaderValue::from_str(authority.as_str())
        && fields.get(HOST) != Some(&value)
    {
        fields.append(HOST, value);
    }
    join_cookies(&mut fields);
    let length = fields.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = if body.is_end_stream() || (length == Some(0) && ends_empty(&mut body, limits.body_timeout).await) {
        RequestBody::Empty
    } else if length == Some(0) {
        return H2Writer::new(respond, floor).abort();
    } else {
        RequestBody::H2(Box::new(H2Body::new(body, length, limits.body_timeout)))
    };
    let request =
        Request { method: parts.method, target, version: Version::HTTP_2, fields, body, continue_wanted: None };
    service::serve(&runtime, connection, request, Sink::H2(H2Writer::new(respond, floor))).await;
}

/// Content that is declared empty must end without any (RFC 9113 section 8.1.1): known before anything is forwarded.
async fn ends_empty(body: &mut RecvStream, within: Duration) -> bool {
    loop {
        match timeout(within, body.data()).await {
            Ok(None) => return true,
            Ok(Some(Ok(data))) if data.is_empty() => {}
            _ => return false,
        }
    }
}

/// RFC 9113 section 8.2.3: cookie lines are joined before they leave h2.
fn join_cookies(fields: &mut HeaderMap) {
    if fields.get_all(http::header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let joined =
        fields.get_all(http::header::COOKIE).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    if let Ok(value) = HeaderValue::from_bytes(&joined) {
        fields.insert(http::header::COOKIE, value);
    }
}

/// Request content of a stream.
#[derive(Debug)]
pub(crate) struct H2Body {
    stream: RecvStream,
    length: Option<u64>,
    received: u64,
    largest: u64,
    pause: Duration,
}

impl H2Body {
    fn new(stream: RecvStream, length: Option<u64>, pause: Duration) -> Self {
        Self { stream, length, received: 0, largest: u64::MAX, pause }
    }

    pub(crate) fn hold_to(&mut self, largest: u64) {
        self.largest = largest;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stream.is_end_stream()
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyReadError> {
        match timeout(self.pause, self.stream.data()).await {
            Err(_) => Err(BodyReadError::TimedOut),
            Ok(None) => Ok(None),
            Ok(Some(Ok(data))) => {
                // A window that is gone with its stream is no concern of ours.
                let _ = self.stream.flow_control().release_capacity(data.len());
                self.received += data.len() as u64;
                if self.received > self.largest { Err(BodyReadError::TooLarge) } else { Ok(Some(data)) }
            }
            Ok(Some(Err(error))) if error.is_reset() || error.is_io() => Err(BodyReadError::Disconnected),
            Ok(Some(Err(_))) => Err(BodyReadError::Malformed),
        }
    }
}

/// The response of a stream.
pub(crate) struct H2Writer {
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
    left: Option<u64>,
    floor: RateFloor,
    done: bool,
    sent: u64,
}

impl H2Writer {
    fn new(respond: SendResponse<Bytes>, floor: RateFloor) -> Self {
        Self { respond, stream: None, left: None, floor, done: false, sent: 0 }
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Waits until the client has reset the stream or ended the connection.
    pub(crate) async fn gone(&mut self) {
        match &mut self.stream {
            Some(stream) => drop(poll_fn(|cx| stream.poll_reset(cx)).await),
            None => drop(poll_fn(|cx| self.respond.poll_reset(cx)).await),
        }
    }

    pub(crate) fn head_sent(&self) -> bool {
        self.stream.is_some() || self.done
    }

    /// h2 1xx responses other than 101 exist; the crate sends them as interim responses.
    pub(crate) fn informational(&mut self, status: StatusCode, fields: &HeaderMap) -> Result<(), SinkError> {
        if self.head_sent() {
            return Ok(());
        }
        let mut response = http::Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = fields.clone();
        self.respond.send_informational(response).map_err(|_| SinkError::Gone)
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
        let mut response = http::Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        let stream = self.respond.send_response(response, ends).map_err(|_| SinkError::Gone)?;
        self.done = ends;
        self.stream = (!ends).then_some(stream);
        Ok(())
    }

    pub(crate) async fn data(&mut self, chunk: Bytes) -> Result<(), SinkError> {
        let mut rest = chunk;
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(rest.len() as u64).ok_or(SinkError::Long)?;
        }
        let mut window: Option<(Instant, u64)> = None;
        while !rest.is_empty() {
            stream.reserve_capacity(rest.len().min(PIECE));
            let capacity = if stream.capacity() > 0 {
                stream.capacity()
            } else {
                let ends = window.map_or_else(|| Instant::now() + self.floor.grace, |(ends, _)| ends);
                window.get_or_insert((ends, 0));
                let waiting = poll_fn(|cx| stream.poll_capacity(cx));
                let capacity = if self.floor.rate == 0 {
                    waiting.await
                } else {
                    timeout_at(ends, waiting).await.map_err(|_| SinkError::TooSlow)?
                };
                capacity.and_then(Result::ok).ok_or(SinkError::Gone)?
            };
            let piece = rest.split_to(capacity.min(rest.len()));
            self.sent += piece.len() as u64;
            if let Some((_, so_far)) = &mut window {
                *so_far += piece.len() as u64;
            }
            if window
                .is_some_and(|(_, so_far)| so_far >= self.floor.rate.saturating_mul(self.floor.grace.as_secs().max(1)))
            {
                window = None;
            }
            stream.send_data(piece, false).map_err(|_| SinkError::Gone)?;
        }
        Ok(())
    }

    pub(crate) async fn finish(&mut self) -> Result<(), SinkError> {
        if self.done {
            return Ok(());
        }
        if self.left.is_some_and(|left| left > 0) {
            return Err(SinkError::Short);
        }
        self.done = true;
        match &mut self.stream {
            Some(stream) => stream.send_data(Bytes::new(), true).map_err(|_| SinkError::Gone),
            None => Ok(()),
        }
    }

    pub(crate) fn abort(&mut self) {
        self.done = true;
        match &mut self.stream {
            Some(stream) => stream.send_reset(Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}
