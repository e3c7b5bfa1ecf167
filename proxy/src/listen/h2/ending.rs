//! How a connection ends that did nothing wrong: in two steps, so that no request on its way is lost (RFC 9113 section 6.8).

use std::task::{Context, Poll};

use tokio::time::{Duration, Instant};

use super::frame::{self, Code};
use super::{Over, Session};

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

    /// Until when something has to happen.
    fn due(&self) -> Option<Instant> {
        let runtime = self.shared.runtime();
        let limits = &runtime.config.limits;
        let incomplete = self.incomplete.filter(|_| self.tasks.is_empty()).map(|since| since + limits.head_timeout);
        let rest = match self.ending {
            Ending::No => self.tasks.is_empty().then(|| self.active + limits.keepalive_timeout),
            Ending::Announced(at) => Some(at + ROUND_TRIP),
            Ending::Final(at) => self.tasks.is_empty().then(|| self.active.max(at) + limits.head_timeout),
        };
        [incomplete, rest].into_iter().flatten().min()
    }

    /// Does what is to be done when nothing happened.
    pub(super) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        let Some(due) = self.due() else { return Poll::Pending };
        self.deadline.set_at(due);
        if self.deadline.poll_passed(cx).is_pending() {
            return Poll::Pending;
        }
        let is_incomplete = self.incomplete.is_some() && self.tasks.is_empty();
        match self.ending {
            _ if is_incomplete => return Poll::Ready(Over::Error(Code::No)),
            Ending::No => self.announce_end(),
            Ending::Announced(_) => self.settle_end(),
            // Nothing of the rest was taken.
            Ending::Final(_) => return Poll::Ready(Over::Gone),
        }
        // What was said now has to be written.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
