//! A connection between requests. It holds no buffer: what comes is read into one of the thread's, and a hit is answered
//! from there.

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::ops::ControlFlow::{self, Break, Continue};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use super::Session;
use super::body::Incoming;
use super::next::HEAD_READ;
use super::writer::H1Writer;
use crate::front::{self, Hit};
use crate::listen::Connection;
use crate::runtime::Shared;

thread_local! {
    /// What arrives at a connection that waits, for as long as it takes to look at it.
    static ARRIVED: RefCell<BytesMut> = RefCell::new(BytesMut::with_capacity(HEAD_READ));
}

/// What ended the wait.
pub(super) enum Idle {
    /// Something came that the long way has to look at; it is in the connection's buffer now.
    Request,
    /// A hit that the client has not taken whole; the rest of it is in the writer.
    Stuck(Box<Hit>),
    /// The last response is written; the connection is to be closed.
    Over,
    /// The client left, the deadline is over or the process drains.
    Closed,
}

/// Waits for a request that is not a hit. The deadline of the first one runs since the connection was accepted.
pub(super) async fn idle(session: &mut Session, incoming: &mut Incoming) -> Idle {
    incoming.buffer = BytesMut::new();
    session.writer.rest();
    if !session.is_first {
        session.deadline.set(session.shared.runtime().config.limits.keepalive_timeout);
    }
    let Session { shared, connection, writer, deadline, drain, is_first } = session;
    // Registered once, not with each request.
    let mut drained = pin!(drain.wait_for(|draining| *draining));
    poll_fn(|cx| {
        while let Poll::Ready(ended) = poll_requests(cx, shared, connection, incoming, writer) {
            match ended {
                Break(ended) => return Poll::Ready(ended),
                Continue(until) => {
                    *is_first = false;
                    deadline.set_at(until);
                }
            }
        }
        let is_over = deadline.poll_passed(cx).is_ready() || drained.as_mut().poll(cx).is_ready();
        if is_over { Poll::Ready(Idle::Closed) } else { Poll::Pending }
    })
    .await
}

/// Goes on when all that came were hits, and are answered: until when the next may be waited for.
fn poll_requests(
    cx: &mut Context<'_>,
    shared: &Shared,
    connection: &Connection,
    incoming: &mut Incoming,
    writer: &mut H1Writer,
) -> Poll<ControlFlow<Idle, Instant>> {
    ARRIVED.with_borrow_mut(|arrived| {
        arrived.clear();
        arrived.reserve(HEAD_READ);
        if !ready!(pin!(incoming.reader.read_buf(arrived)).poll(cx)).is_ok_and(|read| read > 0) {
            return Poll::Ready(Break(Idle::Closed));
        }
        let runtime = shared.runtime();
        loop {
            let Some(hit) = front::find(&runtime, connection, arrived) else {
                incoming.buffer.extend_from_slice(arrived);
                return Poll::Ready(Break(Idle::Request));
            };
            let Poll::Ready(sent) = writer.poll_hit(cx, &hit) else {
                incoming.buffer.extend_from_slice(arrived);
                return Poll::Ready(Break(Idle::Stuck(Box::new(hit))));
            };
            let answered = front::account(&runtime, hit, sent);
            if sent.is_err() || !writer.keeps_alive() {
                return Poll::Ready(Break(Idle::Over));
            }
            if arrived.is_empty() {
                let until = Instant::from_std(answered + runtime.config.limits.keepalive_timeout);
                return Poll::Ready(Continue(until));
            }
        }
    })
}
