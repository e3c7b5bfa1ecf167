//! The token bucket as one number: the time at which it is full again (the generic cell rate algorithm). A bucket whose
//! time has passed is as good as one that was never used, so forgetting it costs nothing.

use std::time::Duration;

/// How fast a bucket fills, and how much it holds, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// One token.
    interval: u64,
    /// All of them.
    depth: u64,
}

impl Pace {
    /// `requests` in a `period`, `burst` at once.
    pub(super) fn new(requests: u32, period: Duration, burst: u32) -> Self {
        let interval = (nanos(period) / u64::from(requests.max(1))).max(1);
        Self { interval, depth: interval.saturating_mul(u64::from(burst.max(1))) }
    }

    /// Takes a token of a bucket that is full again at `until`: when it is full then, and how long the request has to wait
    /// for it.
    ///
    /// # Errors
    ///
    /// It would have to wait longer than `patience`: by so much it comes too early, and nothing was taken.
    pub(super) fn take(&self, until: u64, now: u64, patience: u64) -> Result<(u64, u64), u64> {
        let full = until.max(now).saturating_add(self.interval);
        let wait = (full - now).saturating_sub(self.depth);
        if wait <= patience { Ok((full, wait)) } else { Err(wait - patience) }
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// How many of `count` requests, one every `gap`, are let through.
    fn through(pace: Pace, count: u64, gap: u64) -> u64 {
        let mut until = 0;
        let mut through = 0;
        for index in 0..count {
            if let Ok((full, _)) = pace.take(until, 1_000 * SECOND + index * gap, 0) {
                until = full;
                through += 1;
            }
        }
        through
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let pace = Pace::new(10, Duration::from_secs(1), 5);
        assert_eq!(through(pace, 100, 0), 5);
        // Ten seconds of ten a second, and what the bucket held.
        assert_eq!(through(pace, 1000, SECOND / 100), 5 + 99);
        assert_eq!(through(pace, 100, SECOND / 10), 100);
    }

    #[test]
    fn who_comes_too_early_is_told_when_to_come_again() {
        let pace = Pace::new(1, Duration::from_secs(60), 1);
        let (full, wait) = pace.take(0, 7, 0).unwrap();
        assert_eq!((full, wait), (7 + 60 * SECOND, 0));
        assert_eq!(pace.take(full, 7, 0), Err(60 * SECOND));
        assert_eq!(pace.take(full, 7 + 60 * SECOND, 0), Ok((7 + 120 * SECOND, 0)));
    }

    #[test]
    fn who_waits_takes_the_place_of_nobody() {
        let pace = Pace::new(10, Duration::from_secs(1), 1);
        let mut until = 0;
        for turn in 0..5 {
            let (full, wait) = pace.take(until, 0, SECOND).unwrap();
            assert_eq!(wait, turn * SECOND / 10);
            until = full;
        }
        assert_eq!(pace.take(until, 0, SECOND / 5), Err(SECOND / 10 * 3));
    }
}
