//! A connection between requests. It holds no buffer: what comes is read into one of the thread's, and a hit is answered
//! from there.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::ops::ControlFlow::{self, Break, Continue};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, Sleep};

use super::Session;
use super::leaving::Leaving;
use super::next::HEAD_READ;
use crate::deadline::Deadline;
use crate::front::{self, Hit};
use crate::listen::draining::Draining;

thread_local! {
    /// What arrives at a connection that waits, for as long as it takes to look at it.
    static ARRIVED: RefCell<BytesMut> = RefCell::new(BytesMut::with_capacity(HEAD_READ));
}

/// What ended the wait.
pub(super) enum Idle {
    /// Something came that the long way has to look at.
    Request(BytesMut),
    /// A hit that the client has not taken whole.
    Stuck(Box<Stuck>),
    /// The last response is written; the connection is to be closed.
    Over,
    /// The client left, the deadline is over or the process drains.
    Closed,
}

/// A hit on its way.
pub(super) struct Stuck {
    pub(super) hit: Hit,
    pub(super) leaving: Leaving,
    pub(super) keep_alive: bool,
    /// What came behind its request.
    pub(super) behind: BytesMut,
}

/// Waits for a request that is not a hit. The deadline of the first one runs since the connection was accepted. `begun` is
/// of `draining`.
pub(super) fn idle<'a>(
    session: &'a mut Session,
    deadline: &'a mut Deadline<Pin<&mut Sleep>>,
    draining: &'a Draining,
    mut begun: Pin<&'a mut Notified<'_>>,
) -> impl Future<Output = Idle> {
    let mut is_registered = false;
    poll_fn(move |cx| {
        let mut has_answered = false;
        while let Poll::Ready(ended) = poll_requests(cx, session, draining) {
            match ended {
                Break(ended) => return Poll::Ready(ended),
                Continue(until) => {
                    session.is_first = false;
                    deadline.set_at(until);
                    has_answered = true;
                }
            }
        }
        // Both stay registered. What they say while a hit is answered wakes the task again, but for a timer that rang before.
        if has_answered && is_registered && !deadline.has_rung() {
            return Poll::Pending;
        }
        is_registered = true;
        let is_over = deadline.poll_passed(cx).is_ready() || begun.as_mut().poll(cx).is_ready() || draining.is_on();
        if is_over { Poll::Ready(Idle::Closed) } else { Poll::Pending }
    })
}

/// Goes on when all that came were hits, and are answered: until when the next may be waited for.
fn poll_requests(cx: &mut Context<'_>, session: &mut Session, draining: &Draining) -> Poll<ControlFlow<Idle, Instant>> {
    let Session { shared, connection, stream, .. } = session;
    let Some(stream) = stream else { return Poll::Ready(Break(Idle::Closed)) };
    ARRIVED.with_borrow_mut(|arrived| {
        arrived.clear();
        arrived.reserve(HEAD_READ);
        if !ready!(pin!(stream.read_buf(arrived)).poll(cx)).is_ok_and(|read| read > 0) {
            return Poll::Ready(Break(Idle::Closed));
        }
        let runtime = shared.peek();
        loop {
            let Some(hit) = front::find(&runtime, connection, arrived) else {
                return Poll::Ready(Break(Idle::Request(BytesMut::from(&arrived[..]))));
            };
            let keep_alive = !hit.is_last() && !draining.is_on();
            let mut leaving = Leaving::new(&hit, !keep_alive);
            let Poll::Ready(sent) = leaving.poll_send(cx, stream) else {
                let behind = BytesMut::from(&arrived[..]);
                return Poll::Ready(Break(Idle::Stuck(Box::new(Stuck { hit, leaving, keep_alive, behind }))));
            };
            let answered = front::account(&runtime, hit, sent);
            if sent.is_err() || !keep_alive {
                return Poll::Ready(Break(Idle::Over));
            }
            if arrived.is_empty() {
                let until = Instant::from_std(answered + runtime.config.limits.keepalive_timeout);
                return Poll::Ready(Continue(until));
            }
        }
    })
}
