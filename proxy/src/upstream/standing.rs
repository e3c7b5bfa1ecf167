//! What a server's own conduct says of it: failures one after the other put it behind all others for a while, longer each
//! time; and what the operator says. Pure: time comes in.

use std::time::Duration;

use forebay_cache::clock::Timestamp;

/// The longest a server is asked last, in units of `fail_timeout`.
const LONGEST: u32 = 32;

/// How failures are judged: `max_fails` and `fail_timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    pub(super) max_fails: u32,
    pub(super) fail_timeout: Duration,
}

/// What the operator wants of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Requests.
    #[default]
    Ready,
    /// What it has, and its sessions until then.
    Draining { until: Timestamp },
    /// Nothing new at all.
    Disabled,
}

/// Where a server stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    pub(super) mode: Mode,
    /// Failures since the last success.
    fails: u32,
    /// Times it was ejected since the last success.
    ejections: u32,
    ejected_until: Option<Timestamp>,
    /// When it came back from a time without requests.
    back_since: Option<Timestamp>,
}

impl Standing {
    /// Whether other servers are asked first.
    pub(super) fn is_ejected(&self, now: Timestamp) -> bool {
        self.ejected_until.is_some_and(|until| until > now)
    }

    /// Since when it is back, for a slow start.
    pub(super) fn back_since(&self) -> Option<Timestamp> {
        self.back_since
    }

    /// It answered. Whether that ends an ejection.
    pub(super) fn succeeded(&mut self, now: Timestamp) -> bool {
        (self.fails, self.ejections) = (0, 0);
        let is_back = self.ejected_until.take().is_some();
        if is_back {
            self.back_since = Some(now);
        }
        is_back
    }

    /// It could not be connected to: there is nobody. Whether it is ejected for that now.
    pub(super) fn refused(&mut self, patience: Patience, now: Timestamp) -> bool {
        self.fails = self.fails.saturating_add(1);
        patience.max_fails > 0 && self.eject(patience, now)
    }

    /// It took a request and did not answer. Whether it is ejected for that now.
    pub(super) fn failed(&mut self, patience: Patience, now: Timestamp) -> bool {
        self.fails = self.fails.saturating_add(1);
        patience.max_fails > 0 && self.fails >= patience.max_fails && self.eject(patience, now)
    }

    /// The operator wants something else of it.
    pub(super) fn set_mode(&mut self, mode: Mode, now: Timestamp) {
        if mode == Mode::Ready && self.mode != Mode::Ready {
            self.came_back(now);
        }
        self.mode = mode;
    }

    /// What is known to its discredit is forgotten; its share begins small.
    pub(super) fn came_back(&mut self, now: Timestamp) {
        *self = Self { mode: self.mode, back_since: Some(now), ..Self::default() };
    }

    /// Requests in flight that fail together are one failure: the time is not doubled for each.
    fn eject(&mut self, patience: Patience, now: Timestamp) -> bool {
        if self.is_ejected(now) {
            return false;
        }
        let times = 1u32.checked_shl(self.ejections).unwrap_or(LONGEST).min(LONGEST);
        self.ejections = self.ejections.saturating_add(1);
        self.ejected_until = Some(now.saturating_add(patience.fail_timeout.saturating_mul(times)));
        true
    }
}

/// The share of a server that came back at `since`: it grows evenly over `slow_start`, from one part in a hundred.
pub(super) fn share(weight: u32, since: Option<Timestamp>, slow_start: Duration, now: Timestamp) -> u64 {
    const WHOLE: u64 = 100;
    let weight = u64::from(weight);
    let Some(since) = since.filter(|_| !slow_start.is_zero()) else { return weight * WHOLE };
    let (passed, all) = (now.since(since).as_millis(), slow_start.as_millis().max(1));
    let share = u128::from(weight * WHOLE) * passed.min(all) / all;
    u64::try_from(share).unwrap_or(u64::MAX).max(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { max_fails: 3, fail_timeout: Duration::from_secs(10) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
        let mut standing = Standing::default();
        assert!(!standing.failed(PATIENCE, at(0)) && !standing.failed(PATIENCE, at(0)));
        standing.succeeded(at(0));
        assert!(!standing.failed(PATIENCE, at(1)) && !standing.failed(PATIENCE, at(1)));
        assert!(!standing.is_ejected(at(1)));
        assert!(standing.failed(PATIENCE, at(1)));
        assert!(standing.is_ejected(at(10)) && !standing.is_ejected(at(11)));
    }

    #[test]
    fn a_server_that_cannot_be_connected_to_is_ejected_at_once() {
        let mut standing = Standing::default();
        assert!(standing.refused(PATIENCE, at(0)));
        assert!(standing.is_ejected(at(9)));
    }

    #[test]
    fn time_doubles_with_each_ejection_up_to_an_end_and_begins_anew_after_a_success() {
        let mut standing = Standing::default();
        let mut now = 0;
        for times in [1, 2, 4, 8, 16, 32, 32, 32] {
            assert!(standing.refused(PATIENCE, at(now)));
            assert!(!standing.refused(PATIENCE, at(now)), "those that fail together count once");
            assert!(standing.is_ejected(at(now + 10 * times - 1)), "{times}");
            now += 10 * times;
            assert!(!standing.is_ejected(at(now)), "{times}");
        }
        assert!(standing.succeeded(at(now)));
        standing.refused(PATIENCE, at(now));
        assert!(!standing.is_ejected(at(now + 10)));
    }

    #[test]
    fn max_fails_0_never_ejects() {
        let mut standing = Standing::default();
        let never = Patience { max_fails: 0, ..PATIENCE };
        for _ in 0..10 {
            assert!(!standing.refused(never, at(0)) && !standing.failed(never, at(0)));
        }
    }

    #[test]
    fn share_grows_evenly_after_a_return() {
        let slow = Duration::from_secs(100);
        let grown = |seconds| share(3, Some(at(0)), slow, at(seconds));
        assert_eq!([grown(0), grown(10), grown(50), grown(100), grown(500)], [3, 30, 150, 300, 300]);
        assert_eq!(share(3, None, slow, at(0)), 300);
        assert_eq!(share(3, Some(at(0)), Duration::ZERO, at(0)), 300);
    }

    #[test]
    fn operator_who_makes_a_server_ready_again_forgets_its_failures() {
        let mut standing = Standing::default();
        standing.refused(PATIENCE, at(0));
        standing.set_mode(Mode::Disabled, at(1));
        assert!(standing.is_ejected(at(1)));
        standing.set_mode(Mode::Ready, at(2));
        assert!(!standing.is_ejected(at(2)));
        assert_eq!(standing.back_since(), Some(at(2)));
    }
}
