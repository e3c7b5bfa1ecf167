//! Durations: `"30s"`, `"10m"`, `"60h"`, `"2 days"`, `"1h 30m"`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Wrong, quoted};

/// Parses a duration and checks its range.
pub(crate) fn parse_within(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    let duration = parse(text)?;
    if range.contains(&duration) {
        Ok(duration)
    } else {
        Err(Wrong::out_of_range(quoted(text), show(*range.start()), show(*range.end())))
    }
}

fn parse(text: &str) -> Result<Duration, Wrong> {
    let trimmed = text.trim();
    if trimmed == "0" {
        return Ok(Duration::ZERO);
    }
    if !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Wrong::new(format!("{} has no unit", quoted(text)), format!("write \"{trimmed}s\" for seconds")));
    }
    // To humantime "10M" is ten months. Who writes it here means minutes, or has a size in mind.
    if trimmed.contains('M') {
        let hint = format!("write {} for minutes", quoted(&trimmed.replace('M', "m")));
        return Err(Wrong::new(format!("{} has a unit that is not known", quoted(text)), hint));
    }
    humantime::parse_duration(trimmed).map_err(|_| {
        let hint = "write a number and a unit: \"500ms\", \"30s\", \"10m\", \"2h\", \"7 days\"";
        Wrong::new(format!("{} is not a duration", quoted(text)), hint)
    })
}

/// A duration as it is written in a file.
pub(crate) fn show(duration: Duration) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, " days"), (3600, "h"), (60, "m")];
    let seconds = duration.as_secs();
    if seconds == 0 || duration.subsec_nanos() > 0 {
        return humantime::format_duration(duration).to_string();
    }
    // One unit where one is exact: humantime would say "2days 12h" for "60h" and "1month 13m" for "730h".
    match UNITS.iter().find(|(unit, _)| seconds.is_multiple_of(*unit) && (seconds / unit >= 2 || *unit < 86_400)) {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_letters_are_understood() {
        assert_eq!(parse("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse("60h"), Ok(Duration::from_secs(60 * 3600)));
        assert_eq!(parse("2 days"), Ok(Duration::from_secs(2 * 86_400)));
        assert_eq!(parse("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn a_number_without_unit_is_refused_with_the_unit_as_hint() {
        assert_eq!(parse("30").unwrap_err().hint.as_deref(), Some("write \"30s\" for seconds"));
    }

    #[test]
    fn a_capital_m_is_no_month() {
        assert_eq!(parse("10M").unwrap_err().hint.as_deref(), Some("write \"10m\" for minutes"));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", " ", "s", "abc", "-1s", "1s2", "1 fortnight", "99999999999999999999s", "1.5.5s", "é"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_parses_to_the_same() {
        for millis in [0, 1, 999, 1000, 1500, 59_000, 60_000, 61_000, 3_600_000, 90_061_001, 86_400_000, 31_536_000_000]
        {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse(&show(duration)), Ok(duration), "{}", show(duration));
        }
        assert_eq!(show(Duration::from_secs(60 * 3600)), "60h");
        assert_eq!(show(Duration::from_secs(86_400)), "24h");
        assert_eq!(show(Duration::from_secs(31_536_000)), "365 days");
    }
}
