//! Injected wall-clock time, and HTTP-dates.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in wall-clock time: whole milliseconds since the Unix epoch, negative before it. All arithmetic saturates,
/// so a value taken from the network cannot overflow anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// The last second an HTTP-date can say: 9999-12-31T23:59:59Z.
const LAST_HTTP_DATE_SECS: i64 = 253_402_300_799;

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since the Unix epoch.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded towards the past.
    #[must_use]
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The same for the operating system; `None` before the Unix epoch.
    #[must_use]
    pub fn system_time(self) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(self.0).ok()?))
    }

    /// This time moved into the future.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This time moved into the past.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// Time passed since `earlier`; zero if `earlier` is in fact later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        u64::try_from(self.0.saturating_sub(earlier.0)).map_or(Duration::ZERO, Duration::from_millis)
    }

    /// Parses an HTTP-date (RFC 9110 section 5.6.7) in any of its three formats: IMF-fixdate and the obsolete RFC 850
    /// and asctime forms. `None` if malformed; a date whose weekday contradicts it is malformed.
    ///
    /// A two-digit year below 70 is of this century, all others of the last.
    #[must_use]
    pub fn parse_http_date(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
        httpdate::parse_http_date(text).ok().map(Self::from)
    }

    /// The IMF-fixdate of this time, to the second. Times no HTTP-date can say (before 1970, after 9999) give the
    /// nearest one that can be said.
    #[must_use]
    pub fn http_date(self) -> String {
        let secs = self.secs().clamp(0, LAST_HTTP_DATE_SECS).unsigned_abs();
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(secs))
    }
}

/// Milliseconds of a duration, saturating.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(millis(after)),
            Err(before) => Self(-millis(before.duration())),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.http_date())
    }
}

/// Where the time comes from. Injected, so that tests move it by hand.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Shows `now` from here on; may go backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Goes forward by `duration`.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(millis(duration), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 9110 section 5.6.7 in its three formats.
    const EXAMPLE: Timestamp = Timestamp::from_secs(784_111_777);

    #[test]
    fn rfc9110_5_6_7_accepts_all_three_date_formats() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " Sun, 06 Nov 1994 08:49:37 GMT ",
        ] {
            assert_eq!(Timestamp::parse_http_date(text.as_bytes()), Some(EXAMPLE), "{text}");
        }
    }

    #[test]
    fn malformed_dates_are_none() {
        for text in [
            "",
            "0",
            "-1",
            "now",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
        ] {
            assert_eq!(Timestamp::parse_http_date(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Timestamp::parse_http_date(b"\xff\xfe"), None);
    }

    #[test]
    fn two_digit_years_below_seventy_are_of_this_century() {
        let year = |text: &str| Timestamp::parse_http_date(text.as_bytes()).map(|at| at.http_date()[12..16].to_owned());
        assert_eq!(year("Thursday, 18-Aug-50 02:01:18 GMT").as_deref(), Some("2050"));
        assert_eq!(year("Thursday, 01-Jan-70 00:00:00 GMT").as_deref(), Some("1970"));
    }

    #[test]
    fn formats_as_imf_fixdate_and_never_panics() {
        assert_eq!(EXAMPLE.http_date(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(Timestamp::from_millis(i64::MIN).http_date(), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(Timestamp::from_millis(i64::MAX).http_date(), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_millis(i64::MAX);
        assert_eq!(end.saturating_add(Duration::MAX), end);
        assert_eq!(Timestamp::EPOCH.since(end), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(-1).secs(), -1);
        assert_eq!(end.since(Timestamp::from_millis(i64::MIN)), Duration::from_millis(i64::MAX.unsigned_abs()));
    }

    #[test]
    fn a_manual_clock_shows_what_it_is_told() {
        let clock = ManualClock::new(EXAMPLE);
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now().since(EXAMPLE), Duration::from_secs(2));
        clock.set(Timestamp::EPOCH);
        assert_eq!(clock.now(), Timestamp::EPOCH);
    }
}
