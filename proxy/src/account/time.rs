//! Calendar dates for log lines, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A point in time by the proleptic Gregorian calendar, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Utc {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    millisecond: u64,
}

/// Milliseconds since 1970; 0 for a clock that is set before it.
pub(super) fn unix_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Utc {
    pub(super) fn new(time: SystemTime) -> Self {
        let millis = unix_millis(time);
        let seconds = millis / 1000;
        let (days, of_day) = (seconds / 86_400, seconds % 86_400);
        // Count years from 1 March of the year 0, so that the leap day is the last of its year: then the months before
        // any of them hold (153 m + 2) / 5 days, and 400 years hold 146,097.
        let days = days + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: of_year - (153 * from_march + 2) / 5 + 1,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            millisecond: millis % 1000,
        }
    }

    /// `10/Oct/2000:13:55:36 +0000`, as NCSA's httpd wrote it.
    pub(super) fn common(self) -> String {
        let month = usize::try_from(self.month - 1).ok().and_then(|month| MONTHS.get(month)).copied().unwrap_or("Jan");
        let Self { year, day, hour, minute, second, .. } = self;
        format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
    }

    /// `2000-10-10T13:55:36.123Z` (RFC 3339).
    pub(super) fn rfc3339(self) -> String {
        let Self { year, month, day, hour, minute, second, millisecond } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn dates_agree_with_httpdate_on_every_day_until_2110() {
        for day in 0..51_100 {
            let time = at(day * 86_400 + day % 86_400);
            // `Sun, 06 Nov 1994 08:49:37 GMT`
            let expected = httpdate::fmt_http_date(time);
            let parts: Vec<&str> = expected.split(' ').collect();
            let expected = format!("{}/{}/{}:{} +0000", parts[1], parts[2], parts[3], parts[4]);
            assert_eq!(Utc::new(time).common(), expected);
        }
    }

    #[test]
    fn leap_days_and_milliseconds_are_exact() {
        let time = at(951_782_400) + Duration::from_millis(86_399_007);
        assert_eq!(Utc::new(time).rfc3339(), "2000-02-29T23:59:59.007Z");
        assert_eq!(Utc::new(UNIX_EPOCH).rfc3339(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_clock_before_1970_is_no_panic() {
        assert_eq!(Utc::new(UNIX_EPOCH - Duration::from_secs(5)).rfc3339(), "1970-01-01T00:00:00.000Z");
    }
}
