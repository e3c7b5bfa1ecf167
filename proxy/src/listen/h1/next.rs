//! Waiting for the next request of a connection: under a deadline, without holding a buffer while nothing comes, until
//! the process drains.

use std::pin::Pin;

use bytes::BytesMut;
use http::StatusCode;
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, Sleep, sleep_until};

use super::body::Incoming;
use super::parse::{self, Head};
use super::writer::H1Writer;
use crate::front::{self, Hit};
use crate::http::Refusal;
use crate::listen::Connection;
use crate::runtime::Runtime;

/// First read of a head; grows with it.
pub(super) const HEAD_READ: usize = 4 * 1024;

/// What came instead of, or as, the next request.
#[expect(clippy::large_enum_variant, reason = "a hit allocates nothing")]
pub(super) enum Next {
    /// A request the front has found the answer of.
    Hit(Hit),
    Head(Head),
    Refused(Refusal),
    Closed,
}

/// One timer for all deadlines of a connection. Moving the deadline back, as each request does, costs nothing: the timer
/// is set anew when it rings too early.
#[derive(Debug)]
pub(super) struct Deadline {
    at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    pub(super) fn new(within: Duration) -> Self {
        let at = Instant::now() + within;
        Self { at, timer: Box::pin(sleep_until(at)) }
    }

    fn set(&mut self, within: Duration) {
        self.at = Instant::now() + within;
        if self.at < self.timer.deadline() {
            self.timer.as_mut().reset(self.at);
        }
    }

    async fn passed(&mut self) {
        loop {
            self.timer.as_mut().await;
            if Instant::now() >= self.at {
                return;
            }
            self.timer.as_mut().reset(self.at);
        }
    }
}

/// Reads up to the end of the next head. A whole head has `head_timeout` from its first byte on, however it drips.
pub(super) async fn next(
    incoming: &mut Incoming,
    writer: &mut H1Writer,
    runtime: &Runtime,
    connection: &Connection,
    first: bool,
    deadline: &mut Deadline,
    drain: &mut watch::Receiver<bool>,
) -> Next {
    let limits = &runtime.config.limits;
    let mut begun = !incoming.buffer.is_empty();
    // The first request's deadline runs since the connection was accepted.
    if begun || first {
        deadline.set(limits.head_timeout);
    } else {
        deadline.set(limits.keepalive_timeout);
    }
    loop {
        if begun {
            if let Some(hit) = front::find(runtime, connection, &mut incoming.buffer) {
                return Next::Hit(hit);
            }
            match parse::head(&mut incoming.buffer, limits) {
                Ok(Some(head)) => return Next::Head(head),
                Ok(None) => {}
                Err(refusal) => return Next::Refused(refusal),
            }
        } else if *drain.borrow() {
            return Next::Closed;
        }
        match read(incoming, writer, deadline, drain, begun).await {
            Read::Some if !begun => {
                begun = true;
                if !first {
                    deadline.set(limits.head_timeout);
                }
            }
            Read::Some => {}
            Read::End => return Next::Closed,
            Read::Late if begun => return Next::Refused(Refusal::new(StatusCode::REQUEST_TIMEOUT, "head-timeout")),
            Read::Late | Read::Draining => return Next::Closed,
        }
    }
}

enum Read {
    Some,
    End,
    Late,
    Draining,
}

async fn read(
    incoming: &mut Incoming,
    writer: &mut H1Writer,
    deadline: &mut Deadline,
    drain: &mut watch::Receiver<bool>,
    begun: bool,
) -> Read {
    if incoming.buffer.is_empty() {
        // What waits holds no buffers: most connections wait most of the time.
        incoming.buffer = BytesMut::new();
        writer.rest();
        let readable = tokio::select! {
            biased;
            readable = incoming.reader.readable() => readable,
            () = deadline.passed() => return Read::Late,
            _ = drain.wait_for(|draining| *draining), if !begun => return Read::Draining,
        };
        if readable.is_err() {
            return Read::End;
        }
    }
    incoming.buffer.reserve(HEAD_READ);
    tokio::select! {
        biased;
        read = incoming.reader.read_buf(&mut incoming.buffer) => match read {
            Ok(0) | Err(_) => Read::End,
            Ok(_) => Read::Some,
        },
        () = deadline.passed() => Read::Late,
        _ = drain.wait_for(|draining| *draining), if !begun => Read::Draining,
    }
}
