//! A token bucket: how many packets of one peer are answered.

use std::time::Instant;

use parking_lot::Mutex;

/// Holds a second's worth of tokens, and gets as many a second.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    /// Tokens left, and when they were counted.
    left: Mutex<(f64, Instant)>,
}

impl Bucket {
    pub(super) fn new(rate: u32) -> Self {
        Self { rate: f64::from(rate), left: Mutex::new((f64::from(rate), Instant::now())) }
    }

    /// Takes a token; false when none is left.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut left = self.left.lock();
        let since = now.saturating_duration_since(left.1).as_secs_f64();
        let tokens = (left.0 + since * self.rate).min(self.rate);
        let taken = tokens >= 1.0;
        *left = (if taken { tokens - 1.0 } else { tokens }, now);
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_gets_the_rate_and_no_more() {
        let (bucket, start) = (Bucket::new(100), Instant::now());
        let taken = |from: Instant| (0..1_000).filter(|_| bucket.take(from)).count();
        assert_eq!(taken(start + Duration::from_millis(1)), 100);
        assert_eq!(taken(start + Duration::from_millis(501)), 50);
    }
}
