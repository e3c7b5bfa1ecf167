//! How a connection ends that did nothing wrong: in two steps, so that no request on its way is lost (RFC 9113 section 6.8).

use std::task::{Context, Poll};

use tokio::time::{Duration, Instant};

use super::frame::{self, Code};
use super::{Over, Session};
use crate::listen::h1::RateFloor;

/// What the PING between the steps says.
pub(super) const LAST_PING: [u8; 8] = *b"forebay.";

/// How long its answer is waited for.
const ROUND_TRIP: Duration = Duration::from_secs(1);

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    No,
    /// The client was told not to ask any more, at that time; what it asked meanwhile is answered.
    Announced(Instant),
    /// It was told what the last request was that is answered.
    Final(Instant),
}

/// What a connection has a deadline for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// A frame or head that has begun is whole.
    Whole,
    /// The client has taken what was written.
    Taken,
    /// It is used, or the end goes on.
    Used,
}

impl Session {
    /// First step.
    pub(super) fn announce_end(&mut self) {
        let mut streams = self.streams.lock();
        frame::goaway(&mut streams.out, (1 << 31) - 1, Code::No);
        frame::ping(&mut streams.out, 0, &LAST_PING);
        self.ending = Ending::Announced(Instant::now());
    }

    /// Second step.
    pub(super) fn settle_end(&mut self) {
        frame::goaway(&mut self.streams.lock().out, self.last, Code::No);
        self.ending = Ending::Final(Instant::now());
    }

    /// Whether all is said.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.ending, Ending::Final(_)) && self.tasks.is_empty() && self.streams.lock().open() == 0
    }

    /// What has to happen next, and until when.
    fn due(&self) -> Option<(Instant, Due)> {
        let runtime = self.shared.runtime();
        let limits = &runtime.config.limits;
        let is_idle = self.tasks.is_empty();
        let incomplete = self.incomplete.filter(|_| is_idle).map(|since| since + limits.head_timeout);
        let stalled = self.stalled.filter(|_| limits.send_rate_floor > 0).map(|(since, _)| since + limits.send_grace);
        let rest = match self.ending {
            Ending::No => is_idle.then(|| self.active + limits.keepalive_timeout),
            Ending::Announced(at) => Some(at + ROUND_TRIP),
            Ending::Final(at) => is_idle.then(|| self.active.max(at) + limits.head_timeout),
        };
        let all = [(incomplete, Due::Whole), (stalled, Due::Taken), (rest, Due::Used)];
        all.into_iter().filter_map(|(at, due)| Some((at?, due))).min_by_key(|(at, _)| *at)
    }

    /// Does what is to be done when nothing happened.
    pub(super) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        let Some((at, due)) = self.due() else { return Poll::Pending };
        self.deadline.set_at(at);
        if self.deadline.poll_passed(cx).is_pending() {
            return Poll::Pending;
        }
        match (due, self.ending) {
            (Due::Whole, _) => return Poll::Ready(Over::Error(Code::No)),
            (Due::Taken, _) if self.is_too_slow() => return Poll::Ready(Over::Gone),
            (Due::Taken, _) => self.stalled = Some((Instant::now(), 0)),
            (Due::Used, Ending::No) => self.announce_end(),
            (Due::Used, Ending::Announced(_)) => self.settle_end(),
            // Nothing of the rest was taken.
            (Due::Used, Ending::Final(_)) => return Poll::Ready(Over::Gone),
        }
        // What was said now has to be written, and something else is due.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether the client has taken less than the rate floor asks for since it let us wait.
    fn is_too_slow(&self) -> bool {
        let asked = RateFloor::of(&self.shared.runtime().config.limits).enough();
        self.stalled.is_some_and(|(_, taken)| taken < asked)
    }
}
