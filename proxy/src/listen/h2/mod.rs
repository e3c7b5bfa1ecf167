//! HTTP/2 connections (RFC 9113). One task reads and writes ([`read`], [`mod@write`]): it answers requests of which a response is
//! in memory itself, all that came in one read with one write ([`request`]); each other one is served by a task of its own,
//! which reads and writes its stream ([`streams`]) as [`H2Body`] and [`H2Writer`]. What a client may cost without asking for
//! anything is bounded ([`abuse`]); how a connection ends is in [`ending`].

mod abuse;
mod body;
#[cfg(test)]
pub(crate) mod counted;
mod ending;
mod frame;
mod handle;
mod head;
mod hpack;
mod read;
mod request;
mod streams;
mod write;
mod writer;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use self::abuse::Patience;
use self::ending::Ending;
use self::frame::{Code, setting};
use self::hpack::Decoder;
use self::read::{Block, Expected};
use self::streams::{CONNECTION_WINDOW, MOST, STREAM_WINDOW};
use super::Connection;
use super::draining::Draining;
use super::h1::Deadline;
use super::linger::linger;
use super::stream::Stream;
use crate::runtime;

pub(crate) use body::H2Body;
pub(crate) use request::coded;
pub(crate) use writer::H2Writer;

/// A connection's state, but for that of its streams.
struct Session {
    shared: Arc<runtime::Shared>,
    connection: Arc<Connection>,
    stream: Stream,
    streams: streams::Shared,
    /// Requests that are served.
    tasks: JoinSet<()>,
    decoder: Decoder,
    /// What came and is not a whole frame yet, or not looked at.
    unread: BytesMut,
    expected: Expected,
    /// The head that goes on in the next frame.
    block: Option<Block>,
    /// The last stream that a client began and we took.
    last: u32,
    patience: Patience,
    /// Frames on their way to the client.
    writing: BytesMut,
    /// How much of that the client has taken.
    written: usize,
    /// Since when the client has let us wait, and how much it has taken since.
    stalled: Option<(Instant, u64)>,
    ending: Ending,
    deadline: Deadline,
    /// When a request last came or was answered.
    active: Instant,
    /// Since when a frame or a head is incomplete.
    incomplete: Option<Instant>,
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// It was announced, and all is said.
    Done,
    /// The client closed it, or broke it.
    Gone,
    /// The client did something it must not.
    Error(Code),
}

/// Serves a connection until it ends.
pub(crate) async fn serve(
    shared: Arc<runtime::Shared>,
    connection: Arc<Connection>,
    stream: Stream,
    draining: Arc<Draining>,
) {
    let mut session = Box::new(Session::new(shared, connection, stream));
    let over = {
        let mut begun = pin!(draining.begun());
        // Registered before it is asked what it was before.
        poll_fn(|cx| {
            let drains = begun.as_mut().poll(cx).is_ready() || draining.is_on();
            session.poll(cx, drains)
        })
        .await
    };
    session.close(over).await;
}

impl Session {
    fn new(shared: Arc<runtime::Shared>, connection: Arc<Connection>, stream: Stream) -> Self {
        let runtime = shared.runtime();
        let limits = &runtime.config.limits;
        let streams = streams::Shared::new();
        {
            let out = &mut streams.lock().out;
            let head_size = u32::try_from(limits.head_size).unwrap_or(u32::MAX);
            let ours = [
                (setting::MAX_CONCURRENT_STREAMS, limits.h2_streams),
                (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW),
                (setting::MAX_HEADER_LIST_SIZE, head_size),
            ];
            frame::settings(out, &ours);
            frame::window_update(out, 0, CONNECTION_WINDOW - frame::WINDOW as u32);
        }
        let now = Instant::now();
        Self {
            connection,
            stream,
            streams,
            tasks: JoinSet::new(),
            decoder: Decoder::new(),
            unread: BytesMut::new(),
            expected: Expected::Preface,
            block: None,
            last: 0,
            patience: Patience::new(limits.head_size),
            writing: BytesMut::new(),
            written: 0,
            stalled: None,
            ending: Ending::No,
            deadline: Deadline::new(limits.head_timeout),
            active: now,
            // The preface.
            incomplete: Some(now),
            shared,
        }
    }

    /// Goes on until nothing more can be read or written for the moment, or the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>, drains: bool) -> Poll<Over> {
        if drains && self.ending == Ending::No {
            self.announce_end();
        }
        loop {
            while let Poll::Ready(Some(_)) = self.tasks.poll_join_next(cx) {
                self.active = Instant::now();
            }
            let written = match self.poll_write(cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(Over::Gone),
                other => other.is_ready(),
            };
            // A client that does not take what it asked for is not read from.
            let has_room = self.streams.lock().out.len() < MOST;
            let read = match self.poll_read(cx, has_room) {
                Poll::Ready(Err(over)) => return Poll::Ready(over),
                other => other.is_ready(),
            };
            if read {
                continue;
            }
            if written && self.is_over() {
                return Poll::Ready(Over::Done);
            }
            {
                let mut streams = self.streams.lock();
                streams.wait(cx.waker());
                if written && streams.has_work() {
                    continue;
                }
            }
            return self.poll_deadline(cx);
        }
    }

    /// Says goodbye, so that what was said arrives.
    async fn close(mut self: Box<Self>, over: Over) {
        {
            let mut streams = self.streams.lock();
            streams.close();
            if let Over::Error(code) = over {
                tracing::debug!(client = %self.connection.client, ?code, "HTTP/2 connection given up");
                frame::goaway(&mut streams.out, self.last, code);
            }
        }
        let within = self.shared.runtime().config.limits.head_timeout;
        let said = over != Over::Gone
            && timeout(within, poll_fn(|cx| self.poll_write(cx))).await.is_ok_and(|written| written.is_ok())
            && self.stream.shutdown().await.is_ok();
        if said {
            linger(&mut self.stream).await;
        }
        while self.tasks.join_next().await.is_some() {}
    }
}
